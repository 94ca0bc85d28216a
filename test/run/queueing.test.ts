import { describe, expect, it } from "vitest";
import type { RunState } from "../../src/kernel/index.ts";
import type { FlowPort } from "../../src/run/ports.ts";
import { Queueing } from "../../src/run/queueing.ts";
import { call, HOUR, MINUTE, SECOND } from "../kernel/support/build.ts";
import { Play, START } from "../kernel/support/play.ts";

type Enqueued = Awaited<ReturnType<FlowPort["enqueue"]>>;

const SILENT: ConstructorParameters<typeof Queueing>[2] = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => SILENT,
};

/** A clock that a test moves, and a queue that answers as it says. */
class World {
  now = START;
  readonly told: string[] = [];
  readonly #timers = new Set<{ readonly at: number; readonly wake: () => void }>();
  answer: () => Promise<Enqueued> = async () => ({ admitted: false });

  readonly queueing = new Queueing(
    {
      enqueue: async ({ generation }) => {
        this.told.push(`waits ${generation}`);
        return this.answer();
      },
      release: async (_tenant, _workflow, _run, generation) => {
        this.told.push(`over ${generation}`);
        await this.answer();
      },
    },
    {
      now: () => this.now,
      after: (ms, wake) => {
        const timer = { at: this.now + ms, wake };
        this.#timers.add(timer);
        return () => {
          this.#timers.delete(timer);
        };
      },
    },
    SILENT,
  );

  get alarmInMs(): number | null {
    return this.queueing.alarmAt === null ? null : this.queueing.alarmAt - this.now;
  }

  get timers(): number {
    return this.#timers.size;
  }

  pass(ms: number): void {
    this.now += ms;
    for (const timer of this.#timers) if (timer.at <= this.now) timer.wake();
  }

  async tell(): Promise<unknown[]> {
    const answers: unknown[] = [];
    await this.queueing.deliver((answer) => {
      answers.push(answer);
    });
    return answers;
  }
}

function waiting(): Play {
  return new Play([call("a")], { run: { flow: { limitMs: HOUR, place: { v: 1 } } } });
}

async function away(): Promise<never> {
  throw new Error("away");
}

describe("what a queue is told", () => {
  it("is nothing of a run without one", () => {
    const world = new World();
    world.queueing.look(new Play([call("a")]).state);
    expect([world.queueing.isDue, world.alarmInMs]).toEqual([false, null]);
  });

  it("is once that the run waits, and what it answers goes to the run", async () => {
    for (const [answer, input] of [
      [{ admitted: false }, []],
      [{ admitted: true }, [{ t: "admit", generation: 1 }]],
      [{ admitted: false, full: true }, [{ t: "turn_away", generation: 1, why: { as: "full" } }]],
    ] as const) {
      const world = new World();
      world.answer = async () => answer;
      world.queueing.look(waiting().state);
      expect([world.queueing.isDue, world.alarmInMs]).toEqual([true, 30 * SECOND]);
      expect(await world.tell()).toEqual(input);
      expect(await world.tell()).toEqual([]);
      expect([world.told, world.queueing.isDue, world.alarmInMs, world.timers]).toEqual([
        ["waits 1"],
        false,
        null,
        0,
      ]);
    }
  });

  it("is tried again at most every 5 min while the run waits, and every hour once it is over", async () => {
    const world = new World();
    world.answer = away;
    const play = waiting();
    world.queueing.look(play.state);
    const waits: (number | null)[] = [];
    for (let i = 0; i < 12; i++) {
      await world.tell();
      waits.push(world.alarmInMs);
      world.pass(world.alarmInMs ?? 0);
    }
    expect([waits.slice(0, 4), waits.at(-1)]).toEqual([[1, 2, 4, 8].map((s) => s * SECOND), 5 * MINUTE]);
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    world.queueing.look(play.state);
    await world.tell();
    expect(world.alarmInMs).toBe(SECOND);
    for (let i = 0; i < 20; i++) {
      world.pass(world.alarmInMs ?? 0);
      await world.tell();
    }
    expect(world.alarmInMs).toBe(HOUR);
  });

  it("is asked again if it has not answered after 30 s, and the late answer is dropped", async () => {
    const world = new World();
    const late = Promise.withResolvers<Enqueued>();
    world.answer = () => late.promise;
    world.queueing.look(waiting().state);
    const telling = world.tell();
    world.pass(30 * SECOND);
    expect(await telling).toEqual([]);
    expect(world.alarmInMs).toBe(SECOND);
    late.resolve({ admitted: true });
    world.answer = async () => ({ admitted: true });
    world.pass(SECOND);
    expect(await world.tell()).toEqual([{ t: "admit", generation: 1 }]);
  });

  it("is the newest: what came meanwhile is told next, at once", async () => {
    const world = new World();
    const play = waiting();
    world.answer = async () => {
      world.answer = async () => ({ admitted: false });
      play.take({ t: "cancel", mode: "graceful", by: "ada" });
      world.queueing.look(play.state);
      throw new Error("away");
    };
    world.queueing.look(play.state);
    await world.tell();
    expect(world.told).toEqual(["waits 1", "over 1"]);
    play.take({ t: "redrive", by: "ada", resolve: [] });
    world.queueing.look(play.state);
    await world.tell();
    expect(world.told.at(-1)).toBe("waits 2");
  });

  it("is told again when the alarm fires, as long as the run waits", async () => {
    const world = new World();
    const play = waiting();
    world.queueing.look(play.state);
    await world.tell();
    world.queueing.again();
    expect([world.queueing.isDue, world.alarmInMs]).toEqual([true, null]);
    await world.tell();
    play.take({ t: "admit", generation: 1 });
    world.queueing.look(play.state);
    world.queueing.again();
    expect([world.told, world.queueing.isDue]).toEqual([["waits 1", "waits 1"], false]);
  });
});

describe("the next life", () => {
  const load = (state: RunState, passedMs: number, told: boolean, armedAt: number | null) => {
    const world = new World();
    world.now += passedMs;
    world.queueing.load(state, told, armedAt);
    return [world.queueing.isDue, world.alarmInMs];
  };

  it("tells again that the run waits; the alarm that stands stays, and one that has fired comes less and less often", () => {
    const { state } = waiting();
    expect(load(state, SECOND, false, START + HOUR)).toEqual([true, HOUR - SECOND]);
    expect(load(state, SECOND, false, null)).toEqual([true, 30 * SECOND]);
    expect(load(state, MINUTE, false, null)).toEqual([true, 3 * MINUTE]);
    expect(load(state, MINUTE, false, START)).toEqual([true, 3 * MINUTE]);
  });

  it("tells of an end unless that was told", () => {
    const play = waiting();
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(load(play.state, SECOND, true, START + HOUR)).toEqual([false, null]);
    expect(load(play.state, SECOND, false, START + 30 * SECOND)).toEqual([true, 29 * SECOND]);
  });
});
