/**
 * The permits of one kind that one isolate holds for one tenant, and what it knows of the quota. Pure but for its own state; times are
 * arguments, the isolate's own clock.
 *
 * - W1 a permit is used once, out of a batch that is not over: `goodUntil` is counted from before the object was asked, so it is never
 *      later than what the object counts.
 * - W2 what is told of a batch is told once. If nobody hears it, the object takes it as used: never as free.
 * - W3 what the object refused is refused here until the time that it said, without asking it again.
 * - W4 the number of batches is bounded: old ones are forgotten when nothing can be told of them any more.
 */
import type { Told } from "./bucket.ts";
import { SETTLE_MS } from "./slots.ts";

/** Permits that are asked for at first, and at most: so many starts or requests cost one question when they come fast. */
const FIRST_WANT = 8;
const MOST_WANTED = 256;
/** Who uses up a batch faster than this is given a larger one. */
const FAST_MS = 5_000;

export interface Batch {
  /** By the object's clock: its name there. */
  readonly until: number;
  readonly goodUntil: number;
  left: number;
  /** Since it was told last. */
  used: number;
  unused: number;
  /** Of those that were used: starts that began nothing. */
  freed: number;
  /** And those whose runs the directory knows. */
  settled: number;
}

/** What is told of a batch. */
export type BatchTold = Told & Pick<Batch, "freed" | "settled">;

export interface Refusal {
  /** Which quota has no room. */
  readonly quota: string;
  readonly limit: number;
  readonly retryMs: number;
}

export class Purse {
  #batches: Batch[] = [];
  #refusal: { readonly until: number; readonly quota: string; readonly limit: number } | null = null;
  #want = FIRST_WANT;
  #askedAt = -Infinity;
  /** Let through without a permit, and not told yet. */
  #owed = 0;
  /** Told, and not answered yet. */
  #charging = 0;

  /** A permit out of a batch; null: there is none. */
  take(now: number): Batch | null {
    const batch = this.#batches.find(({ left, goodUntil }) => left > 0 && now < goodUntil);
    if (batch === undefined) return null;
    batch.left -= 1;
    return batch;
  }

  left(now: number): number {
    return this.#batches.reduce((all, { left, goodUntil }) => all + (now < goodUntil ? left : 0), 0);
  }

  /** W3. Null: the object may be asked. */
  refusal(now: number): Refusal | null {
    const said = this.#refusal;
    if (said === null || now >= said.until) return null;
    return { quota: said.quota, limit: said.limit, retryMs: said.until - now };
  }

  /** Lets one through that has no permit, if fewer than `most` are owed. */
  owe(most: number): boolean {
    if (this.#owed + this.#charging >= most) return false;
    this.#owed += 1;
    return true;
  }

  /** How many to ask for now. */
  want(now: number): number {
    const isFast = now - this.#askedAt < FAST_MS;
    this.#want = Math.min(
      MOST_WANTED,
      Math.max(FIRST_WANT, isFast ? this.#want * 2 : Math.floor(this.#want / 2)),
    );
    this.#askedAt = now;
    return this.#want;
  }

  /** What there is to tell (W2), and what is to be charged. */
  tell(now: number): { readonly told: readonly BatchTold[]; readonly charged: number } {
    const told: BatchTold[] = [];
    for (const batch of this.#batches) {
      if (now >= batch.goodUntil) {
        batch.unused += batch.left;
        batch.left = 0;
      }
      const { until, used, unused, freed, settled } = batch;
      if (used + unused + freed + settled > 0) told.push({ until, used, unused, freed, settled });
      Object.assign(batch, { used: 0, unused: 0, freed: 0, settled: 0 });
    }
    // W4.
    this.#batches = this.#batches.filter(({ goodUntil }) => now < goodUntil + SETTLE_MS);
    const charged = this.#owed;
    this.#owed = 0;
    this.#charging += charged;
    return { told, charged };
  }

  /** What was to be charged was, or nobody knows. */
  answered(charged: number): void {
    this.#charging -= charged;
  }

  granted(permits: number, until: number, goodUntil: number): void {
    this.#refusal = null;
    if (permits > 0)
      this.#batches.push({ until, goodUntil, left: permits, used: 0, unused: 0, freed: 0, settled: 0 });
  }

  refused({ quota, limit, retryMs }: Refusal, now: number): void {
    this.#refusal = { until: now + retryMs, quota, limit };
  }
}
