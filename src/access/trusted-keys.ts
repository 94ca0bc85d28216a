/**
 * The keys of trusted issuers, as this isolate has read them.
 *
 * - X1 a key only verifies what it is for: its kind, its `use` and its `alg` must be those of the token's header. Symmetric
 *   keys are not keys of an issuer, and neither is one whose private half is published. Only what the issuer serves at its
 *   own address counts, never what a token brings or points to; no redirect is followed.
 * - X2 only settled values are kept. One request at a time asks an issuer, and at most every `COOL_DOWN_MS`, so nobody can make
 *   us ask again and again, be it one after the other or all at once.
 * - X3 an issuer that cannot be reached takes nothing away: what it said last counts for `STALE_MS`.
 * - X4 what is kept is bounded, in number and in size.
 */
import { importJWK, type JWK } from "jose";
import { type Egress, err, type Logger, ok, type Result } from "../platform/index.ts";
import type { TrustedIssuer } from "./trusted-issuer.ts";

const FRESH_MS = 10 * 60_000;
const COOL_DOWN_MS = 30_000;
const STALE_MS = 24 * 60 * 60_000;
const TIMEOUT_MS = 5_000;
/** Where nothing is known yet. As long as the two documents may take: whoever asks has an answer by then, or was given up. */
const RETRY_MS = 2 * TIMEOUT_MS;
const LOOK_MS = 25;
const MAX_DOCUMENT_BYTES = 262_144;
const MAX_KEYS = 100;
/** RSA of 8,192 bits has 1,366. */
const MAX_MEMBER_CHARS = 1_400;
const MAX_KEPT = 100;

/** Algorithm to the kind of its keys (RFC 7518, RFC 8037). */
const KINDS: Readonly<Record<string, string>> = {
  ...{ RS256: "RSA", RS384: "RSA", RS512: "RSA", PS256: "RSA", PS384: "RSA", PS512: "RSA" },
  ...{ ES256: "EC", ES384: "EC", ES512: "EC", EdDSA: "OKP" },
};
const CURVES: Readonly<Record<string, string>> = {
  ...{ ES256: "P-256", ES384: "P-384", ES512: "P-521", EdDSA: "Ed25519" },
};
const MEMBERS: ReadonlySet<string> = new Set(["kty", "kid", "alg", "use", "crv", "n", "e", "x", "y"]);
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

interface Read {
  readonly keys: readonly JWK[];
  readonly at: number;
}

/** When somebody last went to ask, and whether they are back. */
interface Asked {
  readonly at: number;
  readonly back: boolean;
}

export function createKeySource(deps: {
  readonly egress: Egress;
  readonly log: Logger;
  readonly now: () => number;
}): KeySource {
  const { egress, log, now } = deps;
  const read = new Map<string, Read>();
  const asked = new Map<string, Asked>();
  return {
    async keyFor(trusted, header) {
      const name = JSON.stringify([trusted.id, trusted.issuer, trusted.jwksUrl]);
      const known = knownOf(name);
      const found = known === undefined ? undefined : pick(known.keys, header);
      if (found !== undefined && now() - (known?.at ?? 0) < FRESH_MS) return imported(found, header.alg);
      const last = asked.get(name);
      const pauseMs = known === undefined ? RETRY_MS : COOL_DOWN_MS;
      if (last === undefined || now() - last.at >= pauseMs) await ask(name, trusted);
      else if (known === undefined) await somebodyElse(name);
      const keys = knownOf(name)?.keys;
      if (keys === undefined) return err("unavailable");
      const key = pick(keys, header);
      return key === undefined ? err("unknown_key") : imported(key, header.alg);
    },
  };

  /** X3 */
  function knownOf(name: string): Read | undefined {
    const last = read.get(name);
    return last !== undefined && now() - last.at < STALE_MS ? last : undefined;
  }

  async function ask(name: string, trusted: Pick<TrustedIssuer, "issuer" | "jwksUrl">): Promise<void> {
    const at = now();
    keep(asked, name, { at, back: false });
    const keys = await readKeys(trusted);
    if (keys !== null) keep(read, name, { keys, at });
    keep(asked, name, { at, back: true });
  }

  /** Until the one who asks is back. Looked at, not waited for: what another request waits for may never settle for this one. */
  async function somebodyElse(name: string): Promise<void> {
    for (let looks = 0; looks * LOOK_MS < RETRY_MS; looks++) {
      if (asked.get(name)?.back !== false) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Null: they could not be read. */
  async function readKeys({
    issuer,
    jwksUrl,
  }: Pick<TrustedIssuer, "issuer" | "jwksUrl">): Promise<JWK[] | null> {
    const address = jwksUrl ?? (await discovered(issuer));
    if (address === null) return null;
    const document = await get(address);
    const keys = document?.["keys"];
    if (!Array.isArray(keys)) {
      if (document !== null) log.warn("access.issuer_keys_unread", { issuer, reason: "not a JWKS" });
      return null;
    }
    return keys.slice(0, MAX_KEYS).flatMap((key: unknown) => publicKey(key) ?? []);
  }

  /** OpenID Connect Discovery 1.0, sections 4.1 and 4.3: the document must be that of this very issuer. */
  async function discovered(issuer: string): Promise<string | null> {
    const document = await get(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    const address = document?.["jwks_uri"];
    if (document?.["issuer"] === issuer && typeof address === "string") return address;
    if (document !== null)
      log.warn("access.issuer_keys_unread", { issuer, reason: "another issuer's document" });
    return null;
  }

  async function get(url: string): Promise<Readonly<Record<string, unknown>> | null> {
    const result = await egress({
      ...{ url, method: "GET", timeoutMs: TIMEOUT_MS, maxResponseBytes: MAX_DOCUMENT_BYTES },
      headers: { accept: "application/json" },
      // X1: those of this effect follow no redirect.
      effect: "idempotent",
    });
    if (result.kind !== "answered" || result.status !== 200) {
      const reason = result.kind === "answered" ? `status ${result.status}` : result.code;
      log.warn("access.issuer_keys_unread", { host: URL.parse(url)?.hostname, reason });
      return null;
    }
    try {
      const value: unknown = JSON.parse(new TextDecoder().decode(result.body));
      if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
    } catch {
      // Told below.
    }
    log.warn("access.issuer_keys_unread", { host: URL.parse(url)?.hostname, reason: "not a JSON object" });
    return null;
  }
}

/** The oldest goes first. */
function keep<T>(entries: Map<string, T>, name: string, entry: T): void {
  entries.delete(name);
  entries.set(name, entry);
  const oldest = entries.keys().next();
  if (entries.size > MAX_KEPT && !oldest.done) entries.delete(oldest.value);
}

/** What is needed of a public key, so that no more is kept; null: it is none. */
function publicKey(value: unknown): JWK | null {
  if (typeof value !== "object" || value === null || "d" in value || "k" in value) return null;
  const members = Object.entries(value).filter(([name]) => MEMBERS.has(name));
  if (members.some(([, member]) => typeof member !== "string" || member.length > MAX_MEMBER_CHARS))
    return null;
  return Object.fromEntries(members);
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
    const made = await importJWK(key, alg);
    return made instanceof Uint8Array ? err("unknown_key") : ok(made);
  } catch {
    return err("unknown_key");
  }
}
