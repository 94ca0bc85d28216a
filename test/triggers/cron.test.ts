/** When expressions fire: by tables at the changes of the clock, and against a judge that looks at every minute. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_EXPRESSION_CHARS, parseCron } from "../../src/triggers/cron.ts";
import { naiveTimes } from "./naive-cron.ts";

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.UTC(2026, 0, 1);

function times(expression: string, timezone: string, from: number | string, count: number): string[] {
  const parsed = parseCron(expression, timezone, NOW);
  if (!parsed.ok) throw new Error(parsed.error.code);
  const found: string[] = [];
  let at: number | null = typeof from === "number" ? from : Date.parse(from);
  while (found.length < count) {
    at = parsed.value.next(at);
    if (at === null) break;
    found.push(new Date(at).toISOString().replace(":00.000Z", "Z"));
  }
  return found;
}

function between(expression: string, timezone: string, from: number, to: number): number[] {
  const parsed = parseCron(expression, timezone, NOW);
  if (!parsed.ok) throw new Error(`${parsed.error.code}: ${parsed.error.message}`);
  const found: number[] = [];
  for (let at = parsed.value.next(from); at !== null && at <= to; at = parsed.value.next(at)) found.push(at);
  return found;
}

describe("the hour that the clock leaves out", () => {
  it("in New York moves a time that was named to the end of the gap", () => {
    // 2026-03-08, 02:00 EST is 03:00 EDT, 07:00Z.
    expect(times("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", 2)).toEqual([
      "2026-03-08T07:00Z",
      "2026-03-09T06:30Z",
    ]);
  });

  it("in Berlin makes one tick of two named times that fall together", () => {
    // 2026-03-29, 02:00 CET is 03:00 CEST, 01:00Z.
    expect(times("15,45 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", 4)).toEqual([
      "2026-03-29T01:00Z",
      "2026-03-29T01:15Z",
      "2026-03-29T01:45Z",
      "2026-03-30T00:15Z",
    ]);
  });

  it("on Lord Howe is half an hour long, and the half that is there fires as ever", () => {
    // 2026-10-04, 02:00 is 02:30, 15:30Z of the day before.
    expect(times("15,45 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", 3)).toEqual([
      "2026-10-03T15:30Z",
      "2026-10-03T15:45Z",
      "2026-10-04T15:15Z",
    ]);
  });

  it("in Santiago takes midnight away, and a daily schedule keeps its day", () => {
    // 2026-09-06, 00:00 is 01:00, 04:00Z.
    expect(times("0 0 * * *", "America/Santiago", "2026-09-05T05:00Z", 2)).toEqual([
      "2026-09-06T04:00Z",
      "2026-09-07T03:00Z",
    ]);
  });

  it("does not exist for what follows the wall clock", () => {
    expect(times("*/30 2 * * *", "America/New_York", "2026-03-07T12:00Z", 1)).toEqual(["2026-03-09T06:00Z"]);
    expect(times("30 * * * *", "America/New_York", "2026-03-08T06:00Z", 2)).toEqual([
      "2026-03-08T06:30Z",
      "2026-03-08T07:30Z",
    ]);
  });
});

describe("the hour that comes twice", () => {
  it("in New York fires a named time once, the first time", () => {
    // 2026-11-01, 02:00 EDT is 01:00 EST, 06:00Z.
    expect(times("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", 2)).toEqual([
      "2026-11-01T05:30Z",
      "2026-11-02T06:30Z",
    ]);
  });

  it("in Berlin fires a list of named times once", () => {
    // 2026-10-25, 03:00 CEST is 02:00 CET, 01:00Z.
    expect(times("0,30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", 3)).toEqual([
      "2026-10-25T00:00Z",
      "2026-10-25T00:30Z",
      "2026-10-26T01:00Z",
    ]);
  });

  it("on Lord Howe repeats half an hour", () => {
    // 2026-04-05, 02:00 is 01:30, 15:00Z of the day before.
    expect(times("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00Z", 2)).toEqual([
      "2026-04-04T14:45Z",
      "2026-04-05T15:15Z",
    ]);
    expect(times("*/15 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:20Z", 5)).toEqual([
      "2026-04-04T14:30Z",
      "2026-04-04T14:45Z",
      "2026-04-04T15:00Z",
      "2026-04-04T15:15Z",
      "2026-04-05T14:30Z",
    ]);
  });

  it("fires what follows the wall clock both times", () => {
    expect(times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45Z", 5)).toEqual([
      "2026-10-25T00:00Z",
      "2026-10-25T00:30Z",
      "2026-10-25T01:00Z",
      "2026-10-25T01:30Z",
      "2026-10-25T02:00Z",
    ]);
  });
});

