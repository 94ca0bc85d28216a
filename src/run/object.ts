/**
 * The run object: one SQLite Durable Object per run. It gives the driver its ports and answers callers.
 *
 * Owns: the object's storage, its one alarm, its life and death (retention, tombstone, sealing).
 * Does not own: what happens in a run (kernel), the order of a turn (driver), what an attempt does (wiring).
 *
 * R1 an object without a run writes nothing and arms nothing.
 * R2 every call carries the caller's tenant; a mismatch is answered as if nothing were here.
 * R3 `alarm()` never throws for an application's error: the platform drops an alarm after six throws.
 * R4 a run that cannot be folded, or whose turns keep failing, is tried again, less and less often (`failing.ts`), and
 *    callers are told so. After days it is sealed: it ends, and says why.
 * R5 what was sealed stays so: its callers have been told that it is over, and may have started another.
 */

import { DurableObject } from "cloudflare:workers";
import { UnreadableJournal, type Row, type RunDriver } from "../driver/index.ts";
import { parseUnitName, refOf, stepOf, unitOf, type RunInfo, type RunState } from "../kernel/index.ts";
import {
  armCrashPoint,
  classifyFault,
  crashPoint,
  dropSchema,
  migrate,
  SchemaError,
  Watchers,
} from "../platform/index.ts";
import { checkLink, findApproval, pendingApprovals } from "./approvals.ts";
import { commandDriver, isForStarter } from "./commands.ts";
import { isBeyondHope, isResting, retryAt, withFailure, withoutFailures } from "./failing.ts";
import { createJournalStore, type JournalStore } from "./journal-store.ts";
import { createLife, type Life } from "./life.ts";
import { readMeta, writeMeta, type Meta } from "./meta.ts";
import type { RunWiring } from "./ports.ts";
import { reportOfSealed } from "./reports.ts";
import type {
  Answer,
  ApprovalAddress,
  ApprovalView,
  Command,
  Decide,
  EventsPage,
  EventView,
  RunReport,
  RunRpc,
  RunView,
  StartedRun,
  StartRequest,
  StepView,
  Viewer,
} from "./rpc.ts";
import { migrateAll, RUN_SCHEMA } from "./schema.ts";
import { sealedEvents, sealedView } from "./sealed.ts";
import { viewRow, viewRun, viewStep, type Showing } from "./view.ts";

const DAY_MS = 24 * 60 * 60_000;
/** A deleted run's id stays taken, so that a late retry of its start does not run it again. */
const TOMBSTONE_MS = 90 * DAY_MS;
/** The platform tries a failing alarm six times, then it is gone (Durable Objects: Alarms API). */
const LAST_ALARM_RETRY = 5;
const MAX_EVENTS = 1_000;

