import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  base32,
  crc32,
  importHmacKey,
  isName,
  isRunId,
  isTenantId,
  OBJECT_KINDS,
  type ObjectKind,
  objectName,
  randomId,
  runIdOf,
  type RunSource,
} from "../../src/platform/index.ts";

const key = await importHmacKey(new Uint8Array(32).fill(7));
const source: RunSource = { tenant: "default", kind: "api", id: "ada", idempotencyKey: "order-1" };

describe("run ids", () => {
  test("the id of a source never changes (PERSISTED CONTRACT)", async () => {
    expect(await runIdOf(key, source)).toBe("run_xwrg26v3hnwt8baa6stn6r0cj0");
  });

  test("any other tenant, kind, source, key or server key gives another id", async () => {
    const others = await Promise.all([
      runIdOf(key, source),
      runIdOf(key, { ...source, tenant: "other" }),
      runIdOf(key, { ...source, kind: "hook" }),
      runIdOf(key, { ...source, id: "grace" }),
      runIdOf(key, { ...source, idempotencyKey: "order-2" }),
      runIdOf(await importHmacKey(new Uint8Array(32).fill(8)), source),
      // The parts cannot run into each other.
      runIdOf(key, { ...source, id: "ada,order", idempotencyKey: "-1" }),
      runIdOf(key, { ...source, id: 'ada","order', idempotencyKey: "-1" }),
      runIdOf(key, { ...source, id: "", idempotencyKey: "adaorder-1" }),
    ]);
    expect(new Set(others).size).toBe(others.length);
  });

  test("derived and random ids have one form, and are names", async () => {
    for (const id of [await runIdOf(key, source), randomId("run"), randomId("run")]) {
      expect(id).toHaveLength(30);
      expect([isRunId(id), isName(id)]).toEqual([true, true]);
    }
    expect(randomId("run")).not.toBe(randomId("run"));
  });

  test.each([
    "run_",
    "run_0000000000000000000000000",
    "run_000000000000000000000000000",
    "run_0000000000000000000000000i",
    "run_00000000000000000000000001",
    "RUN_00000000000000000000000000",
    "req_00000000000000000000000000",
    " run_00000000000000000000000000",
    "run_00000000000000000000000000\n",
    "../run_00000000000000000000000000",
  ])("%j is no run id", (text) => {
    expect(isRunId(text)).toBe(false);
  });

  test("a short server key is refused", async () => {
    await expect(importHmacKey(new Uint8Array(31))).rejects.toThrow(TypeError);
  });
});

describe("names", () => {
  test.each(["a", "0", "book-trip", "a_b", "a".repeat(64), "constructor"])("%j is a name", (text) => {
    expect(isName(text)).toBe(true);
  });

  test.each([
    "",
    "-a",
    "_a",
    "A",
    "a.b",
    "a:b",
    "a/b",
    "a b",
    "ä",
    "a\n",
    "a\0",
    "a".repeat(65),
    "__proto__",
    "..",
  ])("%j is no name", (text) => {
    expect(isName(text)).toBe(false);
  });

  test("a tenant id leaves room for the longest subject that Google takes", () => {
    expect([isTenantId("a".repeat(48)), isTenantId("a".repeat(49))]).toEqual([true, false]);
    expect(`tenant:${"a".repeat(48)}:code:${"b".repeat(64)}`.length).toBeLessThanOrEqual(127);
  });
});

describe("object names", () => {
  test("a name has kind, tenant and id", () => {
    expect(objectName("run", "default", "run_1")).toBe("run:default:run_1");
  });

  test("no two objects share a name", () => {
    const part = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,5}$/);
    const parts = fc.tuple(fc.constantFrom(...OBJECT_KINDS), part, part);
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(objectName(...a) === objectName(...b)).toBe(a.join("|") === b.join("|"));
      }),
    );
  });

  test.each([
    ["run", "a:b", "c"],
    ["run", "a", "b:c"],
    ["run", "", "a"],
    ["run", "a", ""],
    ["run", "A", "b"],
    ["run", "a".repeat(49), "b"],
    ["run", "a", "b".repeat(65)],
    ["toString", "a", "b"],
    ["", "a", "b"],
  ])("objectName(%j, %j, %j) throws", (kind, tenant, id) => {
    expect(() => objectName(kind as ObjectKind, tenant, id)).toThrow(TypeError);
  });
});

test.each([
  ["", ""],
  ["f", "cr"],
  ["foobar", "csqpyrk1e8"],
])("base32 of %j is what Crockford's alphabet gives", (text, expected) => {
  expect(base32(new TextEncoder().encode(text))).toBe(expected);
});

test("crc32 gives the check value of the standard", () => {
  expect(crc32("123456789").toString(16)).toBe("cbf43926");
});
