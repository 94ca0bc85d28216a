/**
 * Whether a text is an identity token that a trusted issuer signed for this moment. What a vendor adds (audience, subject,
 * conditions) comes after it, and what it is told by each reason is the vendor's own.
 *
 * Stricter than vendors say in one thing: a `typ` other than `JWT` is refused, as RFC 8725 section 3.11 advises.
 */
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTPayload } from "jose";
import type { CloudBook } from "./book.ts";
import type { Issuers } from "./issuers.ts";
import type { CloudName } from "./names.ts";

export type Reason =
  | "malformed"
  | "typ"
  | "alg"
  | "kid"
  | "crit"
  | "issuer"
  | "issuer_unreachable"
  | "issuer_invalid"
  | "key"
  | "signature"
  | "exp"
  | "nbf"
  | "iat"
  | "times"
  | "aud"
  | "sub";

export interface Claims extends JWTPayload {
  readonly iss: string;
  readonly sub: string;
  readonly exp: number;
  readonly iat: number;
}

export interface Facts {
  readonly iss: unknown;
  readonly sub: unknown;
  readonly aud: unknown;
  readonly jti: unknown;
  readonly kid: unknown;
}

export type Verdict =
  | { readonly ok: true; readonly claims: Claims; readonly facts: Facts }
  | { readonly ok: false; readonly reason: Reason; readonly detail: string; readonly facts: Facts | null };

/** What a vendor demands of every identity token. */
export interface Demands {
  readonly algorithms: readonly string[];
  readonly kid: boolean;
}

export interface Ground {
  readonly book: CloudBook;
  readonly issuers: Issuers;
}

const MAX_TOKEN_CHARS = 20_000;

/** @param known whether somebody has registered the issuer; no other is ever asked for its keys */
export async function verify(
  { book, issuers }: Ground,
  service: CloudName,
  token: string,
  demands: Demands,
  known: (issuer: string) => boolean,
): Promise<Verdict> {
  const read = readToken(token);
  if (read === null)
    return { ok: false, reason: "malformed", detail: "(malformed) It is not a JWT.", facts: null };
  const { header, payload, facts } = read;
  const no = (reason: Reason, detail: string): Verdict => ({
    ok: false,
    reason,
    detail: `(${reason}) ${detail}`,
    facts,
  });
  if (header.typ !== undefined && header.typ.toUpperCase() !== "JWT")
    return no("typ", `It is a ${header.typ}, not a JWT.`);
  if (!demands.algorithms.includes(header.alg ?? ""))
    return no("alg", `It is signed with ${header.alg ?? "nothing"}.`);
  if (demands.kid && header.kid === undefined) return no("kid", "Its header has no kid.");
  if (payload.iss === undefined || !known(payload.iss))
    return no("issuer", `The issuer ${String(payload.iss)} is not registered.`);
  const keys = await issuers.keys(service, payload.iss, header.kid);
  if (!keys.ok) return no(keys.reason, keys.detail);
  const { leewayS } = book.settings(service);
  const now = book.now(service);
  try {
    const { payload: claims } = await jwtVerify(token, keys.keys, {
      algorithms: [...demands.algorithms],
      issuer: payload.iss,
      // exp and iat, too, but what is not there is no whole number.
      requiredClaims: ["iss", "sub", "aud"],
      clockTolerance: leewayS,
      currentDate: new Date(now),
    });
    const wrong = wrongTime(claims, now / 1000 + leewayS);
    if (wrong !== null)
      return no(wrong, `${wrong === "iat" ? "It is from the future" : "A time is no whole number"}.`);
    return isWhole(claims) ? { ok: true, claims, facts } : no("sub", "It has no subject.");
  } catch (error) {
    return no(reasonOf(error), error instanceof Error ? error.message : String(error));
  }
}

/** Whether an identity token is for exactly one audience, and that is one of these. */
export function isFor(claims: JWTPayload, audiences: readonly string[]): boolean {
  return typeof claims.aud === "string"
    ? audiences.includes(claims.aud)
    : claims.aud?.length === 1 && audiences.includes(claims.aud[0] ?? "");
}

function wrongTime(claims: JWTPayload, latestS: number): "times" | "iat" | null {
  const { exp, iat, nbf } = claims;
  if ([exp, iat, nbf ?? 0].some((time) => !Number.isInteger(time))) return "times";
  return (iat ?? 0) > latestS ? "iat" : null;
}

function isWhole(claims: JWTPayload): claims is Claims {
  return typeof claims.sub === "string" && claims.sub !== "";
}

function reasonOf(error: unknown): Reason {
  if (error instanceof errors.JWTExpired) return "exp";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature";
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return "key";
  if (error instanceof errors.JOSEAlgNotAllowed) return "alg";
  if (error instanceof errors.JOSENotSupported) return "crit";
  if (!(error instanceof errors.JWTClaimValidationFailed)) return "malformed";
  switch (error.claim) {
    case "nbf":
      return error.reason === "check_failed" ? "nbf" : "times";
    case "exp":
    case "iat":
      return "times";
    case "aud":
    case "sub":
      return error.claim;
    default:
      return "malformed";
  }
}

function readToken(
  token: string,
): { header: { typ?: string; alg?: string; kid?: string }; payload: JWTPayload; facts: Facts } | null {
  if (token.length > MAX_TOKEN_CHARS) return null;
  try {
    const { typ, alg, kid } = decodeProtectedHeader(token);
    const payload = decodeJwt(token);
    const { iss, sub, aud, jti } = payload;
    return {
      header: {
        ...(typ === undefined ? {} : { typ }),
        ...(alg === undefined ? {} : { alg }),
        ...(typeof kid === "string" ? { kid } : {}),
      },
      payload,
      facts: { iss, sub, aud, jti, kid },
    };
  } catch {
    return null;
  }
}
