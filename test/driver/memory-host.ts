/** A host of one run in memory, whose clock stands still and whose attempts end when a test says so. */

import {
  DEFAULT_LIMITS,
  RunDriver,
  type Acquired,
  type Call,
  type DriverLimits,
  type Loaded,
  type Performed,
  type Row,
  type Taking,
  type Wanted,
} from "../../src/driver/index.ts";
import {
  DEFAULT_RETRY,
  type Json,
  type RunInfo,
  type RunState,
  type StepDef,
} from "../../src/kernel/index.ts";

export const RUN: RunInfo = {
  id: "run_test",
  tenant: "default",
  workflow: "test",
  version: "1",
  user: null,
  startedBy: "key:test",
  open: false,
  tags: [],
  traceparent: null,
};

/** A step that calls, with nothing before it. */
export function step(name: string, more: Partial<StepDef> = {}): StepDef {
  return {
    name,
    kind: "call",
    needs: [],
    join: "all",
    part: "main",
    action: "test",
    with: null,
    effect: "safe",
    retry: { ...DEFAULT_RETRY, jitter: "none" },
    timeoutMs: 1_000,
    keyTtlMs: 86_400_000,
    unknownLimitMs: 86_400_000,
    ...more,
  };
}

export function graph(...steps: StepDef[]) {
  return { steps, deadlineMs: 86_400_000, undoBudgetMs: 86_400_000, idleLimitMs: 86_400_000 };
}

export interface Attempt {
  readonly call: Call;
  end(performed: Performed): Promise<void>;
}

export interface Asking {
  readonly wanted: Wanted;
  answer(acquired: Acquired | Error): Promise<void>;
}

/** The driver goes on in the promises that follow; there are only a few of them. */
export async function rest(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

/** What outlives a life: the journal, the alarm, the clock, and every attempt that was performed. */
export class Host {
  readonly rows: Row[] = [];
  readonly attempts: Attempt[] = [];
  /** What a life begins from, before the rows. */
  snapshot: Loaded["snapshot"] = null;
  now = 1_000_000;
  /** How far the clock goes on each time that somebody looks at it. */
  tick = 0;
  alarmAt: number | null = null;
  /** Parameters that the code of the moment fills in; their text is the digest. */
  payload: Json = { body: 1 };
  /** How steps take the signals that are kept for them; null: any. */
  taking: Taking | null = null;
  refuseAppends = false;
  /** Steps that the build of the moment has no code for; `""`: the run's output. */
  lacking = new Set<string>();
  /** Operations that filling in one unit takes. */
  fillCost = 0;
  #spent = 0;
  gaveUp: string[] = [];
  /** Steps whose calls need a credential; each asking is answered when a test says so. */
  lent = new Set<string>();
  readonly askings: Asking[] = [];
  #timers = new Set<{ readonly at: number; readonly wake: () => void }>();

  /** Begins a life: it folds what earlier ones appended. Timers of earlier lives are gone. */
  live(version = "v1", limits: DriverLimits = DEFAULT_LIMITS): RunDriver {
    this.#timers.clear();
    const driver = new RunDriver(
      {
        journal: {
          load: () => ({ snapshot: this.snapshot, rows: this.rows }),
          append: (row) => {
            if (this.refuseAppends) throw new Error("the disk is full");
            this.rows.push(row);
          },
          value: (seq, slot) => this.rows.find((row) => row.seq === seq)?.values[slot] ?? "null",
        },
        alarm: {
          armedAt: () => this.alarmAt,
          set: (at) => {
            this.alarmAt = at;
          },
          others: () => null,
        },
        clock: {
          now: () => (this.now += this.tick),
          after: (ms, wake) => {
            const timer = { at: this.now + ms, wake };
            this.#timers.add(timer);
            return () => this.#timers.delete(timer);
          },
        },
        evaluate: {
          fill: (_run, def, { item }) => {
            this.#spent += this.fillCost;
            if (def.forEach !== undefined && item === undefined)
              return { kind: "list", list: Array<Json>(Number(def.forEach.list)).fill(null) };
            return def.kind === "instant"
              ? { kind: "done", output: this.payload }
              : def.kind === "signal"
                ? { kind: "signal", limitMs: 3_600_000 }
                : { kind: "call", digest: JSON.stringify(this.payload), with: this.payload };
          },
          lacks: (_run, wants) => this.lacking.has("output" in wants ? "" : wants.unit.step),
          spent: () => this.#spent,
          taking: () => this.taking,
          again: () => ({ ok: true, value: false }),
          happened: () => ({ ok: true, value: { happened: null, output: null } }),
          output: () => ({ ok: true, value: null }),
        },
        random: () => 0.5,
        acquire: (wanted) =>
          !this.lent.has(wanted.def.name)
            ? null
            : new Promise((resolve, reject) => {
                this.askings.push({
                  wanted,
                  answer: async (acquired) => {
                    if (acquired instanceof Error) reject(acquired);
                    else resolve(acquired);
                    await rest();
                  },
                });
              }),
        perform: (call) =>
          new Promise((resolve) => {
            this.attempts.push({
              call,
              end: async (performed) => {
                resolve(performed);
                await rest();
              },
            });
          }),
        background: () => {},
        giveUp: (reason) => void this.gaveUp.push(reason),
        turned: () => {},
        version,
      },
      limits,
    );
    driver.load();
    driver.wake();
    return driver;
  }

  /** Lets time pass to a moment, and fires what waits for it in this life. */
  passTo(at: number): void {
    this.now = at;
    for (const timer of [...this.#timers]) {
      if (timer.at > at) continue;
      this.#timers.delete(timer);
      timer.wake();
    }
  }

  asking(number: number): Asking {
    const found = this.askings[number - 1];
    if (found === undefined) throw new Error(`there is no asking ${number}`);
    return found;
  }

  attempt(number: number): Attempt {
    const found = this.attempts[number - 1];
    if (found === undefined) throw new Error(`there is no attempt ${number}`);
    return found;
  }
}

export const OK: Performed = { kind: "success", output: "done" };

export function unclear(): Performed {
  return {
    kind: "unclear",
    failure: { code: "network", message: "lost", hint: "wait", retryable: true },
  };
}

export function unit(state: RunState | null, name: string) {
  const found = state?.units[state.indexOf.get(name) ?? -1];
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}
