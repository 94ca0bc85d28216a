/** API keys: made, listed, revoked. Who asks is always an identity that was proved by authenticate.ts. */
import { type AuditEntry, err, ok, randomId, type Result, sha256Hex } from "../platform/index.ts";
import { writeAudit } from "./audit-store.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity, requireScope } from "./identity.ts";
import { REVOKED_EVERYWHERE_MS } from "./key-cache.ts";
import { newKeyText, shownParts } from "./key-text.ts";
import {
  insertKey,
  type KeyCursor,
  type KeyRecord,
  selectKey,
  selectKeys,
  updateDescendantsRevoked,
  updateRevoked,
} from "./keys-store.ts";
import { draftKey, type KeyRequest } from "./narrowing.ts";
import { refuse, type AccessRefusal } from "./refusals.ts";
import { hasRoom } from "./stored-counts.ts";
import { widerThan } from "./scopes.ts";

export const MAX_KEYS_PER_PAGE = 100;
/** Keys that are revoked in one transaction together, and such transactions in one call. */
const REVOKED_AT_ONCE = 500;
const MAX_REVOKING_ROUNDS = 20;

export interface NewKey {
  readonly key: KeyRecord;
  /** What the holder sends. Shown now and never again. */
  readonly text: string;
}

/** Makes a key that is no wider than its maker (narrowing.ts), or, for root, an admin key of a tenant. */
export async function createKey(
  deps: AccessDeps,
  maker: Identity,
  request: KeyRequest,
  now: number,
): Promise<Result<NewKey, AccessRefusal>> {
  const draft = draftKey(maker, request, now);
  if (!draft.ok) return refused(deps, maker, { action: "key.create", target: "" }, draft.error, now);
  const text = newKeyText();
  const key: KeyRecord = {
    id: randomId("key"),
    ...draft.value,
    ...shownParts(text),
    createdBy: actorOf(maker),
    createdAt: now,
    revokedAt: null,
    lastUsedAt: null,
  };
  if (await insertKey(deps.db, key, await sha256Hex(text), maker, grantOf(maker, key, now)))
    return ok({ key, text });
  // Not in the audit: a flood of them would be, too.
  if (maker.kind !== "root" && !(await hasRoom(deps.db, maker.tenant, "keys", now)))
    return err(refuse("too_many", "The tenant has as many API keys as it may have."));
  const refusal =
    maker.kind === "root"
      ? refuse("tenant_unknown", "There is no such tenant.", "/tenant")
      : refuse("maker_ended", "The API key that makes it was revoked or has expired.");
  return refused(deps, maker, { action: "key.create", target: "" }, refusal, now);
}

export interface KeyPage {
  readonly keys: readonly KeyRecord[];
  /** Pass it as `after` to get the next page; null: this was the last. */
  readonly next: string | null;
}

