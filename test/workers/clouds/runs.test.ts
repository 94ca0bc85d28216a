/**
 * Runs that use cloud roles, through the whole product: a stored plan or a workflow in TypeScript, the engine, real objects, the
 * real database, and clouds that fetch the tenant's keys and verify its tokens. Nothing that the clouds issued is kept.
 */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { everythingKept, foundIn, listenToConsole } from "../kept.ts";
import { ledgerSince, referee, step } from "../run-support.ts";
import { CloudTenant, type RoleText, trust } from "./support.ts";
import type { TrustInput } from "../../world/index.ts";

const ACCOUNT = "111122223333";
const POOL = "projects/123456789/locations/global/workloadIdentityPools/runs";
const GOOGLE = `${POOL}/providers/showcaller`;
const EMAIL = "runs@acme.iam.gserviceaccount.com";
const DIRECTORY = "aaaaaaaa-0000-4000-8000-0000000000a1";
const CLIENT = "bbbbbbbb-0000-4000-8000-0000000000a2";
const HOLDER = "bbbbbbbb-0000-4000-8000-0000000000b2";
const ORGANIZATION = "cccccccc-0000-4000-8000-0000000000a3";
const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/runs-writer`;
const S3 = "invoices.s3.eu-central-1.amazonaws.com";
const BLOBS = "invoices.blob.core.windows.net";
const API = "api.exchange.example";

const logged = listenToConsole();
let tenant: CloudTenant;

beforeAll(async () => {
  tenant = await CloudTenant.begin("cloud-runs");
}, 30_000);

interface Case {
  readonly role: object;
  readonly trusts: (subject: string, texts: readonly RoleText[]) => readonly TrustInput[];
  readonly with: (key: string) => object;
  readonly host: string;
  /** What the object is stored as, and by whom; null: the service stores nothing. */
  readonly stored: ((key: string) => { readonly name: string; readonly by: object }) | null;
  readonly service: string | null;
}

const ISSUER = "https://id.showcaller.test/t/cloud-runs";
const subjectOf = (name: string): string => `tenant:cloud-runs:plan:${name}`;

const google = (account: string | null): Case => ({
  role: {
    ...{ provider: "gcp", workload_provider: account === null ? `${GOOGLE}-direct` : GOOGLE },
    ...(account === null ? {} : { service_account: account }),
    hosts: ["storage.googleapis.com"],
  },
  trusts: (subject) => [
    {
      ...{ kind: "gcp_provider", name: account === null ? `${GOOGLE}-direct` : GOOGLE, issuerUri: ISSUER },
      attributeMapping: { "google.subject": "assertion.sub" },
      attributeCondition: `assertion.sub == "${subject}"`,
    },
    {
      ...{ kind: "gcp_service_account", email: EMAIL },
      workloadIdentityUsers: [`principal://iam.googleapis.com/${POOL}/subject/${subjectOf("gcp")}`],
    },
    {
      ...{ kind: "gcp_bucket", name: "runs" },
      members: [
        `serviceAccount:${EMAIL}`,
        `principal://iam.googleapis.com/${POOL}/subject/${subjectOf("gcp-direct")}`,
      ],
    },
  ],
  with: (key) => ({ method: "PUT", url: `https://storage.googleapis.com/runs/${key}`, text: "Invoice" }),
  host: "storage.googleapis.com",
  stored: (key) => ({
    name: `gs://runs/${key}`,
    by: {
      principal:
        account === null
          ? `principal://iam.googleapis.com/${POOL}/subject/${subjectOf("gcp-direct")}`
          : `serviceAccount:${EMAIL}`,
    },
  }),
  service: "gcp",
});

