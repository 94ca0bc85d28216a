/**
 * The Worker of the crash tests, whole, with a database that fails when it is told to, and a door at which it is told: under
 * `/.gameday`, where the product has nothing.
 */
import * as house from "../crash/worker.ts";
import { FailingDatabase, type Outage } from "./database.ts";

const database = new FailingDatabase();
const environments = new WeakMap<Env, Env>();

/** One for each environment: rooms keep what they made of it. */
function failing(env: Env): Env {
  const known = environments.get(env);
  if (known !== undefined) return known;
  const wrapped: Env = { ...env, DB: database.wrap(env.DB) };
  environments.set(env, wrapped);
  return wrapped;
}

export class RunObject extends house.RunObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class HookObject extends house.HookObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class ConnectionObject extends house.ConnectionObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class FlowObject extends house.FlowObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class ScheduleObject extends house.ScheduleObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class EndpointObject extends house.EndpointObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class IssuerObject extends house.IssuerObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class CredentialObject extends house.CredentialObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class EventsObject extends house.EventsObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class QuotaObject extends house.QuotaObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export class DirectoryObject extends house.DirectoryObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, failing(env));
  }
}

export default {
  async fetch(request, env) {
    switch (new URL(request.url).pathname) {
      case "/.gameday/database":
        if (request.method === "POST") database.order(await request.json<Outage[]>());
        return Response.json(database.tally);
      case "/.gameday/tick": {
        const controller = { scheduledTime: Date.now(), cron: "*/5 * * * *", noRetry: () => {} };
        try {
          await house.default.scheduled(controller, failing(env));
          return new Response("swept");
        } catch (error) {
          return new Response(String(error), { status: 500 });
        }
      }
      default:
        return house.default.fetch(request, failing(env));
    }
  },
} satisfies ExportedHandler<Env>;
