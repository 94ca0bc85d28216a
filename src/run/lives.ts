/**
 * The lives of a run object: how one begins, what it does when the alarm fires, how it ends, and what is left when none
 * can begin any more.
 *
 * Owns: the object's storage, its one alarm, its retention, tombstone and sealing.
 * Does not own: what is asked of a run (`object.ts`), when a life is tried again (`failing.ts`), what happens in one.
 *
 * R1 an object without a run writes nothing and arms nothing.
 * R2 every call carries the caller's tenant; a mismatch is answered as if nothing were here.
 * R3 `alarm()` never throws for an application's error: the platform drops an alarm after six throws.
 * R4 a run that cannot be folded, or whose turns keep failing, is tried again, less and less often, and callers are told
 *    so. After days it is sealed: it ends, and says why.
 * R6 a run is kept for as long as its tenant's retention says, which is read at its end and again when it is due: one that was made
 *    longer meanwhile holds, and nothing is deleted while it cannot be known. Of one that was made shorter the sweeper tells (`poke`).
 * R5 what was sealed stays so: its callers have been told that it is over, and may have started another.
 */

import { UnreadableJournal, type Outcome, type Row, type RunDriver } from "../driver/index.ts";
import type { RunState } from "../kernel/index.ts";
import { classifyFault, crashPoint, dropSchema, migrate, SchemaError, Watchers } from "../platform/index.ts";
import { UnreadableText } from "./cipher.ts";
import { eraseRun, type EraseRun, type EraseRunAnswer } from "./erasing.ts";
import { forgetFollowed } from "./follower.ts";
import { isBeyondHope, isResting, retryAt, withFailure, withoutFailures } from "./failing.ts";
import { createJournalStore, type JournalStore } from "./journal-store.ts";
import { createLife, SHORTEST_RETENTION_MS, type Life } from "./life.ts";
import { readMeta, writeMeta, type Meta } from "./meta.ts";
import type { RunWiring } from "./ports.ts";
import { reportOfSealed, withKept } from "./reports.ts";
import type { Answer, RunReport, RunView, Viewer } from "./rpc.ts";
import { RunKey, type MadeKey } from "./run-key.ts";
import { migrateAll, RUN_SCHEMA } from "./schema.ts";
import { sealedView } from "./sealed.ts";

const DAY_MS = 24 * 60 * 60_000;
/** A deleted run's id stays taken, so that a late retry of its start does not run it again. */
const TOMBSTONE_MS = 90 * DAY_MS;
/** How long after a retention could not be known it is asked for again. */
const ASK_AGAIN_MS = 60 * 60_000;
/** The platform tries a failing alarm six times, then it is gone (Durable Objects: Alarms API). */
const LAST_ALARM_RETRY = 5;

export type Refused = Extract<Answer<never>, { ok: false }>;
export const NOT_FOUND: Refused = { ok: false, code: "not_found", message: "There is no such run." };
export const DELETED: Refused = {
  ok: false,
  code: "run_deleted",
  message: "The run was deleted after its retention.",
};
export const RUN_ERASED: Refused = {
  ok: false,
  code: "run_erased",
  message: "The data of the run were erased: only how it went is left.",
};
const UNAVAILABLE: Refused = {
  ok: false,
  code: "unavailable",
  message: "The run cannot go on just now. It is tried again by itself; nothing of it is lost.",
};
const UNREADABLE: Refused = {
  ok: false,
  code: "unavailable",
  message: "What the run has stored does not open: it was changed. The operator's log says what.",
};
const SEALED: Refused = {
  ok: false,
  code: "run_ended",
  message: "The run was ended because it could not go on.",
};

interface SealedRun {
  readonly view: RunView;
  readonly journal: JournalStore;
}

export class Lives {
  readonly #ctx: DurableObjectState;
  readonly #wiring: RunWiring;
  /** Who waits for the run to move. */
  readonly watchers = new Watchers();
  #meta: Meta | null;
  /** That of its texts, if it is confidential. */
  readonly key: RunKey;
  #life: Promise<Life | null | "failing"> | null = null;
  #dying = false;
  /** How long the run is kept after its end, as far as this life knows (R6). */
  #keptMs: number;

