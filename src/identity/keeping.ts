/**
 * The credentials of one exchange, one after the other. In memory only.
 *
 * - K1 single flight: whoever wants another credential while one is fetched waits for that one, each with a limit of its own.
 * - K2 a refusal is remembered for a while, so that a crowd does not hammer; longer each time, and as long as the service asks,
 *      within reason. What a person has to mend is looked at again soon, whatever the service asks.
 * - K3 what a service has refused is fetched anew once, for all who were refused the same; at most one in FORCED_REST_MS.
 * - K4 one that lives is given while another cannot be had for a passing reason.
 * - K5 a flight that does not land is given up: what started it may be gone.
 */
import type { Result } from "../platform/index.ts";
import { type CredentialAnswer, fingerprintOf } from "./credential-rpc.ts";
import { SETTLING_MS } from "./exchange.ts";
import type { ExchangeFault } from "./exchanges/shapes.ts";
import { isLiving, serves } from "./needed-life.ts";
import type { CloudCredential, ExchangeRefusal } from "./role.ts";
import { within } from "./waiting.ts";

/** The longest that one waits for an exchange. Its step is told to come again; the exchange goes on. */
export const WAITER_MS = 20_000;
/** Two tries of two requests each, and the issuer. */
export const FLIGHT_MS = 60_000;
/** K3. */
export const FORCED_REST_MS = 30_000;
const FIRST_REST_MS = 1_000;
/** Whoever mends something does not want to wait long until it is seen. */
const LAST_REST_MS: Readonly<Record<ExchangeRefusal["kind"], number>> = {
  passing: 60_000,
  propagating: 15_000,
  configuration: 10_000,
};
/** One wrong word of a service must not end every step that waits for it. */
const LONGEST_REST_MS = 5 * 60_000;
/** Looks until one finds it settled: each may wait for an exchange. */
const MAX_LOOKS = 4;

interface Settled {
  readonly credential: CloudCredential;
  readonly fingerprint: string;
}

interface Failure {
  readonly refusal: ExchangeRefusal;
  readonly until: number;
  /** Failures in a row, and since when. */
  readonly count: number;
  readonly since: number;
}

interface Flight {
  readonly promise: Promise<ExchangeRefusal | null>;
  readonly startedAt: number;
}

export interface Wanted {
  readonly neededMs: number;
  readonly refused?: string | undefined;
  readonly exchange: () => Promise<Result<CloudCredential, ExchangeFault>>;
}

export interface KeepingParts {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly waiterMs: () => number;
  /** Sees to it that a flight may land although nobody waits for it. */
  readonly flying: (flight: Promise<unknown>) => void;
  /** An exchange threw, which none should. */
  readonly broken: (error: unknown) => void;
}

export class Keeping {
  readonly #parts: KeepingParts;
  #settled: Settled | null = null;
  #failure: Failure | null = null;
  #flight: Flight | null = null;
  #forcedAt = -Infinity;

  constructor(parts: KeepingParts) {
    this.#parts = parts;
  }

