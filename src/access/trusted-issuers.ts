/** Trusted issuers: named, changed, given up, and tried. Who asks is always an identity that was proved by authenticate.ts. */
import { type AuditEntry, err, isName, ok, randomId, type Result } from "../platform/index.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity, type KeyIdentity, requireScope } from "./identity.ts";
import { type AccessRefusal, refuse } from "./refusals.ts";
import {
  draftTrust,
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
    ...{ ...made, id: randomId("iss"), tenant: by.tenant, name, version: 1 },
    ...{ createdAt: now, createdBy: actorOf(by), updatedAt: now },
  };
  if (!(await insertTrusted(deps.db, trusted, entryOf(by, "issuer.trust", trusted, now))))
    return err(refuse("issuer_exists", "The name, or the issuer, is there already; or the tenant has 100."));
  forget(deps, trusted);
  return ok(trusted);
}

/** In the place of all that was trusted of it. */
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
  const before = await selectTrusted(deps.db, by.tenant, { name });
  if (before === null) return err(noSuchIssuer());
  const entry = entryOf(by, "issuer.change", { ...before, ...made }, now);
  if (!(await updateTrusted(deps.db, before, made, now, entry)))
    return err(
      refuse("issuer_exists", "It was changed meanwhile, or the issuer is trusted under another name."),
    );
  const after = { ...before, ...made, version: before.version + 1, updatedAt: now };
  forget(deps, before);
  forget(deps, after);
  return ok(after);
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
  const before = await selectTrusted(deps.db, allowed.value.tenant, { name });
  if (before === null) return err(noSuchIssuer());
  await deleteTrusted(deps.db, before, entryOf(allowed.value, "issuer.distrust", before, now));
  forget(deps, before);
  return ok(now + ENDED_EVERYWHERE_MS);
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
  const found = await identityOfToken(deps, token, now);
  if (!found.ok) return ok({ identity: null, refusal: found.error });
  // Another tenant's callers are nobody's to see.
  if (found.value.tenant !== allowed.value.tenant)
    return ok({
      identity: null,
      refusal: { reason: "not_for_us", message: "The token is for another tenant.", telling: false },
    });
  return ok({ identity: found.value, refusal: null });
}

function draft(
  { trust }: AccessDeps,
  maker: Identity,
  request: TrustRequest,
): Result<{ readonly by: KeyIdentity; readonly made: TrustDraft }, AccessRefusal> {
  const allowed = requireScope(maker, "issuers:write");
  if (!allowed.ok) return allowed;
  if (trust === null)
    return err(refuse("invalid", "This deployment takes no tokens: it does not know its own address.", ""));
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
  const detail = {
    issuer,
    rules: rules
      .map(({ subject, scopes }) => `${subject}: ${scopes.join(" ")}`)
      .join("; ")
      .slice(0, 1_000),
  };
  return { at, tenant: by.tenant, actor: actorOf(by), action, target: name, outcome: "granted", detail };
}

function forget({ trust }: AccessDeps, { tenant, issuer }: Pick<TrustedIssuer, "tenant" | "issuer">): void {
  trust?.known.forget(JSON.stringify([tenant, issuer]));
}

function noSuchIssuer(): AccessRefusal {
  return refuse("issuer_unknown", "There is no such trusted issuer.");
}
