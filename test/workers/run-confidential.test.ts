/** Runs that have anything sensitive: nothing of it stands anywhere in the clear, and nothing of it is lost. */

import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { compileSteps } from "../../src/define/index.ts";
import { toSnapshot, type Fact } from "../../src/kernel/index.ts";
import { createLogger, migrate, objectName, text } from "../../src/platform/index.ts";
import type { Command, RunReport, RunView } from "../../src/run/index.ts";
import {
  createKeyCheck,
  createRunKeys,
  createVault,
  createVaultOperations,
  type Keyring,
  loadKeyring,
  runKeyRecords,
} from "../../src/vault/index.ts";
import { createAccessAudit } from "../../src/access/index.ts";
import { createJournalStore } from "../../src/run/journal-store.ts";
import { RUN_SCHEMA } from "../../src/run/schema.ts";
import { Texts } from "../../src/run/texts.ts";
import { call } from "../kernel/support/build.ts";
import { Play } from "../kernel/support/play.ts";
import { ring } from "../vault/support.ts";
import { expectAnswer, newKey, newTenant, send } from "./api-support.ts";
import { everythingKept, foundIn, listenToConsole } from "./kept.ts";
import {
  directoryOf,
  ended,
  events,
  listed,
  requestOf,
  RETENTION_MS,
  start,
  step,
  stubOf,
  TENANT,
  until,
  view,
  VIEWER,
  type Started,
  type Stub,
} from "./run-support.ts";
import { heard, keys, refuse } from "./worker.ts";

const WORD = "Zürich-Gehalt-48391-«intern»";
const ITEMS = ["Kunde-Obermaier-55102", "Kunde-Untermoser-99120"];
const SAID = "Passwort-der-Filiale-73310";
const SECRETS = new Map([
  [WORD, "the word"],
  [SAID, "what was said"],
  ...ITEMS.map((one) => [one, "an item"] as const),
]);
const REVEALING = { ...VIEWER, reveal: true } as const;
const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const UNAVAILABLE = { ok: false, code: "unavailable" } as const;

const say: Command = { t: "signal", id: "1", name: "go", payload: SAID, by: "key:test" };
const OUTPUT = {
  word: WORD,
  own: { own: `${WORD}-own` },
  each: ITEMS.map((one) => `${one}-each`),
  big: 4_000,
  heard: SAID,
  sub: `${WORD}-passed-echoed`,
};

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  keys.current = null;
});

async function secretive(more: Parameters<typeof start>[2] = {}): Promise<Started> {
  return start("t-secretive", { word: WORD, list: ITEMS }, more);
}

async function waiting(run: Started): Promise<void> {
  await until(run, (seen) => step(seen, "gate").status === "waiting");
}

async function command(run: Started, what: Command): Promise<void> {
  const answer = await run.stub().command(VIEWER, what);
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
}

async function revealed(run: Started): Promise<RunView> {
  const answer = await run.stub().view(REVEALING);
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer.value;
}

async function expectNothingKept(): Promise<void> {
  expect(foundIn(await everythingKept(), SECRETS)).toEqual([]);
}

interface KeyRow {
  readonly run: string;
  readonly kid: string;
}

async function keyRow(run: Started): Promise<KeyRow | null> {
  return env.DB.prepare("SELECT run, kid FROM run_keys WHERE tenant = ? AND run = ?")
    .bind(TENANT, run.id)
    .first<KeyRow>();
}

/** The sealed key in the run's object. */
async function sealedKey(run: Pick<Started, "stub">): Promise<string | undefined> {
  return runInDurableObject(
    run.stub(),
    (_object, { storage }) => storage.kv.get<{ key?: { sealed: string } }>("meta")?.key?.sealed,
  );
}

