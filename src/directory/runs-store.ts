/**
 * The runs of one directory object in its SQLite. All SQL about them stands here.
 *
 * S1 a report is applied in one transaction, and only if it tells more than what is known.
 * S2 what a report does not change is not written: an index that holds a column which is set is written, too.
 * S3 reading a page reads at most `scan` runs, however many there are.
 */
import { integer, integerOrNull, type Row, text, textOrNull } from "../platform/index.ts";
import type { Access } from "./filters.ts";
import { isLater, isNewer, type Place, type Report } from "./report.ts";
import { isCounted, tallyOf } from "./totals.ts";

/** Stands where the message of a failure stood. */
const ERASED_TEXT = "The data of the run were erased.";
/** Of a failure's message. */
const FAILURE_CHARS = 500;

/** Of what is counted for the operator: more is told as so many. */
const MAX_COUNTED = 10_000;

/** What a report told, and what was known of the run before. */
export interface Applied {
  readonly told: "nothing" | "renewed" | "changed";
  readonly known: Report | null;
}

/** Number of runs by status. */
export type Counts = Readonly<Record<string, number>>;

/** Where runs are read from, with their place in each index. `?1` is the value of the filter. */
const FROM: Readonly<Record<Access["by"], string>> = {
  parent: "runs AS r INDEXED BY runs_by_parent WHERE r.parent = ?1",
  tag: "tags AS t JOIN runs AS r ON r.started_at = t.started_at AND r.id = t.id WHERE t.tag = ?1",
  failure: "runs AS r INDEXED BY runs_by_failure WHERE r.failure_code = ?1",
  user: "runs AS r INDEXED BY runs_by_user WHERE r.user = ?1",
  status: "runs AS r INDEXED BY runs_by_status WHERE r.status = ?1 AND r.status <> 'succeeded'",
  workflow: "runs AS r INDEXED BY runs_by_workflow WHERE r.workflow = ?1",
  time: "runs AS r WHERE ?1 IS NULL",
};

