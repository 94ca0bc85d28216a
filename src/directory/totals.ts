/**
 * Numbers over all runs of one directory object, by workflow: what they have done in all, and how many stand how now.
 *
 * Owns: sums, and where they are kept. Does not own: what a run has done, which it tells itself, from its start (`Report.tally`).
 *
 * N1 a run counts once, whatever the order and number of its reports: what is added is what it has done beyond what its row
 *    in `runs` says was added, in the transaction that writes the row.
 * N2 what was done never falls: not when a run leaves the list, nor when it moves to another shard.
 * N3 it costs no row: a change of a run writes a row of the ring `changes` anyway, and that carries the sum of its workflow. A sum
 *    goes to `totals` before its row of the ring is written over, and when there is no such row: the newer of the two counts.
 * N4 a bounded number of workflows is told apart.
 */
import { integer, text } from "../platform/index.ts";
import type { Report } from "./report.ts";

/** Workflows of one object that are told apart; more are counted together as OTHER. */
const MAX_WORKFLOWS = 100;
/** No name of a workflow looks like this. */
export const OTHER = "_other";
/** PERSISTED CONTRACT. What belongs to no run. */
const EVENTS = "";
/** Kinds of events that are told apart. */
const MAX_EVENTS = 64;

export type Numbers = Readonly<Record<string, number>>;

/** PERSISTED CONTRACT (as JSON). */
export interface Total {
  /** What was done: `started`, and the keys of `Report.tally`. */
  readonly done: Numbers;
  /** How many stand so now: statuses of runs that go on, `paused`, `parked:approval`, `parked:connection`. */
  readonly now: Numbers;
  /** What was counted twice while runs moved between shards: it is not added again until it is made up for (N2). */
  readonly owed?: Numbers;
}

export interface Delta {
  readonly done: Numbers;
  readonly now: Numbers;
}

const NOTHING: Total = { done: {}, now: {} };
/** In the tally of a row that another shard has counted. No key of what a run has done. */
const MOVED = "moved";

interface Kept {
  readonly total: Total;
  /** Number of the change whose row of the ring holds it; null: it stands in `totals`. */
  readonly at: number | null;
}

/** What of a report was not counted yet. @param known what is known of the run; null: nothing */
export function deltaOf(report: Report, known: Report | null): Delta {
  const before = known !== null && isCounted(known) ? known : null;
  const done = minus(tallyOf(report, before), before?.tally ?? {});
  return {
    done: before === null ? { ...done, started: 1 } : done,
    now: minusAll(standingOf(report), before === null ? {} : standingOf(before)),
  };
}

/** What the row says of a run that is counted so far. What a run has done never falls. */
export function tallyOf(report: Report, known: Report | null): Numbers {
  const before = known !== null && isCounted(known) ? (known.tally ?? {}) : {};
  const said = report.tally ?? endOf(report, known);
  const merged: Record<string, number> = { ...before };
  for (const [key, n] of Object.entries(said)) merged[key] = Math.max(merged[key] ?? 0, n);
  return merged;
}

/** Whether the row of a run was counted: rows of a build that did not count are not, until they change. */
export function isCounted(known: Report): boolean {
  return known.saidAt !== undefined;
}

/** Of a run that cannot tell what it has done: that it ended, at least. */
function endOf(report: Report, known: Report | null): Numbers {
  if (report.endedAt === null || (known?.endedAt ?? null) !== null) return {};
  return { [report.status]: (known?.tally?.[report.status] ?? 0) + 1 };
}

function standingOf(report: Report): Numbers {
  if (report.endedAt !== null) return {};
  return {
    [report.status]: 1,
    ...(report.paused ? { paused: 1 } : {}),
    ...Object.fromEntries((report.parked ?? []).map((what) => [`parked:${what}`, 1])),
  };
}

