/** Who is asking, once that is proved. Pure. */
import { err, ok, type Result } from "../platform/index.ts";
import { refuse, type AccessRefusal } from "./refusals.ts";
import { admits, isForUsers, type Scope, type ScopeGrant } from "./scopes.ts";

/** A restriction on what may be reached and done, as it is stored: policy.ts reads it. */
export type Policy = Readonly<Record<string, unknown>>;

/** The holder of an API key, or of what stands in the place of one. */
export interface KeyIdentity {
  readonly kind: "key";
  readonly tenant: string;
  readonly keyId: string;
  /** The only end user that the key may act for; null: none by itself. */
  readonly user: string | null;
  readonly scopes: ReadonlySet<ScopeGrant>;
  /** All of them must allow what is done. */
  readonly policies: readonly Policy[];
  /** Milliseconds since 1970; null: never. */
  readonly expiresAt: number | null;
  /** There is no key: who asks came with a token of an issuer that the tenant trusts, and `keyId` stands for its subject. */
  readonly token?: {
    /** Name of the trusted issuer, and which one and as what it was trusted. */
    readonly issuer: string;
    readonly issuerId: string;
    readonly version: number;
    readonly subject: string;
  };
}

/** The operator. Belongs to no tenant: makes tenants and admin keys, and does what no tenant could (the directory, the vault). */
export interface RootIdentity {
  readonly kind: "root";
}

export type Identity = KeyIdentity | RootIdentity;

/** How the audit and `created_by` columns write an identity. PERSISTED CONTRACT. */
export function actorOf(identity: Identity): string {
  if (identity.kind === "root") return "root";
  return `${identity.token === undefined ? "key" : "token"}:${identity.keyId}`;
}

/** Whether an identity may do what a scope names. Root has no scope at all. */
export function may(identity: Identity, needed: Scope): boolean {
  if (identity.kind === "root") return false;
  // Also checked here, not only when a key is made: a wildcard includes scopes that came later.
  if (identity.user !== null && !isForUsers(needed)) return false;
  return admits(identity.scopes, needed);
}

/** The key's identity if it has the scope. */
export function requireScope(identity: Identity, needed: Scope): Result<KeyIdentity, AccessRefusal> {
  if (identity.kind === "key" && may(identity, needed)) return ok(identity);
  if (identity.kind === "root")
    return err(
      refuse(
        "forbidden",
        "The root key makes tenants and admin keys and keeps the vault. It does not do this.",
      ),
    );
  return err(refuse("forbidden", `This needs the scope ${needed}, which the key does not have.`));
}
