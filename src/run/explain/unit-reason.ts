/**
 * Why a unit stands where it stands, and what can be done about it. Pure and total: there is an answer for every unit of every
 * state (E1), and every remedy is a call that would be taken (E2).
 */
import {
  awaitsDecision,
  hasChild,
  isParked,
  isQueued,
  isTerminal,
  performanceOf,
  refOf,
  stepOf,
  unitName,
  waitsForTime,
  type Json,
  type Need,
  type RunState,
  type StepDef,
  type Unit,
  type UnitRef,
} from "../../kernel/index.ts";
import { failureShown } from "../shown.ts";
import type { Reason, ReasonCode, Remedy } from "./explanation.ts";

/** A unit and where it stands. */
export interface Placed {
  readonly def: StepDef;
  readonly ref: UnitRef;
  readonly unit: Unit;
}

/** What all reasons of a run share. */
export interface Setting {
  readonly state: RunState;
  readonly now: number;
  /** Names of units for which something is to be done at once. */
  readonly due: ReadonlySet<string>;
  /** When the run as a whole comes to a limit; null: it has ended. */
  readonly limitAt: number | null;
}

/** What differs from reason to reason. */
type Told = Pick<Reason, "code" | "sentence"> &
  Partial<Pick<Reason, "since" | "next_at" | "limit_at" | "remedies">>;

export function unitReason(setting: Setting, placed: Placed): Reason {
  const { ref, unit } = placed;
  const {
    code,
    sentence,
    since,
    next_at: nextAt = null,
    limit_at: limit,
    remedies = [],
  } = tell(setting, placed);
  const failure = failureShown(setting.state, ref, unit);
  const limitAt = isTerminal(unit.status) ? null : (limit ?? unit.deadline ?? setting.limitAt);
  // An alarm may be late: what is decided by time is, whatever somebody says now (E2).
  const isPast = limitAt !== null && limitAt <= setting.now;
  return {
    unit: unitName(ref),
    code,
    sentence: isPast ? `${sentence} Its limit has passed, so it is about to be settled.` : sentence,
    since: since ?? unit.startedAt ?? unit.readyAt,
    next_at: nextAt,
    limit_at: limitAt,
    tried:
      unit.attempt === 0
        ? null
        : {
            attempts: unit.attempt,
            failure: failure === null ? null : { code: failure.code, message: failure.message },
          },
    remedies: isPast ? remedies.filter(({ method }) => method === "GET") : remedies,
  };
}

function tell(setting: Setting, placed: Placed): Told {
  const { unit } = placed;
  switch (unit.status) {
    case "pending":
      return pending(setting, placed);
    case "running":
      return running(setting, placed);
    case "backing_off":
      return {
        code: "backing_off",
        sentence: `${named(placed)} did not work the last time and is tried again ${at(unit.wakeAt)}. ${tries(placed)}`,
        next_at: unit.wakeAt,
        limit_at: setting.limitAt,
      };
    case "waiting":
      return waiting(setting, placed);
    case "unknown":
      return unknown(setting, placed);
    case "succeeded":
      return { code: "done", sentence: `${named(placed)} is done${unit.undone ? ", and was undone" : ""}.` };
    case "skipped":
      return {
        code: "skipped",
        sentence: `${named(placed)} was skipped: its condition was false, or what it needs did not succeed.`,
      };
    case "failed":
      return { code: "failed", sentence: `${named(placed)} has failed${whyFailed(unit)}` };
    case "cancelled":
      return {
        code: "cancelled",
        sentence: `${named(placed)} was cancelled${unit.outcome === "not_done" ? " and did nothing" : unit.outcome === "unknown" ? ", and nobody knows whether it happened" : ""}.`,
      };
  }
}

