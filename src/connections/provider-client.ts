/**
 * Talks to providers: sends what `providers/` builds, through egress, and has it read there. Owns time limits, and telling an
 * answer that was lost from one that was given.
 *
 * - Q1 no redirect is followed, whatever the provider says: what is sent holds secrets.
 * - Q2 nothing here throws for what a provider does; what is logged holds no value that was sent or received.
 */
import { type Egress, type EgressResult, err, type Logger, ok, type Result } from "../platform/index.ts";
import { signClientAssertion, signedBearerRequest } from "./assertions.ts";
import type { Account as KeptAccount } from "./grant.ts";
import type { OpenIntegration, ProviderPort, RenewOutcome } from "./ports.ts";
import {
  asksForConsent,
  type Bound,
  type Client,
  clientCredentialsRequest,
  comparesScopes,
  type ConsentProvider,
  exchangeRequest,
  type HttpRequest,
  identityOfFlow,
  identityRequest,
  type MachineProvider,
  readIdentityAnswer,
  readIdToken,
  readTokenAnswer,
  refreshRequest,
  revokeRequests,
  type TokenFailure,
  type TokenHttpAnswer,
  type TokenSuccess,
} from "./providers/index.ts";

/** Below any limit of those who wait: a slow provider takes 20 s (facts of rivals: locks that ended before the answer came). */
export const RENEW_TIMEOUT_MS = 25_000;
const REVOKE_TIMEOUT_MS = 10_000;
const IDENTITY_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 262_144;

export interface ProviderClient extends ProviderPort {
  /** RFC 6749 4.1.3. `lost`: no answer came, so the code may be used up. */
  exchange(
    integration: OpenIntegration,
    flow: { readonly code: string; readonly redirectUri: string; readonly codeVerifier: string },
  ): Promise<Result<TokenSuccess, TokenFailure>>;
  /** Who consented; nothing known is an account without id. An id token that is not for this flow is an error. */
  identify(
    integration: OpenIntegration,
    answer: TokenSuccess,
    flow: { readonly nonce?: string; readonly redirectValues: Readonly<Record<string, string>> },
  ): Promise<Result<KeptAccount, "id_token_invalid">>;
  /** A token for the tenant's own access. */
  machineToken(
    integration: OpenIntegration,
    scopes: readonly string[],
  ): Promise<Result<TokenSuccess, TokenFailure>>;
}

