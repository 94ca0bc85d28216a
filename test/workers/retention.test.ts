/** For how long the data of a tenant is kept is what was said last, for what has ended before that, too. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  createAuditDesk,
  createTenantCache,
  createUseAudit,
  retentionOf,
  type TenantSettings,
} from "../../src/access/index.ts";
import { createLogger, fromBase64, importHmacKey, objectName } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newTenant, send } from "./api-support.ts";
import { directoryOf, requestOf, type Stub } from "./run-support.ts";

const DAY_MS = 24 * 60 * 60_000;
const root = env.ROOT_API_KEY ?? "";

afterEach(() => {
  vi.useRealTimers();
});

interface Ended {
  readonly id: string;
  readonly at: number;
  readonly stub: () => Stub;
  readonly alarm: () => Promise<number | null>;
  readonly state: () => Promise<string>;
  readonly listed: () => Promise<boolean>;
}

/** A run of the tenant that is over, and whose end the directory has. */
async function endedRun(tenant: string): Promise<Ended> {
  const request = requestOf("t-sleep", { ms: 0 }, { tenant });
  const stub = (): Stub => {
    const named: unknown = env.RUN.getByName(objectName("run", tenant, request.id));
    return named as Stub;
  };
  await stub().start(request);
  const seen = await stub().view({ tenant }, { waitMs: 5_000 });
  if (!seen.ok || seen.value.ended_at === null) throw new Error("the run should be over");
  const { ended_at: at } = seen.value;
  const alarm = async (): Promise<number | null> =>
    runInDurableObject(stub(), (_object, { storage }) => storage.getAlarm());
  await vi.waitUntil(async () => ((await alarm()) ?? 0) >= at + DAY_MS, { timeout: 5_000, interval: 10 });
  return {
    ...{ id: request.id, at, stub, alarm },
    state: async () => {
      const answer = await stub().view({ tenant });
      return answer.ok ? answer.value.status : answer.code;
    },
    listed: async () => {
      const page = await directoryOf(tenant).page({ tenant, filter: {}, after: null, limit: 10 });
      return page.runs.some(({ id }) => id === request.id);
    },
  };
}

const keep = async (tenant: string, body: Readonly<Record<string, unknown>>): Promise<Response> =>
  send("PUT", `/v1/tenants/${tenant}/retention`, { key: root, body });

describe("what is said of a retention", () => {
  it("is shown with the defaults filled in, and what is left out is a default again", async () => {
    await newTenant("keep-said");
    const first = await expectAnswer<object>(await keep("keep-said", { runs_days: 7 }), "putRetention", 200);
    expect(first).toMatchObject({ runs_days: 7, uses_days: 90, audit_days: null });
    const shown = await send("GET", "/v1/tenants/keep-said", { key: root });
    expect(await expectAnswer(shown, "getTenant", 200)).toMatchObject({
      retention: { runsDays: 7 },
      retention_in_force: { runs_days: 7, uses_days: 90, audit_days: null },
    });
    await keep("keep-said", { audit_days: 365 });
    const then = await send("GET", "/v1/tenants/keep-said", { key: root });
    expect(await expectAnswer(then, "getTenant", 200)).toMatchObject({
      retention_in_force: { runs_days: 30, uses_days: 90, audit_days: 365 },
    });
  });

  it("is refused out of its range, and what is not known is refused, each with its place", async () => {
    await newTenant("keep-refused");
    for (const [body, pointer] of [
      [{ runs_days: 0 }, "/runs_days"],
      [{ runs_days: 366 }, "/runs_days"],
      [{ runs_days: 1.5 }, "/runs_days"],
      [{ uses_days: 29 }, "/uses_days"],
      [{ audit_days: 89 }, "/audit_days"],
      [{ run_days: 7 }, "/run_days"],
    ] as const) {
      const refused = await expectProblem(await keep("keep-refused", body), 400, "invalid_request");
      expect(refused.errors?.map((error) => error.pointer)).toEqual([pointer]);
    }
    await expectProblem(await keep("keep-nowhere", { runs_days: 7 }), 404, "not_found");
  });
});

