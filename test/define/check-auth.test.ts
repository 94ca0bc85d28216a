/** What a plan is told of the cloud roles that it names, before it runs. */
import { describe, expect, it } from "vitest";
import { createReferring } from "../../src/identity/referring.ts";
import { createAuthCheck, type RoleCheck } from "../../src/compose-auth-check.ts";
import { checkAuth, compile, compilePlan, connectionsOf, summarise } from "../../src/define/index.ts";
import { processOrder } from "../../src/workflows/process-order.ts";

const URL_ = "https://invoices.s3.eu-central-1.amazonaws.com/in_1.json";
const put = (more: object = {}, step: object = {}): object => ({
  action: "http",
  ...step,
  with: { method: "PUT", url: URL_, auth: { cloud: "writer" }, ...more },
});

type Asked = Parameters<RoleCheck["refusalOf"]>;

/** @param plan the name under which the plan is stored; null: it comes with a request */
async function check(steps: object, plan: string | null, refuse: boolean) {
  const compiled = compilePlan({ steps });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const asked: Asked[] = [];
  const roles: RoleCheck = {
    roles: async () => [{ name: "reader" }, { name: "writer" }],
    async refusalOf(...args) {
      asked.push(args);
      if (args[0] !== "writer") return { at: "/cloud", code: "unknown_cloud_role", detail: "None." };
      if (!refuse) return undefined;
      return { at: "/cloud", code: "cloud_role_not_for_host", detail: "No.", allowed: ["a.example"] };
    },
  };
  const ask = createAuthCheck(undefined, nobody, () => roles);
  const asker = { tenant: "acme", user: undefined, plan };
  const findings = await checkAuth(compiled.plan.graph.steps, (auth, host, ms) => ask(auth, host, asker, ms));
  return { findings, asked };
}

function nobody(): never {
  throw new Error("no connection is named here");
}

describe("a plan that names a cloud role", () => {
  it("has the role asked for the host, for whom the plan speaks, with the timeout of the step", async () => {
    const { asked } = await check({ a: put({}, { timeout: "9m" }) }, "bill", false);
    const host = "invoices.s3.eu-central-1.amazonaws.com";
    expect(asked).toEqual([
      [
        "writer",
        host,
        { tenant: "acme", subject: { kind: "plan", name: "bill" }, stepTimeoutMs: 9 * 60_000 },
      ],
    ]);
  });

  it("speaks for nobody if it comes with a request", async () => {
    const { asked } = await check({ a: put() }, null, false);
    expect(asked[0]?.[2].subject).toEqual({ kind: "inline", name: null });
  });

  it("is asked once for each host and timeout, of what verifies and undoes as well", async () => {
    const look = { action: "http", with: { method: "GET", url: URL_, auth: { cloud: "writer" } } };
    const undo = {
      action: "http",
      with: { method: "DELETE", url: URL_, auth: { cloud: "writer" } },
      timeout: "2m",
    };
    const { asked } = await check({ a: put({}, { verify: look, compensate: undo }), b: put() }, null, false);
    expect(asked.map(([, , { stepTimeoutMs }]) => stepTimeoutMs).toSorted((a, b) => a - b)).toEqual([
      60_000, 120_000,
    ]);
  });

  it("is told why it would be refused, with the place and what is allowed", async () => {
    const { findings } = await check({ a: put() }, null, true);
    expect(findings).toEqual([
      {
        pointer: "/steps/a/with/auth/cloud",
        code: "cloud_role_not_for_host",
        detail: "No.",
        allowed: ["a.example"],
      },
    ]);
  });

  it("is told which role may have been meant, and no other name", async () => {
    const near = await check({ a: put({ auth: { cloud: "wirter" } }) }, null, true);
    expect(near.findings).toMatchObject([
      { code: "unknown_cloud_role", detail: "None. Did you mean `writer`?", allowed: ["writer"] },
    ]);
    const far = await check({ a: put({ auth: { cloud: "billing" } }) }, null, true);
    expect(far.findings[0]).not.toHaveProperty("allowed");
  });

  it("is told so where there is no issuer", async () => {
    const asker = { tenant: "acme", subject: { kind: "inline", name: null }, stepTimeoutMs: 1 } as const;
    const lookup = { find: async () => null, forget: () => {} };
    const refusalOf = createReferring({ issuerOrigin: null }, lookup);
    expect(await refusalOf("writer", "a.example", asker)).toMatchObject({ code: "identity_not_configured" });
  });
});

describe("the reference itself", () => {
  it.each<[string, object, string]>([
    ["a name that none can have", { cloud: "Writer!" }, "/steps/a/with/auth/cloud invalid"],
    ["an expression", { cloud: "${{ input.role }}" }, "/steps/a/with/auth/cloud expression_not_allowed"],
    [
      "another field beside it",
      { cloud: "writer", scopes: ["a"] },
      "/steps/a/with/auth/scopes unknown_field",
    ],
    ["another word for it", { role: "writer" }, "/steps/a/with/auth/role unknown_field"],
    ["a credential", { cloud: "AKIAIOSFODNN7EXAMPLE" }, "/steps/a/with/auth/cloud secret_in_plan"],
  ])("is refused with %s", (_, auth, expected) => {
    const compiled = compilePlan({ steps: { a: put({ auth }) } });
    const errors = compiled.ok ? [] : compiled.errors.map(({ pointer, code }) => `${pointer} ${code}`);
    expect(errors).toContain(expected);
  });

  it("stands in the digest of a plan, with its hosts", () => {
    const compiled = compilePlan({
      steps: { a: put(), b: put({ url: "https://b.s3.eu-central-1.amazonaws.com/" }) },
    });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    const { cloud_roles: roles, connections, steps } = summarise(compiled.plan.graph);
    expect(roles).toEqual([
      {
        role: "writer",
        hosts: ["b.s3.eu-central-1.amazonaws.com", "invoices.s3.eu-central-1.amazonaws.com"],
      },
    ]);
    expect(connections).toEqual([]);
    // Nobody has to connect anything for it, before a start or later.
    expect(connectionsOf(compiled.plan.graph)).toEqual([]);
    expect(connectionsOf(compile(processOrder).graph)).toEqual([]);
    expect(steps[0]?.requests[0]).toMatchObject({ cloud_role: "writer", connection: null, token: null });
  });
});
