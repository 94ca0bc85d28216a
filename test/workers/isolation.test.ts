/**
 * Who cannot see or touch what, for every operation of the OpenAPI document that the Worker itself answers. An operation
 * without a rule in this table fails the test: a new route says here what it means to those whose it is not.
 */
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { isScopeGrant, type Scope, SCOPES } from "../../src/access/index.ts";
import { isForUsers } from "../../src/access/scopes.ts";
import { openApiDocument, ROUTES } from "../../src/api/index.ts";
import { objectName } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";

/** What somebody is answered who is not the one whose it is. */
type Outcome =
  /** As if there were no such thing. */
  | "not_found"
  | "insufficient_scope"
  | "user_wider"
  | "unknown_integration"
  /** It is done, in the asker's own tenant: nothing of the other's is in the answer. */
  | "own"
  /** The same for everybody. */
  | "shared";

interface Rule {
  /** An admin key of another tenant. */
  readonly stranger: Outcome;
  /** A key of the same tenant with every scope that such a key can have, bound to another user. */
  readonly otherUser: Outcome;
  /** Whose it is, and who must get through where the others do not. */
  readonly whose: "user" | "admin" | "root" | "everybody";
  /** In the place of the document's own example. */
  readonly body?: unknown;
}

const OF_RUN: Rule = { stranger: "not_found", otherUser: "not_found", whose: "user" };
const OF_TENANT: Rule = { stranger: "own", otherUser: "insufficient_scope", whose: "admin" };
const OF_KEY: Rule = { stranger: "not_found", otherUser: "insufficient_scope", whose: "admin" };
const OF_ROOT: Rule = { stranger: "insufficient_scope", otherUser: "insufficient_scope", whose: "root" };
const OF_APPROVAL: Rule = { stranger: "not_found", otherUser: "insufficient_scope", whose: "admin" };
/** Of everybody's own: the list of another tenant, and of another user, is another list. */
const LISTED: Rule = { stranger: "own", otherUser: "own", whose: "user" };
const SHARED: Rule = { stranger: "shared", otherUser: "shared", whose: "everybody" };

/** An app at a provider that the catalogue does not have. */
const APP = {
  provider: "oauth2",
  client_id: "isolation-app",
  client_secret: "isolation-client-secret",
  custom: {
    hosts: ["api.lender.example"],
    authorize_url: "https://lender.example/authorize",
    token_url: "https://lender.example/token",
  },
  scopes_default: ["read"],
  return_to: ["https://app.example/connected"],
};

/** What a tenant trusts. The Worker of the tests knows its own address, so tokens can be for it. */
const TRUST = {
  issuer: "https://issuer-of-isolation.example",
  rules: [{ subject: "repo:acme/shop:ref:refs/heads/main", scopes: ["runs:read"] }],
};

/** Of which Ada has posted one. */
const EVENT = "isolation.event";

/** A role whose trial asks nobody. */
const CLOUD = {
  provider: "jwt",
  audience: "https://api.taker.example",
  workflows: ["code:t-wait"],
  hosts: ["api.taker.example"],
};

/** Far from now: nothing of it starts by itself. */
const SCHEDULE = {
  timing: { kind: "once", at: Date.UTC(2200, 0, 1) },
  workflow: "t-wait",
};

