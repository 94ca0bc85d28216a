/**
 * Behind a key stands whoever made it: a key that was made to decide on what its maker asked for is no second person.
 * So whoever is asked for a decision is told of all who made the key, directly or not.
 */
import type { AccessDeps } from "./deps.ts";
import { selectMakers } from "./keys-store.ts";

/** Nobody makes keys from keys this deep but to hide where one comes from. */
export const MAX_MAKERS = 256;

/**
 * All who made the key that acts, as `actorOf` writes them, the nearest first; none for what is no key of the tenant.
 * Null: there are too many to know them all, so it may come from anybody.
 * @param actor who acts, as `actorOf` writes it
 */
export async function makersOfActor(
  { db }: Pick<AccessDeps, "db">,
  tenant: string,
  actor: string,
): Promise<readonly string[] | null> {
  const [, id] = /^key:(key_.+)$/.exec(actor) ?? [];
  if (id === undefined) return [];
  const makers = await selectMakers(db, tenant, id, MAX_MAKERS);
  return makers.length === MAX_MAKERS ? null : makers;
}
