/**
 * Endpoints as a tenant manages them, and as their objects need them. Owns the order of checks, audit and writes; the tables are
 * the store's, what is sent is the object's. Whether the caller may is the door's to ask.
 *
 * - G1 the audit says what is to be done before it is done.
 * - G2 a key is sealed before it is kept; its text is in one answer, once, and that of an Ed25519 key in none.
 * - G3 an endpoint and its keys are reached by the tenant's own id only.
 * - G4 whoever says where an endpoint is sent to, or that it goes on, answers for it from then on: it is sent in their name,
 *      under the policies that they stand under.
 */
import {
  type AuditSink,
  checkUrl,
  err,
  type Logger,
  ok,
  randomId,
  type Result,
} from "../../platform/index.ts";
import type { Vault } from "../../vault/index.ts";
import { newStandardKey, publicTextOf } from "../schemes/standard-keys.ts";
import type { Maker } from "../start-port.ts";
import type { DisabledReason, Endpoint, EndpointDraft, EndpointKey, KeyKind, Setting } from "./endpoint.ts";
import {
  deleteEndpoint,
  disableEndpoint,
  endKey,
  insertEndpoint,
  replaceKeys,
  type SealedKey,
  selectEndpoint,
  selectEndpoints,
  selectKeys,
  selectWithKeys,
  updateEndpoint,
  keyPlace,
} from "./endpoints-store.ts";
import { rotateKeys } from "./signing.ts";

