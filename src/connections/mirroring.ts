/**
 * Tells the listing and the audit what has become of a connection, from an outbox: the object is first, the database follows.
 *
 * - M1 what is to be told is on disk before it is told, and is taken away when it was told. Twice is possible: the stamp says
 *      which of two is newer, whatever the clocks say.
 * - M2 nothing here is on the way of a step: a database that is away delays the listing, and no token.
 * - M3 that a workflow used the connection is on disk before the token leaves; how often, and when last, a few seconds later, in
 *      one write for all uses of that time. A timer does that, and so an object that is idle is not evicted before. All of it
 *      is told also if the object dies, but for the number and the time of those last seconds.
 */
import type { ConnectionWiring, Unlisted } from "./ports.ts";
import { retryMs } from "./retry.ts";
import type { ConnectionStore, KeptUse } from "./store.ts";
import { kidsOf, viewOf } from "./view.ts";

/** Uses are told together: those of so long in one write. */
const USES_MS = 60_000;
/** Uses that are not the first of their workflow are on disk so much later. */
const KEEP_MS = 5_000;
/** So many workflows are kept on disk at a time: they are told at once then. */
const MAX_KEPT = 500;
const AUDIT_AT_ONCE = 50;

export class Mirroring {
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  #uses = new Map<string, { first: number; at: number; count: number }>();
  #usesSince: number | null;
  /** Those that are being told: on disk until that is done. */
  #telling: readonly KeptUse[] = [];
  #keeping: ReturnType<typeof setTimeout> | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(store: ConnectionStore, wiring: ConnectionWiring) {
    this.#store = store;
    this.#wiring = wiring;
    const left = store.get("uses");
    this.#usesSince = left?.since ?? null;
    for (const use of left?.of ?? []) this.#count(use);
  }

  /** The listing must be written anew. */
  due(): void {
    const now = this.#wiring.now();
    const stamp = Math.max(now, (this.#store.get("stamp") ?? 0) + 1);
    this.#store.put("stamp", stamp);
    this.#store.put("mirror", { at: now, tries: 0, stamp });
  }

  /** A step was given the token. True: uses are to be told earlier than was known. */
  used(workflow: string): boolean {
    const now = this.#wiring.now();
    const isFirst = this.#usesSince === null;
    const isNew = !this.#uses.has(workflow);
    this.#count({ workflow, at: now, count: 1 });
    this.#usesSince ??= now;
    // M3.
    if (isNew) this.#keepUses();
    else
      this.#keeping ??= setTimeout(() => {
        this.#keepLater();
      }, KEEP_MS);
    return isFirst || (isNew && this.#uses.size === MAX_KEPT);
  }

  /** What is not written yet never is. */
  forget(): void {
    if (this.#keeping !== null) clearTimeout(this.#keeping);
    this.#keeping = null;
    this.#uses = new Map();
    this.#usesSince = null;
    this.#telling = [];
  }

  /** When something is to be written; undefined: nothing is. */
  dueAt(): number | undefined {
    const wait = this.#uses.size < MAX_KEPT ? USES_MS : 0;
    const uses = this.#usesSince === null ? undefined : this.#usesSince + wait;
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
      for (const use of uses) this.#count(use);
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

  #keepLater(): void {
    try {
      this.#keepUses();
    } catch (error) {
      // They are told from the memory, if the object lives as long.
      const connection = this.#store.get("slot")?.id;
      this.#wiring.log.warn("connection.uses_not_kept", { connection, error });
    }
  }

  #keepUses(): void {
    if (this.#keeping !== null) clearTimeout(this.#keeping);
    this.#keeping = null;
    const now = [...this.#uses].map(([workflow, used]) => ({ workflow, ...used }));
    const of = [...this.#telling, ...now];
    if (of.length === 0) this.#store.remove("uses");
    else this.#store.put("uses", { since: this.#usesSince ?? this.#wiring.now(), of: of.slice(0, MAX_KEPT) });
  }

  #count({ workflow, at, first = at, count }: KeptUse): void {
    const before = this.#uses.get(workflow);
    this.#uses.set(workflow, {
      first: Math.min(first, before?.first ?? first),
      at: Math.max(at, before?.at ?? 0),
      count: count + (before?.count ?? 0),
    });
  }
}
