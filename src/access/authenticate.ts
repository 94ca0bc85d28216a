/** From an Authorization header to an identity: a key's, a token's, or the operator's. */
import { classifyFault, err, ok, type Result, sameSecret, sha256Hex } from "../platform/index.ts";
import { writeAudit } from "./audit-store.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity, type KeyIdentity, type RootIdentity } from "./identity.ts";
import { isKeyText, KEY_PREFIX } from "./key-text.ts";
import { type KeyRecord, selectKeyByHash, updateLastUsed } from "./keys-store.ts";
import { authFailure, type AuthFailure } from "./refusals.ts";
import { identityOfToken } from "./token-auth.ts";
import { isToken } from "./token-text.ts";
import { upsertCaller } from "./trusted-store.ts";

/** Tokens of some issuers have several thousand. */
const MAX_HEADER_CHARS = 12_288;
/** RFC 6750 section 2.1; the scheme's name in any case, RFC 9110 section 11.1. */
const BEARER = /^Bearer +([!-~]+) *$/i;
/** How coarse `last_used_at` is. */
const LAST_USED_MS = 3_600_000;
const ROOT: RootIdentity = { kind: "root" };

export interface Credentials {
  /** The Authorization header; null if there is none. */
  readonly authorization: string | null;
  /** What the request wants, for the audit of the root key: method and path, without a query. */
  readonly purpose: string;
}

/**
 * Who sends a request. For a key that this isolate has seen in the last minute without any round trip.
 * A use of the root key is in the audit before this returns.
 */
export async function authenticate(
  deps: AccessDeps,
  credentials: Credentials,
  now: number,
): Promise<Result<Identity, AuthFailure>> {
  const { authorization } = credentials;
  if (authorization === null) return err(authFailure("credentials_missing"));
  const token = authorization.length > MAX_HEADER_CHARS ? undefined : BEARER.exec(authorization)?.[1];
  if (token === undefined) return err(authFailure("credentials_malformed"));
  if (isToken(token)) return authenticateToken(deps, token, now);
  if (!token.startsWith(KEY_PREFIX)) return authenticateRoot(deps, token, credentials.purpose, now);
  return isKeyText(token) ? authenticateKey(deps, token, now) : err(authFailure("key_malformed"));
}

/** Nothing is written before the token is proved. */
async function authenticateToken(
  deps: AccessDeps,
  token: string,
  now: number,
): Promise<Result<Identity, AuthFailure>> {
  return reachDatabase(deps, async () => {
    const found = await identityOfToken(deps, token, now);
    if (found.ok) {
      await noteCaller(deps, found.value, now);
      return found;
    }
    const { reason, message, telling } = found.error;
    if (reason === "unavailable") return err(authFailure("access_unavailable", message));
    return err(authFailure("token_refused", telling ? message : undefined));
  });
}

/** Before anything is done in its name: who stands behind it is found by that (makers.ts). Not worth a failure. */
async function noteCaller({ db, trust, log }: AccessDeps, caller: KeyIdentity, now: number): Promise<void> {
  if (trust === null || trust.noted.get(caller.keyId, now) !== undefined) return;
  try {
    await upsertCaller(db, caller, now, now - LAST_USED_MS);
    trust.noted.put(caller.keyId, true, now);
  } catch (error) {
    log.warn("access.caller_not_noted", { tenant: caller.tenant, caller: caller.keyId, error });
  }
}

async function authenticateRoot(
  deps: AccessDeps,
  token: string,
  purpose: string,
  now: number,
): Promise<Result<Identity, AuthFailure>> {
  if (deps.rootKey === null || !(await sameSecret(token, deps.rootKey)))
    return err(authFailure("key_unknown"));
  return reachDatabase(deps, async () => {
    const audit = {
      at: now,
      tenant: null,
      actor: actorOf(ROOT),
      action: "root.use",
      target: "",
      outcome: "granted",
    } as const;
    await writeAudit(deps.db, { ...audit, detail: { purpose } });
    return ok(ROOT);
  });
}

async function authenticateKey(
  deps: AccessDeps,
  token: string,
  now: number,
): Promise<Result<Identity, AuthFailure>> {
  const hash = await sha256Hex(token);
  const cached = deps.cache.get(hash, now);
  if (cached !== undefined) return judge(cached, now);
  return reachDatabase(deps, async () => {
    const found = await selectKeyByHash(deps.db, hash);
    const record = found?.key ?? null;
    if (found !== null) deps.places.know(found.key.tenant, found.place);
    deps.cache.put(hash, record, now);
    const result = judge(record, now);
    if (record !== null && result.ok) noteUse(deps, record, now);
    return result;
  });
}

/** Whether the holder of a key is let in. Pure. */
function judge(record: KeyRecord | null, now: number): Result<KeyIdentity, AuthFailure> {
  if (record === null) return err(authFailure("key_unknown"));
  if (record.revokedAt !== null) return err(authFailure("key_revoked"));
  if (record.expiresAt !== null && record.expiresAt <= now) return err(authFailure("key_expired"));
  const { id: keyId, tenant, user, policies, expiresAt } = record;
  return ok({ kind: "key", tenant, keyId, user, scopes: new Set(record.scopes), policies, expiresAt });
}

/** Not worth a failure, nor a wait. */
function noteUse(deps: AccessDeps, record: KeyRecord, now: number): void {
  const unlessAfter = now - LAST_USED_MS;
  if (record.lastUsedAt !== null && record.lastUsedAt > unlessAfter) return;
  const work = updateLastUsed(deps.db, record.id, now, unlessAfter).catch((error: unknown) => {
    deps.log.warn("access.last_used_not_noted", { tenant: record.tenant, keyId: record.id, error });
  });
  deps.defer(work);
}

/** A database that is away is a failure that the caller can wait out; anything else that is thrown is a bug. */
async function reachDatabase<T>(
  deps: AccessDeps,
  work: () => Promise<Result<T, AuthFailure>>,
): Promise<Result<T, AuthFailure>> {
  try {
    return await work();
  } catch (error) {
    if (classifyFault(error) === null) throw error;
    deps.log.error("access.database_unavailable", { error });
    return err(authFailure("access_unavailable"));
  }
}
