/**
 * Whether another connection lives on the same account of a provider: to revoke the one would end the other, also where it
 * belongs to another integration of the same app.
 *
 * - W2 of connections that are taken back, whether one after the other or at once, exactly one tells the provider: each is
 *      marked as taken back before it asks; whether another one lives is asked of its object, as the listing lags; one that
 *      does not know yet whether it tells is waited for by those behind it in the order of their ids, and by no other.
 */
import { selectSiblings } from "./listing.ts";
import type { Granted, Siblings } from "./ports.ts";
import type { ConnectionRpc, ConnectionView } from "./rpc.ts";

export interface SiblingDeps {
  readonly db: D1Database;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  readonly serverKey: () => Promise<CryptoKey>;
}

export async function siblingsOf(
  { db, object, serverKey }: SiblingDeps,
  granted: Granted,
): Promise<Siblings> {
  const { tenant } = granted.slot;
  let found: Siblings = "none";
  for (const id of await selectSiblings(db, await serverKey(), granted)) {
    const other = await object(tenant, id).view(tenant);
    if (other === null || other.account.id !== granted.account.id) continue;
    const one = siblingOf(other, granted);
    if (one === "living") return one;
    if (one === "undecided") found = one;
  }
  return found;
}

/** W2. One that tells the provider, or has since this one was taken back, does it for both. */
function siblingOf(other: ConnectionView, { id, since }: Granted): Siblings {
  const { standing, revocation, undecided } = other;
  if (standing.status === "active") return "living";
  if (undecided) return other.id < id ? "undecided" : "none";
  if (standing.status === "revoking") return revocation?.outcome === "pending" ? "living" : "none";
  return revocation?.outcome === "revoked" && revocation.at >= since ? "living" : "none";
}
