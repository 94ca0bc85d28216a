/** Trusted issuers: named, changed, given up, and tried. Who asks is always an identity that was proved by authenticate.ts. */
import { type AuditEntry, err, isName, ok, randomId, type Result } from "../platform/index.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity, type KeyIdentity, requireScope } from "./identity.ts";
import { type AccessRefusal, refuse } from "./refusals.ts";
import { widerThan } from "./scopes.ts";
import {
  draftTrust,
  scopesGiven,
  type TrustDraft,
  type TrustedIssuer,
  type TrustFlaw,
  type TrustRequest,
} from "./trusted-issuer.ts";
import {
  type Caller,
  deleteTrusted,
  insertTrusted,
  selectAllTrusted,
  selectCallers,
  selectTrusted,
  updateTrusted,
} from "./trusted-store.ts";
import { ENDED_EVERYWHERE_MS } from "./seen-cache.ts";
import { identityOfToken, type TokenRefusal } from "./token-auth.ts";
import { isToken } from "./token-text.ts";

const MAX_CALLERS = 50;
/** In the audit, which is small. */
const MAX_TOLD_RULES = 10;

export interface Trial {
  readonly identity: KeyIdentity | null;
  readonly refusal: TokenRefusal | null;
}

export async function createTrusted(
  deps: AccessDeps,
  maker: Identity,
  name: string,
  request: TrustRequest,
  now: number,
): Promise<Result<TrustedIssuer, AccessRefusal>> {
  const drafted = draft(deps, maker, request);
  if (!drafted.ok) return drafted;
  const { by, made } = drafted.value;
  if (!isName(name)) return err(refuse("invalid", "It is no name.", "/name"));
  const trusted: TrustedIssuer = {
    ...{ ...made, id: randomId("iss"), tenant: by.tenant, name, version: 1, until: by.expiresAt },
    ...{ createdAt: now, createdBy: actorOf(by), updatedAt: now },
  };
  if (!(await insertTrusted(deps.db, trusted, entryOf(by, "issuer.trust", trusted, now))))
    return err(refuse("issuer_exists", "The name, or the issuer, is there already; or the tenant has 100."));
  forget(deps, trusted);
  return ok(trusted);
}

/**
 * In the place of all that was trusted of it. The issuer itself stays: its callers are known by it and their subjects, and
 * somebody else's subject of the same name must not become one of them.
 */
export async function changeTrusted(
  deps: AccessDeps,
  maker: Identity,
  name: string,
  request: TrustRequest,
  now: number,
): Promise<Result<TrustedIssuer, AccessRefusal>> {
  const drafted = draft(deps, maker, request);
  if (!drafted.ok) return drafted;
  const { by, made } = drafted.value;
  const before = await selectChangeable(deps, by, name);
  if (!before.ok) return before;
  if (made.issuer !== before.value.issuer)
    return err(refuse("invalid", "Trust another issuer under a name of its own.", "/issuer"));
  const entry = entryOf(by, "issuer.change", { ...before.value, ...made }, now);
  const changed = await updateTrusted(deps.db, before.value.id, made, actorOf(by), entry);
  forget(deps, before.value);
  const after = await selectTrusted(deps.db, by.tenant, { name });
  if (after === null) return err(noSuchIssuer());
  if (changed) return ok(after);
  return err(refuse("invalid", "Too many keys have changed it. Trust the issuer anew, from nothing.", ""));
}

/** None of its tokens is taken any more. Answers from when on that holds everywhere. */
export async function deleteTrustedIssuer(
  deps: AccessDeps,
  asker: Identity,
  name: string,
  now: number,
): Promise<Result<number, AccessRefusal>> {
  const allowed = requireScope(asker, "issuers:write");
  if (!allowed.ok) return allowed;
  const before = await selectChangeable(deps, allowed.value, name);
  if (!before.ok) return before;
  await deleteTrusted(deps.db, before.value, entryOf(allowed.value, "issuer.distrust", before.value, now));
  forget(deps, before.value);
  return ok(now + ENDED_EVERYWHERE_MS);
}

