/** The same workflow in two builds: in the new one, one function says something else, and another is gone. */

import { compose } from "../../src/compose.ts";
import { createRegistry, workflow } from "../../src/define/index.ts";
import { objectName } from "../../src/platform/index.ts";
import { WiredDirectoryObject } from "../../src/directory/index.ts";
import { WiredRunObject, type Command, type RunRpc } from "../../src/run/index.ts";

declare const BUILD: "old" | "new";

const TENANT = "default";

const begun = workflow("t-deploy", { version: "1" })
  .step("book", {
    effect: "keyed",
    timeout: "60s",
    retry: { attempts: 3, initial: "50ms", jitter: "none" },
    http: {
      method: "POST",
      url: "https://api.skyline.example/bookings",
      auth: { bearer: "SKYLINE_TOKEN" },
      headers: ({ run }) => ({ "x-reference": run.id }),
      json: { from: "VIE", to: "LIS", date: "2026-12-01", traveller: "Ada" },
    },
  })
  .step("say", { needs: ["book"], effect: "safe", run: () => `said by the ${BUILD} build` });

const whole = begun.step("last", {
  needs: ["say"],
  effect: "safe",
  retry: { attempts: 1 },
  run: () => "the end",
});

const registry = createRegistry([whole]);
const house = compose([BUILD === "old" ? whole : begun]);

export class RunObject extends WiredRunObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { ...house.at(ctx).wiring(env), version: BUILD });
  }
}

export class DirectoryObject extends WiredDirectoryObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).sweeping(env));
  }
}

/** `/start?id=`, `/view?id=&wait=`, `/events?id=`, `/redrive?id=`: the run's RPC over HTTP, for the test. */
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const id = url.searchParams.get("id") ?? "";
    if (id === "") return new Response("up");
    const stub: unknown = env.RUN.getByName(objectName("run", TENANT, id));
    return Response.json(await ask(stub as RunRpc, url, id));
  },
} satisfies ExportedHandler<Env>;

async function ask(run: RunRpc, url: URL, id: string): Promise<unknown> {
  const viewer = { tenant: TENANT };
  const redrive: Command = { t: "redrive", by: "key:test", resolve: [] };
  switch (url.pathname) {
    case "/start":
      return run.start({
        ...{
          tenant: TENANT,
          id,
          workflow: "t-deploy",
          version: "1",
          input: {},
          user: null,
          startedBy: "key:test",
        },
        ...{ open: false, tags: [], traceparent: null, bodyDigest: "digest" },
        graph: registry.get("t-deploy")?.graph() ?? {
          steps: [],
          deadlineMs: 1,
          undoBudgetMs: 1,
          idleLimitMs: 1,
        },
      });
    case "/events":
      return run.events(viewer, { after: 0, limit: 1_000 });
    case "/redrive":
      return run.command(viewer, redrive);
    default:
      return run.view(viewer, { waitMs: Number(url.searchParams.get("wait") ?? 0) });
  }
}
