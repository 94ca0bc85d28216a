/** What is told of a journal: all of it, whoever dies or is away meanwhile, and once where no answer is lost. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Row } from "../../src/driver/index.ts";
import { evolveAll, type Fact, type RunState } from "../../src/kernel/index.ts";
import { createLogger, type Span } from "../../src/platform/index.ts";
import { Follower } from "../../src/run/follower.ts";
import type { JournalStore } from "../../src/run/journal-store.ts";
import { followSpans } from "../../src/run/spans-of.ts";
import { call, ends, MINUTE } from "../kernel/support/build.ts";
import { Play } from "../kernel/support/play.ts";

const log = createLogger("error", () => {});

/** A run object as far as a follower sees it: its key-value part, its journal, its lives. */
class Body {
  readonly kept = new Map<string, unknown>();
  writes = 0;
  readonly rows: Row[] = [];
  readonly spans: Span[] = [];
  away = false;
  loses = false;
  now = 0;
  #life = this.#live();

  #live(): Follower {
    const kv = {
      get: (name: string) => structuredClone(this.kept.get(name)),
      put: (name: string, value: unknown) => {
        this.writes += 1;
        this.kept.set(name, structuredClone(value));
      },
      delete: (name: string) => {
        this.writes += 1;
        return this.kept.delete(name);
      },
    };
    const write = async (spans: readonly Span[]): Promise<void> => {
      if (this.away) throw new Error("away");
      this.spans.push(...spans);
      if (this.loses) throw new Error("the answer was lost");
    };
    const storage = { kv } as unknown as DurableObjectStorage;
    return new Follower(storage, followSpans({ write }), () => this.now, log);
  }

  get state(): RunState {
    const state = evolveAll(
      null,
      this.rows.flatMap(({ facts }) => facts),
    );
    if (state === null) throw new Error("there is no run");
    return state;
  }

  async turn(facts: readonly Fact[]): Promise<void> {
    const last = this.rows.at(-1);
    const seq = last === undefined ? 1 : last.seq + last.facts.length;
    const row: Row = { seq, at: facts[0]?.at ?? 0, facts, values: [] };
    this.now = row.at;
    this.#life.marks(row)?.();
    this.rows.push(row);
    await this.wake();
  }

  async wake(): Promise<void> {
    this.#life.look(this.state);
    const journal = {
      after: (after: number, limit: number) =>
        this.rows.filter((row) => row.seq + row.facts.length - 1 > after).slice(0, limit),
    } as unknown as JournalStore;
    const seq = this.rows.reduce((sum, { facts }) => sum + facts.length, 0);
    await this.#life.deliver(journal, { state: this.state, seq });
  }

  /** A life that ends, and the next one. */
  async die(): Promise<void> {
    this.#life = this.#live();
    this.#life.load(this.state);
    await this.wake();
  }

  get alarmAt(): number | null {
    return this.#life.alarmAt;
  }
}

/** A run of some steps, each tried twice, by its turns. */
function turnsOf(steps: number, sleeps: boolean): (readonly Fact[])[] {
  const play = new Play(
    Array.from({ length: steps }, (_, i) => call(`s${i}`, "safe", { needs: i === 0 ? [] : [`s${i - 1}`] })),
  );
  const turns: (readonly Fact[])[] = [[...play.facts]];
  const kept = (facts: readonly Fact[]): void => {
    if (facts.length > 0) turns.push(facts);
  };
  for (let i = 0; i < steps; i++) {
    const from = play.facts.length;
    play.attempt(`s${i}`, ends.refused());
    kept(play.facts.slice(from));
    if (sleeps) kept(play.take({ t: "pause", by: "ada" }));
    if (sleeps) kept(play.take({ t: "resume", by: "ada" }));
    kept(play.wake());
    const again = play.facts.length;
    play.attempt(`s${i}`);
    kept(play.facts.slice(again));
  }
  const from = play.facts.length;
  play.finish();
  kept(play.facts.slice(from));
  return turns;
}

const what = fc.record({
  steps: fc.integer({ min: 1, max: 5 }),
  sleeps: fc.boolean(),
  trouble: fc.array(fc.constantFrom("none", "none", "die", "away", "back", "loses"), {
    minLength: 30,
    maxLength: 30,
  }),
});

describe("a follower of the journal", () => {
  test("tells every span in the end, and each once if no answer was lost", async () => {
    await fc.assert(
      fc.asyncProperty(what, async ({ steps, sleeps, trouble }) => {
        const body = new Body();
        let lost = false;
        for (const [i, facts] of turnsOf(steps, sleeps).entries()) {
          await body.turn(facts);
          const now = trouble[i % trouble.length] ?? "none";
          if (now === "die") await body.die();
          body.away = now === "away" || (body.away && now !== "back");
          body.loses = now === "loses";
          lost ||= body.loses;
        }
        body.away = false;
        body.loses = false;
        for (let i = 0; i < 20 && body.alarmAt !== null; i++) {
          body.now = Math.max(body.now, body.alarmAt);
          await body.wake();
        }
        expect(body.alarmAt).toBeNull();
        expect(body.kept.size).toBe(0);
        const ids = body.spans.map(({ spanId }) => spanId);
        expect(new Set(ids).size).toBe(steps * 2 + 1);
        if (!lost) expect(ids).toHaveLength(steps * 2 + 1);
      }),
      { numRuns: 300 },
    );
  });

  test("writes two rows for a run that is told of at its end", async () => {
    const body = new Body();
    for (const facts of turnsOf(4, false)) await body.turn(facts);
    expect(body.spans).toHaveLength(9);
    expect(body.writes).toBe(2);
  });

  test("is not slowed by who does not answer, and asks again less and less often", async () => {
    const body = new Body();
    body.away = true;
    for (const facts of turnsOf(1, false)) await body.turn(facts);
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const at = body.alarmAt ?? 0;
      waits.push(at - body.now);
      body.now = at;
      await body.wake();
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(body.now).toBeGreaterThan(MINUTE / 10);
  });

  test("waits at least as long as it was in vain already, also in a new life, and never stands in the past", async () => {
    const body = new Body();
    body.away = true;
    for (const facts of turnsOf(1, false)) await body.turn(facts);
    const end = body.now;
    for (let life = 0; life < 16; life++) {
      const before = body.now;
      body.now = Math.max(before, body.alarmAt ?? before);
      await body.die();
      expect(body.alarmAt).toBeGreaterThan(body.now);
      expect((body.alarmAt ?? 0) - body.now).toBeGreaterThanOrEqual(Math.min(60 * MINUTE, body.now - end));
    }
    expect(body.now - end).toBeGreaterThan(60 * MINUTE);
  });

  test("sets no alarm for a run that goes on", async () => {
    const body = new Body();
    body.away = true;
    for (const facts of turnsOf(2, true).slice(0, 4)) await body.turn(facts);
    expect(body.kept.size).toBe(1);
    expect(body.alarmAt).toBeNull();
  });
});