/** As with keys, a stolen one cannot lock out its betters: what somebody takes away they must have themselves. */
async function selectChangeable(
  { db }: AccessDeps,
  by: KeyIdentity,
  name: string,
): Promise<Result<TrustedIssuer, AccessRefusal>> {
  const found = await selectTrusted(db, by.tenant, { name });
  if (found === null) return err(noSuchIssuer());
  const wider = widerThan(by.scopes, scopesGiven(found.rules));
  if (wider.length === 0) return ok(found);
  return err(
    refuse("scope_wider", `The issuer is trusted with scopes that the key has not: ${wider.join(", ")}.`),
  );
}

export interface TrustedWithCallers {
  readonly trusted: TrustedIssuer;
  /** Who came with a token of it last. */
  readonly callers: readonly Caller[];
}

export async function getTrusted(
  deps: AccessDeps,
  asker: Identity,
  name: string,
): Promise<Result<TrustedWithCallers, AccessRefusal>> {
  const allowed = requireScope(asker, "issuers:read");
  if (!allowed.ok) return allowed;
  const found = await selectTrusted(deps.db, allowed.value.tenant, { name });
  if (found === null) return err(noSuchIssuer());
  return ok({ trusted: found, callers: await selectCallers(deps.db, found.id, MAX_CALLERS) });
}

export async function listTrusted(
  deps: AccessDeps,
  asker: Identity,
): Promise<Result<readonly TrustedIssuer[], AccessRefusal>> {
  const allowed = requireScope(asker, "issuers:read");
  return allowed.ok ? ok(await selectAllTrusted(deps.db, allowed.value.tenant)) : allowed;
}

/** What would come of a token, with the reason in any case: for who keeps the tenant's trust. */
export async function tryToken(
  deps: AccessDeps,
  asker: Identity,
  token: string,
  now: number,
): Promise<Result<Trial, AccessRefusal>> {
  const allowed = requireScope(asker, "issuers:read");
  if (!allowed.ok) return allowed;
  if (!isToken(token)) return err(refuse("invalid", "It is not a JWT.", "/token"));
  const found = await identityOfToken(deps, token, now, allowed.value.tenant);
  return ok(found.ok ? { identity: found.value, refusal: null } : { identity: null, refusal: found.error });
}

function draft(
  { trust }: AccessDeps,
  maker: Identity,
  request: TrustRequest,
): Result<{ readonly by: KeyIdentity; readonly made: TrustDraft }, AccessRefusal> {
  const allowed = requireScope(maker, "issuers:write");
  if (!allowed.ok) return allowed;
  // W3: what is trusted holds for as long as the key that said so, and nothing of a token is kept that could end.
  if (allowed.value.token !== undefined)
    return err(refuse("forbidden", "Only an API key can trust an issuer: a token is over in minutes."));
  if (trust === null)
    return err(
      refuse(
        "invalid",
        "This deployment takes no tokens of other issuers: its operator has to set PUBLIC_ORIGIN.",
        "",
      ),
    );
  const drafted = draftTrust(allowed.value, request, trust.isAddress);
  return drafted.ok ? ok({ by: allowed.value, made: drafted.value }) : err(ofFlaw(drafted.error));
}

function ofFlaw({ pointer, detail, wider }: TrustFlaw): AccessRefusal {
  return refuse(wider === true ? "scope_wider" : "invalid", detail, pointer);
}

function entryOf(
  by: KeyIdentity,
  action: string,
  { name, issuer, rules }: Pick<TrustedIssuer, "name" | "issuer" | "rules">,
  at: number,
): AuditEntry {
  const told = rules.slice(0, MAX_TOLD_RULES).flatMap(({ subject, scopes }, i) => [
    // A pattern is about many; what names one may name a person.
    [`subject_${i + 1}`, subject.includes("*") ? subject : { user: subject }] as const,
    [`scopes_${i + 1}`, scopes.join(" ").slice(0, 200)] as const,
  ]);
  const detail = { issuer, rules: rules.length, ...Object.fromEntries(told) };
  return { at, tenant: by.tenant, actor: actorOf(by), action, target: name, outcome: "granted", detail };
}

function forget({ trust }: AccessDeps, { tenant, issuer }: Pick<TrustedIssuer, "tenant" | "issuer">): void {
  trust?.known.forget(JSON.stringify([tenant, issuer]));
}

function noSuchIssuer(): AccessRefusal {
  return refuse("issuer_unknown", "There is no such trusted issuer.");
}
