/** Who asks, as a trigger keeps them: its runs are started in their name. */
import { actorOf, type KeyIdentity, standingOf } from "../access/index.ts";
import type { Json } from "../kernel/index.ts";
import type { Maker } from "../triggers/index.ts";

export function makerOf(identity: KeyIdentity): Maker {
  const { token } = identity;
  return {
    actor: actorOf(identity),
    // Policies were stored as JSON.
    policies: standingOf(identity) as readonly Json[],
    ...(token === undefined ? {} : { trust: { issuerId: token.issuerId, version: token.version } }),
  };
}