  constructor(ctx: DurableObjectState, wiring: RunWiring) {
    this.#ctx = ctx;
    this.#keptMs = wiring.retention.defaultMs;
    this.#meta = readMeta(ctx.storage);
    // Every line of the run says whose it is: what was never started is known by its name.
    const [, tenant, run] = (ctx.id.name ?? "").split(":");
    const who = this.#meta === null ? { tenant, run } : { tenant: this.#meta.tenant, run: this.#meta.id };
    this.#wiring = { ...wiring, log: wiring.log.with(who) };
    this.key = new RunKey(this.#wiring, {
      meta: () => this.#meta,
      keepMeta: (meta) => {
        this.#keepMeta(meta);
      },
      background: (work) => {
        ctx.waitUntil(work);
      },
    });
  }

  /** What the object keeps beside its journal; null: there is no run here. */
  get meta(): Meta | null {
    return this.#meta;
  }

  /**
   * The first life of a run. A start that is refused leaves no trace (R1).
   * @param key of a confidential run (Y1)
   * @param start the first command to its driver
   */
  async begin(
    who: Pick<Meta, "tenant" | "id" | "bodyDigest">,
    key: MadeKey | null,
    start: (driver: RunDriver) => Outcome,
  ): Promise<{ readonly ok: true; readonly life: Life } | Extract<Outcome, { ok: false }>> {
    migrate(this.#ctx.storage, RUN_SCHEMA);
    if (key === null) this.#keepMeta(who);
    else this.key.use(who, key, 1);
    const life = this.#newLife(null);
    const outcome = start(life.driver);
    if (!outcome.ok) {
      this.#meta = null;
      await this.#ctx.storage.deleteAll();
      if (key !== null) this.key.drop(who);
      return outcome;
    }
    this.#life = Promise.resolve(life);
    if (CRASH_POINTS) crashPoint("crash-point:start-written");
    return { ok: true, life };
  }

  /**
   * Answers a caller who may see the run (R2); a user's key sees only runs of its user.
   * @param sealed what is answered of a sealed run; missing: that it has ended
   */
  async visit<T>(
    viewer: Viewer,
    answer: (life: Life, state: RunState) => Answer<T> | Promise<Answer<T>>,
    sealed?: (run: SealedRun) => T,
  ): Promise<Answer<T>> {
    if (this.#meta === null || this.#meta.tenant !== viewer.tenant) return NOT_FOUND;
    if (this.#meta.deletedUntil !== undefined) return DELETED;
    const life = await this.current();
    if (life === "failing") return UNAVAILABLE;
    if (life === null) {
      if (this.#meta.sealed === undefined) return NOT_FOUND;
      const run = this.#sealedRun(this.#meta);
      if (viewer.onlyUser !== undefined && viewer.onlyUser !== run.view.user) return NOT_FOUND;
      return sealed === undefined ? SEALED : { ok: true, value: sealed(run) };
    }
    const { state } = life.driver;
    if (state === null) return NOT_FOUND;
    if (viewer.onlyUser !== undefined && state.run.user !== viewer.onlyUser) return NOT_FOUND;
    try {
      return await answer(life, state);
    } catch (error) {
      if (!(error instanceof UnreadableText)) throw error;
      this.#wiring.log.error("run_text_unreadable", { run: state.run.id, error });
      return UNREADABLE;
    }
  }

  /** The life of this object; null where there is no run that can go on, "failing" where there is one, but not just now. */
  current(): Promise<Life | null | "failing"> {
    this.#life ??= this.#load().then((life) => {
      if (life === "failing") this.#life = null;
      return life;
    });
    return this.#life;
  }

  async poke(tenant: string): Promise<RunReport | null> {
    if (this.#meta?.tenant !== tenant) return null;
    const alive = await this.current();
    if (await this.#isDue(alive, this.#meta, Date.now())) {
      await this.#expire(this.#meta, Date.now());
      return null;
    }
    const life = aliveOf(alive);
    life?.driver.wake();
    life?.queueing.again();
    const report = this.report(life);
    // The directory asks, so the answer is as good as a report that it took.
    if (report !== null) life?.reports.taken(report);
    life?.driver.arm();
    if (life !== null) this.#deliver(life);
    return report;
  }

  async relist(): Promise<boolean> {
    const life = await this.current();
    // It tells how it stands as soon as it can go on.
    if (life === "failing") return true;
    const report = this.report(life);
    if (report === null) return false;
    await this.#wiring.directory?.report(report);
    return true;
  }

  /** What is left of the run is how it went (`erasing.ts`). */
  async erase(tenant: string, how: EraseRun): Promise<EraseRunAnswer> {
    return eraseRun(
      {
        storage: this.#ctx.storage,
        current: async () => this.current(),
        meta: () => this.#meta,
        putMeta: (meta) => {
          writeMeta(this.#ctx.storage, meta);
        },
        renew: (meta, before) => {
          this.#meta = meta;
          if (before.key !== undefined) this.key.drop(before);
          this.#life = null;
          this.watchers.notify();
        },
        expire: async (meta) => this.#expire(meta, Date.now()),
        deliver: async (life) => this.#delivered(life),
      },
      tenant,
      how,
    );
  }

  async alarm(info?: AlarmInvocationInfo): Promise<void> {
    const meta = this.#meta;
    if (meta === null) return;
    // Lives that die without a word (of their memory, of their CPU) leave only this trace. The platform is about to drop
    // the alarm, so it is set anew, and the run is sealed in the end (R4).
    const dropped = (info?.retryCount ?? 0) >= LAST_ALARM_RETRY && this.#life === null;
    if (dropped && mayLive(meta)) return this.#lastWords("its lives ended without a word");
    const now = Date.now();
    if (meta.deletedUntil !== undefined) {
      await (now >= meta.deletedUntil
        ? this.#ctx.storage.deleteAll()
        : this.#ctx.storage.setAlarm(meta.deletedUntil));
      return;
    }
    // Loading a life wakes it, so a life that begins here has nothing more to do for the alarm.
    const begins = this.#life === null;
    try {
      const life = await this.current();
      if (life === "failing") return await this.#ctx.storage.setAlarm(retryAt(this.#meta ?? meta, now));
      if (await this.#isDue(life, meta, now)) return await this.#expire(meta, now);
      const sealedAt = this.#meta?.sealed?.at;
      if (life === null && sealedAt !== undefined)
        this.#setAlarm(Math.max(sealedAt + this.#keptMs, now + ASK_AGAIN_MS));
      if (begins) life?.driver.arm();
      if (!begins && life !== null) {
        // What is to be told now is on its way: no alarm has to stand for it.
        life.look();
        life.driver.alarmFired();
      }
      if (life !== null) {
        life.look();
        life.queueing.again();
        this.#deliver(life);
      }
    } catch (error) {
      // R3. A life that was given up has set the alarm for the next one.
      this.#wiring.log.error("wake_failed", { run: meta.id, error });
      this.#giveUp("the alarm failed", error);
    }
  }

  /**
   * D2: the life ends. What it could not do is tried again by the next one, a while later (R4). These last words are
   * written before the object is aborted.
   */
  #giveUp(reason: string, cause: unknown): void {
    if (this.#dying) return;
    this.#dying = true;
    const { log } = this.#wiring;
    log.error("life_given_up", { run: this.#meta?.id, reason, error: cause });
    const why = cause instanceof UnreadableText ? cause.message : "its turns kept failing";
    const over = this.#failed(why, cause).then(() => {
      this.#ctx.abort(reason);
    });
    this.#ctx.waitUntil(over);
  }

  /** Notes a life that failed by itself; that the platform took it is no failure. Never rejects. */
  async #failed(reason: string, cause: unknown): Promise<void> {
    if (classifyFault(cause)?.kind === "later") return;
    await this.#lastWords(reason).catch((error: unknown) => {
      this.#wiring.log.error("last_words_lost", { run: this.#meta?.id, error });
    });
  }

  /** @param reason why it is sealed, should this life have been the last one */
  async #lastWords(reason: string): Promise<void> {
    if (this.#meta === null || !mayLive(this.#meta)) return;
    const now = Date.now();
    const meta = withFailure(this.#meta, now);
    if (isBeyondHope(meta, now)) this.#seal(meta, reason);
    else {
      if (meta !== this.#meta) this.#keepMeta(meta);
      await this.#ctx.storage.setAlarm(retryAt(meta, now));
    }
    await this.#ctx.storage.sync();
  }

  #seal(meta: Meta, reason: string): void {
    const at = Date.now();
    this.#wiring.log.error("run_sealed", { run: meta.id, reason });
    this.#keepMeta({ ...meta, sealed: { at, reason } });
    this.#life = Promise.resolve(null);
    this.#setAlarm(at + this.#keptMs);
    this.watchers.notify();
    this.#reportSealed(meta.id);
  }

  /** Once: if it is lost, the lease of the last report runs out and the sweeper asks. */
  #reportSealed(run: string): void {
    const { directory, log } = this.#wiring;
    const report = this.report(null);
    if (directory === undefined || report === null || report.workflow === "") return;
    const told = directory.report(report).catch((error: unknown) => {
      log.warn("report_not_taken", { run, error });
    });
    this.#ctx.waitUntil(told);
  }

  /** How the run stands, for the directory; null where there is no run, or not any more. */
  report(life: Life | null): RunReport | null {
    const state = life?.driver.state ?? null;
    if (life !== null && state !== null)
      return withKept(life.reports.report(state, life.driver.seq), this.#keptMs);
    const meta = this.#meta;
    return meta?.sealed === undefined
      ? null
      : withKept(reportOfSealed(this.#sealedRun(meta).view), this.#keptMs);
  }

  /** Whether the run has ended so long ago that it is kept no more (R6). */
  async #isDue(life: Life | null | "failing", { tenant }: Meta, now: number): Promise<boolean> {
    const endedAt = this.#endedAt(life);
    if (endedAt === null || now < endedAt + SHORTEST_RETENTION_MS) return false;
    const keptMs = await this.#wiring.retention.of(tenant);
    // While it cannot be known, nothing is deleted; it is asked again, later.
    this.#keptMs = keptMs ?? Math.max(this.#keptMs, now - endedAt + ASK_AGAIN_MS);
    // Meanwhile it may have been redriven.
    return keptMs !== null && this.#endedAt(life) === endedAt && now >= endedAt + keptMs;
  }

  /** Null: it goes on. */
  #endedAt(life: Life | null | "failing"): number | null {
    if (life === "failing") return null;
    return (life === null ? this.#meta?.sealed?.at : life.driver.state?.endedAt) ?? null;
  }

  /** When the run will be deleted, as far as this life knows; null: it goes on. */
  deletedAt(life: Life | null): number | null {
    const endedAt = this.#endedAt(life);
    return endedAt === null ? null : endedAt + this.#keptMs;
  }

  /** After its retention a run deletes itself; its id stays taken for a while. */
  async #expire(meta: Meta, now: number): Promise<void> {
    const deletedUntil = now + TOMBSTONE_MS;
    let untold: readonly string[] = [];
    // Not `deleteAll`: between that and the tombstone this life could end, and with it the id.
    this.#ctx.storage.transactionSync(() => {
      dropSchema(this.#ctx.storage);
      untold = forgetFollowed(this.#ctx.storage);
      // A digest of the body would tell of it whom can guess it, and nobody asks for it any more.
      this.#keepMeta({ tenant: meta.tenant, id: meta.id, bodyDigest: "", deletedUntil });
    });
    for (const name of untold) this.#wiring.log.error(`${name}_dropped`, { run: meta.id });
    if (meta.key !== undefined) this.key.drop(meta);
    this.#life = Promise.resolve(null);
    await this.#ctx.storage.setAlarm(deletedUntil);
  }

  /** A sealed run has no life, but it is shown, with what its rows still tell. */
  #sealedRun(meta: Meta): SealedRun {
    const journal = createJournalStore(this.#ctx.storage, this.key.texts, () => null);
    return {
      view: sealedView(meta, readable(journal, 0), readable(journal, Number.MAX_SAFE_INTEGER - 1)),
      journal,
    };
  }

  async #load(): Promise<Life | null | "failing"> {
    const ctx = this.#ctx;
    const meta = this.#meta;
    if (meta?.sealed !== undefined) await this.key.openIfItCan(meta);
    if (meta === null || !mayLive(meta)) return null;
    if (this.#dying || isResting(meta, Date.now())) return "failing";
    try {
      migrateAll(ctx.storage);
      if (meta.key !== undefined) await this.key.open(meta);
      const armedAt = await ctx.storage.getAlarm();
      const life = this.#newLife(armedAt);
      life.driver.load();
      if (CRASH_POINTS) crashPoint("crash-point:journal-folded");
      this.#keptMs = keptBy(armedAt, life) ?? this.#wiring.retention.defaultMs;
      life.load();
      // What the last life had in flight is lost; the alarm may be, too (K3).
      life.driver.wake();
      if (meta.failedLives !== undefined) this.#keepMeta(withoutFailures(this.#meta ?? meta));
      this.#deliver(life);
      return life;
    } catch (error) {
      // A first turn that failed has ended the object already. A journal that does not fold leaves nothing in memory.
      if (!this.#dying) {
        this.#wiring.log.error("life_not_loaded", { run: meta.id, error });
        await this.#failed(whyUnreadable(error), error);
      }
      return this.#meta?.sealed === undefined ? "failing" : null;
    }
  }

  #newLife(armedAt: number | null): Life {
    return createLife({
      ctx: this.#ctx,
      wiring: this.#wiring,
      texts: this.key.texts,
      conceal: async (driver) => this.key.conceal(driver),
      armedAt,
      setAlarm: (at) => {
        this.#setAlarm(at);
      },
      keptMs: () => this.#keptMs,
      turned: (life) => {
        this.watchers.notify();
        this.#deliver(life);
      },
      giveUp: (reason, cause) => {
        this.#giveUp(reason, cause);
      },
    });
  }

  /** O2, P4, S2, W3: beside the run. What fails waits for the alarm. */
  #deliver(life: Life): void {
    const { outbox, reports, followers, queueing } = life;
    if (this.#meta === null) return;
    const followed = followers.some((one) => one.isDue);
    if (outbox.dueAt === null && !reports.isDue && !followed && !queueing.isDue) return;
    this.#ctx.waitUntil(this.#delivered(life));
  }

  async #delivered({ outbox, reports, followers, queueing, journal, driver }: Life): Promise<void> {
    const meta = this.#meta;
    if (meta === null) return;
    await Promise.all([
      outbox.drain(meta.tenant, meta.id).then(async () => {
        // That nobody took a message was told; that it was taken is told as well.
        if (!reports.saysUntold || driver.state === null) return;
        reports.look(driver.state, driver.seq);
        return reports.deliver();
      }),
      this.#learnRetention(meta, driver).then(async () => reports.deliver()),
      ...followers.filter((one) => one.isDue).map((one) => one.deliver(journal, driver)),
      queueing.deliver((admission) => {
        driver.command(admission);
      }),
    ]);
    driver.arm();
  }

  /** Before the end is told, so that it is told with it, and the alarm that then stands is the last one (R6). */
  async #learnRetention({ tenant }: Meta, { state }: RunDriver): Promise<void> {
    if (state === null || state.endedAt === null) return;
    this.#keptMs = (await this.#wiring.retention.of(tenant)) ?? this.#keptMs;
  }

  /** The write joins those of the turn; that it could not be made is as bad as a turn that could not be appended. */
  #setAlarm(at: number): void {
    this.#ctx.storage.setAlarm(at).catch((error: unknown) => {
      this.#wiring.log.error("alarm_not_set", { run: this.#meta?.id, error });
      this.#ctx.abort("the alarm could not be set");
    });
  }

  #keepMeta(meta: Meta): void {
    this.#meta = meta;
    writeMeta(this.#ctx.storage, meta);
  }
}

/** Throws where there is a run, but not just now: who asks for its state must not take it for gone. */
export function aliveOf(life: Life | null | "failing"): Life | null {
  if (life === "failing") throw new Error(UNAVAILABLE.message);
  return life;
}

/** For how long the life before this one meant to keep a run that has ended: its alarm stood at the end of that. Null: it did not. */
function keptBy(alarm: number | null, { driver }: Life): number | null {
  const endedAt = driver.state?.endedAt ?? null;
  if (endedAt === null || alarm === null || alarm < endedAt + SHORTEST_RETENTION_MS) return null;
  return alarm - endedAt;
}

/** Whether the run is neither sealed nor deleted. */
function mayLive({ sealed, deletedUntil }: Meta): boolean {
  return sealed === undefined && deletedUntil === undefined;
}

function whyUnreadable(error: unknown): string {
  return error instanceof UnreadableJournal || error instanceof UnreadableText || error instanceof SchemaError
    ? error.message
    : "it could not be loaded";
}

/** The row that holds the fact after `after`, or the last one; null if even that is unreadable. */
function readable(journal: JournalStore, after: number): Row | null {
  try {
    return journal.after(after, 1)[0] ?? null;
  } catch {
    return null;
  }
}
