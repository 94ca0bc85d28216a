/** How a run, its steps and its facts are shown. Values that are large are named by their size, sensitive ones not at all. */

import type { Row } from "../driver/index.ts";
import {
  awaitsDecision,
  isParked,
  isQueued,
  refOf,
  statusOf,
  stepOf,
  unitName,
  type Fact,
  type Failure,
  type Json,
  type RunState,
  type StepDef,
  type Unit,
  type UnitRef,
  type Value,
} from "../kernel/index.ts";
import { failureShown, statusShown } from "./shown.ts";
import type { EventView, OutputView, RunView, StepView, UnitView, UnitWait } from "./rpc.ts";

/** Outputs up to here are shown in lists of steps and in events; longer ones have an address of their own. */
const SHOWN_BYTES = 4_096;
/** All outputs and failures in the list of a run's steps: an answer of the object holds 32 MiB, and costs its reading. */
const LISTED_BYTES = 1_048_576;
/** An output of its own address: texts take up to two bytes a character on their way out of the object. */
const WHOLE_BYTES = 12 * 1_048_576;
/** Of a failure in a list that is full. */
const CUT_FAILURE_CHARS = 80;

export interface Showing {
  readonly read: (value: Value) => Json;
  /** Whether sensitive outputs are shown. */
  readonly reveal: boolean;
}

/** What may still be shown in a list of steps. */
class Room {
  #bytes = LISTED_BYTES;