describe("a run that has ended", () => {
  it("is deleted when its tenant's retention is over, says when, and costs no alarm more", async () => {
    await newTenant("keep-short");
    await keep("keep-short", { runs_days: 7 });
    const run = await endedRun("keep-short");
    expect(await run.alarm()).toBe(run.at + 7 * DAY_MS);
    const seen = await run.stub().view({ tenant: "keep-short" });
    expect(seen).toMatchObject({ value: { deleted_at: run.at + 7 * DAY_MS } satisfies Partial<RunView> });
    // The next life knows by its alarm.
    await evictDurableObject(run.stub());
    await run.stub().view({ tenant: "keep-short" });
    expect(await run.alarm()).toBe(run.at + 7 * DAY_MS);
    vi.setSystemTime(run.at + 7 * DAY_MS + 1);
    await runDurableObjectAlarm(run.stub());
    expect(await run.state()).toBe("run_deleted");
    expect(await run.listed()).toBe(true);
    vi.setSystemTime(run.at + 7 * DAY_MS + 2 * 60 * 60_000);
    expect(await directoryOf("keep-short").sweep("keep-short", 1)).toMatchObject({ dropped: 1 });
    expect(await run.listed()).toBe(false);
  });

  it("is kept for longer if that was said before its time was over, and so is its line in the list", async () => {
    await newTenant("keep-longer");
    const run = await endedRun("keep-longer");
    expect(await run.alarm()).toBe(run.at + 30 * DAY_MS);
    await keep("keep-longer", { runs_days: 60 });
    vi.setSystemTime(run.at + 31 * DAY_MS);
    await directoryOf("keep-longer").sweep("keep-longer", 1);
    await runDurableObjectAlarm(run.stub());
    expect(await run.state()).toBe("succeeded");
    expect(await run.listed()).toBe(true);
    expect(await run.alarm()).toBe(run.at + 60 * DAY_MS);
    vi.setSystemTime(run.at + 60 * DAY_MS + 1);
    await runDurableObjectAlarm(run.stub());
    expect(await run.state()).toBe("run_deleted");
  });

  it("is deleted by the sweep if a shorter time was said after its end", async () => {
    await newTenant("keep-shorter");
    const run = await endedRun("keep-shorter");
    await keep("keep-shorter", { runs_days: 7 });
    vi.setSystemTime(run.at + 7 * DAY_MS - 1);
    await directoryOf("keep-shorter").sweep("keep-shorter", 1);
    expect(await run.state()).toBe("succeeded");
    vi.setSystemTime(run.at + 7 * DAY_MS + 2 * 60 * 60_000);
    expect(await directoryOf("keep-shorter").sweep("keep-shorter", 1)).toMatchObject({ dropped: 1 });
    expect(await run.state()).toBe("run_deleted");
    expect(await run.listed()).toBe(false);
  });

  it("is not deleted while nobody can say how long it is kept", async () => {
    await newTenant("keep-unknown");
    const run = await endedRun("keep-unknown");
    await evictDurableObject(run.stub());
    vi.setSystemTime(run.at + 31 * DAY_MS);
    await env.DB.exec("ALTER TABLE tenant_settings RENAME TO away");
    await runDurableObjectAlarm(run.stub());
    expect(await directoryOf("keep-unknown").sweep("keep-unknown", 1)).toMatchObject({ dropped: 0 });
    await env.DB.exec("ALTER TABLE away RENAME TO tenant_settings");
    expect(await run.state()).toBe("succeeded");
    const again = (await run.alarm()) ?? 0;
    expect(again - Date.now()).toBeGreaterThan(0);
    expect(again - Date.now()).toBeLessThanOrEqual(60 * 60_000);
    vi.setSystemTime(again);
    await runDurableObjectAlarm(run.stub());
    expect(await run.state()).toBe("run_deleted");
  });
});

it("what was known before is not what is in force: it may have been made longer since", async () => {
  await newTenant("keep-stale");
  await keep("keep-stale", { runs_days: 1 });
  let now = Date.now();
  let away = false;
  const db = {
    prepare: (query: string) => {
      if (away) throw new Error("away");
      return env.DB.prepare(query);
    },
  } as unknown as D1Database;
  const deps = { db, settings: createTenantCache<TenantSettings>(), log: createLogger("error", () => {}) };
  expect(await retentionOf(deps, "keep-stale", now)).toMatchObject({ runsDays: 1 });
  await keep("keep-stale", { runs_days: 365 });
  [now, away] = [now + 5 * 60_000, true];
  expect(await retentionOf(deps, "keep-stale", now)).toBeNull();
  away = false;
  expect(await retentionOf(deps, "keep-stale", now)).toMatchObject({ runsDays: 365 });
});

describe("uses of credentials", () => {
  it("are kept for as long as each tenant says", async () => {
    const now = Date.now();
    const write = async (tenant: string, daysAgo: number): Promise<void> => {
      const use = { id: `${tenant}.${daysAgo}`, tenant, at: now - daysAgo * DAY_MS, run: "run_x" };
      const ended = { hosts: [], moreHosts: 0, outcome: "succeeded" };
      const rest = { workflow: "w", user: null, unit: "s", attempt: 1, credential: {}, ended };
      await createUseAudit(env.DB).write([{ ...use, ...rest }]);
    };
    const tenants = ["keep-uses", "keep-uses-less", "keep-uses-more"];
    for (const tenant of tenants) await newTenant(tenant);
    await keep("keep-uses-less", { uses_days: 30 });
    await keep("keep-uses-more", { uses_days: 365 });
    const key = await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array());
    const log = createLogger("error", () => {});
    const settings = { db: env.DB, settings: createTenantCache<TenantSettings>(), log };
    const desk = createAuditDesk({
      ...{ db: env.DB, log, now: () => now, serverKey: async () => key },
      retention: (tenant) => retentionOf(settings, tenant, now),
    });
    // A use goes with the link that covers it.
    for (const daysAgo of [200, 91, 31, 20]) {
      for (const tenant of tenants) await write(tenant, daysAgo);
      await desk.sweep(1_000);
    }
    for (let tick = 0; tick < 5; tick++) await desk.sweep(1_000);
    const { results } = await env.DB.prepare(
      "SELECT tenant, count(*) AS n FROM credential_uses WHERE tenant LIKE 'keep-%' GROUP BY tenant ORDER BY tenant",
    ).all();
    expect(results).toEqual([
      { tenant: "keep-uses", n: 2 },
      { tenant: "keep-uses-less", n: 1 },
      { tenant: "keep-uses-more", n: 4 },
    ]);
  });
});
