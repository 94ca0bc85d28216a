/**
 * What is decided about events: whether one is taken, whom it is for, and what becomes of each thing that follows from it. Pure
 * and total: times are arguments, nothing is stored here.
 *
 * - V1 an event of an id is taken once, for as long as it is kept: a copy is answered, and other content under the id refused.
 * - V2 of one event and one workflow comes one run, of one event and one wait one signal: each is one task, under a key that
 *      does not change, tried until it is settled.
 * - V3 a refusal counts only when no earlier try whose answer was lost can still begin the run.
 * - V4 an event whose poster is bound to a user reaches that user's runs only.
 * - V5 a task that nothing came of for `GIVE_UP_MS` is refused: nothing is tried for ever.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import type { Json } from "../../kernel/index.ts";
import { canonicalJson, hex } from "../../platform/index.ts";
import type { EventsPorts, Heard, NewWaiting, Posted, Subscriber } from "./events-port.ts";
import type { TriggeredOutcome } from "../start-port.ts";

/** An event is kept for so long at least: copies are known as such, and waits that are told of late still hear it. */
export const KEPT_MS = 24 * 60 * 60_000;
/** And at most so much longer, so that many go together. */
export const KEPT_GRACE_MS = 10 * 60_000;
/** Of one name: events of which something is still to be done. */
export const MAX_UNDER_WAY = 1_000;
/** Of one name: events that are kept, and the bytes of their data. */
export const MAX_KEPT = 100_000;
export const MAX_KEPT_BYTES = 512 * 1024 * 1024;
/** Of both, that keys bound to users can take: what an agent floods with stops no event of the tenant's own systems. */
export const USERS_PART = 0.5;
/** Of one name: steps that wait, and the different lists of fields that they compare. */
export const MAX_WAITING = 50_000;
export const MAX_SHAPES = 256;
/** Of both, that runs of one user have once half of it is taken: whoever acts for one cannot keep all others from hearing. */
export const USER_PART = 1 / 8;
/** After so long a try in flight has ended, or has died with the object. Longer than any call may take. */
export const FLIGHT_MS = 60_000;
/** After so long a try that nobody has heard of begins nothing any more. */
export const SETTLE_MS = 5 * 60_000;
export const GIVE_UP_MS = 3 * 24 * 60 * 60_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10 * 60_000;
const FULL_RETRY_MS = 5_000;

/** PERSISTED CONTRACT: what a task of an event is to do. */
export type Deed =
  | {
      readonly t: "start";
      readonly workflow: string;
      readonly version?: string;
      readonly input?: Json;
      /** Under which whoever stored the subscription stood. */
      readonly policies?: readonly Json[];
    }
  | { readonly t: "signal"; readonly run: string; readonly step: string; readonly since: number };

/** PERSISTED CONTRACT: what became of it. */
export type Settled =
  | { readonly t: "started"; readonly run: string }
  | { readonly t: "resumed" }
  | { readonly t: "over" }
  | { readonly t: "refused"; readonly code: string; readonly message: string };

export interface Task {
  readonly deed: Deed;
  readonly tries: number;
  /** When it is tried next, or looked at again while it is under way. Null: it is settled. */
  readonly due: number | null;
  /** When the try began that is under way. */
  readonly triedAt: number | null;
  /** When the last try began of which no answer came. */
  readonly lostAt: number | null;
  readonly settled: Settled | null;
}

/** What came of a try. */
export type Told = TriggeredOutcome | Heard | { readonly kind: "lost" };

/** An event as it is kept. */
export interface Kept extends Posted {
  readonly name: string;
  /** Under which it is one event of its name. */
  readonly key: string;
  readonly at: number;
  readonly digest: string;
}

export interface Load {
  readonly underWay: number;
  readonly kept: number;
  readonly bytes: number;
}

/** Ids hold no space: those of users cannot be taken for the tenant's, nor for another user's. */
export function keyOf({ id, only }: Pick<Posted, "id" | "only">): string {
  return only === null ? id : `${id} ${only}`;
}

/** Of what one id stands for. */
export function digestOfContent({ data, user, tags }: Pick<Posted, "data" | "user" | "tags">): string {
  return digestOf({ data, user, tags });
}

/** Synchronous: nothing may come between looking and storing. The same as of a wait's values. */
export function digestOf(value: Json): string {
  return hex(sha256(new TextEncoder().encode(canonicalJson(value))));
}

/** V1. @param isUsers whether the poster is bound to a user */
export function accept(
  known: { readonly at: number; readonly digest: string } | null,
  digest: string,
  bytes: number,
  load: Load,
  isUsers = false,
):
  | { readonly kind: "new" }
  | { readonly kind: "duplicate"; readonly at: number }
  | { readonly kind: "mismatch" }
  | { readonly kind: "full"; readonly why: "under_way" | "kept"; readonly retryAfterMs: number } {
  if (known !== null)
    return known.digest === digest ? { kind: "duplicate", at: known.at } : { kind: "mismatch" };
  const part = isUsers ? USERS_PART : 1;
  if (load.underWay >= MAX_UNDER_WAY * part)
    return { kind: "full", why: "under_way", retryAfterMs: FULL_RETRY_MS };
  if (load.kept >= MAX_KEPT * part || load.bytes + bytes > MAX_KEPT_BYTES * part)
    return { kind: "full", why: "kept", retryAfterMs: KEPT_GRACE_MS };
  return { kind: "new" };
}