export interface EndpointsDeps {
  readonly db: D1Database;
  readonly vault: () => Vault;
  /** Names of this deployment: nothing is sent there. */
  readonly ownHosts: readonly string[];
  /** Why the maker may not send there; null: they may. Rejects while that cannot be known. */
  readonly refusal: (tenant: string, maker: Maker, url: URL) => Promise<string | null>;
  readonly makerStands: (tenant: string, maker: Maker) => Promise<boolean>;
  /** Something of the tenant's endpoints is other than it was, in this isolate. */
  readonly changed: (tenant: string) => void;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface EndpointAsking {
  readonly tenant: string;
  readonly maker: Maker;
}

export type EndpointRefusal =
  /** JSON pointer into the request. */
  | { readonly code: "flawed" | "denied"; readonly pointer: string; readonly detail: string }
  /** `conflict`: it was changed meanwhile. */
  | { readonly code: "not_found" | "too_many" | "conflict" | "newest_key" };

export interface Judged {
  readonly endpoint: Endpoint;
  /** Whether its maker may still act. */
  readonly stands: boolean;
}

export interface WithKeys extends Judged {
  readonly keys: readonly EndpointKey[];
}

/** A key that was made. `text`: of a shared one what the receiver verifies with, this once; null: its public key is enough. */
export interface MadeKey {
  readonly key: EndpointKey;
  readonly text: string | null;
}

export type Endpoints = ReturnType<typeof createEndpoints>;

export function createEndpoints(deps: EndpointsDeps) {
  const { db, vault, ownHosts, audit, log, now } = deps;

  /** G1. */
  const tell = async (
    { tenant, maker }: EndpointAsking,
    action: string,
    target: string,
    detail: Readonly<Record<string, string>> = {},
  ): Promise<number> => {
    const at = now();
    await audit.write({ at, tenant, actor: maker.actor, action, target, outcome: "granted", detail });
    return at;
  };
  const found = async (tenant: string, id: string): Promise<Result<Endpoint, EndpointRefusal>> => {
    const endpoint = await selectEndpoint(db, tenant, id);
    return endpoint === null ? err({ code: "not_found" }) : ok(endpoint);
  };
  /** The address as it is kept and sent to. */
  const addressOf = async (
    { tenant, maker }: EndpointAsking,
    written: string,
  ): Promise<Result<string, EndpointRefusal>> => {
    const url = checkUrl(written, { ownHosts });
    if (!url.ok)
      return err({ code: "flawed", pointer: "/url", detail: url.error.message.replace("called", "sent to") });
    const refusal = await deps.refusal(tenant, maker, url.value);
    return refusal === null ? ok(url.value.href) : err({ code: "denied", pointer: "/url", detail: refusal });
  };
  /** G2. */
  const newKey = async (
    tenant: string,
    endpoint: string,
    kind: KeyKind,
    n: number,
    at: number,
  ): Promise<{ readonly sealed: SealedKey; readonly made: MadeKey }> => {
    const text = newStandardKey(kind);
    const key: EndpointKey = {
      ...{ id: randomId("epk"), kind, madeAt: at, until: null },
      publicKey: kind === "ed25519" ? await publicTextOf(text) : null,
    };
    const sealed = await vault().seal(keyPlace(tenant, endpoint, key.id), text);
    return { sealed: { ...key, n, sealed }, made: { key, text: kind === "hmac" ? text : null } };
  };
  /** Without one that was replaced and does not open its receivers fail, and all others go on; the newest is waited for. */
  const openAll = async (
    { tenant, id }: Endpoint,
    sealed: readonly SealedKey[],
  ): Promise<Pick<Setting, "keys" | "texts">> => {
    const keys: EndpointKey[] = [];
    const texts = new Map<string, string>();
    let missing = false;
    for (const key of sealed) {
      const opened = await vault().open(keyPlace(tenant, id, key.id), key.sealed);
      if (opened.ok) {
        keys.push(key);
        texts.set(key.id, opened.value);
        continue;
      }
      const { code } = opened.error;
      log.error("endpoint.key_not_opened", { tenant, endpoint: id, id: key.id, code });
      // A keyring that does not have the key is not the right one yet.
      missing ||= code === "unknown_key" || key.until === null;
    }
    return { keys, texts: missing ? null : texts };
  };
  const written = async (
    asking: EndpointAsking,
    before: Endpoint,
    draft: EndpointDraft & Pick<Endpoint, "maker" | "disabled">,
    since: number | null,
    at: number,
  ): Promise<Result<Endpoint, EndpointRefusal>> => {
    const after = await updateEndpoint(db, before, draft, since, at);
    deps.changed(asking.tenant);
    return after === null ? err({ code: "conflict" }) : ok(after);
  };

  return {
    async list(tenant: string): Promise<Judged[]> {
      const all = await selectEndpoints(db, tenant);
      return Promise.all(
        all.map(async (endpoint) => ({
          endpoint,
          stands: await deps.makerStands(tenant, endpoint.maker),
        })),
      );
    },

    async find(tenant: string, id: string): Promise<Result<WithKeys, EndpointRefusal>> {
      const whole = await selectWithKeys(db, tenant, id, now());
      if (whole === null) return err({ code: "not_found" });
      return ok({ ...whole, stands: await deps.makerStands(tenant, whole.endpoint.maker) });
    },

    /** Rejects while nothing can be sealed. */
    async create(
      asking: EndpointAsking,
      draft: EndpointDraft,
      kind: KeyKind,
    ): Promise<Result<{ readonly endpoint: Endpoint; readonly made: MadeKey }, EndpointRefusal>> {
      const url = await addressOf(asking, draft.url);
      if (!url.ok) return url;
      const id = randomId("ep");
      const at = await tell(asking, "endpoint.create", id, { host: new URL(url.value).hostname });
      const { sealed, made } = await newKey(asking.tenant, id, kind, 1, at);
      const endpoint: Endpoint = {
        ...draft,
        ...{ url: url.value, tenant: asking.tenant, id, maker: asking.maker, disabled: null },
        ...{ since: at, version: 1, createdAt: at, createdBy: asking.maker.actor, updatedAt: at },
      };
      if (!(await insertEndpoint(db, endpoint, sealed, vault().active))) return err({ code: "too_many" });
      deps.changed(asking.tenant);
      return ok({ endpoint, made });
    },

    /** G4. What is missing stays; an address that is another one has a new beginning. */
    async change(
      asking: EndpointAsking,
      id: string,
      wanted: Partial<EndpointDraft>,
    ): Promise<Result<Endpoint, EndpointRefusal>> {
      const before = await found(asking.tenant, id);
      if (!before.ok) return before;
      const url = await addressOf(asking, wanted.url ?? before.value.url);
      if (!url.ok) return url;
      const at = await tell(asking, "endpoint.change", id, { host: new URL(url.value).hostname });
      const { types, description, disabled } = before.value;
      const draft = { types, description, ...wanted, url: url.value, maker: asking.maker, disabled };
      return written(asking, before.value, draft, url.value === before.value.url ? null : at, at);
    },

    /** G4. What failed before is forgotten. Of one that is not disabled, too: whoever asks answers for it from now on. */
    async enable(asking: EndpointAsking, id: string): Promise<Result<Endpoint, EndpointRefusal>> {
      const before = await found(asking.tenant, id);
      if (!before.ok) return before;
      const url = await addressOf(asking, before.value.url);
      if (!url.ok) return url;
      const at = await tell(asking, "endpoint.enable", id);
      return written(asking, before.value, { ...before.value, maker: asking.maker, disabled: null }, at, at);
    },

    async disable(asking: EndpointAsking, id: string): Promise<Result<Endpoint, EndpointRefusal>> {
      const before = await found(asking.tenant, id);
      if (!before.ok || before.value.disabled !== null) return before;
      const at = await tell(asking, "endpoint.disable", id);
      const disabled = { reason: "by_request", at } as const;
      return written(asking, before.value, { ...before.value, disabled }, null, at);
    },

    async remove(asking: EndpointAsking, id: string): Promise<Result<null, EndpointRefusal>> {
      const before = await found(asking.tenant, id);
      if (!before.ok) return before;
      await tell(asking, "endpoint.delete", id);
      const gone = await deleteEndpoint(db, asking.tenant, id);
      deps.changed(asking.tenant);
      return gone ? ok(null) : err({ code: "not_found" });
    },

    /** @param overlapMs for how long those before it go on signing; 0: not at all. Rejects while nothing can be sealed. */
    async rotate(
      asking: EndpointAsking,
      id: string,
      kind: KeyKind,
      overlapMs: number,
    ): Promise<Result<MadeKey, EndpointRefusal>> {
      const endpoint = await found(asking.tenant, id);
      if (!endpoint.ok) return endpoint;
      const at = await tell(asking, "endpoint.key.rotate", id);
      const keys = await selectKeys(db, asking.tenant, id, at);
      const n = Math.max(0, ...keys.map((key) => key.n)) + 1;
      const { sealed, made } = await newKey(asking.tenant, id, kind, n, at);
      const kept = rotateKeys(keys, made.key.id, at, overlapMs).slice(1);
      const done = await replaceKeys(db, endpoint.value, sealed, kept, vault().active);
      return done ? ok(made) : err({ code: "conflict" });
    },

    /** Of one that goes on signing beside the newest: that one never ends, but is replaced. */
    async endKey(asking: EndpointAsking, id: string, key: string): Promise<Result<null, EndpointRefusal>> {
      const endpoint = await found(asking.tenant, id);
      if (!endpoint.ok) return endpoint;
      const at = await tell(asking, "endpoint.key.end", id, { key });
      if (await endKey(db, endpoint.value, key, at)) return ok(null);
      const keys = await selectKeys(db, asking.tenant, id, at);
      return err({ code: keys.some((one) => one.id === key) ? "newest_key" : "not_found" });
    },

    /** As its object sends to it; null: there is none. Rejects while that cannot be known. */
    async settingOf(tenant: string, id: string): Promise<Setting | null> {
      const whole = await selectWithKeys(db, tenant, id, now());
      if (whole === null) return null;
      const { endpoint } = whole;
      const opened = await openAll(endpoint, whole.keys);
      const stands = endpoint.disabled === null && (await deps.makerStands(tenant, endpoint.maker));
      return { endpoint, ...opened, stands };
    },

    /** What its object found. Of one that was changed since, nothing. */
    async disableAs(
      endpoint: Pick<Endpoint, "tenant" | "id" | "version">,
      reason: DisabledReason,
      at: number,
    ): Promise<void> {
      const { tenant, id: target } = endpoint;
      const entry = { at, tenant, actor: "system", action: "endpoint.disable", target } as const;
      await audit.write({ ...entry, outcome: "granted", detail: { reason } });
      if (await disableEndpoint(db, endpoint, reason, at))
        log.warn("endpoint.disabled", { tenant, endpoint: target, reason });
      deps.changed(tenant);
    },
  };
}
