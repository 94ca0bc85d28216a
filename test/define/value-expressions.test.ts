import { describe, expect, it, test } from "vitest";
import { createValueExpressions } from "../../src/define/index.ts";
import type { Expressions } from "../../src/triggers/judging.ts";

const expressions = createValueExpressions();
/** What a hook asks for is what there is. */
const forHooks: Expressions = expressions;
const INPUT = { body: { action: "opened", labels: ["bug"], "a/b": 1 }, id: "d-1" };

describe("a condition", () => {
  test.each([
    ["input.body.action == 'opened'", true],
    ["input.body.labels.exists(one, one == 'bug')", true],
    ["has(input.body.absent)", false],
  ])("%s gives %s", (text, value) => {
    expect(forHooks.condition(text, INPUT)).toEqual({ ok: true, value });
  });

  test.each([
    "input.body.action",
    "input.body.absent.more",
    "input.body.action + 1 == 2",
    "run.now > 0",
    "1 +",
  ])("%s is a fault that quotes it", (text) => {
    expect(expressions.condition(text, INPUT)).toMatchObject({
      ok: false,
      error: expect.stringContaining(text.slice(0, 3)),
    });
  });

  it("that costs too much ends", () => {
    const input = Array.from({ length: 30_000 }, (_, i) => i);
    const text = "input.all(a, a + a + a + a + a + a + a + a >= 0)";
    expect(expressions.condition(text, input)).toMatchObject({
      ok: false,
      error: expect.stringContaining("operations"),
    });
  });

  it("pays for a large value once, however often it is named", () => {
    const large = { rows: Array.from({ length: 120_000 }, (_, i) => ({ i })) };
    const sizes = (times: number) => Array(times).fill("size(input.rows) > 0").join(" && ");
    expect(expressions.condition(sizes(20), large)).toEqual({ ok: true, value: true });
    // One that costs more than everything may is not read at all.
    expect(expressions.condition(sizes(1), { rows: [...large.rows, ...large.rows] })).toMatchObject({
      ok: false,
    });
  });
});

describe("a template", () => {
  it("keeps the type of a whole text, and fills in lists and maps", () => {
    const template = {
      all: "${{ input.body }}",
      text: "#${{ input.id }}",
      list: [1, "${{ input.body['a/b'] }}"],
    };
    expect(expressions.filled(template, INPUT)).toEqual({
      ok: true,
      value: { all: INPUT.body, text: "#d-1", list: [1, 1] },
    });
    // As it would be written alone, without the blanks of its braces.
    expect(expressions.filled("${{ input.none }}", INPUT)).toMatchObject({
      error: expect.stringMatching(/^input\.none: /) as string,
    });
  });
});

describe("what is checked before anything arrives", () => {
  test.each([
    ["steps.a.output", ""],
    ["run.id == ''", ""],
    ["input.matches('a')", ""],
    ["1 +", ""],
  ])("%s", (text, pointer) => {
    expect(expressions.check(text)).toMatchObject([{ pointer }]);
  });

  it("the texts of a template, each with its place", () => {
    const template = { "a/b": ["${{ item }}", "${{ input.id }}", "${{ 1"], c: "plain" };
    expect(expressions.checkTemplate(template).map(({ pointer }) => pointer)).toEqual(["/a~1b/0", "/a~1b/2"]);
    expect(expressions.check("input.body.n > 0")).toEqual([]);
  });
});
