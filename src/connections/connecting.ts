/**
 * The connect flow: from a session's link to a grant. The pages show it, the API makes sessions and confirms them; every step
 * between is here.
 *
 * - P1 a link is redeemed once, by a POST from our own page; looking at it burns nothing, so a scanner of mails cannot.
 * - P2 a flow belongs to the browser that redeemed the link: `state` names it, the flow's own cookie proves it. The code that
 *      comes back is used once, and only for the integration whose callback it came to.
 * - P3 where the browser goes in the end was fixed when the session was made, from the integration's own list.
 * - P4 what is granted is active at once only where it is known whose browser it was, or the tenant wants links that anybody
 *      may open; else it waits until the tenant's backend has said who that was.
 * - P6 a confirmation can be sent again with the same code and user: it is answered as the first time, and does nothing.
 * - P5 grants and refusals are in the audit before they take effect.
 */
import { calculatePKCECodeChallenge, generateRandomCodeVerifier } from "oauth4webapi";
import { type AuditSink, err, type Logger, ok, type Result } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import type { IdentityLevel } from "./grant.ts";
import type { Integration } from "./integrations.ts";
import { openIntegration, selectIntegration } from "./integrations-store.ts";
import { hashOf, matchesHash, newSecret, stateOf } from "./links.ts";
import type { OpenIntegration } from "./ports.ts";
import type { ProviderClient } from "./provider-client.ts";
import {
  authorizeUrl,
  type Bound,
  type ConsentProvider,
  comparesScopes,
  readCallback,
  scopesToAsk,
  type TokenSuccess,
} from "./providers/index.ts";
import type { ConnectionRpc, GrantRequest } from "./rpc.ts";
import { type ConnectSession, FLOW_MS, type SessionFailure } from "./sessions.ts";
import {
  awaitConfirmation,
  endSession,
  redeemSession,
  selectSessionByState,
  takeSession,
  verifierPlace,
  type WithSecrets,
} from "./sessions-store.ts";

export interface ConnectDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  readonly provider: ProviderClient;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What the page says of a flow that came to nothing. */
export type FlowRefusal =
  /** The link was used, or the flow is past what is asked: what became of it stands in the session. */
  | "link_used"
  /** It is not there any more, or does not allow (any more) what the session is for. */
  | "integration_gone"
  /** No flow of ours, or of another browser, or not of this integration: a prober learns nothing. */
  | "not_this_browser"
  | SessionFailure;

export interface Returned {
  readonly session: WithSecrets;
  /** Whether fewer scopes were granted than were asked for. */
  readonly narrower: readonly string[];
  /** Where the browser goes; null: to our own page. */
  readonly location: string | null;
}

/** The address that providers send browsers back to: one for each integration, so that no provider can answer for another. */
export function callbackUrl(origin: string, tenant: string, integration: string): string {
  return `${origin}/oauth/callback/${tenant}/${integration}`;
}

/** P1. The link's own proof was checked by the page; here it is used up. Answers the flow's cookie. */
export async function redeem(
  deps: ConnectDeps,
  session: WithSecrets,
  ticket: string | null,
): Promise<Result<string, FlowRefusal>> {
  const { db, vault, now } = deps;
  if ((await consentIntegration(db, session)) === null) return err("integration_gone");
  const cookie = newSecret();
  const used = await redeemSession(
    db,
    session.id,
    {
      cookieHash: await hashOf(cookie),
      stateHash: await hashOf(await stateOf(cookie)),
      verifier: await vault.seal(verifierPlace(session), generateRandomCodeVerifier()),
      until: now() + FLOW_MS,
      ticketHash: ticket === null ? null : await hashOf(ticket),
    },
    now(),
  );
  return used ? ok(cookie) : err("link_used");
}

/**
 * P2. Where the browser of a redeemed flow consents; the same however often it asks. Null: it has no flow that waits for that.
 * @param origin of our own callback
 */
