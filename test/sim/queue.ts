/**
 * The queue of a workflow, as the outside sees it: it is told who waits and who is over, and admits, turns away or forgets.
 * What it is told and what it tells is late, lost or doubled.
 *
 * Owns: the queue, and what it must have heard. Does not own what a run makes of it (`src/run/queueing.ts`, kernel).
 */

import { isQueued, type Input, type RunInfo, type RunState } from "../../src/kernel/index.ts";
import type { FlowPort, Queued } from "../../src/run/ports.ts";
import type { Audit } from "./audit.ts";
import type { Coverage } from "./coverage.ts";
import type { Host } from "./host.ts";
import type { Life } from "./life.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";
import type { Findings } from "./verdict.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
/** What the queue tells and nobody answers is told again after this. */
const AGAIN_MS = SECOND_MS;
/** What a queue must hear is tried at least so often, or as often as the time grows that it has not heard it. */
const LONGEST_SILENCE_MS = { waits: 5 * MINUTE_MS, over: HOUR_MS } as const;
const SILENCE_GROWTH = 3;

/** One generation of the run, as the queue knows it. */
interface Place {
  readonly generation: number;
  /** What is in store for it. */
  readonly fate: "at once" | "later" | "never" | "full" | "superseded";
  admitted: boolean;
  turnedAway: boolean;
  released: boolean;
}

export interface QueueParts {
  readonly host: Host;
  readonly schedule: Schedule;
  readonly random: Random;
  readonly coverage: Coverage;
  readonly findings: Findings;
  readonly audit: Audit;
}

/** Some runs wait in a queue. @param random apart from all else, so that a seed without one stays what it was */
export function drawFlow(random: Random): Pick<RunInfo, "flow"> {
  if (!random.chance(0.3)) return {};
  return { flow: { limitMs: random.scale(MINUTE_MS, 24 * HOUR_MS), place: { v: 1 } } };
}

export class Queue {
  readonly #parts: QueueParts;
  readonly #places = new Map<number, Place>();
  /** Generations of which it was told that they wait, whether or not it has forgotten them. */
  readonly #heard = new Set<number>();

  constructor(parts: QueueParts) {
    this.#parts = parts;
  }