/** One deployment: what seals under its keyring, and its log. Rows and objects are those of the product. */
function deployment(keyring: Keyring) {
  const lines: string[] = [];
  const log = createLogger("debug", (_, line) => lines.push(line));
  const now = (): number => Date.now();
  const check = createKeyCheck({ db: env.DB, log, now });
  const vault = createVault(keyring, check);
  const records = runKeyRecords({
    ...{ db: env.DB, log, now },
    renew: async (tenant, id) => {
      const named: unknown = env.RUN.getByName(objectName("run", tenant, id));
      return (named as Stub).renewKey(tenant);
    },
  });
  return {
    lines,
    records,
    vault,
    keys: createRunKeys({ vault: () => vault, db: env.DB, now }),
    operations: createVaultOperations({
      ...{ db: env.DB, keyring, check, vault, log, now, records: [records] },
      audit: createAccessAudit(env.DB),
    }),
  };
}

/** From here on objects begin their lives under this keyring. */
async function deploy(keyring: Keyring | null): Promise<ReturnType<typeof deployment> | null> {
  const deployed = keyring === null ? null : deployment(keyring);
  keys.current = deployed?.keys ?? null;
  await abortAllDurableObjects();
  return deployed;
}

describe("a run with a sensitive input, outputs, items, signal and child", () => {
  it("has them in the clear nowhere: not while it waits, not after its end, in no object, table, key or log", async () => {
    const log = listenToConsole();
    const run = await secretive({ tags: ["heard"] });
    await waiting(run);
    await expectNothingKept();
    await command(run, say);
    expect((await ended(run)).status).toBe("succeeded");
    await listed(run);
    await expectNothingKept();
    expect(foundIn(new Map([["log", log()]]), SECRETS)).toEqual([]);
    const kept = await everythingKept();
    expect(kept.get("run chunks")?.length).toBeGreaterThan(1);
  });

  it("gives them to its steps, and to who may reveal them: in views, steps and events", async () => {
    const run = await secretive();
    await waiting(run);
    await command(run, say);
    await ended(run);
    const seen = await revealed(run);
    expect(seen.output).toEqual({ value: OUTPUT });
    expect(step(seen, "own").output).toEqual({ value: OUTPUT.own });
    const shown = await run.stub().events(REVEALING, { after: 0, limit: 1_000 });
    expect(JSON.stringify(shown)).toContain(WORD);
    const hidden = await view(run);
    expect([hidden.output, step(hidden, "own").output]).toEqual([{ redacted: true }, { redacted: true }]);
    const end = (await events(run)).find(({ type }) => type === "ended");
    expect(end?.data).toMatchObject({ output: { redacted: true } });
  });

  it("goes on after its memory was evicted, and after its object died, with all that it knew", async () => {
    const run = await secretive();
    await waiting(run);
    await evictDurableObject(run.stub());
    await waiting(run);
    await abortAllDurableObjects();
    await command(run, say);
    await ended(run);
    await evictDurableObject(run.stub());
    expect((await revealed(run)).output).toEqual({ value: OUTPUT });
  });

  it("starts its child as confidential, which says nothing of the kind of itself", async () => {
    const run = await secretive();
    await waiting(run);
    await command(run, say);
    const child = step(await ended(run), "sub").child ?? "";
    expect(await sealedKey({ stub: () => stubOf(child) })).toMatch(/^v1\.k1\./);
  });

  it("tells the directory the code of its failure alone", async () => {
    const run = await start("t-secret-fails", { word: WORD });
    const seen = await ended(run);
    expect(seen.failure?.message).toContain(WORD);
    await listed(run);
    const { runs } = await directoryOf(TENANT).page({
      tenant: TENANT,
      filter: {},
      after: null,
      limit: 100,
    });
    expect(runs.find(({ id }) => id === run.id)?.failure).toMatchObject({ message: "[REDACTED]" });
    await expectNothingKept();
  });

  it("seals what its outbox holds, and tells it as it is", async () => {
    const id = `run_${"5".repeat(26)}`;
    refuse.set(id, 1_000);
    const run = await start("t-chain-100", {}, { id, confidential: true, tags: ["heard"] });
    await ended(run);
    await runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      const bodies = sql.exec("SELECT body FROM outbox").toArray();
      expect(bodies.length).toBe(2);
      for (const row of bodies) expect(text(row, "body")).toMatch(/^r1\./);
    });
    refuse.set(id, 0);
    vi.setSystemTime(Date.now() + HOUR_MS);
    await runDurableObjectAlarm(run.stub());
    await vi.waitUntil(() => heard.get(id)?.length === 2, { timeout: 5_000, interval: 20 });
    expect(heard.get(id)?.map(({ body }) => body)).toEqual([{ what: "run_started" }, { what: "ended" }]);
  });
});

