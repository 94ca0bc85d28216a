/** The Worker: its handler and its objects, composed from the workflows of this deployment. */

import { compose } from "./compose.ts";
import { WiredConnectionObject } from "./connections/index.ts";
import { WiredDirectoryObject } from "./directory/index.ts";
import { WiredQuotaObject } from "./quota-object.ts";
import { WiredCredentialObject, WiredIssuerObject } from "./identity/index.ts";
import { WiredRunObject } from "./run/index.ts";
import {
  WiredEndpointObject,
  WiredEventsObject,
  WiredFlowObject,
  WiredHookObject,
  WiredScheduleObject,
} from "./triggers/index.ts";
import { workflows } from "./workflows/index.ts";

const house = compose(workflows);

export class RunObject extends WiredRunObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).wiring(env));
  }
}

export class ConnectionObject extends WiredConnectionObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).lending(env));
  }
}

export class CredentialObject extends WiredCredentialObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).exchanging(env));
  }
}

export class HookObject extends WiredHookObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).hearing());
  }
}

export class EventsObject extends WiredEventsObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).dispatching(env));
  }
}

export class QuotaObject extends WiredQuotaObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).counting(env));
  }
}

export class DirectoryObject extends WiredDirectoryObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).sweeping(env));
  }
}

export class FlowObject extends WiredFlowObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).queueing(env));
  }
}

export class IssuerObject extends WiredIssuerObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).issuing(env));
  }
}

export class ScheduleObject extends WiredScheduleObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).scheduling(env));
  }
}

export class EndpointObject extends WiredEndpointObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).announcing(env));
  }
}

export default { fetch: house.fetch, scheduled: house.scheduled } satisfies ExportedHandler<Env>;