  portOf(life: Life): FlowPort {
    return {
      enqueue: (queued) => this.#call(life, () => this.#enqueue(queued)),
      release: (_tenant, _workflow, _run, generation) =>
        this.#call(life, () => {
          this.#release(generation);
        }),
    };
  }

  /** Whether the queue has let this generation work. */
  admitted(generation: number): boolean {
    return this.#places.get(generation)?.admitted === true;
  }

  /** When the run must have spoken to the queue by, as it stands; Infinity: it has nothing to say. */
  silentUntil(state: RunState, now: number): number {
    const { generation, run, endedAt } = state;
    if (run.flow === undefined) return Infinity;
    const place = this.#places.get(generation);
    if (isQueued(state)) {
      if (this.#heard.has(generation)) return Infinity;
      const since = state.queuedUntil - run.flow.limitMs;
      return now + Math.max(LONGEST_SILENCE_MS.waits, SILENCE_GROWTH * (now - since));
    }
    if (endedAt === null || place?.released === true) return Infinity;
    return now + Math.max(LONGEST_SILENCE_MS.over, SILENCE_GROWTH * (now - endedAt));
  }

  /** After the end: no slot is held, and nobody waits. */
  checkEnd({ run, generation }: RunState): void {
    if (run.flow === undefined) return;
    const { findings } = this.#parts;
    findings.expect(
      this.#places.get(generation)?.released === true,
      `generation ${generation} is over, and the queue was not told`,
      "hung",
    );
    for (const place of this.#places.values())
      findings.expect(place.released, `generation ${place.generation} holds a slot for ever`, "hung");
  }

  #call<T>(life: Life, act: () => T): Promise<T> {
    const { host, random, schedule, coverage } = this.#parts;
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void, ms: number): void => {
        schedule.after(ms, () => host.answeredByQueue(life, settle));
      };
      const fails = (): void => {
        reject(new Error("the queue is away"));
      };
      host.gate(life, () => {
        const fate = random.weighted({ well: 60, lost: 12, unanswered: 12, late: 8, silent: 3 });
        if (fate === "lost") {
          coverage.fault("queue not told");
          return answer(fails, random.scale(10, 5_000));
        }
        const isUnheard = fate === "silent" && random.chance(0.5);
        if (isUnheard) return coverage.fault("queue does not answer");
        schedule.after(random.int(0, 500), () => {
          const value = act();
          if (fate === "unanswered") {
            coverage.fault("answer of the queue lost");
            answer(fails, random.scale(10, 5_000));
          } else if (fate === "silent") coverage.fault("queue does not answer");
          else {
            if (fate === "late") coverage.fault("answer of the queue late");
            answer(
              () => {
                resolve(value);
              },
              fate === "late" ? random.scale(SECOND_MS, 3 * MINUTE_MS) : random.int(0, 500),
            );
          }
        });
      });
    });
  }

  #enqueue({ generation, place: asked }: Queued): { admitted: boolean; full?: boolean } {
    const { random, coverage, findings, schedule } = this.#parts;
    const state = this.#durable();
    findings.expect(
      state !== null && state.generation >= generation && asked !== null,
      `generation ${generation} waits, and nothing on disk says so`,
    );
    this.#heard.add(generation);
    for (const place of this.#places.values()) if (place.generation < generation) place.released = true;
    const known = this.#places.get(generation);
    if (known !== undefined) {
      coverage.fault("queue told twice");
      return known.turnedAway && known.fate === "full"
        ? { admitted: false, full: true }
        : { admitted: known.admitted && !known.released };
    }
    const newest = Math.max(0, ...this.#places.keys());
    const fate = random.weighted({ "at once": 35, later: 40, never: 5, full: 6, superseded: 8 });
    const place: Place = {
      generation,
      fate,
      admitted: fate === "at once",
      turnedAway: fate === "full",
      // A word that comes long after the next generation's is for nobody.
      released: newest > generation,
    };
    this.#places.set(generation, place);
    if (place.admitted) coverage.fault("admitted at once");
    if (fate === "full") {
      coverage.fault("queue full");
      return { admitted: false, full: true };
    }
    if (fate === "later" && random.chance(0.15))
      schedule.after(random.scale(10, MINUTE_MS), () => {
        if (place.admitted || place.released) return;
        coverage.fault("queue forgot the run");
        this.#places.delete(generation);
      });
    if (fate === "later")
      schedule.after(random.scale(10, 6 * HOUR_MS), () => {
        this.#admits(place);
      });
    if (fate === "superseded")
      schedule.after(random.scale(10, HOUR_MS), () => {
        if (!place.released) this.#tell(place, { as: "superseded", by: "run-other" });
      });
    return { admitted: place.admitted && !place.released };
  }

  #admits(place: Place): void {
    const { random, coverage, schedule } = this.#parts;
    const forgotten = this.#places.get(place.generation) !== place;
    if (forgotten || (place.released && random.chance(0.7))) return;
    coverage.fault(place.released ? "admitted too late" : "admitted later");
    place.admitted = true;
    this.#tell(place, null);
    if (!random.chance(0.2)) return;
    coverage.fault("admitted twice");
    schedule.after(random.scale(10, HOUR_MS), () => {
      this.#tell(place, null);
    });
  }

  /** As `RunRpc.admitted` and `superseded`: until it was taken, or is for nobody. */
  #tell(place: Place, turnedAway: { readonly as: "superseded"; readonly by: string } | null): void {
    const { host, schedule, coverage, findings } = this.#parts;
    const { generation } = place;
    const input: Extract<Input, { t: "admit" | "turn_away" }> =
      turnedAway === null ? { t: "admit", generation } : { t: "turn_away", generation, why: turnedAway };
    host.command(
      "command",
      (driver) => driver.command(input),
      (outcome) => {
        if (outcome === null) {
          schedule.after(AGAIN_MS, () => {
            this.#tell(place, turnedAway);
          });
          return;
        }
        if (outcome.ok) {
          if (turnedAway !== null) coverage.fault("superseded in the queue");
          return;
        }
        const { code } = outcome.refusal;
        findings.expect(
          code === "not_queued" || code === "run_ended" || code === "not_started",
          `the queue is refused with ${code}`,
        );
        const state = this.#durable();
        findings.expect(
          state === null || state.generation !== generation || !isQueued(state),
          `generation ${generation} waits, and does not want to be told`,
        );
        coverage.fault("word of the queue for nobody");
      },
    );
  }

  #release(generation: number): void {
    const { findings, random } = this.#parts;
    const state = this.#durable();
    const isOver =
      state !== null &&
      (state.generation > generation || state.phase === "ended" || (state.queuedUntil ?? null) !== null);
    findings.expect(
      isOver && (state.generation !== generation || !isQueued(state)),
      `generation ${generation} is released, and is not over`,
    );
    for (const place of this.#places.values()) if (place.generation <= generation) place.released = true;
    if (this.#places.has(generation)) return;
    // It was over before the queue had heard of it.
    const fate = random.pick(["never", "later"] as const);
    this.#places.set(generation, { generation, fate, admitted: false, turnedAway: false, released: true });
  }

  #durable(): RunState | null {
    const { audit, host } = this.#parts;
    return audit.state(host.store.durableRows);
  }
}