/** Digest of what the data hold in these places; null: one is not there. */
export function digestAt(data: Json, fields: readonly string[]): string | null {
  const values: Json[] = [];
  for (const field of fields) {
    const value = valueAt(data, field);
    if (value === undefined) return null;
    values.push(value);
  }
  return digestOf(values);
}

function valueAt(data: Json, field: string): Json | undefined {
  const path = field.startsWith("/")
    ? field
        .slice(1)
        .split("/")
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    : [field];
  let value: Json | undefined = data;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as { readonly [key: string]: Json })[part];
  }
  return value;
}

/** Whether a wait that is told of now hears an event that came before: it came during the wait, and holds what it must. */
export function hears(waiting: NewWaiting, event: Pick<Kept, "at" | "only" | "data">): boolean {
  return (
    event.at >= waiting.since &&
    event.at < waiting.until &&
    reaches(event, waiting) &&
    digestAt(event.data, waiting.fields) === waiting.digest
  );
}

/** V4. */
export function reaches({ only }: Pick<Kept, "only">, { user }: Pick<NewWaiting, "user">): boolean {
  return only === null || only === user;
}

/** What expressions see as `event`. */
export function shownEvent({ name, id, data, user, tags, at }: Kept): Json {
  return { name, id, data, user, tags, receivedAt: at };
}

export interface Plan {
  readonly deeds: readonly Deed[];
  readonly filtered: readonly string[];
  readonly failed: readonly { readonly workflow: string; readonly code: string; readonly message: string }[];
}

/** Which workflows the event starts. What cannot be evaluated is refused, and holds back no other. */
export function planOf(
  event: Kept,
  subscribers: readonly Subscriber[],
  expressions: EventsPorts["expressions"],
): Plan {
  const shown = shownEvent(event);
  const deeds: Deed[] = [];
  const filtered: string[] = [];
  const failed: Plan["failed"][number][] = [];
  for (const { workflow, version, subscription, policies } of subscribers) {
    const { filter, input } = subscription;
    const wanted =
      filter === undefined ? ({ ok: true, value: true } as const) : expressions.condition(filter, shown);
    if (!wanted.ok) {
      failed.push({ workflow, code: "filter_failed", message: wanted.error });
      continue;
    }
    if (!wanted.value) {
      filtered.push(workflow);
      continue;
    }
    const filled =
      input === undefined ? ({ ok: true, value: null } as const) : expressions.filled(input, shown);
    if (!filled.ok) failed.push({ workflow, code: "input_failed", message: filled.error });
    else
      deeds.push({
        ...{ t: "start", workflow },
        ...(version === undefined ? {} : { version }),
        ...(input === undefined ? {} : { input }),
        ...(policies === undefined ? {} : { policies }),
      });
  }
  return { deeds, filtered, failed };
}

export function newTask(deed: Deed, now: number): Task {
  return { deed, tries: 0, due: now, triedAt: null, lostAt: null, settled: null };
}

/** Stored before the try begins: a life that dies in it is followed by one that tries again. */
export function tried(task: Task, now: number): Task {
  return {
    ...task,
    tries: task.tries + 1,
    due: now + FLIGHT_MS,
    triedAt: now,
    lostAt: task.triedAt ?? task.lostAt,
  };
}

/** @param at when the event came */
export function told(
  task: Task,
  what: Told,
  { at, now }: { readonly at: number; readonly now: number },
): Task {
  if (task.settled !== null) return task;
  switch (what.kind) {
    case "started":
      return settle(task, { t: "started", run: what.run });
    case "resumed":
      return settle(task, { t: "resumed" });
    case "over":
    case "past":
      return settle(task, { t: "over" });
    case "refused": {
      const { lostAt } = task;
      // V3.
      if (lostAt !== null && now < lostAt + SETTLE_MS)
        return { ...task, triedAt: null, due: lostAt + SETTLE_MS };
      const { code, message } = what;
      return settle(task, { t: "refused", code, message });
    }
    case "lost": {
      // V5.
      if (now >= at + GIVE_UP_MS)
        return settle(task, {
          t: "refused",
          code: "gave_up",
          message: "It could not be done for three days.",
        });
      return {
        ...task,
        triedAt: null,
        lostAt: task.triedAt ?? task.lostAt,
        due: now + retryMs(task.tries),
      };
    }
  }
}

function settle(task: Task, settled: Settled): Task {
  return { ...task, due: null, triedAt: null, settled };
}

/** @param tries how many there were */
export function retryMs(tries: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(Math.max(tries - 1, 0), 16));
}
