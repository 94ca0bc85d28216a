import { inspect } from "node:util";
import { describe, expect, it, test } from "vitest";
import { loadKeyring, parseKeyring } from "../../src/vault/keyring.ts";
import { keyText, ringText } from "./support.ts";

/** Stands in every bad keyring below, and must stand in no complaint. */
const SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";

describe("a keyring", () => {
  it("is one active key, and all that open", () => {
    const parsed = parseKeyring(ringText("k2", { k1: 1, k2: 2 }));
    expect(parsed).toMatchObject({ ok: true, value: { active: "k2", kids: ["k1", "k2"] } });
  });

  it("takes keys in base64 and base64url, padded or not", () => {
    const bytes = Buffer.alloc(32, 0xfb);
    for (const text of [bytes.toString("base64"), bytes.toString("base64url")])
      expect(parseKeyring(JSON.stringify({ active: "k", keys: { k: text } })).ok).toBe(true);
  });

  const keys = { k1: SECRET };
  test.each([
    ["no JSON", `{"active":"k1","keys":{"k1":"${SECRET}"}`],
    ["a list", JSON.stringify([{ active: "k1", keys }])],
    ["no active key", JSON.stringify({ keys })],
    ["an active key that is not there", JSON.stringify({ active: "k2", keys })],
    ["an active key that every object has", JSON.stringify({ active: "constructor", keys })],
    ["a field too many", JSON.stringify({ active: "k1", keys, [SECRET]: 1 })],
    ["no keys", JSON.stringify({ active: "k1", keys: {} })],
    ["a key in the place of a name", JSON.stringify({ active: SECRET, keys: { [SECRET]: SECRET } })],
    ["a name in capitals", JSON.stringify({ active: "K1", keys: { K1: SECRET } })],
    [
      "a name of 17 characters",
      JSON.stringify({ active: "a".repeat(17), keys: { ["a".repeat(17)]: SECRET } }),
    ],
    ["the name that is a word", JSON.stringify({ active: "active", keys: { active: SECRET } })],
    ["a short key", JSON.stringify({ active: "k1", keys: { k1: SECRET.slice(1) } })],
    ["a long key", JSON.stringify({ active: "k1", keys: { k1: `${SECRET}${SECRET}` } })],
    ["a key that is no text", JSON.stringify({ active: "k1", keys: { k1: SECRET, k2: 5 } })],
    ["the same key twice", JSON.stringify({ active: "k1", keys: { k1: SECRET, k2: SECRET } })],
    ["too many keys", ringText("k0", Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, i])))],
    ["nothing", ""],
  ])("is refused with %s, and the complaint repeats nothing of it", (_, text) => {
    const parsed = parseKeyring(text);
    expect(parsed.ok).toBe(false);
    expect(parsed.ok ? "" : parsed.error).not.toContain(SECRET.slice(0, 8));
    const thrown = (() => {
      try {
        return loadKeyring(text);
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toBeInstanceOf(TypeError);
    expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain(SECRET.slice(0, 8));
  });

  it("is parsed once for each text", () => {
    const text = ringText("k1", { k1: 1 });
    expect(loadKeyring(text)).toBe(loadKeyring(text));
    expect(loadKeyring(text)).not.toBe(loadKeyring(ringText("k1", { k1: 2 })));
  });

  it("gives keys that cannot be taken out, and shows none to who prints it", async () => {
    const keyring = loadKeyring(ringText("k1", { k1: 65 }));
    const [wrapping, deriving] = [await keyring.wrapping("k1"), await keyring.deriving("k1")];
    expect([wrapping?.extractable, deriving?.extractable]).toEqual([false, false]);
    await expect(crypto.subtle.exportKey("raw", wrapping!)).rejects.toThrow("not extractable");
    const printed = JSON.stringify(keyring) + inspect(keyring, { depth: 9, showHidden: true });
    expect(printed).not.toContain(keyText(65).slice(0, 8));
    expect(printed).not.toMatch(/65, 65|4141/);
    expect(await keyring.wrapping("k2")).toBeNull();
  });
});
