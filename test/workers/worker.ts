/** The product, composed from the workflows of the tests beside its own examples, with a listener that tests can see. */

import { compose } from "../../src/compose.ts";
import { WiredConnectionObject } from "../../src/connections/index.ts";
import { WiredDirectoryObject } from "../../src/directory/index.ts";
import { WiredQuotaObject } from "../../src/quota-object.ts";
import { WiredIssuerObject } from "../../src/identity/index.ts";
import {
  WiredRunObject,
  type Message,
  type RunReport,
  type RunRpc,
  type RunWiring,
} from "../../src/run/index.ts";
import type { UseSink } from "../../src/platform/index.ts";
import { workflows } from "../../src/workflows/index.ts";
import { houses } from "./connection-house.ts";
import { endpointHouse } from "./endpoint-house.ts";
import { issuerHouses } from "./issuer-house.ts";
import {
  type CredentialAnswer,
  type CredentialRequest,
  WiredCredentialObject,
} from "../../src/identity/index.ts";
import { credentialHouses } from "./credential-house.ts";
import {
  type FlowRpc,
  WiredEndpointObject,
  WiredEventsObject,
  WiredFlowObject,
  WiredHookObject,
  WiredScheduleObject,
} from "../../src/triggers/index.ts";
import { eventHouses } from "./event-house.ts";
import { scheduleHouses } from "./schedule-house.ts";
import { queues } from "./queue-double.ts";
import { testRecords } from "./sealed-records.ts";
import { lending } from "./lending.ts";
import { testWorkflows } from "./workflows.ts";

/** What the outbox delivered, by run; `refuse` makes the next deliveries of a run fail. */
export const heard = new Map<string, Message[]>();
export const refuse = new Map<string, number>();

const house = compose(
  [...workflows, ...testWorkflows],
  [
    {
      name: "test",
      // Only of runs that ask for it: a message moves the alarm, and most tests look at that.
      message: (fact, after) =>
        !after.run.tags.includes("heard")
          ? null
          : fact.t === "run_started" || fact.t === "ended"
            ? { what: fact.t }
            : fact.t === "asked"
              ? { what: fact.t, id: fact.id, until: fact.limitAt, about: fact.about ?? fact.text }
              : null,
      deliver: async (message) => {
        const left = refuse.get(message.run) ?? 0;
        if (left > 0) {
          refuse.set(message.run, left - 1);
          throw new Error("the listener is away");
        }
        heard.set(message.run, [...(heard.get(message.run) ?? []), message]);
      },
    },
  ],
  ({ DB }) => [testRecords(DB)],
);

export class RunObject extends WiredRunObject {
  constructor(ctx: DurableObjectState, env: Env) {
    // A test that stands for a deploy gives the next life of an object another version.
    const wiring = house.at(ctx).wiring(env);
    const directory = {
      report: async (report: RunReport) => {
        const fate = reports.fate;
        if (fate === "lost") return;
        if (fate === "refused") throw new Error("the directory is away");
        if (fate === "stuck") await new Promise(() => {});
        await wiring.directory?.report(report);
      },
    };
    const uses: UseSink = {
      write: async (told) => {
        const fate = audits.fates.get(told[0]?.run ?? "")?.shift() ?? "taken";
        if (fate === "refused") throw new Error("the audit is away");
        await wiring.uses?.write(told);
        if (fate === "answer lost") throw new Error("the answer of the audit was lost");
      },
    };
    super(ctx, env, {
      ...wiring,
      directory,
      uses,
      flow: queues.port(wiring.flow),
      version: versions.current,
      callsPerEvent,
      keys: keys.current ?? wiring.keys,
      // What a test lends goes before what connections lend.
      acquire: (wanted) => lending.acquire(wanted) ?? wiring.acquire?.(wanted) ?? null,
      perform: (call) => lending.perform(call, wiring.perform),
    });
  }

  override async admitted(...told: Parameters<RunRpc["admitted"]>): ReturnType<RunRpc["admitted"]> {
    queueCalls.admitted += 1;
    return super.admitted(...told);
  }
}

export class ConnectionObject extends WiredConnectionObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, houses.current?.wiring(ctx) ?? house.at(ctx).lending(env));
  }
}

export class CredentialObject extends WiredCredentialObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, credentialHouses.current?.wiring(ctx) ?? house.at(ctx).exchanging(env));
  }

  override async get(request: CredentialRequest): Promise<CredentialAnswer> {
    credentialHouses.current?.asks();
    return super.get(request);
  }
}

export class HookObject extends WiredHookObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).hearing());
  }
}

export class QuotaObject extends WiredQuotaObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).counting(env));
  }
}

export class DirectoryObject extends WiredDirectoryObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).sweeping({ ...env, METRICS: dataset }));
  }
}

export class FlowObject extends WiredFlowObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).queueing(env));
  }

  override async enqueue(...asked: Parameters<FlowRpc["enqueue"]>): ReturnType<FlowRpc["enqueue"]> {
    queueCalls.enqueue += 1;
    return super.enqueue(...asked);
  }

  override async release(...told: Parameters<FlowRpc["release"]>): Promise<void> {
    queueCalls.release += 1;
    return super.release(...told);
  }
}

/** What was written to the data set of Analytics Engine. */
export const points: AnalyticsEngineDataPoint[] = [];
const dataset: AnalyticsEngineDataset = {
  writeDataPoint(point) {
    if (point !== undefined) points.push(point);
  },
};

/** Calls between runs and their queues, of all of them. */
export const queueCalls = { enqueue: 0, release: 0, admitted: 0 };

export class IssuerObject extends WiredIssuerObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, issuerHouses.current?.wiring() ?? house.at(ctx).issuing(env));
  }
}

export class EventsObject extends WiredEventsObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, eventHouses.of(house.at(ctx).dispatching(env), ctx));
  }
}

export class ScheduleObject extends WiredScheduleObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(
      ctx,
      env,
      scheduleHouses.current?.ports(ctx) ?? { ...house.at(ctx).scheduling(env), now: scheduleHouses.now },
    );
  }
}

export class EndpointObject extends WiredEndpointObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, endpointHouse.ports(ctx, house.at(ctx).announcing(env)));
  }
}

/** What becomes of the reports that runs send to the directory themselves. */
export const reports: { fate: "taken" | "lost" | "refused" | "stuck" } = { fate: "taken" };

/** What becomes of the next words of a run to the audit of uses. */
export const audits = { fates: new Map<string, ("taken" | "refused" | "answer lost")[]>() };

/** What seals the keys of confidential runs, of objects whose life begins from now on; null: the house's own. */
export const keys: { current: RunWiring["keys"] | null } = { current: null };

let callsPerEvent = 1_000;

/** For objects whose life begins from now on. */
export function setCallsPerEvent(calls: number): void {
  callsPerEvent = calls;
}

/** The Worker's version that a new life of an object sees. */
export const versions = { current: "v1" };

export default { fetch: house.fetch, scheduled: house.scheduled } satisfies ExportedHandler<Env>;
