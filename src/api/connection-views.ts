/** Integrations, sessions and connections as they are shown. Nothing here can show a secret: the types hold none. */
import type {
  Bound,
  ConnectionUse,
  ConnectSession,
  Integration,
  ListedConnection,
} from "../connections/index.ts";
import type { Call } from "./route.ts";

/** Where browsers find this deployment. */
export function originOf({ deps, request }: Call): string {
  return deps.publicOrigin ?? new URL(request.url).origin;
}

export function connectUrl(call: Call, token: string): string {
  return `${originOf(call)}/connect/${token}`;
}

export function viewIntegration(call: Call, made: Integration): Readonly<Record<string, unknown>> {
  const { name, fixed, settings } = made;
  // Bound descriptors are all that is ever kept there.
  const provider = fixed.provider as Bound;
  const consents = "authorizeUrl" in provider;
  return {
    ...{ name, provider: made.provider, kind: made.kind, owner: made.owner },
    display_name: settings.displayName ?? provider.displayName,
    client_id: fixed.clientId === "" ? null : fixed.clientId,
    client_auth: "tokenUrl" in provider ? (provider.clientAuth[0] ?? null) : null,
    parts: provider.bound,
    hosts: provider.hosts,
    endpoints: "tokenUrl" in provider ? endpointsOf(provider) : null,
    callback_url: call.deps.connections().callbackUrl(originOf(call), made),
    ...{ scopes_allowed: settings.scopesAllowed, scopes_default: settings.scopesDefault },
    mode: consents ? settings.mode : null,
    ...{ link_enabled: settings.linkEnabled, return_to: settings.returnTo },
    workflows: settings.workflows ?? null,
    ...{ version: made.version, created_at: made.createdAt, created_by: made.createdBy },
    updated_at: made.updatedAt,
  };
}

/** What is allowed, but perhaps not meant. */
export function adviceOn({ kind, fixed, settings }: Integration): readonly string[] {
  const provider = fixed.provider as Bound;
  // Of an issuer that knows the scope, the consent is asked for anew each time, which the scope needs (generic.ts).
  const offers =
    kind === "oidc" && "authorizeParams" in provider && provider.authorizeParams?.["prompt"] === "consent";
  return offers && provider.name === "oidc" && !settings.scopesDefault.includes("offline_access")
    ? [
        "The issuer gives a refresh token only for the scope `offline_access`. Without it among `scopes_default`, users must consent again whenever their token ends.",
      ]
    : [];
}

function endpointsOf(provider: Extract<Bound, { readonly tokenUrl: string }>) {
  const consents = "authorizeUrl" in provider ? provider : null;
  return {
    authorize_url: consents?.authorizeUrl ?? null,
    token_url: provider.tokenUrl,
    refresh_url: consents?.refreshUrl ?? null,
    revoke_url: consents?.revoke?.url ?? null,
    issuer: consents?.issuer ?? null,
  };
}

/** @param token of its link; null: it cannot be opened (any more) */
export function viewSession(
  call: Call,
  session: ConnectSession,
  token: string | null,
): Readonly<Record<string, unknown>> {
  const { slot } = session;
  const over = session.state === "done" || session.state === "failed";
  return {
    ...{ id: session.id, integration: slot.integration, connection: session.connection },
    user: slot.owner.kind === "user" ? slot.owner.user : null,
    ...{ account: slot.account, scopes: session.scopes, mode: session.mode, return_to: session.returnTo },
    purpose: session.purpose,
    state: !over && session.expiresAt <= call.deps.now() ? "expired" : session.state,
    ...{ failure: session.failure, created_at: session.createdAt, expires_at: session.expiresAt },
    url: token === null ? null : connectUrl(call, token),
  };
}

export function viewConnection({ deps }: Call, one: ListedConnection): Readonly<Record<string, unknown>> {
  return {
    ...{ id: one.id, integration: one.integration },
    owner: one.user === null ? "tenant" : "user",
    ...{ user: one.user, account: one.account, label: one.label, status: one.status, reason: one.reason },
    ...{ scopes: one.scopes, identity_level: one.identityLevel, workflows: one.workflows },
    ...{ granted_at: one.grantedAt, expires_at: one.expiresAt, ends_at: one.endsAt },
    warning: deps.connections().warningOf(one),
    revocation: one.revocation,
  };
}

export function viewUse({ workflow, firstAt, lastAt, uses }: ConnectionUse) {
  return { workflow, first_at: firstAt, last_at: lastAt, uses };
}