describe("the journal of a confidential run", () => {
  it("seals facts, values and snapshots, short and long, and gives them back as they were", async () => {
    const { state } = new Play([call("a")]);
    const fact: Fact = { t: "paused", at: 5, by: WORD };
    const long: Fact = { t: "paused", at: 6, by: WORD.repeat(10_000) };
    const values = [
      JSON.stringify(WORD),
      JSON.stringify(`${WORD}𝄞`.repeat(20_000)),
      JSON.stringify("\uD834"),
    ];
    const snapshot = { ...toSnapshot(state), graph: { ...state.graph, output: WORD } };
    await runInDurableObject(stubOf(`run_${"6".repeat(26)}`), (_object, { storage }) => {
      migrate(storage, RUN_SCHEMA);
      const texts = new Texts();
      texts.unlock(new Uint8Array(32).fill(1), { tenant: TENANT, id: "run_6" }, 1);
      const store = createJournalStore(storage, texts, () => null);
      store.append({ seq: 1, at: 5, facts: [fact, fact], values }, state, null);
      store.append({ seq: 3, at: 6, facts: [long], values: [] }, state, snapshot);
      store.append({ seq: 4, at: 7, facts: [fact], values: [] }, state, null);
      const { sql } = storage;
      for (const sealed of [
        ...sql.exec("SELECT facts AS text FROM turns WHERE facts IS NOT NULL").toArray(),
        ...sql.exec("SELECT body AS text FROM snapshots").toArray(),
        ...sql.exec("SELECT body AS text FROM chunks WHERE part = 0").toArray(),
      ])
        expect(text(sealed, "text")).toMatch(/^r1\./);
      const { snapshot: read, rows } = store.load();
      expect(read).toEqual({ seq: 4, state: JSON.parse(JSON.stringify(snapshot)) });
      expect([...rows].map(({ facts }) => facts)).toEqual([[fact]]);
      expect(store.after(0, 10).map(({ facts }) => facts)).toEqual([[fact, fact], [long], [fact]]);
      expect(values.map((_, slot) => store.value(1, slot))).toEqual(values);
    });
    await expectNothingKept();
  });
});

describe("over the API", () => {
  let admin = "";
  beforeAll(async () => {
    admin = await newTenant("confidential");
  });

  const plan = {
    sensitive: ["input", "output"],
    input: { type: "object", properties: { word: { type: "string" } } },
    steps: { say: { action: "transform", with: { value: "${{ input.word }}" } } },
    output: "${{ steps.say.output }}",
  };

  async function look(key: string, id: string): Promise<RunView> {
    const answer = await send("GET", `/v1/runs/${id}`, { key, headers: { prefer: "wait=10" } });
    return expectAnswer<RunView>(answer, "getRun", 200);
  }

  it("a plan says that input and output are sensitive, and only `outputs:reveal` sees the output", async () => {
    const started = await send("POST", "/v1/runs", { key: admin, body: { plan, input: { word: WORD } } });
    const { id } = await expectAnswer<RunView>(started, "startRun", started.status);
    const reader = await newKey(admin, { scopes: ["runs:read", "outputs:read"] });
    expect((await look(reader, id)).output).toEqual({ redacted: true });
    expect((await look(admin, id)).output).toEqual({ value: WORD });
    await expectNothingKept();
  });

  it("what is no part of a run cannot be sensitive", async () => {
    const body = { plan: { ...plan, sensitive: ["steps"] } };
    const answer = await send("POST", "/v1/runs", { key: admin, body });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({
      code: "bad_plan",
      errors: [{ pointer: "/plan/sensitive/0" }],
    });
  });
});

