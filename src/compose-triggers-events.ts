/** Wires events: what they need from runs, workflows and keys, and how steps that wait for them tell so. */
import { makerStands } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import { eventExpressions, type Registry, type StoredPlans } from "./define/index.ts";
import { type Logger, objectName, type RunSource } from "./platform/index.ts";
import { createHearing, type Listener, type RunRpc } from "./run/index.ts";
import type { EventsPorts, EventsRpc, Starter } from "./triggers/index.ts";

interface EventsParts {
  readonly starter: () => Starter;
  readonly workflows: Registry;
  readonly plans: StoredPlans;
  /** The object of a run; a fresh stub each time. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly log: Logger;
}

/** What an events object is given when it is constructed. */
export function eventsPorts({ DB: db }: Env, parts: EventsParts): EventsPorts {
  const { starter, workflows, plans, runs, runIdOf, log } = parts;
  const now = (): number => Date.now();
  return {
    start: async (start) => starter().start(start),
    async subscribers(tenant, event) {
      // A deploy may have taken the name of a plan: then that is what the name means.
      const stored = (await plans.subscribers(tenant, event)).filter(
        ({ workflow }) => workflows.get(workflow) === null,
      );
      const own = workflows
        .list()
        .filter((one) => workflows.get(one.name) === one)
        .flatMap(({ name: workflow, on }) =>
          on.flatMap((subscription) => (subscription.event === event ? [{ workflow, subscription }] : [])),
        );
      return [...own, ...stored];
    },
    makerStands: async (tenant, maker) => makerStands({ db }, tenant, maker, now()),
    async wasStarted(tenant, run, bodyDigest) {
      const before = await runs(tenant, run).startedBefore(tenant, bodyDigest);
      if (before === null || before.ok) return before !== null;
      // What else it may answer is of a run that is there, or was.
      if (before.code === "unavailable") throw new Error(`The run ${run} cannot say how it stands just now.`);
      return true;
    },
    runIdOf,
    async hear(tenant, { run, step, since }, { name, key, data, only }) {
      const heard = await runs(tenant, run).hear(tenant, {
        ...{ step, since, id: key, payload: data, by: `event:${name}` },
        ...(only === null ? {} : { onlyUser: only }),
      });
      if (heard.ok) return { kind: heard.value };
      const { code, message } = heard;
      // The run cannot go on just now.
      if (code === "unavailable") throw new Error(`The run ${run} does not hear just now: ${message}`);
      const isOver = [
        "not_found",
        "run_deleted",
        "run_ended",
        "already_ending",
        "signal_not_expected",
      ].includes(code);
      return isOver ? { kind: "over" } : { kind: "refused", code, message };
    },
    expressions: {
      condition: (text, event) => eventExpressions().condition(text, event),
      filled: (template, event) => eventExpressions().filled(template, event),
    },
    log,
    now,
  };
}

export function eventsOf(env: Env, tenant: string, event: string): EventsRpc {
  return objectNamed(env.EVENTS, env.DB, objectName("events", tenant, event)) as EventsRpc;
}

/** How runs tell that steps of theirs wait for events. */
export function hearingOf(env: Env): Listener {
  return createHearing({
    listen: async (tenant, event, waiting) => eventsOf(env, tenant, event).listen(tenant, waiting),
    forget: async (tenant, event, waiting) => eventsOf(env, tenant, event).forget(tenant, waiting),
  });
}
