/** What policies say to the cloud roles that a request is made with, and to functions that hold a credential themselves. */
import { describe, expect, test } from "vitest";
import {
  chainOf,
  judgeHolding,
  judgeRequest,
  judgeUse,
  type KeyIdentity,
  policySchema,
  standingOf,
} from "../../src/access/index.ts";

const URL_ = "https://invoices.s3.eu-central-1.amazonaws.com/2026/in_1.json";

interface Asked {
  readonly name?: string;
  readonly workflow?: string | null;
  readonly method?: string;
  readonly url?: string;
}

/** In one word. `workflow`: null for steps that came as JSON. */
function said(
  policies: readonly unknown[],
  { name = "writer", workflow = "bill", method = "PUT", url = URL_ }: Asked = {},
): string {
  const { hostname: host, pathname: path } = new URL(url);
  const chain = chainOf(policies[0] ?? null, policies.slice(1));
  const verdict = judgeRequest(chain, { host, method, path, cloudRole: { name, workflow } });
  if (verdict.kind === "denied") return "denied";
  return verdict.approval ? "approval" : "allowed";
}

function holds(policies: readonly unknown[], { name = "writer", workflow = "bill" }: Asked = {}): string {
  return judgeHolding(chainOf(policies[0] ?? null, policies.slice(1)), { name, workflow }).kind;
}

const writer = (rule: object) => ({ cloud_roles: { writer: rule } });
const HOSTS = { hosts: [{ host: "*" }] };

function bound(policies: KeyIdentity["policies"]): readonly unknown[] {
  return standingOf({
    ...{ kind: "key", tenant: "t", keyId: "key_1", user: "ada", scopes: new Set(["*"]), policies },
    expiresAt: null,
  });
}

describe("a policy and a request with a cloud role", () => {
  test.each([
    ["no policy", null, {}, "allowed"],
    ["a policy that does not speak of cloud roles", HOSTS, {}, "allowed"],
    ["rules on a connection of the same name", { connections: {} }, {}, "allowed"],
    ["no cloud roles at all", { cloud_roles: {} }, {}, "denied"],
    ["the role", writer({}), {}, "allowed"],
    ["another role", writer({}), { name: "reader" }, "denied"],
    ["a role with the name of what every object has", writer({}), { name: "constructor" }, "denied"],

    ["the workflow", writer({ workflows: ["bill"] }), {}, "allowed"],
    ["another workflow", writer({ workflows: ["other"] }), {}, "denied"],
    ["JSON, where workflows are named", writer({ workflows: ["bill"] }), { workflow: null }, "denied"],
    ["JSON, where it is let in", writer({ workflows: [], inline: true }), { workflow: null }, "allowed"],
    ["JSON, where it is kept out", writer({ inline: false }), { workflow: null }, "denied"],

    ["a method", writer({ methods: ["PUT"] }), {}, "allowed"],
    ["another method", writer({ methods: ["PUT"] }), { method: "DELETE" }, "denied"],
    ["a path", writer({ paths: ["/2026/*"] }), {}, "allowed"],
    ["another path", writer({ paths: ["/2025/*"] }), {}, "denied"],
    ["a path that is read in two ways", writer({ paths: ["/2026/*"] }), { url: `${URL_}%2f..` }, "denied"],

    ["an approval of all", writer({ approval: "always" }), {}, "approval"],
    ["an approval of writes", writer({ approval: "writes" }), {}, "approval"],
    ["a read, where writes are approved", writer({ approval: "writes" }), { method: "GET" }, "allowed"],
    ["its host is not allowed", { ...writer({}), hosts: [{ host: "a.example" }] }, {}, "denied"],
    ["a field that this build does not know", { cloud_roles: { writer: { until: 1 } } }, {}, "denied"],
  ] as const)("%s", (_, policy, request, expected) => {
    expect(said([policy], request)).toBe(expected);
  });

  test("without a role the rules on cloud roles say nothing, and those on connections nothing of a role", () => {
    const request = { host: "a.example", method: "GET", path: "/" };
    expect(judgeRequest(chainOf({ cloud_roles: {} }), request).kind).toBe("allowed");
    const google = { ...request, connection: { name: "google", workflow: "bill" } };
    expect(judgeRequest(chainOf({ cloud_roles: {} }), google).kind).toBe("allowed");
  });

  test("all of a chain must allow, and the strictest counts", () => {
    expect(said([writer({}), writer({ methods: ["GET"] })])).toBe("denied");
    expect(said([writer({ approval: "always" }), writer({})])).toBe("approval");
  });

  test("a key that is bound to a user uses only roles that some policy names", () => {
    expect(said([HOSTS, ...bound([])])).toBe("denied");
    expect(said([{ ...HOSTS, connections: { writer: {} } }, ...bound([])])).toBe("denied");
    expect(said([{ ...HOSTS, ...writer({}) }, ...bound([])])).toBe("allowed");
    expect(said([HOSTS, ...bound([writer({})])])).toBe("allowed");
    expect(said([HOSTS, ...bound([writer({})])], { name: "reader" })).toBe("denied");
  });

  test("whether it may be used at all is told before its requests are known", () => {
    const chain = chainOf(writer({ workflows: ["bill"] }));
    expect(judgeUse(chain, { name: "writer", workflow: "bill" }, "cloud_roles").kind).toBe("allowed");
    expect(judgeUse(chain, { name: "reader", workflow: "bill" }, "cloud_roles")).toMatchObject({
      kind: "denied",
      message: "The tenant's policy allows no cloud role reader. It allows: writer.",
    });
  });

  test.each([
    ["a name that no role can have", { cloud_roles: { "Writer!": {} } }],
    ["an unknown field", writer({ hosts: [] })],
    ["what only a role has, of a connection", { connections: { google: { hold: true } } }],
    ["too many", { cloud_roles: Object.fromEntries(Array.from({ length: 65 }, (__, i) => [`r${i}`, {}])) }],
  ])("is refused with %s", (_, policy) => {
    expect(policySchema().safeParse(policy).success).toBe(false);
  });
});

describe("a function that wants to hold the credential itself", () => {
  test.each([
    ["no policy", [], {}, "allowed"],
    ["a policy that restricts no request", [writer({ workflows: ["bill"] })], {}, "allowed"],
    ["a role that it may not use", [writer({ workflows: ["other"], hold: true })], {}, "denied"],
    ["a policy on hosts", [HOSTS], {}, "denied"],
    ["methods", [writer({ methods: ["PUT"] })], {}, "denied"],
    ["paths", [writer({ paths: ["/a"] })], {}, "denied"],
    ["an approval", [writer({ approval: "writes" })], {}, "denied"],
    ["an approval that is never asked for", [writer({ approval: "never" })], {}, "allowed"],
    ["a policy that says so", [{ ...HOSTS, ...writer({ hold: true }) }], {}, "allowed"],
    ["a policy that says no", [writer({ hold: false })], {}, "denied"],
    ["one of two that does not say so", [{ ...HOSTS, ...writer({ hold: true }) }, HOSTS], {}, "denied"],
    ["a key of a user", [null, ...bound([writer({})])], {}, "denied"],
    ["a key of a user that may", [null, ...bound([writer({ hold: true })])], {}, "allowed"],
    ["a policy that this build cannot read", [{ cloud_roles: { writer: { until: 1 } } }], {}, "denied"],
  ] as const)("%s", (_, policies, asked, expected) => {
    expect(holds(policies, asked)).toBe(expected);
  });
});
