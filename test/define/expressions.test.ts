import { Environment } from "@marcbachmann/cel-js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  evaluateText,
  fillRequest,
  fillTemplate,
  Meter,
  parseExpression,
  TemplateFault,
  type Names,
} from "../../src/define/expressions/index.ts";
import { MAX_OPERATIONS } from "../../src/define/expressions/limits.ts";
import type { Json } from "../../src/kernel/index.ts";

const INPUT: Json = {
  n: 1,
  word: "tea",
  list: [1, 2, 3],
  people: [
    { name: "Ada", age: 36 },
    { name: "Bo", age: 18 },
  ],
  deep: { a: { b: null } },
  "odd key": true,
  nothing: null,
};

function names(input: Json = INPUT): Names {
  return {
    root: (name) => ({ input, run: { id: "run_1", user: null, now: 1_000 } })[name as "input"] ?? null,
    step: (_, field) =>
      field === "output" ? { body: { id: "bk_1" } } : field === "status" ? "succeeded" : null,
  };
}

function valueOf(text: string, input?: Json, meter = new Meter()): Json {
  return evaluateText(text, names(input), meter);
}

/** What an evaluation ends with: its value, or why there is none. */
function end(text: string, input?: Json, meter = new Meter()): { readonly value: Json } | TemplateFault {
  try {
    return { value: valueOf(text, input, meter) };
  } catch (error) {
    if (error instanceof TemplateFault) return error;
    throw error;
  }
}