export class Totals {
  readonly #sql: SqlStorage;
  /** Null until it was read. */
  #kept: Map<string, Kept> | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** By workflow. */
  all(): ReadonlyMap<string, Total> {
    return new Map(
      [...this.#all()].filter(([label]) => label !== EVENTS).map(([label, { total }]) => [label, total]),
    );
  }

  /** How often what belongs to no run has happened. */
  events(): Numbers {
    return this.#all().get(EVENTS)?.total.done ?? {};
  }

  /** Adds what a run has done. What is to be kept of it, and under which name: the caller writes it in this transaction. */
  add(workflow: string, delta: Delta): { readonly label: string; readonly body: string } {
    const label = this.#labelOf(workflow);
    const { total, at } = this.#all().get(label) ?? { total: NOTHING, at: null };
    const next = added(total, delta);
    this.#all().set(label, { total: next, at });
    return { label, body: JSON.stringify(next) };
  }

  /** A run comes from another shard, which has counted what it did. @param last number of the newest change */
  takeOver(report: Report, known: Report | null, applied: boolean, last: number): void {
    if (!isCounted(report)) return;
    const before = known !== null && isCounted(known) ? known : null;
    if (before?.tally?.[MOVED] === 1) return;
    const label = this.#labelOf(report.workflow);
    const { total } = this.#all().get(label) ?? { total: NOTHING };
    const now = applied ? minusAll(standingOf(report), before === null ? {} : standingOf(before)) : {};
    // Both shards have counted it: what both have is owed.
    const twice = before === null ? {} : { ...least(before.tally ?? {}, report.tally ?? {}), started: 1 };
    const next = added(total, { done: {}, now });
    this.#keep(label, { ...next, ...(before === null ? {} : { owed: plus(next.owed ?? {}, twice) }) }, last);
  }

  /** A run leaves the list. What it has done stays (N2). */
  leaves(run: Report, last: number): void {
    const now = minusAll({}, standingOf(run));
    if (!isCounted(run) || Object.keys(now).length === 0) return;
    const label = this.#labelOf(run.workflow);
    const { total } = this.#all().get(label) ?? { total: NOTHING };
    this.#keep(label, added(total, { done: {}, now }), last);
  }

  event(kind: string, last: number): void {
    const { total } = this.#all().get(EVENTS) ?? { total: NOTHING };
    const known = kind in total.done || Object.keys(total.done).length < MAX_EVENTS;
    this.#keep(EVENTS, added(total, { done: { [known ? kind : OTHER]: 1 }, now: {} }), last);
  }

  /** A row of the ring is about to be written over, and holds what was last of a workflow (N3). */
  overwrites(n: number, label: string): void {
    for (const [other, { total, at }] of this.#all())
      if (at === n && other !== label) this.#keep(other, total, n);
  }

  /** The change with this number holds the newest of a workflow. */
  standsAt(label: string, n: number): void {
    const kept = this.#all().get(label);
    if (kept !== undefined) this.#all().set(label, { ...kept, at: n });
  }

  /** To be called where a transaction was rolled back: memory may be ahead of it. */
  rolledBack(): void {
    this.#kept = null;
  }

  /** N4: who was told apart once is, for good, and so is who was not. */
  #labelOf(workflow: string): string {
    const all = this.#all();
    return all.has(workflow) || all.size < MAX_WORKFLOWS ? workflow : OTHER;
  }

  #keep(label: string, total: Total, n: number): void {
    this.#sql.exec(
      "INSERT INTO totals (label, n, body) VALUES (?1, ?2, ?3) ON CONFLICT (label) DO UPDATE SET n = ?2, body = ?3",
      label,
      n,
      JSON.stringify(total),
    );
    this.#all().set(label, { total, at: null });
  }

  #all(): Map<string, Kept> {
    if (this.#kept !== null) return this.#kept;
    const kept = new Map<string, Kept & { readonly n: number }>();
    for (const row of this.#sql.exec("SELECT label, n, body FROM totals").toArray())
      kept.set(text(row, "label"), { total: parsed(text(row, "body")), at: null, n: integer(row, "n") });
    // Columns beside a max() are of the row that has it.
    const ring = "SELECT label, max(n) AS n, totals FROM changes WHERE label IS NOT NULL GROUP BY label";
    for (const row of this.#sql.exec(ring).toArray()) {
      const n = integer(row, "n");
      if (n > (kept.get(text(row, "label"))?.n ?? -1))
        kept.set(text(row, "label"), { total: parsed(text(row, "totals")), at: n, n });
    }
    return (this.#kept = new Map([...kept].map(([label, { total, at }]) => [label, { total, at }])));
  }
}

/** The tally of a row that comes from another shard. */
export function moved(report: Report): Report {
  return isCounted(report) ? { ...report, tally: { ...report.tally, [MOVED]: 1 } } : report;
}

function parsed(body: string): Total {
  return JSON.parse(body) as Total;
}

function added(total: Total, delta: Delta): Total {
  const owed = least(total.owed ?? {}, delta.done);
  const left = nonZero(minusAll(total.owed ?? {}, owed));
  return {
    done: plus(total.done, minusAll(delta.done, owed)),
    now: nonZero(plus(total.now, delta.now)),
    ...(Object.keys(left).length === 0 ? {} : { owed: left }),
  };
}

function plus(a: Numbers, b: Numbers): Numbers {
  const sum: Record<string, number> = { ...a };
  for (const [key, n] of Object.entries(b)) if (n !== 0) sum[key] = (sum[key] ?? 0) + n;
  return sum;
}

function minusAll(a: Numbers, b: Numbers): Numbers {
  return nonZero(plus(a, Object.fromEntries(Object.entries(b).map(([key, n]) => [key, -n]))));
}

/** What `a` has more, key by key. */
function minus(a: Numbers, b: Numbers): Numbers {
  const more = Object.entries(a).map(([key, n]): [string, number] => [key, n - (b[key] ?? 0)]);
  return Object.fromEntries(more.filter(([key, n]) => n > 0 && key !== MOVED));
}

function least(a: Numbers, b: Numbers): Numbers {
  const both = Object.entries(a).map(([key, n]): [string, number] => [key, Math.min(n, b[key] ?? 0)]);
  return Object.fromEntries(both.filter(([key, n]) => n > 0 && key !== MOVED));
}

function nonZero(numbers: Numbers): Numbers {
  return Object.fromEntries(Object.entries(numbers).filter(([, n]) => n !== 0));
}