const TABLE: Readonly<Record<string, Rule>> = {
  startRun: {
    stranger: "own",
    otherUser: "user_wider",
    whose: "user",
    body: { workflow: "t-wait", user: "ada" },
  },
  listRuns: LISTED,
  countRuns: LISTED,
  followRuns: LISTED,
  relistRuns: { ...OF_ROOT, body: { objects: [env.RUN.idFromName("nobody").toString()] } },
  getRun: OF_RUN,
  getStep: OF_RUN,
  explainRun: OF_RUN,
  exportRun: OF_RUN,
  getEvents: OF_RUN,
  cancelRun: OF_RUN,
  pauseRun: OF_RUN,
  resumeRun: OF_RUN,
  redriveRun: { ...OF_RUN, body: {} },
  resolveStep: OF_RUN,
  sendSignal: OF_RUN,
  appendSteps: { ...OF_RUN, body: { steps: { more: { action: "transform", with: { value: 1 } } } } },
  closeRun: OF_RUN,
  postEvent: {
    stranger: "own",
    otherUser: "user_wider",
    whose: "user",
    body: { name: EVENT, id: "of-another", user: "ada", data: { mark: "other" } },
  },
  getEvent: OF_RUN,
  listRecentEvents: LISTED,
  listApprovals: OF_RUN,
  getApproval: OF_RUN,
  decideApproval: OF_APPROVAL,
  linkApproval: { ...OF_APPROVAL, body: {} },
  listWorkflows: SHARED,
  getWorkflow: SHARED,
  // The queue of the same name in the asker's own tenant; of a tenant, all of it or nothing.
  getQueue: { stranger: "own", otherUser: "user_wider", whose: "admin" },
  putWorkflow: { ...OF_TENANT, body: { steps: { one: { action: "transform", with: { value: 1 } } } } },
  validatePlan: {
    ...SHARED,
    body: { plan: { steps: { one: { action: "transform", with: { value: 1 } } } } },
  },
  getPlanSchema: SHARED,
  createKey: OF_TENANT,
  listKeys: OF_TENANT,
  getKey: OF_KEY,
  revokeKey: OF_KEY,
  listQuotas: OF_TENANT,
  getPolicy: OF_TENANT,
  putPolicy: { ...OF_TENANT, body: { hosts: [{ host: "stranger.example" }] } },
  listAudit: OF_TENANT,
  eraseUser: { ...OF_TENANT, body: { user: "nobody-of-isolation" } },
  getErasure: OF_KEY,
  eraseRun: OF_KEY,
  createTenant: { ...OF_ROOT, body: { id: "made-by-isolation" } },
  listTenants: OF_ROOT,
  getTenant: OF_ROOT,
  putQuotas: OF_ROOT,
  createAdminKey: OF_ROOT,
  putRetention: OF_ROOT,
  exportTenant: OF_TENANT,
  listProviders: { stranger: "shared", otherUser: "insufficient_scope", whose: "admin" },
  createIntegration: { ...OF_TENANT, body: { ...APP, name: "made-by-isolation" } },
  listIntegrations: OF_TENANT,
  getIntegration: OF_KEY,
  changeIntegration: { ...OF_KEY, body: { scopes_default: ["read"] } },
  deleteIntegration: OF_KEY,
  createConnectSession: {
    stranger: "unknown_integration",
    otherUser: "user_wider",
    whose: "user",
    body: { integration: "lent", user: "ada" },
  },
  getConnectSession: OF_RUN,
  confirmConnectSession: OF_KEY,
  ticketConnectSession: OF_KEY,
  createConnection: {
    stranger: "unknown_integration",
    otherUser: "user_wider",
    whose: "user",
    body: { integration: "keyed", user: "ada", api_key: "another-key" },
  },
  listConnections: LISTED,
  getConnection: OF_RUN,
  deleteConnection: OF_RUN,
  // Of the kind that nobody consents to: seen, then.
  reconnect: OF_RUN,
  createGrantsLink: { stranger: "own", otherUser: "user_wider", whose: "user" },
  // Nobody but the tenant, also of one's own run.
  acceptConnection: OF_KEY,
  createTrustedIssuer: { ...OF_TENANT, body: { ...TRUST, name: "made-by-isolation" } },
  listTrustedIssuers: OF_TENANT,
  testToken: OF_TENANT,
  getTrustedIssuer: OF_KEY,
  putTrustedIssuer: { ...OF_KEY, body: TRUST },
  deleteTrustedIssuer: OF_KEY,
  createCloudRole: OF_TENANT,
  listCloudRoles: OF_TENANT,
  getCloudRole: OF_KEY,
  putCloudRole: { ...OF_KEY, body: CLOUD },
  deleteCloudRole: OF_KEY,
  getTrustPolicy: OF_KEY,
  testCloudRole: { ...OF_KEY, body: {} },
  createHook: OF_TENANT,
  listHooks: OF_TENANT,
  getHook: OF_KEY,
  putHook: OF_KEY,
  deleteHook: OF_KEY,
  addHookSecret: OF_KEY,
  endHookSecret: { ...OF_KEY, body: {} },
  listHookDeliveries: OF_KEY,
  redeliver: OF_KEY,
  testHook: OF_KEY,
  listSchedules: OF_TENANT,
  putSchedule: { ...OF_TENANT, body: SCHEDULE },
  getSchedule: OF_KEY,
  deleteSchedule: OF_KEY,
  pauseSchedule: OF_KEY,
  resumeSchedule: OF_KEY,
  triggerSchedule: OF_KEY,
  getScheduleLog: OF_KEY,
  // Where the policy that this table puts allows it.
  createEndpoint: { ...OF_TENANT, body: { url: "https://stranger.example/told", events: ["run.ended"] } },
  listEndpoints: OF_TENANT,
  getEndpoint: OF_KEY,
  changeEndpoint: { ...OF_KEY, body: { url: "https://stranger.example/changed" } },
  deleteEndpoint: OF_KEY,
  enableEndpoint: OF_KEY,
  disableEndpoint: OF_KEY,
  rotateEndpointKey: { ...OF_KEY, body: {} },
  endEndpointKey: OF_KEY,
  listEndpointMessages: OF_KEY,
  replayEndpointMessage: OF_KEY,
  replayFailedMessages: OF_KEY,
  pingEndpoint: OF_KEY,
  checkHealth: OF_ROOT,
  readMetrics: OF_ROOT,
  listVaultKeys: OF_ROOT,
  rewrapVault: OF_ROOT,
  dropVaultKey: OF_ROOT,
  openIdConfiguration: SHARED,
  issuerKeys: SHARED,
  getIssuer: OF_TENANT,
  rotateIssuer: OF_TENANT,
  revokeIssuerKey: OF_KEY,
  about: SHARED,
  exportAudit: OF_TENANT,
  verifyAudit: OF_TENANT,
  exportAuditOf: OF_ROOT,
  verifyAuditOf: OF_ROOT,
  health: SHARED,
  listProblems: SHARED,
  getProblem: SHARED,
  openApi: SHARED,
};

