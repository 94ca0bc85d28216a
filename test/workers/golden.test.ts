/**
 * Golden data of earlier versions (test/replay/dumps), put back as it was stored, under today's code: every object does its work, and
 * the database is read whichever migration it stood at. Files are only ever added: `npm run golden`.
 */
import { applyD1Migrations, evictDurableObject, runInDurableObject, type D1Migration } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { IssuerRpc } from "../../src/identity/index.ts";
import { objectName } from "../../src/platform/index.ts";
import { movedTo, type Golden, type ObjectDump, type Table } from "../replay/stored.ts";
import { DOOR_STORIES, RECEIVER_HOST } from "../upgrade/stories-doors.ts";
import { RUN_STORIES } from "../upgrade/stories-runs.ts";
import { explained, look, text, type Asking, type Story, type Teller } from "../upgrade/story.ts";
import { send } from "./api-support.ts";
import { scheduleHouses } from "./schedule-house.ts";

const goldens = Object.values(
  import.meta.glob<Golden>("../replay/dumps/*.json", { eager: true, import: "default" }),
)
  // What stands at the newest migration is of today's code, not of an earlier version.
  .filter(({ migration }) => env.TEST_MIGRATIONS.some(({ name }) => name > migration))
  // The newest of the others: the stories of two would meet in one world. Of older ones the database is read (test/replay/dumps.test.ts).
  .toSorted((a, b) => (a.migration < b.migration ? 1 : -1))
  .slice(0, 1);
/** The clouds of this world do not know the issuer of the dump; and what is sealed has times that cannot be moved. */
const APART: ReadonlySet<string> = new Set(["identity", "confidential"]);
const WAIT = { timeout: 25_000, interval: 50 };
const TENANT = "default";

beforeAll(() => {
  scheduleHouses.current = null;
  const real = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const isTold = new URL(request.url).hostname === RECEIVER_HOST;
    return isTold ? new Response(null, { status: 204 }) : real(request);
  });
});
afterAll(() => {
  vi.restoreAllMocks();
});

/** Takes everything out of the database, and brings it to where it stood. */
async function emptied(upTo: string): Promise<void> {
  const { results } = await env.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' ORDER BY rowid DESC",
  ).all<{ name: string }>();
  await env.DB.batch([
    env.DB.prepare("PRAGMA defer_foreign_keys = on"),
    ...results.map(({ name }) => env.DB.prepare(`DROP TABLE "${name}"`)),
  ]);
  await applyD1Migrations(env.DB, upToward(upTo));
}

function upToward(migration: string): D1Migration[] {
  return env.TEST_MIGRATIONS.filter(({ name }) => name <= migration);
}

/** Writes what of the dump's rows the database can hold at its migration. @returns the tables that it has, with their rows */
async function filled(tables: readonly Table[]): Promise<Map<string, number>> {
  const { results } = await env.DB.prepare(
    "SELECT m.name AS t, p.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT GLOB '_cf_*'",
  ).all<{ t: string; c: string }>();
  const has = new Map<string, string[]>();
  for (const { t, c } of results) has.set(t, [...(has.get(t) ?? []), c]);
  const rows = new Map<string, number>();
  const inserts = tables.flatMap((table) => {
    const columns = has.get(table.name);
    if (columns === undefined || table.name === "d1_migrations") return [];
    rows.set(table.name, table.rows.length);
    const kept = table.columns.flatMap((name, at) => (columns.includes(name) ? [{ name, at }] : []));
    const sql = `INSERT OR REPLACE INTO "${table.name}" (${kept.map(({ name }) => `"${name}"`).join(", ")}) VALUES (${kept.map(() => "?").join(", ")})`;
    return table.rows.map((row) => env.DB.prepare(sql).bind(...kept.map(({ at }) => row[at] ?? null)));
  });
  await env.DB.batch([env.DB.prepare("PRAGMA defer_foreign_keys = on"), ...inserts]);
  return rows;
}

