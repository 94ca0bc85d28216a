import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Subject } from "../../src/identity/role.ts";
import {
  claimFlaw,
  issuerUrl,
  MAX_CLAIMS,
  subjectText,
  TTL_S,
  type WorkloadRequest,
  workloadClaims,
} from "../../src/identity/token.ts";

const REQUEST: WorkloadRequest = {
  issuer: issuerUrl("https://id.example.com", "acme"),
  tenant: "acme",
  subject: { kind: "code", name: "process-order" },
  audience: "sts.amazonaws.com",
  ttlS: 300,
  nowMs: Date.UTC(2027, 0, 1) + 999,
  jti: "j1",
  workflowVersion: "3",
  environment: "production",
  claims: {},
};
const IAT = Date.UTC(2027, 0, 1) / 1_000;

function claimsOf(change: Partial<WorkloadRequest> = {}) {
  const made = workloadClaims({ ...REQUEST, ...change });
  if (!made.ok) throw new Error(made.error.code);
  return made.value;
}

function codeOf(change: Partial<WorkloadRequest>): string {
  const made = workloadClaims({ ...REQUEST, ...change });
  return made.ok ? "ok" : made.error.code;
}

const tenantId = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,47}$/);
const name = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,63}$/);
const subject: fc.Arbitrary<Subject> = fc.oneof(
  fc.record({ kind: fc.constantFrom("code" as const, "plan" as const), name }),
  fc.constant({ kind: "inline" as const, name: null }),
);

describe("the subject", () => {
  it("has a form that never changes", () => {
    expect(subjectText("acme", { kind: "code", name: "process-order" })).toEqual({
      ok: true,
      value: "tenant:acme:code:process-order",
    });
    expect(subjectText("acme", { kind: "plan", name: "x" })).toMatchObject({ value: "tenant:acme:plan:x" });
    expect(subjectText("acme", { kind: "inline", name: null })).toMatchObject({
      value: "tenant:acme:inline",
    });
  });

  it("of one is never that of another, nor the beginning of one up to a colon, whatever the names are", () => {
    fc.assert(
      fc.property(tenantId, subject, tenantId, subject, (tenant, one, otherTenant, other) => {
        const [a, b] = [subjectText(tenant, one), subjectText(otherTenant, other)];
        if (!a.ok || !b.ok) throw new Error("a name of the grammar was refused");
        const same = tenant === otherTenant && one.kind === other.kind && one.name === other.name;
        expect(a.value === b.value).toBe(same);
        expect(b.value.startsWith(`${a.value}:`)).toBe(false);
        expect(new TextEncoder().encode(a.value).length).toBeLessThanOrEqual(127);
      }),
      { numRuns: 1_000 },
    );
  });

  it("is refused for whatever is not a name: nothing that holds a colon gets through", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (before, after, tenant) => {
        const evil = `${before}:${after}`;
        expect(subjectText("acme", { kind: "code", name: evil }).ok).toBe(false);
        expect(subjectText(`${tenant}:code`, { kind: "inline", name: null }).ok).toBe(false);
      }),
    );
    for (const evil of ["", "A", "a b", "a%3Ab", "é", "a".repeat(65), "-a", "a\n"])
      expect([evil, codeOf({ subject: { kind: "plan", name: evil } })]).toEqual([evil, "bad_subject"]);
    for (const tenant of ["", "a".repeat(49), "acme:code", "Acme"])
      expect([tenant, codeOf({ tenant })]).toEqual([tenant, "bad_subject"]);
    expect(codeOf({ subject: { kind: "inline", name: "x" } as never })).toBe("bad_subject");
    expect(codeOf({ subject: { kind: "admin", name: "x" } as never })).toBe("bad_subject");
  });

  it("of the longest names fits into 127 bytes", () => {
    const longest = subjectText("t".repeat(48), { kind: "code", name: "n".repeat(64) });
    expect(longest.ok && longest.value.length).toBe(125);
  });
});

