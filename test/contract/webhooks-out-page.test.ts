/** What docs/webhooks-out.md shows to receivers is run as it stands there, against what is sent. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { bodyOf, EVENT_TYPES } from "../../src/triggers/outgoing/events.ts";
import { PLAN_S } from "../../src/triggers/outgoing/retrying.ts";
import { signMessage } from "../../src/triggers/outgoing/signing.ts";
import { utf8, WHSEC, WHSEC_OTHER } from "../triggers/deliveries.ts";

const PAGE = readFileSync(join(import.meta.dirname, "../../docs/webhooks-out.md"), "utf8");
/** Beside this file, where the package is found. */
const SNIPPET = join(import.meta.dirname, `snippet-${process.pid}.ts`);

afterAll(() => {
  rmSync(SNIPPET, { force: true });
});

test("the receiver of the page accepts what is sent, and nothing else", async () => {
  const [, code = ""] = /```ts verify\n(.*?)```/s.exec(PAGE) ?? [];
  writeFileSync(SNIPPET, code);
  const { read } = (await import(pathToFileURL(SNIPPET).href)) as {
    read: (secret: string, headers: Record<string, string>, body: string) => unknown;
  };
  const body = bodyOf("run.ended", Date.now(), { run: "run_1" });
  const signed = async (sentAt: number) =>
    signMessage(
      { id: "msg_run_1_17_run-ended", sentAt, body: utf8(body) },
      [{ id: "k", madeAt: 0, until: null }],
      new Map([["k", WHSEC]]),
    );
  const headers = await signed(Date.now());
  expect(read(WHSEC, headers, body)).toEqual(JSON.parse(body));
  expect(read(WHSEC_OTHER, headers, body)).toBeNull();
  expect(read(WHSEC, headers, `${body} `)).toBeNull();
  expect(read(WHSEC, { ...headers, "webhook-id": "msg_other" }, body)).toBeNull();
  expect(read(WHSEC, await signed(Date.now() - 6 * 60_000), body)).toBeNull();
});

test("the page names every type of event, and the waits of the plan", () => {
  for (const type of EVENT_TYPES) expect(PAGE).toContain(`| \`${type}\` |`);
  const [, ...waits] = PLAN_S.map((s) =>
    s < 60 ? `${s} s` : s < 3_600 ? `${s / 60} min` : `${s / 3_600} h`,
  );
  expect(PAGE.replace(/\s+/g, " ")).toContain(`${waits.slice(0, -1).join(", ")} and ${waits.at(-1)}`);
});