export async function providerAddress(
  deps: ConnectDeps,
  session: WithSecrets,
  { origin, cookie }: { readonly origin: string; readonly cookie: string },
): Promise<string | null> {
  const { db, vault } = deps;
  const mine = await matchesHash(cookie, session.cookieHash);
  if (!mine || !isUnderWay(deps, session) || session.verifier === null) return null;
  const made = await consentIntegration(db, session);
  const verifier = await vault.open(verifierPlace(session), session.verifier);
  if (made === null || !verifier.ok) return null;
  const provider = made.fixed.provider as Bound<ConsentProvider>;
  return authorizeUrl(provider, {
    clientId: made.fixed.clientId,
    redirectUri: callbackUrl(origin, session.slot.tenant, session.slot.integration),
    scopes: scopesToAsk(provider, session.scopes, { identity: true }),
    state: await stateOf(cookie),
    codeChallenge: await calculatePKCECodeChallenge(verifier.value),
    // Comes back in the id token: bound to this browser like the state.
    nonce: await hashOf(cookie),
  });
}

/** The user says no before there is a flow. False: there was nothing to say no to any more. */
export async function decline(deps: ConnectDeps, session: WithSecrets): Promise<boolean> {
  if (session.state !== "open") return false;
  await audit(deps, session, "refused", "declined");
  return endSession(deps.db, session.id, ["open"], "declined", deps.now());
}

/** P2. What the browser brought from the provider. */
export interface Callback {
  readonly tenant: string;
  readonly integration: string;
  readonly query: URLSearchParams;
  /** The flow's cookie of a session, if the browser sent one. */
  readonly cookieOf: (session: string) => string | null;
  readonly origin: string;
}

export async function comeBack(
  deps: ConnectDeps,
  callback: Callback,
): Promise<Result<Returned, { readonly refusal: FlowRefusal; readonly session: WithSecrets | null }>> {
  const { db, now } = deps;
  const session = await sessionOf(deps, callback);
  if (session === null) return err({ refusal: "not_this_browser", session: null });
  if (!isUnderWay(deps, session)) return err({ refusal: "link_used", session });
  const fail = async (
    failure: SessionFailure,
  ): Promise<ReturnType<typeof err<{ refusal: FlowRefusal; session: WithSecrets }>>> => {
    await audit(deps, session, "refused", failure);
    await endSession(db, session.id, ["redeemed", "exchanging"], failure, now());
    return err({ refusal: failure, session });
  };
  const made = await consentIntegration(db, session);
  if (made === null) return err({ refusal: "integration_gone", session });
  const copy = await openIntegration(db, deps.vault, made);
  const provider = copy.provider as Bound<ConsentProvider>;
  // RFC 6749 3.1. What stands there twice could be read in two ways.
  if (ONCE.some((name) => callback.query.getAll(name).length > 1)) return fail("callback_refused");
  const values = await readCallback(provider, callback.query, copy.secret ?? undefined);
  if (!values.ok) return fail("callback_refused");
  const code = callback.query.get("code");
  if (callback.query.has("error") || code === null)
    return fail(callback.query.get("error") === "access_denied" ? "declined" : "provider_error");
  const verifier =
    session.verifier === null ? null : await deps.vault.open(verifierPlace(session), session.verifier);
  // From here on the code is used up, whoever else has it.
  if (!(await takeSession(db, session.id, now()))) return err({ refusal: "link_used", session });
  if (verifier?.ok !== true) return fail("exchange_failed");
  const integration: OpenIntegration = copy;
  const answer = await deps.provider.exchange(integration, {
    code,
    redirectUri: callbackUrl(callback.origin, session.slot.tenant, session.slot.integration),
    codeVerifier: verifier.value,
  });
  if (!answer.ok) return fail(answer.error.class === "misconfigured" ? "misconfigured" : "exchange_failed");
  const flow = {
    redirectValues: values.value,
    ...(session.cookieHash === null ? {} : { nonce: session.cookieHash }),
  };
  const account = await deps.provider.identify(integration, answer.value, flow);
  if (!account.ok) return fail("identity_invalid");
  const asked = scopesToAsk(provider, session.scopes, { identity: true });
  const scopes = comparesScopes(provider) ? (answer.value.scopes ?? asked) : null;
  await audit(deps, session, "granted", null);
  const pending = session.mode === "confirm" ? { session: session.id, until: now() + FLOW_MS } : null;
  const request: GrantRequest = {
    slot: session.slot,
    id: session.connection,
    integration: copy,
    pair: { accessToken: answer.value.accessToken, refreshToken: answer.value.refreshToken ?? null },
    times: timesOf(provider, answer.value, now()),
    scopes,
    account: account.value,
    identityLevel: LEVELS[session.mode],
    extra: { ...values.value, ...answer.value.extra },
    workflows: made.settings.workflows ?? null,
    by: `connect_session:${session.id}`,
    session: session.id,
    pending,
    replaceAccount: session.replaceAccount,
  };
  const granted = await deps.object(session.slot.tenant, session.connection).grant(request);
  if (granted.kind === "identity_unverified") return fail("identity_unverified");
  if (granted.kind === "account_mismatch" || granted.kind === "not_found") return fail("account_mismatch");
  const narrower = session.scopes.filter((scope) => scopes?.includes(scope) === false);
  if (pending === null) {
    await endSession(db, session.id, ["exchanging"], null, now());
    return ok({ session, narrower, location: session.returnTo });
  }
  const oneTime = newSecret();
  await awaitConfirmation(db, session.id, { codeHash: await hashOf(oneTime), until: pending.until });
  return ok({ session, narrower, location: withCode(session, oneTime) });
}

