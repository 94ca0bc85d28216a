/**
 * A database that fails for a while, as D1 fails: by the number of its calls, with errors in D1's own words, before or after
 * the call took effect. Owns the count, which is one for all of an isolate: requests, objects, the cron trigger.
 *
 * Knows no clock: how long an outage lasts follows from how much is asked.
 */

/** Calls from one number to before another, counted from the moment when the outage was ordered. */
export interface Outage {
  readonly from: number;
  readonly to: number;
  /** Every how many of them fail: 1 is all. */
  readonly every: number;
  /** Every how many of the failing ones take effect all the same, and lose their answer; 0: none. */
  readonly afterEffect: number;
}

/** What has become of the calls so far. */
export interface Tally {
  readonly calls: number;
  readonly failed: number;
  /** Of those that failed: which took effect. */
  readonly afterEffect: number;
  /** Calls that are left of the outage; 0: it is over. */
  readonly left: number;
}

/** In the words of Cloudflare's page "D1: debug", with the prefix that its binding adds. */
const ERRORS = [
  "D1_ERROR: Network connection lost.",
  "D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset.",
  "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
  "D1_ERROR: D1 DB is overloaded. Requests queued for too long.",
  "D1_ERROR: D1 DB reset because its code was updated.",
] as const;

export class FailingDatabase {
  #calls = 0;
  #failed = 0;
  #afterEffect = 0;
  #began = 0;
  #outages: readonly Outage[] = [];
  /** A statement as its batch needs it, by the one that was handed out. */
  readonly #statements = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

  /** Replaces what was ordered before. */
  order(outages: readonly Outage[]): void {
    this.#began = this.#calls;
    this.#outages = outages;
  }

  get tally(): Tally {
    const last = Math.max(0, ...this.#outages.map(({ to }) => to));
    return {
      calls: this.#calls,
      failed: this.#failed,
      afterEffect: this.#afterEffect,
      left: Math.max(0, this.#began + last - this.#calls),
    };
  }

  wrap(db: D1Database): D1Database {
    return new Proxy(db, {
      get: (target, name) => {
        if (name === "prepare") return (sql: string) => this.#statement(target.prepare(sql));
        if (name === "batch")
          return async (statements: D1PreparedStatement[]) =>
            this.#call(async () =>
              target.batch(statements.map((statement) => this.#statements.get(statement) ?? statement)),
            );
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  #statement(real: D1PreparedStatement): D1PreparedStatement {
    const wrapped = new Proxy(real, {
      get: (target, name) => {
        if (name === "bind") return (...values: unknown[]) => this.#statement(target.bind(...values));
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
        return async (...args: unknown[]) => this.#call(async () => method(...args));
      },
    });
    this.#statements.set(wrapped, real);
    return wrapped;
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    const place = this.#calls - this.#began;
    this.#calls += 1;
    const outage = this.#outages.find(({ from, to }) => place >= from && place < to);
    if (outage === undefined || (place - outage.from) % outage.every !== 0) return work();
    this.#failed += 1;
    if (outage.afterEffect > 0 && this.#failed % outage.afterEffect === 0) {
      this.#afterEffect += 1;
      await work();
    }
    throw new Error(ERRORS[this.#failed % ERRORS.length]);
  }
}
