/**
 * A unit is one thing that has attempts: a step, an item of a `forEach`, the undoing of either, or the check whether
 * an unknown one happened. All four move by the one table below.
 */

import type { ApprovalDecision, CancelMode } from "./facts.ts";
import type { Failure } from "./failures.ts";
import type { Need } from "./needs.ts";
import type { Json, Value } from "./values.ts";

/** What a unit did to the world. */
export type Outcome = "done" | "not_done" | "unknown";

/**
 * Every legal move: status, fact, next status (K1, K9). The types, the terminal set and the exhaustive tests derive
 * from this table. A fact that keeps the status is listed too, so that every fact is legal or it is not.
 */
export const UNIT_MOVES = {
  pending: {
    ready: "pending",
    expanded: "running",
    started: "running",
    waiting: "waiting",
    asked: "waiting",
    succeeded: "succeeded",
    failed: "failed",
    skipped: "skipped",
    unknown: "unknown",
    late: "pending",
    cancelled: "cancelled",
    parked: "waiting",
  },
  running: {
    succeeded: "succeeded",
    failed: "failed",
    retrying: "backing_off",
    unknown: "unknown",
    delegated: "waiting",
    child_ended: "running",
    recalled: "running",
    iterated: "waiting",
    giving_up: "running",
    late: "running",
    cancelled: "cancelled",
    parked: "waiting",
  },
  backing_off: {
    started: "running",
    unknown: "unknown",
    late: "backing_off",
    cancelled: "cancelled",
    parked: "waiting",
  },
  waiting: {
    ready: "waiting",
    asked: "waiting",
    decided: "waiting",
    child_ended: "waiting",
    recalled: "waiting",
    started: "running",
    succeeded: "succeeded",
    failed: "failed",
    late: "waiting",
    cancelled: "cancelled",
    parked: "waiting",
    unparked: "waiting",
    unknown: "unknown",
  },
  unknown: {
    succeeded: "succeeded",
    failed: "failed",
    retrying: "backing_off",
    iterated: "waiting",
    late: "unknown",
    cancelled: "cancelled",
  },
  succeeded: { late: "succeeded", reset: "pending" },
  failed: { late: "failed", reset: "pending" },
  skipped: { late: "skipped", reset: "pending" },
  cancelled: { late: "cancelled", reset: "pending" },
} as const;

export type UnitStatus = keyof typeof UNIT_MOVES;
export type UnitFact = { [S in UnitStatus]: keyof (typeof UNIT_MOVES)[S] }[UnitStatus];

export const UNIT_STATUSES = Object.keys(UNIT_MOVES) as readonly UnitStatus[];

/** The next status, or null where the move is not legal. */
export function moveUnit(status: UnitStatus, fact: UnitFact): UnitStatus | null {
  const moves: Partial<Record<UnitFact, UnitStatus>> = UNIT_MOVES[status];
  return moves[fact] ?? null;
}

/** Terminal: nothing but a redrive leads on (K1). */
export function isTerminal(status: UnitStatus): boolean {
  return status === "succeeded" || status === "failed" || status === "skipped" || status === "cancelled";
}

/** PERSISTED CONTRACT (in snapshots). A decision that was asked for, and what came of it. */
export interface Approval {
  readonly id: string;
  readonly askedAt: number;
  readonly limitAt: number;
  /** Of a call: what an approval releases, and nothing else. */
  readonly digest: string | null;
  readonly about: Json;
  readonly text: string | null;
  readonly decided: {
    readonly as: ApprovalDecision;
    readonly by: string;
    readonly at: number;
    readonly via?: string;
    readonly note?: string;
  } | null;
}

/** PERSISTED CONTRACT (in snapshots). The run that a unit has started, and waits for. */
export interface Child {
  readonly run: string;
  /** Of the child: the one whose end is awaited, or was counted last. */
  readonly generation: number;
  readonly limitAt: number;
  /** Times that it was looked after. */
  readonly looks: number;
  /** It told of its end, and was not looked after since. */
  readonly told: boolean;
  readonly recalled: CancelMode | null;
  /** Nobody waits for it any more. */
  readonly ended: boolean;
}

/** PERSISTED CONTRACT (in snapshots). What a unit waits for before it can begin, or go on. */
export interface Parked {
  readonly need: Need;
  readonly since: number;
  readonly limitAt: number;
  /** Looks in a row that found the same. */
  readonly looks: number;
}

