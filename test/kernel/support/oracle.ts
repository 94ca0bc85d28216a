/**
 * A naive second opinion: what becomes of a plain run, written down straight from the design and without the kernel.
 * No clock, no crashes, no `forEach`, no `repeat`: each attempt ends as its script says, one after the other; a person
 * settles what is unknown once nothing else is left to do.
 */

import type { Effect, Join, Outcome, UnitStatus } from "../../../src/kernel/index.ts";

export type End = "success" | "refused" | "unclear" | "cannot" | "unusable";
export type Answer = "succeeded" | "failed" | "retry";

/** What is done, and how it goes: the ends of its attempts (then success), the answers of a person (then succeeded). */
export interface Deed {
  readonly effect: Effect;
  readonly attempts: number;
  readonly ends: readonly End[];
  readonly answers: readonly Answer[];
}

export interface Task extends Deed {
  readonly name: string;
  readonly part: "main" | "on_failure";
  readonly needs: readonly string[];
  readonly join: Join;
  readonly when: boolean;
  readonly onFailure: "fail" | "continue" | "fallback";
  readonly undo: Deed | null;
  /** What somebody says before anything is done; null: nobody is asked. */
  readonly gate: "approved" | "denied" | null;
}

export interface Verdict {
  readonly status: "succeeded" | "failed";
  readonly steps: Readonly<Record<string, readonly [UnitStatus, Outcome | null, undone: boolean]>>;
  readonly leftBehind: readonly string[];
}

/** One deed in progress. */
class Doing {
  status: "pending" | "unknown" | "succeeded" | "failed" | "skipped" | "cancelled" = "pending";
  outcome: Outcome | null = null;
  #tries = 0;
  #maybe = false;
  readonly #deed: Deed;
  readonly #ends: End[];
  readonly #answers: Answer[];

  constructor(deed: Deed) {
    this.#deed = deed;
    this.#ends = [...deed.ends];
    this.#answers = [...deed.answers];
  }

  settle(status: Doing["status"], outcome: Outcome): void {
    this.status = status;
    this.outcome = outcome;
  }

  /** The effects table. */
  attempt(): void {
    const { effect, attempts } = this.#deed;
    for (;;) {
      const end = this.#ends.shift() ?? "success";
      this.#tries++;
      if (end === "success") return this.settle("succeeded", "done");
      if (end === "cannot") return this.settle("failed", this.#maybe ? "unknown" : "not_done");
      if (end === "unusable" && effect !== "safe") return this.settle("failed", "done");
      if (end === "unclear" && effect === "once") {
        this.status = "unknown";
        return;
      }
      if (end === "unclear" && effect !== "safe") this.#maybe = true;
      if (this.#tries >= attempts) return this.settle("failed", this.#maybe ? "unknown" : "not_done");
    }
  }

  /** A person says what became of it. */
  resolve(mayRetry: boolean): void {
    const answer = this.#answers.shift() ?? "succeeded";
    if (answer === "succeeded") this.settle("succeeded", "done");
    else if (answer === "failed") this.settle("failed", "not_done");
    else if (mayRetry) this.attempt();
    else this.settle("cancelled", "not_done");
  }
}

class Model {
  readonly #tasks: readonly Task[];
  readonly #steps: Map<string, Doing>;
  readonly #undos = new Map<string, Doing>();
  #lost = false;

  constructor(tasks: readonly Task[]) {
    this.#tasks = tasks;
    this.#steps = new Map(tasks.map((task) => [task.name, new Doing(task)]));
  }

  run(): Verdict {
    this.#go("main");
    if (this.#lost) {
      for (const task of this.#of("main"))
        while (this.#step(task).status === "unknown") this.#step(task).resolve(false);
      for (const task of this.#of("main")) this.#undo(task);
      this.#go("on_failure");
    }
    const undone = ({ name }: Task): boolean => this.#undos.get(name)?.outcome === "done";
    return {
      status: this.#lost ? "failed" : "succeeded",
      steps: Object.fromEntries(
        this.#tasks.map((task) => {
          const { status, outcome } = this.#step(task);
          return [task.name, [status, outcome, undone(task)] as const];
        }),
      ),
      leftBehind: this.#of("main")
        .filter((task) => this.#lost && task.effect !== "safe" && !undone(task))
        .filter((task) => this.#step(task).outcome === "done" || this.#step(task).outcome === "unknown")
        .map((task) => {
          const { outcome } = this.#step(task);
          if (task.undo !== null) return `${task.name}: ${outcome}, compensation_failed`;
          return `${task.name}: ${outcome}, ${outcome === "unknown" ? "outcome_unknown" : "no_compensation"}`;
        }),
    };
  }

  #of(part: Task["part"]): readonly Task[] {
    return this.#tasks.filter((task) => task.part === part);
  }

  #step({ name }: { readonly name: string }): Doing {
    const step = this.#steps.get(name);
    if (step === undefined) throw new Error(`no step ${name}`);
    return step;
  }

  /** Runs a part of the graph to its end, or until the run is lost. */
  #go(part: Task["part"]): void {
    for (;;) {
      this.#skip(part);
      const next =
        this.#of(part).find((task) => this.#step(task).status === "pending" && this.#join(task) === "run") ??
        this.#of(part).find((task) => this.#step(task).status === "unknown");
      if (next === undefined) return;
      const step = this.#step(next);
      if (step.status === "unknown") step.resolve(true);
      else if (next.when && next.gate === "denied") step.settle("failed", "not_done");
      else if (next.when) step.attempt();
      else step.settle("skipped", "not_done");
      if (step.status !== "failed") continue;
      if (next.onFailure === "fallback") step.status = "succeeded";
      else if (next.onFailure === "fail" && part === "main") return this.#lose();
    }
  }

  #lose(): void {
    this.#lost = true;
    for (const task of this.#of("main"))
      if (this.#step(task).status === "pending") this.#step(task).settle("cancelled", "not_done");
  }

  #join({ needs, join }: Task): "run" | "skip" | "later" {
    const statuses = needs.map((name) => this.#step({ name }).status);
    const open = statuses.some((status) => status === "pending" || status === "unknown");
    const good = statuses.filter((status) => status === "succeeded").length;
    const bad = statuses.some(
      (status) => status === "failed" || status === "skipped" || status === "cancelled",
    );
    if (join === "all") return bad ? "skip" : open ? "later" : "run";
    if (open) return "later";
    return join === "any" && good === 0 && needs.length > 0 ? "skip" : "run";
  }

  #skip(part: Task["part"]): void {
    for (const task of this.#of(part))
      if (this.#step(task).status === "pending" && this.#join(task) === "skip")
        this.#step(task).settle("skipped", "not_done");
  }

  #undo(task: Task): void {
    const { outcome } = this.#step(task);
    if (task.undo === null || (outcome !== "done" && outcome !== "unknown")) return;
    const undo = new Doing(task.undo);
    undo.attempt();
    while (undo.status === "unknown") undo.resolve(true);
    this.#undos.set(task.name, undo);
  }
}

export function whatBecomesOf(tasks: readonly Task[]): Verdict {
  return new Model(tasks).run();
}
