/**
 * Why a run stands where it stands, until when, and what can be done about it. Derived from its state and nothing else, so
 * there is an explanation for every state that a run can be in.
 */
import {
  due,
  isIdle,
  isQueued,
  isTerminal,
  nextWake,
  statusOf,
  stepOf,
  unitName,
  unresolved,
  type Json,
  type RunState,
} from "../../kernel/index.ts";
import { retryAt, SEAL_AFTER_MS } from "../failing.ts";
import type { Meta } from "../meta.ts";
import type { RunView } from "../rpc.ts";
import type { Explanation, Reason, ReasonCode, Remedy } from "./explanation.ts";
import {
  at,
  codeMissing,
  ORDER,
  said,
  type Placed,
  type Setting,
  unitReason,
  unitsOfStep,
} from "./unit-reason.ts";

/** Units that one explanation tells of: enough to see what is wrong, and no list of ten thousand. */
const MAX_UNITS = 50;
/** What waits for other steps is told of only where it is asked for: those are what holds the run up. */
const LATER: ReadonlySet<ReasonCode> = new Set(["needs", "never_started"]);

/**
 * @param step the step to tell of, with all that belongs to it; missing: all that is not over
 * @param lacking units that are due and that this build has no code for, by name; `""`: the run's output
 * @returns null: the run has no such step
 */
export function explainRun(
  state: RunState,
  now: number,
  step?: string,
  lacking: ReadonlySet<string> = new Set(),
): Explanation | null {
  const setting: Setting = {
    ...{ state, now, limitAt: limitOf(state), lacking },
    due: new Set(due(state, now).flatMap((job) => (job.kind === "output" ? [] : [unitName(job.unit)]))),
  };
  const named = step === undefined ? null : stepOf(state, step);
  if (step !== undefined && named === null) return null;
  const units = named === null ? open(state) : [...unitsOfStep(named.def, named.unit)];
  const all = units.map((placed) => unitReason(setting, placed));
  const reasons = named === null ? all.filter(({ code }) => !LATER.has(code)) : all;
  if (named === null) reasons.sort((a, b) => (ORDER[a.code] ?? 99) - (ORDER[b.code] ?? 99));
  const whole = runReason(setting);
  const nextAt = state.phase === "ended" ? null : nextWake(state, now);
  return {
    run: state.run.id,
    ...(state.run.erased === undefined ? {} : { erased: state.run.erased }),
    status: statusOf(state),
    paused: state.pausedSince !== null,
    generation: state.generation,
    summary: [whole?.sentence, reasons[0]?.sentence ?? ""]
      .filter((text) => text !== "" && text !== undefined)
      .join(" "),
    next_at: nextAt,
    limit_at: setting.limitAt,
    reasons: [...(whole === null ? [] : [whole]), ...reasons.slice(0, MAX_UNITS)],
    more: Math.max(0, reasons.length - MAX_UNITS),
  };
}

/** Of a run that can go on no more. */
export function explainSealed(view: RunView): Explanation {
  const sentence = said(
    view.failure ?? { message: "The run was ended because it could not go on.", hint: "" },
  );
  return {
    ...{ run: view.id, status: view.status, paused: false, generation: view.generation },
    ...{ summary: sentence, next_at: null, limit_at: null, more: 0 },
    reasons: [
      {
        ...{ unit: null, code: "sealed", sentence, since: view.ended_at, next_at: null, limit_at: null },
        tried: null,
        remedies: [
          {
            what: "See what it did until then.",
            method: "GET",
            path: `/v1/runs/${view.id}/events`,
            scope: "runs:read",
          },
        ],
      },
    ],
  };
}

/** Of a run whose object cannot go on just now, which is tried again. */
export function explainFailing(meta: Meta, now: number): Explanation {
  const { id, failedLives = 1, failingSince, lockedSince } = meta;
  const since = lockedSince ?? failingSince ?? null;
  const nextAt = retryAt(meta, now);
  const why =
    lockedSince === undefined
      ? `its object could not be brought to life ${failedLives === 1 ? "the last time" : `${failedLives} times in a row`}`
      : "the keys that are here do not open what it stores";
  const sentence = `The run cannot go on just now: ${why}. Nothing of it is lost; it is tried again ${at(nextAt)}. The operator's log says why.`;
  const limitAt = failingSince === undefined ? null : failingSince + SEAL_AFTER_MS;
  return {
    ...{ run: id, status: null, paused: false, generation: 0, summary: sentence, more: 0 },
    ...{ next_at: nextAt, limit_at: limitAt },
    reasons: [
      {
        ...{ unit: null, code: "failing", sentence, since, next_at: nextAt, limit_at: limitAt },
        ...{ tried: null, remedies: [] },
      },
    ],
  };
}

/** Units that are not over, of steps that are at work or wait: the rest waits for these. */
function open(state: RunState): Placed[] {
  return state.graph.steps.flatMap((def, index) => {
    const whole = state.units[index];
    if (whole === undefined) return [];
    return [...unitsOfStep(def, whole)].filter(
      ({ unit, ref }) =>
        !isTerminal(unit.status) &&
        (state.phase !== "ended" || ref.role !== undefined) &&
        tells(state, def.part),
    );
  });
}

