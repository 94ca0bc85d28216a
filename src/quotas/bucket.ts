/**
 * Permits of one kind, as the tenant's quota object keeps them: a bucket that fills evenly, out of which isolates are lent batches.
 * Pure and total; times are arguments.
 *
 * - B1 what lies in the bucket and what is lent out and may still be used are never more than the burst together. So in no stretch of
 *      time, over all isolates, are more permits used than the burst and what has flowed in: what is used was lent before, and then it
 *      was part of the burst, or within, and then it had flowed in.
 * - B2 what nobody tells of a batch (its isolate has died) counts as used, and holds up the bucket until the batch is over, no longer.
 * - B3 a clock that goes back fills nothing. One that was ahead by more than AHEAD_MS is not waited for: the bucket goes on from where
 *      the clock is now, and what was lent is over. A quota that was lowered holds for what is lent from then on.
 */
export interface RateLimit {
  readonly perWindow: number;
  readonly windowMs: number;
  readonly burst: number;
}

/** Permits that were lent together: until when they may be used, by the object's clock, and how many of them nobody has told of. */
export type Lent = readonly [until: number, permits: number];

/** PERSISTED CONTRACT: only gains optional fields. */
export interface Bucket {
  /** Fractions count. Below zero: more was used than lent (what an isolate lets through while it asks). */
  readonly tokens: number;
  readonly at: number;
  /** By `until`, each time once. */
  readonly lent: readonly Lent[];
}

/** What an isolate tells of a batch: what it has used of it since it told last, and what it will not use any more. */
export interface Told {
  readonly until: number;
  readonly used: number;
  readonly unused: number;
}

export interface Lending {
  readonly bucket: Bucket;
  readonly granted: number;
  /** Milliseconds until there is a permit again; 0 where any was granted. */
  readonly retryMs: number;
}

/** B3. More than clocks of two machines are apart. */
const AHEAD_MS = 60_000;
/** A batch is at most this part of what lies in the bucket: other isolates ask too. */
const SHARE = 4;

export function newBucket({ burst }: RateLimit, now: number): Bucket {
  return { tokens: burst, at: now, lent: [] };
}

/** The bucket as it is now: filled, without batches that are over. */
export function filled(bucket: Bucket, limit: RateLimit, now: number): Bucket {
  const wasAhead = bucket.at > now + AHEAD_MS;
  const lent = wasAhead ? [] : bucket.lent.filter(([until]) => until > now);
  const passed = Math.max(0, now - bucket.at);
  const flowed = bucket.tokens + (passed * limit.perWindow) / limit.windowMs;
  // B1.
  const room = limit.burst - sum(lent);
  return {
    tokens: Math.min(flowed, Math.max(room, Math.min(bucket.tokens, 0))),
    at: wasAhead ? now : Math.max(bucket.at, now),
    lent,
  };
}

/**
 * Takes back what is told, charges what was used beyond all batches, and lends as many as are wanted and there.
 * @param until of the new batch, by the object's clock
 */
export function lend(
  before: Bucket | null,
  limit: RateLimit,
  ask: {
    readonly want: number;
    readonly told: readonly Told[];
    readonly charged: number;
    readonly until: number;
  },
  now: number,
): Lending {
  const back = ask.told.reduce(takeBack, filled(before ?? newBucket(limit, now), limit, now));
  const charged = { ...back, tokens: back.tokens - ask.charged };
  const there = Math.floor(charged.tokens);
  if (there < 1) return { bucket: charged, granted: 0, retryMs: waitFor(charged, limit, now) };
  const granted = Math.max(0, Math.min(ask.want, Math.max(1, Math.floor(there / SHARE))));
  return { bucket: lentOut(charged, granted, ask.until), granted, retryMs: 0 };
}

/** Gives what was lent and is not to be had after all back at once. */
export function takeBack(bucket: Bucket, { until, used, unused }: Told): Bucket {
  const out = bucket.lent.find(([at]) => at === until)?.[1] ?? 0;
  const back = Math.min(unused, out);
  const gone = Math.min(used, out - back);
  return { ...bucket, tokens: bucket.tokens + back, lent: changed(bucket.lent, until, out - back - gone) };
}

function lentOut(bucket: Bucket, granted: number, until: number): Bucket {
  if (granted === 0) return bucket;
  const out = bucket.lent.find(([at]) => at === until)?.[1] ?? 0;
  return { ...bucket, tokens: bucket.tokens - granted, lent: changed(bucket.lent, until, out + granted) };
}

function changed(lent: readonly Lent[], until: number, permits: number): readonly Lent[] {
  const others = lent.filter(([at]) => at !== until);
  return permits > 0 ? [...others, [until, permits]] : others;
}

/** Until one permit is there, or, while all are lent out, until the first batch is over. */
function waitFor({ tokens, lent }: Bucket, limit: RateLimit, now: number): number {
  const flows = Math.ceil(((1 - tokens) * limit.windowMs) / limit.perWindow);
  if (limit.burst - sum(lent) >= 1) return Math.max(1, flows);
  return Math.max(1, Math.min(...lent.map(([until]) => until)) - now);
}

export function sum(lent: readonly Lent[]): number {
  return lent.reduce((all, [, permits]) => all + permits, 0);
}
