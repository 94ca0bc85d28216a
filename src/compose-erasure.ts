/** Wires erasures: how each place of the house is reached. */
import { waitUntil } from "cloudflare:workers";
import { eraseUserCallers, eraseUserKeys, type KeyCache } from "./access/index.ts";
import { connectionObject } from "./compose-connections.ts";
import { eventsOf } from "./compose-triggers-events.ts";
import { flowOf } from "./compose-triggers-flow.ts";
import { hookObject } from "./compose-triggers-hooks.ts";
import { scheduleObject } from "./compose-triggers-schedules.ts";
import { eraseConnection, eraseConnections, eraseGrantLinks } from "./connections/index.ts";
import type { Directory, Place } from "./directory/index.ts";
import { type BeingErased, createErasures, type Erasures, type Places } from "./erasure/index.ts";
import type { Logger } from "./platform/index.ts";
import type { RunRpc } from "./run/index.ts";
import {
  eraseEvents,
  eraseHooks,
  eraseMessages,
  eraseOrigins,
  eraseSchedules,
  type EraseTriggersDeps,
  type EndpointRpc,
  type HookDesk,
  type Schedules,
} from "./triggers/index.ts";
import type { Json } from "./kernel/index.ts";

export interface ErasureParts {
  readonly keys: KeyCache;
  readonly run: (tenant: string, id: string) => RunRpc;
  readonly hooks: HookDesk;
  readonly schedules: Schedules;
  readonly endpoint: (tenant: string, endpoint: string) => EndpointRpc;
  readonly directory: Directory;
  readonly being: BeingErased;
  readonly log: Logger;
}

/** One per isolate. */
export function composeErasures(env: Env, parts: ErasureParts): Erasures {
  const { keys, run, directory, being, log } = parts;
  const db = env.DB;
  const now = (): number => Date.now();
  const connections = {
    db,
    object: (tenant: string, id: string) => connectionObject(env, tenant, id),
  };
  const triggers: EraseTriggersDeps = {
    ...{ db, hooks: parts.hooks, schedules: parts.schedules, endpoint: parts.endpoint },
    hook: (tenant, id) => hookObject(env, tenant, id),
    schedule: (tenant, name) => scheduleObject(env, tenant, name),
    events: (tenant, event) => eventsOf(env, tenant, event),
  };
  const places: Places = {
    keys: async (whose) => eraseUserKeys({ db, cache: keys }, whose, now()),
    hooks: async (whose) => eraseHooks(triggers, whose),
    schedules: async (whose, page) => eraseSchedules(triggers, whose, page),
    connections: async (whose, page, note) => eraseConnections(connections, whose, page, note),
    connection: async (whose, id, note) => eraseConnection(connections, whose, id, note),
    links: async ({ tenant, user }) => eraseGrantLinks(db, tenant, user),
    events: async (whose, page) => eraseEvents(triggers, whose, page),
    async listRuns({ tenant, user }, after, limit) {
      const { runs, next } = await directory.page(tenant, { filter: { user }, after, limit });
      return { runs: runs.map((one): Place => ({ startedAt: one.started_at, id: one.id })), next };
    },
    run: async (tenant, id, how) => run(tenant, id).erase(tenant, how),
    async aroundRun(tenant, id, { workflow, queued, place, startedBy, events }) {
      await eraseOrigins(triggers, tenant, { run: id, startedBy, heard: events });
      // What a run pins is JSON.
      if (queued) await flowOf(env, tenant, workflow).erase(tenant, id, place as Json);
    },
    unlistRuns: async (tenant, runs) => directory.erase(tenant, runs),
    messages: async (tenant, whose) => eraseMessages(triggers, tenant, whose),
    callers: async ({ tenant, user }) => eraseUserCallers(db, tenant, user),
  };
  return createErasures({
    ...{ db, places, being, log, now },
    defer: (work) => {
      waitUntil(work);
    },
  });
}