export interface ProviderClientDeps {
  readonly egress: Egress;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const UNKNOWN: KeptAccount = { id: null, label: null };

export function createProviderClient({ egress, log, now }: ProviderClientDeps): ProviderClient {
  async function send(request: HttpRequest, timeoutMs: number): Promise<EgressResult> {
    return egress({
      ...request,
      // Q1. Whatever it is, it is not sent on.
      effect: "once",
      timeoutMs,
      maxResponseBytes: MAX_ANSWER_BYTES,
      keepHeaders: ["content-type", "retry-after", "www-authenticate"],
    });
  }

  /** Null: no answer came. `sent`: but the request may have arrived. */
  async function ask(
    request: HttpRequest,
    timeoutMs: number,
  ): Promise<TokenHttpAnswer | { lost: boolean; code: string }> {
    const result = await send(request, timeoutMs);
    switch (result.kind) {
      case "answered":
        return {
          status: result.status,
          headers: result.headers,
          body: new TextDecoder().decode(result.body),
        };
      case "blocked":
        return { lost: false, code: result.code };
      case "failed":
        return { lost: result.sent, code: result.code };
    }
  }

  async function askTokens(
    integration: OpenIntegration,
    request: HttpRequest,
    secrets: readonly string[],
  ): Promise<Result<TokenSuccess, TokenFailure & { lost: boolean }>> {
    const answer = await ask(request, RENEW_TIMEOUT_MS);
    if ("lost" in answer) {
      const { lost, code } = answer;
      log.warn("provider.no_answer", { host: hostOf(request.url), code });
      return err({ class: "passing", code, lost });
    }
    const { secret, provider } = integration;
    const read = readTokenAnswer(tokensOf(provider), answer, {
      now: now(),
      secrets: [...secrets, ...(secret === null ? [] : [secret])],
    });
    if (read.ok) {
      // What cannot be compared must not look like a grant that is too narrow.
      if (comparesScopes(tokensOf(provider))) return read;
      const { scopes: _, ...rest } = read.value;
      return ok(rest);
    }
    const { error } = read;
    log.warn("provider.refused", {
      host: hostOf(request.url),
      status: answer.status,
      code: error.code,
      class: error.class,
    });
    // A gateway that gave up may have been overtaken by what stands behind it; what cannot be read may have been a success.
    const lost = (answer.status >= 500 && answer.status !== 503) || answer.status < 300;
    return err({ ...error, lost: lost && error.class === "passing" });
  }

  async function machineToken(
    integration: OpenIntegration,
    scopes: readonly string[],
  ): ReturnType<typeof askTokens> {
    const provider = integration.provider as Bound<MachineProvider>;
    const at = { now: now(), jti: crypto.randomUUID() };
    try {
      const client = await clientOf(integration, at);
      const request =
        provider.kind === "jwt_bearer"
          ? await signedBearerRequest(provider, client, integration, scopes, at)
          : clientCredentialsRequest(provider, client, scopes);
      return await askTokens(integration, request, []);
    } catch (error) {
      log.error("provider.assertion_not_made", { error });
      return err({ class: "misconfigured", code: "key_unusable", lost: false });
    }
  }

  async function renewed(
    integration: OpenIntegration,
    refreshToken: string | null,
    scopes: readonly string[] | null,
  ): ReturnType<typeof askTokens> {
    if (refreshToken === null) return machineToken(integration, scopes ?? []);
    const provider = integration.provider as Bound<ConsentProvider>;
    const client = await clientOf(integration, { now: now(), jti: crypto.randomUUID() });
    return askTokens(integration, refreshRequest(provider, client, refreshToken), [refreshToken]);
  }

  return {
    async renew(integration, refreshToken, scopes): Promise<RenewOutcome> {
      const result = await renewed(integration, refreshToken, scopes).catch((error: unknown) => {
        log.error("provider.request_not_made", { error });
        return err({ class: "misconfigured", code: "key_unusable", lost: false } as const);
      });
      if (result.ok) return { kind: "renewed", answer: result.value };
      const { class: how, code, lost, ...more } = result.error;
      switch (how) {
        case "terminal":
          return { kind: "terminal", code };
        case "misconfigured":
          return {
            kind: "misconfigured",
            code,
            ...("description" in more ? { description: more.description } : {}),
          };
        case "passing": {
          const wait = "retryAfterMs" in more ? more.retryAfterMs : undefined;
          return { kind: "passing", code, lost, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
        }
      }
    },

    async revoke(integration, pair) {
      const provider = integration.provider as Bound;
      if (!asksForConsent(provider)) return { kind: "no_endpoint" };
      const client = await clientOf(integration, { now: now(), jti: crypto.randomUUID() });
      const { accessToken, refreshToken } = pair;
      const requests = revokeRequests(provider, client, {
        accessToken,
        ...(refreshToken === null ? {} : { refreshToken }),
      });
      if (requests.length === 0) return { kind: "no_endpoint" };
      for (const request of requests) {
        const answer = await ask(request, REVOKE_TIMEOUT_MS);
        if ("lost" in answer) return { kind: "later" };
        // RFC 7009 2.2: 200 also for a token that is not known; some say 4xx for one that is gone already.
        if (answer.status === 429 || answer.status >= 500) {
          const seconds = Number(answer.headers["retry-after"]);
          return { kind: "later", ...(seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {}) };
        }
        if (saysClientRefused(answer, provider)) {
          log.warn("provider.revocation_refused", { host: hostOf(request.url), status: answer.status });
          return { kind: "later" };
        }
      }
      return { kind: "revoked" };
    },

    async exchange(integration, flow) {
      const provider = integration.provider as Bound<ConsentProvider>;
      const client = await clientOf(integration, { now: now(), jti: crypto.randomUUID() });
      return askTokens(integration, exchangeRequest(provider, client, flow), [flow.code, flow.codeVerifier]);
    },

    async identify(integration, answer, { nonce, redirectValues }) {
      const provider = integration.provider as Bound<ConsentProvider>;
      if (answer.account !== undefined) return ok(answer.account);
      const told = identityOfFlow(provider, redirectValues);
      if (told !== undefined) return ok(told);
      if (answer.idToken !== undefined) {
        const expected = {
          clientId: integration.clientId,
          now: now(),
          ...(nonce === undefined ? {} : { nonce }),
        };
        const account = readIdToken(provider, answer.idToken, expected);
        if (account.ok) return account;
        if (account.error.code === "id_token_invalid") return err("id_token_invalid");
      }
      const request = identityRequest(provider, answer.accessToken);
      if (request === undefined) return ok(UNKNOWN);
      const asked = await ask(request, IDENTITY_TIMEOUT_MS);
      if ("lost" in asked) return ok(UNKNOWN);
      const account = readIdentityAnswer(provider, asked);
      return account.ok ? account : ok(UNKNOWN);
    },

    machineToken,
  };
}

async function clientOf(
  { provider, clientId, secret }: OpenIntegration,
  at: { readonly now: number; readonly jti: string },
): Promise<Client> {
  const tokens = tokensOf(provider);
  const [auth = "post"] = tokens.clientAuth;
  // Its secret is the key that signs the grant: it never leaves as a client's secret.
  if (tokens.kind === "jwt_bearer" && auth !== "private_key_jwt") return { clientId, auth: "none" };
  if (auth === "private_key_jwt")
    return { clientId, auth, assertion: await signClientAssertion(tokens, clientId, secret ?? "", at) };
  return { clientId, auth, ...(secret === null || auth === "none" ? {} : { clientSecret: secret }) };
}

/** Only bound descriptors with a token endpoint come here: integrations are checked when they are made. */
function tokensOf(provider: unknown): Bound<ConsentProvider> | Bound<MachineProvider> {
  return provider as Bound<ConsentProvider> | Bound<MachineProvider>;
}

/** It is not the token that was not taken, but who asks: nothing was revoked. */
function saysClientRefused({ status, body }: TokenHttpAnswer, { revoke }: Bound<ConsentProvider>): boolean {
  if (status === 401 || status === 403)
    return (revoke?.how === "form" || revoke?.how === "json") && revoke.auth !== "none";
  return status === 400 && /"(invalid_client|unauthorized_client)"/.test(body);
}

function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? "";
}
