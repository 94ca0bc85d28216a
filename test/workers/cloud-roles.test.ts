/** Cloud roles over HTTP, as the Worker is deployed: made, looked at, changed, tried, given up; and every way in which one is refused. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import {
  ACCOUNT,
  CLIENT_ID,
  DIRECTORY,
  ORGANIZATION,
  POOL_PROVIDER,
  ROLE,
  RULE,
  STORAGE_SCOPE,
  trustOf,
} from "../contract/cloud-trust.ts";
import { expectAnswer, expectProblem, newKey } from "./api-support.ts";
import { BUCKET, type Json, REGION, register, Tenancy } from "./cloud-support.ts";
import { referee } from "./run-support.ts";

let house: Tenancy;
beforeAll(async () => {
  house = await Tenancy.begin("roles");
  await house.publish().catch(() => {});
});

/** What this file registers at the clouds has names of its own: other files use the same world at the same time. */
const OWN: Readonly<Record<string, string>> = {
  "invoices-writer": "roles-writer",
  "archive-writer": "roles-archive",
  [CLIENT_ID]: "bbbbbbbb-0000-4000-8000-0000000000ff",
  [POOL_PROVIDER]: POOL_PROVIDER.replace("providers/showcaller", "providers/roles"),
  [ACCOUNT]: "roles@acme.iam.gserviceaccount.com",
  [RULE]: "fdrl_roles",
  '"name":"invoices"': '"name":"roles"',
};
const own = <T>(value: T): T =>
  JSON.parse(
    Object.entries(OWN).reduce((text, [from, to]) => text.replaceAll(from, to), JSON.stringify(value)),
  ) as T;

const FOR = ["code:nightly"];
const ROLES: readonly Json[] = own([
  { name: "of-aws", provider: "aws", role_arn: ROLE, region: REGION, duration_s: 900, hosts: [BUCKET] },
  {
    ...{ name: "of-gcp", provider: "gcp", workload_provider: POOL_PROVIDER, service_account: ACCOUNT },
    hosts: ["storage.googleapis.com"],
  },
  {
    ...{ name: "of-azure", provider: "azure", directory: DIRECTORY, client_id: CLIENT_ID },
    ...{ scope: STORAGE_SCOPE, hosts: ["invoices.blob.core.windows.net"] },
  },
  {
    ...{
      name: "of-exchange",
      provider: "token_exchange",
      token_url: "https://tokens.exchange.example/token",
    },
    hosts: ["api.exchange.example"],
  },
  { name: "of-vault", provider: "vault", host: "vault.secrets.example", role: "roles" },
  {
    ...{ name: "of-anthropic", provider: "anthropic", organization_id: ORGANIZATION },
    ...{ federation_rule_id: RULE, workspace_id: "wrkspc_1" },
  },
  { name: "of-openrouter", provider: "openrouter", federation_policy_id: "policy-1" },
  {
    ...{ name: "of-jwt", provider: "jwt", audience: "https://api.acme.example" },
    hosts: ["api.acme.example"],
  },
]).map((role) => ({ ...role, workflows: FOR }));
const PROVIDERS = ROLES.map((role) => [String(role["provider"]), role] as const);
const [AWS] = ROLES as readonly [Json];

const path = (role: Json | string): string =>
  `/v1/cloud-roles/${typeof role === "string" ? role : String(role["name"])}`;
const settings = ({ name: _name, ...rest }: Json): Json => rest;

/** Code and pointer of the one thing that is wrong. */
async function flaw(body: Json): Promise<readonly (string | undefined)[]> {
  const answer = await house.call("POST", "/v1/cloud-roles", body);
  const { code, errors } = (await answer.json()) as {
    code: string;
    errors?: readonly { pointer?: string; code?: string }[];
  };
  return [code, errors?.[0]?.pointer, errors?.[0]?.code];
}