/** P2. Null: not a flow of this browser at this integration. It may be over. */
async function sessionOf({ db }: ConnectDeps, callback: Callback): Promise<WithSecrets | null> {
  const [state, ...more] = callback.query.getAll("state");
  if (state === undefined || more.length > 0) return null;
  const session = await selectSessionByState(db, await hashOf(state));
  if (
    session === null ||
    session.slot.tenant !== callback.tenant ||
    session.slot.integration !== callback.integration
  )
    return null;
  const cookie = callback.cookieOf(session.id);
  if (cookie === null || !(await matchesHash(cookie, session.cookieHash))) return null;
  return session;
}

/** Parameters of the redirect back that may stand there once. */
const ONCE = ["code", "iss", "error"] as const;

function isUnderWay({ now }: ConnectDeps, { state, expiresAt }: WithSecrets): boolean {
  return state === "redeemed" && expiresAt > now();
}

const LEVELS: Readonly<Record<WithSecrets["mode"], IdentityLevel>> = {
  confirm: "confirm",
  host_session: "host_session",
  link: "link",
};

/** What a provider says of its tokens' lives, else what its descriptor knows. */
export function timesOf(
  provider: Bound<ConsentProvider>,
  answer: TokenSuccess,
  now: number,
): GrantRequest["times"] {
  const { idleLimitMs, absoluteLimitMs } = provider.refresh;
  return {
    issuedAt: now,
    expiresAt: answer.expiresAt ?? null,
    idleEndsAt: answer.refreshExpiresAt ?? (idleLimitMs === undefined ? null : now + idleLimitMs),
    endsAt: answer.hardExpiresAt ?? (absoluteLimitMs === undefined ? null : now + absoluteLimitMs),
  };
}

/** P3. */
function withCode(session: WithSecrets, code: string): string | null {
  if (session.returnTo === null) return null;
  const url = new URL(session.returnTo);
  url.searchParams.set("session", session.id);
  url.searchParams.set("code", code);
  return url.href;
}

export type ConfirmRefusal =
  | "not_waiting"
  | "code_wrong"
  | "user_mismatch"
  | "account_mismatch"
  | "identity_unverified";

