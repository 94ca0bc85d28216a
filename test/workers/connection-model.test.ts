/** A connection by chance against a small model: what is asked, what the provider does, when the object dies. */
import { evictDurableObject } from "cloudflare:test";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FORCED_REST_MS } from "../../src/connections/refresh-rules.ts";
import { type Fate, pairOf, type RefreshStyle } from "./connection-double.ts";
import { ConnectionHouse } from "./connection-house.ts";
import { Connected, HOUR_MS, MINUTE_MS, saying, TENANT } from "./connection-support.ts";

/** After this no further sequence is begun. */
const TIME_LIMIT_MS = 20_000;
const MAX_SEQUENCES = 60;

type Move =
  | { readonly do: "acquire"; readonly callers: number }
  | { readonly do: "renew" | "report_dead" | "disconnect" | "ring" | "die" | "take_back" }
  | { readonly do: "rate_limited"; readonly forMs: number }
  | {
      readonly do: "grant";
      readonly pending: boolean;
      readonly account: 1 | 2;
      readonly replace: boolean;
    }
  | { readonly do: "confirm" | "discard"; readonly which: number }
  | { readonly do: "time"; readonly ms: number }
  | { readonly do: "fate"; readonly fate: Fate };

const FATES: readonly Fate[] = [
  "ok",
  "lost",
  "unsent",
  "dies",
  "dies_after",
  { status: 429, retryAfter: 90 },
  { status: 500 },
  { status: 502, done: true },
  { status: 503 },
  { status: 400, error: "invalid_client" },
];

const moves: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("acquire"), callers: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("renew", "renew", "ring", "ring", "die", "report_dead", "disconnect", "take_back"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("rate_limited"), forMs: fc.integer({ min: 1, max: HOUR_MS }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: fc.constant("grant"), pending: fc.boolean(), replace: fc.boolean() },
      account: fc.constantFrom(1, 2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("confirm", "discard"), which: fc.nat({ max: 3 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("time"),
      ms: fc.oneof(fc.integer({ min: 1, max: 5 * MINUTE_MS }), fc.integer({ min: 1, max: 2 * HOUR_MS })),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("fate"), fate: fc.constantFrom(...FATES) }) },
);

interface Waiting {
  readonly session: string;
  readonly family: string;
  readonly until: number;
  readonly account: number;
  readonly replace: boolean;
}

/** What must hold of the connection, whatever happened. */
function same(actual: unknown, expected: unknown): void {
  expect(actual).toEqual(expected);
}

function oneOf(actual: string, expected: readonly string[]): void {
  expect(expected).toContain(actual);
}

class Model {
  readonly one: Connected;
  /** The grant that is in force; null: none was, or it was taken back. */
  family: string | null = null;
  account: number | null = null;
  /** Dead, as far as somebody has said so. */
  dead = false;
  takenBack = false;
  limited = 0;
  pending: readonly Waiting[] = [];
  version = 0;
  epoch = 1;
  grants = 0;
  /** Whether an answer was lost since the grant came: only then may it be lost itself. */
  #lostBefore = 0;
  seen = 0;

  constructor(style: RefreshStyle) {
    this.one = new Connected(new ConnectionHouse(style));
  }

  get anyLost(): boolean {
    return this.one.house.provider.lost > this.#lostBefore;
  }

  get now(): number {
    return this.one.house.now;
  }

  async do(move: Move): Promise<void> {
    const { one } = this;
    const { house } = one;
    switch (move.do) {
      case "time":
        house.later(move.ms);
        return;
      case "fate":
        house.provider.fates.push(move.fate);
        return;
      case "take_back":
        if (this.family !== null) house.provider.takeBack(this.family);
        this.takenBack = true;
        return;
      case "acquire": {
        const asked = Array.from({ length: move.callers }, async (_, i) =>
          one.acquire({ run: `run_${i}` }).then(saying, () => "died"),
        );
        for (const said of await Promise.all(asked)) this.judge(said);
        return;
      }
      case "renew": {
        const young = ((await one.record())?.forcedAt ?? 0) > this.now - FORCED_REST_MS;
        const asked = one.object.renew(one.ask(), this.seen);
        this.judge(await asked.then(saying, () => "died"), young);
        return;
      }
      case "report_dead":
        await one.object.report(TENANT, { kind: "token_dead", version: this.seen });
        return;
      case "rate_limited":
        if (this.version > 0 || this.pending.length > 0) {
          await one.object.report(TENANT, { kind: "rate_limited", until: house.now + move.forMs });
          this.limited = Math.max(this.limited, house.now + move.forMs);
        }
        return;
      case "disconnect":
        await one.object.disconnect(TENANT, { by: "user" });
        this.pending = [];
        this.family = null;
        return;
      case "ring":
        // It ends the object where a refresh of the alarm is to end it.
        await one.ring().catch(() => undefined);
        return;
      case "die":
        await evictDurableObject(one.object);
        return;
      case "grant":
        return this.#grant(move);
      case "confirm": {
        const chosen = this.pending[move.which];
        if (chosen === undefined) return;
        const answer = await one.confirm(chosen.session);
        this.pending = this.pending.filter((other) => other !== chosen);
        const expected =
          chosen.until <= house.now
            ? "not_found"
            : this.#isForeign(chosen.account, chosen.replace)
              ? "account_mismatch"
              : "active";
        same(answer.kind, expected);
        if (expected === "active") this.#begins(chosen.family, chosen.account);
        return;
      }
      case "discard": {
        const chosen = this.pending[move.which];
        if (chosen === undefined) return;
        await one.object.discard(TENANT, chosen.session);
        this.pending = this.pending.filter((other) => other !== chosen);
      }
    }
  }