describe("a role of each provider", () => {
  it.each(PROVIDERS)("%s: is made, shown, listed, printed and changed", async (provider, role) => {
    const made = await house.role(role);
    expect(made).toMatchObject({
      ...{ provider, version: 1, workflows: FOR, inline: false, per_run: false, claims: {} },
      ...{ issuer: house.issuer, subjects: ["tenant:roles:code:nightly"] },
    });
    expect(made["advice"]).toEqual([expect.stringContaining("no workflow nightly in its code")]);
    const { advice: _advice, ...shown } = made;
    const got = await expectAnswer<Json>(await house.call("GET", path(role)), "getCloudRole", 200);
    expect(got).toEqual(shown);
    const { hosts: _hosts, ...given } = settings(role);
    expect(got).toMatchObject(given);

    const trust = await house.trust(String(role["name"]));
    expect([trust.issuer, trust.audience, trust.subjects]).toEqual([
      ...[house.issuer, got["audience"], ["tenant:roles:code:nightly"]],
    ]);
    const forms = trust.texts.map(({ form }) => form);
    expect(forms).toContain("terraform");
    for (const { content } of trust.texts.filter(({ form }) => form === "json"))
      expect(JSON.parse(content)).toBeTypeOf("object");

    const change = {
      ...settings(role),
      workflows: ["plan:weekly"],
      inline: true,
      claims: { team: "billing" },
    };
    const put = await house.call("PUT", path(role), change);
    const changed = await expectAnswer<Json>(put, "putCloudRole", 200);
    expect(changed).toMatchObject({
      ...{ id: made["id"], version: 2, created_at: made["created_at"], claims: { team: "billing" } },
      subjects: ["tenant:roles:plan:weekly", "tenant:roles:inline"],
    });
    expect(changed["advice"]).toEqual([
      expect.stringContaining("There is no plan weekly yet"),
      expect.stringContaining("Whoever may start runs"),
    ]);
    await expectAnswer(await house.call("PUT", path(role), settings(role)), "putCloudRole", 200);
  });

  it("is in a list by pages, each once, by its name", async () => {
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const more = cursor === "" ? "" : `&cursor=${cursor}`;
      const answer = await house.call("GET", `/v1/cloud-roles?limit=3${more}`);
      const page: { data: { name: string }[]; next_cursor: string | null } = await expectAnswer(
        answer,
        "listCloudRoles",
        200,
      );
      expect(page.data.length).toBeLessThanOrEqual(3);
      seen.push(...page.data.map(({ name }) => name));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(ROLES.map(({ name }) => String(name)).toSorted());
    await expectProblem(await house.call("GET", "/v1/cloud-roles?limit=101"), 400, "invalid_request");
    await expectProblem(await house.call("GET", "/v1/cloud-roles?cursor=A"), 400, "invalid_request");
  });

  it("is gone when it is given up; another one of its name is another one", async () => {
    const body = { ...AWS, name: "short", audience: "https://short.example" };
    const first = await house.role(body);
    expect((await house.call("DELETE", path("short"))).status).toBe(204);
    await expectProblem(await house.call("GET", path("short")), 404, "not_found");
    await expectProblem(await house.call("DELETE", path("short")), 404, "not_found");
    await expectProblem(await house.call("PUT", path("short"), settings(body)), 404, "not_found");
    await expectProblem(await house.call("GET", `${path("short")}/trust-policy`), 404, "not_found");
    await expectProblem(await house.call("POST", `${path("short")}/test`, {}), 404, "not_found");
    const second = await house.role(body);
    expect(second["id"]).not.toBe(first["id"]);
    expect(second["version"]).toBe(1);
  });

  it("is what the last of several said who changed it at once, and each of them is answered with a version of its own", async () => {
    const body = { ...AWS, name: "busy", audience: "https://busy.example" };
    await house.role(body);
    const teams = ["a", "b"];
    const answers = await Promise.all(
      teams.map((team) => house.call("PUT", path("busy"), { ...settings(body), claims: { team } })),
    );
    const put = await Promise.all(answers.map((one) => expectAnswer<Json>(one, "putCloudRole", 200)));
    expect(new Set(put.map(({ version }) => version))).toEqual(new Set([2, 3]));
    const last = put.find(({ version }) => version === 3);
    const now = await expectAnswer<Json>(await house.call("GET", path("busy")), "getCloudRole", 200);
    expect(now["claims"]).toEqual(last?.["claims"]);
  });

  it("is made once by many who make it at once", async () => {
    const body = { ...AWS, name: "raced", audience: "https://raced.example" };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => house.call("POST", "/v1/cloud-roles", body)),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409, 409]);
  });

  it("is in the audit before it counts: made, changed, tried, given up", async () => {
    const body = { ...AWS, name: "told", audience: "https://told.example" };
    await house.role(body);
    await house.call("PUT", path("told"), settings(body));
    await house.call("POST", `${path("told")}/test`, {});
    await house.call("DELETE", path("told"));
    const { results } = await env.DB.prepare(
      "SELECT action FROM access_audit WHERE tenant = 'roles' AND target = 'told' ORDER BY seq",
    ).all<{ action: string }>();
    expect(results.map(({ action }) => action)).toEqual([
      ...["cloud_role.create", "cloud_role.change", "cloud_role.test", "cloud_role.delete"],
    ]);
    await env.DB.exec(
      "CREATE TRIGGER no_audit BEFORE INSERT ON access_audit WHEN new.action = 'cloud_role.create' BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    const unheard = await house.call("POST", "/v1/cloud-roles", body);
    expect(unheard.status).toBeGreaterThanOrEqual(500);
    await env.DB.exec("DROP TRIGGER no_audit");
    await expectProblem(await house.call("GET", path("told")), 404, "not_found");
  });
});

