/**
 * Keeps the keys of one issuer: makes those that are wanted, tells the database, notices when it knows better.
 * Owns the order of these. Does not own the rules (signing-keys.ts), the disk (issuer-store.ts) or who asks (issuer-object.ts).
 *
 * - P1 a key is on the disk before it is published, and published before it signs: the database must have it. A key that was
 *      made while the database is away does not sign.
 * - P2 nothing here is on the way of a key that signs already: a database that is away delays rotations, and no token.
 * - P3 an object that the database knows a later revision of was put back to an earlier time, or lost. What it published last
 *      counts, so a key that was revoked stays gone. A database that is away is asked again; until then the disk is believed,
 *      and the database is told nothing: what it knows could be lost.
 * - P4 a database that knows less than it was told was put back itself: it is told anew.
 * - P5 who calls the methods that wait, calls them one after the other.
 */
import { err, ok, type Logger, type Result, inTime } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { retryMs } from "./retry.ts";
import { type MirroredIssuer, openPublished, privatePlace, sealPublished } from "./issuer-mirror.ts";
import { type IssuerStore, type KeptKey, publicPart } from "./issuer-store.ts";
import { makeKey } from "./signing.ts";
import {
  advanced,
  dueAt,
  nextKey,
  publishedNow,
  type Reason,
  restored,
  revoked,
  wantedKey,
} from "./signing-keys.ts";

/** What an issuer object needs from the rest of the house. The composition root wires it. */
export interface IssuerWiring {
  readonly vault: Vault;
  /** The tenant's issuer, as its tokens say; null: this deployment has none. */
  readonly issuerOf: (tenant: string) => string | null;
  /** Writes the row unless it has a later revision; answers the one that stands then. */
  readonly mirror: (issuer: MirroredIssuer) => Promise<number>;
  /** The row. */
  readonly known: (
    tenant: string,
  ) => Promise<{ readonly revision: number; readonly published: string } | null>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A database that takes longer is away: verifiers wait for the second, and for less. */
const WRITE_PATIENCE_MS = 5_000;
const READ_PATIENCE_MS = 1_000;
const COMPARE_AGAIN_MS = 60_000;
/** More than a first key, or an emergency, takes. */
const MAX_ROUNDS = 8;

export class IssuerKeeping {
  readonly #store: IssuerStore;
  readonly #wiring: IssuerWiring;
  /** P3. From when on the database is asked again; infinity: it was asked. */
  #compareFrom = Number.NEGATIVE_INFINITY;
  /** P3. The revision of the disk when this life began: all that the database was told until then is no later. */
  readonly #begun: number;
  /** Kids that were taken back in this life: whatever the database knows, they stay so. */
  readonly #revoked = new Set<string>();
  #failures = 0;
  #failedAt = 0;

  constructor(store: IssuerStore, wiring: IssuerWiring) {
    this.#store = store;
    this.#wiring = wiring;
    this.#begun = store.get()?.revision ?? 0;
  }

  /** Whether the database has to be asked what it knows. */
  get unsure(): boolean {
    return this.#compareFrom <= this.#wiring.now();
  }

  /** Whether the database has said in this life what it knows. */
  get #compared(): boolean {
    return this.#compareFrom === Number.POSITIVE_INFINITY;
  }

  /** When something is due; null: never. */
  dueAt(): number | null {
    const kept = this.#store.get();
    if (kept === undefined) return null;
    const times = [kept.mirror?.at ?? null, dueAt(kept.keys)].filter((at) => at !== null);
    if (times.length === 0) return null;
    const notBefore = this.#failures === 0 ? 0 : this.#failedAt + retryMs(this.#failures - 1);
    return Math.max(Math.min(...times), notBefore);
  }

  /** What time alone changes. Does not wait, so nobody sees the half of it. */
  advance(): void {
    const now = this.#wiring.now();
    this.#store.change(now, ({ keys }) => advanced(keys, now));
  }

  /** Takes a key back. */
  revoke(kid: string): void {
    this.#revoked.add(kid);
    this.#store.change(this.#wiring.now(), ({ keys }) => revoked(keys, kid));
  }

