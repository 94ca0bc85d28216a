/** Schedules, as requests write them and answers show them. */
import type {
  ListedSchedule,
  LoggedTick,
  ScheduleView,
  ScheduleWish,
  Timing,
  WishRefusal,
} from "../triggers/index.ts";
import type { PutSchedule } from "./request-schedules.ts";
import type { BodyOf } from "./schema.ts";

type Json = Readonly<Record<string, unknown>>;

const HOUR_MS = 60 * 60_000;
/** By hand, as keys of starts say it. */
const BY_HAND = "now:";

/** In the words of a request: where a part of a wish stands in it. */
const POINTERS: Readonly<Record<WishRefusal["part"], string>> = {
  expression: "/timing/expression",
  timezone: "/timing/timezone",
  everyMs: "/timing/every_ms",
  anchor: "/timing/anchor",
  at: "/timing/at",
  catchUpMs: "/catch_up_ms",
  jitterMs: "/jitter_ms",
  target: "/input",
};

export function pointerOf(part: WishRefusal["part"]): string {
  return POINTERS[part];
}

/** @param user as the access room says it; null: the tenant */
export function wishOf(
  body: BodyOf<typeof PutSchedule>,
  user: string | null,
  maker: ScheduleWish["maker"],
): ScheduleWish {
  const { workflow, version, input = {}, tags = [] } = body;
  return {
    timing: timingOf(body.timing),
    overlap: body.overlap ?? "skip",
    catchUpMs: body.catch_up_ms ?? HOUR_MS,
    jitterMs: body.jitter_ms ?? 0,
    target: {
      ...{ workflow, input, tags },
      ...(version === undefined ? {} : { version }),
      ...(user === null ? {} : { user }),
    },
    maker,
  };
}

function timingOf(timing: BodyOf<typeof PutSchedule>["timing"]): Timing {
  switch (timing.kind) {
    case "cron":
      return { kind: "cron", expression: timing.expression, timezone: timing.timezone ?? "UTC" };
    case "interval":
      return { kind: "interval", everyMs: timing.every_ms, anchor: timing.anchor ?? 0 };
    case "once":
      return timing;
  }
}

function viewTiming(timing: Timing): Json {
  if (timing.kind !== "interval") return timing;
  return { kind: "interval", every_ms: timing.everyMs, anchor: timing.anchor };
}

export function viewListed(schedule: ListedSchedule): Json {
  const { name, workflow, timing, paused, maker, createdAt, updatedAt } = schedule;
  return {
    ...{ name, workflow, timing: viewTiming(timing), paused, maker },
    ...{ created_at: createdAt, updated_at: updatedAt },
  };
}

export function viewSchedule(view: ScheduleView): Json {
  const { target, overlap, catchUpMs, jitterMs, revision, next, pending, ...listed } = view;
  const { workflow, version = null, input, user = null, tags } = target;
  return {
    ...viewListed({ ...listed, workflow }),
    ...{ version, input, user, tags, overlap, catch_up_ms: catchUpMs, jitter_ms: jitterMs, revision, next },
    pending: pending.map(({ tick, byHand, tries }) => ({ tick, by_hand: byHand, tries })),
  };
}

export function viewTick({ n, at, record }: LoggedTick): Json {
  if (record.t === "skipped") {
    const { from, to, reason } = record;
    return { n, at, what: record.t, from, to, reason };
  }
  const { tick, key } = record;
  const what = record.t === "started" ? { run: record.run } : { code: record.code, message: record.message };
  return { n, at, what: record.t, tick, by_hand: key.startsWith(BY_HAND), ...what };
}
