/** What policies say to the connections that a request is made with. */
import { describe, expect, test } from "vitest";
import {
  chainOf,
  judgeRequest,
  judgeUse,
  type KeyIdentity,
  policySchema,
  standingOf,
} from "../../src/access/index.ts";

const URL_ = "https://www.googleapis.com/calendar/v3/events";

interface Asked {
  readonly name?: string;
  readonly workflow?: string | null;
  readonly method?: string;
  readonly url?: string;
}

/** In one word. `workflow`: null for steps that came as JSON. */
function said(
  policies: readonly unknown[],
  { name = "google", workflow = "book-trip", method = "GET", url = URL_ }: Asked = {},
): string {
  const { hostname: host, pathname: path } = new URL(url);
  const chain = chainOf(policies[0] ?? null, policies.slice(1));
  const verdict = judgeRequest(chain, { host, method, path, connection: { name, workflow } });
  if (verdict.kind === "denied") return "denied";
  return verdict.approval ? "approval" : "allowed";
}

const google = (rule: object) => ({ connections: { google: rule } });

describe("a policy and a request with a connection", () => {
  test.each([
    ["no policy", null, {}, "allowed"],
    ["a policy that does not speak of connections", { hosts: [{ host: "*" }] }, {}, "allowed"],
    ["no connections at all", { connections: {} }, {}, "denied"],
    ["the integration", google({}), {}, "allowed"],
    ["another integration", google({}), { name: "slack" }, "denied"],
    ["an integration with the name of what every object has", google({}), { name: "constructor" }, "denied"],

    ["the workflow", google({ workflows: ["book-trip"] }), {}, "allowed"],
    ["another workflow", google({ workflows: ["other"] }), {}, "denied"],
    ["no workflow", google({ workflows: [] }), {}, "denied"],
    ["JSON, where workflows are named", google({ workflows: ["book-trip"] }), { workflow: null }, "denied"],
    ["JSON, where it is let in", google({ workflows: [], inline: true }), { workflow: null }, "allowed"],
    ["JSON, where it is kept out", google({ inline: false }), { workflow: null }, "denied"],
    ["a workflow, where JSON is kept out", google({ inline: false }), {}, "allowed"],
    ["JSON", google({}), { workflow: null }, "allowed"],

    ["a method", google({ methods: ["GET"] }), {}, "allowed"],
    ["another method", google({ methods: ["GET"] }), { method: "POST" }, "denied"],
    ["a path", google({ paths: ["/calendar/*"] }), {}, "allowed"],
    ["another path", google({ paths: ["/gmail/*"] }), {}, "denied"],
    [
      "a path that is read in two ways",
      google({ paths: ["/calendar/*"] }),
      { url: `${URL_}%2f..` },
      "denied",
    ],

    ["an approval of all", google({ approval: "always" }), {}, "approval"],
    ["an approval of writes", google({ approval: "writes" }), { method: "POST" }, "approval"],
    ["a read, where writes are approved", google({ approval: "writes" }), {}, "allowed"],

    // Both have to allow.
    ["its host is not allowed", { ...google({}), hosts: [{ host: "api.example.com" }] }, {}, "denied"],
    [
      "the host asks for an approval, the connection does not",
      { ...google({}), hosts: [{ host: "*", approval: "always" }] },
      {},
      "approval",
    ],
    ["a field that this build does not know", { connections: { google: { until: 1 } } }, {}, "denied"],
  ] as const)("%s", (_, policy, request, expected) => {
    expect(said([policy], request)).toBe(expected);
  });

  test("without a connection the rules on connections say nothing", () => {
    const chain = chainOf({ connections: {} });
    const request = { host: "a.example", method: "GET", path: "/" };
    expect(judgeRequest(chain, request).kind).toBe("allowed");
  });

  test("all of a chain must allow, and the strictest counts", () => {
    expect(said([google({}), google({ methods: ["GET"] })], { method: "POST" })).toBe("denied");
    expect(said([google({ approval: "always" }), google({})])).toBe("approval");
    expect(said([{ hosts: [{ host: "*" }] }, google({})])).toBe("allowed");
  });

  test("a key that is bound to a user uses only connections that some policy names", () => {
    const bound = (policies: KeyIdentity["policies"]): readonly unknown[] =>
      standingOf({
        ...{ kind: "key", tenant: "t", keyId: "key_1", user: "ada", scopes: new Set(["*"]), policies },
        expiresAt: null,
      });
    const hosts = { hosts: [{ host: "*" as const }] };
    expect(said([hosts, ...bound([])])).toBe("denied");
    expect(said([{ ...hosts, ...google({}) }, ...bound([])])).toBe("allowed");
    expect(said([hosts, ...bound([google({})])])).toBe("allowed");
    expect(said([hosts, ...bound([google({})])], { name: "slack" })).toBe("denied");
  });

  test("whether it may be used at all is told before its requests are known", () => {
    const chain = chainOf(google({ workflows: ["a"], methods: ["GET"] }));
    expect(judgeUse(chain, { name: "google", workflow: "a" }).kind).toBe("allowed");
    expect(judgeUse(chain, { name: "google", workflow: "b" }).kind).toBe("denied");
    expect(judgeUse(chain, { name: "slack", workflow: "a" })).toMatchObject({
      kind: "denied",
      message: "The tenant's policy allows no connection of slack. It allows: google.",
    });
  });

  test.each([
    ["a name that no integration can have", { connections: { "Google!": {} } }],
    ["an unknown field", google({ hosts: [] })],
    ["a path that is none", google({ paths: ["x"] })],
    ["too many", { connections: Object.fromEntries(Array.from({ length: 65 }, (__, i) => [`i${i}`, {}])) }],
  ])("is refused with %s", (_, policy) => {
    expect(policySchema().safeParse(policy).success).toBe(false);
  });
});
