/**
 * The quota object, beside its room: the API reads the room's rules where there is no Durable Object. One SQLite
 * Durable Object per tenant, `quota:<tenant>:main`. It lends permits to isolates.
 *
 * Owns: the order of asking, deciding and storing. Does not own: what is decided (the quotas room), how many runs there are (the directory),
 * what the quotas are (the tenant's settings, by a port).
 *
 * - O1 a call carries its tenant; another is refused.
 * - O2 a permit is stored as lent before anybody is told of it: one entry for a batch, however many are in it.
 * - O3 the directory is asked only where there seems to be no room, once at a time and not more often than every FULL_RETRY_MS.
 * - O4 no alarm, and nothing to clean: an object that nobody asks holds one entry.
 * - O5 the quotas are asked for once at a time. The promise is this object's own: no other object, and no isolate, waits for it.
 */
import { DurableObject } from "cloudflare:workers";
import { inTime, type Logger, objectName } from "./platform/index.ts";
import {
  type Ask,
  type Book,
  counted,
  coveredBy,
  decide,
  EMPTY_BOOK,
  FULL_RETRY_MS,
  heard,
  type Lease,
  needsCount,
  type QuotaRpc,
  type Quotas,
  type QuotaView,
  ratesOf,
} from "./quotas/index.ts";

/** PERSISTED CONTRACT. */
const BOOK_KEY = "book";
const COUNT_WITHIN_MS = 5_000;

/** A port that rejects is asked again later. */
export interface QuotaPorts {
  /** What the tenant may have now. Never rejects. */
  readonly quotas: (tenant: string, now: number) => Promise<Quotas>;
  /** How many runs have not ended, as the directory knows. */
  readonly live: (tenant: string) => Promise<number>;
  readonly log: Logger;
  readonly now: () => number;
}

export abstract class WiredQuotaObject extends DurableObject<Env> implements QuotaRpc {
  readonly #ports: QuotaPorts;
  readonly #tenant: string;
  #book: Book | null = null;
  #counting: Promise<void> | null = null;
  #countedAt = -Infinity;
  #asking: Promise<Quotas> | null = null;

  protected constructor(ctx: DurableObjectState, env: Env, ports: QuotaPorts) {
    super(ctx, env);
    this.#ports = ports;
    this.#tenant = (ctx.id.name ?? "").split(":")[1] ?? "";
  }

  async ask(tenant: string, ask: Ask): Promise<Lease> {
    this.#check(tenant);
    const { now } = this.#ports;
    const quotas = await this.#quotas();
    let rest = ask;
    // O3.
    if (needsCount(this.#loaded(), quotas, ask)) {
      // First what the isolate tells: runs that have ended since are not covered by this count else, and their room not seen.
      if (ask.told.length > 0 || ask.charged > 0) this.#store(heard(this.#loaded(), quotas, ask, now()));
      rest = { ...ask, told: [], charged: 0 };
      await this.#count();
    }
    const { book, lease } = decide(this.#loaded(), quotas, rest, now());
    // A refusal changes nothing that time would not: it writes nothing.
    if (lease.ok || rest.told.length > 0 || rest.charged > 0) this.#store(book);
    return lease;
  }

  async view(tenant: string): Promise<QuotaView> {
    this.#check(tenant);
    const now = this.#ports.now();
    const [quotas, activeRuns] = await Promise.all([this.#quotas(), this.#ports.live(tenant)]);
    return { quotas, activeRuns, rates: ratesOf(this.#loaded(), quotas, now) };
  }

  /** Asked once for all who come meanwhile (O5): else each would ask the database, and all would wait for all of it. */
  async #quotas(): Promise<Quotas> {
    this.#asking ??= this.#ports.quotas(this.#tenant, this.#ports.now()).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** Brings the number of runs up to date. While the directory does not answer, it stays as it was: too high, if anything. */
  async #count(): Promise<void> {
    // Also by a clock that has gone back since.
    if (this.#counting === null && Math.abs(this.#ports.now() - this.#countedAt) < FULL_RETRY_MS) return;
    this.#counting ??= this.#countNow().finally(() => {
      this.#counting = null;
    });
    await this.#counting;
  }

  async #countNow(): Promise<void> {
    const covered = coveredBy(this.#loaded().slots, this.#ports.now());
    try {
      const live = await inTime(async () => this.#ports.live(this.#tenant), COUNT_WITHIN_MS);
      const book = this.#loaded();
      this.#store({ ...book, slots: counted(book.slots, covered, live) });
    } catch (error) {
      this.#ports.log.warn("quota.runs_not_counted", { tenant: this.#tenant, error });
    }
    this.#countedAt = this.#ports.now();
  }

  #loaded(): Book {
    return (this.#book ??= this.ctx.storage.kv.get<Book>(BOOK_KEY) ?? EMPTY_BOOK);
  }

  /** O2. */
  #store(book: Book): void {
    try {
      this.ctx.storage.kv.put(BOOK_KEY, book);
      this.#book = book;
    } catch (error) {
      this.ctx.abort("what was lent could not be stored");
      throw error;
    }
  }

  /** O1. Only a mistake of this house gets here. */
  #check(tenant: string): void {
    if (this.ctx.id.name !== objectName("quota", tenant, "main"))
      throw new TypeError("The quotas are another tenant's.");
  }
}
