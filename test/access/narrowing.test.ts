import { describe, expect, test } from "vitest";
import {
  type Identity,
  type KeyIdentity,
  type KeyRequest,
  MAX_USER_KEY_LIFE_MS,
} from "../../src/access/index.ts";
import { draftKey } from "../../src/access/narrowing.ts";

const NOW = 1_800_000_000_000;
const HOUR = MAX_USER_KEY_LIFE_MS;
const ROOT: Identity = { kind: "root" };

function maker(more: Partial<KeyIdentity> = {}): KeyIdentity {
  return {
    kind: "key",
    tenant: "acme",
    keyId: "key_1",
    user: null,
    scopes: new Set(["*"]),
    policies: [],
    expiresAt: null,
    ...more,
  };
}

const backend = maker({ scopes: new Set(["keys:write", "runs:*", "outputs:read"]) });
const noActAs = maker({ scopes: new Set(["keys:write", "runs:read", "runs:write"]) });
const passing = maker({ expiresAt: NOW + 10 * HOUR });
const bound = maker({ user: "ada", scopes: new Set(["*"]), expiresAt: NOW + HOUR });
const policed = maker({ policies: [{ hosts: [{ host: "a.example" }] }] });

function draft(identity: Identity, request: Partial<KeyRequest>) {
  return draftKey(identity, { name: "k", scopes: ["runs:read"], ...request }, NOW);
}

