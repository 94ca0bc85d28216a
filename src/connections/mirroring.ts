/**
 * Tells the listing and the audit what has become of a connection, from an outbox: the object is first, the database follows.
 *
 * - M1 what is to be told is on disk before it is told, and is taken away when it was told. Twice is possible: the stamp says
 *      which of two is newer, whatever the clocks say.
 * - M2 nothing here is on the way of a step: a database that is away delays the listing, and no token.
 */
import type { ConnectionWiring } from "./ports.ts";
import { retryMs } from "./retry.ts";
import type { ConnectionStore } from "./store.ts";
import { viewOf } from "./view.ts";

/** Uses are told together, so many for one write. They are in memory only: one that is lost is still in its run's journal. */
const USES_MS = 60_000;
const AUDIT_AT_ONCE = 50;

export class Mirroring {
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  #uses = new Map<string, { at: number; count: number }>();
  #usesSince: number | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(store: ConnectionStore, wiring: ConnectionWiring) {
    this.#store = store;
    this.#wiring = wiring;
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
    this.#count(workflow, now, 1);
    if (this.#usesSince !== null) return false;
    this.#usesSince = now;
    return true;
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
    try {
      const view = viewOf(this.#store, this.#wiring);
      await this.#wiring.mirror({ at: stamp, view, sealed, uses, audit: entries });
    } catch (error) {
      const connection = this.#store.get("slot")?.id;
      const tries = before?.tries ?? 0;
      this.#wiring.log.warn("connection.listing_not_written", { connection, tries, error });
      for (const { workflow, at: usedAt, count } of uses) this.#count(workflow, usedAt, count);
      const newest = this.#store.get("mirror")?.stamp ?? stamp;
      this.#store.put("mirror", { at: now + retryMs(tries), tries: tries + 1, stamp: newest });
      return;
    }
    this.#store.removeAudit(last);
    const left = this.#store.audit(1).entries.length > 0;
    const newest = this.#store.get("mirror");
    if (left) this.#store.put("mirror", { at: now, tries: 0, stamp: newest?.stamp ?? stamp });
    else if (newest !== undefined && newest.stamp === before?.stamp) this.#store.remove("mirror");
  }

  #count(workflow: string, at: number, count: number): void {
    const before = this.#uses.get(workflow);
    this.#uses.set(workflow, {
      at: Math.max(at, before?.at ?? 0),
      count: count + (before?.count ?? 0),
    });
  }
}
