import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findJsonLoss } from "../../src/api/json-loss.ts";

describe("what the parser would lose of a JSON text", () => {
  test.each([
    ['{"a":1,"a":2}', "/a", "duplicate"],
    ['{"a":{"b":[{},{"c":1,"d":[],"c":{}}]}}', "/a/b/1/c", "duplicate"],
    ['{"a":1,"\\u0061":2}', "/a", "duplicate"],
    ['{"":1,"":2}', "/", "duplicate"],
    ['{"a/b~":1,"a/b~":2}', "/a~1b~0", "duplicate"],
    ['{"__proto__":1,"__proto__":2}', "/__proto__", "duplicate"],
    ['{"x":{"a":1},"a":[1,2,{"a":1}],"a":1}', "/a", "duplicate"],
    ["9007199254740993", "", "rounded"],
    ["-9007199254740993", "", "rounded"],
    ['{"account":9007199254740992}', "/account", "rounded"],
    ['[[1,2],[{"n":[0,123456789012345678901234567890]}]]', "/1/0/n/1", "rounded"],
  ] as const)("%s: %j is %s", (text, pointer, what) => {
    JSON.parse(text);
    expect(findJsonLoss(text)).toEqual({ pointer, what });
  });

  test.each([
    "9007199254740991",
    "-9007199254740991",
    "0.12345678901234567890",
    "1e300",
    '"9007199254740993"',
    '{"9007199254740993":1}',
    '{"a":"a","b":["a","a","a"]}',
    '[{"a":1},{"a":1}]',
    '{"a":{"a":{"a":1}},"b":{"a":1}}',
    '{"a":"{\\"x\\":1,\\"x\\":9007199254740993}"}',
    '["\\\\",9,"\\"","{\\"a"]',
  ])("nothing is lost of %s", (text) => {
    JSON.parse(text);
    expect(findJsonLoss(text)).toBeNull();
  });

  test("of what was made from values without such integers nothing is lost, however it is spaced", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), fc.constantFrom(0, 1, "\t"), (value, space) => {
        const text = JSON.stringify(
          value,
          (_, node: unknown) => (typeof node === "number" ? Math.round(node % 2 ** 53) : node),
          space,
        );
        expect(findJsonLoss(text)).toBeNull();
      }),
    );
  });

  test("a name that comes twice is found wherever it stands", () => {
    const object = fc.dictionary(fc.string({ unit: "binary" }), fc.array(fc.string()), { minKeys: 1 });
    fc.assert(
      fc.property(object, fc.nat(), (members, nth) => {
        const written = Object.entries(members).map(
          ([name, value]) => [name, JSON.stringify(value)] as const,
        );
        const [name = ""] = written[nth % written.length] ?? [];
        const text = [...written, [name, "null"]]
          .map(([one = "", value = ""]) => `${JSON.stringify(one)}:${value}`)
          .join(",");
        expect(findJsonLoss(`[{${text}}]`)).toEqual({
          pointer: `/0/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`,
          what: "duplicate",
        });
      }),
    );
  });

  test("a megabyte of anything costs its length", () => {
    const before = performance.now();
    for (const unit of ["[[]],", '"\\"",', "1e+-", '{"a":[', "9,"])
      findJsonLoss(unit.repeat(1_048_576 / unit.length));
    expect(performance.now() - before).toBeLessThan(3_000);
  });
});
