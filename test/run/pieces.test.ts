import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { piecesOf } from "../../src/run/pieces.ts";

const FACE = "😀";

/** What a database that keeps UTF-8 gives back for a text. */
function stored(text: string): string {
  return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

describe("a text that is cut into pieces", () => {
  it("comes back as it was, with a pair at every offset from every cut", () => {
    for (const chars of [2, 3, 4, 5, 8])
      for (let lead = 0; lead <= 2 * chars; lead++)
        for (const tail of ["", "z", FACE.repeat(chars)]) {
          const text = "a".repeat(lead) + FACE + tail;
          expect([...piecesOf(text, chars)].map(stored).join("")).toBe(text);
        }
  });

  it("comes back as it was whatever JSON it is, also with halves of pairs, which JSON escapes", () => {
    const units = fc.constantFrom("a", "é", "漢", FACE, "\ud83d", "\ude00", '"', "\\", "\n", "\u2028");
    fc.assert(
      fc.property(
        fc.string({ unit: units, maxLength: 60 }),
        fc.integer({ min: 2, max: 12 }),
        (value, chars) => {
          const text = JSON.stringify({ value });
          const pieces = [...piecesOf(text, chars)];
          expect(pieces.every((piece) => piece.length > 0 && piece.length <= chars)).toBe(true);
          expect(JSON.parse(pieces.map(stored).join(""))).toEqual({ value });
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("has no pieces if it is empty", () => {
    expect([...piecesOf("", 2)]).toEqual([]);
  });
});
