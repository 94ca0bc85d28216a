/**
 * Sorts what the platform throws. The one place that knows its messages, so that a new wording is one line here.
 *
 * Sources: Cloudflare's pages "Durable Objects: troubleshooting" and "error handling", "D1: debug", "Workers: limits".
 * Messages are matched as parts, through `cause`, because the platform wraps them and adds references.
 */
import { causeChain, messageOf, read } from "./errors.ts";

/**
 * - `later`: this life of the object, or this call, is lost. A fresh one works. Never try again inside the same turn.
 * - `never`: repeating does harm (overload) or cannot help (full, too big). Give the call up.
 * - `poison`: the work itself kills its isolate. Count strikes and stop after a few.
 * - `hop`: this event has used up a limit. The same work goes on in a fresh event, and has not failed.
 */
export type FaultKind = "later" | "never" | "poison" | "hop";

export interface Fault {
  readonly kind: FaultKind;
  /** The platform's own words. */
  readonly message: string;
}

/** In order: the first part that a message contains decides. */
const MESSAGES: readonly (readonly [part: string, kind: FaultKind])[] = [
  // A Worker or an object used too much memory.
  ["exceeded its memory limit", "poison"],
  ["exceeded memory limit", "poison"],

  // Limits of one event.
  ["Too many subrequests", "hop"],
  ["exceeded its CPU time limit", "hop"],
  ["exceeded CPU time limit", "hop"],
  ["exceeded CPU", "hop"],

  // Overload: every repetition adds to it.
  ["Durable Object is overloaded", "never"],
  ["D1 DB is overloaded", "never"],
  ["generating too much load on Durable Objects", "never"],
  // No repetition helps.
  ["SQLITE_TOOBIG", "never"],
  ["SQLITE_FULL", "never"],
  ["Exceeded maximum DB size", "never"],

  // This isolate is superseded: by a deploy, by a runtime update, by another machine.
  ["reset because its code was updated", "later"],
  ["This script has been upgraded", "later"],
  ["code has been updated, this version can no longer access storage", "later"],
  ["this Durable Object instance is no longer active", "later"],
  ["object has moved to a different machine", "later"],
  // Storage and network.
  ["caused object to be reset", "later"],
  ["Network connection lost", "later"],
  ["transient issue on remote node", "later"],
  ["internal error; reference =", "later"],
];

/** What kind of platform fault an error is; null if it is none, so it is a bug or a failure of the caller's own. */
export function classifyFault(error: unknown): Fault | null {
  const chain = causeChain(error);
  for (const link of chain) {
    const message = messageOf(link);
    const known = MESSAGES.find(([part]) => message.includes(part));
    if (known !== undefined) return { kind: known[1], message };
  }
  for (const link of chain) {
    const kind = kindByFlags(link);
    if (kind !== null) return { kind, message: messageOf(link) };
  }
  return null;
}

/** The properties that the platform sets on errors of calls to Durable Objects; `overloaded` wins over `retryable`. */
function kindByFlags(error: unknown): FaultKind | null {
  if (read(error, "overloaded") === true) return "never";
  return read(error, "retryable") === true || read(error, "durableObjectReset") === true ? "later" : null;
}
