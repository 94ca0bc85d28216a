/**
 * Behind a key stands whoever made it: a key that was made to decide on what its maker asked for is no second person. Behind
 * who comes with a token stand the keys that said what its issuer is trusted with: they could have named anybody.
 * So whoever is asked for a decision is told of all of them, directly or not.
 */
import type { AccessDeps } from "./deps.ts";
import { selectMakers } from "./keys-store.ts";

/** Nobody makes keys from keys this deep but to hide where one comes from. */
export const MAX_MAKERS = 256;

/**
 * All who stand behind the key or token that acts, as `actorOf` writes them, the nearest first; none for what is no key of
 * the tenant. Null: they cannot all be known (too many, or an issuer that is trusted no more), so it may come from anybody.
 * @param actor who acts, as `actorOf` writes it
 */
export async function makersOfActor(
  { db }: Pick<AccessDeps, "db">,
  tenant: string,
  actor: string,
): Promise<readonly string[] | null> {
  if (!/^(?:key:key|token:tok)_/.test(actor)) return [];
  const makers = await selectMakers(db, tenant, actor, MAX_MAKERS);
  return makers === null || makers.length === MAX_MAKERS ? null : makers;
}
