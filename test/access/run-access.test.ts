import { describe, expect, test } from "vitest";
import { canSeeRun, canSteerRun, type KeyIdentity, userOfNewRun } from "../../src/access/index.ts";

function key(more: Partial<KeyIdentity> = {}): KeyIdentity {
  const scopes = new Set(["runs:read", "runs:write"] as const);
  return {
    kind: "key",
    tenant: "acme",
    keyId: "key_1",
    user: null,
    scopes,
    policies: [],
    expiresAt: null,
    ...more,
  };
}

const agent = key({ user: "ada" });
const actor = key({ scopes: new Set(["runs:act_as"]) });

describe("the user of a new run", () => {
  test.each([
    ["none is named by a key that is not bound", key(), undefined, null],
    ["none is named by a bound key", agent, undefined, "ada"],
    ["a bound key names its own", agent, "ada", "ada"],
    ["a key that may act for others names one", actor, "grace", "grace"],
  ])("%s", (_, identity, named, user) => {
    expect(userOfNewRun(identity, named)).toEqual({ ok: true, value: user });
  });

  test.each([
    ["a bound key names another", agent, "grace", "user_wider"],
    [
      "a bound key with act_as names another",
      key({ user: "ada", scopes: new Set(["*"]) }),
      "grace",
      "user_wider",
    ],
    ["a key without act_as names one", key(), "ada", "user_wider"],
    ["the name is no name", actor, "a\0b", "invalid"],
    ["the name is empty", actor, "", "invalid"],
  ])("is refused if %s", (_, identity, named, code) => {
    expect(userOfNewRun(identity, named)).toMatchObject({ ok: false, error: { code } });
  });
});

const run = { tenant: "acme", user: "ada", startedBy: "key_1" };

test.each([
  ["its own tenant's run", key(), run, true],
  ["another tenant's run", key(), { ...run, tenant: "other" }, false],
  ["its user's run, if bound", agent, run, true],
  ["another user's run, if bound", agent, { ...run, user: "grace" }, false],
  ["a run of no user, if bound", agent, { ...run, user: null }, false],
  [
    "another user's run, if bound, with all scopes",
    key({ user: "ada", scopes: new Set(["*"]) }),
    { ...run, user: "grace" },
    false,
  ],
])("a key sees %s: %#", (_, identity, owner, sees) => {
  expect(canSeeRun(identity, owner)).toBe(sees);
});

test.each([
  ["the key that started it", key(), run, true],
  ["another key of the tenant", key({ keyId: "key_2" }), run, false],
  ["another key with runs:admin", key({ keyId: "key_2", scopes: new Set(["runs:admin"]) }), run, true],
  [
    "a key with runs:admin, a run of another tenant",
    key({ scopes: new Set(["*"]) }),
    { ...run, tenant: "other" },
    false,
  ],
  [
    "a bound key with runs:admin, a run of another user",
    key({ user: "grace", scopes: new Set(["runs:admin"]) }),
    run,
    false,
  ],
  ["any key, a run that no key started", key(), { ...run, startedBy: null }, false],
])("who steers a run: %s", (_, identity, owner, steers) => {
  expect(canSteerRun(identity, owner)).toBe(steers);
});
