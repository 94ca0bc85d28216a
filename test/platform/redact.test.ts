import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createRedactor, REDACTED, redactShapes } from "../../src/platform/index.ts";

const SECRET = 's3cr3t/+= töken"~!*';
const redactor = createRedactor([SECRET]);
const bytes = Buffer.from(SECRET);
const unicode = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
const unicodeInCapitals = (unit: string): string =>
  `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
const base64At0 = bytes.toString("base64");

test.each([
  ["itself", SECRET],
  ["URL-encoded", encodeURIComponent(SECRET)],
  [
    "URL-encoded with small digits",
    encodeURIComponent(SECRET).replace(/%../g, (digits) => digits.toLowerCase()),
  ],
  ["a form field", new URLSearchParams({ a: SECRET }).toString()],
  ["JSON in a text", JSON.stringify({ token: SECRET })],
  ["JSON that escapes slashes", JSON.stringify({ token: SECRET }).replaceAll("/", "\\/")],
  ["JSON that escapes all but ASCII", JSON.stringify({ token: SECRET }).replace(/[^ -~]/g, unicode)],
  ["JSON that escapes everything", `"${SECRET.replace(/[^]/g, unicode)}"`],
  ["JSON that escapes everything, in capitals", `"${SECRET.replace(/[^]/g, unicodeInCapitals)}"`],
  ["JSON for HTML", JSON.stringify({ token: SECRET }).replace(/[<>&+=']/g, unicode)],
  ["hex", bytes.toString("hex")],
  ["capital hex", bytes.toString("hex").toUpperCase()],
  ["base64", bytes.toString("base64")],
  ["base64url", bytes.toString("base64url")],
  ["basic credentials", Buffer.from(`user:${SECRET}`).toString("base64")],
  ["base64 behind two bytes", Buffer.from(`ab${SECRET}cd`).toString("base64")],
  ["a longer text", `before ${SECRET} after`],
])("a secret is found in %s", (_, text) => {
  const { value, found } = redactor.text(text);
  expect(found).toBe(1);
  expect(value).toContain(REDACTED);
});

test("in base64 at every alignment, only what the neighbours share is left", () => {
  const secret = "AKIDEXAMPLE/abcdefghijklmnop";
  const one = createRedactor([secret]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9 }), fc.uint8Array({ maxLength: 9 }), (before, after) => {
      const text = Buffer.concat([before, Buffer.from(secret), after]).toString("base64");
      const { value, found } = one.text(text);
      expect(found).toBe(1);
      // Four characters hold three bytes: at each end at most one byte and a part of another of the secret may stay.
      const rest = Buffer.concat(value.split(REDACTED).map((part) => Buffer.from(part, "base64")));
      expect(rest.length).toBeLessThanOrEqual(before.length + after.length + 3);
    }),
  );
});

test("a secret is found in every mixture of escapes that JSON allows", () => {
  const unit = fc.constantFrom(...Array.from('aZ/"\\\n\u0001é漢<+'), "\ud83d", "\ude00");
  fc.assert(
    fc.property(
      fc.array(unit, { minLength: 6, maxLength: 20 }),
      fc.infiniteStream(fc.nat(2)),
      (units, ways) => {
        const secret = units.join("");
        const written = units.map((one) => {
          const plain = JSON.stringify(one).slice(1, -1);
          const way = ways.next().value;
          if (way === 0) return plain;
          return way === 1 ? (one === "/" ? "\\/" : plain) : unicode(one);
        });
        // JSON.stringify of half a pair alone escapes it; within a pair it does not.
        expect(JSON.parse(`"${written.join("")}"`)).toBe(secret);
        expect(createRedactor([secret]).text(`{"a":"${written.join("")}"}`)).toEqual({
          value: `{"a":"${REDACTED}"}`,
          found: 1,
        });
      },
    ),
  );
});

test("a secret is found where a URL parser has made a host of it", () => {
  const one = createRedactor(["Qx7RandomTokenValue42Zz"]);
  const host = new URL("https://Qx7RandomTokenValue42Zz.skyline.example/").hostname;
  expect(one.text(`A redirect to ${host} was refused.`).value).toBe(
    `A redirect to ${REDACTED}.skyline.example was refused.`,
  );
});

test("a long text costs its length, also for secrets that nearly match everywhere", () => {
  const slashes = "/\\".repeat(500);
  const one = createRedactor([`${slashes}x`, `${"a".repeat(5_000)}b`, "\\".repeat(64)]);
  const before = performance.now();
  expect(one.text("/\\".repeat(20_000)).found).toBe(0);
  one.text("\\u0061".repeat(20_000));
  expect(performance.now() - before).toBeLessThan(2_000);
});

test("JSON is searched in texts, keys and numbers, and its shape is kept", () => {
  const numeric = createRedactor([SECRET, "4111111111111111"]);
  const { value, found } = numeric.json({
    list: [1, true, null, `Bearer ${SECRET}`],
    [`key ${SECRET}`]: { card: 4111111111111111 },
    plain: "nothing",
  });
  expect(found).toBe(3);
  expect(value).toEqual({
    list: [1, true, null, `Bearer ${REDACTED}`],
    [`key ${REDACTED}`]: { card: REDACTED },
    plain: "nothing",
  });
});

test("a value without a secret comes back itself", () => {
  const clean = { a: ["b", { c: 1 }] };
  expect(redactor.json(clean)).toEqual({ value: clean, found: 0 });
  expect(redactor.json(clean).value).toBe(clean);
  expect(createRedactor([]).json(clean).value).toBe(clean);
});

test("of two secrets, one within the other, nothing is left", () => {
  const both = createRedactor(["abcdef", "abcdefghij"]);
  expect(both.text("x abcdefghij x abcdef x").value).toBe(`x ${REDACTED} x ${REDACTED} x`);
});

test("values too short to be secrets are not looked for", () => {
  expect(createRedactor(["", "a", "abcde"]).text("a abcde").found).toBe(0);
});

test("no secret is read as a pattern", () => {
  const odd = createRedactor([".*.*.*", "(a+)+$", "[^a]{9}", "\\d\\d\\d"]);
  expect(odd.text("anything 123456 aaaaaaaaaaaa").found).toBe(0);
  expect(odd.text("x .*.*.* y (a+)+$ z \\d\\d\\d").value).toBe(`x ${REDACTED} y ${REDACTED} z ${REDACTED}`);
});

test("JSON nested without end is cut, not followed", () => {
  const deep: unknown = JSON.parse(`${"[".repeat(100_000)}"x"${"]".repeat(100_000)}`);
  expect(redactor.json(deep).found).toBe(1);
});

test("a key named __proto__ stays a key", () => {
  const value = redactor.json(JSON.parse(`{"__proto__":{"a":${JSON.stringify(SECRET)}}}`)).value as object;
  expect(JSON.stringify(value)).toBe(`{"__proto__":{"a":"${REDACTED}"}}`);
});

test("the beginning of a secret that a cut has left is found", () => {
  const cut = (text: string): string => redactor.text(`${text}…`).value;
  expect(cut(`bad token ${SECRET.slice(0, -1)}`)).toBe(`bad token ${REDACTED}…`);
  expect(cut(`bad token ${SECRET.slice(0, 6)}`)).toBe(`bad token ${REDACTED}…`);
  expect(cut(`bad token ${base64At0.slice(0, 9)}`)).toBe(`bad token ${REDACTED}…`);
  expect(redactor.json({ said: [`${SECRET.slice(0, 9)}…`] }).value).toEqual({ said: [`${REDACTED}…`] });
});

test("a text that was cut elsewhere, or not at all, stays as it is", () => {
  for (const text of [
    "bad token…",
    "…",
    `bad token ${SECRET.slice(0, 3)}…`,
    `not cut: ${SECRET.slice(0, 9)}`,
  ])
    expect(redactor.text(text)).toEqual({ value: text, found: 0 });
});

test("shapes of secrets are looked for in one pass, whatever the text nearly is", () => {
  const before = performance.now();
  for (const unit of ["-eyJaaaaaaaa", "Bearer \n\n", "://aaaaaaaa", "-----BEGIN ", "?key="])
    redactShapes(unit.repeat(200_000 / unit.length));
  expect(performance.now() - before).toBeLessThan(1_000);
  expect(redactShapes("said eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x here")).toBe(`said ${REDACTED} here`);
});
