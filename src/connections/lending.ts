/**
 * Connections that need no browser: a key or a password that somebody hands over, and what the tenant's own client gets by
 * asking. Owns what such a credential may look like; what becomes of it is the object's.
 */
import { connectionIdOf, err, ok, type Result } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { ownerText, type Owner, type Slot } from "./grant.ts";
import type { Integration } from "./integrations.ts";
import { openIntegration } from "./integrations-store.ts";
import type { ProviderClient } from "./provider-client.ts";
import { basicValue, MAX_TOKEN_CHARS } from "./providers/index.ts";
import type { ConnectionRpc, ConnectionView, GrantRequest } from "./rpc.ts";
import { MIN_SECRET_CHARS } from "./secrets.ts";

export interface LendDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  readonly provider: ProviderClient;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  readonly serverKey: () => Promise<CryptoKey>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Lent {
  /** Null: the tenant's own. */
  readonly user: string | null;
  readonly account: string;
  readonly label: string | null;
  readonly apiKey?: string;
  readonly username?: string;
  readonly password?: string;
  /** When it ends; missing: not known. */
  readonly expiresAt?: number;
  readonly by: string;
  /** Whether who hands it over may vouch that it is of the account that is there: a rotation. */
  readonly sameAccount: boolean;
}

export type LendRefusal =
  /** Users consent to this one in a browser. */
  | { readonly code: "needs_consent" }
  | { readonly code: "owner_mismatch" }
  | { readonly code: "credential_invalid"; readonly pointer: string; readonly detail: string }
  /** The provider does not take the integration's own credential. */
  | { readonly code: "credential_refused"; readonly detail: string }
  | { readonly code: "provider_unavailable"; readonly detail: string; readonly retryAfterMs?: number };

/** RFC 9110 5.5: what any server takes as a header's value, without spaces, which some would trim. */
const HEADER_SAFE = /^[\x21-\x7e]+$/;
/** RFC 7617 2: no control characters, and no colon in the name. */
const BASIC_TEXT = /^[^\p{Cc}]+$/u;
const TOO_SHORT = `It has fewer than ${MIN_SECRET_CHARS} characters, so it could not be kept out of outputs and logs.`;

/** Again for the same owner and account: the new credential takes the place of the old one. */
export async function lend(
  deps: LendDeps,
  made: Integration,
  lent: Lent,
): Promise<Result<ConnectionView, LendRefusal>> {
  if (made.kind === "oauth2" || made.kind === "oidc") return err({ code: "needs_consent" });
  if ((made.owner === "tenant") !== (lent.user === null)) return err({ code: "owner_mismatch" });
  const owner: Owner = lent.user === null ? { kind: "tenant" } : { kind: "user", user: lent.user };
  const { tenant, name: integration } = made;
  const slot: Slot = { tenant, integration, owner, account: lent.account };
  const id = await connectionIdOf(await deps.serverKey(), { ...slot, owner: ownerText(owner) });
  const given = await credentialOf(deps, made, lent);
  if (!given.ok) return given;
  const object = deps.object(tenant, id);
  const granted = await object.grant({
    ...{ slot, id, workflows: made.settings.workflows ?? null, by: lent.by, pending: null },
    identityLevel: lent.user === null ? "machine" : "confirm",
    // Whoever hands a credential over means this one.
    replaceAccount: true,
    sameAccount: lent.sameAccount,
    ...given.value,
  });
  const view = granted.kind === "active" ? await object.view(tenant) : null;
  if (view === null) throw new Error("A credential was not kept.");
  return ok(view);
}

type Given = Pick<GrantRequest, "integration" | "pair" | "times" | "scopes" | "account" | "extra">;

async function credentialOf(
  deps: LendDeps,
  made: Integration,
  lent: Lent,
): Promise<Result<Given, LendRefusal>> {
  const machine = made.kind === "client_credentials" || made.kind === "jwt_bearer";
  const stray = (["apiKey", "username", "password", "expiresAt"] as const).find(
    (field) => lent[field] !== undefined && !TAKES[made.kind].includes(field),
  );
  if (stray !== undefined) return invalid(stray, `A connection of the kind ${made.kind} has no such field.`);
  const integration = await openIntegration(deps.db, deps.vault, made);
  const now = deps.now();
  if (machine) {
    const scopes = made.settings.scopesDefault;
    const answer = await deps.provider.machineToken(integration, scopes);
    if (!answer.ok) return refused(answer.error);
    const { accessToken, expiresAt = null, extra, scopes: granted = scopes } = answer.value;
    return ok({
      ...{ integration, pair: { accessToken, refreshToken: null }, scopes: granted, extra },
      times: { issuedAt: now, expiresAt, idleEndsAt: null, endsAt: null },
      account: { id: made.fixed.clientId, label: lent.label },
    });
  }
  const token = made.kind === "api_key" ? keyOf(lent) : passwordOf(lent);
  if (!token.ok) return token;
  const expiresAt = lent.expiresAt ?? null;
  return ok({
    ...{ integration, pair: { accessToken: token.value, refreshToken: null }, scopes: null, extra: {} },
    times: { issuedAt: now, expiresAt, idleEndsAt: null, endsAt: expiresAt },
    account: { id: null, label: lent.label },
  });
}

const TAKES: Readonly<Record<Integration["kind"], readonly (keyof Lent)[]>> = {
  oauth2: [],
  oidc: [],
  client_credentials: [],
  jwt_bearer: [],
  api_key: ["apiKey", "expiresAt"],
  basic: ["username", "password", "expiresAt"],
};

function keyOf({ apiKey }: Lent): Result<string, LendRefusal> {
  if (apiKey === undefined) return invalid("apiKey", "The field is missing.");
  if (!HEADER_SAFE.test(apiKey) || apiKey.length > MAX_TOKEN_CHARS)
    return invalid("apiKey", "It goes into a header: visible characters of ASCII only.");
  return apiKey.length < MIN_SECRET_CHARS ? invalid("apiKey", TOO_SHORT) : ok(apiKey);
}

function passwordOf({ username, password }: Lent): Result<string, LendRefusal> {
  if (username === undefined) return invalid("username", "The field is missing.");
  if (password === undefined) return invalid("password", "The field is missing.");
  if (!BASIC_TEXT.test(username) || username.includes(":"))
    return invalid("username", "It holds a colon or a control character.");
  if (!BASIC_TEXT.test(password)) return invalid("password", "It holds a control character.");
  if (password.length < MIN_SECRET_CHARS) return invalid("password", TOO_SHORT);
  return ok(basicValue(username, password));
}

function invalid(field: string, detail: string): Result<never, LendRefusal> {
  const pointer = `/${field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
  return err({ code: "credential_invalid", pointer, detail });
}

function refused(failure: {
  readonly class: "terminal" | "passing" | "misconfigured";
  readonly code: string;
  readonly retryAfterMs?: number;
}): Result<never, LendRefusal> {
  const { code, retryAfterMs } = failure;
  if (failure.class !== "passing")
    return err({ code: "credential_refused", detail: `The provider answered with ${code}.` });
  return err({
    code: "provider_unavailable",
    detail: `The provider gave no token just now (${code}).`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
