/** Bodies in which more does not fit than anybody could be told. */

import { expect, test } from "vitest";
import { CreateKey, RedriveRun, StartRun } from "../../src/api/request-schemas.ts";
import { check } from "../../src/api/validate.ts";

test.each([
  ["tags", StartRun, { open: true, tags: Array.from({ length: 300_000 }, () => 0) }],
  ["scopes", CreateKey, { name: "k", scopes: Array.from({ length: 300_000 }, () => 0) }],
  [
    "resolutions",
    RedriveRun,
    { resolve: Object.fromEntries(Array.from({ length: 95_000 }, (_, i) => [`K${i}`, 0])) },
  ],
] as const)("as many %s as there is room for are refused, and break nothing", (_, body, value) => {
  const checked = check<unknown>(body.schema(), value, "body");
  expect(checked).toMatchObject({ ok: false, error: { problem: "invalid_request" } });
});

test("of fields that nobody knows a hundred are told, and how many there are", () => {
  const value = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`f${i}`, 1]));
  const checked = check<unknown>(StartRun.schema(), value, "body");
  if (checked.ok) throw new Error("it was taken");
  expect(checked.error.errors).toHaveLength(100);
  expect(checked.error.detail).toContain("4999 more.");
});
