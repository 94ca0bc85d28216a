import { describe, expect, test } from "vitest";
import {
  checkRootKey,
  createKeyCache,
  type KeyRecord,
  REVOKED_EVERYWHERE_MS,
} from "../../src/access/index.ts";
import { isKeyText, newKeyText, shownParts } from "../../src/access/key-text.ts";
import { authFailure } from "../../src/access/refusals.ts";

const RECORD: KeyRecord = {
  id: "key_1",
  tenant: "acme",
  name: "k",
  prefix: "sck_abcd",
  last4: "wxyz",
  scopes: ["*"],
  user: null,
  policies: [],
  createdBy: "root",
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
};

describe("the text of a key", () => {
  test("has a prefix, 32 random characters and a checksum", () => {
    const text = newKeyText();
    expect(text).toMatch(/^sck_[0-9A-Za-z]{38}$/);
    expect(isKeyText(text)).toBe(true);
    expect(newKeyText()).not.toBe(text);
    expect(shownParts(text)).toEqual({ prefix: text.slice(0, 8), last4: text.slice(-4) });
  });

  test("the checksum never changes (PERSISTED CONTRACT)", () => {
    expect(isKeyText("sck_000000000000000000000000000000000iSeCI")).toBe(true);
  });

  test("every mistyped character, and every two neighbours in the wrong order, are found", () => {
    const text = newKeyText();
    for (let at = 4; at < text.length; at += 1) {
      const char = text.charAt(at);
      expect(isKeyText(text.slice(0, at) + (char === "x" ? "y" : "x") + text.slice(at + 1))).toBe(false);
      const next = text.charAt(at + 1);
      if (next !== "" && next !== char) {
        expect(isKeyText(text.slice(0, at) + next + char + text.slice(at + 2))).toBe(false);
      }
    }
  });

  test.each(["", "sck_", "SCK_", "sck_ä"])("%j is no key", (text) => {
    expect(isKeyText(text)).toBe(false);
  });

  test("cut off, longer or padded keys are none", () => {
    const text = newKeyText();
    for (const wrong of [
      text.slice(0, -1),
      `${text}0`,
      ` ${text}`,
      `${text}\n`,
      text.slice(4),
      text.toUpperCase(),
    ]) {
      expect(isKeyText(wrong)).toBe(false);
    }
  });
});

describe("the cache of keys", () => {
  test("a key is known for less than the time that revoking promises", () => {
    const cache = createKeyCache();
    cache.put("h", RECORD, 1_000);
    expect(cache.get("h", 1_000 + 54_999)).toBe(RECORD);
    expect(cache.get("h", 1_000 + REVOKED_EVERYWHERE_MS - 1)).toBeUndefined();
  });

  test("an unknown key is unknown for five seconds, or until it is known", () => {
    const cache = createKeyCache();
    cache.put("h", null, 0);
    expect([cache.get("h", 4_999), cache.get("h", 5_000)]).toEqual([null, undefined]);
    cache.put("h", null, 0);
    cache.put("h", RECORD, 1);
    expect(cache.get("h", 2)).toBe(RECORD);
  });

  test("it is bounded, the oldest goes first, and guesses drive out no key", () => {
    const cache = createKeyCache(3, 2);
    for (const name of ["a", "b", "c", "d"]) cache.put(name, { ...RECORD, id: name }, 0);
    for (const name of ["1", "2", "3", "4"]) cache.put(name, null, 0);
    const all = ["a", "b", "c", "d", "1", "2", "3", "4"].map(
      (name) => cache.get(name, 1)?.id ?? cache.get(name, 1),
    );
    expect(all).toEqual([undefined, "b", "c", "d", undefined, undefined, null, null]);
  });

  test("a forgotten key is asked for again", () => {
    const cache = createKeyCache();
    cache.put("h", RECORD, 0);
    cache.forget(new Set(["key_1"]));
    expect(cache.get("h", 1)).toBeUndefined();
  });
});

describe("the root key", () => {
  test("may be unset", () => {
    expect([checkRootKey(undefined), checkRootKey("")]).toEqual([null, null]);
  });

  test.each(["short", "x".repeat(31), `sck_${"x".repeat(38)}`, `${"x".repeat(32)} y`, "ä".repeat(40)])(
    "%j is refused at the start",
    (variable) => {
      expect(() => checkRootKey(variable)).toThrow(TypeError);
    },
  );
});

test("every failure to authenticate has a status and tells what to do", () => {
  expect(authFailure("key_expired")).toMatchObject({ code: "key_expired", status: 401 });
  expect(authFailure("access_unavailable")).toMatchObject({ status: 503 });
});
