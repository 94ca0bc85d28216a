/** Names, ids, and the names of Durable Objects. */
import { canonicalJson } from "./canonical.ts";
import { hmac } from "./digest.ts";
import { base32 } from "./encoding.ts";

const ID_BYTES = 16;
/** 16 bytes are 26 characters; the last holds 3 bits of them, so it is one of 8. */
const ID_BODY = "[0-9a-hjkmnp-tv-z]{25}[048cgmrw]";
const RUN_ID = new RegExp(`^run_${ID_BODY}$`);
const CONNECTION_ID = new RegExp(`^conn_${ID_BODY}$`);
const GRANT_LINK_ID = new RegExp(`^gl_${ID_BODY}$`);
const SESSION_ID = new RegExp(`^cs_${ID_BODY}$`);

/** The grammar of every name in the product: workflows, steps, tenants, integrations, hooks. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const EVENT_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/**
 * A tenant's id is shorter than other names: `tenant:<id>:code:<name>`, the subject of our identity tokens, must fit into
 * the 127 bytes that Google Cloud allows.
 */
const TENANT_ID = /^[a-z0-9][a-z0-9_-]{0,47}$/;

/** Every class of Durable Object. */
export const OBJECT_KINDS = [
  "run",
  "directory",
  "connection",
  "credential",
  "issuer",
  "schedule",
  "events",
  "endpoint",
  "flow",
  "hook",
  "quota",
] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];

export function isName(text: string): boolean {
  return NAME.test(text);
}

/** As of other names, but with dots. */
export function isEventName(text: string): boolean {
  return EVENT_NAME.test(text);
}

export function isTenantId(text: string): boolean {
  return TENANT_ID.test(text);
}

export function isRunId(text: string): boolean {
  return RUN_ID.test(text);
}

/** `<prefix>_` and 128 random bits: `run_`, `req_`, `key_`, `cs_`, `gl_`, `role_`, `iss_`, `hook_`, `sec_`, `dlv_`, `ep_`, `epk_`, `msg_`, `evt_`, `era_`. Says nothing about when it was made. */
export function randomId(
  prefix:
    | "run"
    | "era"
    | "req"
    | "key"
    | "cs"
    | "gl"
    | "role"
    | "iss"
    | "hook"
    | "sec"
    | "dlv"
    | "ep"
    | "epk"
    | "msg"
    | "evt",
): string {
  return `${prefix}_${base32(crypto.getRandomValues(new Uint8Array(ID_BYTES)))}`;
}

/** Who asks for a run, and with which idempotency key. */
export interface RunSource {
  readonly tenant: string;
  readonly kind: "api" | "hook" | "schedule" | "event" | "run";
  /** Within the kind: the API key's user, the hook, the schedule, the parent run. "" where there is none. */
  readonly id: string;
  readonly idempotencyKey: string;
}

/**
 * The id of the one run that a source may start with an idempotency key. The server key keeps others from computing it.
 * PERSISTED CONTRACT: a change makes the next start with an old key a second run.
 */
export async function runIdOf(serverKey: CryptoKey, source: RunSource): Promise<string> {
  const text = canonicalJson(["run.v1", source.tenant, source.kind, source.id, source.idempotencyKey]);
  return `run_${base32((await hmac(serverKey, text)).subarray(0, ID_BYTES))}`;
}

/** The place that a connection fills. */
export interface ConnectionSlot {
  readonly tenant: string;
  readonly integration: string;
  /** `tenant`, or `user:` and the end user. */
  readonly owner: string;
  readonly account: string;
}

/**
 * The id of the one connection of a slot, known before there is any. PERSISTED CONTRACT: a change loses every connection.
 */
export async function connectionIdOf(serverKey: CryptoKey, slot: ConnectionSlot): Promise<string> {
  const { tenant, integration, owner, account } = slot;
  const text = canonicalJson(["connection.v1", tenant, integration, owner, account]);
  return `conn_${base32((await hmac(serverKey, text)).subarray(0, ID_BYTES))}`;
}

export function isConnectionId(text: string): boolean {
  return CONNECTION_ID.test(text);
}

/**
 * The id of the connect session of a waiting step: the same whoever looks, so that one wait has one link. PERSISTED CONTRACT
 * for as long as a step may wait.
 */
export async function sessionIdOfWait(
  serverKey: CryptoKey,
  wait: { readonly tenant: string; readonly run: string; readonly unit: string; readonly since: number },
): Promise<string> {
  const text = canonicalJson(["connect_session.v1", wait.tenant, wait.run, wait.unit, wait.since]);
  return `cs_${base32((await hmac(serverKey, text)).subarray(0, ID_BYTES))}`;
}

export function isGrantLinkId(text: string): boolean {
  return GRANT_LINK_ID.test(text);
}

export function isSessionId(text: string): boolean {
  return SESSION_ID.test(text);
}

/**
 * The name of a Durable Object, for `getByName`. Colons separate the parts and no part can hold one, so no two objects
 * share a name. Throws a TypeError if a part breaks the grammar: whoever calls has to check what came from outside.
 */
export function objectName(kind: ObjectKind, tenant: string, id: string): string {
  if (!OBJECT_KINDS.includes(kind)) throw new TypeError("There is no such kind of object.");
  if (!isTenantId(tenant)) throw new TypeError("The tenant of an object breaks the grammar of tenant ids.");
  if (!isName(id) && !(kind === "events" && isEventName(id)))
    throw new TypeError(`The id of a ${kind} object breaks the grammar of names.`);
  return `${kind}:${tenant}:${id}`;
}
