/** Making connect sessions: for the API, and for steps that wait. Owns what a session may ask for. */
import { connectionIdOf, err, ok, randomId, type Result, sessionIdOfWait } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { type Owner, ownerText, type Slot } from "./grant.ts";
import type { ConnectMode, Integration } from "./integrations.ts";
import { selectIntegration } from "./integrations-store.ts";
import { linkToken } from "./links.ts";
import { type ConnectSession, LINK_MS, purposeOf } from "./sessions.ts";
import { insertSession, selectSession } from "./sessions-store.ts";

export interface SessionDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  readonly serverKey: () => Promise<CryptoKey>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface SessionRequest {
  readonly tenant: string;
  readonly integration: string;
  /** Null: for the tenant. */
  readonly user: string | null;
  readonly account: string;
  readonly scopes?: readonly string[];
  readonly mode?: ConnectMode;
  readonly returnTo?: string;
  readonly replaceAccount: boolean;
  readonly by: string;
}

export type SessionRefusal =
  | {
      readonly code:
        | "integration_unknown"
        | "integration_needs_no_consent"
        | "owner_mismatch"
        | "mode_not_enabled"
        /** Sessions that are open, or connections. */
        | "too_many";
    }
  /** `allowed`: what the integration has. */
  | {
      readonly code: "scopes_not_allowed";
      readonly scopes: readonly string[];
      readonly allowed: readonly string[];
    }
  | { readonly code: "return_to_not_allowed" | "return_to_missing"; readonly allowed: readonly string[] };

export interface MadeSession {
  readonly session: ConnectSession;
  /** The last part of the link's address. */
  readonly token: string;
}

/** A session for whoever has a user to send there. Its link lives for half an hour. */
export async function makeSession(
  deps: SessionDeps,
  request: SessionRequest,
): Promise<Result<MadeSession, SessionRefusal>> {
  const now = deps.now();
  const drawn = await draw(deps, request);
  if (!drawn.ok) return drawn;
  const session: ConnectSession = {
    ...drawn.value,
    id: randomId("cs"),
    purpose: "api",
    createdAt: now,
    expiresAt: now + LINK_MS,
  };
  return keep(deps, session);
}

/** What a step waits for. */
export interface Waiting {
  readonly tenant: string;
  readonly run: string;
  /** Name of the unit. */
  readonly unit: string;
  /** Whose step it is, for the page. */
  readonly workflow?: string;
  readonly user: string | null;
  readonly integration: string;
  readonly account: string;
  readonly scopes: readonly string[];
  readonly since: number;
  readonly limitAt: number;
}

/**
 * The session of a waiting step: one for each wait, made when somebody first looks. Its link lives as long as the wait. Once
 * it was used up, or asks for fewer scopes than are lacking by now, the next look makes another.
 */
export async function sessionForWait(
  deps: SessionDeps,
  waiting: Waiting,
  by: string,
): Promise<Result<MadeSession, SessionRefusal>> {
  const { tenant, run, unit, since, limitAt } = waiting;
  const drawn = await draw(deps, { ...waiting, replaceAccount: false, by });
  if (!drawn.ok) return drawn;
  const key = await deps.serverKey();
  const now = deps.now();
  // A link is used once. Who did not get to the end of it is given another, and not many.
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    const id = await sessionIdOfWait(key, {
      tenant,
      run,
      unit: turn === 0 ? unit : `${unit} ${turn}`,
      since,
    });
    const before = await selectSession(deps.db, id);
    if (before !== null && before.state !== "open") continue;
    // Made when fewer steps waited: who used it would be asked a second time.
    if (before !== null && !drawn.value.scopes.every((scope) => before.scopes.includes(scope))) continue;
    const session: ConnectSession = before ?? {
      ...drawn.value,
      id,
      purpose: purposeOf({ run, unit, workflow: waiting.workflow ?? null }),
      createdAt: now,
      expiresAt: limitAt,
    };
    return keep(deps, session);
  }
  return err({ code: "mode_not_enabled" });
}

const MAX_TURNS = 20;

type Drawn = Omit<ConnectSession, "id" | "purpose" | "createdAt" | "expiresAt">;

async function draw(
  deps: SessionDeps,
  request: Omit<SessionRequest, "by"> & { readonly by: string },
): Promise<Result<Drawn, SessionRefusal>> {
  const { tenant, integration, user, account, replaceAccount, by } = request;
  const made = await selectIntegration(deps.db, tenant, integration);
  if (made === null || made.deletedAt !== null) return err({ code: "integration_unknown" });
  if (made.kind !== "oauth2" && made.kind !== "oidc") return err({ code: "integration_needs_no_consent" });
  if ((made.owner === "tenant") !== (user === null)) return err({ code: "owner_mismatch" });
  const mode = request.mode ?? made.settings.mode;
  if (mode === "link" && !made.settings.linkEnabled) return err({ code: "mode_not_enabled" });
  const scopes = scopesOf(made, request.scopes);
  if (!scopes.ok) return scopes;
  const returnTo = returnToOf(made, mode, request.returnTo);
  if (!returnTo.ok) return returnTo;
  const owner: Owner = user === null ? { kind: "tenant" } : { kind: "user", user };
  const slot: Slot = { tenant, integration, owner, account };
  const connection = await connectionIdOf(await deps.serverKey(), { ...slot, owner: ownerText(owner) });
  return ok({
    ...{ slot, connection, mode, replaceAccount },
    scopes: scopes.value,
    returnTo: returnTo.value,
    kid: deps.vault.active,
    state: "open",
    failure: null,
    createdBy: by,
  });
}

function scopesOf(
  { settings }: Integration,
  wanted: readonly string[] = [],
): Result<readonly string[], SessionRefusal> {
  const { scopesAllowed, scopesDefault } = settings;
  const all = [...new Set([...scopesDefault, ...wanted])];
  const stray = scopesAllowed === null ? [] : all.filter((scope) => !scopesAllowed.includes(scope));
  return stray.length === 0
    ? ok(all)
    : err({ code: "scopes_not_allowed", scopes: stray, allowed: scopesAllowed ?? [] });
}

/** Exactly one of the integration's own addresses: nothing that a request or a callback brings. */
function returnToOf(
  { settings: { returnTo } }: Integration,
  mode: ConnectMode,
  wanted: string | undefined,
): Result<string | null, SessionRefusal> {
  if (wanted !== undefined)
    return returnTo.includes(wanted) ? ok(wanted) : err({ code: "return_to_not_allowed", allowed: returnTo });
  const [first = null] = returnTo;
  return first === null && mode === "confirm"
    ? err({ code: "return_to_missing", allowed: returnTo })
    : ok(first);
}

async function keep(
  deps: SessionDeps,
  session: ConnectSession,
): Promise<Result<MadeSession, SessionRefusal>> {
  if (!(await insertSession(deps.db, session))) return err({ code: "too_many" });
  const token = await linkToken(deps.vault, session);
  if (token === null)
    throw new Error("The key that a connect link is derived from is not in the keyring here.");
  return ok({ session, token });
}