describe("against a judge that looks at every minute", () => {
  /** A day before and after each change of 2026 and 2027, and a leap day. */
  const changes: readonly (readonly [string, string])[] = [
    ["America/New_York", "2026-03-08T07:00Z"],
    ["America/New_York", "2026-11-01T06:00Z"],
    ["Europe/Berlin", "2026-03-29T01:00Z"],
    ["Europe/Berlin", "2026-10-25T01:00Z"],
    ["Australia/Lord_Howe", "2026-04-04T15:00Z"],
    ["Australia/Lord_Howe", "2026-10-03T15:30Z"],
    ["America/Santiago", "2026-04-05T03:00Z"],
    ["America/Santiago", "2026-09-06T04:00Z"],
    ["Asia/Kathmandu", "2028-02-29T00:00Z"],
  ];
  const number = (least: number, most: number): fc.Arbitrary<string> =>
    fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: least, max: most }).map(String) },
      fc
        .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }))
        .map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`),
    );
  const field = (least: number, most: number, star: number): fc.Arbitrary<string> =>
    fc.oneof(
      { weight: star, arbitrary: fc.constant("*") },
      { weight: 2, arbitrary: fc.integer({ min: 1, max: most - least }).map((step) => `*/${step}`) },
      {
        weight: 6,
        arbitrary: fc.array(number(least, most), { minLength: 1, maxLength: 3 }).map((all) => all.join(",")),
      },
    );
  const expressions = fc
    .tuple(field(0, 59, 3), field(0, 4, 3), field(1, 31, 9), field(1, 12, 20), field(0, 6, 9))
    .map((fields) => fields.join(" "));

  it("fires at the same times around every change of the clock", () => {
    let fired = 0;
    fc.assert(
      fc.property(fc.constantFrom(...changes), expressions, ([timezone, change], expression) => {
        const from = Date.parse(change) - DAY_MS;
        const to = Date.parse(change) + DAY_MS;
        const parsed = parseCron(expression, timezone, NOW);
        if (!parsed.ok) {
          expect([parsed.error.code, naiveTimes(expression, timezone, from, to)]).toEqual([
            "cron_never_fires",
            [],
          ]);
          return;
        }
        const found = between(expression, timezone, from, to);
        fired += found.length;
        expect(found).toEqual(naiveTimes(expression, timezone, from, to));
      }),
      { numRuns: 200, seed: 6 },
    );
    expect(fired).toBeGreaterThan(3_000);
  }, 20_000);

  it("never answers with what it was asked about, or something earlier, wherever the question falls", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...changes),
        expressions,
        fc.integer({ min: -DAY_MS, max: DAY_MS }),
        ([timezone, change], expression, shift) => {
          const parsed = parseCron(expression, timezone, NOW);
          if (!parsed.ok) return;
          const asked = Date.parse(change) + shift;
          const next = parsed.value.next(asked);
          expect(next === null || (next > asked && next % 1_000 === 0)).toBe(true);
          // C2: nothing lies between.
          if (next !== null) expect(parsed.value.next(Math.max(asked, next - 1))).toBe(next);
        },
      ),
      { numRuns: 500, seed: 7 },
    );
  });
});

describe("what may be written", () => {
  const refusal = (expression: string, timezone = "Europe/Berlin"): string => {
    const parsed = parseCron(expression, timezone, NOW);
    return parsed.ok ? "ok" : parsed.error.code;
  };

  it.each([
    ["* * * 30 2 *", "cron_never_fires"],
    ["0 0 30 2 *", "cron_never_fires"],
    ["0 0 31 2,4,6,9,11 *", "cron_never_fires"],
    ["0 0 31W 2 *", "cron_never_fires"],
    ["60 * * * *", "cron_invalid"],
    ["* * * *", "cron_invalid"],
    ["* * * * * * 2030", "cron_invalid"],
    ["*/0 * * * *", "cron_invalid"],
    ["5-1 * * * *", "cron_invalid"],
    ["@reboot", "cron_invalid"],
    ["", "cron_invalid"],
    ["2026-12-31T00:00:00", "cron_invalid"],
    ["0 0 * * +1", "cron_invalid"],
    ["\u0000 * * * *", "cron_invalid"],
    ["0 0 29 2 *", "ok"],
    ["0 0 29 2 1#5", "ok"],
    ["0 9 * * MON-FRI", "ok"],
    ["*/10 * * * * *", "ok"],
    ["@daily", "ok"],
  ])("%j: %s", (expression, code) => {
    expect(refusal(expression)).toBe(code);
  });

  it.each([
    "every 5 minutes",
    "* * * *",
    "* * * * * * 2030",
    "@reboot",
    "61 * * * *",
    "0 0 * 13 *",
    "0 0 * * FOO",
  ])("%j: it is said what can be written, and not by whom it is read", (expression) => {
    const parsed = parseCron(expression, "UTC", NOW);
    const message = parsed.ok ? "" : parsed.error.message;
    const isField = /^[^@ ]+( [^ ]+){4,5}$/.test(expression);
    expect(message).toMatch(isField ? /^(?!Cron)./ : /five fields/);
    expect(message).not.toMatch(/: \d+/);
    if (!isField) expect(message).not.toContain(expression);
  });

  it("what is too long is refused before it is read", () => {
    for (const long of [`${"1,".repeat(MAX_EXPRESSION_CHARS)}1 * * * *`, " ".repeat(1_000_000)])
      expect(refusal(long)).toBe("cron_invalid");
  });

  it.each(["Mars/Olympus", "+01:00", "", "Europe/Berlin; DROP", "x".repeat(65), "../etc/passwd"])(
    "%j is no time zone",
    (timezone) => {
      expect(refusal("* * * * *", timezone)).toBe("timezone_unknown");
    },
  );

  it("days can be named from the end of the month and by their number in it", () => {
    const first = (expression: string): string | undefined => times(expression, "UTC", NOW, 1)[0];
    expect(first("0 0 L * *")).toBe("2026-01-31T00:00Z");
    expect(first("0 0 LW * *")).toBe("2026-01-30T00:00Z");
    expect(first("0 0 * * FRI#2")).toBe("2026-01-09T00:00Z");
    expect(first("0 0 * * FRIL")).toBe("2026-01-30T00:00Z");
    expect(first("0 0 ? * MON")).toBe("2026-01-05T00:00Z");
    expect(first("30 0 0 1 1 *")).toBe("2026-01-01T00:00:30.000Z");
  });
});
