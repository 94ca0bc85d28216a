/**
 * Exchanges an identity token of a workflow for a credential, as its role says.
 *
 * Owns: which requests that takes, one further try with a fresh identity token, what becomes of answers that do not come.
 * Does not own: what services answer (exchanges/), when there is an exchange at all (credential-object.ts).
 *
 * - E1 each try has an identity token of its own: some services take a `jti` once.
 * - E2 no redirect is followed, and nothing goes to a host but the one that is asked: what is sent is a credential.
 * - E3 nothing that was sent or received is in a refusal or in the log.
 */
import { classifyFault, type Egress, err, type Logger, ok, type Result } from "../platform/index.ts";
import { anthropicRequest, readAnthropic } from "./exchanges/anthropic.ts";
import {
  awsChainRequest,
  awsRequest,
  awsTokenHost,
  firstLifeS,
  readAws,
  sessionName,
} from "./exchanges/aws.ts";
import { azureRequest, readAzure } from "./exchanges/azure.ts";
import { gcpRequest, impersonationRequest, readGcp, readImpersonation } from "./exchanges/gcp.ts";
import { jwtCredential } from "./exchanges/jwt.ts";
import { openRouterRequest, readOpenRouter } from "./exchanges/openrouter.ts";
import {
  type Context,
  type ExchangeFault,
  spoken,
  type TokenAnswer,
  type TokenRequest,
} from "./exchanges/shapes.ts";
import { readTokenExchange, tokenExchangeRequest } from "./exchanges/token-exchange.ts";
import { readVault, vaultRequest } from "./exchanges/vault.ts";
import type { Minted, Minter, MintRequest } from "./minter.ts";
import { TTL_S } from "./token.ts";
import type { AwsTarget, CloudCredential, CloudRole, GcpTarget, Subject } from "./role.ts";
import { signAws } from "./sigv4.ts";

/** Below the time that a waiter has (credential-object.ts), also of two steps. */
export const REQUEST_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 65_536;
/** A cloud knows a change within so long: what it refuses until then may be the change itself. */
export const SETTLING_MS = 10 * 60_000;

/** For whom a credential is. */
export interface Who {
  readonly subject: Subject;
  readonly workflowVersion: string;
  /** Null: it is of no single run. */
  readonly run: string | null;
}

export interface ExchangePorts {
  readonly mint: Minter["mint"];
  readonly egress: Egress;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Logger;
  /** No credential was given. Best effort; must not throw. */
  readonly failed?: (tenant: string, reason: ExchangeFault["kind"]) => void;
}

type Exchanged = Result<CloudCredential, ExchangeFault>;

/** Never throws for what the issuer or a service does; a limit of the platform's event is thrown on. */
export async function exchangeFor(role: CloudRole, who: Who, ports: ExchangePorts): Promise<Exchanged> {
  const { tenant, name, target } = role;
  const log = ports.log.with({ tenant, role: name, provider: target.provider });
  for (let attempt = 1; ; attempt += 1) {
    const exchanged = await attemptOf(role, who, ports);
    if (exchanged.ok) {
      const { issuedAt, expiresAt } = exchanged.value;
      log.info("identity.exchanged", { attempt, lifeMs: expiresAt - issuedAt });
      return exchanged;
    }
    const { kind, code, remint } = exchanged.error;
    log.warn("identity.exchange_refused", { attempt, kind, code });
    if (remint !== true || attempt === 2) {
      const fault = settling(role, exchanged.error, ports.now());
      ports.failed?.(tenant, fault.kind);
      return err(fault);
    }
  }
}

/** What a service says while it does not know a change yet. */
function settling(role: CloudRole, fault: ExchangeFault, now: number): ExchangeFault {
  const { settles = false, kind } = fault;
  const recent = now - role.updatedAt < SETTLING_MS;
  return settles && kind === "configuration" && recent ? { ...fault, kind: "propagating" } : fault;
}

/** E1. */
async function attemptOf(role: CloudRole, who: Who, ports: ExchangePorts): Promise<Exchanged> {
  const mintedAt = ports.now();
  let minted;
  try {
    minted = await ports.mint(mintRequest(role, who));
  } catch (error) {
    if (classifyFault(error)?.kind === "hop") throw error;
    ports.log.error("identity.not_minted", { tenant: role.tenant, error });
    return err({
      kind: "passing",
      code: "issuer_unavailable",
      message: "The issuer of identity tokens did not answer.",
      hint: "Nothing: it is asked again by itself.",
    });
  }
  if (!minted.ok) return minted;
  return new Attempt(role, who, minted.value, ports).run(mintedAt);
}

