/** Wires outgoing webhooks: endpoints in D1, their objects, their way out, and the runs that they are told of. */
import {
  chainOf,
  createAccessAudit,
  judgeRequest,
  makerStands,
  type PolicyDeps,
  tenantPolicy,
} from "./access/index.ts";
import { retryAfterMs } from "./actions/index.ts";
import { objectNamed } from "./compose-objects.ts";
import { type Egress, type EgressResult, type Logger, objectName } from "./platform/index.ts";
import {
  createEndpointListener,
  createEndpoints,
  type Endpoint,
  type EndpointListener,
  type EndpointPorts,
  type EndpointRpc,
  type Endpoints,
  type Maker,
  type Posted,
  selectWanting,
} from "./triggers/index.ts";
import type { Vault } from "./vault/index.ts";

/** As long as the specification recommends at least. */
const TIMEOUT_MS = 15_000;
/** Nothing of an answer is kept: it is read only so that the connection can be used again. */
const MAX_ANSWER_BYTES = 65_536;

export interface EndpointParts {
  readonly vault: () => Vault;
  readonly egress: Egress;
  readonly ownHosts: readonly string[];
  readonly policy: PolicyDeps;
  readonly log: Logger;
}

export interface ComposedEndpoints {
  readonly endpoints: Endpoints;
  /** The queue of an endpoint. Each call gives a fresh stub. */
  readonly queue: (tenant: string, endpoint: string) => EndpointRpc;
  readonly listener: EndpointListener;
  /** What an endpoint object is given when it is constructed. */
  readonly wiring: EndpointPorts;
}

type Ruling =
  | { readonly kind: "allowed" }
  | { readonly kind: "denied" | "unknown"; readonly message: string };

/** One of each per isolate. */
export function composeEndpoints(
  env: Env,
  { vault, egress, ownHosts, policy, log }: EndpointParts,
): ComposedEndpoints {
  const now = (): number => Date.now();
  const queue = (tenant: string, endpoint: string): EndpointRpc => endpointObject(env, tenant, endpoint);
  const listener = createEndpointListener({
    wanting: async (tenant) => selectWanting(env.DB, tenant),
    enqueue: async (tenant, endpoint, message) =>
      queue(tenant, endpoint).enqueue({ tenant, endpoint }, message),
    log,
    now,
  });

  /** A message is a request like any other: those who answer for it must be allowed to send it. */
  async function rule(tenant: string, { policies }: Maker, url: URL): Promise<Ruling> {
    const live = await tenantPolicy(policy, tenant, now());
    if (!live.ok) return { kind: "unknown", message: "The policy of the tenant cannot be read just now." };
    const request = { host: url.hostname, method: "POST", path: url.pathname };
    const verdict = judgeRequest(chainOf(live.value, policies), request);
    if (verdict.kind === "denied") return verdict;
    return verdict.approval
      ? { kind: "denied", message: `A policy asks for a decision on each request to ${url.hostname}.` }
      : verdict;
  }

  const endpoints = createEndpoints({
    ...{ db: env.DB, vault, ownHosts, audit: createAccessAudit(env.DB), log, now },
    async refusal(tenant, maker, url) {
      const ruling = await rule(tenant, maker, url);
      if (ruling.kind === "unknown") throw new Error(ruling.message);
      return ruling.kind === "denied" ? ruling.message : null;
    },
    makerStands: async (tenant, maker) => makerStands({ db: env.DB }, tenant, maker, now()),
    changed: (tenant) => {
      listener.forget(tenant);
    },
  });

  async function post(
    { tenant, url, maker }: Endpoint,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ): Promise<Posted> {
    const result = await egress({
      ...{ url, method: "POST", headers, body, timeoutMs: TIMEOUT_MS, maxResponseBytes: MAX_ANSWER_BYTES },
      // Follows no redirect.
      effect: "keyed",
      async permit({ url: address }) {
        const ruling = await rule(tenant, maker, address);
        if (ruling.kind === "allowed") return null;
        const code = ruling.kind === "denied" ? "policy_denied" : "policy_unavailable";
        return { code, message: ruling.message };
      },
    });
    return postedOf(result, now());
  }

  return {
    endpoints,
    queue,
    listener,
    wiring: {
      load: async (tenant, id) => endpoints.settingOf(tenant, id),
      post,
      disable: async (endpoint, reason, at) => endpoints.disableAs(endpoint, reason, at),
      ...{ log, now, random: () => Math.random() },
    },
  };
}

/** An answer whose body is too long, or breaks off, is an answer: the receiver said what it said by the status. */
function postedOf(result: EgressResult, now: number): Posted {
  if (result.kind === "answered")
    return {
      ...{ kind: "tried", status: result.status, code: null },
      retryAfterMs: retryAfterMs(result.headers, now),
    };
  if (result.kind === "blocked")
    return result.code === "policy_unavailable"
      ? { kind: "later", code: result.code }
      : { kind: "tried", status: null, retryAfterMs: null, code: result.code };
  const { code, answer } = result;
  if (code === "subrequest_limit") return { kind: "later", code };
  return {
    ...{ kind: "tried", status: answer?.status ?? null, code },
    retryAfterMs: answer === null ? null : retryAfterMs(answer.headers, now),
  };
}

function endpointObject(env: Env, tenant: string, endpoint: string): EndpointRpc {
  return objectNamed(env.ENDPOINT, env.DB, objectName("endpoint", tenant, endpoint)) as EndpointRpc;
}
