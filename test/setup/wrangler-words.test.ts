import { expect, test } from "vitest";
import { wordsOf } from "../../src/cli/wrangler.ts";

const KEY = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
const KEYRING = JSON.stringify({ current: "k20261126", keys: { k20261126: KEY } });

test.each([
  ["as it was given", KEYRING],
  ["in the JSON that it was sent in", JSON.stringify({ KEYRING })],
  ["in part", `Unexpected token in {"current": "k20261126", "keys": {"k20261126": "${KEY}`],
  ["spread over lines", JSON.stringify(JSON.parse(KEYRING), null, 2)],
])("a secret that wrangler repeats %s is not shown", (_how, said) => {
  const shown = wordsOf({ exitCode: 1, stdout: "", stderr: `It failed: ${said}`, report: "" }, [KEYRING]);
  expect(shown).toContain("[secret]");
  expect(shown).not.toContain(KEY.slice(0, 20));
});