/** After these, others find nothing. */
const ENDS = new Set([
  ...["revokeKey", "deleteIntegration", "deleteConnection"],
  ...["deleteTrustedIssuer", "deleteCloudRole", "deleteHook", "deleteSchedule"],
  ...["deleteTrustedIssuer", "deleteCloudRole", "deleteEndpoint"],
]);

/** Stands in everything that the victim has. */
const MARK = "only-for-ada-7f3a";
const TENANT = "isolation-victim";
const ROLE = "lent-by-the-cloud";
const HOOK = "of-the-victim";
const USER_SCOPES = (Object.keys(SCOPES) as Scope[]).filter(isForUsers);
const POLICY = { hosts: [{ host: `${MARK}.example` }] };

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly example: unknown;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
}

interface WithExample {
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly example: unknown } } };
}

function operationsOf({ paths }: Document): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      id: operation.operationId,
      method: method.toUpperCase(),
      path,
      example: (operation as WithExample).requestBody?.content["application/json"].example,
    })),
  );
}

// The same function writes the document that the Worker answers; that both are the same is a test below.
const OPERATIONS = operationsOf(JSON.parse(JSON.stringify(openApiDocument(ROUTES))) as Document);
const CASES = OPERATIONS.map((one) => [`${one.method} ${one.path}`, one] as const);

