/**
 * What is kept of the events of one name. Owns the names and shapes of its tables, which are a PERSISTED CONTRACT: they only gain
 * optional fields. All calls are synchronous: what is read together is of one moment.
 */
import type { Json } from "../../kernel/index.ts";
import {
  defineSchema,
  hasSchema,
  integer,
  integerOrNull,
  migrate,
  text,
  textOrNull,
  type SqlStore,
} from "../../platform/index.ts";
import {
  type Deed,
  KEPT_GRACE_MS,
  KEPT_MS,
  type Kept,
  type Load,
  MAX_SHAPES,
  MAX_UNDER_WAY,
  MAX_WAITING,
  USER_PART,
  newTask,
  type Plan,
  type Settled,
  type Task,
} from "./event-rules.ts";
import type { NewWaiting, Waiting } from "./events-port.ts";

/** Names of workflows whose filter did not want an event, that are kept. */
const MAX_FILTERED = 100;
/** Of one event, that are shown of each kind. */
const MAX_SHOWN = 100;
/** Rows that go in one write. */
const MAX_DROPPED = 500;

/**
 * - `events`: each once, in their order; `bytes_before`: of the data of all that came before, so that what is kept need not be
 *   counted; `plan_due`: when it is looked again which workflows it starts, NULL once that is known
 * - `tasks`: what follows from an event; `due` is NULL once it is settled
 * - `waiting`: steps that wait, by run
 */
