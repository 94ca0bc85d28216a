import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chooseType,
  graphTag,
  MAX_IDEMPOTENCY_KEY_CHARS,
  parseGraphTag,
  parseIdempotencyKey,
  parseIfNoneMatch,
  parsePrefer,
  preferenceApplied,
  runTag,
} from "../../src/api/request-headers.ts";

describe("Prefer (RFC 7240)", () => {
  test.each([
    [null, null, false],
    ["", null, false],
    ["wait=10", 10_000, false],
    ['wait="10"', 10_000, false],
    ["WAIT = 10", 10_000, false],
    ["wait=10;x=1", 10_000, false],
    ["respond-async", null, true],
    ["respond-async, wait=10", 10_000, true],
    ["return=minimal, wait=3", 3_000, false],
    ['foo="a, wait=7", wait=3', 3_000, false],
    ["wait=0", 0, false],
    ["wait=60", 60_000, false],
    ["wait=61", 60_000, false],
    ["wait=999999999", 60_000, false],
  ])("%j asks to wait %j ms, to answer at once: %j", (header, waitMs, respondAsync) => {
    expect(parsePrefer(header)).toEqual({ waitMs, respondAsync });
  });

  test.each([
    "wait",
    "wait=",
    "wait=-1",
    "wait=1.5",
    "wait=ten",
    "wait=1e3",
    "wait=99999999999",
    ",,;=",
    '"',
  ])("what cannot be read is ignored: %j", (header) => {
    expect(parsePrefer(header)).toEqual({ waitMs: null, respondAsync: false });
  });

  test("of the same preference twice, the first counts", () => {
    expect(parsePrefer("wait=5, wait=9").waitMs).toBe(5_000);
  });

  test("what was honoured is said, with the cap", () => {
    expect(preferenceApplied(parsePrefer("wait=600"))).toBe("wait=60");
    expect(preferenceApplied(parsePrefer("wait=2, respond-async"))).toBe("respond-async, wait=2");
    expect(preferenceApplied(parsePrefer("handling=lenient"))).toBeNull();
  });
});

describe("Idempotency-Key", () => {
  test.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ["8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ['"a b"', "a b"],
    ['"say \\"hi\\" \\\\ bye"', 'say "hi" \\ bye'],
    ['"a";foo=bar', "a"],
    ['"a, b"', "a, b"],
  ])("%s is %j", (header, key) => {
    expect(parseIdempotencyKey(header)).toBe(key);
  });

  test.each(["", '""', '"', '"a', 'a"', "a b", "a, b", '"a", "b"', '"a" "b"', '"\\n"', "a;b", "ключ", '"ä"'])(
    "%j is no key",
    (header) => {
      expect(parseIdempotencyKey(header)).toBeNull();
    },
  );

  test("has at most 255 characters, quotes and escapes not counted", () => {
    const longest = "k".repeat(MAX_IDEMPOTENCY_KEY_CHARS);
    expect(parseIdempotencyKey(longest)).toBe(longest);
    expect(parseIdempotencyKey(`"${longest}"`)).toBe(longest);
    expect(parseIdempotencyKey(`${longest}k`)).toBeNull();
    expect(parseIdempotencyKey(`"${longest}k"`)).toBeNull();
  });

  test("every visible text comes back from its quoted form", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 100, unit: "grapheme-ascii" }), (text) => {
        expect(parseIdempotencyKey(`"${text.replace(/["\\]/g, "\\$&")}"`)).toBe(text);
      }),
    );
  });
});

describe("entity tags", () => {
  test("If-None-Match finds the tag among several, weak or strong, and knows the star", () => {
    expect(parseIfNoneMatch('"r-1", W/"r-42"').matches(runTag(42))).toBe(true);
    expect(parseIfNoneMatch('"r-41"').matches(runTag(42))).toBe(false);
    expect(parseIfNoneMatch("*").matches(runTag(1))).toBe(true);
    expect(parseIfNoneMatch(null).matches(runTag(1))).toBe(false);
  });

  test("the event to wait from is known only where one tag of a run stands alone", () => {
    expect(parseIfNoneMatch(runTag(42)).seq).toBe(42);
    expect(parseIfNoneMatch('W/"r-42"').seq).toBe(42);
    expect(parseIfNoneMatch('"r-1", "r-2"').seq).toBeNull();
    expect(parseIfNoneMatch('"etag"').seq).toBeNull();
    expect(parseIfNoneMatch(null).seq).toBeNull();
  });

  test("If-Match takes a strong tag of the graph and nothing else", () => {
    expect(parseGraphTag(graphTag(7))).toBe(7);
    for (const other of ["7", '"7"', 'W/"g-7"', '"r-7"', '"g-7", "g-8"', ""])
      expect(parseGraphTag(other)).toBeNull();
  });
});

describe("Accept", () => {
  const offered = ["application/json", "text/event-stream"];
  test.each([
    [null, "application/json"],
    ["", "application/json"],
    ["*/*", "application/json"],
    ["application/json", "application/json"],
    ["text/event-stream", "text/event-stream"],
    ["text/*", "text/event-stream"],
    ["Text/Event-Stream", "text/event-stream"],
    ["text/event-stream, application/json;q=0.5", "text/event-stream"],
    ["text/event-stream;q=0.1, */*", "application/json"],
    ["text/html, application/json;q=0.2", "application/json"],
    ["text/html", null],
    ["application/json;q=0", null],
    ["text/event-stream;q=0, */*;q=0.1", "application/json"],
  ])("%j gets %j", (accept, type) => {
    expect(chooseType(accept, offered)).toBe(type);
  });
});

describe("a header that is made to be slow", () => {
  const BUILDS: readonly ((chars: number) => string)[] = [
    (chars) => `a${" ".repeat(chars)}b`,
    (chars) => `a=${" ".repeat(chars)}"`,
    (chars) => `a${"\t=".repeat(chars / 2)}`,
    (chars) => `"${'\\"'.repeat(chars / 2)}`,
    (chars) => `"g-1"${" ".repeat(chars)}x`,
    (chars) => `"a"${" ".repeat(chars)}x`,
    (chars) => '"'.repeat(chars),
    (chars) => ",".repeat(chars),
    (chars) => "a/b;q=1,".repeat(chars / 8),
  ];

  test("costs its length while it is read", () => {
    const before = performance.now();
    for (let round = 0; round < 100; round++)
      for (const build of BUILDS) {
        const header = build(4_000);
        parsePrefer(header);
        parseIfNoneMatch(header);
        parseIdempotencyKey(header);
        parseGraphTag(header);
        chooseType(header, ["application/json", "text/event-stream"]);
      }
    expect(performance.now() - before).toBeLessThan(1_500);
  });

  test("is not read at all where it is longer than any honest one", () => {
    const long = " ".repeat(5_000);
    expect(parsePrefer(`wait=5,${long}`).waitMs).toBeNull();
    expect(parseIfNoneMatch(`"r-1",${long}`).matches(runTag(1))).toBe(false);
    expect(parseIdempotencyKey(`"a"${long}`)).toBeNull();
    expect(parseGraphTag(`"g-1"${long}`)).toBeNull();
    expect(chooseType(`*/*${long}`, ["application/json"])).toBeNull();
  });
});
