/** That every use of a credential comes to the audit, once, and is found there. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createUseAudit, listAudit } from "../../src/access/index.ts";
import { Lent } from "../../src/actions/index.ts";
import { compileSteps } from "../../src/define/index.ts";
import { limits, type Json } from "../../src/kernel/index.ts";
import { type CredentialUse, type Lease, randomId } from "../../src/platform/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { lending, need } from "./lending.ts";
import { ended, events, start, type Started, TENANT, until } from "./run-support.ts";
import { audits } from "./worker.ts";

const HOST = "api.bench.example";
const REF = { connection: "google" };

afterEach(() => {
  vi.useRealTimers();
});

function leaseOf(connection: string): Lease {
  return {
    about: { connection, integration: "google", account: "default", version: 3 },
    headers: { authorization: "Bearer a-token-that-nobody-keeps" },
    defaults: {},
    secrets: ["a-token-that-nobody-keeps"],
    keepHeaders: [],
    refusalFor: () => null,
    read: () => undefined,
    renew: async () => ({ kind: "needs", need: need() }),
    limited: async () => {},
    dead: async () => {},
    need: () => need(),
  };
}

const asks = (...needs: string[]): Record<string, Json> => ({
  action: "http",
  needs,
  with: { method: "GET", url: `https://${HOST}/echo?id=uses`, auth: REF },
});

/** A run whose steps `s…` use this connection, one after the other. */
async function begun(
  connection: string,
  steps: Record<string, Json>,
  id = randomId("run"),
): Promise<Started> {
  const compiled = compileSteps(steps);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const lease = leaseOf(connection);
  for (const { name, action } of compiled.steps)
    lending.says(
      id,
      name,
      action === "http"
        ? { kind: "ready", lease: new Lent([[REF, lease]]), about: [{ ...lease.about }] }
        : "none",
    );
  const graph = {
    steps: compiled.steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
  return start("t-sleep", {}, { id, graph, tags: ["lent"], user: "ada" });
}

async function usesOf(run: Started): Promise<readonly Record<string, unknown>[]> {
  const { entries } = await listAudit(env.DB, TENANT, { run: run.id }, { limit: 1_000 });
  return entries.map(({ id, target, detail }) => ({ id, target, ...detail }));
}

const marked = async (run: Started): Promise<boolean> =>
  runInDurableObject(run.stub(), (_object, { storage }) => storage.kv.get("uses") !== undefined);

async function told(run: Started): Promise<void> {
  await vi.waitUntil(async () => !(await marked(run)), { timeout: 5_000, interval: 10 });
}

describe("a use of a credential", () => {
  it("is in the audit when its run has ended: which, for whom, where to, and how the attempt ended", async () => {
    const run = await begun("conn_whole", { s0: asks(), s1: asks("s0") });
    await ended(run);
    await told(run);
    // Without the label of the account, which could tell who the user is.
    const credential = { connection: "conn_whole", integration: "google", version: 3 };
    const of = (unit: string) => ({
      ...{
        id: `${run.id}.${unit}.a1.0`,
        target: "conn_whole",
        run: run.id,
        workflow: "t-sleep",
        user: "ada",
      },
      ...{ unit, attempt: 1, credential, hosts: [HOST], more_hosts: 0, ended: "success" },
    });
    expect((await usesOf(run)).toSorted((a, b) => (String(a["id"]) < String(b["id"]) ? -1 : 1))).toEqual([
      of("s0"),
      of("s1"),
    ]);
    expect(JSON.stringify(await usesOf(run))).not.toContain("a-token-that-nobody-keeps");
    expect((await events(run)).filter(({ type }) => type === "used")).toHaveLength(2);
  });

  it("is there once, however often it was told, and though the audit was away", async () => {
    const id = randomId("run");
    audits.fates.set(id, ["answer lost", "refused", "answer lost"]);
    const run = await begun("conn_again", { s0: asks(), s1: asks("s0") }, id);
    expect((await ended(run)).status).toBe("succeeded");
    const retried = async () => {
      vi.setSystemTime(Date.now() + 60_000);
      await runDurableObjectAlarm(run.stub());
      return !(await marked(run));
    };
    await vi.waitUntil(retried, { timeout: 4_000, interval: 20 });
    expect(audits.fates.get(id)).toEqual([]);
    expect((await usesOf(run)).map(({ ended: as }) => as)).toEqual(["success", "success"]);
  });

  it("is told when the run comes to a long wait; what came after, at the end", async () => {
    const run = await begun("conn_waits", {
      s0: asks(),
      rest: { action: "wait", needs: ["s0"], with: { signal: "go" } },
      s1: asks("rest"),
    });
    await until(run, ({ status }) => status === "waiting");
    await told(run);
    expect((await usesOf(run)).map(({ unit }) => unit)).toEqual(["s0"]);
    await run
      .stub()
      .command({ tenant: TENANT }, { t: "signal", id: "1", name: "go", payload: null, by: "ada" });
    await ended(run);
    await told(run);
    expect(new Set((await usesOf(run)).map(({ unit }) => unit))).toEqual(new Set(["s0", "s1"]));
  });

  it("that a life did not tell any more is told by the next one, without having been asked for", async () => {
    const id = randomId("run");
    audits.fates.set(id, ["refused"]);
    const run = await begun(
      "conn_next_life",
      { s0: asks(), rest: { action: "wait", needs: ["s0"], with: { signal: "go" } } },
      id,
    );
    await until(run, ({ status }) => status === "waiting");
    await vi.waitUntil(() => audits.fates.get(id)?.length === 0, { timeout: 5_000, interval: 10 });
    expect(await usesOf(run)).toEqual([]);
    await abortAllDurableObjects();
    await until(run, ({ status }) => status === "waiting");
    await told(run);
    expect(await usesOf(run)).toMatchObject([{ unit: "s0", ended: "success" }]);
  });

  it("of an attempt that was lost with its object is there, and nothing is said of its end", async () => {
    const id = randomId("run");
    const run = await begun("conn_lost", { s0: asks(), s1: { ...asks("s0"), retry: { attempts: 1 } } }, id);
    await ended(run);
    const sink = createUseAudit(env.DB);
    const use: CredentialUse = {
      ...{ id: `${id}.lost.a1.0`, at: Date.now(), tenant: TENANT, run: id, workflow: "w", user: null },
      ...{ unit: "lost", attempt: 1, credential: { role: "deploy", provider: "aws" }, ended: null },
    };
    await sink.write([use]);
    await told(run);
    const lost = async () => (await usesOf(run)).find(({ unit }) => unit === "lost");
    expect(await lost()).toMatchObject({ target: "deploy", hosts: null, ended: null });
    const over = { hosts: ["sts.amazonaws.com"], moreHosts: 0, outcome: "unclear" };
    await sink.write([{ ...use, ended: over }]);
    // An earlier word that comes again takes nothing back.
    await sink.write([use]);
    expect(await lost()).toMatchObject({ hosts: ["sts.amazonaws.com"], ended: "unclear" });
  });

  it("is found by connection and kind, in pages, newest first, by the keys of its tenant alone", async () => {
    const run = await begun("conn_found", { s0: asks(), s1: asks("s0"), s2: asks("s1") });
    await ended(run);
    await told(run);
    await env.DB.prepare(
      `INSERT INTO access_audit (at, tenant, actor, action, target, outcome, detail)
       VALUES (?, ?, 'key:key_1', 'connection.revoked', 'conn_found', 'granted', '{}')`,
    )
      .bind(Date.now(), TENANT)
      .run();
    const filter = { target: "conn_found" };
    const seen: string[] = [];
    let after: NonNullable<Awaited<ReturnType<typeof listAudit>>["next"]> | undefined;
    do {
      const page = await listAudit(env.DB, TENANT, filter, {
        limit: 1,
        ...(after === undefined ? {} : { after }),
      });
      seen.push(
        ...page.entries.map(({ action, detail: { unit } }) => (typeof unit === "string" ? unit : action)),
      );
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(seen).toHaveLength(4);
    expect([seen[0], new Set(seen)]).toEqual([
      "connection.revoked",
      new Set(["connection.revoked", "s0", "s1", "s2"]),
    ]);
    const of = async (tenant: string, more: object) =>
      (await listAudit(env.DB, tenant, { ...filter, ...more }, { limit: 10 })).entries.length;
    expect(await of(TENANT, { kind: "credential" })).toBe(3);
    expect(await of(TENANT, { kind: "connection" })).toBe(1);
    expect(await of(TENANT, { since: Date.now() + 60_000 })).toBe(0);
    expect(await of(TENANT, { until: Date.now() + 60_000 })).toBe(4);
    expect(await of("other", {})).toBe(0);
  });
});

describe("GET /v1/audit", () => {
  interface Page {
    readonly data: readonly { readonly action: string; readonly target: string }[];
    readonly next_cursor: string | null;
  }

  it("pages through the audit of the key's tenant by a cursor that fits this list alone", async () => {
    const admin = await newTenant("uses-audit");
    const id = randomId("run");
    const at = Date.now();
    const use = {
      tenant: "uses-audit",
      run: id,
      workflow: "w",
      user: null,
      unit: "a",
      attempt: 1,
      ended: null,
    };
    await createUseAudit(env.DB).write(
      [0, 1, 2].map((i) => ({ ...use, at, id: `${id}.a.a1.${i}`, credential: { connection: `conn_${i}` } })),
    );
    const ask = async (query: string) => send("GET", `/v1/audit?${query}`, { key: admin });
    const page = async (query: string) => expectAnswer<Page>(await ask(query), "listAudit", 200);
    const targets = ({ data }: Page) => data.map(({ target }) => target);
    const first = await page("kind=credential&limit=2");
    expect(targets(first)).toEqual(["conn_2", "conn_1"]);
    const rest = await page(`kind=credential&limit=2&cursor=${first.next_cursor}`);
    expect([targets(rest), rest.next_cursor]).toEqual([["conn_0"], null]);
    expect(targets(await page(`run=${id}&target=conn_1`))).toEqual(["conn_1"]);
    // The key of the tenant itself, which the root key made.
    expect((await page("kind=key")).data).toMatchObject([{ action: "key.create" }]);
    for (const query of [`kind=key&cursor=${first.next_cursor}`, "cursor=YWJj"])
      await expectProblem(await ask(query), 400, "invalid_request");
    await expectProblem(await ask("run=nothing"), 400, "invalid_request");
    const other = await newTenant("uses-audit-other");
    const theirs = await send("GET", `/v1/audit?cursor=${first.next_cursor}&kind=credential`, { key: other });
    await expectProblem(theirs, 400, "invalid_request");
    const reader = await newKey(admin, { scopes: ["runs:read"] });
    await expectProblem(await send("GET", "/v1/audit", { key: reader }), 403, "insufficient_scope");
  });
});