function pending(setting: Setting, placed: Placed): Told {
  const { state, now, due } = setting;
  const { def, ref, unit } = placed;
  if (due.has(unitName(ref)))
    return { code: "starting", sentence: `${named(placed)} is about to begin.`, next_at: now };
  if (ref.role === "verify" && unit.wakeAt !== null && unit.wakeAt > now)
    return {
      code: "check_later",
      sentence: `${named(placed)} begins ${at(unit.wakeAt)}: what was sent gets time to land.`,
      next_at: unit.wakeAt,
    };
  if (ref.role !== undefined)
    return {
      code: "turn",
      sentence: `${named(placed)} waits for its turn: what came after it is undone first.`,
    };
  const over = state.phase === "ended" || (def.part === "main" && state.phase !== "forward");
  if (over || (def.part === "on_failure" && state.phase === "forward"))
    return over
      ? {
          code: "never_started",
          sentence: `${named(placed)} was not begun before the run ${state.phase === "ended" ? "ended" : "was lost"}.`,
          limit_at: setting.limitAt,
        }
      : { code: "never_started", sentence: `${named(placed)} begins only if the run fails.` };
  const open = def.needs.filter((need) => !isTerminal(stepOf(state, need)?.unit.status ?? "succeeded"));
  if (open.length > 0) return { code: "needs", sentence: `${named(placed)} waits for ${listed(open)}.` };
  if (isQueued(state))
    return { code: "turn", sentence: `${named(placed)} begins once the run is admitted from its queue.` };
  if (unit.wakeAt !== null && unit.wakeAt > now)
    return { code: "turn", sentence: `${named(placed)} begins ${at(unit.wakeAt)}.`, next_at: unit.wakeAt };
  return {
    code: "turn",
    sentence:
      state.pausedSince === null
        ? `${named(placed)} waits for its turn: others are at work first.`
        : `${named(placed)} begins once the run is resumed.`,
  };
}

/** The names only: what they must be is the run's data. */
function comparing(parameters: Json): string {
  const where =
    typeof parameters === "object" && parameters !== null && "where" in parameters
      ? Object.keys(parameters.where ?? {})
      : [];
  return where.length === 0 ? "" : ` in which ${where.join(", ")} ${where.length === 1 ? "fits" : "fit"}`;
}

function running({ state }: Setting, placed: Placed): Told {
  const { ref, unit } = placed;
  if (unit.items !== null) {
    const over = unit.items.filter((item) => isTerminal(item.status)).length;
    const so = `${over} of its ${unit.items.length} items are over`;
    return unit.givingUp === null
      ? { code: "items", sentence: `${named(placed)} is at work: ${so}.` }
      : {
          code: "giving_up",
          sentence: `${named(placed)} gives up, as more of its items failed than it tolerates: ${so}, and those that succeeded are undone.`,
        };
  }
  if (hasChild(unit))
    return {
      code: "child_look",
      sentence: `${named(placed)} is looking after the run ${unit.child.run}, which it started.`,
      remedies: [childRemedy(unit.child.run)],
    };
  const ending = state.phase === "draining" && ref.role === undefined;
  return {
    code: "attempt",
    sentence: `${ending ? "The run is lost, but an" : "An"} attempt of ${lower(named(placed))} is in flight; it ends ${at(unit.deadline)} at the latest. ${tries(placed)}`,
    since: unit.attemptAt,
  };
}

