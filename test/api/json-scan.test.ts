import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findJsonFault, lineAndColumn } from "../../src/api/json-scan.ts";

const DEEP = 1_000;

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("the first fault of a text that is not JSON", () => {
  test("a text has no fault exactly if JSON.parse takes it", () => {
    const valid = fc.json({ stringUnit: "binary" });
    const damaged = fc
      .tuple(
        valid,
        fc.nat(),
        fc.constantFrom("", ",", "]", "}", '"', "\\", "x", "\n", "0", ".", "-", "\u0000"),
      )
      .map(([text, at, put]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + put + text.slice(place + 1);
      });
    const noise = fc.string({
      unit: fc.constantFrom(...Array.from('[]{}",:\\u0eE+-.19tfn l\n')),
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.oneof(valid, damaged, noise), (text) => {
        expect(findJsonFault(text, DEEP) === null).toBe(parses(text));
      }),
      { numRuns: 5_000 },
    );
  });

  test.each([
    ["", 0, "end"],
    ["{", 1, "end"],
    ['{"a": }', 6, "unexpected"],
    ["{'a': 1}", 1, "unexpected"],
    ['{"a": 1,}', 8, "unexpected"],
    ["[1, 2", 5, "end"],
    ["[1 2]", 3, "unexpected"],
    ['{"a": 1} x', 9, "unexpected"],
    ['"abc', 4, "end"],
    ['"a\nb"', 2, "unexpected"],
    ['"\\q"', 2, "unexpected"],
    ['"\\u12g4"', 5, "unexpected"],
    ["nul", 0, "unexpected"],
    ["01", 1, "unexpected"],
    ["{1: 2}", 1, "unexpected"],
  ] as const)("%j: position %i, %s", (text, position, what) => {
    expect(findJsonFault(text, DEEP)).toEqual({ position, what });
  });

  test("containers may be as deep as allowed and no deeper, and a million of them end no stack", () => {
    expect(findJsonFault("[[[]]]", 3)).toBeNull();
    expect(findJsonFault("[[[[]]]]", 3)).toEqual({ position: 3, what: "too_deep" });
    expect(findJsonFault("[{},{},[],[]]", 2)).toBeNull();
    expect(findJsonFault("[".repeat(1_000_000), 64)).toEqual({ position: 64, what: "too_deep" });
  });

  test("a position is told as line and column, from 1", () => {
    expect(lineAndColumn('{\n  "a": x\n}', 9)).toBe("line 2, column 8");
    expect(lineAndColumn("x", 0)).toBe("line 1, column 1");
  });
});