export class RunsStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get(place: Place): Report | null {
    const { startedAt, id } = place;
    const [row] = this.#sql
      .exec("SELECT * FROM runs WHERE started_at = ? AND id = ?", startedAt, id)
      .toArray();
    return row === undefined ? null : toReport(row);
  }

  /**
   * What it told (S1): nothing new; what no list shows, as a longer lease; that the run stands otherwise. Must stand in a
   * transaction.
   */
  apply(report: Report): Applied {
    const known = this.get(report);
    if (known === null) this.#insert(report);
    else if (!isNewer(report, known) && !isLater(report, known)) return { told: "nothing", known };
    else this.#update(report, known);
    return { told: known === null || !sameStanding(report, known) ? "changed" : "renewed", known };
  }

  /** How many runs should have reported by now, at most MAX_COUNTED. */
  countOverdue(now: number): number {
    const some = "SELECT 1 FROM runs INDEXED BY runs_by_lease WHERE lease_at < ? LIMIT ?";
    return integer(this.#sql.exec(`SELECT count(*) AS n FROM (${some})`, now, MAX_COUNTED).one(), "n");
  }

  /** Runs with a message that nobody takes, at most MAX_COUNTED, and since when the first of them waits. */
  untold(): { readonly runs: number; readonly since: number | null } {
    const some =
      "SELECT untold_since FROM runs INDEXED BY runs_by_untold WHERE untold_since IS NOT NULL ORDER BY untold_since LIMIT ?";
    const query = `SELECT count(*) AS n, min(untold_since) AS since FROM (${some})`;
    const row = this.#sql.exec(query, MAX_COUNTED).one();
    return { runs: integer(row, "n"), since: integerOrNull(row, "since") };
  }

  #insert(report: Report): void {
    const { startedAt, id, tags } = report;
    this.#sql.exec(
      `INSERT INTO runs (started_at, id, version, workflow, workflow_version, user, started_by, tags, parent, status,
         paused, generation, ended_at, failure_code, failure_text, lease_at, kept_until, parked, untold_since, said_at,
         tally)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      startedAt,
      id,
      report.version,
      report.workflow,
      report.workflowVersion,
      report.user,
      report.startedBy,
      JSON.stringify(tags),
      report.parent,
      ...standing(report),
      JSON.stringify(tallyOf(report, null)),
    );
    for (const tag of new Set(tags))
      this.#sql.exec("INSERT INTO tags (tag, started_at, id) VALUES (?, ?, ?)", tag, startedAt, id);
  }

  /** What a run is never changes; how it stands does (S2). */
  #update(report: Report, known: Report): void {
    const { startedAt, id, version, leaseAt } = report;
    if (sameStanding(report, known) && report.endedAt === known.endedAt) {
      const renew = "UPDATE runs SET version = ?, lease_at = ? WHERE started_at = ? AND id = ?";
      this.#sql.exec(renew, version, leaseAt, startedAt, id);
      return;
    }
    this.#sql.exec(
      `UPDATE runs SET version = ?, status = ?, paused = ?, generation = ?, ended_at = ?, failure_code = ?,
         failure_text = ?, lease_at = ?, kept_until = ?, parked = ?, untold_since = ?, said_at = ?, tally = ?
       WHERE started_at = ? AND id = ?`,
      version,
      ...standing(report),
      JSON.stringify(tallyOf(report, known)),
      startedAt,
      id,
    );
  }

  /** Runs after a place, in the order of the list, at most `scan` of them (S3). Read as far as they are taken. */
  *after(access: Access, after: Place, from: number, scan: number): Generator<Report> {
    const in_ = access.by === "tag" ? "t" : "r";
    const rows = this.#sql.exec(
      `SELECT r.* FROM ${FROM[access.by]} AND (${in_}.started_at, ${in_}.id) < (?2, ?3) AND ${in_}.started_at >= ?4
       ORDER BY ${in_}.started_at DESC, ${in_}.id DESC LIMIT ?5`,
      access.by === "time" ? null : access.value,
      after.startedAt,
      after.id,
      from,
      scan,
    );
    for (const row of rows) yield toReport(row);
  }

  /** Runs that should have reported by now, the longest overdue first. */
  overdue(now: number, limit: number): Place[] {
    return this.#sql
      .exec(
        "SELECT started_at, id FROM runs INDEXED BY runs_by_lease WHERE lease_at < ? ORDER BY lease_at LIMIT ?",
        now,
        limit,
      )
      .toArray()
      .map(toPlace);
  }

  /** What of a run is counted, by this shard or another. */
  keepTally({ startedAt, id }: Place, tally: Report["tally"]): void {
    const keep = "UPDATE runs SET tally = ? WHERE started_at = ? AND id = ?";
    this.#sql.exec(keep, JSON.stringify(tally), startedAt, id);
  }

  /** Asks again about a run, but not before this. */
  postpone({ startedAt, id }: Place, until: number): void {
    this.#sql.exec("UPDATE runs SET lease_at = ? WHERE started_at = ? AND id = ?", until, startedAt, id);
  }

  /** Nothing tells any more whose the run was. False: it is not here. */
  erase(place: Place): boolean {
    const known = this.get(place);
    if (known === null) return false;
    const { startedAt, id, tags } = known;
    for (const tag of new Set(tags))
      this.#sql.exec("DELETE FROM tags WHERE tag = ? AND started_at = ? AND id = ?", tag, startedAt, id);
    this.#sql.exec(
      `UPDATE runs SET user = NULL, tags = '[]', failure_text = iif(failure_code IS NULL, NULL, ?)
       WHERE started_at = ? AND id = ?`,
      ...[ERASED_TEXT, startedAt, id],
    );
    return true;
  }

  remove(place: Place): void {
    const known = this.get(place);
    if (known === null) return;
    const { startedAt, id, tags } = known;
    for (const tag of new Set(tags))
      this.#sql.exec("DELETE FROM tags WHERE tag = ? AND started_at = ? AND id = ?", tag, startedAt, id);
    this.#sql.exec("DELETE FROM runs WHERE started_at = ? AND id = ?", startedAt, id);
  }

  /** How many runs that started in a span stand how; and how many rows were read for it. */
  countStarted(from: number, to: number, user: string | null): { counts: Counts; read: number } {
    const whose = user === null ? "WHERE ?1 IS NULL" : "INDEXED BY runs_by_user WHERE user = ?1";
    const cursor = this.#sql.exec(
      `SELECT status, count(*) AS n FROM runs ${whose} AND started_at >= ?2 AND started_at < ?3 GROUP BY status`,
      user,
      from,
      to,
    );
    const counts = Object.fromEntries([...cursor].map((row) => [text(row, "status"), integer(row, "n")]));
    return { counts, read: cursor.rowsRead };
  }

  /** How many have not ended: as many entries of the index are read. */
  countLive(): number {
    const query = "SELECT count(*) AS n FROM runs INDEXED BY runs_by_lease WHERE lease_at IS NOT NULL";
    return integer(this.#sql.exec(query).one(), "n");
  }

  /** The oldest runs after a place, oldest first. */
  oldest(after: Place, before: number, limit: number): Report[] {
    return this.#sql
      .exec(
        `SELECT * FROM runs WHERE (started_at, id) > (?, ?) AND started_at < ? ORDER BY started_at, id LIMIT ?`,
        after.startedAt,
        after.id,
        before,
        limit,
      )
      .toArray()
      .map(toReport);
  }
}

/** The columns from `status` on, without the version. */
function standing(report: Report): (string | number | null)[] {
  const { status, paused, generation, endedAt, failure, leaseAt, keptUntil } = report;
  const { parked, untoldSince, saidAt } = report;
  return [
    status,
    paused ? 1 : 0,
    generation,
    endedAt,
    failure?.code ?? null,
    failure?.message.slice(0, FAILURE_CHARS) ?? null,
    leaseAt,
    keptUntil ?? null,
    parked === undefined ? null : parked.join(),
    untoldSince ?? null,
    saidAt ?? null,
  ];
}

/** What was never counted is otherwise than it was told, so that it is. */
function sameStanding(report: Report, known: Report): boolean {
  return (
    report.status === known.status &&
    report.paused === known.paused &&
    report.generation === known.generation &&
    (report.parked ?? []).join() === (known.parked ?? []).join() &&
    report.untoldSince === known.untoldSince &&
    (isCounted(known) || !isCounted(report))
  );
}

function toPlace(row: Row): Place {
  return { startedAt: integer(row, "started_at"), id: text(row, "id") };
}

function toReport(row: Row): Report {
  const code = textOrNull(row, "failure_code");
  const keptUntil = integerOrNull(row, "kept_until");
  return {
    tenant: "",
    id: text(row, "id"),
    version: integer(row, "version"),
    workflow: text(row, "workflow"),
    workflowVersion: text(row, "workflow_version"),
    user: textOrNull(row, "user"),
    startedBy: text(row, "started_by"),
    tags: JSON.parse(text(row, "tags")) as string[],
    parent: textOrNull(row, "parent"),
    status: text(row, "status"),
    paused: integer(row, "paused") === 1,
    generation: integer(row, "generation"),
    startedAt: integer(row, "started_at"),
    endedAt: integerOrNull(row, "ended_at"),
    failure: code === null ? null : { code, message: textOrNull(row, "failure_text") ?? "" },
    leaseAt: integerOrNull(row, "lease_at"),
    ...(keptUntil === null ? {} : { keptUntil }),
    ...countsOf(row),
  };
}

function countsOf(row: Row): Pick<Report, "tally" | "parked" | "untoldSince" | "saidAt"> {
  const tally = textOrNull(row, "tally");
  const parked = textOrNull(row, "parked");
  const untoldSince = integerOrNull(row, "untold_since");
  const saidAt = integerOrNull(row, "said_at");
  return {
    ...(tally === null ? {} : { tally: JSON.parse(tally) as Record<string, number> }),
    ...(parked === null ? {} : { parked: parked.split(",") }),
    ...(untoldSince === null ? {} : { untoldSince }),
    ...(saidAt === null ? {} : { saidAt }),
  };
}