/** The keys of the caller's tenant, oldest first, also revoked and expired ones. `limit` is cut to MAX_KEYS_PER_PAGE. */
export async function listKeys(
  deps: AccessDeps,
  identity: Identity,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<Result<KeyPage, AccessRefusal>> {
  const allowed = requireScope(identity, "keys:read");
  if (!allowed.ok) return allowed;
  const after = page.after === undefined ? { createdAt: -1, id: "" } : readCursor(page.after);
  if (after === null) return err(refuse("invalid", "This cursor was not given out by this list.", "/cursor"));
  const limit = Math.min(Math.max(page.limit, 1), MAX_KEYS_PER_PAGE);
  const keys = await selectKeys(deps.db, allowed.value.tenant, after, limit);
  const last = keys.at(-1);
  return ok({
    keys,
    next: last !== undefined && keys.length === limit ? `${last.createdAt}.${last.id}` : null,
  });
}

/** One key of the caller's tenant. A key can always see itself. */
export async function getKey(
  deps: AccessDeps,
  identity: Identity,
  id: string,
): Promise<Result<KeyRecord, AccessRefusal>> {
  if (identity.kind === "root" || identity.keyId !== id) {
    const allowed = requireScope(identity, "keys:read");
    if (!allowed.ok) return allowed;
  }
  const key = identity.kind === "key" ? await selectKey(deps.db, identity.tenant, id) : null;
  return key === null ? err(noSuchKey()) : ok(key);
}

export interface Revocation {
  readonly key: KeyRecord;
  /** From then on the key is refused everywhere; until then an isolate that knows it may still take it. */
  readonly effectiveBy: number;
  /** Keys that came from it, if they were to go with it. */
  readonly descendants?: {
    /** How many were revoked now. */
    readonly revoked: number;
    /** False: there are more than one call revokes; ask again. */
    readonly complete: boolean;
  };
}

/**
 * Revokes a key of the caller's tenant, for good. A key may end itself; to end another it needs `keys:write` and all the
 * scopes of the other, so that a stolen key cannot lock out its betters. Revoking again changes nothing.
 *
 * Keys that it has made live on, unless `descendants` asks to revoke them as well, directly made or not. The key itself
 * is revoked first, then all that come from it, again until none is left: so none can make another behind its back.
 */
export async function revokeKey(
  deps: AccessDeps,
  identity: Identity,
  id: string,
  now: number,
  { descendants = false }: { readonly descendants?: boolean } = {},
): Promise<Result<Revocation, AccessRefusal>> {
  const found = await getRevocable(deps, identity, id);
  if (!found.ok) return refused(deps, identity, { action: "key.revoke", target: id }, found.error, now);
  const key = found.value;
  const revokedAt = key.revokedAt ?? now;
  const entry = { at: now, tenant: key.tenant, actor: actorOf(identity), action: "key.revoke" } as const;
  if (key.revokedAt === null) {
    await updateRevoked(deps.db, id, now, { ...entry, target: id, outcome: "granted", detail: {} });
    deps.cache.forget(new Set([id]));
  }
  const revoked = { ...key, revokedAt };
  if (!descendants) return ok({ key: revoked, effectiveBy: revokedAt + REVOKED_EVERYWHERE_MS });
  const gone = await revokeDescendants(deps, key, { ...entry, outcome: "granted", detail: { with: id } });
  const lastAt = gone.revoked > 0 ? now : revokedAt;
  return ok({ key: revoked, effectiveBy: lastAt + REVOKED_EVERYWHERE_MS, descendants: gone });
}

async function revokeDescendants(
  deps: AccessDeps,
  key: KeyRecord,
  audit: Omit<AuditEntry, "target">,
): Promise<NonNullable<Revocation["descendants"]>> {
  let revoked = 0;
  for (let round = 0; round < MAX_REVOKING_ROUNDS; round++) {
    const ids = await updateDescendantsRevoked(deps.db, key, REVOKED_AT_ONCE, audit);
    deps.cache.forget(new Set(ids));
    revoked += ids.length;
    if (ids.length < REVOKED_AT_ONCE) return { revoked, complete: true };
  }
  return { revoked, complete: false };
}

async function getRevocable(
  deps: AccessDeps,
  identity: Identity,
  id: string,
): Promise<Result<KeyRecord, AccessRefusal>> {
  if (identity.kind === "key" && identity.keyId === id) return getKey(deps, identity, id);
  const allowed = requireScope(identity, "keys:write");
  if (!allowed.ok) return allowed;
  const key = await selectKey(deps.db, allowed.value.tenant, id);
  if (key === null) return err(noSuchKey());
  const wider = widerThan(allowed.value.scopes, key.scopes);
  if (wider.length === 0) return ok(key);
  return err(refuse("scope_wider", `The key to revoke has scopes that yours has not: ${wider.join(", ")}.`));
}

function grantOf(maker: Identity, key: KeyRecord, now: number): AuditEntry {
  const { user } = key;
  // What a user's key is called may tell who they are.
  const whose = user === null ? { name: key.name, user } : { user: { user } };
  const detail = { ...whose, scopes: key.scopes.join(" "), expires_at: key.expiresAt };
  return {
    at: now,
    tenant: key.tenant,
    actor: actorOf(maker),
    action: "key.create",
    target: key.id,
    outcome: "granted",
    detail: { ...detail, policies: key.policies.length },
  };
}

/** Hands on a refusal; one that denies a power is in the audit first. */
async function refused(
  deps: AccessDeps,
  identity: Identity,
  what: { readonly action: string; readonly target: string },
  refusal: AccessRefusal,
  now: number,
): Promise<Result<never, AccessRefusal>> {
  if (refusal.status === 403) {
    const tenant = identity.kind === "root" ? null : identity.tenant;
    const detail = { code: refusal.code };
    await writeAudit(deps.db, {
      at: now,
      tenant,
      actor: actorOf(identity),
      ...what,
      outcome: "refused",
      detail,
    });
  }
  return err(refusal);
}

function readCursor(text: string): KeyCursor | null {
  const [, createdAt, id] = /^(\d{1,15})\.(key_[0-9a-z]{26})$/.exec(text) ?? [];
  return createdAt === undefined || id === undefined ? null : { createdAt: Number(createdAt), id };
}

function noSuchKey(): AccessRefusal {
  return refuse("key_unknown", "There is no such API key.");
}
