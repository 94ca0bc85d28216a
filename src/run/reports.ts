/**
 * What the directory is told of a run: how it stands, never its data.
 *
 * Owns: when there is something to tell, and telling it. Memory only: unlike the outbox it stores nothing, because only
 * the newest state counts and the journal has that. Does not own: what the directory does with it.
 *
 * P1 a report carries the number of the last fact and a lease: who listens can pass over what is older than it knows.
 * P2 every report names the time of the next one at the latest, the lease; the alarm stands early enough to keep it. A
 *    run that breaks its lease is asked by the sweeper, so a report that was lost is made good, and so is a lost alarm.
 * P3 the end is told until it was taken: until then the alarm stands a while after the end, not at the retention, and
 *    so tells the next life that nobody was told yet.
 * P4 a directory that does not answer never slows a run.
 * P5 of the failure of a confidential run only the code is told: its message may hold what the run knows, and the directory
 *    stores what it is told as it is.
 */

import { awaitsDecision, isParked, nextWake, statusOf, type RunState, type Unit } from "../kernel/index.ts";
import { REDACTED, type Logger } from "../platform/index.ts";
import type { ParkedFor, RunReport, RunView } from "./rpc.ts";
import { BACKSTOP_MS, retryMs } from "./telling.ts";

export interface ReportPort {
  /** Resolves once the directory has it. A rejection is tried again. */
  report(report: RunReport): Promise<void>;
}

/** The longest lease, as short as a lost alarm may go unseen. */
const LONGEST_LEASE_MS = 24 * 60 * 60_000;
/** How much later than its next wake a run may report: alarms can be late, and busy runs need not report at every wake. */
const GRACE_MS = 10 * 60_000;
/** A lease is renewed this long before it runs out. */
const RENEW_MS = GRACE_MS / 2;
/** A status that may pass at once is told by the first turn after it lasted so long: most runs are over by then. */
const SETTLE_MS = 1_000;
/** And by the alarm, where no turn comes. */
const UNSETTLED_MS = 30_000;
/** A message that waits for so long is told of: whoever should take it is away. */
const UNTOLD_MS = 5 * 60_000;
/** A wait of at least so long is a status that lasts. */
const LONG_WAIT_MS = 10_000;

export class Reports {
  readonly #port: ReportPort | null;
  readonly #now: () => number;
  readonly #log: Logger;
  readonly #confidential: () => boolean;
  readonly #oldestMessage: () => number | null;
  /** The last report that the directory took from this life. */
  #told: RunReport | null = null;
  /** What is to be told now; a newer one takes its place. */
  #waiting: RunReport | null = null;
  /** Since when the run stands otherwise than was told; null: it does not. */
  #differsSince: number | null = null;
  #retryAt = 0;
  #tries = 0;
  #sending: Promise<void> | null = null;

  /**
   * @param port null: there is no directory
   * @param oldestMessage since when the oldest message of the outbox waits, or null
   */
  constructor(
    port: ReportPort | null,
    now: () => number,
    log: Logger,
    confidential: () => boolean,
    oldestMessage: () => number | null = () => null,
  ) {
    this.#port = port;
    this.#oldestMessage = oldestMessage;
    this.#now = now;
    this.#log = log;
    this.#confidential = confidential;
  }