/** By the name of role and plan. */
const CASES: Readonly<Record<string, Case>> = {
  aws: {
    role: {
      ...{ provider: "aws", role_arn: ROLE_ARN, region: "eu-central-1", duration_s: 900 },
      hosts: [S3],
    },
    trusts: (_, texts) => [
      { kind: "aws_provider", url: ISSUER, clientIds: ["sts.amazonaws.com"] },
      {
        ...{ kind: "aws_role", arn: ROLE_ARN },
        // As the API prints it, to be pasted.
        trust: JSON.parse(texts.find(({ form }) => form === "json")?.content ?? ""),
        permissions: {
          Version: "2012-10-17",
          Statement: [{ Effect: "Allow", Action: "s3:PutObject", Resource: "arn:aws:s3:::invoices/*" }],
        },
      },
    ],
    with: (key) => ({ method: "PUT", url: `https://${S3}/${key}`, json: { amount: 12 } }),
    host: S3,
    stored: (key) => ({
      name: `s3://invoices/${key}`,
      by: {
        session: `arn:aws:sts::${ACCOUNT}:assumed-role/runs-writer/plan.aws`,
        subject: subjectOf("aws"),
      },
    }),
    service: "aws",
  },
  gcp: google(EMAIL),
  "gcp-direct": google(null),
  azure: {
    role: {
      ...{ provider: "azure", directory: DIRECTORY, client_id: CLIENT },
      ...{ scope: "https://storage.azure.com/.default", hosts: [BLOBS] },
    },
    trusts: (subject) => [
      { kind: "azure_app", directory: DIRECTORY, clientId: CLIENT },
      {
        ...{ kind: "azure_credential", clientId: CLIENT, name: "runs", issuer: ISSUER, subject },
        audiences: ["api://AzureADTokenExchange"],
      },
      { kind: "azure_container", name: "runs", clientIds: [CLIENT] },
    ],
    with: (key) => ({
      ...{ method: "PUT", url: `https://${BLOBS}/runs/${key}`, text: "Invoice" },
      headers: { "x-ms-version": "2025-01-05", "x-ms-blob-type": "BlockBlob" },
    }),
    host: BLOBS,
    stored: (key) => ({ name: `azure://runs/${key}`, by: { clientId: CLIENT, subject: subjectOf("azure") } }),
    service: "azure",
  },
  exchange: {
    role: {
      ...{ provider: "token_exchange", token_url: "https://tokens.exchange.example/token" },
      ...{ scopes: ["notes.read"], hosts: [API] },
    },
    trusts: (subject) => [
      {
        ...{ kind: "exchange", issuer: ISSUER, audience: "https://tokens.exchange.example", subject },
        ...{ scopes: ["notes.read"], once: true },
      },
    ],
    with: () => ({ method: "GET", url: `https://${API}/whoami` }),
    host: API,
    stored: null,
    service: "exchange",
  },
  vault: {
    role: {
      provider: "vault",
      host: "vault.secrets.example",
      role: "runs",
      hosts: ["vault.secrets.example"],
    },
    trusts: (subject) => [
      { kind: "vault_mount", mount: "jwt", oidc_discovery_url: ISSUER },
      {
        ...{ kind: "vault_role", mount: "jwt", name: "runs", user_claim: "sub" },
        ...{ bound_audiences: ["https://vault.secrets.example"], bound_subject: subject },
        token_policies: ["runs/*"],
      },
    ],
    with: (key) => ({
      ...{ method: "PUT", url: `https://vault.secrets.example/v1/secret/data/runs/${key}` },
      json: { data: { paid: true } },
    }),
    host: "vault.secrets.example",
    stored: (key) => ({ name: `vault://runs/${key}`, by: { principal: subjectOf("vault") } }),
    service: "vault",
  },
  anthropic: {
    role: {
      ...{ provider: "anthropic", organization_id: ORGANIZATION, federation_rule_id: "fdrl_runs" },
      hosts: ["api.anthropic.com"],
    },
    trusts: (subject) => [
      {
        ...{
          kind: "anthropic_rule",
          id: "fdrl_runs",
          organization_id: ORGANIZATION,
          issuer: ISSUER,
          subject,
        },
        ...{ audience: "https://api.anthropic.com", check_jti: true },
      },
    ],
    with: () => ({
      ...{ method: "POST", url: "https://api.anthropic.com/v1/messages" },
      headers: { "anthropic-version": "2023-06-01" },
      json: {
        model: "claude-opus-4-1",
        max_tokens: 16,
        messages: [{ role: "user", content: "Is it paid?" }],
      },
    }),
    host: "api.anthropic.com",
    stored: null,
    service: "anthropic",
  },
  openrouter: {
    role: { provider: "openrouter", federation_policy_id: "policy-runs", hosts: ["openrouter.ai"] },
    trusts: (subject) => [
      { kind: "openrouter_rule", issuer: ISSUER, audience: "https://openrouter.ai", subject },
    ],
    with: () => ({
      ...{ method: "POST", url: "https://openrouter.ai/api/v1/chat/completions" },
      json: { model: "any", messages: [{ role: "user", content: "Is it paid?" }] },
    }),
    host: "openrouter.ai",
    stored: null,
    service: "openrouter",
  },
  jwt: {
    role: { provider: "jwt", audience: `https://${API}`, hosts: [API] },
    trusts: (subject) => [{ kind: "exchange", issuer: ISSUER, audience: `https://${API}`, subject }],
    with: () => ({ method: "GET", url: `https://${API}/whoami` }),
    host: API,
    stored: null,
    service: null,
  },
};

