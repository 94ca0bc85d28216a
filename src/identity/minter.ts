/** Mints identity tokens: claims from the request, a fresh id, the signature of the tenant's issuer. */
import { err, ok, type Result } from "../platform/index.ts";
import type { IssuerRefusal, IssuerRpc, SignAnswer } from "./issuer-rpc.ts";
import type { ExchangeRefusal, Subject } from "./role.ts";
import { type AwsTags, issuerUrl, workloadClaims } from "./token.ts";

export interface MintRequest {
  readonly tenant: string;
  readonly subject: Subject;
  readonly audience: string;
  /** By `TTL_S`. */
  readonly ttlS: number;
  readonly workflowVersion: string;
  /** Only where the credential is of one run. */
  readonly run?: string | undefined;
  readonly claims: Readonly<Record<string, string>>;
  /** A target of AWS fits; without `tags` none are sent. */
  readonly awsTags?: Partial<AwsTags> | undefined;
}

export interface Minted {
  readonly jwt: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface Minter {
  /** A token that nobody has seen before. Never throws. */
  mint(request: MintRequest): Promise<Result<Minted, ExchangeRefusal>>;
}

export interface MinterDeps {
  /** A fresh stub each time. */
  readonly issuerOf: (tenant: string) => IssuerRpc;
  readonly issuerOrigin: string;
  readonly environment: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Unguessable, never the same. */
  readonly randomJti: () => string;
}

/** An object that cannot be reached is asked again soon. */
const RETRY_MS = 1_000;

export function createMinter(deps: MinterDeps): Minter {
  return {
    async mint(request) {
      const { tenant, awsTags } = request;
      const claims = workloadClaims({
        ...request,
        issuer: issuerUrl(deps.issuerOrigin, tenant),
        environment: deps.environment,
        nowMs: deps.now(),
        jti: deps.randomJti(),
        awsTags: awsTags?.tags === undefined ? undefined : { ...awsTags, tags: awsTags.tags },
      });
      if (!claims.ok) return err(configuration(claims.error.code, claims.error.message));
      const { iss: issuer, sub: subject, aud: audience } = claims.value;
      const signed = await sign(deps.issuerOf, tenant, claims.value);
      if (!signed.ok) return err(ofIssuer(signed));
      return ok({ jwt: signed.jwt, issuer, subject, audience, expiresAt: signed.exp * 1_000 });
    },
  };
}

async function sign(
  issuerOf: MinterDeps["issuerOf"],
  tenant: string,
  claims: Parameters<IssuerRpc["sign"]>[0]["claims"],
): Promise<SignAnswer> {
  try {
    return await issuerOf(tenant).sign({ tenant, claims });
  } catch {
    // Whatever it was: nothing was handed out, and the object's own log tells.
    return { ok: false, code: "unavailable", message: "The issuer cannot be reached just now." };
  }
}

function ofIssuer({ code, message, retryAfterMs = RETRY_MS }: IssuerRefusal): ExchangeRefusal {
  if (code === "unavailable")
    return { kind: "passing", code: "issuer_unavailable", message, hint: "It is tried again.", retryAfterMs };
  return configuration(code, message);
}

function configuration(code: string, message: string): ExchangeRefusal {
  return { kind: "configuration", code, message, hint: "Change the cloud role." };
}
