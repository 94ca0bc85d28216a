import { env, exports } from "cloudflare:workers";
import { expect } from "vitest";
import {
  type AccessDeps,
  checkRootKey,
  createKey,
  createKeyCache,
  createPlaces,
  createTenantCache,
  type Identity,
  type KeyRequest,
  type Policy,
  type TenantSettings,
} from "../../src/access/index.ts";
import * as answers from "../../src/api/answer-schemas.ts";
import { type ApiDeps, createApi, createLinks, ROUTES } from "../../src/api/index.ts";
import { createPlansStore, createStoredPlans } from "../../src/define/index.ts";
import type { Gate } from "../../src/quotas/index.ts";
import { createLogger, importHmacKey } from "../../src/platform/index.ts";

export const ROOT_KEY = "root-key-of-the-api-tests-0123456789";
export const ORIGIN = "https://showcaller.test";

export interface Client {
  /** Lines of the log, newest last. */
  readonly lines: readonly string[];
  readonly deps: ApiDeps;
  send(method: string, path: string, options?: Sending): Promise<Response>;
}

export interface Sending {
  readonly key?: string;
  readonly body?: unknown;
  readonly raw?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A tenant that may have and do everything. */
export const openGate: Gate = {
  request: async () => null,
  spare: () => true,
  delivery: async () => null,
  session: async () => null,
  start: async () => ({
    kind: "admitted",
    permit: { giveBack: () => undefined, settled: () => undefined },
  }),
};

/** One isolate of the API, with the real rooms behind it where they are not replaced. */
export function client(replaced: Partial<ApiDeps> & Pick<ApiDeps, "runs" | "workflows" | "runIdOf">): Client {
  const links = createLinks(() => importHmacKey(new Uint8Array(32).fill(7)));
  const lines: string[] = [];
  const log = createLogger("debug", (_, line) => lines.push(line));
  const access: AccessDeps = {
    db: env.DB,
    cache: createKeyCache(),
    ...{ policies: createTenantCache<Policy | null>(), settings: createTenantCache<TenantSettings>() },
    places: createPlaces(),
    rootKey: checkRootKey(ROOT_KEY),
    trust: null,
    log,
    defer: (work) => void work,
  };
  const plans = createStoredPlans(createPlansStore(env.DB));
  const elsewhere = async (): Promise<never> => {
    throw new Error("The directory was reached.");
  };
  const directory = {
    ...{ shards: 1, page: elsewhere, counts: elsewhere, changes: elsewhere, sweep: elsewhere },
    erase: elsewhere,
    ...{ metrics: elsewhere, count: elsewhere },
    report: async () => {},
    live: elsewhere,
  };
  const deps: ApiDeps = {
    ...{
      access,
      plans,
      log,
      links,
      directory,
      metrics: { families: elsewhere },
      relist: elsewhere,
      now: () => Date.now(),
    },
    checkAuth: async () => undefined,
    hasJurisdiction: () => true,
    queues: { standing: elsewhere, view: elsewhere },
    audit: { sweep: elsewhere, export: elsewhere, verify: elsewhere },
    quotas: { gate: openGate, view: elsewhere },
    vault: () => {
      throw new Error("The vault was reached.");
    },
    connections: () => {
      throw new Error("The connections room was reached.");
    },
    issuer: () => null,
    identity: () => {
      throw new Error("The identity room was reached.");
    },
    hooks: () => {
      throw new Error("The triggers room was reached.");
    },
    erasures: () => ({
      ...{ begin: elsewhere, find: elsewhere, eraseRun: elsewhere, tick: elsewhere },
      isErasing: async () => false,
    }),
    noteUserEvent: async () => {},
    schedules: {
      ...{ list: elsewhere, put: elsewhere, view: elsewhere, log: elsewhere, pause: elsewhere },
      ...{ resume: elsewhere, trigger: elsewhere, remove: elsewhere, sweep: elsewhere },
    },
    endpoints: {
      get desk(): never {
        throw new Error("The endpoints were reached.");
      },
      queue: () => {
        throw new Error("The queue of an endpoint was reached.");
      },
    },
    audienceOf: () => null,
    events: () => {
      throw new Error("The events were reached.");
    },
    ...{ publicOrigin: null, pages: async () => null },
    ...replaced,
  };
  const app = createApi(deps);
  return {
    lines,
    deps,
    send: async (method, path, options = {}) => app.fetch(requestOf(method, path, options)),
  };
}

/** The whole Worker as it is deployed, with the workflows of the tests. */
export async function send(method: string, path: string, options: Sending = {}): Promise<Response> {
  return exports.default.fetch(requestOf(method, path, options));
}

function requestOf(method: string, path: string, { key, body, raw, headers = {} }: Sending): Request {
  const sent = body === undefined ? raw : JSON.stringify(body);
  return new Request(ORIGIN + path, {
    redirect: "manual",
    method,
    ...(sent === undefined ? {} : { body: sent }),
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(sent === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
  });
}

/** A new tenant of the Worker, with an admin key. */
export async function newTenant(id: string): Promise<string> {
  const root = env.ROOT_API_KEY ?? "";
  await expectAnswer(await send("POST", "/v1/tenants", { key: root, body: { id } }), "createTenant", 201);
  const made = await send("POST", `/v1/tenants/${id}/keys`, { key: root, body: { name: "admin" } });
  return (await expectAnswer<{ key: string }>(made, "createAdminKey", 201)).key;
}

/** A narrower key, made over HTTP. */
export async function newKey(maker: string, body: Readonly<Record<string, unknown>>): Promise<string> {
  const made = await send("POST", "/v1/keys", { key: maker, body: { name: "test", scopes: ["*"], ...body } });
  return (await expectAnswer<{ key: string }>(made, "createKey", 201)).key;
}

/** A key of a tenant as its admin would make it. `scopes: ["*"]` unless said otherwise. */
export async function makeKey(
  { deps }: Client,
  tenant: string,
  request: Partial<KeyRequest> = {},
  now = Date.now(),
): Promise<{ readonly text: string; readonly id: string }> {
  const root: Identity = { kind: "root" };
  const admin: Identity = {
    kind: "key",
    tenant,
    keyId: "",
    user: null,
    scopes: new Set(["*"]),
    policies: [],
    expiresAt: null,
  };
  const first = await createKey(deps.access, root, { name: "admin", tenant }, now);
  if (!first.ok) throw new Error(first.error.code);
  const maker: Identity = { ...admin, keyId: first.value.key.id };
  const made = await createKey(deps.access, maker, { name: "test", scopes: ["*"], ...request }, now);
  if (!made.ok) throw new Error(`${made.error.code}: ${made.error.message}`);
  return { text: made.value.text, id: made.value.key.id };
}

export interface ProblemBody {
  readonly code: string;
  readonly detail: string;
  readonly errors?: readonly {
    readonly pointer?: string;
    readonly parameter?: string;
    readonly header?: string;
  }[];
}

/** Holds an answer to be a problem of this code, complete, and with what its status asks for. */
export async function expectProblem(response: Response, status: number, code: string): Promise<ProblemBody> {
  const text = await response.text();
  expect(`${response.status} ${text}`).toContain(`${status} {`);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = answers.ProblemDetails.schema().parse(JSON.parse(text)) as ProblemBody & {
    readonly request_id: string;
    readonly status: number;
  };
  expect(body.code).toBe(code);
  expect(body.status).toBe(status);
  expect(body.request_id).toBe(response.headers.get("x-request-id"));
  if (status === 401 || code === "insufficient_scope")
    expect(response.headers.get("www-authenticate")).toContain("Bearer");
  return body;
}

/** Reads a JSON answer and holds it against the schema that its route names for this status. */
export async function expectAnswer<T>(response: Response, id: string, status: number): Promise<T> {
  const text = await response.text();
  expect(`${response.status} ${text}`).toContain(`${status} {`);
  expect(response.headers.get("content-type")).toBe("application/json");
  const value: unknown = JSON.parse(text);
  const spec = ROUTES.find((route) => route.id === id)?.answers.find((answer) => answer.status === status);
  expect(spec).toBeDefined();
  const checked = spec?.schema?.schema().safeParse(value);
  expect(checked?.error?.issues).toBeUndefined();
  return value as T;
}