describe("a role that cannot be", () => {
  const JWT = ROLES.find(({ provider }) => provider === "jwt") ?? {};
  const GCP = ROLES.find(({ provider }) => provider === "gcp") ?? {};
  const named = (body: Json, more: Json): Json => ({ ...body, name: "unfit", ...more });

  it.each<[string, Json, string, string]>([
    ["no role of IAM", named(AWS, { role_arn: "arn:aws:iam::1:role/x" }), "/role_arn", "target_unfit"],
    ["a session of a minute", named(AWS, { duration_s: 60 }), "/duration_s", "target_unfit"],
    ["a tag that AWS keeps", named(AWS, { tags: { "aws:a/b": "c" } }), "/tags/aws:a~1b", "target_unfit"],
    ["a stray transitive tag", named(AWS, { transitive_tags: ["x"] }), "/transitive_tags/0", "target_unfit"],
    [
      "a next role that is none",
      named(AWS, { next: { role_arn: "reader" } }),
      "/next/role_arn",
      "target_unfit",
    ],
    [
      "a next external id that is none",
      named(AWS, { next: { role_arn: AWS["role_arn"], external_id: " " } }),
      "/next/external_id",
      "target_unfit",
    ],
    ["a pool by its name", named(GCP, { workload_provider: "pool" }), "/workload_provider", "target_unfit"],
    [
      "a host that mints tokens",
      named(AWS, { hosts: [`sts.${REGION}.amazonaws.com`] }),
      "/hosts/0",
      "host_mints_tokens",
    ],
    ["a pattern for a host", named(JWT, { hosts: ["a.example", "*.b.example"] }), "/hosts/1", "host_unfit"],
    ["our own host", named(JWT, { hosts: ["id.showcaller.test"] }), "/hosts/0", "host_unfit"],
    ["the same host twice", named(AWS, { hosts: [BUCKET, { host: BUCKET }] }), "/hosts/1", "host_twice"],
    ["no hosts", named(JWT, { hosts: [] }), "/hosts", "hosts_missing"],
    [
      "a host of AWS that does not tell",
      named(AWS, { hosts: ["files.acme.example"] }),
      "/hosts/0",
      "service_missing",
    ],
    [
      "a service for who does not sign",
      named(JWT, { hosts: [{ host: "a.example", service: "s3" }] }),
      "/hosts/0",
      "field_unknown",
    ],
    ["nobody who may use it", named(AWS, { workflows: [] }), "/workflows", "workflows_missing"],
    [
      "a workflow without its kind",
      named(AWS, { workflows: ["nightly"] }),
      "/workflows/0",
      "workflow_unreadable",
    ],
    ["a workflow twice", named(AWS, { workflows: [...FOR, ...FOR] }), "/workflows/1", "workflow_twice"],
    [
      "a subject of another tenant",
      named(AWS, { workflows: ["tenant:other:code:x"] }),
      "/workflows/0",
      "workflow_unreadable",
    ],
    [
      "a workflow with a colon in its name",
      named(AWS, { workflows: ["code:a:plan:b"] }),
      "/workflows/0",
      "workflow_unreadable",
    ],
    [
      "a claim that shadows",
      named(AWS, { claims: { sub: "tenant:roles:code:x" } }),
      "/claims/sub",
      "claim_unfit",
    ],
    [
      "a claim that sets a tag at AWS",
      named(AWS, { claims: { "https://aws.amazon.com/tags": "x" } }),
      "/claims/https:~1~1aws.amazon.com~1tags",
      "claim_unfit",
    ],
    [
      "a `jwt` role without an audience",
      named(settings({ ...JWT, audience: "" }), { audience: undefined }),
      "/audience",
      "audience_missing",
    ],
    ["the audience of another role", named(JWT, {}), "/audience", "audience_taken"],
    [
      "an audience of ours",
      named(JWT, { audience: "https://id.showcaller.test/t/roles" }),
      "/audience",
      "audience_own",
    ],
  ])("%s is told at its place", async (_, body, pointer, code) => {
    expect(await flaw(body)).toEqual(["invalid_cloud_role", pointer, code]);
    await expectProblem(await house.call("GET", path("unfit")), 404, "not_found");
  });

  it("a field of another provider, or of none, is no field", async () => {
    expect(await flaw(named(AWS, { client_id: "x" }))).toEqual(["invalid_request", "/client_id", undefined]);
    expect(await flaw(named(AWS, { provider: "awz" }))).toEqual(["invalid_request", "/provider", undefined]);
    expect(await flaw(named(AWS, { name: "Un fit" }))).toEqual(["invalid_request", "/name", undefined]);
  });

  it("a name that is there, another provider under it, and an audience that moved to another role meanwhile", async () => {
    await expectProblem(await house.call("POST", "/v1/cloud-roles", AWS), 409, "cloud_role_exists");
    const moved = await house.call("PUT", path("of-aws"), settings(JWT));
    const fixed = await expectProblem(moved, 422, "invalid_cloud_role");
    expect(fixed.errors).toMatchObject([{ pointer: "/provider", allowed: ["aws"] }]);
    const taken = { ...settings(AWS), audience: "https://api.acme.example" };
    const put = await expectProblem(
      await house.call("PUT", path("of-aws"), taken),
      422,
      "invalid_cloud_role",
    );
    expect(put.errors).toMatchObject([{ pointer: "/audience", code: "audience_taken" }]);
  });

  it("several at AWS share its audience; two services of the tenant never share one, also when they come at once", async () => {
    await house.role({ ...AWS, name: "of-aws-too" });
    const services = ["one", "two"].map((name) => ({ ...JWT, name, audience: "https://shared.example" }));
    const answers = await Promise.all(services.map((body) => house.call("POST", "/v1/cloud-roles", body)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 422]));
    const refused = answers.find(({ status }) => status === 422);
    const problem = await expectProblem(refused!, 422, "invalid_cloud_role");
    expect(problem.errors).toMatchObject([{ pointer: "/audience", code: "audience_taken" }]);
  });

  it("no more than 500 of a tenant", async () => {
    const full = await Tenancy.begin("roles-full");
    await full.role({ ...AWS, name: "r0" });
    await env.DB.prepare(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 499)
       INSERT INTO cloud_roles SELECT tenant, 'r' || i, 'role_' || i, provider, audience, settings, workflows, inline, per_run,
         version, created_at, created_by, updated_at FROM cloud_roles, n WHERE tenant = 'roles-full'`,
    ).run();
    const answer = await full.call("POST", "/v1/cloud-roles", { ...AWS, name: "one-more" });
    await expectProblem(answer, 409, "limit_reached");
  });
});

describe("a role that is tried", () => {
  interface Trial {
    readonly works: boolean;
    readonly subject: string;
    readonly expires_at: number | null;
    readonly refusal: { kind: string; code: string; hint: string } | null;
  }
  const attempt = async (role: string, body: Json = {}): Promise<Trial> =>
    expectAnswer<Trial>(await house.call("POST", `${path(role)}/test`, body), "testCloudRole", 200);
  const trusted = async (): Promise<void> => {
    await house.publish();
    const entries = own(trustOf(house.issuer, "tenant:roles:code:nightly")).filter(
      // Shared by all who use the world; the role of this file needs no bucket.
      ({ kind }) => !/bucket|container/.test(kind),
    );
    await register(...entries);
  };

  it("tells what nobody trusts yet, with exactly what has to be said at the cloud", async () => {
    await house.publish();
    const { works, refusal, expires_at } = await attempt("of-aws");
    expect({ works, expires_at }).toEqual({ works: false, expires_at: null });
    expect(refusal?.hint).toContain(house.issuer);
    expect(refusal?.hint).toContain("tenant:roles:code:nightly");
    expect(refusal?.hint).toContain("sts.amazonaws.com");
  });

  it.each(PROVIDERS)("%s: works once its cloud was told, and gives nothing away", async (_, role) => {
    await trusted();
    const before = Date.now();
    const answer = await house.call("POST", `${path(role)}/test`, {});
    const text = await answer.clone().text();
    const { works, refusal, expires_at } = await expectAnswer<Trial>(answer, "testCloudRole", 200);
    expect({ works, refusal }).toEqual({ works: true, refusal: null });
    expect(expires_at).toBeGreaterThan(before + 60_000);
    const { items } = await referee<{ items: string[] }>("GET", "/clouds/secrets");
    expect(items.filter((secret) => text.includes(secret))).toEqual([]);
    expect(text).not.toContain("eyJ");
  });

  it("with a credential of each run is tried under the id of one", async () => {
    await trusted();
    await house.call("PUT", path("of-exchange"), {
      ...settings(ROLES.find(({ name }) => name === "of-exchange") ?? {}),
      per_run: true,
    });
    expect(await attempt("of-exchange")).toMatchObject({ works: true });
  });

  it("speaks for whom the role names, and says so for whom it does not", async () => {
    const body = { ...settings(AWS), workflows: [...FOR, "plan:weekly"], inline: true };
    await house.call("PUT", path("of-aws"), body);
    await trusted();
    expect(await attempt("of-aws")).toMatchObject({ works: true, subject: "tenant:roles:code:nightly" });
    const weekly = await attempt("of-aws", { workflow: "plan:weekly" });
    expect(weekly).toMatchObject({ works: false, subject: "tenant:roles:plan:weekly" });
    // AWS knows a change within seconds: whoever has just made it must not change it again.
    expect(weekly.refusal).toMatchObject({ kind: "configuration", code: "AccessDenied" });
    expect(weekly.refusal?.hint).toContain("test again before you change anything");
    expect((await attempt("of-aws", { workflow: "inline" })).subject).toBe("tenant:roles:inline");
    const other = await house.call("POST", `${path("of-aws")}/test`, { workflow: "code:other" });
    const problem = await expectProblem(other, 400, "invalid_request");
    expect(problem.errors).toMatchObject([
      { pointer: "/workflow", allowed: ["code:nightly", "plan:weekly", "inline"] },
    ]);
  });

  it("takes the scope to write, and is not for a key that may only look", async () => {
    const reader = await newKey(house.admin, { scopes: ["cloud_roles:read"] });
    await expectProblem(
      await house.call("POST", `${path("of-aws")}/test`, {}, reader),
      403,
      "insufficient_scope",
    );
    await expectAnswer(await house.call("GET", path("of-aws"), undefined, reader), "getCloudRole", 200);
  });
});