/** Puts an object back as it stood on disk, and lets a fresh life of it begin. */
async function restored({ binding, name, tables, kv, alarm }: ObjectDump): Promise<void> {
  const namespaces: Readonly<Record<string, unknown>> = { ...env };
  const stub = (): DurableObjectStub => (namespaces[binding] as DurableObjectNamespace).getByName(name);
  await runInDurableObject(stub(), async (_, { storage }) => {
    await storage.deleteAll();
    for (const { name: table, ddl, columns, rows } of tables) {
      for (const sql of ddl) storage.sql.exec(sql);
      for (const row of rows)
        storage.sql.exec(`INSERT INTO "${table}" VALUES (${columns.map(() => "?").join(", ")})`, ...row);
    }
    for (const [key, value] of Object.entries(kv)) storage.kv.put(key, value);
  });
  await evictDurableObject(stub());
  if (alarm !== null) await runInDurableObject(stub(), async (_, { storage }) => storage.setAlarm(alarm));
}

/** Tells stories to the Worker in this isolate. */
function tellerOf(key: string): Teller {
  const teller: Teller = {
    async ask<T>(
      method: string,
      path: string,
      { body, headers = {}, key: by = key, expect: right }: Asking = {},
    ) {
      const answer = await send(method, path, {
        ...{ headers, ...(body === undefined ? {} : { body }) },
        ...(by === null ? {} : { key: by }),
      });
      const said = await answer.text();
      const isRight = right?.includes(answer.status) ?? answer.ok;
      if (!isRight) throw new Error(`${method} ${path} answered ${answer.status}: ${said}`);
      return (said === "" ? null : JSON.parse(said)) as T;
    },
    async until<T>(what: string, see: () => Promise<T>, done: (seen: T) => boolean) {
      return vi
        .waitUntil(async () => {
          const seen = await see();
          return done(seen) ? { seen } : null;
        }, WAIT)
        .then(
          (found) => found.seen,
          async (cause: unknown) => {
            throw new Error(`${what}: ${JSON.stringify(await see())}`, { cause });
          },
        );
    },
    hold(holds, claim, seen) {
      if (!holds) throw new Error(`It does not hold that ${claim}: ${JSON.stringify(seen)}`);
    },
    now: () => Date.now(),
  };
  return teller;
}

describe.for(goldens)("what version $version has stored ($migration)", (stored) => {
  const golden = movedTo(stored, Date.now());
  const teller = tellerOf(golden.key);
  const keptOf = (name: string) => golden.stories[name] ?? {};
  const told: readonly Story[] = [...RUN_STORIES, ...DOOR_STORIES].filter(({ name }) => !APART.has(name));

  beforeAll(async () => {
    await emptied(golden.migration);
    await filled(golden.database);
    await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
    for (const object of golden.objects) await restored(object);
  });

  test("has an object of every class that keeps anything, and runs that wait for all there is", () => {
    const classes = new Set(golden.objects.map(({ binding }) => binding));
    expect([...classes].toSorted()).toEqual(
      [
        "CONNECTION",
        "DIRECTORY",
        "ENDPOINT",
        "EVENTS",
        "FLOW",
        "HOOK",
        "ISSUER",
        "RUN",
        "SCHEDULE",
      ].toSorted(),
    );
    // An outbox, a queue, a sealed journal, a parked step, a family.
    const runs = golden.objects.filter(({ binding }) => binding === "RUN");
    const facts = JSON.stringify(runs.map(({ tables }) => tables));
    for (const fact of ["parked", "asked", "admitted", "failed"])
      expect(facts).toContain(`\\"t\\":\\"${fact}\\"`);
    expect(runs.some(({ tables }) => tables.some(({ name }) => name === "outbox"))).toBe(true);
  });

  test("is listed by the directory", async () => {
    const { data } = await teller.ask<{ data: { id: string }[] }>("GET", "/v1/runs?limit=100");
    const runs = golden.objects
      .filter(({ binding }) => binding === "RUN")
      .map(({ name }) => name.split(":")[2] ?? "");
    expect(data.map(({ id }) => id).toSorted()).toEqual(runs.toSorted());
  });

  test("explains itself, run by run", async () => {
    const runs = golden.objects.filter(({ binding }) => binding === "RUN");
    for (const { name } of runs) await explained(teller, name.split(":")[2] ?? "");
    expect(runs.length).toBeGreaterThan(10);
  });

  test("opens what was sealed: a confidential run is read, steered and ends", async () => {
    const run = text(keptOf("confidential"), "run");
    expect((await look(teller, run)).steps.map(({ name }) => name)).toEqual(["go", "say"]);
    const { data } = await teller.ask<{ data: { type: string }[] }>(
      "GET",
      `/v1/runs/${run}/events?limit=100`,
    );
    expect(data[0]?.type).toBe("run_started");
    // Its limits are sealed with it, so they may be over by the day on which this runs.
    await teller.ask("POST", `/v1/runs/${run}/signals/go`, { body: { id: "s" }, expect: [200, 202, 409] });
    const seen = await teller.until(
      "the confidential run ends",
      () => look(teller, run),
      ({ status }) => ["succeeded", "failed"].includes(status),
    );
    expect([undefined, "wait_expired", "deadline_exceeded"]).toContain(seen.failure?.code);
  });

  test("keeps the issuer's keys: they are published, they sign, and a next one can be made", async () => {
    const kids = keptOf("identity")["kids"];
    const listed = await teller.ask<{ keys: { kid: string }[] }>("GET", "/v1/issuer");
    expect(listed.keys.map(({ kid }) => kid)).toEqual(expect.arrayContaining(kids as string[]));
    const jwks = await exports.default.fetch(new Request("https://id.showcaller.test/t/default/jwks"));
    const published = (await jwks.json()) as JSONWebKeySet;
    expect(published.keys.map(({ kid }) => kid)).toEqual(expect.arrayContaining(kids as string[]));
    const second = Math.floor(Date.now() / 1_000);
    const issuer: unknown = env.ISSUER.getByName(objectName("issuer", TENANT, "main"));
    const signed = await (issuer as IssuerRpc).sign({
      tenant: TENANT,
      claims: {
        ...{ iss: "https://id.showcaller.test/t/default", sub: "tenant:default:plan:up-lent-plan" },
        ...{ aud: "https://verifier.example", iat: second, nbf: second, exp: second + 300, jti: "golden-1" },
        ...{ tenant: TENANT, workflow: "up-lent-plan", workflow_kind: "plan", workflow_version: "1" },
        environment: "production",
      },
    });
    if (!signed.ok) throw new Error(`${signed.code}: ${signed.message}`);
    const { payload, protectedHeader } = await jwtVerify(signed.jwt, createLocalJWKSet(published));
    expect([payload.jti, kids]).toEqual(["golden-1", expect.arrayContaining([protectedHeader.kid])]);
    const rotated = await teller.ask<{ keys: { kid: string }[] }>("POST", "/v1/issuer/rotate");
    expect(rotated.keys.length).toBeGreaterThan(listed.keys.length);
    expect(rotated.keys.map(({ kid }) => kid)).toEqual(expect.arrayContaining(kids as string[]));
  });

  test.for(told)("goes on: the story of the $name", { timeout: 60_000 }, async (story) => {
    const kept = await story.middle(teller, keptOf(story.name));
    await expect(story.end(teller, kept)).resolves.toBeUndefined();
  });
});

