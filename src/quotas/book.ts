/**
 * What a tenant's quota object decides: its buckets, and the slots of its runs. Pure and total.
 *
 * - A start takes one permit of its bucket and one slot, together or not at all: who is refused has used nothing.
 */
import { type Bucket, filled, type Lending, lend, newBucket } from "./bucket.ts";
import { type PermitKind, PERMITS, type Quotas, QUOTA_OF, rateOf } from "./limits.ts";
import type { Ask, Lease, QuotaView } from "./quota-rpc.ts";
import { NO_SLOTS, type Slots, takeSlots, taken, tell } from "./slots.ts";

/** How long a batch may be used. A quota that was lowered holds this long later everywhere, after it is known. */
export const LEASE_MS = 30_000;
/** Batches of the same second are one to the object: what it keeps is small, however many isolates ask. */
const GRAIN_MS = 1_000;
/** An isolate that was refused does not ask again before: a flood costs few questions. */
const LEAST_RETRY_MS = 200;
/** After the directory was asked in vain for room. */
export const FULL_RETRY_MS = 2_000;

/** PERSISTED CONTRACT: only gains optional fields. */
export interface Book {
  readonly v: 1;
  readonly buckets: Readonly<Partial<Record<PermitKind, Bucket>>>;
  readonly slots: Slots;
}

export const EMPTY_BOOK: Book = { v: 1, buckets: {}, slots: NO_SLOTS };

export interface Decided {
  readonly book: Book;
  readonly lease: Lease;
}

/** Whether the directory has to be asked how many runs there are before this can be answered well. */
export function needsCount(book: Book, quotas: Quotas, { kind, told }: Ask): boolean {
  return kind === "starts" && quotas.active_runs - taken(told.reduce(tell, book.slots)) < 1;
}

/** The book once an isolate has told what became of its batches: for a count that is to cover it. */
export function heard(book: Book, quotas: Quotas, { kind, told, charged }: Ask, now: number): Book {
  const nothing = { want: 0, told, charged, until: now };
  const { bucket } = lend(book.buckets[kind] ?? null, rateOf(quotas, kind), nothing, now);
  const slots = kind === "starts" ? told.reduce(tell, book.slots) : book.slots;
  return { ...book, buckets: { ...book.buckets, [kind]: bucket }, slots };
}

export function decide(book: Book, quotas: Quotas, ask: Ask, now: number): Decided {
  const until = Math.ceil((now + LEASE_MS) / GRAIN_MS) * GRAIN_MS;
  return ask.kind === "starts"
    ? decideStarts(book, quotas, ask, { until, now })
    : decideRate(book, quotas, ask, { until, now });
}

interface When {
  readonly until: number;
  readonly now: number;
}

function decideRate(book: Book, quotas: Quotas, ask: Ask, { until, now }: When): Decided {
  const { kind, want, told, charged } = ask;
  const limit = rateOf(quotas, kind);
  const lending = lend(book.buckets[kind] ?? null, limit, { want, told, charged, until }, now);
  return { book: withBucket(book, kind, lending), lease: leaseOf(lending, quotas, kind, { until, now }) };
}

function decideStarts(before: Book, quotas: Quotas, ask: Ask, { until, now }: When): Decided {
  const slots = ask.told.reduce(tell, before.slots);
  const free = Math.max(0, quotas.active_runs - taken(slots));
  // As with the bucket: a part of what there is, so that a small quota is not all in one isolate.
  const want = Math.min(ask.want, free < 1 ? 0 : Math.max(1, Math.floor(free / 4)));
  const { told, charged } = ask;
  const lending = lend(
    before.buckets.starts ?? null,
    rateOf(quotas, "starts"),
    { want, told, charged, until },
    now,
  );
  const book = withBucket({ ...before, slots: takeSlots(slots, lending.granted, until) }, "starts", lending);
  if (free < 1)
    return {
      book,
      lease: {
        rate: rateOf(quotas, "starts"),
        ok: false,
        quota: "active_runs",
        limit: quotas.active_runs,
        retryMs: FULL_RETRY_MS,
      },
    };
  return { book, lease: leaseOf(lending, quotas, "starts", { until, now }) };
}

function withBucket(book: Book, kind: PermitKind, { bucket }: Lending): Book {
  return { ...book, buckets: { ...book.buckets, [kind]: bucket } };
}

function leaseOf(
  { granted, retryMs }: Lending,
  quotas: Quotas,
  kind: PermitKind,
  { until, now }: When,
): Lease {
  const rate = rateOf(quotas, kind);
  return granted > 0
    ? { rate, ok: true, granted, until, forMs: until - now }
    : {
        rate,
        ok: false,
        quota: QUOTA_OF[kind],
        limit: quotas[QUOTA_OF[kind]],
        retryMs: Math.max(LEAST_RETRY_MS, retryMs),
      };
}

/** What is left of each rate: also what isolates hold. */
export function ratesOf(book: Book, quotas: Quotas, now: number): QuotaView["rates"] {
  const one = (kind: PermitKind) => {
    const limit = rateOf(quotas, kind);
    const { tokens, lent } = filled(book.buckets[kind] ?? newBucket(limit, now), limit, now);
    const left = Math.max(0, Math.floor(tokens + lent.reduce((all, [, permits]) => all + permits, 0)));
    return {
      left,
      fullInMs: Math.ceil(((limit.burst - Math.min(left, limit.burst)) * limit.windowMs) / limit.perWindow),
    };
  };
  return Object.fromEntries(PERMITS.map((kind) => [kind, one(kind)])) as Record<
    PermitKind,
    ReturnType<typeof one>
  >;
}