/** Steps that begin only if the run fails are not told of while it does not, nor those that a lost run never began. */
function tells({ phase }: RunState, part: "main" | "on_failure"): boolean {
  return phase === "forward" ? part === "main" : phase !== "ended";
}

function limitOf(state: RunState): number | null {
  if (state.phase === "ended") return null;
  if (state.phase !== "forward") return state.budgetAt ?? state.deadlineAt;
  if (isQueued(state)) return state.queuedUntil;
  return isIdle(state)
    ? Math.min(state.deadlineAt, state.activeAt + state.graph.idleLimitMs)
    : state.deadlineAt;
}

/** What is to be said of the run as a whole; null: its steps say it. */
function runReason({ state, now, limitAt, lacking }: Setting): Reason | null {
  const say = (
    code: Reason["code"],
    sentence: string,
    more: Partial<Pick<Reason, "since" | "next_at">> & { readonly remedies?: readonly Remedy[] } = {},
  ): Reason => ({
    ...{ unit: null, code, sentence, since: more.since ?? null, next_at: more.next_at ?? null },
    ...{ limit_at: limitAt, tried: null, remedies: more.remedies ?? [] },
  });
  const id = state.run.id;
  const cancel = remedy(id, "cancel", "End it, and undo what it did.", { mode: "graceful" });
  if (state.phase === "ended") return ended(state, say);
  if (state.pausedSince !== null) {
    const resume = remedy(id, "resume", "Let it go on.");
    const others = state.phase === "forward" ? [cancel] : [];
    return say("paused", `The run is paused since ${iso(state.pausedSince)}: nothing new starts.`, {
      ...{ since: state.pausedSince, remedies: [resume, ...others] },
    });
  }
  const why = state.lost?.failure.message ?? "";
  if (state.phase === "draining")
    return say("draining", `The run is lost (${why}); what is in flight ends first, then it is undone.`);
  if (state.phase === "undoing")
    return say(
      "undoing",
      `The run is lost (${why}); what it did is being undone, until ${iso(limitAt ?? now)} at the latest.`,
    );
  if (state.phase === "handling")
    return say("handling", `The run is lost (${why}); its steps for that case are at work.`);
  if (isQueued(state))
    return say(
      "queued",
      `The run waits in the queue of ${state.run.workflow}, whose limits hold it back; if it is not admitted, it fails ${at(limitAt)}.`,
      {
        since: state.queuedUntil - (state.run.flow?.limitMs ?? 0),
        remedies: [
          look(`/v1/runs/${id}`, "See its place, and what it waits for (`queued`)."),
          look(`/v1/workflows/${state.run.workflow}/queue`, "See who works and who waits."),
          remedy(id, "cancel", "End it before it begins.", { mode: "graceful" }),
        ],
      },
    );
  if (isIdle(state))
    return say(
      "open",
      `The run is open and has nothing to do: it ends by itself ${at(limitAt)}, unless steps are appended.`,
      {
        ...{ since: state.activeAt, next_at: limitAt },
        remedies: [
          remedy(
            id,
            "close",
            "Close it: it ends as it stands. The key that started it may, or one with runs:admin.",
          ),
          cancel,
        ],
      },
    );
  if (lacking.has(""))
    return say("code_missing", `All steps are over. ${codeMissing(state, "the run's output")}`, {
      remedies: [cancel],
    });
  if (state.unsettled === 0)
    return say("finishing", "All steps are over; the run is about to end.", { next_at: now });
  return null;
}

function ended(
  state: RunState,
  say: (
    code: Reason["code"],
    sentence: string,
    more?: { since?: number | null; remedies?: readonly Remedy[] },
  ) => Reason,
): Reason {
  const since = state.endedAt;
  if (state.status === "succeeded") return say("run_succeeded", `The run succeeded ${at(since)}.`, { since });
  const failure = state.failure;
  const left = failure?.left_behind.length ?? 0;
  const what = failure === null ? "" : ` ${said(failure)}`;
  const world =
    left === 0
      ? ""
      : ` What ${left === 1 ? "one unit" : `${left} units`} did, or may have done, was not taken back.`;
  const resolve: Record<string, Json> = Object.fromEntries(
    unresolved(state).map((ref) => [unitName(ref), { as: "failed" }]),
  );
  const asks = Object.keys(resolve).length > 0;
  const redrive = remedy(
    state.run.id,
    "redrive",
    asks
      ? "Run it again from where it failed; say of each unit named here whether it happened (succeeded, with its output) or not (failed, retry)."
      : "Run it again from where it failed; what succeeded and was not undone is kept.",
    asks ? { resolve } : undefined,
  );
  const remedies = state.run.erased === true ? [] : [redrive];
  return state.status === "cancelled"
    ? say("run_cancelled", `The run was cancelled ${at(since)}.${world}`, { since, remedies })
    : say("run_failed", `The run failed ${at(since)}.${what}${world}`, { since, remedies });
}

function remedy(run: string, verb: string, what: string, body?: Json): Remedy {
  return {
    what,
    method: "POST",
    path: `/v1/runs/${run}/${verb}`,
    ...(body === undefined ? {} : { body }),
    scope: "runs:write",
  };
}

function look(path: string, what: string): Remedy {
  return { what, method: "GET", path, scope: "runs:read" };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