describe("an expression", () => {
  it.each<[string, Json]>([
    ["input.n + 1", 2],
    ["7 / 2", 3.5],
    ["7 % 4", 3],
    ["-input.n", -1],
    ["0.1 + 0.2 < 0.31", true],
    ["1 == 1.0", true],
    ["input.word + '!'", "tea!"],
    ["[1] + input.list", [1, 1, 2, 3]],
    ["input.list[2]", 3],
    ["input['odd key']", true],
    ["input.n > 0 ? 'y' : 'n'", "y"],
    ["2 in input.list && 'n' in input && !('z' in input)", true],
    ["has(input.deep.a.b)", true],
    ["has(input.deep.x.y.z)", false],
    ["has(input.nothing.x)", false],
    ["has(steps.a.failure)", false],
    ["input.nope == 1 || true", true],
    ["false && input.nope", false],
    ["input.people.map(p, p.name)", ["Ada", "Bo"]],
    ["input.people.map(p, p.age > 20, p.name)", ["Ada"]],
    ["input.people.filter(p, p.age < 20).map(p, p.name)", ["Bo"]],
    ["input.list.all(x, x > 0) && input.list.exists(x, x == 2) && input.list.exists_one(x, x > 2)", true],
    ["input.deep.map(key, key)", ["a"]],
    ["size('añb') + size(input.list) + size(input.deep)", 7],
    ["'a-b'.split('-').join('+')", "a+b"],
    ["'Tea'.upperAscii() + 'Pot'.lowerAscii() + ' x '.trim()", "TEApotx"],
    ["'teapot'.substring(3) + 'teapot'.substring(0, 3)", "pottea"],
    ["'teapot'.indexOf('pot')", 3],
    ["'teapot'.contains('ap') && 'teapot'.startsWith('tea') && 'teapot'.endsWith('pot')", true],
    ["string(1.5) + string(true) + json([1, 'a'])", '1.5true[1,"a"]'],
    ["int('42') + int(7.9) + double('0.5')", 49.5],
    ["sum([1, 2, 3])", 6],
    ["millis('2027-03-14T09:00:00Z') - millis('2027-03-13T09:00:00Z')", 86_400_000],
    ["rfc3339(run.now)", "1970-01-01T00:00:01.000Z"],
    ["encode('a b/c')", "a%20b%2Fc"],
    ["steps.a.output.body.id", "bk_1"],
    ["steps['a']['output'].body.id", "bk_1"],
    ["{'a': {'b': [1]}, 'c': null}", { a: { b: [1] }, c: null }],
    ["{'a': 1} == {'a': 1.0} && [1, [2]] == [1, [2]] && null == null", true],
  ])("%s", (text, value) => {
    expect(valueOf(text)).toEqual(value);
  });

  it.each<[string, number]>([
    ["input.word + 1", 0],
    ["1 + input.nope", 4],
    ["input.list[3]", 0],
    ["input.list[-1]", 0],
    ["input.list['0']", 0],
    ["input.word.length", 0],
    ["input.n ? 1 : 2", 0],
    ["input.nope || false", 0],
    ["1 / 0", 0],
    ["1 % 0", 0],
    ["1.0e308 * 10", 0],
    ["input.word < 1", 0],
    ["size(1)", 0],
    ["string(null)", 0],
    ["int('abc')", 0],
    ["int(1.0e300)", 0],
    ["{'a': 1, 'a': 2}", 9],
    ["{1: 2}", 1],
    ["input.list.map(x, x.y)", 18],
    ["'abc'.substring(2, 1)", 0],
    ["millis('tomorrow')", 0],
  ])("that cannot be evaluated says where: %s", (text, at) => {
    const ended = end(text);
    expect(ended).toBeInstanceOf(TemplateFault);
    expect(ended).toMatchObject({ expression: text, at });
  });

  it("as a whole text keeps the type, and inside a longer one is written out", () => {
    const template = {
      a: "${{ input.list }}",
      b: "is ${{ input.list }} and ${{ input.word }}",
      c: ["${{ null }}", 1],
      d: "${{ {'}}': {'x': '}}'}} }}",
      e: "${{ '${{' }}",
      f: "no } end {",
    };
    expect(fillTemplate(template, names(), new Meter())).toEqual({
      a: [1, 2, 3],
      b: "is [1,2,3] and tea",
      c: [null, 1],
      d: { "}}": { x: "}}" } },
      e: "${{",
      f: "no } end {",
    });
  });

  it.each<[string, Json, string | null]>([
    ["https://a.example/x/${{ input.v }}", "a/../b?c#d", "https://a.example/x/a%2F..%2Fb%3Fc%23d"],
    ["https://a.example/?q=${{ input.v }}&r=1", "1&r=2", "https://a.example/?q=1%26r%3D2&r=1"],
    ["https://a.example/x/${{ input.v }}/y", "..", null],
    ["https://a.example/x/${{ input.v }}", ".", null],
    ["https://a.example/x/.${{ input.v }}/admin", ".", null],
    ["https://a.example/${{ input.v }}", "\\@evil.example", "https://a.example/%5C%40evil.example"],
    ["https://a.example/${{ input.v }}", [1], null],
    ["https://a.example/${{ input.v }}", null, null],
    ["https://a.example/${{ input.v }}", "a\ud83d", null],
    ["https://a.example/?q=${{ input.v }}", "a\ufffd", null],
    ["https://a.example/?q=${{ encode(input.v) }}", "\ufffd", null],
    ["https://a.example/${{ input.v }}", "a\ud83d\ude00", "https://a.example/a%F0%9F%98%80"],
  ])("in the URL %s stays one part of it: %j", (url, v, filled) => {
    const fill = (): Json => fillRequest({ method: "GET", url }, names({ v }), new Meter());
    if (filled === null) expect(fill).toThrow(TemplateFault);
    else expect(fill()).toEqual({ method: "GET", url: filled });
  });

  it.each<[Json, Json]>([
    ["${{ input.v }}", "a\ufffd"],
    ["x${{ input.v }}", "\udc00"],
    [["1", "${{ input.v }}"], "\ufffd"],
  ])("in a query is whole, or fails the step: %j", (q, v) => {
    const fill = (value: Json): Json =>
      fillRequest(
        { method: "GET", url: "https://a.example/", query: { q } },
        names({ v: value }),
        new Meter(),
      );
    expect(() => fill(v)).toThrow(TemplateFault);
    expect(() => fill("a")).not.toThrow();
  });

  it("in a query that an author wrote out is the author's", () => {
    const request = { method: "GET", url: "https://a.example/", query: { q: "\ufffd" } };
    expect(fillRequest(request, names({}), new Meter())).toEqual(request);
  });
});

const MIB = 1_048_576;
const LONG = "a".repeat(MIB / 2);
const MANY: Json = Array.from({ length: 100_000 }, (_, i) => i);
/** Every character of the needle is compared at every place of the text. */
const WORST = { hay: LONG, needle: `b${"a".repeat(MIB / 4)}` };
const DEEP = JSON.parse(`${"[".repeat(60_000)}${"]".repeat(60_000)}`) as Json;

