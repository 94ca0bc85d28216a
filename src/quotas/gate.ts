/**
 * Where an isolate asks whether a tenant may do something now. Most answers come from permits that the isolate holds: the tenant's
 * quota object is asked once for a batch, and not at all while it has refused.
 *
 * - G1 what is counted as a rate alone (requests, deliveries) does not wait for the object: while it is asked, a few go through and are
 *      charged, and only more than these wait; while it is away, the isolate counts by itself. So of these at most the quota and OWED for each isolate are let through.
 *      Sessions wait for it, and pass likewise while it is away: that nobody can log in because of who counts would be worse.
 * - G2 a start waits for a permit, and is not let through without one: what is begun goes on for days, and nobody takes it back. While
 *      the object is away what the isolate holds is used up, then starts are answered as unavailable.
 * - G3 what one request began is never awaited by another: the platform does not let it settle. Who comes while the object is asked
 *      looks at what is held, every LOOK_MS, and asks by itself after LEADER_MS: however many come together, few questions are asked.
 * - G4 a refusal costs no call, no row and one line of the log in REFUSALS_TOLD_MS, however many there are.
 * - G5 what ends a flood gets through it: each isolate has a reserve for that, of its own count, which no flood of requests uses up.
 */
import { inTime, type Logger } from "../platform/index.ts";
import { type Bucket, filled, newBucket, type RateLimit } from "./bucket.ts";
import { type PermitKind, QUOTA_OF, quotasOf, rateOf } from "./limits.ts";
import { type Batch, Purse, type Refusal } from "./purse.ts";
import type { QuotaRpc } from "./quota-rpc.ts";

/** Let through while the object is asked. */
export const OWED = 8;
/** Below it, the next batch is asked for while this one is used. */
const LOW = 2;
const ANSWER_WITHIN_MS = 5_000;
/** Who has asked and not been answered for so long leads no more: its request may have ended. */
const LEADER_MS = 500;
const LOOK_MS = 10;
/** After the object did not answer. */
const AWAY_MS = 1_000;
const REFUSALS_TOLD_MS = 10_000;
const MAX_TENANTS = 2_000;
/** G5. */
const RESERVE: RateLimit = { perWindow: 1, windowMs: 1_000, burst: 5 };
/** A start that others take the permits from so often is answered as unavailable. */
const MAX_TURNS = 8;

/** A start that may begin. Exactly one of these is to be called once it is known what became of it; neither: it is not known. */
export interface StartPermit {
  /** Nothing was begun: an earlier try had, or it was refused. */
  readonly giveBack: () => void;
  /** The directory knows of the run. */
  readonly settled: () => void;
}

export type Admission<T = null> =
  | { readonly kind: "admitted"; readonly permit: T }
  | ({ readonly kind: "refused" } & Refusal)
  /** Who counts does not answer (G2). */
  | { readonly kind: "unavailable" };

export interface Gate {
  /** Null: go on. */
  request(tenant: string): Promise<Refusal | null>;
  /** Whether one that was refused gets through all the same (G5): to be asked for what ends a flood, by who may. */
  spare(tenant: string): boolean;
  delivery(tenant: string): Promise<Refusal | null>;
  session(tenant: string): Promise<Refusal | null>;
  start(tenant: string): Promise<Admission<StartPermit>>;
}