/** PERSISTED CONTRACT (in snapshots). */
export interface Unit {
  readonly status: UnitStatus;
  /** Null until the unit is terminal. */
  readonly outcome: Outcome | null;
  /** Everything it did was taken back. */
  readonly undone: boolean;
  /** Step generation: a new one means a new idempotency key (K6). */
  readonly gen: number;
  /** Number of the last attempt started; counts on over iterations and generations, so it names one attempt (K7). */
  readonly attempt: number;
  /** Attempts that count against the policy in this generation and iteration. */
  readonly tries: number;
  /** Round of a `repeat`, from 0. */
  readonly iteration: number;
  /** Some attempt under the current key, or in an earlier generation, may have happened. */
  readonly maybe: boolean;
  /** It may have happened under an earlier key: a check that asks by this one knows nothing of that. */
  readonly maybeBefore: boolean;
  /**
   * The attempt that timed out is still listened to: its late answer may settle an unknown outcome (K7). Of a check: it
   * was begun while that was so, and what it sees may still change.
   */
  readonly listening: boolean;
  /** Of an unknown one: no attempt follows, should it turn out that it did not happen. */
  readonly last: boolean;
  /** Version of the Worker that started the last attempt. */
  readonly version: string | null;
  /** Deaths of the object under this unit, deploys aside. */
  readonly strikes: number;
  /** Digest of the filled-in parameters: one key means one payload (K6). */
  readonly digest: string | null;
  /** When the current key was first sent: from then on its provider remembers it for `keyTtl`. */
  readonly keySince: number | null;
  /** When the unit became due: `run.now` of its templates. */
  readonly readyAt: number | null;
  /** When the last attempt started. */
  readonly attemptAt: number | null;
  /** What counts against `maxElapsed`: the attempts that have ended, and the waits between them as they were planned. */
  readonly spentMs: number;
  /** When the first round of a `repeat` started. */
  readonly repeatedSince: number | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** By when the attempt in flight must end (K4), or the wait or unknown outcome settle. */
  readonly deadline: number | null;
  /** When to go on: the end of a backoff, of a sleep, the start of the next round. */
  readonly wakeAt: number | null;
  readonly output: Value | null;
  readonly failure: Failure | null;
  /** Set on a `forEach` that has more failures than it tolerates: its items drain and are undone, then it fails. */
  readonly givingUp: Failure | null;
  readonly items: readonly Unit[] | null;
  readonly list: Value | null;
  readonly undo: Unit | null;
  /** The check of an unknown outcome. One that was overtaken stays, `cancelled`, so that its attempts count on (K7). */
  readonly verify: Unit | null;
  /** Of a check that is over: its answer settled the unit. */
  readonly answered: boolean;
  /** The last decision that was asked for in this generation. */
  readonly approval: Approval | null;
  /** The child run of this unit under its current key. */
  readonly child: Child | null;
  /** What it is parked for; while an attempt runs, what it was parked for just before. */
  readonly parked: Parked | null;
  /** For what the service has refused a fresh credential in this round (`refusalOf`). */
  readonly refusals: readonly string[] | null;
}

export function newUnit(gen = 0, attempt = 0): Unit {
  return {
    status: "pending",
    outcome: null,
    undone: false,
    gen,
    attempt,
    tries: 0,
    iteration: 0,
    maybe: false,
    maybeBefore: false,
    listening: false,
    last: false,
    version: null,
    strikes: 0,
    digest: null,
    keySince: null,
    readyAt: null,
    attemptAt: null,
    spentMs: 0,
    repeatedSince: null,
    startedAt: null,
    endedAt: null,
    deadline: null,
    wakeAt: null,
    output: null,
    failure: null,
    givingUp: null,
    items: null,
    list: null,
    undo: null,
    verify: null,
    answered: false,
    approval: null,
    child: null,
    parked: null,
    refusals: null,
  };
}

/** Whether the unit waits for the end of a child run. */
export function hasChild(unit: Unit): unit is Unit & { readonly child: Child } {
  return unit.child !== null && !unit.child.ended && (unit.status === "waiting" || unit.status === "running");
}

/** Whether the unit waits for a credential. */
export function isParked(unit: Unit): unit is Unit & { readonly parked: Parked } {
  return unit.status === "waiting" && unit.parked !== null;
}

/** Names a unit: a step, perhaps one of its items, perhaps the undoing or the checking of it. */
export interface UnitRef {
  readonly step: string;
  readonly item?: number;
  readonly role?: "undo" | "verify";
}

export function refOf(step: string, item?: number, role?: "undo" | "verify"): UnitRef {
  return { step, ...(item === undefined ? {} : { item }), ...(role === undefined ? {} : { role }) };
}

/** A short text form, for logs and as a map key: `flight`, `mails[3]`, `flight/undo`. */
export function unitName(ref: UnitRef): string {
  return `${ref.step}${ref.item === undefined ? "" : `[${ref.item}]`}${ref.role === undefined ? "" : `/${ref.role}`}`;
}

/**
 * The idempotency key of a unit (K6): one per run, step, item, iteration and step generation, and nothing else
 * ever has it. At most 200 characters of `[A-Za-z0-9_.-]`.
 */
export function keyOf(runId: string, ref: UnitRef, unit: Pick<Unit, "gen" | "iteration">): string {
  const item = ref.item === undefined ? "" : `.i${ref.item}`;
  const iteration = unit.iteration === 0 ? "" : `.r${unit.iteration}`;
  const role = ref.role === undefined ? "" : `.${ref.role}`;
  return `${runId}.${ref.step}${item}${iteration}${role}.g${unit.gen}`;
}

/**
 * The name of an approval: one per run, step, item, round and generation of the run. A redrive asks anew, so a link to
 * what was asked before decides nothing.
 */
export function approvalIdOf(runId: string, ref: UnitRef, iteration: number, generation: number): string {
  return keyOf(runId, ref, { gen: generation, iteration });
}

const UNIT_NAME = /^([a-z0-9][a-z0-9_-]{0,63})(?:\[(\d{1,4})\])?$/;

/** The step or item of a name as `unitName` writes it, or null. */
export function parseUnitName(name: string): UnitRef | null {
  const [, step, item] = UNIT_NAME.exec(name) ?? [];
  return step === undefined ? null : refOf(step, item === undefined ? undefined : Number(item));
}

const APPROVAL_ID = /^([^.]{1,64})\.([a-z0-9][a-z0-9_-]{0,63})(?:\.i(\d{1,4}))?(?:\.r\d{1,5})?\.g\d{1,9}$/;

/** Which run and which unit an approval is about; null: it can be the name of none. */
export function parseApprovalId(id: string): { readonly run: string; readonly unit: UnitRef } | null {
  const [, run, step, item] = APPROVAL_ID.exec(id) ?? [];
  if (run === undefined || step === undefined) return null;
  return { run, unit: refOf(step, item === undefined ? undefined : Number(item)) };
}
