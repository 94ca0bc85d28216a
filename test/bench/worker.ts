/** The three sides in one Worker: the product, its twin on Cloudflare Workflows, and a bare object. */
import { DurableObject, WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { compose } from "../../src/compose.ts";
import { createRegistry } from "../../src/define/index.ts";
import { digestJson, objectName, randomId } from "../../src/platform/index.ts";
import { WiredDirectoryObject } from "../../src/directory/index.ts";
import { WiredQuotaObject } from "../../src/quota-object.ts";
import { WiredRunObject, type RunRpc } from "../../src/run/index.ts";
import { WiredHookObject } from "../../src/triggers/index.ts";
import { beginOf, BENCH_HOST, ECHO, NOTHING, reportPath, workflowName, type Chain } from "./shapes.ts";
import { createSides } from "./delivery-sides.ts";
import { chains, delivered } from "./workflows.ts";

interface BenchEnv extends Env {
  readonly TWIN: Workflow<Chain>;
  readonly FLOOR: DurableObjectNamespace<Floor>;
}

const house = compose([...chains, delivered]);
const sides = createSides();
const registry = createRegistry(chains);

export class RunObject extends WiredRunObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).wiring(env));
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

export class HookObject extends WiredHookObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).hearing());
  }
}

/** The same chain as a workflow of Cloudflare Workflows. */
export class Twin extends WorkflowEntrypoint<BenchEnv, Chain> {
  override async run({ payload }: WorkflowEvent<Chain>, step: WorkflowStep): Promise<void> {
    const { kind, steps, report } = payload;
    for (let i = 0; i < steps - 1; i++) {
      await step.do(`s${i}`, async () => {
        if (kind === "http") await call(this.env, ECHO);
        return NOTHING;
      });
    }
    await step.do("report", async () => {
      await call(this.env, reportPath(report));
      return NOTHING;
    });
  }
}

/** What the platform needs at least: per step one commit, and one request where the step makes one. */
export class Floor extends DurableObject<BenchEnv> {
  /** One delivery. Answered when it is stored, as the platform does. */
  async keep(body: string): Promise<void> {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE deliveries (body TEXT NOT NULL) STRICT");
    sql.exec("INSERT INTO deliveries VALUES (?)", body);
  }

  async run({ kind, steps, report }: Chain): Promise<void> {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE steps (i INTEGER PRIMARY KEY, output TEXT NOT NULL) STRICT");
    for (let i = 0; i < steps; i++) {
      sql.exec("INSERT INTO steps VALUES (?, ?)", i, JSON.stringify(NOTHING));
      if (i === steps - 1) await call(this.env, reportPath(report));
      else if (kind === "http") await call(this.env, ECHO);
    }
  }
}

async function call(env: BenchEnv, path: string): Promise<void> {
  const ports = JSON.parse(env.DEV_HOSTS ?? "{}") as Record<string, number>;
  await (await fetch(`http://127.0.0.1:${ports[BENCH_HOST]}${path}`)).text();
}

/** The product's own start, without the door: what its API does once it knows who asks. */
async function startRun(env: Env, chain: Chain): Promise<void> {
  const workflow = registry.get(workflowName(chain));
  const parsed = workflow?.parseInput({ report: chain.report });
  if (workflow === null || parsed?.ok !== true) throw new TypeError("there is no such chain");
  const id = randomId("run");
  const stub: unknown = env.RUN.getByName(objectName("run", "default", id));
  const started = await (stub as RunRpc).start({
    tenant: "default",
    id,
    workflow: workflow.name,
    version: workflow.version,
    graph: workflow.graph(),
    input: parsed.value,
    user: null,
    startedBy: "key:bench",
    open: false,
    tags: [],
    traceparent: null,
    bodyDigest: await digestJson({ workflow: workflow.name, input: parsed.value }),
  });
  if (!started.ok) throw new Error(`${started.code}: ${started.message}`);
}

const SIDES: Readonly<Record<string, (env: BenchEnv, chain: Chain) => Promise<unknown>>> = {
  showcaller: startRun,
  workflows: (env, chain) => env.TWIN.create({ params: chain }),
  floor: (env, chain) => env.FLOOR.getByName(crypto.randomUUID()).run(chain),
};

export default {
  /**
   * `POST /<side>?count=N` with a chain: tells the service that it begins, starts the chain so many times, and answers when
   * all are started. Deliveries go to the product, or to one of those beside it.
   */
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (/^\/(?:hooks|v1)\//.test(url.pathname)) return house.fetch(request, env);
    if (url.pathname === "/bare" || url.pathname === "/kept") return sides.fetch(request, env, ctx);
    const start = SIDES[url.pathname.slice(1)];
    if (start === undefined) return new Response(null, { status: 404 });
    const chain: Chain = await request.json();
    const count = Number(url.searchParams.get("count") ?? 1);
    await call(env, reportPath(beginOf(chain.report)));
    await Promise.all(Array.from({ length: count }, () => start(env, chain)));
    return new Response(null, { status: 204 });
  },
} satisfies ExportedHandler<BenchEnv>;
