/**
 * Performs what the state machine wants done, over ports: starts, questions about runs, cancels.
 *
 * - P1 nothing here throws: whatever fails or takes too long is told as such, and the state machine decides when it is tried again.
 * - P2 a start that was tried before is looked for first; only where there is none, the maker is asked for and may be refused.
 * - P3 the id of a run derives from the schedule and the key of the start, and what is started from the revision that was
 *      decided: every try of one start asks for the same run.
 * - P4 what somebody asks for by hand is started under their policies as well: who could not start it does not have it started.
 */
import { digestJson, inTime } from "../platform/index.ts";
import type { ScheduledStart, SchedulePorts } from "./schedule-ports.ts";
import type { Pending, Todo, Told } from "./schedule-state.ts";
import type { KeptTarget } from "./schedule-store.ts";
import type { Maker } from "./start-port.ts";

/** Less than FLIGHT_MS: nobody waits for a try any more when the next one begins. */
export const CALL_MS = 20_000;

export interface Whose {
  readonly tenant: string;
  readonly schedule: string;
  readonly target: (revision: number) => KeptTarget | null;
}

export async function perform(todo: Todo, whose: Whose, ports: SchedulePorts): Promise<Told> {
  try {
    return await inTime(async () => performNow(todo, whose, ports), CALL_MS);
  } catch (error) {
    const { tenant, schedule } = whose;
    ports.log.warn("schedule.call_failed", { tenant, schedule, call: todo.t, error });
    if (todo.t === "start") return { t: "lost", key: todo.start.key };
    return { t: todo.t === "ask" ? "unsure" : "not_cancelled", run: todo.run };
  }
}

async function performNow(todo: Todo, whose: Whose, ports: SchedulePorts): Promise<Told> {
  switch (todo.t) {
    case "start":
      return start(todo.start, whose, ports);
    case "ask":
      return { t: (await ports.isLive(whose.tenant, todo.run)) ? "live" : "over", run: todo.run };
    case "cancel":
      await ports.cancel(whose.tenant, todo.run, startedBy(whose.schedule));
      return { t: "cancelled", run: todo.run };
  }
}

async function start(pending: Pending, whose: Whose, ports: SchedulePorts): Promise<Told> {
  const { key, tick, revision, tries, by } = pending;
  const { tenant, schedule } = whose;
  const kept = whose.target(revision);
  if (kept === null) return refused(key, "target_lost", "What was to be started is not here.");
  const { target, maker } = kept;
  const run = await runOf(ports, whose, key);
  const bodyDigest = await digestJson({ key, target, maker });
  const wanted: ScheduledStart = {
    ...{ tenant, schedule, run, tick, target, maker, bodyDigest },
    byHand: isByHand(key),
  };
  // P2.
  if (tries > 1 && (await ports.wasStarted(wanted))) return { t: "started", key, run };
  if (!(await ports.makerStands(tenant, maker)))
    return {
      ...refused(key, "maker_revoked", "The key that made the schedule may not act any more."),
      pause: true,
    };
  const outcome = await ports.start({ ...wanted, maker: together(maker, by) });
  return outcome.kind === "started"
    ? { t: "started", key, run }
    : refused(key, outcome.code, outcome.message);
}

/** P4. */
function together(maker: Maker, by: Maker | undefined): Maker {
  if (by === undefined || by.actor === maker.actor) return maker;
  return { ...maker, policies: [...maker.policies, ...by.policies], also: [by.actor] };
}

export async function runOf(
  ports: Pick<SchedulePorts, "runIdOf">,
  { tenant, schedule }: Pick<Whose, "tenant" | "schedule">,
  key: string,
): Promise<string> {
  return ports.runIdOf({ tenant, kind: "schedule", id: schedule, idempotencyKey: key });
}

export function handKey(key: string): string {
  return `now:${key}`;
}

export function isByHand(key: string): boolean {
  return key.startsWith("now:");
}

/** As the run shows who started it, and who cancels it. */
export function startedBy(schedule: string): string {
  return `schedule:${schedule}`;
}

function refused(key: string, code: string, message: string): Extract<Told, { t: "refused" }> {
  return { t: "refused", key, code, message, pause: false };
}