describe("a run that becomes confidential later", () => {
  it("seals from then on, when a sensitive step is appended, and still reads what it wrote before", async () => {
    const run = await start("t-wait", {}, { open: true });
    expect(await sealedKey(run)).toBeUndefined();
    expect(await keyRow(run)).toBeNull();
    const compiled = compileSteps({
      late: { action: "wait", with: { signal: "late" }, sensitive: true },
    });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    await command(run, { t: "append", steps: compiled.steps, by: "key:test" });
    expect(await sealedKey(run)).toMatch(/^v1\./);
    await command(run, { ...say, name: "late" });
    await until(run, (seen) => step(seen, "late").status === "succeeded");
    await abortAllDurableObjects();
    expect(step(await revealed(run), "late").output).toEqual({ value: SAID });
    await expectNothingKept();
  });

  it("does so as well when a function adds the step, whatever life that is", async () => {
    const run = await start("t-secret-grows");
    await until(run, (seen) => seen.steps.some(({ name }) => name === "late"));
    await command(run, say);
    await ended(run);
    await abortAllDurableObjects();
    expect(step(await revealed(run), "late").output).toEqual({ value: SAID });
    await expectNothingKept();
  });
});

describe("a run without anything sensitive", () => {
  it("has no key, no row, and asks the vault for nothing", async () => {
    const never = async (): Promise<never> => {
      throw new Error("The vault was reached.");
    };
    const all = { make: never, open: never, renew: never, renewed: never, forget: never };
    keys.current = { ...all, isCurrent: () => false };
    const run = await start("t-chain-4");
    expect((await ended(run)).status).toBe("succeeded");
    expect([await sealedKey(run), await keyRow(run)]).toEqual([undefined, null]);
  });
});

/** Lets days pass in which every life fails, those that are given up in the middle of a turn among them. */
async function failForDays(run: Started): Promise<void> {
  for (let day = 0; day < 12; day++) {
    vi.setSystemTime(Date.now() + DAY_MS);
    await runDurableObjectAlarm(run.stub()).catch(() => {});
  }
}

async function expectUnreadable(run: Started): Promise<RunView> {
  const seen = await view(run);
  expect(seen).toMatchObject({ status: "failed", failure: { code: "run_unreadable" } });
  expect(seen.failure?.message).toContain("does not open: it was changed or moved");
  return seen;
}