  async get(wanted: Wanted): Promise<CredentialAnswer> {
    const { now, waiterMs } = this.#parts;
    const { neededMs, refused } = wanted;
    let fresh = false;
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      const settled = this.#settled;
      const isRefused = settled !== null && settled.fingerprint === refused;
      if (settled !== null && fresh) {
        // F3 of needed-life.ts, for a service so slow that what it gave has ended.
        return isLiving(settled.credential, now()) ? { ok: true, ...settled } : no(SPENT);
      }
      if (settled !== null && !isRefused && serves(settled.credential, neededMs, now()))
        return { ok: true, ...settled };
      const flight = this.#flying() ?? this.#start(wanted, isRefused);
      const refusal = "startedAt" in flight ? await within(flight.promise, waiterMs()) : flight;
      if (refusal === null) fresh = true;
      else return this.#instead(refusal === "late" ? SLOW : refusal, refused);
    }
    return no(SLOW);
  }

  /** K4. */
  #instead(refusal: ExchangeRefusal, refused: string | undefined): CredentialAnswer {
    const settled = this.#settled;
    const living =
      settled !== null && settled.fingerprint !== refused && isLiving(settled.credential, this.#parts.now());
    return living && refusal.kind !== "configuration" ? { ok: true, ...settled } : no(refusal);
  }

  /** K5. */
  #flying(): Flight | null {
    const flight = this.#flight;
    return flight !== null && this.#parts.now() - flight.startedAt < FLIGHT_MS ? flight : null;
  }

  /** A flight, or why none may start just now. */
  #start(wanted: Wanted, isRefused: boolean): Flight | ExchangeRefusal {
    const now = this.#parts.now();
    if (isRefused && now < this.#forcedAt + FORCED_REST_MS)
      return { ...REFUSED, retryAfterMs: this.#forcedAt + FORCED_REST_MS - now };
    const failure = this.#failure;
    if (failure !== null && now < failure.until)
      return { ...failure.refusal, retryAfterMs: failure.until - now };
    if (isRefused) this.#forcedAt = now;
    const flight: Flight = { promise: this.#fly(wanted, () => this.#flight === flight), startedAt: now };
    this.#flight = flight;
    this.#parts.flying(flight.promise);
    return flight;
  }

  /** Never rejects. @param isCurrent whether it has not been given up */
  async #fly(wanted: Wanted, isCurrent: () => boolean): Promise<ExchangeRefusal | null> {
    let outcome: Result<Settled, ExchangeFault>;
    try {
      const exchanged = await wanted.exchange();
      outcome = exchanged.ok
        ? {
            ok: true,
            value: { credential: exchanged.value, fingerprint: await fingerprintOf(exchanged.value) },
          }
        : exchanged;
    } catch (error) {
      this.#parts.broken(error);
      outcome = { ok: false, error: BROKEN };
    }
    if (!isCurrent()) return outcome.ok ? SLOW : outcome.error;
    this.#flight = null;
    if (outcome.ok) {
      this.#settled = outcome.value;
      this.#failure = null;
      return null;
    }
    return this.#failed(outcome.error);
  }

  /** K2. */
  #failed(fault: ExchangeFault): ExchangeRefusal {
    const now = this.#parts.now();
    const { kind: found, code, message, hint, settles, retryAfterMs = 0 } = fault;
    const before = this.#failure;
    const inRow = before !== null && now - before.until < SETTLING_MS;
    const { count, since } = inRow ? before : { count: 0, since: now };
    // It has worked before, so nothing is wrong with the role: a key or a trust that is new is not known everywhere yet.
    const changed = settles === true && this.#settled !== null && now - since < SETTLING_MS;
    const kind = changed && found === "configuration" ? "propagating" : found;
    const restMs = Math.min(LAST_REST_MS[kind], FIRST_REST_MS * 2 ** Math.min(count, 16));
    const told = { kind, code, message, hint };
    const askedMs = kind === "configuration" ? 0 : Math.min(retryAfterMs, LONGEST_REST_MS);
    const until = now + Math.max(restMs, askedMs);
    this.#failure = { refusal: told, until, count: count + 1, since };
    return { ...told, retryAfterMs: until - now };
  }
}

function no(refusal: ExchangeRefusal): CredentialAnswer {
  return { ok: false, refusal };
}

const AGAIN = "Nothing: it is asked again by itself.";
const SLOW: ExchangeRefusal = {
  kind: "passing",
  code: "exchange_slow",
  message: "The token service takes longer than a step waits for it.",
  hint: AGAIN,
  retryAfterMs: FIRST_REST_MS,
};
const SPENT: ExchangeRefusal = {
  kind: "passing",
  code: "credential_spent",
  message: "The token service took so long that its credential has ended.",
  hint: AGAIN,
  retryAfterMs: FIRST_REST_MS,
};
const BROKEN: ExchangeRefusal = {
  kind: "passing",
  code: "exchange_broken",
  message: "The exchange could not be done.",
  hint: AGAIN,
};
const REFUSED: ExchangeRefusal = {
  kind: "passing",
  code: "credential_refused",
  message: "The service refuses even a credential that was exchanged a moment ago.",
  hint: "Look at what the service says of the credential: what it is allowed there, and the clocks.",
};