describe("an attack", () => {
  /** Refused before anything is evaluated. */
  it.each([
    ["a pattern that backtracks", "input.word.matches('^(a+)+$')"],
    ["a pattern by another way to call", "matches(input.word, '^(a+)+$')"],
    ["loops in loops", "input.list.all(x, input.list.all(y, input.list.all(z, x + y + z > 0)))"],
    ["parentheses without end", `${"(".repeat(2_000)}1${")".repeat(2_000)}`],
    ["negations without end", `${"!".repeat(4_000)}true`],
    ["fields without end", `input${".a".repeat(2_000)}`],
    ["conditions without end", "true ? ".repeat(500) + "1" + " : 2".repeat(500)],
    ["a text of a million characters", `'${"x".repeat(1_000_000)}'`],
    ["every step at once", "steps"],
    ["a step by a computed name", "steps['a' + 'b'].output"],
    ["a name of the host", "globalThis"],
    ["the constructor of everything", "constructor"],
    ["the library's own namespace", "cel.bind(x, 1, x)"],
    ["types", "type(input)"],
    ["bytes", "b'abc'"],
    ["a clock", "timestamp('2027-01-01T00:00:00Z')"],
  ])("by %s is refused", (_, text) => {
    const parsed = parseExpression(text);
    expect(parsed.ok).toBe(false);
  });

  it.each([
    "input.constructor",
    "input.__proto__",
    "input['__proto__']",
    "input.list.length",
    "input.word.constructor",
    "input['constructor']['prototype']",
    "input.toString",
    "steps.a.output.hasOwnProperty",
    "{'__proto__': 1}",
  ])("by a prototype finds nothing: %s", (text) => {
    expect(end(text)).toBeInstanceOf(TemplateFault);
  });

  it("by prototype names as steps, keys or variables is an attack on plain data", () => {
    expect(valueOf("has(input.constructor) || 'toString' in input")).toBe(false);
    expect(valueOf("[1].map(constructor, constructor + 1)")).toEqual([2]);
    expect(valueOf("input.a", JSON.parse('{"a": {"__proto__": {"x": 1}}}') as Json)).toBeDefined();
    expect(Object.prototype).not.toHaveProperty("x");
  });

  const KEYS = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i]));

  const EMPTIES: Json = {
    l: Array.from({ length: 200 }, () => ({})),
    m: Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, i])),
  };

  /** Each fits into what may be spent, at about this price, or is ended before more of it is. */
  it.each<[what: string, text: string, input: Json, ends: "value" | "fault"]>([
    ["a list that doubles", `[1]${".map(i, [i, i])".repeat(40)}`, null, "fault"],
    ["a text that doubles", `['${"x".repeat(1_000)}']${".map(s, s + s)".repeat(24)}`, null, "fault"],
    ["a list that is added to itself", `[input]${".map(l, l + l)".repeat(24)}`, MANY, "fault"],
    ["a look for each of many in all", "input.filter(x, x in input)", MANY, "fault"],
    ["a dear look at each of many", `input.filter(x, ${"x > 0 && ".repeat(40)}true)`, MANY, "fault"],
    ["a text that is searched for the worst one", "input.hay.contains(input.needle)", WORST, "fault"],
    ["a text that is split at the worst one", "input.hay.split(input.needle)", WORST, "fault"],
    [
      "a text that is split into all its characters, again and again",
      "[1, 2, 3].map(i, input.split(''))",
      LONG,
      "fault",
    ],
    [
      "many texts that are compared",
      "input.filter(x, x == input[0])",
      Array.from({ length: 20_000 }, () => "ab".repeat(20)),
      "value",
    ],
    ["a large value that is compared with itself", "input == input && input == input", MANY, "value"],
    ["two large values that are compared", "[input, input] == [input + [], input + []]", MANY, "fault"],
    [
      "a large value that is written out many times",
      "[1, 2, 3, 4, 5, 6, 7, 8].map(i, json(input))",
      MANY,
      "fault",
    ],
    ["a result that is larger than any output", "input + [input] + [input] + [input]", MANY, "fault"],
    ["a value that is nested deeper than the stack", "input == [input]", DEEP, "fault"],
    ["a value that is nested deeper than the stack, written out", "json(input)", DEEP, "fault"],
    ["a text of many joined", "input.map(i, 'xxxxxxxxxxxxxxxx').join('')", MANY, "fault"],
    ["an upper case of much, again and again", "[1, 2, 3, 4].map(i, input.upperAscii())", LONG, "fault"],
    [
      "many empty texts joined",
      "[1, 2].map(i, input.join(''))",
      Array.from({ length: 200_000 }, () => ""),
      "fault",
    ],
    [
      "the keys of a large map, again and again",
      Array(6).fill("input.exists(k, true)").join(" && "),
      KEYS,
      "fault",
    ],
    ["an empty map that is compared with a large one", "input.l.filter(x, x == input.m)", EMPTIES, "fault"],
    [
      "a join that fails at its last element",
      "input.l.filter(x, input.m.join('') == '' || true)",
      { l: Array.from({ length: 300 }, () => 1), m: [...Array.from({ length: 5_000 }, () => "a"), 1] },
      "fault",
    ],
    [
      "many rests of numbers that are far apart",
      `input.filter(x, ${"1.7e308 % 5.0e-324 + ".repeat(20)}x > 0)`,
      Array.from({ length: 1_500 }, () => 1),
      "fault",
    ],
    [
      "many faults far down",
      `input.filter(x, ${"(".repeat(60)}x.y${" + 1)".repeat(60)} > 1 || true)`,
      Array.from({ length: 3_000 }, () => 1),
      "fault",
    ],
    ["many elements that have no such field", "input.exists(x, x.y)", MANY, "fault"],
  ])("by %s is bounded", (_, text, input, ends) => {
    const meter = new Meter();
    const ended = end(text, input, meter);
    expect(ended instanceof TemplateFault ? "fault" : "value").toBe(ends);
    expect(meter.spent).toBeLessThanOrEqual(MAX_OPERATIONS);
  });

  it("by many expressions in one template shares one meter", () => {
    const template = Array.from({ length: 100 }, () => "${{ size(input.filter(x, x >= 0)) }}");
    const meter = new Meter();
    expect(() => fillTemplate(template, names(MANY), meter)).toThrow(TemplateFault);
    expect(meter.spent).toBeLessThanOrEqual(MAX_OPERATIONS);
  });
});