type Refused = Extract<Answer<never>, { ok: false }>;
const NOT_FOUND: Refused = { ok: false, code: "not_found", message: "There is no such run." };
const DELETED: Refused = {
  ok: false,
  code: "run_deleted",
  message: "The run was deleted after its retention.",
};
const UNAVAILABLE: Refused = {
  ok: false,
  code: "unavailable",
  message: "The run cannot go on just now. It is tried again by itself; nothing of it is lost.",
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

export abstract class WiredRunObject extends DurableObject<Env> implements RunRpc {
  readonly #wiring: RunWiring;
  readonly #watchers = new Watchers();
  #meta: Meta | null;
  #life: Promise<Life | null | "failing"> | null = null;
  #dying = false;

  protected constructor(ctx: DurableObjectState, env: Env, wiring: RunWiring) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    this.#wiring = wiring;
    this.#meta = readMeta(ctx.storage);
  }

  async start(request: StartRequest): ReturnType<RunRpc["start"]> {
    const meta = this.#meta;
    if (meta !== null) {
      if (meta.tenant !== request.tenant) return NOT_FOUND;
      if (meta.deletedUntil !== undefined) return DELETED;
      if (meta.bodyDigest !== request.bodyDigest) {
        return {
          ok: false,
          code: "idempotency_mismatch",
          message: "A run was started with this idempotency key and another body.",
        };
      }
      const there = await this.view({ tenant: request.tenant });
      const life = await this.#current();
      if (there.ok)
        return { ok: true, value: { created: false, view: there.value, ...this.#listing(aliveOf(life)) } };
      // Its first turn could not be written: nothing has happened yet, so it starts now.
      if (life === null || life === "failing" || life.driver.state !== null) return there;
    }
    const { id, tenant, bodyDigest, graph, input } = request;
    migrate(this.ctx.storage, RUN_SCHEMA);
    this.#keepMeta({ tenant, id, bodyDigest });
    const life = this.#newLife(null);
    const outcome = life.driver.start(runInfoOf(request), graph, input);
    if (!outcome.ok) {
      // A refused start leaves no trace (R1).
      this.#meta = null;
      await this.ctx.storage.deleteAll();
      return { ok: false, ...outcome.refusal };
    }
    this.#life = Promise.resolve(life);
    if (CRASH_POINTS) crashPoint("crash-point:start-written");
    return {
      ok: true,
      value: { created: true, view: this.#shown(life, { tenant }), ...this.#listing(life) },
    };
  }

  async view(viewer: Viewer, options: { waitMs?: number; afterSeq?: number } = {}): Promise<Answer<RunView>> {
    return this.#visit(
      viewer,
      async (life) => {
        const { driver } = life;
        const { afterSeq } = options;
        const moved = (): boolean =>
          driver.state?.phase === "ended" || (afterSeq !== undefined && driver.seq > afterSeq);
        await this.#watchers.until(moved, options.waitMs ?? 0);
        return { ok: true, value: this.#shown(life, viewer) };
      },
      ({ view }) => view,
    );
  }

  async step(viewer: Viewer, name: string, item?: number): Promise<Answer<StepView>> {
    return this.#visit(viewer, (life, state) => {
      const step = stepOf(state, name);
      const unit = item === undefined ? step?.unit : step?.unit.items?.[item];
      if (step === null || unit === undefined)
        return { ok: false, code: "no_such_step", message: `There is no step named ${name} in this run.` };
      return { ok: true, value: viewStep(step.def, unit, showing(life, viewer)) };
    });
  }

  async events(
    viewer: Viewer,
    options: { after: number; limit: number; waitMs?: number },
  ): Promise<Answer<EventsPage>> {
    const { after } = options;
    const limit = Math.min(Math.max(1, options.limit), MAX_EVENTS);
    return this.#visit(
      viewer,
      async ({ driver, journal }, state) => {
        await this.#watchers.until(
          () => driver.seq > after || driver.state?.phase === "ended",
          options.waitMs ?? 0,
        );
        const how = {
          read: (value: Parameters<RunDriver["read"]>[0]) => driver.read(value),
          reveal: viewer.reveal === true,
        };
        const events: EventView[] = journal
          .after(after, limit)
          .flatMap((row) => viewRow(row, driver.state ?? state, how))
          .filter((event) => event.seq > after)
          .slice(0, limit);
        const next = events.at(-1)?.seq ?? after;
        return {
          ok: true,
          value: { events, next, ended: driver.state?.phase === "ended" && next >= driver.seq },
        };
      },
      ({ journal }) => sealedEvents(journal.after(after, limit + 1), after, limit),
    );
  }

  async command(viewer: Viewer, command: Command): Promise<Answer<RunView>> {
    return this.#visit(viewer, (life, state) => {
      if (
        isForStarter(command) &&
        viewer.onlyStartedBy !== undefined &&
        state.run.startedBy !== viewer.onlyStartedBy
      )
        return NOT_FOUND;
      const outcome = commandDriver(life.driver, command, state);
      return outcome.ok ? { ok: true, value: this.#shown(life, viewer) } : { ok: false, ...outcome.refusal };
    });
  }

  async approvals(viewer: Viewer): Promise<Answer<readonly ApprovalView[]>> {
    return this.#visit(viewer, (_, state) => ({
      ok: true,
      value: pendingApprovals(state, viewer, Date.now()),
    }));
  }

  async approval(viewer: Viewer, address: ApprovalAddress): Promise<Answer<ApprovalView>> {
    return this.#visit(viewer, (_, state) => findApproval(state, address, viewer, Date.now()));
  }

  async mayLink(viewer: Viewer, address: ApprovalAddress, actor: string): Promise<Answer<ApprovalView>> {
    return this.#visit(viewer, (_, state) => checkLink(state, address, actor, viewer, Date.now()));
  }

  async decide(viewer: Viewer, address: ApprovalAddress, decide: Decide): ReturnType<RunRpc["decide"]> {
    return this.#visit(viewer, ({ driver }, state) => {
      const found = findApproval(state, address, viewer, Date.now());
      if (!found.ok) return found;
      const unit = refOf(address.step, address.item);
      const outcome = driver.command({ t: "decide", unit, id: address.id, ...decide });
      if (!outcome.ok) return { ok: false, ...outcome.refusal };
      const after = findApproval(driver.state ?? state, address, viewer, Date.now());
      const applied = (unitOf(state, unit)?.approval?.decided ?? null) === null;
      return after.ok ? { ok: true, value: { applied, approval: after.value } } : after;
    });
  }

  async childEnded(viewer: Viewer, child: Parameters<RunRpc["childEnded"]>[1]): Promise<Answer<null>> {
    return this.#visit(viewer, ({ driver }) => {
      const unit = parseUnitName(child.unit);
      if (unit === null) return NOT_FOUND;
      const outcome = driver.command({ ...child, t: "child_ended", unit });
      return outcome.ok ? { ok: true, value: null } : { ok: false, ...outcome.refusal };
    });
  }

  async recall(viewer: Viewer, how: Parameters<RunRpc["recall"]>[1]): Promise<Answer<null>> {
    return this.#visit(viewer, ({ driver }, state) => {
      const { generation, mode, by } = how;
      // Only its parent can recall it.
      if (state.generation !== generation || state.run.startedBy !== by) return NOT_FOUND;
      const reason = "The run that started it does not wait for it any more.";
      const outcome = driver.command({ t: "cancel", mode, by, reason });
      return outcome.ok ? { ok: true, value: null } : { ok: false, ...outcome.refusal };
    });
  }

  async poke(tenant: string): Promise<RunReport | null> {
    if (this.#meta?.tenant !== tenant) return null;
    const life = aliveOf(await this.#current());
    life?.driver.wake();
    const report = this.#report(life);
    // The directory asks, so the answer is as good as a report that it took.
    if (report !== null) life?.reports.taken(report);
    life?.driver.arm();
    return report;
  }

  async relist(): Promise<boolean> {
    const life = await this.#current();
    // It tells how it stands as soon as it can go on.
    if (life === "failing") return true;
    const report = this.#report(life);
    if (report === null) return false;
    await this.#wiring.directory?.report(report);
    return true;
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    if (CRASH_POINTS) crashPoint("crash-point:alarm-fired");
    const meta = this.#meta;
    if (meta === null) return;
    // Lives that die without a word (of their memory, of their CPU) leave only this trace. The platform is about to drop
    // the alarm, so it is set anew, and the run is sealed in the end (R4).
    const dropped = (info?.retryCount ?? 0) >= LAST_ALARM_RETRY && this.#life === null;
    if (dropped && mayLive(meta)) return this.#lastWords("its lives ended without a word");
    const now = Date.now();
    if (meta.deletedUntil !== undefined) {
      await (now >= meta.deletedUntil
        ? this.ctx.storage.deleteAll()
        : this.ctx.storage.setAlarm(meta.deletedUntil));
      return;
    }
    // Loading a life wakes it, so a life that begins here has nothing more to do for the alarm.
    const begins = this.#life === null;
    try {
      const life = await this.#current();
      if (life === "failing") return await this.ctx.storage.setAlarm(retryAt(this.#meta ?? meta, now));
      const sealedAt = this.#meta?.sealed?.at;
      const endedAt = life === null ? sealedAt : life.driver.state?.endedAt;
      if (endedAt !== undefined && endedAt !== null && now >= endedAt + this.#wiring.retentionMs)
        return await this.#expire(meta, now);
      if (life === null && sealedAt !== undefined) this.#setAlarm(sealedAt + this.#wiring.retentionMs);
      if (!begins) life?.driver.alarmFired();
      if (life !== null) {
        life.look();
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
    const over = this.#failed("its turns kept failing", cause).then(() => {
      this.ctx.abort(reason);
    });
    this.ctx.waitUntil(over);
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
      await this.ctx.storage.setAlarm(retryAt(meta, now));
    }
    await this.ctx.storage.sync();
  }

  #seal(meta: Meta, reason: string): void {
    const at = Date.now();
    this.#wiring.log.error("run_sealed", { run: meta.id, reason });
    this.#keepMeta({ ...meta, sealed: { at, reason } });
    this.#life = Promise.resolve(null);
    this.#setAlarm(at + this.#wiring.retentionMs);
    this.#watchers.notify();
    this.#reportSealed(meta.id);
  }

  /** Once: if it is lost, the lease of the last report runs out and the sweeper asks. */
  #reportSealed(run: string): void {
    const { directory, log } = this.#wiring;
    const report = this.#report(null);
    if (directory === undefined || report === null || report.workflow === "") return;
    const told = directory.report(report).catch((error: unknown) => {
      log.warn("report_not_taken", { run, error });
    });
    this.ctx.waitUntil(told);
  }

  /** How the run stands, for the directory; null where there is no run, or not any more. */
  #report(life: Life | null): RunReport | null {
    const state = life?.driver.state ?? null;
    if (life !== null && state !== null) return life.reports.report(state, life.driver.seq);
    const meta = this.#meta;
    return meta?.sealed === undefined ? null : reportOfSealed(this.#sealedRun(meta).view);
  }

  /** After its retention a run deletes itself; its id stays taken for a while. */
  async #expire(meta: Meta, now: number): Promise<void> {
    const deletedUntil = now + TOMBSTONE_MS;
    // Not `deleteAll`: between that and the tombstone this life could end, and with it the id.
    this.ctx.storage.transactionSync(() => {
      dropSchema(this.ctx.storage);
      this.#keepMeta({ tenant: meta.tenant, id: meta.id, bodyDigest: meta.bodyDigest, deletedUntil });
    });
    this.#life = Promise.resolve(null);
    await this.ctx.storage.setAlarm(deletedUntil);
  }

  /** A sealed run has no life, but it is shown, with what its rows still tell. */
  #sealedRun(meta: Meta): SealedRun {
    const journal = createJournalStore(this.ctx.storage, () => null);
    return {
      view: sealedView(meta, readable(journal, 0), readable(journal, Number.MAX_SAFE_INTEGER - 1)),
      journal,
    };
  }

  /**
   * Answers a caller who may see the run (R2); a user's key sees only runs of its user.
   * @param sealed what is answered of a sealed run; missing: that it has ended
   */
  async #visit<T>(
    viewer: Viewer,
    answer: (life: Life, state: RunState) => Answer<T> | Promise<Answer<T>>,
    sealed?: (run: SealedRun) => T,
  ): Promise<Answer<T>> {
    if (this.#meta === null || this.#meta.tenant !== viewer.tenant) return NOT_FOUND;
    if (this.#meta.deletedUntil !== undefined) return DELETED;
    const life = await this.#current();
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
    return answer(life, state);
  }

  /** The life of this object; null where there is no run that can go on, "failing" where there is one, but not just now. */
  #current(): Promise<Life | null | "failing"> {
    this.#life ??= this.#load().then((life) => {
      if (life === "failing") this.#life = null;
      return life;
    });
    return this.#life;
  }

  async #load(): Promise<Life | null | "failing"> {
    const { ctx } = this;
    const meta = this.#meta;
    if (meta === null || !mayLive(meta)) return null;
    if (this.#dying || isResting(meta, Date.now())) return "failing";
    try {
      migrateAll(ctx.storage);
      const life = this.#newLife(await ctx.storage.getAlarm());
      life.driver.load();
      if (CRASH_POINTS) crashPoint("crash-point:journal-folded");
      life.load(this.#wiring.retentionMs);
      // What the last life had in flight is lost; the alarm may be, too (K3).
      life.driver.wake();
      if (meta.failedLives !== undefined) this.#keepMeta(withoutFailures(meta));
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
      ctx: this.ctx,
      wiring: this.#wiring,
      armedAt,
      setAlarm: (at) => {
        this.#setAlarm(at);
      },
      turned: (life) => {
        this.#watchers.notify();
        this.#deliver(life);
      },
      giveUp: (reason, cause) => {
        this.#giveUp(reason, cause);
      },
    });
  }

  /** O2, P4: beside the run. What fails waits for the alarm. */
  #deliver({ outbox, reports, driver }: Life): void {
    const meta = this.#meta;
    if (meta === null || (outbox.dueAt === null && !reports.isDue)) return;
    const delivered = Promise.all([outbox.drain(meta.tenant, meta.id), reports.deliver()]).then(() => {
      driver.arm();
    });
    this.ctx.waitUntil(delivered);
  }

  /** The write joins those of the turn; that it could not be made is as bad as a turn that could not be appended. */
  #setAlarm(at: number): void {
    this.ctx.storage.setAlarm(at).catch((error: unknown) => {
      this.#wiring.log.error("alarm_not_set", { run: this.#meta?.id, error });
      this.ctx.abort("the alarm could not be set");
    });
  }

  /** What the door that starts a run tells the directory. */
  #listing(life: Life | null): Pick<StartedRun, "report"> {
    const report = this.#report(life);
    return report === null ? {} : { report };
  }

  #keepMeta(meta: Meta): void {
    this.#meta = meta;
    writeMeta(this.ctx.storage, meta);
  }

  #shown(life: Life, viewer: Viewer): RunView {
    const { driver } = life;
    if (driver.state === null) throw new TypeError("a run that was not started cannot be shown");
    return viewRun(driver.state, driver.seq, showing(life, viewer));
  }
}

function showing({ driver }: Life, viewer: Viewer): Showing {
  return { read: (value) => driver.read(value), reveal: viewer.reveal === true };
}

function runInfoOf(request: StartRequest): RunInfo {
  const { id, tenant, workflow, version, user, startedBy, open, tags, traceparent } = request;
  const { policies, parent, origins } = request;
  return {
    ...{ id, tenant, workflow, version, user, startedBy, open, tags, traceparent },
    ...(policies === undefined || policies.length === 0 ? {} : { policies }),
    ...(parent === undefined ? {} : { parent }),
    ...(origins === undefined ? {} : { origins }),
  };
}

/** Throws where there is a run, but not just now: who asks for its state must not take it for gone. */
function aliveOf(life: Life | null | "failing"): Life | null {
  if (life === "failing") throw new Error(UNAVAILABLE.message);
  return life;
}

/** Whether the run is neither sealed nor deleted. */
function mayLive({ sealed, deletedUntil }: Meta): boolean {
  return sealed === undefined && deletedUntil === undefined;
}

function whyUnreadable(error: unknown): string {
  return error instanceof UnreadableJournal || error instanceof SchemaError
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