function waiting(setting: Setting, placed: Placed): Told {
  const { state } = setting;
  const { def, unit, ref } = placed;
  if (awaitsDecision(unit) && unit.approval !== null)
    return {
      code: "decision",
      sentence: `${named(placed)} waits until somebody approves or denies it.`,
      since: unit.approval.askedAt,
      limit_at: unit.approval.limitAt,
      remedies: [
        decision(unit.approval.id, "approved", "Approve it. Whoever started or extended the run cannot."),
        decision(unit.approval.id, "denied", "Deny it."),
      ],
    };
  if (isParked(unit)) return parked(setting, placed, unit.parked);
  if (hasChild(unit))
    return {
      code: "child",
      sentence: `${named(placed)} waits for the end of the run ${unit.child.run}, which it started.`,
      next_at: unit.wakeAt,
      limit_at: unit.child.limitAt,
      remedies: [childRemedy(unit.child.run)],
    };
  if (def.event !== undefined && ref.role === undefined)
    return {
      code: "signal",
      sentence: `${named(placed)} waits for the event ${def.event}${comparing(def.with)}.`,
      remedies: [
        {
          what: "Post it, with data that hold what the step compares.",
          method: "POST",
          path: "/v1/events",
          body: { name: def.event, data: {} },
          scope: "runs:write",
        },
      ],
    };
  if (def.signal !== undefined && ref.role === undefined && def.kind === "signal")
    return {
      code: "signal",
      sentence: `${named(placed)} waits for the signal ${def.signal}.`,
      remedies: [
        {
          what: "Send it, with the payload that the step is to see. The key that started the run may, or one with runs:admin.",
          method: "POST",
          path: `/v1/runs/${state.run.id}/signals/${def.signal}`,
          body: { payload: null },
          scope: "runs:write",
        },
      ],
    };
  if (def.kind === "timer" && ref.role === undefined && unit.wakeAt !== null)
    return {
      code: "sleeping",
      sentence: `${named(placed)} sleeps; it goes on ${at(unit.wakeAt)}.`,
      next_at: unit.wakeAt,
    };
  if (def.repeat !== undefined && ref.role === undefined && unit.wakeAt !== null)
    return {
      code: "next_round",
      sentence: `${named(placed)} begins round ${unit.iteration + 1} ${at(unit.wakeAt)}.`,
      next_at: unit.wakeAt,
      limit_at: setting.limitAt,
    };
  return {
    code: "starting",
    sentence: `${named(placed)} has what it waited for, and is about to go on.`,
    next_at: unit.wakeAt ?? setting.now,
    limit_at: setting.limitAt,
  };
}

function parked(
  { state }: Setting,
  placed: Placed,
  { need, since, limitAt }: NonNullable<Unit["parked"]>,
): Told {
  const { unit } = placed;
  const base = { since, limit_at: limitAt, next_at: unit.wakeAt };
  const detail = need.detail === undefined ? "" : ` ${said({ message: need.detail, hint: "" })}`;
  if (need.kind === "cloud")
    return {
      code: "cloud",
      sentence: `${named(placed)} waits for credentials of the cloud role ${need.role} (${need.reason}); it looks again ${at(unit.wakeAt)}.${detail}`,
      ...base,
    };
  const which = need.integration === "" ? "a connection" : `a connection of ${need.integration}`;
  return {
    code: "connection",
    sentence: `${named(placed)} waits for ${which}: ${CONNECTION[need.reason]}; it looks again ${at(unit.wakeAt)}.${detail}`,
    ...base,
    remedies: waitsForTime(need.reason)
      ? []
      : [
          {
            what: "See the run with the link by which its user makes or renews the connection (a key with connections:connect).",
            method: "GET",
            path: `/v1/runs/${state.run.id}`,
            scope: "runs:read",
          },
        ],
  };
}

const CONNECTION: Readonly<Record<Exclude<Need, { kind: "cloud" }>["reason"], string>> = {
  missing: "there is none yet, and its user has to consent",
  revoked: "its user took the consent back",
  expired: "it has come to its end, and its user has to consent again",
  refresh_lost: "it could not be refreshed, and its user has to consent again",
  scope_missing: "its user has to consent to more",
  rejected: "the service refused it, and its user has to consent again",
  replaced: "another account stands under its name now, and a person must agree to that",
  unavailable: "the provider does not answer just now",
  rate_limited: "the provider asks to wait",
  misconfigured: "the integration is not set up rightly",
};