describe("a key is no wider than its maker", () => {
  test.each<[string, Identity, Partial<KeyRequest>, string, string | undefined]>([
    // Scopes
    [
      "a scope that the maker has not",
      backend,
      { scopes: ["runs:read", "hooks:read"] },
      "scope_wider",
      "/scopes",
    ],
    ["an area of which the maker has a part", noActAs, { scopes: ["runs:*"] }, "scope_wider", "/scopes"],
    ["the star", backend, { scopes: ["*"] }, "scope_wider", "/scopes"],
    ["no scope", backend, { scopes: [] }, "invalid", "/scopes"],
    ["scopes left out", backend, { scopes: undefined }, "invalid", "/scopes"],
    ["an unknown scope", backend, { scopes: ["runs:read", "runs:fly"] }, "invalid", "/scopes/1"],
    [
      "too many scopes",
      backend,
      { scopes: Array.from({ length: 65 }, () => "runs:read") },
      "invalid",
      "/scopes",
    ],
    ["a maker without keys:write", maker({ scopes: new Set(["runs:*"]) }), {}, "forbidden", undefined],
    // User
    ["a maker bound to a user", bound, {}, "forbidden", undefined],
    [
      "a user, by a maker that may not act for others",
      noActAs,
      { user: "ada", expiresAt: NOW + HOUR },
      "user_wider",
      "/user",
    ],
    ["an empty user", backend, { user: "", expiresAt: NOW + HOUR }, "invalid", "/user"],
    ["a user with a line break", backend, { user: "a\nb", expiresAt: NOW + HOUR }, "invalid", "/user"],
    [
      "a user that is too long",
      backend,
      { user: "a".repeat(257), expiresAt: NOW + HOUR },
      "invalid",
      "/user",
    ],
    // Users and scopes
    [
      "act_as for a user",
      backend,
      { user: "ada", scopes: ["runs:act_as"], expiresAt: NOW + HOUR },
      "scope_not_for_users",
      "/scopes",
    ],
    [
      "an area with act_as for a user",
      backend,
      { user: "ada", scopes: ["runs:*"], expiresAt: NOW + HOUR },
      "scope_not_for_users",
      "/scopes",
    ],
    [
      "keys:write for a user",
      backend,
      { user: "ada", scopes: ["keys:write"], expiresAt: NOW + HOUR },
      "scope_not_for_users",
      "/scopes",
    ],
    [
      "the star for a user",
      maker(),
      { user: "ada", scopes: ["*"], expiresAt: NOW + HOUR },
      "scope_not_for_users",
      "/scopes",
    ],
    [
      "approvals for a user",
      maker(),
      { user: "ada", scopes: ["approvals:decide"], expiresAt: NOW + HOUR },
      "scope_not_for_users",
      "/scopes",
    ],
    [
      "confirm for a user",
      maker(),
      { user: "ada", scopes: ["connections:confirm"], expiresAt: NOW + HOUR },
      "scope_not_for_users",
      "/scopes",
    ],
    // Expiry
    ["an expiry in the past", backend, { expiresAt: NOW }, "invalid", "/expires_at"],
    [
      "an expiry that is no number of milliseconds",
      backend,
      { expiresAt: NOW + 0.5 },
      "invalid",
      "/expires_at",
    ],
    ["an expiry of NaN", backend, { expiresAt: Number.NaN }, "invalid", "/expires_at"],
    [
      "a key that outlives its maker",
      passing,
      { expiresAt: NOW + 10 * HOUR + 1 },
      "expiry_wider",
      "/expires_at",
    ],
    ["a key without end of a maker with one", passing, { expiresAt: null }, "expiry_wider", "/expires_at"],
    ["a user's key without expiry", backend, { user: "ada" }, "invalid", "/expires_at"],
    [
      "a user's key for over an hour",
      backend,
      { user: "ada", expiresAt: NOW + HOUR + 1 },
      "invalid",
      "/expires_at",
    ],
    ["a user's key that inherits over an hour", passing, { user: "ada" }, "invalid", "/expires_at"],
    // Policy
    [
      "a policy that is too large",
      backend,
      { policy: { workflows: Array.from({ length: 100 }, (_, i) => `w${i}`.padEnd(64, "x")) } },
      "invalid",
      "/policy",
    ],
    ["a policy that no build could honour", backend, { policy: { host: "a.example" } }, "invalid", "/policy"],
    ["a fifth policy", maker({ policies: [{}, {}, {}, {}] }), { policy: {} }, "invalid", "/policy"],
    // Tenant and name
    ["another tenant", backend, { tenant: "other" }, "tenant_unknown", "/tenant"],
    ["no name", backend, { name: "" }, "invalid", "/name"],
    ["a name that is too long", backend, { name: "n".repeat(101) }, "invalid", "/name"],
    ["a name with NUL", backend, { name: "a\0" }, "invalid", "/name"],
    ["a name with half a surrogate pair", backend, { name: "\ud800" }, "invalid", "/name"],
  ])("%s is refused", (_, identity, request, code, pointer) => {
    const result = draft(identity, request);
    expect(result).toMatchObject({ ok: false, error: { code } });
    expect(result.ok ? null : result.error.pointer).toBe(pointer);
  });

  test("what is left out is the maker's", () => {
    expect(draft(passing, {})).toEqual({
      ok: true,
      value: {
        tenant: "acme",
        name: "k",
        scopes: ["runs:read"],
        user: null,
        policies: [],
        expiresAt: NOW + 10 * HOUR,
      },
    });
  });

  test("a narrower key is granted as asked, each scope once and in order", () => {
    const request = {
      scopes: ["runs:write", "runs:read", "runs:write"],
      user: "ada",
      expiresAt: NOW + HOUR,
      tenant: "acme",
    };
    expect(draft(backend, request)).toEqual({
      ok: true,
      value: {
        tenant: "acme",
        name: "k",
        scopes: ["runs:read", "runs:write"],
        user: "ada",
        policies: [],
        expiresAt: NOW + HOUR,
      },
    });
  });

  test("a maker may hand on all that it has", () => {
    expect(draft(maker(), { scopes: ["*"], expiresAt: null }).ok).toBe(true);
    expect(draft(backend, { scopes: ["runs:*", "keys:write"] }).ok).toBe(true);
    expect(draft(passing, { expiresAt: NOW + 10 * HOUR }).ok).toBe(true);
  });

  test("policies add up, so a key stands under its maker's as well as under its own", () => {
    const result = draft(policed, { policy: { hosts: [{ host: "b.example" }] } });
    expect(result.ok && result.value.policies).toEqual([
      { hosts: [{ host: "a.example" }] },
      { hosts: [{ host: "b.example" }] },
    ]);
    expect(draft(policed, { policy: null })).toMatchObject({
      value: { policies: [{ hosts: [{ host: "a.example" }] }] },
    });
  });
});

describe("root", () => {
  test("makes an admin key of a tenant", () => {
    for (const scopes of [["*"], undefined]) {
      expect(draft(ROOT, { tenant: "acme", scopes })).toEqual({
        ok: true,
        value: { tenant: "acme", name: "k", scopes: ["*"], user: null, policies: [], expiresAt: null },
      });
    }
  });

  test.each<[string, Partial<KeyRequest>, string]>([
    ["other scopes", { scopes: ["runs:read"] }, "admin_keys_only"],
    ["more scopes", { scopes: ["*", "runs:read"] }, "admin_keys_only"],
    ["a user", { scopes: ["*"], user: "ada" }, "admin_keys_only"],
    ["a policy", { scopes: ["*"], policy: {} }, "admin_keys_only"],
    ["no tenant", { scopes: ["*"], tenant: undefined }, "invalid"],
    ["a tenant that breaks the grammar", { scopes: ["*"], tenant: "Acme" }, "invalid"],
    ["a past expiry", { scopes: ["*"], expiresAt: NOW - 1 }, "invalid"],
  ])("makes no key with %s", (_, request, code) => {
    expect(draft(ROOT, { tenant: "acme", ...request })).toMatchObject({ ok: false, error: { code } });
  });
});
