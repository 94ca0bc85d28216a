import { describe, expect, test } from "vitest";
import {
  isScopeGrant,
  type KeyIdentity,
  may,
  requireScope,
  type Scope,
  type ScopeGrant,
  SCOPES,
} from "../../src/access/index.ts";

const ALL = Object.keys(SCOPES) as Scope[];

function key(scopes: readonly ScopeGrant[], user: string | null = null): KeyIdentity {
  return {
    kind: "key",
    tenant: "default",
    keyId: "key_1",
    user,
    scopes: new Set(scopes),
    policies: [],
    expiresAt: null,
  };
}

function held(identity: KeyIdentity): Scope[] {
  return ALL.filter((scope) => may(identity, scope));
}

test("each scope is area and deed", () => {
  for (const scope of ALL) expect(scope).toMatch(/^[a-z_]+:[a-z_]+$/);
});

test.each(["runs:read", "runs:*", "cloud_roles:*", "*"])("%s can be granted", (text) => {
  expect(isScopeGrant(text)).toBe(true);
});

test.each([
  "",
  "runs",
  "runs:",
  ":read",
  "*:*",
  "*:read",
  "runs:fly",
  "Runs:read",
  "runs:read ",
  "runs:**",
  "nothing:*",
  "constructor",
])("%j is no scope", (text) => {
  expect(isScopeGrant(text)).toBe(false);
});

describe("what grants admit", () => {
  test("a scope admits itself alone", () => {
    for (const scope of ALL) expect(held(key([scope]))).toEqual([scope]);
  });

  test("an area admits its scopes alone", () => {
    expect(held(key(["runs:*"]))).toEqual(["runs:read", "runs:write", "runs:act_as", "runs:admin"]);
  });

  test("the star admits all, nothing admits nothing", () => {
    expect(held(key(["*"]))).toEqual(ALL);
    expect(held(key([]))).toEqual([]);
  });
});

test("a key bound to a user never has what agents must not have, whatever it was granted", () => {
  expect(held(key(["*"], "ada"))).toEqual([
    "runs:read",
    "runs:write",
    "runs:admin",
    "outputs:read",
    "outputs:reveal",
    "workflows:read",
    "connections:read",
    "connections:connect",
    "connections:write",
  ]);
});

test("root has no scope", () => {
  expect(ALL.filter((scope) => may({ kind: "root" }, scope))).toEqual([]);
  expect(requireScope({ kind: "root" }, "runs:read")).toMatchObject({
    ok: false,
    error: { code: "forbidden", status: 403 },
  });
});

test("a missing scope is refused by its name", () => {
  const result = requireScope(key(["runs:read"]), "runs:write");
  expect(result).toMatchObject({ ok: false, error: { code: "forbidden" } });
  expect(JSON.stringify(result)).toContain("runs:write");
  expect(requireScope(key(["runs:write"]), "runs:write").ok).toBe(true);
});