  /** Whether so much still fits; if so, it is taken. */
  take(bytes: number): boolean {
    if (bytes > this.#bytes) return false;
    this.#bytes -= bytes;
    return true;
  }
}

export function viewRun(state: RunState, seq: number, showing: Showing): RunView {
  const { run } = state;
  const room = new Room();
  return {
    id: run.id,
    tenant: run.tenant,
    workflow: run.workflow,
    version: run.version,
    user: run.user,
    started_by: run.startedBy,
    ...(run.parent === undefined ? {} : { parent: { run: run.parent.run, unit: run.parent.unit } }),
    tags: run.tags,
    status: statusOf(state),
    paused: state.pausedSince !== null,
    open: run.open,
    closed: state.closed,
    generation: state.generation,
    revision: state.revision,
    seq,
    started_at: state.startedAt,
    ended_at: state.endedAt,
    deadline_at: state.deadlineAt,
    ...queuedOf(state),
    output: state.output === null ? null : viewOutput(state, state.output, showing),
    failure: state.failure ?? state.lost?.failure ?? null,
    ...(run.erased === undefined ? {} : { erased: run.erased }),
    steps: state.graph.steps.flatMap((def, i) => {
      const unit = state.units[i];
      return unit === undefined ? [] : [viewListed(state, def, unit, showing, room)];
    }),
  };
}

function queuedOf(state: RunState): Pick<RunView, "queued"> {
  if (!isQueued(state) || state.run.flow === undefined) return {};
  return { queued: { since: state.queuedUntil - state.run.flow.limitMs, limit_at: state.queuedUntil } };
}

/** Of a run that answers, whatever its size. */
function viewOutput({ graph }: RunState, output: Value, showing: Showing): OutputView {
  const isHidden = graph.sensitive?.includes("output") === true && !showing.reveal;
  return isHidden ? { redacted: true } : { value: showing.read(output) };
}

/** A step at its own address: its output whatever its size, those of its items as in a list. */
export function viewStep(state: RunState, def: StepDef, unit: Unit, showing: Showing): StepView {
  const listed = viewListed(state, def, unit, showing, new Room());
  const { output } = unit;
  return {
    ...listed,
    failure: failureShown(state, refOf(def.name), unit),
    output: output === null ? null : viewValue(output, def.sensitive === true, showing, WHOLE_BYTES),
  };
}

function viewListed(state: RunState, def: StepDef, unit: Unit, showing: Showing, room: Room): StepView {
  const misfits = misfitsOf(state, def, unit);
  return {
    name: def.name,
    action: def.action,
    effect: def.effect,
    part: def.part,
    needs: def.needs,
    ...viewUnit(state, def, refOf(def.name), unit, showing, room),
    ...(unit.items === null
      ? {}
      : {
          items: unit.items.map((item, i) => viewUnit(state, def, refOf(def.name, i), item, showing, room)),
        }),
    ...(def.event !== undefined
      ? { waits_for_event: def.event }
      : def.signal === undefined
        ? {}
        : { waits_for: def.signal }),
    ...(misfits.length === 0 ? {} : { misfits }),
  };
}

/** What is kept under the name that a step waits for did not fit, else the step would have taken it. */
function misfitsOf({ buffered }: RunState, def: StepDef, unit: Unit): readonly string[] {
  if (def.kind !== "signal" || unit.status !== "waiting") return [];
  return buffered.filter(({ name }) => name === def.signal).map(({ id }) => id);
}

function viewUnit(
  state: RunState,
  def: StepDef,
  ref: UnitRef,
  unit: Unit,
  showing: Showing,
  room: Room,
): UnitView {
  const { output } = unit;
  const status = statusShown(state, unit);
  const fits = output !== null && (sizeOf(output) > SHOWN_BYTES || room.take(sizeOf(output)));
  return {
    status,
    outcome: status === "skipped" ? (unit.outcome ?? "not_done") : unit.outcome,
    undone: unit.undone,
    attempts: unit.attempt,
    started_at: unit.startedAt,
    ended_at: unit.endedAt,
    next_at: unit.wakeAt,
    deadline_at: unit.deadline,
    output:
      output === null ? null : viewValue(output, def.sensitive === true, showing, fits ? SHOWN_BYTES : -1),
    failure: viewFailure(failureShown(state, ref, unit), room),
    ...(unit.approval !== null && awaitsDecision(unit) ? { awaits_approval: unit.approval.id } : {}),
    ...waitingFor(unit),
    ...(unit.child === null ? {} : { child: unit.child.run }),
    ...(unit.verify === null
      ? {}
      : {
          check: { status: statusShown(state, unit.verify), failure: viewFailure(unit.verify.failure, room) },
        }),
    ...(unit.undo === null
      ? {}
      : {
          compensation: {
            status: statusShown(state, unit.undo),
            failure: viewFailure(failureShown(state, { ...ref, role: "undo" }, unit.undo), room),
            ...waitingFor(unit.undo),
          },
        }),
  };
}

function waitingFor(unit: Unit): { readonly waiting_for?: UnitWait } {
  if (!isParked(unit)) return {};
  const { need, since, limitAt } = unit.parked;
  const times = { detail: need.detail ?? null, since, limit_at: limitAt, retry_at: unit.wakeAt };
  if (need.kind === "cloud")
    return { waiting_for: { kind: need.kind, role: need.role, reason: need.reason, ...times } };
  const { kind, reason, scopes = [] } = need;
  return {
    waiting_for: {
      kind,
      integration: need.integration === "" ? null : need.integration,
      account: need.account ?? null,
      connection: need.connection ?? null,
      reason,
      scopes,
      ...times,
    },
  };
}

/** Whole while there is room, else its code and the beginning of what it says. */
function viewFailure(failure: Failure | null, room: Room): Failure | null {
  if (failure === null || room.take(failure.message.length + failure.hint.length)) return failure;
  return { ...failure, message: beginning(failure.message), hint: beginning(failure.hint) };
}

function beginning(text: string): string {
  return text.length <= CUT_FAILURE_CHARS ? text : `${text.slice(0, CUT_FAILURE_CHARS)}…`;
}

/** @param most bytes up to which it is shown itself */
function viewValue(value: Value, sensitive: boolean, showing: Showing, most: number): OutputView {
  if (sensitive && !showing.reveal) return { redacted: true };
  const bytes = sizeOf(value);
  return bytes <= most ? { value: showing.read(value) } : { bytes };
}

function sizeOf(value: Value): number {
  if ("bytes" in value) return value.bytes;
  if ("list" in value) return value.list.reduce((sum, item) => sum + (item === null ? 4 : sizeOf(item)), 0);
  return 0;
}

/** The facts of a row as events. */
export function viewRow(row: Row, state: RunState, showing: Showing): EventView[] {
  return row.facts.map((fact, i) => ({
    seq: row.seq + i,
    at: fact.at,
    type: fact.t,
    data: dataOf(fact, state, showing),
  }));
}

function dataOf(fact: Fact, state: RunState, showing: Showing): Json {
  const { t: _t, at: _at, ...rest } = fact;
  const data: Record<string, unknown> = { ...rest };
  if ("step" in fact) data["unit"] = unitName(refOf(fact.step, fact.item, fact.role));
  if (fact.t === "run_started") {
    const { id: _id, tenant: _tenant, flow, ...run } = fact.run;
    return plain({
      ...run,
      steps: fact.graph.steps.map((step) => step.name),
      deadlineAt: fact.deadlineAt,
      queuedUntil: flow === undefined ? undefined : fact.at + flow.limitMs,
    });
  }
  if (fact.t === "parked") data["need"] = plain({ ...fact.need });
  if (fact.t === "grew") data["steps"] = fact.steps.map((step) => step.name);
  for (const key of ["output", "list", "payload"]) {
    const value = data[key];
    if (value !== undefined)
      data[key] = viewValue(value as Value, isSensitive(fact, state), showing, SHOWN_BYTES);
  }
  if (fact.t === "asked" && isSensitive(fact, state) && !showing.reveal) data["text"] = { redacted: true };
  if (fact.t === "asked" && fact.about !== undefined) data["about"] = withoutQuery(fact.about);
  return plain(data);
}

/** A query may hold what steps gave. Whoever may decide sees it with the approval. */
export function withoutQuery(about: Json): Json {
  if (typeof about !== "object" || about === null || Array.isArray(about)) return about;
  return Object.fromEntries(Object.entries(about).filter(([name]) => name !== "query"));
}

/** Whether what a fact gives is marked as sensitive. */
export function isSensitive(fact: Fact, state: RunState): boolean {
  if ("step" in fact) return stepOf(state, fact.step)?.def.sensitive === true;
  if (fact.t === "ended") return state.graph.sensitive?.includes("output") === true;
  return (
    fact.t === "signalled" &&
    state.graph.steps.some((def) => def.signal === fact.name && def.sensitive === true)
  );
}

/** What leaves the object is JSON, with names as everywhere in the API; undefined fields go. */
function plain(data: Record<string, unknown>): Json {
  const fields = Object.entries(data).filter(([, value]) => value !== undefined);
  return Object.fromEntries(fields.map(([name, value]) => [snakeCase(name), value])) as Json;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