let admin = "";
let stranger = "";
let ada = "";
let otherUser = "";
let victimKey = "";
let session = "";
let connection = "";
let signingKey = "";
let hookSecret = "";
let hookDelivery = "";
let endpoint = "";
let endpointKey = "";
let pinged = "";
let erasure = "";

beforeAll(async () => {
  admin = await newTenant(TENANT);
  stranger = await newTenant("isolation-stranger");
  const bound = { scopes: USER_SCOPES, expires_at: Date.now() + 3_000_000 };
  ada = await newKey(admin, { ...bound, user: "ada", name: MARK });
  otherUser = await newKey(admin, { ...bound, user: "bob" });
  const made = await send("POST", "/v1/keys", { key: admin, body: { name: MARK, scopes: ["runs:read"] } });
  victimKey = (await expectAnswer<{ id: string }>(made, "createKey", 201)).id;
  const integrations = [
    { ...APP, name: "lent" },
    { name: "keyed", provider: "api_key", custom: { hosts: ["api.keyed.example"] } },
  ];
  for (const body of integrations)
    await expectAnswer(
      await send("POST", "/v1/integrations", { key: admin, body }),
      "createIntegration",
      201,
    );
  const begun = await send("POST", "/v1/connect-sessions", { key: ada, body: { integration: "lent" } });
  session = (await expectAnswer<{ id: string }>(begun, "createConnectSession", 201)).id;
  const lent = { integration: "keyed", api_key: "key-of-ada", label: MARK };
  const connected = await send("POST", "/v1/connections", { key: ada, body: lent });
  connection = (await expectAnswer<{ id: string }>(connected, "createConnection", 201)).id;
  const issuer = await send("POST", "/v1/issuer/rotate", { key: admin });
  signingKey =
    (await expectAnswer<{ keys: { kid: string }[] }>(issuer, "rotateIssuer", 200)).keys[0]?.kid ?? "";
  const trusted = { ...TRUST, name: "trusted", rules: [{ ...TRUST.rules[0], subject: MARK }] };
  await expectAnswer(
    await send("POST", "/v1/trusted-issuers", { key: admin, body: trusted }),
    "createTrustedIssuer",
    201,
  );
  const role = { ...CLOUD, name: ROLE, claims: { mark: MARK } };
  await expectAnswer(
    await send("POST", "/v1/cloud-roles", { key: admin, body: role }),
    "createCloudRole",
    201,
  );
  const hook = {
    name: HOOK,
    workflow: "t-wait",
    scheme: { type: "github" },
    filter: `input.event != '${MARK}'`,
    secret: "a-secret-of-the-victim",
  };
  const hooked = await send("POST", "/v1/hooks", { key: admin, body: hook });
  const { secrets } = await expectAnswer<{ secrets: { id: string }[] }>(hooked, "createHook", 201);
  hookSecret = secrets[0]?.id ?? "";
  const tried = await send("POST", `/v1/hooks/${HOOK}/test`, { key: admin, body: { start: true } });
  hookDelivery = (await expectAnswer<{ id: string }>(tried, "testHook", 200)).id;
  const nightly = await send("PUT", "/v1/schedules/nightly", {
    key: admin,
    body: { ...SCHEDULE, tags: [MARK] },
  });
  await expectAnswer(nightly, "putSchedule", 201);
  const told = { url: `https://api.bench.example/${MARK}`, events: ["run.ended"], description: MARK };
  const created = await send("POST", "/v1/endpoints", { key: admin, body: told });
  const first = await expectAnswer<{ id: string; key: { id: string } }>(created, "createEndpoint", 201);
  [endpoint, endpointKey] = [first.id, first.key.id];
  // Replaced, so that it can be ended.
  await send("POST", `/v1/endpoints/${endpoint}/keys`, { key: admin });
  const ping = await send("POST", `/v1/endpoints/${endpoint}/ping`, { key: admin });
  pinged = (await expectAnswer<{ message: string }>(ping, "pingEndpoint", 200)).message;
  await expectAnswer(await send("PUT", "/v1/policy", { key: admin, body: POLICY }), "putPolicy", 200);
  const erased = await send("POST", "/v1/erasures", { key: admin, body: { user: MARK } });
  erasure = (await expectAnswer<{ id: string }>(erased, "eraseUser", 202)).id;
  const event = { name: EVENT, id: "of-ada", tags: [MARK] };
  await expectAnswer(await send("POST", "/v1/events", { key: ada, body: event }), "postEvent", 202);
  // Nothing of it is under way any more: what is seen of it does not change by itself.
  await runDurableObjectAlarm(env.EVENTS.getByName(objectName("events", TENANT, EVENT)));
});

