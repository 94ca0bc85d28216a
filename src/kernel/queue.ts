/**
 * The queue in which a run may wait before it works: how it leaves it.
 *
 * Owns: being admitted, turned away, or lost for having waited too long. Does not own who is admitted when: that is the
 * business of whoever holds the queue, outside.
 *
 * U1 nothing of a generation is prepared, begun or handled before it is admitted; a redrive queues again. All else is taken as of
 *    a run that works: signals are kept, steps are appended, it is paused, closed, cancelled.
 * U2 a queued run leaves its queue in the end: its limit loses it, whatever the queue does.
 * U3 what is lost in its queue has done nothing in this generation: its `onFailure` steps tell of nothing and do not run. What
 *    stands from earlier generations is undone, as of every run that is lost.
 * U4 time in the queue counts neither against the deadline nor against the idle limit.
 */

import { endPause, lose, seed } from "./failing.ts";
import type { RunInfo } from "./facts.ts";
import type { Graph } from "./graph.ts";
import type { Input, Refusal } from "./inputs.ts";
import { MAX_QUEUE_MS } from "./limits.ts";
import { isQueued, type RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";

type InputOf<T extends Input["t"]> = Extract<Input, { readonly t: T }>;

/** Why a run cannot wait in this way; null: it can. */
export function checkFlow({ flow }: RunInfo): Refusal | null {
  if (flow === undefined || (flow.limitMs >= 0 && flow.limitMs <= MAX_QUEUE_MS)) return null;
  const detail = "The longest time in the queue is between 0 and 30 days.";
  return { code: "bad_graph", message: detail, details: [{ pointer: "/flow/limitMs", detail }] };
}

/** Of a generation that begins now: at the latest, where it has to wait (U4). */
export function deadlineOf({ flow }: RunInfo, { deadlineMs }: Graph, now: number): number {
  return now + (flow?.limitMs ?? 0) + deadlineMs;
}

/** Asking twice is asking once. */
export function admit(turn: Turn, { generation }: InputOf<"admit">): Refusal | null {
  const { state } = turn;
  const refusal = notOf(state, generation);
  if (refusal !== null) return refusal;
  if (isQueued(state))
    emit(turn, { t: "admitted", at: turn.now, deadlineAt: turn.now + state.graph.deadlineMs });
  else if (isLostInQueue(state)) return NOT_QUEUED;
  return null;
}

export function turnAway(turn: Turn, { generation, why }: InputOf<"turn_away">): Refusal | null {
  const { state } = turn;
  const refusal = notOf(state, generation);
  if (refusal !== null) return refusal;
  if (!isQueued(state)) return isLostInQueue(state) ? null : NOT_QUEUED;
  endPause(turn, "queue");
  if (why.as === "full") lose(turn, "failure", FULL, "graceful");
  else
    lose(
      turn,
      "cancel",
      seed(
        "debounced",
        `The run ${why.by} took its place before it began.`,
        `Look at ${why.by}; redrive this run if it was meant to work as well.`,
      ),
      "graceful",
      "queue",
    );
  return null;
}

/** The limit of the queue ends a pause, as the deadline does (U2). */
export function passQueueLimit(turn: Turn): void {
  endPause(turn, "queue");
  lose(turn, "failure", EXPIRED, "graceful");
}

/** Lost before it was admitted, and what stands of it is being undone. */
function isLostInQueue({ phase, queuedUntil = null }: RunState): boolean {
  return phase !== "forward" && queuedUntil !== null;
}

function notOf(state: RunState, generation: number): Refusal | null {
  if (state.generation !== generation) return NOT_QUEUED;
  if (state.phase !== "ended") return null;
  return { code: "run_ended", message: "The run has ended, and waits in no queue." };
}

const NOT_QUEUED: Refusal = {
  code: "not_queued",
  message: "This generation of the run does not wait in a queue.",
};

const FULL = seed(
  "queue_full",
  "As many runs as may wait in the queue of the workflow were waiting already.",
  "Start or redrive it when fewer wait, or raise the workflow's limits.",
  true,
);

const EXPIRED = seed(
  "queue_timeout",
  "The run was not admitted within the time that it may wait in its queue.",
  "Look at what holds the workflow's slots, then redrive the run; or raise the workflow's limits.",
  true,
);