describe("what was changed in the database", () => {
  /** Puts the facts of the last two turns each in the place of the other. */
  async function swapTurns(run: Started): Promise<void> {
    await runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      const rows = sql.exec("SELECT seq, facts FROM turns ORDER BY seq").toArray();
      const [a, b] = rows.slice(-2);
      if (a === undefined || b === undefined) throw new Error("there are no two turns");
      sql.exec("UPDATE turns SET facts = ? WHERE seq = ?", text(b, "facts"), a["seq"]);
      sql.exec("UPDATE turns SET facts = ? WHERE seq = ?", text(a, "facts"), b["seq"]);
    });
    await abortAllDurableObjects();
  }

  it("two turns that were swapped: the run does not go on with wrong data, says so, and ends after days", async () => {
    const run = await secretive();
    await waiting(run);
    await swapTurns(run);
    expect(await run.stub().view(REVEALING)).toMatchObject(UNAVAILABLE);
    await failForDays(run);
    const seen = await expectUnreadable(run);
    expect(seen.workflow).toBe("t-secretive");
  });

  it("two values that were swapped: they are shown to nobody, and no step reads them", async () => {
    const run = await start("t-secretive", { word: WORD, list: ITEMS.map((one) => one.padEnd(1_500, ".")) });
    await waiting(run);
    await runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      const values = sql
        .exec("SELECT seq, vals FROM turns WHERE vals IS NOT NULL ORDER BY seq")
        .toArray()
        .map((row) => ({ seq: row["seq"], vals: JSON.parse(text(row, "vals")) as (string | null)[] }))
        .filter(({ vals }) => vals[0] !== null);
      const [a, b] = values.slice(-2);
      if (a === undefined || b === undefined) throw new Error("there are no two values");
      [a.vals[0], b.vals[0]] = [b.vals[0] ?? null, a.vals[0] ?? null];
      for (const { seq, vals } of [a, b])
        sql.exec("UPDATE turns SET vals = ? WHERE seq = ?", JSON.stringify(vals), seq);
    });
    await abortAllDurableObjects();
    const log = listenToConsole();
    expect(await run.stub().step(REVEALING, "each", 0)).toMatchObject(UNAVAILABLE);
    expect(log().join("\n")).toContain("run_text_unreadable");
    // The run goes on as far as it needs none of the two. Its output needs both, and so there is none.
    await run.stub().command(VIEWER, say);
    const end = async (): Promise<RunReport | null> => run.stub().poke(TENANT);
    await vi.waitUntil(async () => ((await end())?.endedAt ?? null) !== null, {
      timeout: 5_000,
      interval: 20,
    });
    expect(await end()).toMatchObject({ status: "failed", failure: { code: "template_failed" } });
    expect(await run.stub().view(REVEALING)).toMatchObject(UNAVAILABLE);
  });

  it("a key that was changed does not open: the run is not lost at once, and nothing is written over", async () => {
    const run = await secretive();
    await waiting(run);
    const before = await runInDurableObject(run.stub(), (_object, { storage: { kv } }) => {
      const meta = kv.get<{ key: { sealed: string; from: number } }>("meta");
      if (meta === undefined) throw new Error("there is no meta");
      kv.put("meta", { ...meta, key: { ...meta.key, sealed: `${meta.key.sealed.slice(0, -4)}AAAA` } });
      return meta;
    });
    await abortAllDurableObjects();
    expect(await run.stub().view(REVEALING)).toMatchObject(UNAVAILABLE);
    await runInDurableObject(run.stub(), (_object, { storage: { kv } }) => {
      kv.put("meta", before);
    });
    await abortAllDurableObjects();
    await waiting(run);
  });
});

