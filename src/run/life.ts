/** One life of a run object: the driver, given its ports from the platform, with the journal and the outbox. */

import { DEFAULT_LIMITS, RunDriver, type Call, type Performed } from "../driver/index.ts";
import type { StepDef } from "../kernel/index.ts";
import { crashPoint } from "../platform/index.ts";
import { createJournalStore, type JournalStore } from "./journal-store.ts";
import { Follower } from "./follower.ts";
import { Outbox } from "./outbox.ts";
import type { RunWiring } from "./ports.ts";
import { Queueing } from "./queueing.ts";
import { type ReportPort, Reports, withKept } from "./reports.ts";
import { followSpans } from "./spans-of.ts";
import type { Texts } from "./texts.ts";
import { followUses } from "./uses-of.ts";

/** No run is kept for less. */
export const SHORTEST_RETENTION_MS = 24 * 60 * 60_000;
/** How long after a key could not be made for what an attempt answered it is tried again, while the attempt may go on. */
const NEXT_KEY_MS = 5_000;

export interface Life {
  readonly driver: RunDriver;
  readonly journal: JournalStore;
  readonly outbox: Outbox;
  readonly reports: Reports;
  /** The audit of credentials, and who collects traces. */
  readonly followers: readonly Follower[];
  readonly queueing: Queueing;
  /** What earlier lives left to be delivered. To be called once, after the driver has loaded. */
  load(): void;
  /** Whether the directory, the queue or the audit has to be told anything; also after every turn. */
  look(): void;
}

/** What a life needs of the object that it is the life of. */
export interface Body {
  readonly ctx: DurableObjectState;
  readonly wiring: RunWiring;
  readonly texts: Texts;
  /** When the alarm stands as the life begins, or null. */
  readonly armedAt: number | null;
  setAlarm(at: number): void;
  /** How long the run is kept after its end, as far as this life knows. */
  keptMs(): number;
  /** A turn was appended. */
  turned(life: Life): void;
  /** From here on all that the run writes is sealed. Rejects while no key can be made. */
  conceal(driver: RunDriver): Promise<void>;
  /** The life cannot go on. */
  giveUp(reason: string, cause: unknown): void;
}

export function createLife(body: Body): Life {
  const { ctx, wiring, texts } = body;
  const { storage } = ctx;
  const { acquire, listeners, log, callsPerEvent } = wiring;
  const now = (): number => Date.now();
  const outbox = new Outbox(storage, texts, listeners, now, log);
  const { directory } = wiring;
  const told: ReportPort | null =
    directory === undefined
      ? null
      : { report: async (report) => directory.report(withKept(report, body.keptMs())) };
  const reports = new Reports(
    told,
    now,
    log,
    () => texts.confidential,
    () => outbox.oldestAt,
  );
  const queueing = new Queueing(wiring.flow, { now, after }, log);
  const followed = [
    ...(wiring.uses === undefined ? [] : [followUses(wiring.uses)]),
    ...(wiring.spans === undefined ? [] : [followSpans(wiring.spans)]),
  ];
  const followers = followed.map((one) => new Follower(storage, one, now, log));
  const journal = createJournalStore(storage, texts, (row, after) =>
    all([outbox.messagesOf(row, after), ...followers.map((one) => one.marks(row))]),
  );
  const driver = new RunDriver(
    {
      journal,
      alarm: {
        armedAt: () => body.armedAt,
        set: (at) => {
          body.setAlarm(at);
        },
        others: (state) =>
          earliest(
            outbox.alarmAt,
            queueing.alarmAt,
            reports.alarmAt,
            ...followers.map((one) => one.alarmAt),
            state.endedAt === null ? null : state.endedAt + body.keptMs(),
          ),
      },
      clock: { now, after },
      evaluate: wiring.evaluate,
      random: () => Math.random(),
      ...(acquire === undefined ? {} : { acquire: (wanted) => acquire(wanted) }),
      perform: async (given) => {
        const call: Call = texts.confidential ? { ...given, confidential: true } : given;
        const performed = await (CRASH_POINTS ? crashable(call, wiring) : wiring.perform(call));
        const grows = performed.kind === "success" && hasSensitive(performed.more ?? []);
        if (grows && !texts.confidential) await concealed(call.signal);
        return performed;
      },
      background: (work) => {
        ctx.waitUntil(work);
      },
      giveUp: (reason, cause) => {
        body.giveUp(reason, cause);
      },
      turned: () => {
        life.look();
        body.turned(life);
      },
      version: wiring.version,
    },
    { ...DEFAULT_LIMITS, callsPerEvent },
  );
  /** What the attempt answered is not dropped for a key that cannot be made just now: it waits as long as it may. */
  const concealed = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      try {
        return await body.conceal(driver);
      } catch (error) {
        log.error("run_key_not_made", { run: driver.state?.run.id, error });
        if (signal.aborted) throw error;
      }
      await new Promise<void>((resolve) => {
        after(NEXT_KEY_MS, resolve);
      });
    }
  };
  const life: Life = {
    driver,
    journal,
    outbox,
    reports,
    followers,
    queueing,
    load() {
      outbox.load();
      const { state, seq } = driver;
      if (state === null) return;
      for (const one of followers) one.load(state);
      // P3, W2: that an end was told can be seen by its alarm, which then stands at the retention: a day after the end at least.
      // By then nobody needs to know any more, and who was away for so long asks by itself: the lease has run out.
      const until = state.endedAt === null ? Infinity : state.endedAt + SHORTEST_RETENTION_MS;
      const told = Math.max(body.armedAt ?? 0, Date.now()) >= until;
      reports.load(state, seq, told);
      queueing.load(state, told, body.armedAt);
    },
    look() {
      const { state, seq } = driver;
      if (state === null) return;
      reports.look(state, seq);
      queueing.look(state);
      for (const one of followers) one.look(state);
    },
  };
  return life;
}

export function hasSensitive(steps: readonly StepDef[]): boolean {
  return steps.some(({ sensitive }) => sensitive === true);
}

/** One attempt with the points on its way: about to leave, and answered but not in the journal. */
async function crashable(call: Call, wiring: RunWiring): Promise<Performed> {
  const performed = await wiring.perform({
    ...call,
    sent: () => {
      call.sent();
      crashPoint("crash-point:attempt-sent");
    },
  });
  crashPoint("crash-point:attempt-answered");
  return performed;
}

/** Those of the writes that there are, one after the other; null: there are none. */
function all(writes: readonly ((() => void) | null)[]): (() => void) | null {
  const some = writes.filter((write) => write !== null);
  if (some.length === 0) return null;
  return () => {
    for (const write of some) write();
  };
}

function earliest(...times: readonly (number | null)[]): number | null {
  const some = times.filter((time) => time !== null);
  return some.length === 0 ? null : Math.min(...some);
}

function after(ms: number, wake: () => void): () => void {
  const timer = setTimeout(wake, ms);
  return () => {
    clearTimeout(timer);
  };
}
