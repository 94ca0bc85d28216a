/**
 * Two tenants, one of them hostile. The other one's requests cost what they cost alone, and the hostile one's admitted work stays at
 * its quota.
 */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { objectName } from "../../src/platform/index.ts";
import type { QuotaRpc } from "../../src/quotas/index.ts";
import { expectAnswer, expectProblem, newTenant, send } from "./api-support.ts";

const ROOT = env.ROOT_API_KEY ?? "";
const QUOTAS = { starts_per_minute: 20, active_runs: 8, request_burst: 400, requests_per_second: 1 };
/** What an isolate lets through while it asks. */
const OWED = 8;

/** Everything that a request asks of the database and of objects. */
const asked: string[] = [];

beforeAll(() => {
  const prepare = env.DB.prepare.bind(env.DB);
  env.DB.prepare = (query) => {
    asked.push(`D1 ${query.replace(/\s+/g, " ")}`);
    return prepare(query);
  };
  for (const namespace of [env.RUN, env.DIRECTORY, env.QUOTA, env.HOOK, env.CONNECTION, env.FLOW]) {
    const getByName = namespace.getByName.bind(namespace) as (name: string) => never;
    namespace.getByName = (name: string) => {
      asked.push(`object ${name.split(":").slice(0, 2).join(":")}`);
      return getByName(name);
    };
  }
});

async function limit(tenant: string, quotas: Readonly<Record<string, number>> | null): Promise<void> {
  const path = `/v1/tenants/${tenant}/quotas`;
  await expectAnswer(await send("PUT", path, { key: ROOT, body: { quotas } }), "putQuotas", 200);
}

const WAITING = { plan: { steps: { rest: { action: "sleep", with: { for: "1h" } } } } };

async function start(key: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return send("POST", "/v1/runs", { key, body: WAITING, headers });
}

function count(statuses: readonly number[], status: number): number {
  return statuses.filter((one) => one === status).length;
}

function quotaOf(tenant: string): QuotaRpc {
  const stub: unknown = env.QUOTA.getByName(objectName("quota", tenant, "main"));
  return stub as QuotaRpc;
}

describe("active runs", () => {
  it("are never more than the quota, are refused with what to do, and come back when they end", async () => {
    const key = await newTenant("active");
    await limit("active", { active_runs: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, () => start(key)));
    const begun = answers.filter(({ status }) => status === 202);
    expect(begun).toHaveLength(3);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect(refused?.headers.get("ratelimit-policy")).toBe('"active_runs";q=3');
    const problem = await expectProblem(refused ?? new Response(), 429, "quota_exceeded");
    expect(problem).toMatchObject({ quota: { name: "active_runs", limit: 3 } });
    const { id } = await (begun[0] ?? new Response()).json<{ id: string }>();
    const cancelled = await send("POST", `/v1/runs/${id}/cancel`, { key, body: { mode: "immediate" } });
    expect(cancelled.status).toBeLessThan(300);
    // As a client that does what it is told.
    await vi.waitUntil(async () => (await start(key)).status === 202, { timeout: 15_000, interval: 500 });
    expect((await start(key)).status).toBe(429);
    const view = await quotaOf("active").view("active");
    expect(view.activeRuns).toBe(3);
  });

  it("a start that is sent again finds its run, though nothing more may be started", async () => {
    const key = await newTenant("again");
    await limit("again", { active_runs: 1 });
    const headers = { "idempotency-key": '"one"' };
    const first = await start(key, headers);
    expect(first.status).toBe(202);
    const again = await start(key, headers);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    await expectProblem(await start(key), 429, "quota_exceeded");
  });
});

describe("stored things", () => {
  it("are refused where the tenant has as many as it may, however many come together, and nothing is written for it", async () => {
    const key = await newTenant("stored");
    await limit("stored", { stored_plans: 2, hooks: 1, keys: 2, schedules: 0, endpoints: 0 });
    const plan = (name: string) => send("PUT", `/v1/workflows/${name}`, { key, body: WAITING.plan });
    const plans = await Promise.all(["a", "b", "c", "d", "e"].map((name) => plan(name)));
    const statuses = plans.map(({ status }) => status);
    expect([count(statuses, 201), count(statuses, 429)]).toEqual([2, 3]);
    const makeKey = () => send("POST", "/v1/keys", { key, body: { name: "x", scopes: ["runs:read"] } });
    const keys = (await Promise.all([makeKey(), makeKey(), makeKey()])).map(({ status }) => status);
    // The admin's own is one of the two.
    expect([count(keys, 201), count(keys, 429)]).toEqual([1, 2]);
    const audit = async () =>
      env.DB.prepare("SELECT count(*) AS n FROM access_audit WHERE tenant = 'stored'").first<number>("n");
    const before = await audit();
    await expectProblem(await makeKey(), 429, "quota_exceeded");
    expect(await audit()).toBe(before);
    const seen = await expectAnswer<{ data: { name: string; limit: number; used: number | null }[] }>(
      await send("GET", "/v1/quotas", { key }),
      "listQuotas",
      200,
    );
    expect(seen.data.find(({ name }) => name === "keys")).toMatchObject({ limit: 2, used: 2 });
    expect(seen.data.find(({ name }) => name === "stored_plans")).toMatchObject({ limit: 2, used: 2 });
  });
});

