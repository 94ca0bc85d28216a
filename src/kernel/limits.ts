/** Limits of the engine. Each is a named constant with its unit and the reason for its size. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The forward part of a run ends here unless the graph says otherwise. */
export const RUN_DEADLINE_MS = 30 * DAY_MS;
/** Undoing, parks and unknown outcomes included, has one budget; what is not undone then is left, and listed. */
export const UNDO_BUDGET_MS = 24 * HOUR_MS;
/** Where that is used up, the `onFailure` steps have this time: to tell somebody, not to work. */
export const HANDLING_BUDGET_MS = HOUR_MS;
/** A run waits so long to be admitted, unless its workflow says otherwise. */
export const QUEUE_LIMIT_MS = DAY_MS;
/** Longest wait in a queue that a workflow may ask for: whoever starts a run forgets it in the end. */
export const MAX_QUEUE_MS = 30 * DAY_MS;
/** An open run to which nobody appends closes itself. */
export const IDLE_LIMIT_MS = 24 * HOUR_MS;

/** One attempt, unless the step says otherwise. */
export const STEP_TIMEOUT_MS = 60 * SECOND_MS;
/** The platform keeps an object alive for 15 min of pending work: an attempt must end well before. */
export const MAX_STEP_TIMEOUT_MS = 10 * MINUTE_MS;
/** A wait for a signal, unless the step says otherwise. */
export const WAIT_LIMIT_MS = 7 * DAY_MS;
/** Longest sleep or wait: as long as the longest that peers offer. */
export const MAX_WAIT_MS = 365 * DAY_MS;
/** A step whose outcome nobody could tell fails its run after this. */
export const UNKNOWN_LIMIT_MS = 72 * HOUR_MS;
/** Providers forget idempotency keys; past this an unclear keyed step is treated as `once`. */
export const KEY_TTL_MS = 24 * HOUR_MS;
/** How long `verify` waits before it asks, so that what was sent had time to land. */
export const VERIFY_AFTER_MS = 5 * SECOND_MS;
/** How long `verify` waits at least before it asks again while the attempt that it asks about is still open. */
export const VERIFY_AGAIN_MS = 5 * SECOND_MS;

/** Steps of one graph, growth included: keeps a fold and a snapshot within one object's memory. */
export const MAX_STEPS = 10_000;
/** The steps of one graph as JSON: the state holds them, and so does every snapshot. */
export const MAX_GRAPH_CHARS = 8_388_608;
/** Needs of one step. */
export const MAX_NEEDS = 1_000;
/** Items of one `forEach`. */
export const MAX_ITEMS = 1_000;
/** Outputs of all items of one `forEach` together: who reads them reads them all, within 128 MB of memory. */
export const MAX_LIST_BYTES = 16 * 1_048_576;
/** Rounds of one `repeat`. */
export const MAX_ITERATIONS = 10_000;
/** Attempts that a retry policy may ask for. */
export const MAX_ATTEMPTS = 100;
/** Signals that are kept per name before a step takes them. */
export const MAX_SIGNALS_PER_NAME = 64;
/** Checks of payloads against the schemas of steps in one turn: about 0.3 s, in which the run does nothing else. */
export const PAYLOAD_CHECKS_PER_TURN = 200_000;
/** Ids of signals already taken, remembered to recognise a second delivery. */
export const MAX_SIGNALS_PER_RUN = 10_000;
/** Deaths of the object under one step before it runs alone; one more and it fails with `attempt_lost`. */
export const STRIKES_BEFORE_ALONE = 2;
/** Items of one `forEach` that are in work side by side, unless the step says otherwise. */
export const ITEM_CONCURRENCY = 6;
/** Characters of a failure's message: a record for people, not a log. */
export const MAX_MESSAGE_CHARS = 2_000;
/** A child run tells of its end; should that message be lost, its parent looks after it, less and less often. */
export const FIRST_LOOK_MS = MINUTE_MS;
export const MAX_LOOK_MS = HOUR_MS;
/** A person has so long to lend what a step needs, unless the need says otherwise. */
export const PARK_LIMIT_MS = DAY_MS;
/** What only time mends has so long. */
export const PASSING_LIMIT_MS = HOUR_MS;
/** Longest limit that a need may ask for. */
export const MAX_PARK_MS = 30 * DAY_MS;
/** A parked step looks again by itself, less and less often: its wake-up may be lost. */
export const MIN_RECHECK_MS = SECOND_MS;
export const MAX_RECHECK_MS = HOUR_MS;
/** A provider that is away is looked for more often: it is mostly back soon. */
export const PASSING_RECHECK_MS = MINUTE_MS;
/** How deep runs may start runs. */
export const MAX_DEPTH = 8;
/** Runs below one run, at all depths together: what one start can bring forth before somebody has to start again. */
export const MAX_DESCENDANTS = 1_000;
