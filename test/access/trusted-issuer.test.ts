import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KeyIdentity } from "../../src/access/index.ts";
import {
  draftTrust,
  fits,
  ruleFor,
  type TrustRequest,
  type TrustRule,
} from "../../src/access/trusted-issuer.ts";
import { checkUrl } from "../../src/platform/index.ts";

const maker: KeyIdentity = {
  ...{ kind: "key", tenant: "acme", keyId: "key_1", user: null, scopes: new Set(["*"]) },
  ...{ policies: [], expiresAt: null },
};
const RULE = { subject: "repo:acme/shop:environment:production", scopes: ["runs:read"] } as const;

function draft(
  rule: Partial<TrustRequest["rules"][number]>,
  by: Partial<KeyIdentity> = {},
  more: Partial<TrustRequest> = {},
) {
  const request = { issuer: "https://issuer.example", rules: [{ ...RULE, ...rule }], ...more };
  return draftTrust({ ...maker, ...by }, request, (url) => checkUrl(url, { ownHosts: [] }).ok);
}

function rule(more: Partial<TrustRule>): TrustRule {
  return { ...RULE, claims: {}, user: null, policy: null, ...more };
}

describe("a pattern", () => {
  /** The pattern as a regular expression, which may take for ever where ours does not. */
  function naive(pattern: string): RegExp {
    const [first = "", ...rest] = pattern
      .split("*")
      .map((text) => text.replace(/[.+?^${}()|[\]\\/-]/g, "\\$&"));
    return pattern === "*" ? /^[\s\S]+$/ : new RegExp(`^${[first, ...rest].join("[^:]+")}$`);
  }

  test("fits what a regular expression of it fits, and nothing else", () => {
    const letters = fc.constantFrom("a", "b", ":", "/");
    const subject = fc.string({ unit: letters, maxLength: 12 });
    const pattern = fc.string({ unit: fc.oneof(letters, fc.constant("*")), maxLength: 8 });
    let fitting = 0;
    fc.assert(
      fc.property(pattern, subject, (one, other) => {
        const expected = naive(one).test(other);
        fitting += Number(expected && one.includes("*"));
        expect(fits(one, other)).toBe(expected);
      }),
      { numRuns: 20_000 },
    );
    // It has really come to that.
    expect(fitting).toBeGreaterThan(100);
  });

  test("fits what it was made from, by putting stars in the place of pieces without a colon", () => {
    const piece = fc.string({ unit: fc.constantFrom("a", "b", "/", "é"), minLength: 1, maxLength: 4 });
    const parts = fc.array(fc.tuple(piece, fc.boolean(), fc.constantFrom(":", "-")), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(parts, (made) => {
        const subject = made.map(([text, , end]) => text + end).join("");
        const pattern = made.map(([text, star, end]) => (star ? "*" : text) + end).join("");
        expect(fits(pattern, subject)).toBe(true);
      }),
    );
  });

  test("costs no more for one that was made to take for ever", () => {
    const started = performance.now();
    expect(fits(`a:b:${"*a".repeat(250)}b`, `a:b:${"a".repeat(508)}`)).toBe(false);
    expect(fits(`a:b:${"*".repeat(250)}!`, `a:b:${"a".repeat(508)}`)).toBe(false);
    // The regular expression of these does not end in years. Ours takes tens of milliseconds.
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test.each([
    ["repo:acme/shop:environment:production", "repo:acme/shop:environment:production-evil"],
    ["repo:acme/shop:environment:production", "repo:acme/shop:environment:productio"],
    ["repo:acme/shop:environment:production", "Repo:acme/shop:environment:production"],
    ["repo:acme/shop:environment:production", " repo:acme/shop:environment:production"],
    ["repo:acme/shop:environment:production", "repo:acme/shop:environment:production\n"],
    ["repo:acme/*:environment:production", "repo:acme/x:ref:y:environment:production"],
    ["repo:acme/*:environment:production", "repo:acme/:environment:production"],
    ["repo:acme/*:environment:production", "repo:acme/x:environment:production-evil"],
    ["repo:acme/*", "repo:acme-evil/x"],
    ["repo:acme/*", "repo:acme/x:ref:main"],
    // A dot, a bracket, a backslash are themselves.
    ["repo:a.me/shop", "repo:acme/shop"],
    ["repo:acme/[a-z]", "repo:acme/a"],
    ["*", ""],
  ])("%s does not fit %j", (pattern, subject) => {
    expect(fits(pattern, subject)).toBe(false);
  });
});

describe("a rule (W1)", () => {
  test.each(
    [
      "*",
      "**",
      ":",
      "*:*",
      "repo:*",
      "repo:acme*",
      "repo:*/shop:environment:production",
      "*:acme/shop",
      "::*",
      "repo:/*",
    ].filter((one) => one.includes("*")),
  )("for %s lets in whoever comes, so it needs a claim", (subject) => {
    expect(draft({ subject })).toMatchObject({ ok: false, error: { pointer: "/rules/0/subject" } });
    expect(draft({ subject, claims: { repository_id: "42" } }).ok).toBe(true);
  });

  test.each([
    "repo:acme/*",
    "repo:acme/shop:ref:refs/heads/*",
    "tenant:acme:code:*",
    "spiffe://acme.example/ns/*",
    "any text",
  ])("for %s says whose the subject is", (subject) => {
    expect(draft({ subject }).ok).toBe(true);
  });

  test.each(["iss", "aud"])("is not narrowed down by %s, which all tokens have alike", (claim) => {
    expect(draft({ subject: "*", claims: { [claim]: "x" } })).toMatchObject({
      error: { pointer: "/rules/0/claims" },
    });
  });

  test.each(["", "a b", "a\n", "é", "x".repeat(129)])("has no claim of the name %j", (claim) => {
    expect(draft({ claims: { [claim]: "x" } })).toMatchObject({ error: { pointer: "/rules/0/claims" } });
  });
});

test.each([["approvals:decide"], ["approvals:*"], ["*"]] as const)(
  "who may decide (%s) is named whole, also where a claim narrows it down (W2)",
  (scope) => {
    const wide = { subject: "repo:acme/*", claims: { actor: "ada" }, scopes: [scope] };
    expect(draft(wide)).toMatchObject({ error: { pointer: "/rules/0/subject" } });
    expect(draft({ scopes: [scope] }).ok).toBe(true);
  },
);

describe("whoever trusts an issuer gives no more than they have (W3)", () => {
  const some: KeyIdentity["scopes"] = new Set(["issuers:write", "runs:read", "connections:read"]);

  test.each([
    [["runs:write"], "runs:write"],
    [["runs:read", "runs:*"], "runs:*"],
    [["*"], "\\*"],
  ])("not the scopes %j", (scopes, named) => {
    const made = draft({ scopes }, { scopes: some });
    expect(made).toMatchObject({ error: { pointer: "/rules/0/scopes", wider: true } });
    expect(made).toMatchObject({ error: { detail: expect.stringMatching(named) } });
  });

  test("nobody else's place without runs:act_as", () => {
    for (const user of ["ada", { claim: "sub" }])
      expect(draft({ user }, { scopes: some })).toMatchObject({
        error: { pointer: "/rules/0/user", wider: true },
      });
    expect(draft({ user: "ada" }, { scopes: new Set(["runs:read", "runs:act_as"]) }).ok).toBe(true);
  });

  test("no scope to who acts for a user that such keys never have", () => {
    for (const scopes of [["*"], ["keys:write"], ["approvals:decide"], ["runs:*"]])
      expect(draft({ user: "ada", scopes })).toMatchObject({ error: { pointer: "/rules/0/scopes" } });
  });

  test("their policies hold as well, and no more of them than a key can stand under", () => {
    const policies = [{ hosts: [{ host: "a.example" }] }];
    expect(draft({}, { policies })).toMatchObject({ ok: true, value: { policies } });
    const four = Array.from({ length: 4 }, () => policies[0] ?? {});
    expect(draft({ policy: {} }, { policies: four })).toMatchObject({
      error: { pointer: "/rules/0/policy" },
    });
    expect(draft({}, { policies: four }).ok).toBe(true);
  });
});

test.each<[string, Parameters<typeof draft>[0], Partial<TrustRequest>]>([
  ["/rules", {}, { rules: [] }],
  ["/rules", {}, { rules: Array.from({ length: 33 }, () => RULE) }],
  ["/max_age_s", {}, { maxAgeS: 0 }],
  ["/max_age_s", {}, { maxAgeS: 86_401 }],
  ["/max_age_s", {}, { maxAgeS: 1.5 }],
  ["/jwks_url", {}, { jwksUrl: "http://issuer.example/keys" }],
  ["/issuer", {}, { issuer: "https://issuer.example#a" }],
  ["/rules/0/subject", { subject: "" }, {}],
  ["/rules/0/subject", { subject: "x".repeat(513) }, {}],
  ["/rules/0/scopes", { scopes: [] }, {}],
  ["/rules/0/scopes/1", { scopes: ["runs:read", "runs:fly"] }, {}],
  ["/rules/0/user", { user: "a\nb" }, {}],
  ["/rules/0/user", { user: { claim: "a b" } }, {}],
  ["/rules/0/policy", { policy: { hosst: [] } }, {}],
])("a request is told that it is wrong at %s", (pointer, one, more) => {
  expect(draft(one, {}, more)).toMatchObject({ ok: false, error: { pointer } });
});

describe("of the rules", () => {
  test("the first that fits counts", () => {
    const rules = [rule({ subject: "a:b:*" }), rule({ subject: "a:b:c" })];
    expect(ruleFor(rules, { sub: "a:b:c" })).toMatchObject({ index: 0 });
    expect(ruleFor(rules.toReversed(), { sub: "a:b:c" })).toMatchObject({ index: 0 });
    expect(ruleFor(rules, { sub: "a:b" })).toBeNull();
  });

  test.each<[string, unknown]>([
    ["an array", ["42"]],
    ["an object", { 42: "42" }],
    ["a number", 42],
    ["null", null],
    ["a text with more", "42 "],
    ["a text in other letters", "٤٢"],
  ])("one with a claim is not for a token where that is %s", (_, id) => {
    expect(ruleFor([rule({ claims: { id: "42" } })], { sub: RULE.subject, id })).toBeNull();
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "one whose claim is called %s is only for tokens that have it themselves",
    (name) => {
      const claims = JSON.parse(`{"${name}": "x"}`) as Record<string, string>;
      expect(ruleFor([rule({ claims })], { sub: RULE.subject })).toBeNull();
      expect(ruleFor([rule({ user: { claim: name } })], { sub: RULE.subject })).toBeNull();
      const payload = JSON.parse(`{"sub": "${RULE.subject}", "${name}": "x"}`) as Record<string, unknown>;
      expect(ruleFor([rule({ claims })], payload)).not.toBeNull();
    },
  );

  test.each<[string, unknown]>([
    ["missing", undefined],
    ["an array", [RULE.subject]],
    ["an object", { toString: () => RULE.subject }],
    ["too long", `a:b:${"x".repeat(512)}`],
    ["half a character", "a:b:\ud800"],
    ["empty", ""],
  ])("none is for a subject that is %s", (_, sub) => {
    const anybody = [rule({}), rule({ subject: "a:b:*" }), rule({ subject: "*", claims: { id: "42" } })];
    expect(ruleFor(anybody, { sub, id: "42" })).toBeNull();
  });
});