function mintRequest(
  { tenant, target, audience, claims, perRun }: CloudRole,
  { subject, workflowVersion, run }: Who,
): MintRequest {
  const tags = target.provider === "aws" ? target.tags : undefined;
  const transitiveTags = target.provider === "aws" ? target.transitiveTags : undefined;
  return {
    ...{ tenant, subject, audience, workflowVersion, claims, ttlS: TTL_S[target.provider] },
    ...(perRun && run !== null ? { run } : {}),
    ...(tags === undefined
      ? {}
      : { awsTags: { tags, ...(transitiveTags === undefined ? {} : { transitiveTags }) } }),
  };
}

/** One identity token, and the requests that it is good for. */
class Attempt {
  readonly #role: CloudRole;
  readonly #who: Who;
  readonly #token: Minted;
  readonly #ports: ExchangePorts;

  constructor(role: CloudRole, who: Who, token: Minted, ports: ExchangePorts) {
    this.#role = role;
    this.#who = who;
    this.#token = token;
    this.#ports = ports;
  }

  async run(mintedAt: number): Promise<Exchanged> {
    const { target } = this.#role;
    const { jwt } = this.#token;
    switch (target.provider) {
      case "aws":
        return this.#aws(target);
      case "gcp":
        return this.#gcp(target);
      case "azure":
        return this.#ask(azureRequest(target, jwt), readAzure);
      case "token_exchange":
        return this.#ask(tokenExchangeRequest(target, jwt), readTokenExchange);
      case "vault":
        return this.#ask(vaultRequest(target, jwt), (answer, context) => readVault(answer, context, target));
      case "anthropic":
        return this.#ask(anthropicRequest(target, jwt), readAnthropic);
      case "openrouter":
        return this.#ask(openRouterRequest(target, jwt), readOpenRouter);
      case "jwt":
        return ok(jwtCredential(this.#token, mintedAt));
    }
  }

  async #aws(target: AwsTarget): Promise<Exchanged> {
    const host = awsTokenHost(target.region);
    if (host === null)
      return err({
        kind: "configuration",
        code: "region_invalid",
        message: `"${target.region}" is not a region of AWS.`,
        hint: "Correct the role's region.",
      });
    const session = sessionName(this.#who.subject, this.#role.perRun ? this.#who.run : null);
    const first = await this.#ask(awsRequest(target, host, this.#token.jwt, session), (answer, context) =>
      readAws(answer, context, "AssumeRoleWithWebIdentity", firstLifeS(target)),
    );
    if (!first.ok || target.next === undefined) return first;
    const credential = first.value;
    const request = awsChainRequest(target, host, session);
    const signature = await signAws(
      { method: "POST", ...request },
      { credential, service: "sts", region: target.region, now: this.#ports.now(), cache: new Map() },
    );
    return this.#ask(
      { ...request, headers: { ...request.headers, ...signature } },
      (answer, context) => readAws(answer, context, "AssumeRole", target.durationS),
      [credential.secretAccessKey, credential.sessionToken],
    );
  }

  async #gcp(target: GcpTarget): Promise<Exchanged> {
    const federated = await this.#ask(gcpRequest(target, this.#token.jwt), readGcp);
    if (!federated.ok || target.serviceAccount === undefined || federated.value.kind !== "bearer")
      return federated;
    const { token } = federated.value;
    return this.#ask(
      impersonationRequest(target, token),
      (answer, context) => readImpersonation(answer, context, target),
      [token],
    );
  }

  /** E2. @param secrets what is sent beside the identity token */
  async #ask<T extends CloudCredential>(
    request: TokenRequest,
    read: (answer: TokenAnswer, context: Context) => Result<T, ExchangeFault>,
    secrets: readonly string[] = [],
  ): Promise<Result<T, ExchangeFault>> {
    const { egress, now } = this.#ports;
    const sentAt = now();
    const host = URL.parse(request.url)?.hostname ?? "";
    const result = await egress({
      ...request,
      method: "POST",
      effect: "once",
      allowedHosts: [host],
      timeoutMs: REQUEST_TIMEOUT_MS,
      maxResponseBytes: MAX_ANSWER_BYTES,
      keepHeaders: ["date", "retry-after"],
    });
    const token = this.#token;
    switch (result.kind) {
      case "answered": {
        const { status, headers, body } = result;
        const answer = { status, headers, body: new TextDecoder().decode(body) };
        return read(answer, { token, sentAt, secrets });
      }
      case "blocked":
        return err({
          kind: "configuration",
          code: result.code,
          message: `Nothing was sent. ${result.message}`,
          hint: `Correct the role's settings. ${spoken(token)}`,
        });
      case "failed":
        return err({
          kind: "passing",
          code: result.code,
          message: result.message,
          hint: "Nothing: it is asked again by itself.",
        });
    }
  }
}
