/**
 * The keys of trusted issuers, as this isolate has read them.
 *
 * - X1 a key only verifies what it is for: its kind, its `use` and its `alg` must be those of the token's header. Symmetric
 *   keys are not keys of an issuer.
 * - X2 only settled values are kept; a key that is not known is looked for anew at most every `COOL_DOWN_MS`, so nobody can
 *   make us ask an issuer again and again.
 * - X3 an issuer that cannot be reached takes nothing away: what it said last counts for `STALE_MS`.
 */
import { importJWK, type JWK } from "jose";
import { type Egress, err, type Logger, ok, type Result } from "../platform/index.ts";
import type { TrustedIssuer } from "./trusted-issuer.ts";

const FRESH_MS = 10 * 60_000;
const COOL_DOWN_MS = 30_000;
const STALE_MS = 24 * 60 * 60_000;
const TIMEOUT_MS = 5_000;
const MAX_DOCUMENT_BYTES = 262_144;
const MAX_KEYS = 100;
const MAX_KEPT = 200;

/** Algorithm to the kind of its keys (RFC 7518, RFC 8037). */
const KINDS: Readonly<Record<string, string>> = {
  ...{ RS256: "RSA", RS384: "RSA", RS512: "RSA", PS256: "RSA", PS384: "RSA", PS512: "RSA" },
  ...{ ES256: "EC", ES384: "EC", ES512: "EC", EdDSA: "OKP" },
};
const CURVES: Readonly<Record<string, string>> = {
  ...{ ES256: "P-256", ES384: "P-384", ES512: "P-521", EdDSA: "Ed25519" },
};
/** Those of the table: no token with another one is taken, and none is without a signature. */
export const ALGORITHMS: readonly string[] = Object.keys(KINDS);

export interface TokenHeader {
  readonly alg: string;
  readonly kid?: string | undefined;
}

export interface KeySource {
  keyFor(
    trusted: Pick<TrustedIssuer, "id" | "issuer" | "jwksUrl">,
    header: TokenHeader,
  ): Promise<Result<CryptoKey, "unavailable" | "unknown_key">>;
}

interface Kept {
  readonly keys: readonly JWK[];
  readonly readAt: number;
  readonly triedAt: number;
}

export function createKeySource(deps: {
  readonly egress: Egress;
  readonly log: Logger;
  readonly now: () => number;
}): KeySource {
  const { egress, log, now } = deps;
  const kept = new Map<string, Kept>();
  return {
    async keyFor(trusted, header) {
      const name = JSON.stringify([trusted.id, trusted.issuer, trusted.jwksUrl]);
      const known = kept.get(name);
      const usable = known !== undefined && now() - known.readAt < STALE_MS ? known : undefined;
      const found = usable === undefined ? undefined : pick(usable.keys, header);
      const fresh = usable !== undefined && now() - usable.readAt < FRESH_MS;
      if (found !== undefined && fresh) return imported(found, header.alg);
      if (known === undefined || now() - known.triedAt >= COOL_DOWN_MS) {
        const read = await readKeys(trusted);
        if (kept.size >= MAX_KEPT) kept.clear();
        if (read !== null) {
          kept.set(name, { keys: read, readAt: now(), triedAt: now() });
          const key = pick(read, header);
          return key === undefined ? err("unknown_key") : imported(key, header.alg);
        }
        kept.set(name, { keys: usable?.keys ?? [], readAt: usable?.readAt ?? -STALE_MS, triedAt: now() });
      }
      if (found !== undefined) return imported(found, header.alg);
      // Its keys were read lately, and this one was not among them.
      return usable === undefined ? err("unavailable") : err("unknown_key");
    },
  };

  /** Null: they could not be read. */
  async function readKeys({
    issuer,
    jwksUrl,
  }: Pick<TrustedIssuer, "issuer" | "jwksUrl">): Promise<JWK[] | null> {
    const address = jwksUrl ?? (await discovered(issuer));
    if (address === null) return null;
    const document = await read(address);
    const keys = document?.["keys"];
    if (!Array.isArray(keys)) {
      log.warn("access.issuer_keys_unread", { issuer, reason: "not a JWKS" });
      return null;
    }
    return keys.slice(0, MAX_KEYS).filter(isJwk);
  }

  /** OpenID Connect Discovery 1.0, sections 4.1 and 4.3: the document must be that of this very issuer. */
  async function discovered(issuer: string): Promise<string | null> {
    const document = await read(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    const address = document?.["jwks_uri"];
    if (document?.["issuer"] === issuer && typeof address === "string") return address;
    if (document !== null)
      log.warn("access.issuer_keys_unread", { issuer, reason: "another issuer's document" });
    return null;
  }

  async function read(url: string): Promise<Readonly<Record<string, unknown>> | null> {
    const result = await egress({
      ...{ url, method: "GET", effect: "safe", timeoutMs: TIMEOUT_MS, maxResponseBytes: MAX_DOCUMENT_BYTES },
      headers: { accept: "application/json" },
      // An issuer's word stands at its own address.
      allowedHosts: [URL.parse(url)?.hostname ?? ""],
    });
    if (result.kind !== "answered" || result.status !== 200) {
      const reason = result.kind === "answered" ? `status ${result.status}` : result.code;
      log.warn("access.issuer_keys_unread", { host: URL.parse(url)?.hostname, reason });
      return null;
    }
    try {
      const value: unknown = JSON.parse(new TextDecoder().decode(result.body));
      return typeof value === "object" && value !== null
        ? (value as Readonly<Record<string, unknown>>)
        : null;
    } catch {
      return null;
    }
  }
}

function isJwk(value: unknown): value is JWK {
  return typeof value === "object" && value !== null && "kty" in value && typeof value.kty === "string";
}

/** X1. Without a `kid` only where there is no choice. */
function pick(keys: readonly JWK[], { alg, kid }: TokenHeader): JWK | undefined {
  const fitting = keys.filter(
    (key) =>
      key.kty === KINDS[alg] &&
      (key.alg === undefined || key.alg === alg) &&
      (key.use === undefined || key.use === "sig") &&
      (CURVES[alg] === undefined || key.crv === CURVES[alg]) &&
      (kid === undefined || key.kid === kid),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

async function imported(key: JWK, alg: string): Promise<Result<CryptoKey, "unknown_key">> {
  try {
    const made = await importJWK({ ...key, ext: true }, alg);
    return made instanceof Uint8Array ? err("unknown_key") : ok(made);
  } catch {
    return err("unknown_key");
  }
}
