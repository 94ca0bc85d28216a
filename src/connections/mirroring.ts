/**
 * Tells the listing and the audit what has become of a connection, from an outbox: the object is first, the database follows.
 *
 * - M1 what is to be told is on disk before it is told, and is taken away when it was told. Twice is possible: the stamp says
 *      which of two is newer, whatever the clocks say.
 * - M2 nothing here is on the way of a step: a database that is away delays the listing, and no token.
 * - M3 that a workflow used the connection is on disk before the token leaves, and is told also if the object dies; only how
 *      often within that minute may then be told too low.
 */
import type { ConnectionWiring, Unlisted } from "./ports.ts";
import { retryMs } from "./retry.ts";
import type { ConnectionStore, KeptUse } from "./store.ts";
import { kidsOf, viewOf } from "./view.ts";

/** Uses are told together: those of so long in one write. */
const USES_MS = 60_000;
/** So many workflows are kept on disk at a time; of more, only the memory knows until they are told. */
const MAX_KEPT = 500;
const AUDIT_AT_ONCE = 50;

export class Mirroring {
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  #uses = new Map<string, { at: number; count: number }>();
  #usesSince: number | null;
  /** Those that are being told: on disk until that is done. */
  #telling: readonly KeptUse[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(store: ConnectionStore, wiring: ConnectionWiring) {
    this.#store = store;
    this.#wiring = wiring;
    const left = store.get("uses");
    this.#usesSince = left?.since ?? null;
    for (const { workflow, at, count } of left?.of ?? []) this.#count(workflow, at, count);
  }

  /** The listing must be written anew. */
  due(): void {
    const now = this.#wiring.now();
    const stamp = Math.max(now, (this.#store.get("stamp") ?? 0) + 1);
    this.#store.put("stamp", stamp);
    this.#store.put("mirror", { at: now, tries: 0, stamp });
  }

  /** A step was given the token. True: it is the first of those that are told together. */
  used(workflow: string): boolean {
    const now = this.#wiring.now();
    const isFirst = this.#usesSince === null;
    const isNew = !this.#uses.has(workflow);
    this.#count(workflow, now, 1);
    this.#usesSince ??= now;
    // M3.
    if (isNew) this.#keepUses();
    return isFirst;
  }

  /** When something is to be written; undefined: nothing is. */
  dueAt(): number | undefined {
    const uses = this.#usesSince === null ? undefined : this.#usesSince + USES_MS;
    const change = this.#store.get("mirror")?.at;
    return uses === undefined || change === undefined ? (uses ?? change) : Math.min(uses, change);
  }

  /** One write after the other: what is told twice at once would stand twice in the audit. */
  async drain(): Promise<void> {
    const writing = this.#writing.then(async () => this.#write());
    this.#writing = writing.catch(() => undefined);
    return writing;
  }

  async #write(): Promise<void> {
    const at = this.dueAt();
    const now = this.#wiring.now();
    if (at === undefined || at > now) return;
    const before = this.#store.get("mirror");
    const stamp = this.#store.get("stamp") ?? now;
    const uses = [...this.#uses].map(([workflow, used]) => ({ workflow, ...used }));
    const { last, entries } = this.#store.audit(AUDIT_AT_ONCE);
    const sealed = this.#store.get("record")?.grant.sealed ?? null;
    this.#uses = new Map();
    this.#usesSince = null;
    this.#telling = uses;
    try {
      const view = viewOf(this.#store, this.#wiring);
      const unlisted = view === null ? this.#unlisted() : null;
      await this.#wiring.mirror({ at: stamp, view, unlisted, sealed, uses, audit: entries });
    } catch (error) {
      const connection = this.#store.get("slot")?.id;
      const tries = before?.tries ?? 0;
      this.#wiring.log.warn("connection.listing_not_written", { connection, tries, error });
      this.#telling = [];
      for (const { workflow, at: usedAt, count } of uses) this.#count(workflow, usedAt, count);
      const newest = this.#store.get("mirror")?.stamp ?? stamp;
      this.#store.put("mirror", { at: now + retryMs(tries), tries: tries + 1, stamp: newest });
      return;
    }
    this.#telling = [];
    if (uses.length > 0) this.#keepUses();
    this.#store.removeAudit(last);
    const left = this.#store.audit(1).entries.length > 0;
    const newest = this.#store.get("mirror");
    if (left) this.#store.put("mirror", { at: now, tries: 0, stamp: newest?.stamp ?? stamp });
    else if (newest !== undefined && newest.stamp === before?.stamp) this.#store.remove("mirror");
  }

  /** The keys of the vault are counted by what is written of it. */
  #unlisted(): Unlisted | null {
    const kept = this.#store.get("slot");
    if (kept === undefined) return null;
    return { id: kept.id, tenant: kept.slot.tenant, kids: kidsOf(this.#store, this.#wiring.vault) };
  }

  #keepUses(): void {
    const now = [...this.#uses].map(([workflow, used]) => ({ workflow, ...used }));
    const of = [...this.#telling, ...now];
    if (of.length === 0) this.#store.remove("uses");
    else this.#store.put("uses", { since: this.#usesSince ?? this.#wiring.now(), of: of.slice(0, MAX_KEPT) });
  }

  #count(workflow: string, at: number, count: number): void {
    const before = this.#uses.get(workflow);
    this.#uses.set(workflow, {
      at: Math.max(at, before?.at ?? 0),
      count: count + (before?.count ?? 0),
    });
  }
}