describe("the claims", () => {
  it("are these, and no others", () => {
    expect(claimsOf()).toStrictEqual({
      iss: "https://id.example.com/t/acme",
      sub: "tenant:acme:code:process-order",
      aud: "sts.amazonaws.com",
      iat: IAT,
      nbf: IAT - 60,
      exp: IAT + 300,
      jti: "j1",
      tenant: "acme",
      workflow: "process-order",
      workflow_kind: "code",
      workflow_version: "3",
      environment: "production",
    });
  });

  it("of inline steps name no workflow", () => {
    expect(claimsOf({ subject: { kind: "inline", name: null } })).toMatchObject({
      sub: "tenant:acme:inline",
      workflow: null,
      workflow_kind: "inline",
    });
  });

  it("that a tenant sets stand under `claims`, and shadow nothing", () => {
    const before = claimsOf();
    const after = claimsOf({ claims: { team: "billing", "cost.center": "7" } });
    expect(after).toStrictEqual({ ...before, claims: { team: "billing", "cost.center": "7" } });
  });

  it.each(
    [
      ...["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "amr", "tenant", "run", "claims"],
      ...["https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity"],
      ...["https://aws.amazon.com/tags/principal_tags/team", "", "1a", "a b", "a:b", "__proto__", "é"],
      "a".repeat(65),
    ].map((one) => [one] as const),
  )("cannot be named %j by a tenant", (evil) => {
    expect(claimFlaw(evil, "x")).not.toBeNull();
    expect(codeOf({ claims: Object.fromEntries([[evil, "x"]]) })).toBe("bad_claim");
  });

  it("by any other name leave every claim of ours as it is", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (key, value) => {
        const made = workloadClaims({ ...REQUEST, claims: Object.fromEntries([[key, value]]) });
        if (!made.ok) return;
        const { claims, ...ours } = made.value;
        expect(ours).toStrictEqual(claimsOf());
        expect(Object.entries(claims ?? {})).toEqual([[key, value]]);
      }),
      { numRuns: 1_000 },
    );
  });

  it("have limits", () => {
    const many = Object.fromEntries(Array.from({ length: MAX_CLAIMS + 1 }, (_, i) => [`c${i}`, ""]));
    expect(codeOf({ claims: many })).toBe("bad_claim");
    expect(codeOf({ claims: { a: "x".repeat(257) } })).toBe("bad_claim");
    expect(codeOf({ claims: { a: "\ud800" } })).toBe("bad_claim");
    expect(codeOf({ audience: "" })).toBe("bad_audience");
    expect(codeOf({ audience: "a".repeat(601) })).toBe("bad_audience");
    for (const ttlS of [0, -1, 601, 1.5, Number.NaN]) expect(codeOf({ ttlS })).toBe("bad_lifetime");
    for (const ttlS of Object.values(TTL_S)) expect(codeOf({ ttlS })).toBe("ok");
    expect(codeOf({ run: "run_1" })).toBe("bad_run");
    const tags = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, "é".repeat(200)]));
    expect(codeOf({ awsTags: { tags } })).toBe("too_large");
  });

  it("say the run only where they are told to", () => {
    const run = `run_${"0".repeat(26)}`;
    expect(claimsOf({ run }).run).toBe(run);
    expect(claimsOf()).not.toHaveProperty("run");
  });

  it("carry AWS's tags only from the role, in AWS's form", () => {
    const awsTags = { tags: { team: "billing", env: "prod" }, transitiveTags: ["team"] };
    expect(claimsOf({ awsTags })["https://aws.amazon.com/tags"]).toStrictEqual({
      principal_tags: { team: ["billing"], env: ["prod"] },
      transitive_tag_keys: ["team"],
    });
    expect(claimsOf({ awsTags: { tags: {} } })).not.toHaveProperty("https://aws.amazon.com/tags");
    expect(codeOf({ awsTags: { tags: { a: "b" }, transitiveTags: ["c"] } })).toBe("bad_tag");
    expect(codeOf({ awsTags: { tags: { "aws:x": "b" } } })).toBe("bad_tag");
    expect(codeOf({ awsTags: { tags: { a: "b{" } } })).toBe("bad_tag");
    expect(
      codeOf({ awsTags: { tags: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [i, ""])) } }),
    ).toBe("bad_tag");
  });
});
