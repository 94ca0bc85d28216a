/** Wires schedules: their objects, what these need of runs and makers, and the list of each tenant. */
import { createAccessAudit, makerStands } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import { type Logger, objectName, type RunSource } from "./platform/index.ts";
import type { RunErrorCode, RunRpc } from "./run/index.ts";
import {
  createSchedules,
  scheduleListIn,
  type SchedulePorts,
  type ScheduleRpc,
  type Schedules,
  type Starter,
} from "./triggers/index.ts";

interface ScheduleParts {
  readonly starter: Starter;
  /** The object of a run; a fresh stub each time. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly log: Logger;
}

export interface ComposedSchedules {
  readonly schedules: Schedules;
  /** What a schedule object is given when it is constructed. */
  readonly ports: SchedulePorts;
}

/** Answers of a run that has ended, or is on its way there. */
const OVER: ReadonlySet<RunErrorCode> = new Set(["not_found", "not_started", "run_deleted", "run_ended"]);
const ENDING: ReadonlySet<RunErrorCode> = new Set([...OVER, "already_ending"]);

export function composeSchedules(
  env: Env,
  { starter, runs, runIdOf, log }: ScheduleParts,
): ComposedSchedules {
  const now = (): number => Date.now();
  return {
    schedules: createSchedules({
      ...{ db: env.DB, audit: createAccessAudit(env.DB), log, now },
      object: (tenant, name) => scheduleObject(env, tenant, name),
    }),
    ports: {
      runIdOf,
      async wasStarted({ tenant, run, bodyDigest }) {
        const before = await runs(tenant, run).startedBefore(tenant, bodyDigest);
        if (before === null || before.ok) return before !== null;
        // What else it may answer is of a run that is there, or was.
        if (before.code === "unavailable")
          throw new Error(`The run ${run} cannot say how it stands just now.`);
        return true;
      },
      async start({ tenant, schedule, run, target, maker, bodyDigest }) {
        const { user = null, ...wanted } = target;
        const outcome = await starter.start({
          ...{ tenant, id: run, target: wanted, user, maker, bodyDigest },
          ...{ startedBy: `schedule:${schedule}`, traceparent: null },
        });
        if (outcome.kind === "refused") return outcome;
        return { kind: "started" };
      },
      async isLive(tenant, run) {
        const view = await runs(tenant, run).view({ tenant });
        if (view.ok) return !["succeeded", "failed", "cancelled"].includes(view.value.status);
        if (OVER.has(view.code)) return false;
        throw new Error(`The run ${run} cannot say how it stands just now: ${view.code}.`);
      },
      async cancel(tenant, run, by) {
        const told = await runs(tenant, run).command({ tenant }, { t: "cancel", mode: "graceful", by });
        if (!told.ok && !ENDING.has(told.code))
          throw new Error(`The run ${run} cannot be cancelled just now: ${told.code}.`);
      },
      makerStands: (tenant, maker) => makerStands({ db: env.DB }, tenant, maker, now()),
      list: scheduleListIn(env.DB),
      ...{ log, now },
    },
  };
}

function scheduleObject(env: Env, tenant: string, name: string): ScheduleRpc {
  return objectNamed(env.SCHEDULE, env.DB, objectName("schedule", tenant, name)) as ScheduleRpc;
}