/** A run of Ada's that waits, for an approval where the operation is about one, and that has something to tell. */
async function newRun({ path }: Operation): Promise<string> {
  const tags = [MARK];
  const body = path.includes("approvals")
    ? { workflow: "t-approval", input: { price: 1 }, tags }
    : { workflow: "t-wait", open: true, tags };
  const run = await expectAnswer<RunView>(
    await send("POST", "/v1/runs", { key: ada, body }),
    "startRun",
    202,
  );
  return run.id;
}

/** All that can be seen of the victim's, by those who may. */
async function victim(run: string): Promise<unknown> {
  const read = async (path: string, key: string): Promise<unknown> =>
    (await send("GET", path, { key })).json();
  const keys = (await read("/v1/keys?limit=100", admin)) as {
    data: { id: string; revoked_at: number | null }[];
  };
  return {
    run: await read(`/v1/runs/${run}`, ada),
    policy: await read("/v1/policy", admin),
    integrations: await read("/v1/integrations", admin),
    session: await read(`/v1/connect-sessions/${session}`, ada),
    event: await read(`/v1/events/${EVENT}/of-ada`, ada),
    connection: await read(`/v1/connections/${connection}`, ada),
    issuer: await read("/v1/issuer", admin),
    trusted: await read("/v1/trusted-issuers/trusted", admin),
    roles: await read("/v1/cloud-roles", admin),
    hook: await read(`/v1/hooks/${HOOK}`, admin),
    schedules: await read("/v1/schedules", admin),
    schedule: await read("/v1/schedules/nightly", admin),
    ticks: await read("/v1/schedules/nightly/log", admin),
    endpoint: await read(`/v1/endpoints/${endpoint}`, admin),
    messages: await read(`/v1/endpoints/${endpoint}/messages`, admin),
    keys: keys.data.map(({ id, revoked_at }) => [id, revoked_at]),
    tenants: await env.DB.prepare("SELECT count(*) AS n FROM tenants").first(),
  };
}

function ask(
  { id, method, path, example }: Operation,
  run: string,
  key: string | undefined,
): Promise<Response> {
  const values: Readonly<Record<string, string>> = {
    run,
    approval: `${run}.ok.g1`,
    step: "ask",
    name: path.includes("trusted-issuers") ? "trusted" : path.includes("/hooks/") ? HOOK : "go",
    secret: hookSecret,
    delivery: hookDelivery,
    erasure,
    workflow: id === "putWorkflow" ? "isolation-plan" : "t-wait",
    key: victimKey,
    tenant: TENANT,
    code: "not_found",
    integration: "lent",
    session,
    connection,
    user: "ada",
    issuer: TENANT,
    role: ROLE,
    // Else a stranger has one of this name, too.
    schedule: id === "putSchedule" ? "made-by-isolation" : "nightly",
    event: EVENT,
    event_id: "of-ada",
    // Of the vault, that of the tests: active, so in use.
    kid: { revokeIssuerKey: signingKey, endEndpointKey: endpointKey }[id] ?? "k1",
    endpoint,
    message: pinged,
  };
  const address = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`Say in this test what stands for {${name}}.`);
    return value;
  });
  const body: unknown = TABLE[id]?.body ?? example;
  const content = method === "GET" || body === undefined ? {} : { body };
  // The name that verifiers know.
  const headers = path.startsWith("/t/") ? { host: "id.showcaller.test" } : {};
  return send(method, address, { ...content, headers, ...(key === undefined ? {} : { key }) });
}