describe("a hostile tenant", () => {
  it("gets what its quotas are and no more, and what another's requests ask of storage and objects is as it was", async () => {
    const [good, bad] = [await newTenant("good"), await newTenant("bad")];
    await limit("bad", QUOTAS);
    /** One request of each kind, and what it asked for. */
    const work = async () => {
      const from = asked.length;
      const started = await start(good);
      expect(started.status).toBe(202);
      const { id } = await started.json<{ id: string }>();
      const statuses = [
        (await send("GET", `/v1/runs/${id}`, { key: good })).status,
        (await send("GET", "/v1/workflows", { key: good })).status,
      ];
      expect(statuses).toEqual([200, 200]);
      return (
        asked
          .slice(from)
          .filter((one) => !one.endsWith(":bad"))
          // Permits come in batches: how many of them a question brings is the model's to say (test/quotas).
          .filter((one) => one.startsWith("object") && one !== "object quota:good")
          .toSorted()
      );
    };
    // The first learns what its isolate does not know yet.
    await work();
    const quiet = await work();
    expect(quiet).toContain("object run:good");
    const startedAt = Date.now();
    const flood = async (): Promise<number[]> => {
      const huge = {
        plan: { steps: { rest: { action: "transform", with: { value: "x".repeat(200_000) } } } },
      };
      const answers = await Promise.all(
        Array.from({ length: 120 }, async (_, i) =>
          [
            () => start(bad),
            () => send("POST", "/hooks/bad/none", { body: { i } }),
            () => send("POST", "/v1/connect-sessions", { key: bad, body: { integration: "none" } }),
            () => send("POST", "/v1/runs", { key: bad, body: huge }),
            () => send("GET", "/v1/workflows", { key: `${bad.slice(0, -1)}x` }),
          ][i % 5]?.(),
        ),
      );
      return answers.map((answer) => answer?.status ?? 0);
    };
    const floods = [flood(), flood()];
    const beside = [await work(), await work(), await work()];
    const statuses = (await Promise.all(floods)).flat();
    const seconds = (Date.now() - startedAt) / 1_000;
    expect(beside).toEqual([quiet, quiet, quiet]);
    const { activeRuns } = await quotaOf("bad").view("bad");
    expect(activeRuns).toBeLessThanOrEqual(QUOTAS.active_runs);
    expect(count(statuses, 202)).toBeLessThanOrEqual(
      QUOTAS.starts_per_minute + (seconds * QUOTAS.starts_per_minute) / 60,
    );
    expect(count(statuses, 202)).toBeGreaterThan(0);
    expect(count(statuses, 429)).toBeGreaterThan(0);
    expect(statuses.filter((status) => status >= 500)).toEqual([]);
  });

  it("has no more requests answered than its rate, over the burst, and what goes through while its isolate asks", async () => {
    const key = await newTenant("rate");
    await limit("rate", { requests_per_second: 1, request_burst: 10 });
    const startedAt = Date.now();
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => send("GET", "/v1/workflows", { key })),
    );
    const seconds = (Date.now() - startedAt) / 1_000;
    const statuses = answers.map(({ status }) => status);
    expect(count(statuses, 200)).toBeLessThanOrEqual(10 + OWED + seconds);
    expect(count(statuses, 200) + count(statuses, 429)).toBe(200);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get("ratelimit")).toMatch(/^"requests_per_second";r=0;t=\d+$/);
  });

  it("with a key that leaked cannot keep its tenant from revoking it, nor who may not revoke it use up what is spared for that", async () => {
    const admin = await newTenant("leaked");
    const agent = { name: "agent", user: "u", scopes: ["runs:read"], expires_at: Date.now() + 600_000 };
    const made = await send("POST", "/v1/keys", { key: admin, body: agent });
    const { id, key } = await expectAnswer<{ id: string; key: string }>(made, "createKey", 201);
    const revoke = async (by: string): Promise<number> =>
      (await send("DELETE", `/v1/keys/${id}x`, { key: by })).status;
    await limit("leaked", { requests_per_second: 1, request_burst: 1 });
    await vi.waitUntil(async () => (await revoke(key)) === 429, { timeout: 10_000, interval: 1 });
    const flood = await Promise.all(Array.from({ length: 50 }, () => revoke(key)));
    expect(count(flood, 429)).toBeGreaterThan(45);
    expect((await send("GET", "/v1/workflows", { key: admin })).status).toBe(429);
    expect((await send("DELETE", `/v1/keys/${id}`, { key: admin })).status).toBe(200);
    // What is spared is bounded as well.
    const often = await Promise.all(Array.from({ length: 50 }, () => revoke(admin)));
    expect(count(often, 429)).toBeGreaterThan(40);
  });
});