  /**
   * When a life begins that is not the first: a run that goes on is told anew, whatever an earlier life has told.
   * @param told of a run that has ended: whether that was told (P3)
   */
  load(state: RunState, seq: number, told: boolean): void {
    if (this.#port === null) return;
    const report = this.report(state, seq);
    if (told) this.#told = report;
    else this.#waiting = report;
  }

  /** To be called after every turn, and when the alarm fires. */
  look(state: RunState, seq: number): void {
    if (this.#port === null) return;
    const now = this.#now();
    const report = this.report(state, seq);
    if (this.#waiting !== null || this.#isDue(report, state, now)) this.#waiting = report;
  }

  report(state: RunState, seq: number): RunReport {
    const now = this.#now();
    const oldest = this.#oldestMessage();
    const untold = oldest === null || oldest > now - UNTOLD_MS ? {} : { untoldSince: oldest };
    const report = { ...reportOf(state, seq, now), ...untold };
    if (report.failure === null || !this.#confidential()) return report;
    return { ...report, failure: { code: report.failure.code, message: REDACTED } };
  }

  /** The directory has it. */
  taken(report: RunReport): void {
    this.#told = report;
    this.#tries = 0;
    this.#retryAt = 0;
    this.#differsSince = null;
    if (this.#waiting !== null && this.#waiting.version <= report.version) this.#waiting = null;
  }

  /** Whether the directory was told that nobody takes a message of the run. */
  get saysUntold(): boolean {
    return this.#told?.untoldSince !== undefined;
  }

  /** Whether something is to be told now. */
  get isDue(): boolean {
    return this.#waiting !== null && this.#retryAt <= this.#now();
  }

  /** When the alarm must look after reports, or null. */
  get alarmAt(): number | null {
    if (this.#port === null) return null;
    const { leaseAt = null, endedAt = null } = this.#waiting ?? this.#told ?? {};
    if (this.#waiting !== null && this.#tries > 0) return this.#toCome(this.#retryAt);
    // P3. What a run that goes on has to tell is on its way, and its lease stands behind it.
    if (this.#waiting !== null && endedAt !== null) return this.#toCome(endedAt + BACKSTOP_MS);
    const renew = leaseAt === null ? Infinity : leaseAt - RENEW_MS;
    const unsettled = this.#waiting === null ? this.#differsSince : null;
    const at = Math.min(renew, unsettled === null ? Infinity : unsettled + UNSETTLED_MS);
    return at === Infinity ? null : at;
  }

  /** What stands in the past is under way: it is looked after in a while, and not at once again and again. */
  #toCome(at: number): number {
    const now = this.#now();
    return at > now ? at : now + BACKSTOP_MS;
  }

  /** Tells what is due. A second call joins the first. */
  deliver(): Promise<void> {
    this.#sending ??= this.#deliver().finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  async #deliver(): Promise<void> {
    while (this.#port !== null && this.#waiting !== null && this.#retryAt <= this.#now()) {
      const report = this.#waiting;
      try {
        await this.#port.report(report);
        this.taken(report);
      } catch (error) {
        this.#retryAt = this.#now() + retryMs(this.#tries);
        this.#tries += 1;
        if (this.#tries === 1)
          this.#log.warn("report_not_taken", { tenant: report.tenant, run: report.id, error });
      }
    }
  }

  #isDue(report: RunReport, state: RunState, now: number): boolean {
    if (this.#told !== null && sameStanding(this.#told, report)) {
      this.#differsSince = null;
      return this.#told.leaseAt !== null && now >= this.#told.leaseAt - RENEW_MS;
    }
    this.#differsSince ??= this.#told === null ? state.startedAt : now;
    return lasts(report, state, now, this.#told !== null) || now >= this.#differsSince + SETTLE_MS;
  }
}

/** A directory drops the line of a run that deletes itself. */
export function withKept(report: RunReport, keptMs: number): RunReport {
  return report.endedAt === null ? report : { ...report, keptUntil: report.endedAt + keptMs };
}

/** Of a run that can go on no more. */
export function reportOfSealed(view: RunView): RunReport {
  const { id, tenant, workflow, user, tags, generation, failure } = view;
  return {
    ...{ id, tenant, workflow, user, tags, generation },
    version: view.seq,
    workflowVersion: view.version,
    startedBy: view.started_by,
    parent: null,
    status: view.status,
    paused: false,
    startedAt: view.started_at,
    endedAt: view.ended_at,
    failure: failure === null ? null : { code: failure.code, message: failure.message },
    leaseAt: null,
  };
}

function reportOf(state: RunState, seq: number, now: number): RunReport {
  const { run } = state;
  const failure = state.failure ?? state.lost?.failure ?? null;
  return {
    tenant: run.tenant,
    id: run.id,
    version: seq,
    workflow: run.workflow,
    workflowVersion: run.version,
    user: run.user,
    startedBy: run.startedBy,
    tags: run.tags,
    parent: run.parent?.run ?? null,
    status: statusOf(state),
    paused: state.pausedSince !== null,
    generation: state.generation,
    startedAt: state.startedAt,
    endedAt: state.endedAt,
    failure: failure === null ? null : { code: failure.code, message: failure.message },
    leaseAt: leaseOf(state, now),
    tally: state.tally ?? {},
    ...parkedFor(state),
    saidAt: now,
  };
}

/** Of a run that has ended nothing waits. */
function parkedFor(state: RunState): Pick<RunReport, "parked"> {
  if (state.endedAt !== null) return {};
  const some = (waits: (unit: Unit) => boolean): boolean =>
    state.live.some((i) => {
      const unit = state.units[i];
      return unit !== undefined && (waits(unit) || unit.items?.some(waits) === true);
    });
  const parked: ParkedFor[] = [];
  if (some(awaitsDecision)) parked.push("approval");
  if (some(isParked)) parked.push("connection");
  return parked.length === 0 ? {} : { parked };
}

function leaseOf(state: RunState, now: number): number | null {
  const wakeAt = nextWake(state, now);
  if (wakeAt === null) return null;
  return Math.min(now + LONGEST_LEASE_MS, Math.max(wakeAt, now) + GRACE_MS);
}

function sameStanding(a: RunReport, b: RunReport): boolean {
  return (
    a.status === b.status &&
    a.paused === b.paused &&
    a.generation === b.generation &&
    a.parked?.join() === b.parked?.join() &&
    (a.untoldSince === undefined) === (b.untoldSince === undefined)
  );
}

/** @param told whether this life has told anything before */
function lasts(
  { status, paused, endedAt, untoldSince }: RunReport,
  state: RunState,
  now: number,
  told: boolean,
): boolean {
  if (untoldSince !== undefined) return true;
  if (endedAt !== null || paused || status === "compensating") return true;
  // The first status is told by the door that starts the run, and most runs are admitted at once.
  if (status === "queued") return told;
  return status === "waiting" && (nextWake(state, now) ?? now) >= now + LONG_WAIT_MS;
}