/** Lists that read a table each. */
const LISTS: readonly (readonly [table: string, path: string])[] = [
  ["api_keys", "/v1/keys?limit=100"],
  ["plans", "/v1/workflows"],
  ["integrations", "/v1/integrations"],
  ["connections", "/v1/connections"],
  ["cloud_roles", "/v1/cloud-roles"],
  ["trusted_issuers", "/v1/trusted-issuers"],
  ["hooks", "/v1/hooks"],
  ["schedules", "/v1/schedules"],
  ["endpoints", "/v1/endpoints"],
  ["access_audit", "/v1/audit?limit=100"],
];

describe("the database of every migration", () => {
  test.for(env.TEST_MIGRATIONS.map(({ name }) => name))(
    "%s, with rows, is brought to the newest, and its keys, lists and plans are read",
    { timeout: 60_000 },
    async (name) => {
      // The rows of the version that came next: those that this migration has a place for.
      const source = goldens.toSorted((a, b) => (a.migration < b.migration ? -1 : 1));
      const stored = source.find(({ migration }) => migration >= name) ?? source.at(-1);
      if (stored === undefined) throw new Error("There is no golden data.");
      await emptied(name);
      const rows = await filled(movedTo(stored, Date.now()).database);
      await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
      const teller = tellerOf(stored.key);
      for (const [table, path] of LISTS) {
        const { data } = await teller.ask<{ data: unknown[] }>("GET", path);
        expect([path, data.length > 0]).toEqual([path, (rows.get(table) ?? 0) > 0 || table === "plans"]);
      }
      if (rows.has("plans")) {
        const started = { workflow: "up-signal", tags: [name.slice(0, 60)] };
        const run = await teller.ask<{ id: string; tenant: string }>("POST", "/v1/runs", { body: started });
        expect(run).toMatchObject({ tenant: TENANT });
      }
    },
  );
});
