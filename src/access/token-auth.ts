/**
 * From a token of an issuer that a tenant trusts to an identity.
 *
 * - Y1 what a token says of itself decides only where to look: its `aud` names the tenant, its `iss` the issuer. Nothing else
 *   of it counts before its signature is verified with a key that this issuer publishes.
 * - Y2 a token is for us and for nobody else: its one audience is the tenant's own.
 * - Y3 why a token is not taken is told of those only whose signature was good: whoever holds one is who they say.
 * - Y4 a token counts no longer than all that it comes from: not past its expiry, the age that its issuer is trusted with, or the
 *   key that trusts it. Nobody who comes with one holds anything beyond that.
 */
import { errors, jwtVerify } from "jose";
import { base32, err, ok, type Result, sha256 } from "../platform/index.ts";
import type { AccessDeps } from "./deps.ts";
import type { KeyIdentity } from "./identity.ts";
import { ruleFor, type TrustedIssuer } from "./trusted-issuer.ts";
import { ALGORITHMS } from "./trusted-keys.ts";
import { selectTrusted } from "./trusted-store.ts";
import { audienceOf, readUnverified } from "./token-text.ts";

/** How far another clock may be ahead of ours. */
const CLOCK_TOLERANCE_S = 60;

export type TokenRefusalReason =
  | "not_for_us"
  | "issuer_not_trusted"
  /** The key that last said what is trusted has ended. */
  | "trust_ended"
  | "signature"
  | "expired"
  | "too_old"
  | "claims"
  | "no_rule"
  /** The issuer's keys, or our database, could not be reached. */
  | "unavailable";

export interface TokenRefusal {
  readonly reason: TokenRefusalReason;
  readonly message: string;
  /** Y3 */
  readonly telling: boolean;
}

/** @param only the tenant whose tokens are looked at; another's are not for us, whatever they are */
export async function identityOfToken(
  deps: AccessDeps,
  token: string,
  now: number,
  only?: string,
): Promise<Result<KeyIdentity, TokenRefusal>> {
  const { trust } = deps;
  if (trust === null) return refuse("not_for_us", "This deployment takes no tokens of other issuers.");
  const said = readUnverified(token, trust.origin, ALGORITHMS);
  if (said === null) return refuse("not_for_us", "The token is not for this deployment.");
  const { tenant, issuer, alg, kid } = said;
  if (only !== undefined && tenant !== only) return refuse("not_for_us", "The token is for another tenant.");
  const trusted = await lookUp(deps, tenant, issuer, now);
  if (trusted === null)
    return refuse("issuer_not_trusted", "The tenant does not trust the issuer of the token.");
  if (trusted.until !== null && trusted.until <= now)
    return refuse("trust_ended", `The key that last said what ${trusted.name} is trusted with has ended.`);
  const key = await trust.keys.keyFor(trusted, { alg, kid });
  if (!key.ok)
    return key.error === "unavailable"
      ? refuse("unavailable", "The keys of the token's issuer cannot be read just now.")
      : refuse("signature", "The token is not signed with a key that its issuer publishes.");
  return verified(token, trusted, key.value, { audience: audienceOf(trust.origin, tenant), now });
}

async function lookUp(
  { db, trust }: AccessDeps,
  tenant: string,
  issuer: string,
  now: number,
): Promise<TrustedIssuer | null> {
  const name = JSON.stringify([tenant, issuer]);
  const known = trust?.known.get(name, now);
  if (known !== undefined) return known;
  const trusted = await selectTrusted(db, tenant, { issuer });
  trust?.known.put(name, trusted, now);
  return trusted;
}

async function verified(
  token: string,
  trusted: TrustedIssuer,
  key: CryptoKey,
  { audience, now }: { readonly audience: string; readonly now: number },
): Promise<Result<KeyIdentity, TokenRefusal>> {
  let payload;
  try {
    ({ payload } = await jwtVerify(token, key, {
      ...{ issuer: trusted.issuer, audience, algorithms: [...ALGORITHMS], currentDate: new Date(now) },
      ...{ clockTolerance: CLOCK_TOLERANCE_S, maxTokenAge: trusted.maxAgeS },
      requiredClaims: ["sub", "exp", "iat"],
    }));
  } catch (error) {
    return err(ofVerification(error, trusted));
  }
  const { exp = 0, iat = 0, sub } = payload;
  const expiresAt = Math.floor(
    Math.min(exp * 1_000, (iat + trusted.maxAgeS) * 1_000, trusted.until ?? Infinity),
  );
  // Y4, without any tolerance: what it makes must not have ended before it began.
  if (expiresAt <= now) return err(exp * 1_000 <= now ? EXPIRED : tooOld(trusted));
  const found = ruleFor(trusted.rules, payload);
  if (found === null) return refuse("no_rule", `No rule of ${trusted.name} is for this token.`, true);
  const { rule, user } = found;
  const { tenant, id, name, version } = trusted;
  const subject = String(sub);
  return ok({
    ...{ kind: "key", tenant, keyId: await callerId(id, subject), user },
    scopes: new Set(rule.scopes),
    policies: [...trusted.policies, ...(rule.policy === null ? [] : [rule.policy])],
    expiresAt,
    token: { issuer: name, issuerId: id, version, subject },
  });
}

const EXPIRED = told("expired", "The token has expired.");

function tooOld({ name, maxAgeS }: TrustedIssuer): TokenRefusal {
  return told(
    "too_old",
    `The token was issued more than ${maxAgeS} s ago, the most that ${name} is trusted with.`,
  );
}

function ofVerification(error: unknown, trusted: TrustedIssuer): TokenRefusal {
  if (error instanceof errors.JWTExpired) return error.claim === "iat" ? tooOld(trusted) : EXPIRED;
  if (error instanceof errors.JWTClaimValidationFailed)
    return told("claims", `The token's claim ${error.claim} does not fit.`);
  return { reason: "signature", message: "The token's signature is not good.", telling: false };
}

function told(reason: TokenRefusalReason, message: string): TokenRefusal {
  return { reason, message, telling: true };
}

/** The same for every token of a subject, so that what it started stays its own. PERSISTED CONTRACT. */
async function callerId(issuerId: string, subject: string): Promise<string> {
  const digest = await sha256(JSON.stringify([issuerId, subject]));
  return `tok_${base32(digest.subarray(0, 16))}`;
}

function refuse(reason: TokenRefusalReason, message: string, telling = false): Result<never, TokenRefusal> {
  return err({ reason, message, telling });
}