async function expectOutcome(response: Response, outcome: Outcome): Promise<void> {
  switch (outcome) {
    case "not_found":
      await expectProblem(response.clone(), 404, "not_found");
      break;
    case "insufficient_scope":
    case "user_wider":
      await expectProblem(response.clone(), 403, outcome);
      break;
    case "unknown_integration":
      await expectProblem(response.clone(), 422, outcome);
      break;
    case "own":
    case "shared":
      expect(response.status).toBeLessThan(300);
  }
  const text = await response.text();
  expect(text).not.toContain(MARK);
  if (outcome !== "shared") expect(text).not.toContain(`"tenant":"${TENANT}"`);
}

function ruleOf(id: string): Rule {
  const rule = TABLE[id];
  if (rule === undefined) throw new Error(`${id} has no rule in the table of this test.`);
  return rule;
}

test("every operation has a rule here, every rule has an operation, and the Worker answers this document", async () => {
  expect(Object.keys(TABLE).toSorted()).toEqual(OPERATIONS.map(({ id }) => id).toSorted());
  const answered = (await (await send("GET", "/openapi.json")).json()) as Document;
  expect(operationsOf(answered)).toEqual(OPERATIONS);
});

describe("an admin key of another tenant", () => {
  test.each(CASES)("%s", async (_, operation) => {
    const run = await newRun(operation);
    const before = await victim(run);
    await expectOutcome(await ask(operation, run, stranger), ruleOf(operation.id).stranger);
    expect(await victim(run)).toEqual(before);
  });
});

describe("a key that is bound to another user of the tenant", () => {
  test.each(CASES)("%s", async (_, operation) => {
    const run = await newRun(operation);
    const before = await victim(run);
    await expectOutcome(await ask(operation, run, otherUser), ruleOf(operation.id).otherUser);
    expect(await victim(run)).toEqual(before);
  });
});

describe("a key of the tenant with every scope but the one", () => {
  const guarded = CASES.filter(([, { id }]) => ROUTES.find((route) => route.id === id)?.rule !== "public");
  test.each(guarded)("%s", async (_, operation) => {
    const rule = ROUTES.find((route) => route.id === operation.id)?.rule ?? "";
    // What any key may do to itself needs a scope where it is done to another.
    const needed = rule === "any key" ? "keys" : rule;
    const scopes = Object.keys(SCOPES).filter((scope) => scope !== needed && !scope.startsWith(`${needed}:`));
    const key = await newKey(admin, { scopes });
    const run = await newRun(operation);
    const before = await victim(run);
    await expectOutcome(await ask(operation, run, key), "insufficient_scope");
    expect(await victim(run)).toEqual(before);
    expect(rule === "root" || rule === "any key" || isScopeGrant(rule)).toBe(true);
  });
});

describe("nobody's key", () => {
  test.each(CASES.filter(([, { id }]) => TABLE[id]?.whose !== "everybody"))("%s", async (_, operation) => {
    await expectProblem(await ask(operation, await newRun(operation), undefined), 401, "credentials_missing");
  });
});

describe("the one whose it is gets through, so what the others meet is no accident", () => {
  // Last of all: some of them change what the tests above look at.
  test.each(CASES.toSorted(([, a], [, b]) => Number(ENDS.has(a.id)) - Number(ENDS.has(b.id))))(
    "%s",
    async (_, operation) => {
      const { whose } = ruleOf(operation.id);
      const keys = { user: ada, admin, root: env.ROOT_API_KEY ?? "", everybody: ada } as const;
      const { status } = await ask(operation, await newRun(operation), keys[whose]);
      // 409: a run in another state; 422: a code that is not the session's. It was seen, then.
      expect([200, 201, 202, 204, 409, 422]).toContain(status);
    },
  );
});