export interface GateDeps {
  /** A fresh stub each time. */
  readonly object: (tenant: string) => QuotaRpc;
  /** Lets work go on after the answer. */
  readonly defer: (work: Promise<unknown>) => void;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Held {
  readonly purse: Purse;
  /** Since when the object is asked; -Infinity: it is not. */
  askedSince: number;
  /** Until when it counts as away. */
  awayUntil: number;
  /** What the isolate counts by itself meanwhile. */
  own: Bucket | null;
  reserve: Bucket | null;
  limit: RateLimit;
  refusals: number;
  toldAt: number;
}

/** One for each isolate. */
export function createGate({ object, defer, log, now }: GateDeps): Gate {
  const held = new Map<string, Held>();

  function of(tenant: string, kind: PermitKind): Held {
    const key = `${kind} ${tenant}`;
    const before = held.get(key);
    if (before !== undefined) return before;
    // What is forgotten counts as used.
    const oldest = held.keys().next();
    if (held.size >= MAX_TENANTS && !oldest.done) held.delete(oldest.value);
    const fresh: Held = {
      purse: new Purse(),
      ...{
        askedSince: -Infinity,
        awayUntil: -Infinity,
        own: null,
        reserve: null,
        refusals: 0,
        toldAt: -Infinity,
      },
      limit: rateOf(quotasOf(null), kind),
    };
    held.set(key, fresh);
    return fresh;
  }

  /** Whether it answered. */
  async function ask(tenant: string, kind: PermitKind, one: Held): Promise<boolean> {
    const askedAt = now();
    const want = one.purse.want(askedAt);
    one.askedSince = askedAt;
    const { told, charged } = one.purse.tell(askedAt);
    try {
      const lease = await inTime(
        async () => object(tenant).ask(tenant, { kind, want, told, charged }),
        ANSWER_WITHIN_MS,
      );
      one.limit = lease.rate;
      if (lease.ok) one.purse.granted(lease.granted, lease.until, askedAt + lease.forMs);
      else one.purse.refused(lease, now());
      one.awayUntil = -Infinity;
      one.own = null;
      return true;
    } catch (error) {
      if (now() >= one.awayUntil + AWAY_MS) log.warn("quota.not_asked", { tenant, kind, error });
      one.awayUntil = now() + AWAY_MS;
      return false;
    } finally {
      one.purse.answered(charged);
      // Unless another leads by now.
      if (one.askedSince === askedAt) one.askedSince = -Infinity;
    }
  }

  /** G3: of a question that another request began it is only known that there is one. */
  function isAsking({ askedSince }: Held, at: number): boolean {
    return at < askedSince + LEADER_MS;
  }

  function refused(tenant: string, one: Held, refusal: Refusal): Refusal {
    one.refusals += 1;
    if (now() - one.toldAt >= REFUSALS_TOLD_MS) {
      log.warn("quota.refused", {
        tenant,
        quota: refusal.quota,
        limit: refusal.limit,
        refused: one.refusals,
      });
      one.refusals = 0;
      one.toldAt = now();
    }
    return refusal;
  }

  /** G1. What the isolate lets through by itself while the object is away. */
  function ownCount(tenant: string, kind: PermitKind, one: Held): Refusal | null {
    const { limit } = one;
    const bucket = filled(one.own ?? newBucket(limit, now()), limit, now());
    one.own = { ...bucket, tokens: Math.max(0, bucket.tokens - 1) };
    if (bucket.tokens >= 1) return null;
    return refused(tenant, one, { quota: QUOTA_OF[kind], limit: limit.perWindow, retryMs: AWAY_MS });
  }

  async function atOnce(tenant: string, kind: PermitKind): Promise<Refusal | null> {
    const at = now();
    const one = of(tenant, kind);
    const { purse } = one;
    const isAway = at < one.awayUntil;
    const batch = purse.take(at);
    if (batch !== null) batch.used += 1;
    const said = purse.refusal(at);
    if (batch === null && said !== null) return refused(tenant, one, said);
    if (purse.left(at) < LOW && said === null && !isAway && !isAsking(one, at)) defer(ask(tenant, kind, one));
    if (batch !== null || (!isAway && purse.owe(OWED))) return null;
    return isAway ? ownCount(tenant, kind, one) : counted(tenant, kind);
  }

  async function counted(tenant: string, kind: PermitKind): Promise<Refusal | null> {
    const answer = await waiting(tenant, kind);
    if (answer === null) return ownCount(tenant, kind, of(tenant, kind));
    return "refusal" in answer ? answer.refusal : null;
  }

  async function waiting(
    tenant: string,
    kind: PermitKind,
  ): Promise<{ readonly batch: Batch } | { readonly refusal: Refusal } | null> {
    const one = of(tenant, kind);
    const { purse } = one;
    const until = now() + ANSWER_WITHIN_MS;
    // A batch may be used up by others while this one waits.
    for (let turns = 0; turns < MAX_TURNS && now() < until;) {
      const batch = purse.take(now());
      if (batch !== null) {
        batch.used += 1;
        return { batch };
      }
      const said = purse.refusal(now());
      if (said !== null) return { refusal: refused(tenant, one, said) };
      if (now() < one.awayUntil) return null;
      if (isAsking(one, now())) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      } else {
        turns += 1;
        if (!(await ask(tenant, kind, one))) return null;
      }
    }
    return null;
  }

  return {
    request: (tenant) => atOnce(tenant, "requests"),
    delivery: (tenant) => atOnce(tenant, "deliveries"),

    spare(tenant) {
      const one = of(tenant, "requests");
      const { tokens, ...bucket } = filled(one.reserve ?? newBucket(RESERVE, now()), RESERVE, now());
      one.reserve = { ...bucket, tokens: tokens >= 1 ? tokens - 1 : tokens };
      return tokens >= 1;
    },

    session: async (tenant) => counted(tenant, "sessions"),

    async start(tenant) {
      const answer = await waiting(tenant, "starts");
      if (answer === null) return { kind: "unavailable" };
      if ("refusal" in answer) return { kind: "refused", ...answer.refusal };
      return { kind: "admitted", permit: permitOf(answer.batch) };
    },
  };
}

function permitOf(batch: Batch): StartPermit {
  let isOpen = true;
  const once = (work: () => void) => () => {
    if (isOpen) work();
    isOpen = false;
  };
  return {
    giveBack: once(() => {
      // The slot comes back; that it was asked for counts to the rate.
      batch.freed += 1;
    }),
    settled: once(() => {
      batch.settled += 1;
    }),
  };
}