  async #grant({ pending, account, replace }: Extract<Move, { do: "grant" }>): Promise<void> {
    const { one } = this;
    this.grants += 1;
    const family = `${one.family}g${this.grants}`;
    const session = `cs_${this.grants}`;
    const until = this.now + 15 * MINUTE_MS;
    const more = { account: { id: `account-${account}`, label: null }, replaceAccount: replace };
    const answer = await one.grant({ ...more, pending: pending ? { session, until } : null }, family);
    if (this.#isForeign(account, replace)) {
      same(answer.kind, "account_mismatch");
      return;
    }
    same(answer.kind, pending ? "pending" : "active");
    if (!pending) return this.#begins(family, account);
    const waiting = this.pending.filter((other) => other.until > this.now).slice(-3);
    this.pending = [...waiting, { session, family, until, account, replace }];
  }

  #isForeign(account: number, replace: boolean): boolean {
    return this.family !== null && !replace && account !== this.account;
  }

  #begins(family: string, account: number): void {
    if (this.account !== null && this.account !== account) this.epoch += 1;
    this.limited = 0;
    this.family = family;
    this.account = account;
    this.dead = false;
    this.takenBack = false;
    this.#lostBefore = this.one.house.provider.lost;
  }

  /** @param young whether a refused token is too young to be renewed for that */
  judge(said: string, young = false): void {
    const { provider } = this.one.house;
    if (this.family === null) {
      oneOf(said, ["missing", "died"]);
      return;
    }
    if (said.startsWith("at.")) {
      same(this.dead, false);
      same(this.limited <= this.now, true);
      const [, family, number] = said.split(".");
      same(family, this.family);
      // The last that the provider issued, but for what an answer that was lost may have brought.
      if (!this.anyLost) same(Number(number), provider.current(this.family));
      return;
    }
    if (said === "revoked") same(this.takenBack || this.dead || this.anyLost, true);
    if (said === "refresh_lost") same(this.anyLost, true);
    oneOf(said, [
      ...["revoked", "refresh_lost", "unavailable", "misconfigured", "died"],
      ...(this.limited > this.now ? ["rate_limited"] : []),
      ...(young ? ["rejected"] : []),
    ]);
  }

  /** After each move. */
  async check(): Promise<void> {
    const { one } = this;
    const { provider } = one.house;
    same(provider.mostFlying <= 1, true);
    same(provider.reusedLiving, 0);
    const record = await one.record();
    if (record === undefined) return;
    const { grant, standing, epoch } = record;
    same(grant.version >= this.version, true);
    this.version = grant.version;
    same(epoch, this.epoch);
    // Dead stays dead until the next grant.
    if (this.dead) same(standing.status === "active", false);
    this.dead = standing.status === "dead";
    same(standing.status === "active" || standing.status === "dead", this.family !== null);
    if (standing.status === "disconnected") same(grant.sealed, null);
    if (standing.status === "active" && record.sending === null && !this.anyLost && this.family !== null) {
      const kept = await one.opened(record);
      same(kept, pairOf(this.family, provider.current(this.family)));
    }
  }
}

describe("a connection by chance", () => {
  it.each(["strict", "leeway"] as const)(
    "%s: one refresh at a time, no used refresh token while the token lives, no token that is dead or taken back",
    { timeout: TIME_LIMIT_MS * 3 },
    async (style) => {
      const until = Date.now() + TIME_LIMIT_MS;
      const counts = { sequences: 0, moves: 0, refreshes: 0 };
      await fc.assert(
        fc.asyncProperty(fc.array(moves, { minLength: 5, maxLength: 40 }), async (sequence) => {
          if (Date.now() > until) return;
          counts.sequences += 1;
          const model = new Model(style);
          for (const move of [
            { do: "grant", pending: false, account: 1, replace: false } as const,
            ...sequence,
          ]) {
            await model.do(move);
            model.seen = (await model.one.record())?.grant.version ?? 0;
            await model.check();
            counts.moves += 1;
          }
          counts.refreshes += model.one.house.provider.refreshes();
        }),
        { numRuns: MAX_SEQUENCES, seed: 20_261_125, endOnFailure: false },
      );
      expect(counts.sequences).toBeGreaterThan(5);
      expect(counts.refreshes).toBeGreaterThan(10);
      console.log("connections by chance", style, counts);
    },
  );
});