describe("a stored plan whose step has a cloud role", () => {
  it.each(Object.entries(CASES))(
    "%s: succeeds, stores once, and its use is in the audit",
    async (name, { role, trusts, with: filled, host, stored, service }) => {
      const texts = await tenant.role(name, { ...role, workflows: [`plan:${name}`] });
      await trust(...trusts(subjectOf(name), texts));
      await tenant.plan(name, {
        store: {
          action: "http",
          effect: "safe",
          with: { ...filled("${{ input.key }}"), auth: { cloud: name } },
        },
      });
      await tenant.publish();

      const key = crypto.randomUUID();
      const run = await tenant.run({ workflow: name, input: { key } });
      expect(run).toMatchObject({ status: "succeeded" });
      if (stored !== null) {
        const { items } = await referee<{ items: readonly { data: object }[] }>(
          "GET",
          `/deeds?key=${encodeURIComponent(stored(key).name)}`,
        );
        expect(items.map(({ data }) => data)).toMatchObject([stored(key)]);
      }
      if (service !== null)
        expect(await tenant.exchanges(service, subjectOf(name))).toMatchObject([
          { refused: null, token: { sub: subjectOf(name) } },
        ]);
      const uses = async () => tenant.uses(run.id);
      await vi.waitUntil(async () => (await uses()).length > 0, { timeout: 5_000, interval: 20 });
      const { provider } = role as { provider: string };
      expect(await uses()).toMatchObject([
        {
          target: name,
          detail: {
            ...{ unit: "store", attempt: 1, hosts: [host], ended: "success" },
            credential: { role: name, provider, subject: subjectOf(name), version: 1 },
          },
        },
      ]);
    },
    20_000,
  );

  it("tells whom it speaks for to a service that takes the identity token itself, and for how long", async () => {
    const { output } = await tenant.run({ workflow: "jwt", input: { key: "k" } });
    const { store } = (output as { value: { store: { body: { subject: string; life_ms: number } } } }).value;
    expect(store.body.subject).toBe(subjectOf("jwt"));
    expect(store.body.life_ms).toBeGreaterThan(500_000);
    expect(store.body.life_ms).toBeLessThanOrEqual(600_000);
  });

  it("is told what to change where the cloud does not trust it, and sends nothing", async () => {
    const arn = `arn:aws:iam::${ACCOUNT}:role/of-others`;
    await tenant.role("stranger", {
      ...{ provider: "aws", role_arn: arn, region: "eu-central-1", hosts: [S3] },
      workflows: ["plan:stranger"],
    });
    await tenant.plan("stranger", {
      store: {
        action: "http",
        effect: "safe",
        with: { method: "GET", url: `https://${S3}/of-others`, auth: { cloud: "stranger" } },
      },
    });
    const run = await tenant.run({ workflow: "stranger", input: {} });
    expect(run).toMatchObject({ status: "failed" });
    const failure = step(run, "store").failure;
    expect(failure).toMatchObject({ code: "cloud_role_misconfigured" });
    expect(failure?.hint).toContain(
      `iss "${ISSUER}", sub "${subjectOf("stranger")}", aud "sts.amazonaws.com"`,
    );
    expect(await tenant.uses(run.id)).toEqual([]);
  });
});

