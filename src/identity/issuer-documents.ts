/**
 * What verifiers read: the discovery document and the public keys of a tenant's issuer. One for each isolate.
 *
 * - D1 an answer comes within 5 seconds, as AWS demands: from memory, from the object, from the database while the object does
 *      not answer, or from an older memory while neither does.
 * - D2 an isolate remembers for less than EMERGENCY_AHEAD_MS, so that none hides a key which signs. That there is no issuer is
 *      not remembered: the first key signs at once.
 * - D3 for a tenant without an issuer nothing is written, and no object is made.
 */
import { err, isTenantId, type Logger, ok, type Result, inTime } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { openPublished, selectIssuer } from "./issuer-mirror.ts";
import type { IssuerRpc, Published } from "./issuer-rpc.ts";
import { advanced, type KeyState } from "./signing-keys.ts";
import { issuerUrl } from "./token.ts";

export interface DocumentsDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  readonly object: (tenant: string) => Pick<IssuerRpc, "published">;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Err: nobody knows just now. Null: there is no such issuer. */
export type Look = (tenant: string) => Promise<Result<Published | null, "unavailable">>;

const FRESH_MS = 5_000;
/** A key that was revoked is not shown for longer than this, whatever does not answer. */
const STALE_MS = 10 * 60_000;
/** D1. Together well below 5 seconds. */
const DATABASE_PATIENCE_MS = 1_500;
const OBJECT_PATIENCE_MS = 2_000;
const MAX_REMEMBERED = 1_000;
const ORDER: readonly KeyState[] = ["active", "next", "retired"];

export function createLook({ db, vault, object, log, now }: DocumentsDeps): Look {
  const memory = new Map<string, { readonly published: Published; readonly at: number }>();

  function remember(tenant: string, published: Published): Published {
    // The first that were put in go first.
    memory.delete(tenant);
    for (const oldest of memory.keys()) {
      if (memory.size < MAX_REMEMBERED) break;
      memory.delete(oldest);
    }
    memory.set(tenant, { published, at: now() });
    return published;
  }

  async function rowOf(tenant: string): Promise<Awaited<ReturnType<typeof selectIssuer>> | undefined> {
    try {
      return await inTime(async () => selectIssuer(db, tenant), DATABASE_PATIENCE_MS);
    } catch (error) {
      log.warn("issuer.database_away", { tenant, error });
      return undefined;
    }
  }

  async function ofObject(tenant: string): Promise<Published | null | undefined> {
    try {
      return await inTime(async () => object(tenant).published(tenant), OBJECT_PATIENCE_MS);
    } catch (error) {
      log.warn("issuer.object_away", { tenant, error });
      return undefined;
    }
  }

  return async (tenant) => {
    if (!isTenantId(tenant)) return ok(null);
    const known = memory.get(tenant);
    // A clock that was put back makes nothing younger.
    const age = known === undefined ? Number.POSITIVE_INFINITY : Math.abs(now() - known.at);
    if (known !== undefined && age < FRESH_MS) return ok(known.published);
    // D3.
    let row = known === undefined ? await rowOf(tenant) : undefined;
    if (row === null) return ok(null);
    const said = await ofObject(tenant);
    if (said != null) return ok(remember(tenant, said));
    if (said === null && row === undefined && known === undefined) return ok(null);
    if (known !== undefined) row = await rowOf(tenant);
    if (row != null) {
      const opened = await openPublished(vault, tenant, row);
      if (opened.ok && opened.value.revision >= (known?.published.revision ?? 0))
        return ok({ ...opened.value, keys: advanced(opened.value.keys, now()) });
      if (!opened.ok) log.error("issuer.row_not_opened", { tenant, code: opened.error.code });
    }
    return known !== undefined && age < STALE_MS ? ok(known.published) : err("unavailable");
  };
}

/** OpenID Connect Discovery 1.0 section 3, as far as it means something where nobody logs in. */
export function discoveryDocument(origin: string, tenant: string): Readonly<Record<string, unknown>> {
  const issuer = issuerUrl(origin, tenant);
  return {
    issuer,
    jwks_uri: jwksUrl(origin, tenant),
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
    scopes_supported: ["openid"],
    claims_supported: [
      ...["iss", "sub", "aud", "iat", "nbf", "exp", "jti"],
      ...["tenant", "workflow", "workflow_kind", "workflow_version", "environment", "run", "claims"],
    ],
  };
}

export function jwksUrl(origin: string, tenant: string): string {
  return `${issuerUrl(origin, tenant)}/jwks`;
}

/** RFC 7517. The one that signs stands first. */
export function jwksDocument({ keys }: Published): Readonly<Record<string, unknown>> {
  const sorted = keys.toSorted(
    (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || b.number - a.number,
  );
  return { keys: sorted.map(({ kid, n, e }) => ({ kty: "RSA", use: "sig", alg: "RS256", kid, n, e })) };
}