  /** P3. Err: whether the keys here are the last ones cannot be known just now. */
  async compare(tenant: string): Promise<Result<null, string>> {
    const { log, vault, now } = this.#wiring;
    let own = this.#store.get();
    try {
      const row = await inTime(async () => this.#wiring.known(tenant), READ_PATIENCE_MS);
      // What time alone changes does not wait for this.
      own = this.#store.get();
      // This life tells nothing before it has compared, so a later row is of another one, whatever was counted here since.
      const latest = this.#compared ? (own?.revision ?? 0) : this.#begun;
      if (row !== null && row.revision > latest) {
        log.error("issuer.rolled_back", { tenant, revision: own?.revision ?? 0, known: row.revision });
        const known = await openPublished(vault, tenant, row);
        if (!known.ok && known.error.code === "unknown_key") {
          this.#failed();
          return err(known.error.message);
        }
        // One that was not written by an object takes no key away, and brings none.
        if (!known.ok) log.error("issuer.row_not_authentic", { tenant, code: known.error.code });
        const keys = known.ok ? known.value.keys : (own?.keys ?? []);
        this.#restore(
          tenant,
          row.revision,
          keys.filter(({ kid }) => !this.#revoked.has(kid)),
        );
      } else if (own !== undefined && own.mirror === null && row?.revision !== own.revision) {
        // P4.
        log.error("issuer.database_rolled_back", {
          tenant,
          revision: own.revision,
          known: row?.revision ?? 0,
        });
        this.#store.put({ ...own, mirror: { at: now(), tries: 0 } });
      }
      this.#compareFrom = Number.POSITIVE_INFINITY;
      return ok(null);
    } catch (error) {
      log.warn("issuer.not_compared", { tenant, error });
      // Without keys here, the database alone can tell whether there ever were some.
      if (own !== undefined) this.#compareFrom = now() + COMPARE_AGAIN_MS;
      this.#failed();
      return own === undefined ? err("The database does not answer.") : ok(null);
    }
  }

  /** Makes the keys that are wanted, and tells the database what it does not know. Never throws. */
  async settle(tenant: string, { atOnce = false } = {}): Promise<void> {
    const { log, now } = this.#wiring;
    try {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        this.advance();
        const kept = this.#store.get();
        const reason = wantedKey(kept?.keys ?? [], kept?.made ?? 0, now());
        const due = kept?.mirror ?? null;
        if (reason !== null) await this.make(tenant, reason);
        else if (due === null || (due.at > now() && !(atOnce && round === 0))) break;
        else if (!(await this.#tell())) break;
      }
      this.#failures = 0;
    } catch (error) {
      // Most likely the vault cannot seal just now: nothing was written.
      this.#failed();
      log.error("issuer.not_settled", { tenant, error });
    }
  }

  /** Throws a VaultError if nothing can be sealed just now; nothing was written then. */
  async make(tenant: string, reason: Reason): Promise<void> {
    const { vault, log, now } = this.#wiring;
    const { privateText, ...made } = await makeKey();
    const number = (this.#store.get()?.made ?? 0) + 1;
    const sealed = await vault.seal(privatePlace(tenant, { kid: made.kid, number }), privateText);
    const key: KeptKey = { ...nextKey({ ...made, number }, reason, now()), sealed };
    if (this.#store.get() === undefined)
      this.#store.put({ tenant, revision: 0, made: 0, keys: [], mirror: null });
    this.#store.change(now(), ({ keys }) => [...keys, key], { made: number });
    log.info("issuer.key_made", { tenant, kid: key.kid, reason });
  }

  /** P1. False: the database does not have it. */
  async #tell(): Promise<boolean> {
    const kept = this.#store.get();
    if (kept === undefined) return false;
    const { vault, log, now } = this.#wiring;
    const { tenant, revision, keys, mirror } = kept;
    try {
      // P3.
      if (!this.#compared) {
        const sure = await this.compare(tenant);
        if (!sure.ok || !this.#compared) throw new Error("The database has not said yet what it knows.");
        if (this.#store.get()?.revision !== revision) return true;
      }
      const shown = keys.map(publicPart);
      const published = await sealPublished(vault, tenant, { revision, keys: shown });
      const texts = [published, ...keys.flatMap(({ sealed }) => sealed ?? [])];
      const kids = [...new Set(texts.flatMap((one) => vault.kidOf(one) ?? []))];
      const told = { tenant, revision, at: now(), published, kids, keys };
      const stands = await inTime(async () => this.#wiring.mirror(told), WRITE_PATIENCE_MS);
      if (stands > revision) {
        await this.compare(tenant);
        if ((this.#store.get()?.revision ?? 0) > revision) return true;
        throw new Error("The database knows a later revision, and does not say which.");
      }
    } catch (error) {
      const tries = mirror?.tries ?? 0;
      log.warn("issuer.not_told", { tenant, tries, error });
      const newest = this.#store.get() ?? kept;
      this.#store.put({ ...newest, mirror: { at: now() + retryMs(tries), tries: tries + 1 } });
      return false;
    }
    const told = new Set(keys.map(({ kid }) => kid));
    this.#store.change(now(), ({ keys: newest }) => publishedNow(newest, told, now()));
    const newest = this.#store.get() ?? kept;
    if (newest.revision === revision) this.#store.put({ ...newest, mirror: null });
    return true;
  }

  /** The alarm waits. */
  #failed(): void {
    this.#failures += 1;
    this.#failedAt = this.#wiring.now();
  }

  #restore(tenant: string, revision: number, known: Parameters<typeof restored>[1]): void {
    const now = this.#wiring.now();
    const own = this.#store.get();
    // One whose private half is shredded already cannot go on signing, whatever the database says of it.
    const mine = (own?.keys ?? []).filter(({ sealed }) => sealed !== null);
    const all = restored<KeptKey>(mine, known, (key) => ({ ...key, sealed: null }), now);
    // R2 of issuer-store.ts: one that signs no more may have signed when the disk was written.
    const keys = all.map((key) => (key.state === "retired" ? { ...key, sealed: null } : key));
    // There were keys: the next one is no first one.
    const made = Math.max(own?.made ?? 0, 1, ...known.map(({ number }) => number));
    const next = Math.max(revision, own?.revision ?? 0) + 1;
    this.#store.put({ tenant, revision: next, made, keys, mirror: { at: now, tries: 0 } });
  }
}
