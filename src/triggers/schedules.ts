/**
 * Schedules as a tenant manages them, and as the cron trigger looks after them. Owns the audit, which says what is to be done before
 * it is done, and the list. Whether the caller may is the door's to ask; everything else of a schedule is its object's.
 */
import { type AuditSink, inTime, type Logger } from "../platform/index.ts";
import {
  deleteLine,
  type ListedSchedule,
  selectLines,
  takeLines,
  upsertLine,
} from "./schedule-list-store.ts";
import type { ScheduleList } from "./schedule-ports.ts";
import type {
  LoggedTick,
  PutAnswer,
  ScheduleAnswer,
  ScheduleRpc,
  ScheduleView,
  ScheduleWish,
  Triggered,
} from "./schedule-rpc.ts";
import { CALL_MS } from "./schedule-starting.ts";
import { readWish } from "./schedule-wish.ts";
import type { Maker } from "./start-port.ts";

/** An alarm does what is due; asking is for one that was lost. Less than the catch-up window is, where nobody says another. */
const SILENT_MS = 30 * 60_000;
const MAX_POKED = 50;

export interface SchedulesDeps {
  readonly db: D1Database;
  /** A fresh stub each time. */
  readonly object: (tenant: string, name: string) => ScheduleRpc;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Who asks for what: `actor` as the audit writes it. */
export interface AskingFor {
  readonly tenant: string;
  readonly actor: string;
  readonly name: string;
}

export interface Schedules {
  list(tenant: string, after: string, limit: number): Promise<ListedSchedule[]>;
  put(asking: AskingFor, wish: ScheduleWish): Promise<PutAnswer>;
  view(tenant: string, name: string): Promise<ScheduleAnswer<ScheduleView>>;
  log(tenant: string, name: string, limit: number): Promise<ScheduleAnswer<readonly LoggedTick[]>>;
  pause(asking: AskingFor, reason: string | null): Promise<ScheduleAnswer<ScheduleView>>;
  resume(asking: AskingFor): Promise<ScheduleAnswer<ScheduleView>>;
  /** @param by whoever asks, with the policies that they stand under */
  trigger(asking: AskingFor, key: string, by: Maker): Promise<ScheduleAnswer<Triggered>>;
  /** Answers whether there was one. */
  remove(asking: AskingFor): Promise<boolean>;
  /** Asks objects that were not asked for long, with at most `calls` outside calls. Never throws. */
  sweep(calls: number): Promise<void>;
}

export function createSchedules({ db, object, audit, log, now }: SchedulesDeps): Schedules {
  const tell = async ({ tenant, actor, name }: AskingFor, action: string): Promise<void> => {
    await audit.write({
      ...{ at: now(), tenant, actor, action: `schedule.${action}`, target: name },
      ...{ outcome: "granted", detail: {} },
    });
  };
  /** Nothing is told of what is not there. */
  const change = async <T>(
    asking: AskingFor,
    action: string,
    work: (schedule: ScheduleRpc) => Promise<ScheduleAnswer<T>>,
  ): Promise<ScheduleAnswer<T>> => {
    const { tenant, name } = asking;
    const seen = await object(tenant, name).view(tenant);
    if (!seen.ok) return seen;
    await tell(asking, action);
    return work(object(tenant, name));
  };

  return {
    list: (tenant, after, limit) => selectLines(db, tenant, after, limit),
    view: (tenant, name) => object(tenant, name).view(tenant),
    log: (tenant, name, limit) => object(tenant, name).log(tenant, limit),

    async put(asking, wish) {
      // Asked of the object again, which is the one that counts: here so that the audit tells of nothing that cannot be.
      const read = readWish(wish, now());
      if (!read.ok) return { ok: false, code: "invalid", refusal: read.error };
      await tell(asking, "put");
      return object(asking.tenant, asking.name).put(asking.tenant, wish);
    },

    pause: (asking, reason) =>
      change(asking, "pause", (schedule) => schedule.pause(asking.tenant, asking.actor, reason)),

    resume: (asking) => change(asking, "resume", (schedule) => schedule.resume(asking.tenant)),

    trigger: (asking, key, by) =>
      change(asking, "trigger", (schedule) => schedule.trigger(asking.tenant, key, by)),

    async remove(asking) {
      const gone = await change(asking, "delete", async (schedule) => ({
        ok: true,
        value: await schedule.remove(asking.tenant),
      }));
      return gone.ok && gone.value;
    },

    async sweep(calls) {
      // One call finds those that are due.
      const limit = Math.min(calls - 1, MAX_POKED);
      if (limit <= 0) return;
      try {
        const at = now();
        const lines = await takeLines(db, { before: at - SILENT_MS, now: at, limit });
        const poked = await Promise.allSettled(
          lines.map(async ({ tenant, name }) =>
            inTime(async () => object(tenant, name).poke(tenant), CALL_MS),
          ),
        );
        const failed = poked.filter(({ status }) => status === "rejected").length;
        if (failed > 0) log.warn("schedules.not_asked", { failed });
      } catch (error) {
        log.error("schedules.not_swept", { error });
      }
    },
  };
}

/** The list, as the objects of schedules write it. */
export function scheduleListIn(db: D1Database): ScheduleList {
  return {
    put: (line) => upsertLine(db, line),
    remove: (tenant, name) => deleteLine(db, tenant, name),
  };
}
