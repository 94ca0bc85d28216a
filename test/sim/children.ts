/**
 * Child runs, as the outside sees them: one per key, which ends by itself, is told to end, or begins its next generation.
 * What tells parent and child of each other goes by messages that are late, lost or doubled.
 *
 * Owns: the children and the messages. Does not own what a parent makes of them.
 */

import type { Call, Performed } from "../../src/driver/index.ts";
import {
  keyOf,
  unitOf,
  type Fact,
  type Outcome,
  type RunState,
  type UnitRef,
} from "../../src/kernel/index.ts";
import type { Audit } from "./audit.ts";
import type { Coverage } from "./coverage.ts";
import type { Host } from "./host.ts";
import { LAND_MS, ZOMBIE_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import type { Referee } from "./referee.ts";
import type { Event, Schedule } from "./schedule.ts";
import type { Findings } from "./verdict.ts";

const MINUTE_MS = 60_000;
/** A message of the outbox that was not taken comes again after this. */
const AGAIN_MS = 1_000;
/** By then every message to a child has come. */
const LONG_AFTER_MS = 30 * MINUTE_MS;

interface Child {
  readonly id: string;
  readonly key: string;
  readonly unit: UnitRef;
  generation: number;
  status: "going on" | "succeeded" | "failed" | "cancelled";
  /** What it has done and not taken back, in all its generations. */
  left: Outcome;
  told: boolean;
  end: Event | null;
}

export interface ChildrenParts {
  readonly host: Host;
  readonly schedule: Schedule;
  readonly random: Random;
  readonly referee: Referee;
  readonly coverage: Coverage;
  readonly findings: Findings;
  readonly audit: Audit;
}

export class Children {
  readonly #parts: ChildrenParts;
  readonly #byKey = new Map<string, Child>();
  /** Rows whose messages were sent. */
  #sent = 0;

  constructor(parts: ChildrenParts) {
    this.#parts = parts;
  }

  /** An attempt has arrived: it starts the child, begins its next generation, or looks. */
  asked(call: Call): Performed {
    const { random, findings, coverage } = this.#parts;
    const key = call.key ?? "";
    let child = this.#byKey.get(key);
    findings.expect(
      call.child === null || child?.id === call.child.run,
      `${key} looks after another's child`,
    );
    if (child === undefined) {
      child = {
        id: `child-${this.#byKey.size + 1}`,
        key,
        unit: call.unit,
        generation: 1,
        status: "going on",
        left: "not_done",
        told: false,
        end: null,
      };
      this.#byKey.set(key, child);
      this.#goOn(child);
    } else if (call.child?.ended === true && call.child.generation >= child.generation) {
      if (child.status === "going on") return { kind: "refused", failure: failureOf("child_failed") };
      if (child.status !== "succeeded") {
        coverage.fault("child redriven");
        child.generation++;
        child.status = "going on";
        child.told = false;
        this.#goOn(child);
      }
    }
    const { id: run, generation } = child;
    if (child.status === "going on")
      return { kind: "child", run, generation, limitMs: random.scale(MINUTE_MS, 5e8) };
    if (child.status === "succeeded")
      return { kind: "success", output: { pad: "c".repeat(random.int(1, 2_000)) } };
    return { kind: "child_failed", run, generation, failure: failureOf("child_failed"), left: child.left };
  }

  /** What the rows that are on disk say to children, as an outbox does. */
  between(): void {
    const { host, audit } = this.#parts;
    for (; this.#sent < host.store.durableRows; this.#sent++) {
      const state = audit.state(this.#sent + 1);
      if (state !== null) for (const fact of audit.facts(this.#sent)) this.#message(fact, state);
    }
  }

  /** Whether the child of a unit, by its key, may still do something. */
  goesOn(key: string): boolean {
    return this.#byKey.get(key)?.status === "going on";
  }

  /** @param state after the row that the fact is of */
  #message(fact: Fact, state: RunState): void {
    if (fact.t === "recalled") this.#later(() => this.#recalled(fact.run, fact.generation));
    else if (fact.t === "late" && fact.child !== undefined) {
      const { run, generation } = fact.child;
      this.#later(() => this.#recalled(run, generation));
    } else if (fact.t === "cancelled" || fact.t === "failed" || fact.t === "succeeded") {
      const outcome = fact.t === "succeeded" ? fact.fallback?.outcome : fact.outcome;
      if (outcome !== "unknown") return;
      const unit = unitOf(state, fact);
      if (unit === null || unit.child?.ended === false || fact.role !== undefined) return;
      // What a dead life sent has landed by the time that the next one tells the child.
      const key = keyOf(state.run.id, fact, unit);
      const generation = (unit.child?.generation ?? 0) + 1;
      this.#later(() => this.#recalled(this.#byKey.get(key)?.id ?? "", generation), LAND_MS + ZOMBIE_MS);
    }
  }

  #later(send: () => void, leastMs = 0): void {
    const { schedule, random } = this.#parts;
    schedule.after(leastMs + random.int(0, 3_000), send);
    if (random.chance(0.15)) schedule.after(leastMs + random.scale(1, 10 * MINUTE_MS), send);
  }

  #recalled(id: string, generation: number): void {
    const { coverage, random, schedule } = this.#parts;
    const child = [...this.#byKey.values()].find((one) => one.id === id);
    if (child?.generation !== generation) return;
    if (child.status !== "going on") return coverage.fault("child recalled too late");
    if (child.told) return;
    coverage.fault("child recalled");
    child.told = true;
    if (child.end !== null) child.end.cancelled = true;
    child.end = schedule.after(random.scale(1, 10 * MINUTE_MS), () => {
      this.#ends(child, random.chance(0.2) ? "succeeded" : "cancelled");
    });
  }

  #goOn(child: Child): void {
    const { random, schedule } = this.#parts;
    child.end = schedule.after(
      random.chance(0.5) ? random.int(1, 2_000) : random.scale(100, 5 * 60 * MINUTE_MS),
      () => {
        this.#ends(child, random.chance(0.7) ? "succeeded" : random.pick(["failed", "cancelled"]));
      },
    );
  }

  #ends(child: Child, status: "succeeded" | "failed" | "cancelled"): void {
    const { random, referee, coverage, host, audit, schedule, findings } = this.#parts;
    const parent = audit.state(host.store.durableRows);
    const endedAt = parent?.phase === "ended" ? (parent.endedAt ?? Infinity) : Infinity;
    findings.expect(
      child.told || schedule.now - endedAt < LONG_AFTER_MS,
      `${child.id} of ${child.key} went on, and nobody told it that its parent had ended`,
    );
    child.status = status;
    // What was taken back stays so: the undoing of the parent would meet the service first.
    const did = random.chance(status === "succeeded" ? 1 : 0.25) && !referee.wasUndone(child.key);
    if (did) referee.childDid(child.key, schedule.now);
    if (did || child.left !== "not_done") child.left = random.chance(0.8) ? "done" : "unknown";
    if (random.chance(0.25)) return coverage.fault("end of a child not told");
    this.#tell(child, child.generation);
    if (random.chance(0.2)) {
      coverage.fault("end of a child told twice");
      this.#tell(child, child.generation);
    }
  }

  #tell(child: Child, generation: number): void {
    const { schedule, random, host, coverage } = this.#parts;
    const send = (): void => {
      host.command(
        "command",
        (driver) => driver.command({ t: "child_ended", unit: child.unit, run: child.id, generation }),
        (outcome) => {
          if (outcome?.ok === true || outcome?.refusal.code === "no_such_step") return;
          if (outcome !== null) coverage.fault("end of a child told too early");
          schedule.after(AGAIN_MS, send);
        },
      );
    };
    schedule.after(random.chance(0.7) ? random.int(0, 500) : random.scale(1, 30 * MINUTE_MS), send);
  }
}

export function isChild(call: Call): boolean {
  return call.unit.role === undefined && call.def.action === "child";
}

function failureOf(code: "child_failed") {
  return { code, message: "The child was made to fail.", hint: "None.", retryable: true };
}