/** P4. The tenant's backend says which of its users came back with the code. */
export async function confirm(
  deps: ConnectDeps,
  session: WithSecrets,
  said: { readonly code: string; readonly user: string; readonly by: string },
): Promise<Result<{ readonly connection: string }, ConfirmRefusal>> {
  const { db, now } = deps;
  const { tenant, owner } = session.slot;
  if (session.state === "done") return confirmedBefore(session, said);
  if (session.state !== "unconfirmed" || session.expiresAt <= now()) return err("not_waiting");
  if (!(await matchesHash(said.code, session.codeHash))) return err("code_wrong");
  const object = deps.object(tenant, session.connection);
  if (owner.kind === "user" && owner.user !== said.user) {
    // Somebody's consent came in at somebody else's link: it is nobody's.
    await audit(deps, session, "refused", "user_mismatch", said.by);
    await endSession(db, session.id, ["unconfirmed"], "user_mismatch", now());
    await object.discard(tenant, session.id);
    return err("user_mismatch");
  }
  const made = await consentIntegration(db, session);
  if (made === null) {
    await endSession(db, session.id, ["unconfirmed"], "unconfirmed", now());
    await object.discard(tenant, session.id);
    return err("not_waiting");
  }
  const current = await openIntegration(db, deps.vault, made);
  await audit(deps, session, "granted", null, said.by);
  const granted = await object.confirm(tenant, session.id, said.by, current);
  if (granted.kind !== "active") {
    // It was thrown away meanwhile, or another consent came after it: the session says so by itself, or ends with its time.
    if (granted.kind !== "account_mismatch" && granted.kind !== "identity_unverified")
      return err("not_waiting");
    await endSession(db, session.id, ["unconfirmed"], granted.kind, now());
    return err(granted.kind);
  }
  await endSession(db, session.id, ["unconfirmed"], null, now());
  return ok({ connection: session.connection });
}

/**
 * P6. What was answered was lost, so it is asked again. Whoever does not say the very same learns no more than that nothing
 * waits.
 */
async function confirmedBefore(
  { slot, connection, codeHash }: WithSecrets,
  said: { readonly code: string; readonly user: string },
): Promise<Result<{ readonly connection: string }, ConfirmRefusal>> {
  const isTheirs = slot.owner.kind === "tenant" || slot.owner.user === said.user;
  return (await matchesHash(said.code, codeHash)) && isTheirs ? ok({ connection }) : err("not_waiting");
}

/**
 * Null: it is gone, is not one that users consent to, or was narrowed since: a link from before that gives no more than one
 * of today.
 */
export async function consentIntegration(
  db: D1Database,
  { slot, mode, scopes, returnTo }: ConnectSession,
): Promise<Integration | null> {
  const made = await selectIntegration(db, slot.tenant, slot.integration);
  if (made === null || made.deletedAt !== null || (made.kind !== "oauth2" && made.kind !== "oidc"))
    return null;
  const { linkEnabled, scopesAllowed, returnTo: addresses } = made.settings;
  const isAllowed =
    (mode !== "link" || linkEnabled) &&
    (scopesAllowed === null || scopes.every((scope) => scopesAllowed.includes(scope))) &&
    (returnTo === null || addresses.includes(returnTo));
  return isAllowed ? made : null;
}

/** P5. */
async function audit(
  { audit: sink, now }: ConnectDeps,
  session: WithSecrets,
  outcome: "granted" | "refused",
  failure: string | null,
  actor = `connect_session:${session.id}`,
): Promise<void> {
  const { slot, connection, mode } = session;
  await sink.write({
    at: now(),
    tenant: slot.tenant,
    actor,
    action: "connection.consent",
    target: connection,
    outcome,
    detail: {
      integration: slot.integration,
      mode,
      ...(failure === null ? {} : { failure }),
    },
  });
}
