/** What a token looks like, before anything of it counts. Pure. */
import { decodeProtectedHeader } from "jose";
import { isTenantId } from "../platform/index.ts";

/** Three parts, the first of which is a JSON object (RFC 7519 section 3). */
const JWT = /^ey[\w-]+\.[\w-]+\.[\w-]+$/;

/** No tenant trusts a longer one, and none is kept in memory. */
const MAX_ISSUER_CHARS = 2_048;

export function isToken(text: string): boolean {
  return JWT.test(text);
}

/** For whom tokens must be that a tenant's API takes. */
export function audienceOf(origin: string, tenant: string): string {
  return `${origin}/t/${tenant}`;
}

/** What a token says of itself: where to look, and nothing that may be believed. */
export interface Unverified {
  readonly tenant: string;
  readonly issuer: string;
  readonly alg: string;
  readonly kid: string | undefined;
}

/**
 * Null: it cannot be for us.
 * @param algorithms those that are taken
 */
export function readUnverified(
  token: string,
  origin: string,
  algorithms: readonly string[],
): Unverified | null {
  const read = partsOf(token);
  if (read === null) return null;
  const { alg, kid } = read.header;
  if (alg === undefined || !algorithms.includes(alg) || (kid !== undefined && typeof kid !== "string"))
    return null;
  const { payload } = read;
  if (typeof payload !== "object" || payload === null || !("iss" in payload) || !("aud" in payload))
    return null;
  const { iss, aud } = payload;
  // One audience: what is for others as well could be shown to us by them.
  const audience: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  if (typeof iss !== "string" || iss.length > MAX_ISSUER_CHARS || typeof audience !== "string") return null;
  const prefix = audienceOf(origin, "");
  const tenant = audience.startsWith(prefix) ? audience.slice(prefix.length) : "";
  return isTenantId(tenant) ? { tenant, issuer: iss, alg, kid } : null;
}

function partsOf(
  token: string,
): { readonly header: { readonly alg?: string; readonly kid?: unknown }; readonly payload: unknown } | null {
  try {
    const payload: unknown = JSON.parse(new TextDecoder().decode(bytesOf(token.split(".")[1] ?? "")));
    return { header: decodeProtectedHeader(token), payload };
  } catch {
    return null;
  }
}

function bytesOf(text: string): Uint8Array {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (char) => char.codePointAt(0) ?? 0);
}
