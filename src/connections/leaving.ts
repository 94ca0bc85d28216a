/**
 * Grants that have lost their place, were refused or never confirmed, of which the provider is still to be told: for a day at
 * the longest, then they are shredded. Owns their list, which is beside the connection's own grant and changes nothing of it.
 *
 * - E2 the provider is not told while the same account lives here or in another connection, as that would end both; each time
 *      before it is told that is looked at anew. Of a grant that was never confirmed and does not say whose it is nobody
 *      knows that, so it is not told: else whoever leads somebody to a link could end a connection of theirs.
 * - E1 what a refresh brings for a grant that has lost its place meanwhile is what the provider is told of: the refresh token
 *      that was sent may be of no meaning any more.
 */
import type { ConnectionWiring } from "./ports.ts";
import { type Account, type Pair, type PendingGrant, sameAccount, type Slot } from "./grant.ts";
import { latePlace, pairPlace, pendingPlace, sealPair } from "./sealing.ts";
import type { ConnectionStore, Leaving } from "./store.ts";
import { nextTelling, type Told, tellProvider } from "./telling.ts";
import type { Place, Vault } from "../vault/index.ts";

/** At a time: of more, the oldest is given up. */
const MAX_LEAVING = 16;

type Changed = (
  action: string,
  actor: string,
  detail: Readonly<Record<string, string | number | boolean>>,
) => void;

/** PERSISTED CONTRACT: places are part of what is sealed. */
export function leavingPlace(slot: Pick<Slot, "tenant">, id: string, { of }: Pick<Leaving, "of">): Place {
  switch (of.kind) {
    case "pair":
      return pairPlace(slot, id, of.version);
    case "late":
      return latePlace(slot, id, of.version);
    case "pending":
      return pendingPlace(slot, id, of.session);
  }
}

/** Grants that will never be confirmed go on the list. */
export function leavePending(
  store: ConnectionStore,
  gone: readonly PendingGrant[],
  { by, now }: { readonly by: string; readonly now: number },
): void {
  for (const { session, grant, integration } of gone) {
    const { sealed, account } = grant;
    if (sealed === null) continue;
    const due = { since: now, retryAt: now, tries: 0 };
    addLeaving(store, { of: { kind: "pending", session }, by, account, sealed, integration, ...due });
  }
}

/** Puts one on the list. Answers those that had to go for it. */
export function addLeaving(store: ConnectionStore, leaving: Leaving): readonly Leaving[] {
  const all = [...(store.get("leaving") ?? []), leaving];
  store.put("leaving", all.slice(-MAX_LEAVING));
  return all.slice(0, -MAX_LEAVING);
}

/** E1. False: no grant of this version is on the list. */
export async function keepLate(
  store: ConnectionStore,
  vault: Vault,
  sent: { readonly slot: Slot; readonly id: string; readonly version: number },
  pair: Pair,
): Promise<boolean> {
  const { slot, id, version } = sent;
  const isIt = ({ of }: Leaving): boolean => of.kind === "pair" && of.version === version;
  if (store.get("leaving")?.some(isIt) !== true) return false;
  const sealed = await sealPair(vault, latePlace(slot, id, version), pair);
  const now = store.get("leaving") ?? [];
  store.put(
    "leaving",
    now.map((one) => (isIt(one) ? { ...one, of: { kind: "late", version }, sealed } : one)),
  );
  return now.some(isIt);
}

export class LeavingGrants {
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  readonly #settled: () => Promise<void>;
  readonly #changed: Changed;

  /** @param settled resolves when no refresh is in flight */
  constructor(
    store: ConnectionStore,
    wiring: ConnectionWiring,
    settled: () => Promise<void>,
    changed: Changed,
  ) {
    this.#store = store;
    this.#wiring = wiring;
    this.#settled = settled;
    this.#changed = changed;
  }

  /** When the next provider is to be told; null: none is. */
  dueAt(): number | null {
    const times = (this.#store.get("leaving") ?? []).map(({ retryAt }) => retryAt);
    return times.length === 0 ? null : Math.min(...times);
  }

  async drain(): Promise<void> {
    const kept = this.#store.get("slot");
    const at = this.dueAt();
    if (kept === undefined || at === null || at > this.#wiring.now()) return;
    // E1.
    await this.#settled();
    const due = this.#store.get("leaving")?.filter(({ retryAt }) => retryAt <= this.#wiring.now()) ?? [];
    // Side by side: runs that wait are not woken before the round is over, and a provider may let each wait for long.
    await Promise.all(due.map(async (one) => this.#tell(kept, one)));
  }

  async #tell(kept: { readonly slot: Slot; readonly id: string }, one: Leaving): Promise<void> {
    const told = await this.#end(kept, one);
    const now = this.#wiring.now();
    const tries = one.tries + 1;
    const retryAt = told.kind === "later" ? nextTelling(one, told, now) : null;
    if (retryAt !== null) this.#replace(one, { retryAt, tries });
    else this.#gone(one, told.kind === "later" ? "gave_up" : told.kind, tries);
  }

  async #end(
    kept: { readonly slot: Slot; readonly id: string },
    one: Leaving,
  ): Promise<
    Told | { readonly kind: "kept_for_siblings" | "account_unknown"; readonly retryAfterMs?: never }
  > {
    const { account, since, sealed, integration } = one;
    if (one.of.kind === "pending" && account.id === null) return { kind: "account_unknown" };
    if (this.#livesHere(account)) return { kind: "kept_for_siblings" };
    try {
      const found = await this.#wiring.siblings({ ...kept, account, since });
      if (found === "living") return { kind: "kept_for_siblings" };
      if (found === "undecided") return { kind: "later" };
    } catch (error) {
      this.#wiring.log.warn("connection.siblings_not_asked", { connection: kept.id, error });
      return { kind: "later" };
    }
    // A consent may have come while the others were asked.
    if (this.#livesHere(account)) return { kind: "kept_for_siblings" };
    const place = leavingPlace(kept.slot, kept.id, one);
    return tellProvider(this.#wiring, kept, { place, sealed, integration });
  }

  /** E2. In this place, or waiting for it: whichever goes last tells. */
  #livesHere(account: Account): boolean {
    const record = this.#store.get("record");
    const living = record?.standing.status === "active" ? [record.grant] : [];
    const waiting = (this.#store.get("pending") ?? []).map(({ grant }) => grant);
    return [...living, ...waiting].some((grant) => sameAccount(grant.account, account) !== false);
  }

  /** Only what changed: its text may have been moved under another key meanwhile. */
  #replace({ of }: Leaving, change: Pick<Leaving, "retryAt" | "tries">): void {
    const all = this.#store.get("leaving") ?? [];
    this.#store.put(
      "leaving",
      all.map((one) => (isSame(one.of, of) ? { ...one, ...change } : one)),
    );
  }

  /** Shreds: the sealed text goes, and with it the key that opened it. */
  #gone({ of, by }: Leaving, revocation: string, tries: number): void {
    const left = (this.#store.get("leaving") ?? []).filter((one) => !isSame(one.of, of));
    if (left.length === 0) this.#store.remove("leaving");
    else this.#store.put("leaving", left);
    const what = of.kind === "pending" ? "connection.discarded" : "connection.disconnected";
    this.#changed(what, by, { revocation, tries, ...(of.kind === "pending" ? { session: of.session } : {}) });
  }
}

function isSame(a: Leaving["of"], b: Leaving["of"]): boolean {
  if (a.kind === "pending" || b.kind === "pending")
    return a.kind === "pending" && b.kind === "pending" && a.session === b.session;
  return a.kind === b.kind && a.version === b.version;
}