export const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE events (
      n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, only_user TEXT, at INTEGER NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
      bytes_before INTEGER NOT NULL, body TEXT NOT NULL, plan_tries INTEGER NOT NULL, plan_due INTEGER, outcome TEXT NOT NULL, done_at INTEGER
    ) STRICT;
    CREATE INDEX events_under_way ON events (n) WHERE done_at IS NULL;
    CREATE INDEX events_of_user ON events (only_user, n) WHERE only_user IS NOT NULL;
    CREATE TABLE tasks (
      id INTEGER PRIMARY KEY, event INTEGER NOT NULL, target TEXT NOT NULL, deed TEXT NOT NULL, tries INTEGER NOT NULL, due INTEGER,
      tried_at INTEGER, lost_at INTEGER, settled TEXT, UNIQUE (event, target)
    ) STRICT;
    CREATE INDEX tasks_due ON tasks (due) WHERE due IS NOT NULL;
    CREATE TABLE waiting (
      run TEXT NOT NULL, step TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, user TEXT, fields TEXT NOT NULL,
      digest TEXT NOT NULL, PRIMARY KEY (run, step)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX waiting_for ON waiting (fields, digest);
    CREATE INDEX waiting_until ON waiting (until);
  `,
  },
]);

/** What was found out when it was planned. PERSISTED CONTRACT. */
type Outcome = Pick<Plan, "filtered" | "failed">;

export interface KeptEvent {
  readonly n: number;
  readonly event: Kept;
  readonly planTries: number;
  readonly planDue: number | null;
  readonly outcome: Outcome;
  readonly doneAt: number | null;
}

export interface KeptTask {
  readonly id: number;
  /** Number of its event. */
  readonly event: number;
  readonly task: Task;
}

export class EventsStore {
  readonly #storage: SqlStore;
  readonly #name: string;
  /** How many wait; null: not counted yet. */
  #waiting: number | null = null;

  constructor(storage: SqlStore, name: string) {
    this.#storage = storage;
    this.#name = name;
    if (this.isUsed) migrate(storage, SCHEMA);
  }

  /** False: nothing was ever kept here, and nothing is written by looking. */
  get isUsed(): boolean {
    return hasSchema(this.#storage, SCHEMA);
  }

  /** At least what is kept: what went out of its order counts until all before it has gone. */
  load(): Load {
    const [row] = this.#rows(
      `SELECT (SELECT count(*) FROM events WHERE done_at IS NULL) AS under_way, newest.n - oldest.n + 1 AS kept,
         newest.bytes_before + newest.bytes - oldest.bytes_before AS bytes
       FROM (SELECT n, bytes, bytes_before FROM events ORDER BY n DESC LIMIT 1) AS newest,
         (SELECT n, bytes_before FROM events ORDER BY n LIMIT 1) AS oldest`,
    );
    if (row === undefined) return { underWay: 0, kept: 0, bytes: 0 };
    return {
      underWay: integer(row, "under_way"),
      kept: integer(row, "kept"),
      bytes: integer(row, "bytes"),
    };
  }

  /** When the newest came; 0: none is kept. */
  newestAt(): number {
    const [row] = this.#rows("SELECT at FROM events ORDER BY n DESC LIMIT 1");
    return row === undefined ? 0 : integer(row, "at");
  }

  find(key: string): KeptEvent | null {
    const [row] = this.#rows("SELECT * FROM events WHERE key = ?", key);
    return row === undefined ? null : this.#event(row);
  }

  byNumber(n: number): KeptEvent | null {
    const [row] = this.#rows("SELECT * FROM events WHERE n = ?", n);
    return row === undefined ? null : this.#event(row);
  }

  /** The newest first. */
  recent(only: string | null, limit: number): KeptEvent[] {
    const rows =
      only === null
        ? this.#rows("SELECT * FROM events ORDER BY n DESC LIMIT ?", limit)
        : this.#rows("SELECT * FROM events WHERE only_user = ? ORDER BY n DESC LIMIT ?", only, limit);
    return rows.map((row) => this.#event(row));
  }

  /** The event, and what it means for the steps that wait, in one write. */
  add(event: Kept, bytes: number, deeds: readonly Deed[]): void {
    this.#storage.transactionSync(() => {
      migrate(this.#storage, SCHEMA);
      const { key, only, at, digest, name: _name, ...body } = event;
      const [row] = this.#rows(
        `INSERT INTO events (key, only_user, at, digest, bytes, bytes_before, body, plan_tries, plan_due, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5,
           coalesce((SELECT bytes_before + bytes FROM events ORDER BY n DESC LIMIT 1), 0), ?6, 0, ?3, ?7) RETURNING n`,
        ...[key, only, at, digest, bytes, JSON.stringify(body), JSON.stringify({ filtered: [], failed: [] })],
      );
      if (row === undefined) throw new TypeError("an event was not kept");
      this.#addTasks(integer(row, "n"), deeds, at);
    });
  }

  /** What it starts is known from now on. */
  planned({ n }: KeptEvent, { deeds, filtered, failed }: Plan, now: number): void {
    this.#storage.transactionSync(() => {
      this.#addTasks(n, deeds, now);
      const outcome: Outcome = {
        filtered: filtered.slice(0, MAX_FILTERED),
        failed: failed.slice(0, MAX_SHOWN),
      };
      this.#exec(
        "UPDATE events SET plan_due = NULL, plan_tries = plan_tries + 1, outcome = ? WHERE n = ?",
        ...[JSON.stringify(outcome), n],
      );
      this.#finish(n, now);
    });
  }

  planAgain({ n }: KeptEvent, due: number): void {
    this.#exec("UPDATE events SET plan_due = ?, plan_tries = plan_tries + 1 WHERE n = ?", due, n);
  }

  /** More that follows from an event. */
  addTasks(n: number, deeds: readonly Deed[], now: number): void {
    this.#storage.transactionSync(() => {
      this.#addTasks(n, deeds, now);
      // It may have been over.
      this.#exec(
        `UPDATE events SET done_at = NULL WHERE n = ?1 AND done_at IS NOT NULL
           AND EXISTS (SELECT 1 FROM tasks WHERE event = ?1 AND due IS NOT NULL)`,
        n,
      );
    });
  }

  duePlans(now: number, limit: number): KeptEvent[] {
    return this.#rows(
      "SELECT * FROM events WHERE done_at IS NULL AND plan_due <= ? ORDER BY n LIMIT ?",
      now,
      limit,
    ).map((row) => this.#event(row));
  }

  dueTasks(now: number, limit: number): KeptTask[] {
    return this.#rows("SELECT * FROM tasks WHERE due <= ? ORDER BY due, id LIMIT ?", now, limit).map(taskOf);
  }

  task(id: number): KeptTask | null {
    const [row] = this.#rows("SELECT * FROM tasks WHERE id = ?", id);
    return row === undefined ? null : taskOf(row);
  }

  tasksOf(n: number): readonly Task[] {
    return this.#rows("SELECT * FROM tasks WHERE event = ? ORDER BY id LIMIT ?", n, 3 * MAX_SHOWN).map(
      (row) => taskOf(row).task,
    );
  }

  write({ id, event }: KeptTask, { tries, due, triedAt, lostAt, settled }: Task, now: number): void {
    this.#storage.transactionSync(() => {
      this.#exec(
        "UPDATE tasks SET tries = ?, due = ?, tried_at = ?, lost_at = ?, settled = ? WHERE id = ?",
        ...[tries, due, triedAt, lostAt, settled === null ? null : JSON.stringify(settled), id],
      );
      if (settled !== null) this.#finish(event, now);
    });
  }

  /** What the different waits compare. */
  shapes(): readonly (readonly string[])[] {
    // From one to the next by the index: there are many waits, and few shapes.
    return this.#rows(
      `WITH RECURSIVE shape (fields) AS (
         SELECT min(fields) FROM waiting
         UNION ALL SELECT (SELECT min(fields) FROM waiting WHERE fields > shape.fields) FROM shape WHERE shape.fields IS NOT NULL)
       SELECT fields FROM shape WHERE fields IS NOT NULL LIMIT ?`,
      MAX_SHAPES,
    ).map((row) => JSON.parse(text(row, "fields")) as readonly string[]);
  }

  waitingFor(fields: readonly string[], digest: string, now: number): NewWaiting[] {
    return this.#rows(
      "SELECT * FROM waiting WHERE fields = ? AND digest = ? AND until > ?",
      ...[JSON.stringify(fields), digest, now],
    ).map(waitingOf);
  }

  /** False: no more can wait. */
  listen(waiting: NewWaiting): boolean {
    const { run, step, since, until, user, digest } = waiting;
    const fields = JSON.stringify(waiting.fields);
    const known = this.#waits(run, step);
    if (!known && !this.#hasRoom(fields, user)) return false;
    this.#storage.transactionSync(() => {
      migrate(this.#storage, SCHEMA);
      this.#exec(
        `INSERT INTO waiting (run, step, since, until, user, fields, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (run, step) DO UPDATE SET since = ?3, until = ?4, user = ?5, fields = ?6, digest = ?7
         WHERE since < ?3`,
        ...[run, step, since, until, user, fields, digest],
      );
    });
    if (!known) this.#count(1);
    return true;
  }

  forget({ run, step, since }: Waiting): void {
    const gone = this.#rows(
      "DELETE FROM waiting WHERE run = ? AND step = ? AND since <= ? RETURNING 1 AS one",
      ...[run, step, since],
    );
    this.#count(-gone.length);
  }

  /** Their events, all that follows from these, and their waits. */
  eraseUser(user: string): void {
    if (!this.isUsed) return;
    this.#storage.transactionSync(() => {
      const gone = this.#rows(
        "DELETE FROM events WHERE only_user = ?1 OR json_extract(body, '$.user') = ?1 RETURNING n",
        user,
      );
      for (const row of gone) this.#exec("DELETE FROM tasks WHERE event = ?", integer(row, "n"));
      this.#exec("DELETE FROM waiting WHERE user = ?", user);
    });
    this.#waiting = null;
  }

  /** The event that started it, if it was for nobody else; its waits, and what was told to it. */
  eraseRun(run: string): void {
    if (!this.isUsed) return;
    this.#storage.transactionSync(() => {
      this.#exec("DELETE FROM waiting WHERE run = ?", run);
      this.#exec("DELETE FROM tasks WHERE due IS NULL AND json_extract(deed, '$.run') = ?", run);
      const started = this.#rows("SELECT event FROM tasks WHERE json_extract(settled, '$.run') = ?", run);
      for (const row of started) {
        const n = integer(row, "event");
        const others = this.#rows("SELECT 1 AS one FROM tasks WHERE event = ? AND due IS NOT NULL", n);
        // What is still under way needs it; the object drops it within a day.
        if (others.length > 0) continue;
        this.#exec("DELETE FROM events WHERE n = ? AND done_at IS NOT NULL", n);
        this.#exec(
          "DELETE FROM tasks WHERE event = ? AND NOT EXISTS (SELECT 1 FROM events WHERE n = ?)",
          n,
          n,
        );
      }
    });
    this.#waiting = null;
  }

  /** Before a number, the newest first. */
  before(n: number, limit: number): KeptEvent[] {
    return this.#rows("SELECT * FROM events WHERE n < ? ORDER BY n DESC LIMIT ?", n, limit).map((row) =>
      this.#event(row),
    );
  }

  /** When something is due next; null: nothing ever is by itself. */
  nextDue(): number | null {
    const [row] = this.#rows(
      `SELECT min(due) AS due FROM (
         SELECT min(due) AS due FROM tasks WHERE due IS NOT NULL
         UNION ALL SELECT min(plan_due) FROM events WHERE done_at IS NULL
         UNION ALL SELECT at + ${KEPT_MS + KEPT_GRACE_MS} FROM events WHERE n = (SELECT min(n) FROM events WHERE done_at IS NOT NULL)
         UNION ALL SELECT min(until) + ${KEPT_GRACE_MS} FROM waiting)`,
    );
    return row === undefined || row["due"] === null ? null : integer(row, "due");
  }

  /** What is kept long enough goes, and waits that are over. Answers whether there may be more. */
  drop(now: number): boolean {
    const [oldest] = this.#rows(
      "SELECT (SELECT at FROM events ORDER BY n LIMIT 1) AS at, (SELECT min(until) FROM waiting) AS until",
    );
    if (oldest === undefined) return false;
    const [at, until] = [integerOrNull(oldest, "at"), integerOrNull(oldest, "until")];
    if ((at === null || at > now - KEPT_MS) && (until === null || until > now)) return false;
    return this.#storage.transactionSync(() => {
      // They stand in the order of their times; what is still under way may stand before what can go.
      const gone = this.#rows(
        `DELETE FROM events WHERE n IN (
           SELECT n FROM (SELECT n, at, done_at FROM events ORDER BY n LIMIT ${MAX_UNDER_WAY + MAX_DROPPED})
           WHERE done_at IS NOT NULL AND at <= ? LIMIT ${MAX_DROPPED}) RETURNING n`,
        now - KEPT_MS,
      );
      for (const row of gone) this.#exec("DELETE FROM tasks WHERE event = ?", integer(row, "n"));
      const over = this.#rows(
        `DELETE FROM waiting WHERE (run, step) IN (SELECT run, step FROM waiting WHERE until <= ? LIMIT ${MAX_DROPPED}) RETURNING 1 AS one`,
        now,
      );
      this.#count(-over.length);
      return gone.length >= MAX_DROPPED || over.length >= MAX_DROPPED;
    });
  }

  #waits(run: string, step: string): boolean {
    return this.#rows("SELECT 1 AS one FROM waiting WHERE run = ? AND step = ?", run, step).length > 0;
  }

  #hasRoom(fields: string, user: string | null): boolean {
    this.#waiting ??= this.#counted();
    if (this.#waiting >= MAX_WAITING) return false;
    const shapes = this.shapes();
    const isKnown = shapes.some((one) => JSON.stringify(one) === fields);
    if (!isKnown && shapes.length >= MAX_SHAPES) return false;
    const isRoomy = this.#waiting < MAX_WAITING / 2 && (isKnown || shapes.length < MAX_SHAPES / 2);
    return isRoomy || user === null || this.#hasShare(isKnown, user);
  }

  #hasShare(isKnown: boolean, user: string): boolean {
    const [row] = this.#rows(
      "SELECT count(*) AS waiting, count(DISTINCT fields) AS shapes FROM waiting WHERE user = ?",
      user,
    );
    if (row === undefined) return true;
    return (
      integer(row, "waiting") < MAX_WAITING * USER_PART &&
      (isKnown || integer(row, "shapes") < MAX_SHAPES * USER_PART)
    );
  }

  #count(more: number): void {
    if (this.#waiting !== null) this.#waiting += more;
  }

  #counted(): number {
    const [row] = this.#rows("SELECT count(*) AS waiting FROM waiting");
    return row === undefined ? 0 : integer(row, "waiting");
  }

  #addTasks(n: number, deeds: readonly Deed[], now: number): void {
    for (const deed of deeds) {
      const { tries, due } = newTask(deed, now);
      this.#exec(
        `INSERT INTO tasks (event, target, deed, tries, due) VALUES (?, ?, ?, ?, ?) ON CONFLICT (event, target) DO NOTHING`,
        ...[n, targetOf(deed), JSON.stringify(deed), tries, due],
      );
    }
  }

  /** It is done once it is planned and nothing of it is due any more. */
  #finish(n: number, now: number): void {
    this.#exec(
      `UPDATE events SET done_at = ?2 WHERE n = ?1 AND done_at IS NULL AND plan_due IS NULL
         AND NOT EXISTS (SELECT 1 FROM tasks WHERE event = ?1 AND due IS NOT NULL)`,
      ...[n, now],
    );
  }

  #event(row: Record<string, SqlStorageValue>): KeptEvent {
    const only = textOrNull(row, "only_user");
    const body = JSON.parse(text(row, "body")) as Omit<Kept, "key" | "at" | "digest" | "name" | "only">;
    return {
      n: integer(row, "n"),
      event: {
        ...{ ...body, only, name: this.#name, key: text(row, "key") },
        ...{ at: integer(row, "at"), digest: text(row, "digest") },
      },
      planTries: integer(row, "plan_tries"),
      planDue: integerOrNull(row, "plan_due"),
      outcome: JSON.parse(text(row, "outcome")) as Outcome,
      doneAt: integerOrNull(row, "done_at"),
    };
  }

  #rows(sql: string, ...bindings: SqlStorageValue[]): Record<string, SqlStorageValue>[] {
    return this.isUsed ? this.#storage.sql.exec(sql, ...bindings).toArray() : [];
  }

  #exec(sql: string, ...bindings: SqlStorageValue[]): void {
    if (this.isUsed) this.#storage.sql.exec(sql, ...bindings);
  }
}

/** One event means one thing of each of these. */
function targetOf(deed: Deed): string {
  return deed.t === "start" ? deed.workflow : `${deed.run} ${deed.step} ${deed.since}`;
}

function taskOf(row: Record<string, SqlStorageValue>): KeptTask {
  return {
    id: integer(row, "id"),
    event: integer(row, "event"),
    task: {
      deed: JSON.parse(text(row, "deed")) as Deed,
      tries: integer(row, "tries"),
      due: integerOrNull(row, "due"),
      triedAt: integerOrNull(row, "tried_at"),
      lostAt: integerOrNull(row, "lost_at"),
      settled: row["settled"] === null ? null : (JSON.parse(text(row, "settled")) as Settled),
    },
  };
}

function waitingOf(row: Record<string, SqlStorageValue>): NewWaiting {
  return {
    run: text(row, "run"),
    step: text(row, "step"),
    since: integer(row, "since"),
    until: integer(row, "until"),
    user: textOrNull(row, "user"),
    fields: JSON.parse(text(row, "fields")) as readonly string[],
    digest: text(row, "digest"),
  };
}

export function bytesOf(data: Json): number {
  return new TextEncoder().encode(JSON.stringify(data)).length;
}