describe("a credential that its service no longer takes", () => {
  it("costs one exchange and one more request, and fails no step", async () => {
    const { with: filled } = CASES["aws"] ?? {};
    const put = (key: string, needs: readonly string[]) => ({
      ...{ action: "http", needs, with: { ...filled?.(key), auth: { cloud: "aws" } } },
    });
    await tenant.plan("aws", {
      first: put("${{ input.key }}-1", []),
      go: { action: "wait", needs: ["first"], with: { signal: "go" } },
      second: put("${{ input.key }}-2", ["go"]),
    });
    const key = crypto.randomUUID();
    const run = await tenant.start({ workflow: "aws", input: { key } });
    await run.until((seen) => step(seen, "go").status === "waiting");
    const before = await tenant.exchanges("aws");
    await referee("POST", "/clouds/expire", { service: "aws" });
    await tenant.send("POST", `/v1/runs/${run.id}/signals/go`, { id: "1", payload: null });
    const seen = await run.ended();
    expect(seen.status).toBe("succeeded");
    expect(step(seen, "second").attempts).toBe(1);
    expect(await tenant.exchanges("aws")).toHaveLength(before.length + 1);
    const { entries } = await ledgerSince<{ path: string; status: number }>();
    expect(entries.filter(({ path }) => path === `/${key}-2`).map(({ status }) => status)).toEqual([
      400, 200,
    ]);
  });
});

describe("a function that holds the credential itself", () => {
  it("is given it, and what it returns, says and logs has none of it", async () => {
    const { role, trusts } = CASES["azure"] ?? {};
    const subject = "tenant:cloud-runs:code:t-cloud-holds";
    const name = "holds";
    const texts = await tenant.role(name, {
      ...{ ...role, client_id: HOLDER, audience: "api://AzureADTokenExchange" },
      workflows: ["code:t-cloud-holds"],
    });
    const told = trusts?.(subject, texts) ?? [];
    await trust(...told.map((one) => ("clientId" in one ? { ...one, clientId: HOLDER } : one)));
    const run = await tenant.run({ workflow: "t-cloud-holds", input: {} });
    expect(run.status).toBe("succeeded");
    expect(run.output).toMatchObject({ value: { kind: "bearer", chars: expect.any(Number) } });
    const [exchanged] = await tenant.exchanges("azure", subject);
    expect(exchanged).toMatchObject({ refused: null, wanted: HOLDER });
    expect(JSON.stringify(run.output)).toContain("[REDACTED]");
  });
});

it("nothing that the clouds issued is kept, logged or answered", async () => {
  const { items } = await referee<{ items: readonly string[] }>("GET", "/clouds/secrets");
  expect(items.length).toBeGreaterThan(8);
  const kept = new Map(await everythingKept());
  kept.set("log", logged());
  const answers: string[] = [];
  const read = async (path: string): Promise<unknown> => {
    const text = await (await tenant.send("GET", path)).text();
    answers.push(text);
    return JSON.parse(text);
  };
  const { data } = (await read("/v1/runs?limit=100")) as { data: readonly { id: string }[] };
  expect(data.length).toBeGreaterThan(10);
  for (const { id } of data)
    for (const path of ["", "/events", "/output", "/graph"]) await read(`/v1/runs/${id}${path}`);
  for (const path of ["/v1/audit", "/v1/cloud-roles", "/v1/issuer"]) await read(path);
  kept.set("answers", answers);
  // The search sees what there is: roles, keys and uses, and no credential.
  for (const place of [
    "D1 cloud_roles",
    "D1 issuers",
    "D1 credential_uses",
    "issuer issuer",
    "run turns",
    "log",
  ])
    expect([place, kept.get(place)?.length ?? 0]).toEqual([place, expect.toSatisfy((count) => count > 0)]);
  expect(foundIn(kept, new Map(items.map((secret, i) => [secret, `secret ${i} of the clouds`])))).toEqual([]);
}, 30_000);
