/** What people ask of a run, and what must be there once it was acknowledged. */

import type { Outcome, ResolveAsJson, RunDriver } from "../../src/driver/index.ts";
import {
  refOf,
  sameJson,
  unitOf,
  type ApprovalDecision,
  type Json,
  type RefusalCode,
  type RunState,
  type StepDef,
  type Unit,
  type UnitRef,
} from "../../src/kernel/index.ts";

export interface Command {
  readonly name: string;
  readonly run: (driver: RunDriver) => Outcome;
  /** Of the state right after the command: whether it holds what was acknowledged. */
  readonly left: (state: RunState) => boolean;
}

const WHO = "key:operator";

export const pause: Command = {
  name: "pause",
  run: (driver) => driver.command({ t: "pause", by: WHO }),
  left: (state) => state.pausedSince !== null || state.phase === "ended",
};

export const resume: Command = {
  name: "resume",
  run: (driver) => driver.command({ t: "resume", by: WHO }),
  left: (state) => state.pausedSince === null,
};

export const close: Command = {
  name: "close",
  run: (driver) => driver.command({ t: "close" }),
  left: (state) => state.closed || state.phase !== "forward",
};

export function cancel(mode: "graceful" | "immediate"): Command {
  return {
    name: `cancel ${mode}`,
    run: (driver) => driver.command({ t: "cancel", mode, by: WHO }),
    left: (state) => state.lost !== null,
  };
}

export function rebind(name: string, to: Json): Command {
  return {
    name: `rebind ${name}`,
    run: (driver) => driver.command({ t: "rebind", name, to, by: WHO }),
    left: (state) => sameJson(state.bound?.[name] ?? null, to),
  };
}

export function signal(id: string, name: string, payload: Json): Command {
  return {
    name: `signal ${id}`,
    run: (driver) => driver.signal(id, name, payload),
    left: (state) => state.signalIds.includes(id),
  };
}

export function append(steps: readonly StepDef[]): Command {
  return {
    name: "append",
    run: (driver) => driver.command({ t: "append", steps, by: WHO }),
    left: (state) => steps.every((step) => state.indexOf.has(step.name)),
  };
}

/** About one asking: a caller who tries again means the same one. */
export function decide(state: RunState, ref: UnitRef, as: ApprovalDecision, by: string): Command {
  const id = unitOf(state, ref)?.approval?.id ?? "none";
  return {
    name: `decide ${id}`,
    run: (driver) => driver.command({ t: "decide", unit: ref, id, as, by }),
    left: (now) => {
      const approval = unitOf(now, ref)?.approval ?? null;
      return approval?.id === id && approval.decided !== null;
    },
  };
}

/** Of the attempt that the person looked at: a caller who tries again looks again, and leaves another attempt alone. */
export function resolve(state: RunState, ref: UnitRef, as: ResolveAsJson): Command {
  const attempt = unitOf(state, ref)?.attempt;
  return {
    name: `resolve ${JSON.stringify(ref)}`,
    run: (driver) =>
      driver.state !== null && unitOf(driver.state, ref)?.attempt === attempt
        ? driver.resolve(ref, as, WHO)
        : left("not_unknown"),
    left: (now) => now.phase === "ended" || unitOf(now, ref)?.status !== "unknown",
  };
}

export function redrive(
  state: RunState,
  answers: readonly { readonly unit: UnitRef; readonly as: ResolveAsJson }[],
): Command {
  const { generation } = state;
  return {
    name: "redrive",
    run: (driver) =>
      driver.state?.generation === generation ? driver.redrive(WHO, answers) : left("already_ending"),
    left: (now) => now.generation === generation + 1,
  };
}

/** The caller looked again, and what it was about has changed. */
function left(code: RefusalCode): Outcome {
  return { ok: false, refusal: { code, message: "The caller looked again, and left it." } };
}

export interface Seen {
  readonly ref: UnitRef;
  readonly def: StepDef;
  readonly unit: Unit;
  /** The step as a whole came out well, whatever became of this part of it. */
  readonly kept: boolean;
}

/** Steps, items and undoings, as a person sees them. */
export function unitsOf(state: RunState): Seen[] {
  return state.graph.steps.flatMap((def, index) => {
    const whole = state.units[index];
    if (whole === undefined) return [];
    const kept = whole.status === "succeeded";
    const parts = whole.items?.map((unit, i) => ({ ref: refOf(def.name, i), def, unit, kept })) ?? [
      { ref: refOf(def.name), def, unit: whole, kept },
    ];
    return parts.flatMap((part) => {
      const { undo, undone } = part.unit;
      if (undone) return [];
      const { step, item } = part.ref;
      return undo === null ? [part] : [part, { ...part, ref: refOf(step, item, "undo"), unit: undo }];
    });
  });
}