describe("the keyring", () => {
  const first = (): Keyring => loadKeyring(env.KEYRING);

  it("with another key of that name: no run is lost or advances, all is loud, and it goes on under the right one", async () => {
    const run = await secretive();
    await waiting(run);
    const wrong = await deploy(ring("k1", { k1: 66 }));
    const log = listenToConsole();
    for (let look = 0; look < 6; look++) {
      expect(await run.stub().view(REVEALING)).toMatchObject(UNAVAILABLE);
      vi.setSystemTime(Date.now() + DAY_MS);
      await runDurableObjectAlarm(run.stub());
    }
    expect(log().join("\n")).toContain("run_key_not_opened");
    expect(wrong?.lines.join("\n")).toContain("vault.wrong_keyring");
    const left = await runInDurableObject(run.stub(), async (_object, { storage }) => ({
      meta: Object.keys(storage.kv.get<object>("meta") ?? {}),
      alarm: await storage.getAlarm(),
    }));
    expect(left.meta).toEqual(["tenant", "id", "bodyDigest", "key", "lockedSince"]);
    expect(left.alarm).toBeGreaterThan(Date.now());
    // Of six days, and yet it looks again within the hour.
    expect(left.alarm).toBeLessThanOrEqual(Date.now() + HOUR_MS);
    vi.useRealTimers();
    await deploy(null);
    await command(run, say);
    await ended(run);
    expect((await revealed(run)).output).toEqual({ value: OUTPUT });
  });

  it("without the key: the same, and a start is refused with nothing left behind", async () => {
    const run = await secretive();
    await waiting(run);
    await deploy(ring("k9", { k9: 9 }));
    expect(await run.stub().view(REVEALING)).toMatchObject(UNAVAILABLE);
    keys.current = deployment(ring("k1", { k1: 66 })).keys;
    const never = { id: `run_${"7".repeat(26)}`, stub: () => stubOf(`run_${"7".repeat(26)}`) };
    const refused = await never.stub().start({
      ...requestOf("t-secretive", { word: WORD, list: ITEMS }),
      id: never.id,
    });
    expect(refused).toMatchObject(UNAVAILABLE);
    expect(await keyRow(never)).toBeNull();
    await runInDurableObject(never.stub(), (_object, { storage }) => {
      expect([...storage.kv.list()]).toEqual([]);
    });
    await deploy(null);
    await waiting(run);
  });

  it("is changed: keys are counted, moved by the sweep, and the old one can be dropped", async () => {
    const run = await secretive();
    await waiting(run);
    const k1 = '"k1":"dGVzdC1rZXlyaW5nLWtleS1vZi10aGlydHktdHdvLWI"';
    const k2 = '"k2":"BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"';
    // Both, and the new one is active.
    const both = await deploy(loadKeyring(`{"active":"k2","keys":{${k1},${k2}}}`));
    const before = await both?.records.countByKid();
    expect(before?.["k1"]).toBeGreaterThan(0);
    expect((await keyRow(run))?.kid).toBe("k1");
    expect(await both?.operations.rewrap(1_000)).toMatchObject({ active: "k2", left: {} });
    expect(await both?.records.countByKid()).toMatchObject({ k2: expect.any(Number) });
    expect((await both?.records.countByKid())?.["k1"]).toBeUndefined();
    expect(await sealedKey(run)).toMatch(/^v1\.k2\./);
    // The old one is gone, and it still opens.
    await deploy(loadKeyring(`{"active":"k2","keys":{${k2}}}`));
    await command(run, say);
    await ended(run);
    expect((await revealed(run)).output).toEqual({ value: OUTPUT });
  });

  it("is changed, and a run that wakes follows by itself", async () => {
    const run = await secretive();
    await waiting(run);
    const { active } = first();
    const k2 = '"k2":"BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"';
    const text = (env.KEYRING ?? "")
      .replace(`"active":"${active}"`, '"active":"k2"')
      .replace('"keys":{', `"keys":{${k2},`);
    await deploy(loadKeyring(text));
    await view(run);
    await vi.waitUntil(async () => (await keyRow(run))?.kid === "k2", { timeout: 5_000, interval: 20 });
    expect(await sealedKey(run)).toMatch(/^v1\.k2\./);
  });

  it("a row without a key behind it is taken away by the sweep, but not while a run may be about to begin", async () => {
    const gone = `run_${"8".repeat(26)}`;
    const k1 = deployment(first());
    await k1.keys.make(TENANT, gone);
    const k2 = '"k2":"BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"';
    const next = deployment(loadKeyring(`{"active":"k2","keys":{${k2}}}`));
    const has = async (): Promise<boolean> =>
      (await env.DB.prepare("SELECT 1 FROM run_keys WHERE run = ?").bind(gone).first()) !== null;
    await next.records.rewrapSome(next.vault, 1_000);
    expect(await has()).toBe(true);
    vi.setSystemTime(Date.now() + HOUR_MS);
    await next.records.rewrapSome(next.vault, 1_000);
    expect(await has()).toBe(false);
  });
});

describe("after the retention", () => {
  it("nothing of the run is left that its key would open, nor its key, nor the row that counted it", async () => {
    const run = await secretive();
    await waiting(run);
    await command(run, say);
    await ended(run);
    await listed(run);
    expect((await keyRow(run))?.kid).toBe("k1");
    vi.setSystemTime(Date.now() + RETENTION_MS + 1_000);
    await runDurableObjectAlarm(run.stub());
    expect(await run.stub().view(VIEWER)).toMatchObject({ ok: false, code: "run_deleted" });
    expect(await sealedKey(run)).toBeUndefined();
    await vi.waitUntil(async () => (await keyRow(run)) === null, { timeout: 5_000, interval: 20 });
    await runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      const tables = sql.exec(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      );
      expect(tables.toArray()).toEqual([]);
    });
  });
});
