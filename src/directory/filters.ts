/**
 * Which runs are looked for, and by which index: pure.
 *
 * Every index ends with `started_at, id`, so each gives the order of the list, and a page begins where the last one ended.
 * One filter is answered by the index; the others are held against each run that it gives.
 */
import type { Listed } from "./report.ts";

export interface Filter {
  readonly status?: string;
  readonly workflow?: string;
  readonly version?: string;
  readonly user?: string;
  readonly tag?: string;
  readonly parent?: string;
  readonly failureCode?: string;
  /** In the code or the message of the failure, whatever the case of letters. */
  readonly failureText?: string;
  /** From this moment on. */
  readonly startedFrom?: number;
  /** Before this moment. */
  readonly startedTo?: number;
  readonly endedFrom?: number;
  readonly endedTo?: number;
}

export type Access =
  | { readonly by: "parent" | "tag" | "failure" | "user" | "status" | "workflow"; readonly value: string }
  | { readonly by: "time" };

/**
 * The first of these that the filter names. The user is before all others: a page says up to which run was looked, and one
 * who may see only a user's runs must be told of no other. Then what fewest runs share comes first. Runs that succeeded are most of all, so
 * they have no index: the list itself is one.
 */
export function accessOf(filter: Filter): Access {
  const { parent, tag, failureCode, user, status, workflow } = filter;
  if (user !== undefined) return { by: "user", value: user };
  if (parent !== undefined) return { by: "parent", value: parent };
  if (tag !== undefined) return { by: "tag", value: tag };
  if (failureCode !== undefined) return { by: "failure", value: failureCode };
  if (status !== undefined && status !== "succeeded") return { by: "status", value: status };
  if (workflow !== undefined) return { by: "workflow", value: workflow };
  return { by: "time" };
}

/** A text is looked for among failed runs, unless another status is named. */
export function completed(filter: Filter): Filter {
  const { failureText, failureCode, status } = filter;
  return failureText === undefined || failureCode !== undefined || status !== undefined
    ? filter
    : { ...filter, status: "failed" };
}

export function fits(filter: Filter, run: Listed): boolean {
  const { failureText, endedFrom, endedTo, startedFrom, startedTo, tag } = filter;
  const same = [
    [filter.status, run.status],
    [filter.workflow, run.workflow],
    [filter.version, run.version],
    [filter.user, run.user],
    [filter.parent, run.parent],
    [filter.failureCode, run.failure?.code],
  ].every(([wanted, there]) => wanted === undefined || wanted === there);
  return (
    same &&
    (tag === undefined || run.tags.includes(tag)) &&
    within(run.started_at, startedFrom, startedTo) &&
    ((endedFrom === undefined && endedTo === undefined) ||
      (run.ended_at !== null && within(run.ended_at, endedFrom, endedTo))) &&
    (failureText === undefined || holds(run, failureText))
  );
}

function within(at: number, from = -Infinity, to = Infinity): boolean {
  return at >= from && at < to;
}

function holds({ failure }: Listed, text: string): boolean {
  if (failure === null) return false;
  return `${failure.code} ${failure.message}`.toLowerCase().includes(text.toLowerCase());
}
