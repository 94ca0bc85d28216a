/**
 * Moves what a connection object keeps under the active key of the vault. Owns the list of its texts, and their places.
 *
 * X1 a text is replaced only where it still stands: whoever wrote another meanwhile, sealed it under the active key.
 */
import type { PendingGrant } from "./grant.ts";
import { leavingPlace } from "./leaving.ts";
import type { ConnectionWiring } from "./ports.ts";
import { pairPlace, pendingPlace, secretPlace } from "./sealing.ts";
import type { ConnectionStore, Leaving } from "./store.ts";
import type { Place } from "../vault/index.ts";

/** False: not all of it can be moved just now. What can be was. */
export async function rewrapTexts(
  store: ConnectionStore,
  { vault, log }: Pick<ConnectionWiring, "vault" | "log">,
): Promise<boolean> {
  const kept = store.get("slot");
  if (kept === undefined) return true;
  const moved = new Map<string, string>();
  const results = await Promise.all(
    textsOf(store).map(async ([place, text]) => {
      try {
        const next = await vault.rewrap(place, text);
        if (next.ok) moved.set(text, next.value);
        else log.error("connection.not_rewrapped", { connection: kept.id, code: next.error.code });
        return next.ok;
      } catch (error) {
        log.error("connection.not_rewrapped", { connection: kept.id, error });
        return false;
      }
    }),
  );
  if (moved.size > 0) replaceTexts(store, moved);
  return results.every((ok) => ok);
}

function textsOf(store: ConnectionStore): (readonly [Place, string])[] {
  const kept = store.get("slot");
  if (kept === undefined) return [];
  const { slot, id } = kept;
  const record = store.get("record");
  const pending = store.get("pending") ?? [];
  const leaving = store.get("leaving") ?? [];
  const integrations = [
    store.get("integration"),
    ...leaving.map(({ integration }) => integration),
    ...pending.map(({ integration }) => integration),
  ];
  const texts = [
    ...(record === undefined
      ? []
      : [[pairPlace(slot, id, record.grant.version), record.grant.sealed] as const]),
    ...leaving.map((one) => [leavingPlace(slot, id, one), one.sealed] as const),
    ...integrations.flatMap((one) =>
      one === undefined ? [] : [[secretPlace(slot, id, one.version), one.sealedSecret] as const],
    ),
    ...pending.map(({ session, grant }) => [pendingPlace(slot, id, session), grant.sealed] as const),
  ];
  return texts.flatMap(([place, text]) => (text === null ? [] : [[place, text] as const]));
}

/** X1. */
function replaceTexts(store: ConnectionStore, moved: ReadonlyMap<string, string>): void {
  const next = (text: string | null): string | null => (text === null ? null : (moved.get(text) ?? text));
  const record = store.get("record");
  const integration = store.get("integration");
  const pending = store.get("pending");
  const leaving = store.get("leaving");
  store.together(() => {
    if (leaving !== undefined) {
      const replaced = leaving.map((one): Leaving => ({
        ...one,
        sealed: moved.get(one.sealed) ?? one.sealed,
        integration: { ...one.integration, sealedSecret: next(one.integration.sealedSecret) },
      }));
      store.put("leaving", replaced);
    }
    if (record !== undefined)
      store.put("record", { ...record, grant: { ...record.grant, sealed: next(record.grant.sealed) } });
    if (integration !== undefined)
      store.put("integration", { ...integration, sealedSecret: next(integration.sealedSecret) });
    if (pending === undefined) return;
    const replaced = pending.map((one): PendingGrant => ({
      ...one,
      grant: { ...one.grant, sealed: next(one.grant.sealed) },
      integration: { ...one.integration, sealedSecret: next(one.integration.sealedSecret) },
    }));
    store.put("pending", replaced);
  });
}