/** JSON as the library sees it: the same numbers, all of one kind. */
const oracle = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });

/** Texts of expressions over `input`, in the part of the language where both have one kind of number. */
const generated = fc.letrec<{ number: string; truth: string; text: string; list: string }>((tie) => ({
  number: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.integer({ min: -9, max: 9 }).map((n) => `(${n}.0)`),
    fc.constant("input.n"),
    fc
      .tuple(tie("number"), fc.constantFrom("+", "-", "*"), tie("number"))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie("truth"), tie("number"), tie("number")).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
    tie("list").map((list) => `${list}[0]`),
  ),
  truth: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("true", "false"),
    fc
      .tuple(tie("number"), fc.constantFrom("==", "!=", "<", "<=", ">", ">="), tie("number"))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc
      .tuple(tie("text"), fc.constantFrom("==", "!=", "<", ">="), tie("text"))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc
      .tuple(tie("truth"), fc.constantFrom("&&", "||"), tie("truth"))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie("truth").map((a) => `!${a}`),
    fc.tuple(tie("number"), tie("list")).map(([a, list]) => `(${a} in ${list})`),
    fc
      .tuple(tie("list"), fc.constantFrom("all", "exists", "exists_one"), fc.integer({ min: -2, max: 4 }))
      .map(([list, macro, n]) => `${list}.${macro}(x, x > ${n}.0)`),
    fc
      .tuple(tie("text"), fc.constantFrom("contains", "startsWith", "endsWith"), tie("text"))
      .map(([a, f, b]) => `${a}.${f}(${b})`),
    fc.constantFrom("has(input.n)", "has(input.nope)"),
  ),
  text: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("'a'", "'abc'", "''", "'é'", "input.word"),
    fc.tuple(tie("text"), tie("text")).map(([a, b]) => `(${a} + ${b})`),
  ),
  list: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("input.list", "[1.0, 2.0]", "[0.0]"),
    fc
      .tuple(tie("list"), fc.integer({ min: -2, max: 4 }))
      .map(([list, n]) => `${list}.filter(x, x > ${n}.0)`),
    fc.tuple(tie("list"), fc.integer({ min: -2, max: 4 })).map(([list, n]) => `${list}.map(x, x * ${n}.0)`),
    fc.tuple(tie("list"), tie("list")).map(([a, b]) => `(${a} + ${b})`),
  ),
}));

describe("the evaluator", () => {
  it("agrees with the library on everything that both evaluate", () => {
    let agreed = 0;
    fc.assert(
      fc.property(fc.oneof(generated.number, generated.truth, generated.text, generated.list), (text) => {
        const ours = end(text);
        let theirs: unknown;
        try {
          theirs = oracle.evaluate(text, { input: INPUT as Record<string, unknown> });
        } catch {
          theirs = undefined;
        }
        // The library finds some faults by types, before it evaluates what would not have come to them.
        if (theirs === undefined || ours instanceof TemplateFault) return;
        agreed += 1;
        // Ours has no negative zero, which JSON would lose.
        expect(JSON.parse(JSON.stringify(theirs))).toEqual(ours.value);
      }),
      { numRuns: 3_000 },
    );
    expect(agreed).toBeGreaterThan(1_500);
  });

  it("never throws anything but a fault that has a place, whatever the text is", () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom(...Array.from("input.steps()[]{}'\"\\:?,+-*/%!=<>&| 019.xa$}u\n")),
        }),
        (text) => {
          const ended = end(text);
          if (ended instanceof TemplateFault) {
            expect(ended.at).toBeGreaterThanOrEqual(0);
            expect(ended.at).toBeLessThanOrEqual(text.length);
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
