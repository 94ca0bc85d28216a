/** The product, composed as it is deployed, with the workflow of the crash tests and a listener that speaks to the harness. */
import { env } from "cloudflare:workers";
import { compose } from "../../src/compose.ts";
import { WiredConnectionObject } from "../../src/connections/index.ts";
import { WiredDirectoryObject } from "../../src/directory/index.ts";
import { WiredQuotaObject } from "../../src/quota-object.ts";
import { WiredCredentialObject, WiredIssuerObject } from "../../src/identity/index.ts";
import { WiredRunObject } from "../../src/run/index.ts";
import {
  WiredEndpointObject,
  WiredEventsObject,
  WiredFlowObject,
  WiredHookObject,
  WiredScheduleObject,
} from "../../src/triggers/index.ts";
import { workflows } from "../../src/workflows/index.ts";
import { hammer } from "./hammer.ts";
import { SINK_HOST } from "./sink.ts";

const house = compose(
  [...workflows, hammer],
  [
    {
      name: "sink",
      message: (fact) => (fact.t === "run_started" || fact.t === "ended" ? { what: fact.t } : null),
      deliver: async ({ run, version, body }) => {
        const ports = JSON.parse(env.DEV_HOSTS ?? "{}") as Record<string, number>;
        const answer = await fetch(`http://127.0.0.1:${ports[SINK_HOST]}/`, {
          method: "POST",
          body: JSON.stringify({ run, version, body }),
        });
        await answer.body?.cancel();
        if (!answer.ok) throw new Error(`the sink answered ${answer.status}`);
      },
    },
  ],
);

export class RunObject extends WiredRunObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).wiring(environment));
  }
}

export class HookObject extends WiredHookObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).hearing());
  }
}

export class ConnectionObject extends WiredConnectionObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).lending(environment));
  }
}

export class FlowObject extends WiredFlowObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).queueing(environment));
  }
}

export class ScheduleObject extends WiredScheduleObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).scheduling(environment));
  }
}

export class EndpointObject extends WiredEndpointObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).announcing(environment));
  }
}

export class IssuerObject extends WiredIssuerObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).issuing(environment));
  }
}

export class CredentialObject extends WiredCredentialObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).exchanging(environment));
  }
}

export class EventsObject extends WiredEventsObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).dispatching(environment));
  }
}

export class QuotaObject extends WiredQuotaObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).counting(environment));
  }
}

export class DirectoryObject extends WiredDirectoryObject {
  constructor(ctx: DurableObjectState, environment: Env) {
    super(ctx, environment, house.at(ctx).sweeping(environment));
  }
}

export default { fetch: house.fetch, scheduled: house.scheduled } satisfies ExportedHandler<Env>;
