/**
 * What the queue of its workflow is told of a run that has to wait: that it waits, and that it waits no more.
 *
 * Owns: when there is something to tell, and telling it. Memory only, as of reports: what is to be told follows from how the run
 * stands. Does not own: who is admitted (the queue), what being admitted means (kernel).
 *
 * W1 that the run waits is told until it was taken, and again by every life and whenever the alarm fires meanwhile: a queue that
 *    has forgotten the run learns of it again. The alarm stands a while after the beginning, should this life end before.
 * W2 that a generation is over, or was lost in the queue, is told until it was taken; of one that is over the next life
 *    sees by the alarm whether it was, as of reports (P3). That the next generation waits says it, too.
 * W3 a queue that does not answer, or not in time, never loses a run: it waits on, until it was told, or until its limit.
 * W4 what the queue answers counts only if the run still waits in that generation: the kernel says.
 * W5 a run without a queue costs nothing here.
 */

import type { Input, RunState } from "../kernel/index.ts";
import { isQueued } from "../kernel/index.ts";
import type { Logger } from "../platform/index.ts";
import type { FlowPort } from "./ports.ts";
import { BACKSTOP_MS, retryMs } from "./telling.ts";

/** Whoever was asked and has not answered by then is asked again. */
const ANSWER_MS = 30_000;
/** A run that waits is told more often than one that is over: it may be its turn. */
const MOST_MS = { waits: 5 * 60_000, over: 60 * 60_000 } as const;
/** A life that the alarm has begun looks again after this many times what has passed already: lives may be short. */
const BACKSTOP_GROWTH = 3;

/** What is to be told, and since when. */
interface Word {
  readonly as: "waits" | "over";
  readonly generation: number;
  readonly since: number;
}

interface Clock {
  now(): number;
  /** Calls `wake` after `ms`, unless the returned function was called before. */
  after(ms: number, wake: () => void): () => void;
}

type Admission = Extract<Input, { t: "admit" | "turn_away" }>;

/** Where there is no queue, nobody waits. */
const OPEN_DOOR: FlowPort = {
  enqueue: async () => ({ admitted: true }),
  release: async () => {},
};

export class Queueing {
  readonly #port: FlowPort;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** The last word that the queue took from this life. */
  #told: Word | null = null;
  /** When the alarm looks after what was not tried yet; null: what was told before is only told again. */
  #backstopAt: number | null = null;
  #retryAt = 0;
  #tries = 0;
  #telling: Promise<void> | null = null;
  #state: RunState | null = null;

  /** @param port missing: whoever waits is admitted at once */
  constructor(port: FlowPort | undefined, clock: Clock, log: Logger) {
    this.#port = port ?? OPEN_DOOR;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * When a life begins that is not the first.
   * @param told of a run that has ended: whether that was told (W2)
   * @param armedAt when the alarm stands, which an earlier life set for what it had to tell, or once that was told; null: it
   *   has fired, or there is none
   */
  load(state: RunState, told: boolean, armedAt: number | null): void {
    this.look(state);
    const word = wordOf(state);
    if (told) this.#told = word;
    if (word === null) return;
    const now = this.#clock.now();
    const passed = now - word.since;
    this.#backstopAt =
      armedAt !== null && armedAt > now ? armedAt : now + Math.max(BACKSTOP_MS, BACKSTOP_GROWTH * passed);
  }

  /** To be called after every turn. */
  look(state: RunState): void {
    const before = this.#word;
    this.#state = state;
    const word = this.#word;
    if (word === null || (before !== null && isSame(before, word))) return;
    this.#tries = 0;
    this.#retryAt = 0;
    this.#backstopAt = word.since + BACKSTOP_MS;
  }

  /** The alarm fired, or somebody asks after the run: that it waits is told again (W1). */
  again(): void {
    if (this.#untold !== null || this.#word?.as !== "waits") return;
    this.#told = null;
    this.#backstopAt = null;
  }

  /** Whether something is to be told now. */
  get isDue(): boolean {
    return this.#untold !== null && this.#retryAt <= this.#clock.now();
  }

  /** When the alarm must look after it, or null. */
  get alarmAt(): number | null {
    if (this.#untold === null) return null;
    const at = this.#tries > 0 && this.#telling === null ? this.#retryAt : this.#backstopAt;
    const now = this.#clock.now();
    // What stands in the past is under way.
    return at === null || at > now ? at : now + BACKSTOP_MS;
  }

  /**
   * Tells what is due. A second call joins the first.
   * @param decide takes the queue's answer to the run
   */
  deliver(decide: (admission: Admission) => void): Promise<void> {
    this.#telling ??= this.#deliver(decide).finally(() => {
      this.#telling = null;
    });
    return this.#telling;
  }

  get #word(): Word | null {
    return this.#state === null ? null : wordOf(this.#state);
  }

  get #untold(): Word | null {
    const word = this.#word;
    return word !== null && this.#told !== null && isSame(word, this.#told) ? null : word;
  }

  async #deliver(decide: (admission: Admission) => void): Promise<void> {
    for (;;) {
      const word = this.#untold;
      const state = this.#state;
      if (word === null || state === null || !this.isDue) return;
      try {
        const answer = await this.#inTime(this.#tell(word, state));
        this.#told = word;
        if (answer !== null) decide(answer);
      } catch (error) {
        // What was to be told may be another word by now: that has its own first try.
        if (this.#word !== null && !isSame(word, this.#word)) continue;
        this.#retryAt = this.#clock.now() + retryMs(this.#tries, MOST_MS[word.as]);
        this.#tries += 1;
        if (this.#tries === 1) this.#log.warn("queue_not_told", { run: state.run.id, as: word.as, error });
      }
    }
  }

  /** Rejects what takes too long: an answer that comes later is dropped, as the queue gives it again. */
  async #inTime<T>(telling: Promise<T>): Promise<T> {
    let stop = (): void => {};
    const over = new Promise<never>((_, reject) => {
      stop = this.#clock.after(ANSWER_MS, () => {
        reject(new Error("the queue did not answer in time"));
      });
    });
    try {
      return await Promise.race([telling, over]);
    } finally {
      stop();
    }
  }

  /** What the queue answers, as the run takes it. */
  async #tell({ as, generation, since }: Word, { run }: RunState): Promise<Admission | null> {
    const { tenant, workflow, id, flow } = run;
    if (as === "over") {
      await this.#port.release(tenant, workflow, id, generation);
      return null;
    }
    const queued = { tenant, workflow, run: id, generation, at: since, place: flow?.place ?? null };
    const { admitted, full = false } = await this.#port.enqueue(queued);
    if (admitted) return { t: "admit", generation };
    return full ? { t: "turn_away", generation, why: { as: "full" } } : null;
  }
}

/** What the queue has to know of the run as it stands; null: nothing. */
function wordOf(state: RunState): Word | null {
  const { run, generation, phase, endedAt, queuedUntil = null, budgetAt, graph } = state;
  if (run.flow === undefined) return null;
  if (isQueued(state)) return { as: "waits", generation, since: state.queuedUntil - run.flow.limitMs };
  if (endedAt !== null) return { as: "over", generation, since: endedAt };
  // Lost in the queue: what stands of earlier generations is undone, without a slot.
  if (phase === "forward" || queuedUntil === null) return null;
  return { as: "over", generation, since: (budgetAt ?? queuedUntil) - graph.undoBudgetMs };
}

function isSame(a: Word, b: Word): boolean {
  return a.as === b.as && a.generation === b.generation;
}