function unknown({ state, now }: Setting, placed: Placed): Told {
  const { ref, unit } = placed;
  const check = unit.verify !== null && !isTerminal(unit.verify.status) ? unit.verify : null;
  const next =
    check === null
      ? ""
      : check.wakeAt !== null && check.wakeAt > now
        ? ` The service is asked ${at(check.wakeAt)}.`
        : " The service is being asked.";
  const undo = ref.role === "undo" ? { undo: true } : {};
  const item = ref.item === undefined ? {} : { item: ref.item };
  const resolve = (body: { readonly [key: string]: Json }, what: string): Remedy => ({
    what,
    method: "POST",
    path: `/v1/runs/${state.run.id}/steps/${ref.step}/resolve`,
    body: { ...body, ...item, ...undo },
    scope: "runs:write",
  });
  return {
    code: "unknown",
    sentence: `Nobody knows whether ${lower(named(placed))} happened: its attempt had no clear end, and repeating it could do it twice.${next}`,
    next_at: check?.wakeAt ?? null,
    remedies: [
      resolve({ as: "succeeded", output: null }, "It happened: say what it gave."),
      resolve({ as: "retry" }, "It did not happen: try again."),
      resolve({ as: "failed" }, "It did not happen, and will not."),
    ],
  };
}

function decision(id: string, as: "approved" | "denied", what: string): Remedy {
  return {
    what,
    method: "POST",
    path: `/v1/approvals/${id}`,
    body: { decision: as },
    scope: "approvals:decide",
  };
}

function childRemedy(run: string): Remedy {
  return {
    what: "See what that run waits for.",
    method: "GET",
    path: `/v1/runs/${run}/explain`,
    scope: "runs:read",
  };
}

function whyFailed({ failure }: Unit): string {
  return failure === null ? "." : `: ${said(failure)}`;
}

function tries({ def, ref, unit }: Placed): string {
  const attempts = performanceOf(def, ref)?.retry.attempts ?? 1;
  return `Tried ${unit.tries} of at most ${attempts} times.`;
}

/** `The step pay`, `Item 3 of the step mails`, `The undoing of the step pay`. */
function named({ ref }: Pick<Placed, "ref">): string {
  const { step, item, role } = ref;
  const whole = item === undefined ? `the step ${step}` : `item ${item} of the step ${step}`;
  if (role === undefined) return `${whole[0]?.toUpperCase() ?? ""}${whole.slice(1)}`;
  return role === "undo" ? `The undoing of ${whole}` : `The check whether ${whole} happened`;
}

function lower(text: string): string {
  return `${text[0]?.toLowerCase() ?? ""}${text.slice(1)}`;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/** What went wrong and what to do, each as a sentence whoever wrote it. */
export function said({ message, hint }: { readonly message: string; readonly hint: string }): string {
  const whole = (text: string): string => (text === "" || /[.!?)]$/.test(text) ? text : `${text}.`);
  return `${whole(message)} ${whole(hint)}`.trim();
}

/** @param ms milliseconds since 1970 */
export function at(ms: number | null): string {
  return ms === null ? "at a time that is not known yet" : `at ${new Date(ms).toISOString()}`;
}

/** Codes by who can do something about it: those for people come first. */
export const ORDER: Readonly<Partial<Record<ReasonCode, number>>> = {
  unknown: 0,
  decision: 1,
  connection: 2,
  signal: 3,
  child: 4,
  cloud: 5,
  backing_off: 6,
  giving_up: 7,
  attempt: 8,
  child_look: 9,
  starting: 10,
  items: 11,
  next_round: 12,
  sleeping: 13,
  check_later: 14,
  turn: 15,
  needs: 16,
};

/** A step as a whole, its items, and the undoing and the check of each. */
export function* unitsOfStep(def: StepDef, whole: Unit): Generator<Placed> {
  const parts: Placed[] = [
    { def, ref: refOf(def.name), unit: whole },
    ...(whole.items ?? []).map((unit, item) => ({ def, ref: refOf(def.name, item), unit })),
  ];
  for (const part of parts) {
    yield part;
    const { step, item } = part.ref;
    if (part.unit.verify !== null) yield { def, ref: refOf(step, item, "verify"), unit: part.unit.verify };
    if (part.unit.undo !== null) yield { def, ref: refOf(step, item, "undo"), unit: part.unit.undo };
  }
}
