/** What a run object writes of a confidential run: where it opens, and where not. */

import { describe, expect, test } from "vitest";
import { createCipher, UnreadableText } from "../../src/run/cipher.ts";
import { Texts, type TextPlace } from "../../src/run/texts.ts";

const KEY = new Uint8Array(32).fill(7);
const RUN = { tenant: "acme", id: "run_1" };
const PLACE: TextPlace = ["value", 12, 1];

function confidential(from = 1, run = RUN, key = KEY): Texts {
  const texts = new Texts();
  texts.unlock(key, run, from);
  return texts;
}

describe("a sealed text", () => {
  test("opens where it stands, whatever is in it", () => {
    const texts = confidential();
    for (const text of ["", '"a"', "\u0000\uFEFFü𝄞", JSON.stringify("\uD834"), "x".repeat(300_000)]) {
      const sealed = texts.write(PLACE, text);
      expect(sealed).toMatch(/^r1\.[\w-]+$/);
      expect(texts.read(PLACE, sealed)).toBe(text);
    }
  });

  test("is another one each time", () => {
    const texts = confidential();
    expect(texts.write(PLACE, "a")).not.toBe(texts.write(PLACE, "a"));
  });

  test("opens at no other place, in no other run, of no other tenant, under no other key (C1)", () => {
    const sealed = confidential().write(PLACE, '"secret"');
    const places: TextPlace[] = [
      ["value", 12, 0],
      ["value", 11, 1],
      ["facts", 12],
      ["snapshot", 12],
      ["message", 12, "1"],
    ];
    for (const place of places) expect(() => confidential().read(place, sealed)).toThrow(UnreadableText);
    for (const run of [
      { tenant: "acme", id: "run_2" },
      { tenant: "acm", id: "run_1" },
    ])
      expect(() => confidential(1, run).read(PLACE, sealed)).toThrow(UnreadableText);
    const other = confidential(1, RUN, new Uint8Array(32).fill(8));
    expect(() => other.read(PLACE, sealed)).toThrow(UnreadableText);
  });

  test("of which any byte was changed, or that was cut, does not open", () => {
    const texts = confidential();
    const sealed = texts.write(PLACE, '"secret"');
    for (let at = 3; at < sealed.length; at++) {
      const changed = sealed[at] === "A" ? "Q" : "A";
      const text = sealed.slice(0, at) + changed + sealed.slice(at + 1);
      expect(() => texts.read(PLACE, text), `character ${at}`).toThrow(UnreadableText);
    }
    for (const length of [3, 4, 20, 40, sealed.length - 4])
      expect(() => texts.read(PLACE, sealed.slice(0, length))).toThrow(UnreadableText);
  });

  test("says nothing of itself in its error", () => {
    const sealed = confidential().write(PLACE, '"secret"');
    expect(() => confidential(1, { ...RUN, id: "run_2" }).read(PLACE, sealed)).toThrow(
      "what is kept at value 12 1 does not open: it was changed or moved, or is of another run",
    );
  });

  test("does not open without its key", () => {
    const sealed = confidential().write(PLACE, '"secret"');
    expect(() => new Texts().read(PLACE, sealed)).toThrow(UnreadableText);
  });
});

describe("a plain text", () => {
  test("is what a run without a key writes and reads (X1)", () => {
    const texts = new Texts();
    expect(texts.confidential).toBe(false);
    expect(texts.write(PLACE, '"a"')).toBe('"a"');
    expect(texts.read(PLACE, '"a"')).toBe('"a"');
  });

  test("is read from before the run had a key, and not taken from then on (X2)", () => {
    const texts = confidential(12);
    expect(texts.read(["facts", 11], "[]")).toBe("[]");
    expect(texts.read(["value", 11, 0], "[]")).toBe("[]");
    // Written with the turn before.
    expect(texts.read(["snapshot", 12], "{}")).toBe("{}");
    const later: TextPlace[] = [
      ["facts", 12],
      ["value", 12, 0],
      ["snapshot", 13],
      ["message", 12, "family"],
    ];
    for (const place of later) expect(() => texts.read(place, "[]")).toThrow(UnreadableText);
  });
});

test("a key of another length is a mistake", () => {
  expect(() => createCipher(new Uint8Array(31), RUN)).toThrow(TypeError);
});
