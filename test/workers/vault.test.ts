import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createAccessAudit } from "../../src/access/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import { createRegistry } from "../../src/define/index.ts";
import {
  createKeyCheck,
  createVault,
  createVaultOperations,
  type Keyring,
  type Vault,
  VaultError,
} from "../../src/vault/index.ts";
import { PLACE, ring } from "../vault/support.ts";
import { client, expectAnswer, expectProblem, ROOT_KEY, send } from "./api-support.ts";
import { testRecords } from "./sealed-records.ts";
import worker from "./worker.ts";

const MINUTE_MS = 60_000;
const records = testRecords(env.DB, "rotated");

/** One isolate: its own keyring, what it remembers, its log, its way to the database, its door. */
function isolate(keyring: Keyring, db: D1Database = env.DB) {
  const lines: string[] = [];
  const log = createLogger("debug", (_, line) => lines.push(line));
  const now = (): number => Date.now();
  const check = createKeyCheck({ db, log, now });
  const vault = createVault(keyring, check);
  const operations = createVaultOperations({
    ...{ db, keyring, check, vault, log, now, records: [records] },
    audit: createAccessAudit(env.DB),
  });
  const unused = async (): Promise<never> => {
    throw new Error("A run was reached.");
  };
  const door = client({
    ...{ workflows: createRegistry([]), runIdOf: unused, vault: () => operations },
    runs: () => {
      throw new Error("A run was reached.");
    },
  });
  return { vault, check, operations, lines, ask: ask(door.send) };
}

type Ask = <T = unknown>(method: string, path: string, body?: unknown) => Promise<T>;

/** Asks as the operator. The code of a problem, or the answer, held against its schema. */
function ask(through: typeof send): Ask {
  return async <T>(method: string, path: string, body?: unknown) => {
    const answer = await through(method, path, { key: ROOT_KEY, ...(body === undefined ? {} : { body }) });
    const id =
      { keys: "listVaultKeys", rewrap: "rewrapVault", health: "checkHealth" }[path.split("/").at(-1) ?? ""] ??
      "dropVaultKey";
    if (answer.ok) return expectAnswer<T>(answer, id, 200);
    const { code } = (await answer.clone().json()) as { code: string };
    return (await expectProblem(answer, answer.status, code)) as T;
  };
}

interface KeyView {
  readonly kid: string;
  readonly [field: string]: unknown;
}

async function keysSeenBy({ ask: by }: { ask: Ask }): Promise<Readonly<Record<string, KeyView>>> {
  const { data } = await by<{ data: KeyView[] }>("GET", "/v1/vault/keys");
  return Object.fromEntries(data.map((key) => [key.kid, key]));
}

/** A database that is away while `away` says so, or that is so slow that nobody waits for it. */
function unsteady() {
  const state = { away: false };
  const db = new Proxy(env.DB, {
    get(target, name) {
      if (state.away) throw new Error("D1_ERROR: Network connection lost.");
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { db, state };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "done",
    (error: unknown) => {
      if (error instanceof VaultError) return error.code;
      throw error;
    },
  );
}

async function opened(vault: Vault, id: string): Promise<string> {
  const result = await vault.open(records.placeOf(id), (await records.get(id)).sealed);
  return result.ok ? result.value : result.error.code;
}

function later(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

beforeEach(async () => {
  await env.DB.exec("DELETE FROM vault_keys");
  await env.DB.exec("DROP TABLE IF EXISTS rotated");
  await env.DB.exec("DROP TABLE IF EXISTS test_records");
});

afterEach(() => {
  vi.useRealTimers();
});

describe("before an isolate seals under a key", () => {
  it("the key has a known answer, made once, which is no secret's text and no key", async () => {
    const [one, two] = [isolate(ring("k1", { k1: 1 })), isolate(ring("k1", { k1: 1 }))];
    await one.vault.seal(PLACE, "a");
    const { results: first } = await env.DB.prepare("SELECT * FROM vault_keys").all();
    expect(first).toMatchObject([{ kid: "k1", dropped_at: null }]);
    await two.vault.seal(PLACE, "b");
    const { results: second } = await env.DB.prepare("SELECT * FROM vault_keys").all();
    expect(second).toEqual(first);
    expect(JSON.stringify(first)).not.toContain("AQEBAQEB");
  });

  it("a keyring with another key of that name is found out: loudly, nothing is sealed, and rows stay as they are", async () => {
    const right = isolate(ring("k1", { k1: 1 }));
    await records.put(right.vault, "r1", "secret");
    const before = await records.get("r1");
    const wrong = isolate(ring("k1", { k1: 66 }));
    expect(await codeOf(wrong.vault.seal(PLACE, "x"))).toBe("wrong_keyring");
    expect(await codeOf(wrong.vault.seal(PLACE, "x"))).toBe("wrong_keyring");
    expect(wrong.lines.filter((line) => line.includes("vault.wrong_keyring")).length).toBe(2);
    expect(wrong.lines.join()).toContain('"level":"error"');
    expect(await wrong.ask("POST", "/v1/vault/rewrap", {})).toMatchObject({ code: "wrong_keyring" });
    await wrong.operations.tick(100);
    expect(await records.get("r1")).toEqual(before);
    expect(await opened(right.vault, "r1")).toBe("secret");
    expect((await keysSeenBy(wrong))["k1"]).toMatchObject({ check: "failed", records: { rotated: 1 } });
  });

  it("what it cannot open is a passing fault as long as its key is not proved: no record dies of a wrong keyring", async () => {
    const right = isolate(ring("k1", { k1: 1 }));
    await records.put(right.vault, "r1", "secret");
    expect(await opened(isolate(ring("k1", { k1: 66 })).vault, "r1")).toBe("unknown_key");
    const { db, state } = unsteady();
    const alone = isolate(ring("k1", { k1: 1 }), db);
    state.away = true;
    const moved = { ...records.placeOf("r1"), tenant: "other" };
    const { sealed } = await records.get("r1");
    expect(await alone.vault.open(moved, sealed)).toMatchObject({ error: { code: "unknown_key" } });
    state.away = false;
    expect(await alone.vault.open(moved, sealed)).toMatchObject({ error: { code: "not_authentic" } });
  });

  it("a known answer that somebody replaced is a wrong keyring, too", async () => {
    const other = await createVault(ring("k1", { k1: 5 })).seal(PLACE, "x");
    for (const value of [other, "no sealed text"]) {
      await env.DB.exec("DELETE FROM vault_keys");
      await env.DB.prepare("INSERT INTO vault_keys VALUES ('k1', ?, 1, NULL, NULL)").bind(value).run();
      expect(await codeOf(isolate(ring("k1", { k1: 1 })).vault.seal(PLACE, "x"))).toBe("wrong_keyring");
    }
  });
});

describe("while the database is away", () => {
  it("an isolate that never checked its key seals nothing, and opens all", async () => {
    await records.put(isolate(ring("k1", { k1: 1 })).vault, "r1", "secret");
    const { db, state } = unsteady();
    const alone = isolate(ring("k1", { k1: 1 }), db);
    state.away = true;
    expect(await codeOf(alone.vault.seal(PLACE, "x"))).toBe("unavailable");
    expect(await opened(alone.vault, "r1")).toBe("secret");
    // Asked through the door, which reaches its own part of the database.
    expect(await alone.ask("POST", "/v1/vault/rewrap", {})).toMatchObject({ code: "unavailable" });
    state.away = false;
    expect(await codeOf(alone.vault.seal(PLACE, "x"))).toBe("done");
  });

  it("one that did goes on to seal, for as long as it lasts", async () => {
    const { db, state } = unsteady();
    const one = isolate(ring("k1", { k1: 1 }), db);
    await one.vault.seal(PLACE, "x");
    state.away = true;
    later(60 * MINUTE_MS);
    expect(await codeOf(one.vault.seal(PLACE, "y"))).toBe("done");
    expect(one.lines.join()).toContain("vault.key_not_asked_again");
  });

  it("that an isolate has only looked at its keys does not let it seal", async () => {
    const { db, state } = unsteady();
    const one = isolate(ring("k1", { k1: 1 }), db);
    await one.operations.keys();
    state.away = true;
    expect(await codeOf(one.vault.seal(PLACE, "x"))).toBe("unavailable");
  });

  it("a record that is gone after the database was put back is made anew", async () => {
    const one = isolate(ring("k1", { k1: 1 }));
    await one.vault.seal(PLACE, "x");
    await env.DB.exec("DELETE FROM vault_keys");
    later(2 * MINUTE_MS);
    await one.vault.seal(PLACE, "y");
    expect((await keysSeenBy(one))["k1"]).toMatchObject({ check: "passed", dropped_at: null });
  });
});

describe("the keys are changed in four stages", () => {
  it("add, wait, activate, drop: nothing fails meanwhile, all records move, and the old key can go", async () => {
    const IDS = Array.from({ length: 25 }, (_, i) => `r${i}`);
    const before = isolate(ring("k1", { k1: 1 }));
    for (const id of IDS) await records.put(before.vault, id, `secret of ${id}`);
    const ciphertext = (sealed: string) => sealed.split(".").slice(3).join(".");
    const first = new Map<string, string>();
    for (const id of IDS) first.set(id, ciphertext((await records.get(id)).sealed));

    // 1. Add. The new key only opens.
    const added = isolate(ring("k1", { k1: 1, k2: 2 }));
    await records.put(added.vault, "r0", "secret of r0");
    first.set("r0", ciphertext((await records.get("r0")).sealed));
    const seen = await keysSeenBy(added);
    expect(seen["k1"]).toMatchObject({ active: true, records: { rotated: 25 }, droppable: false });
    expect(seen["k2"]).toMatchObject({ active: false, check: "passed", sealed_at: null, records: {} });
    expect(await added.ask("POST", "/v1/vault/rewrap", {})).toMatchObject({
      rewrapped: {},
      left: {},
      done: true,
    });

    // 2. Wait. An object that still has the first keyring could not read the new key's rows yet.
    // 3. Activate: one isolate has it, one is a deploy behind, one is two deploys behind.
    later(24 * 60 * MINUTE_MS);
    const active = isolate(ring("k2", { k1: 1, k2: 2 }));
    await records.put(active.vault, "r1", "secret of r1");
    first.set("r1", ciphertext((await records.get("r1")).sealed));
    expect(await opened(added.vault, "r1")).toBe("secret of r1");
    expect(await opened(before.vault, "r1")).toBe("unknown_key");
    // One that is behind still seals under the old key, and is read.
    await records.put(added.vault, "r2", "secret of r2");
    first.set("r2", ciphertext((await records.get("r2")).sealed));
    expect(await opened(active.vault, "r2")).toBe("secret of r2");

    // Not yet.
    expect(await active.ask("POST", "/v1/vault/keys/k1/drop-check")).toMatchObject({
      code: "key_in_use",
      detail: "24 records are sealed under it.",
      errors: [{ detail: "24 of rotated" }],
    });

    // The sweep, in bounded parts.
    expect(await active.ask("POST", "/v1/vault/rewrap", { limit: 10 })).toEqual({
      ...{ active: "k2", rewrapped: { rotated: 10 }, left: { rotated: 14 }, done: false },
    });
    await active.operations.tick(10);
    expect(await records.countByKid()).toEqual({ k1: 14 - (10 - 2 - 2 - 2), k2: 11 + 4 });
    expect(await active.ask("POST", "/v1/vault/rewrap", {})).toMatchObject({ left: {}, done: true });
    expect(await records.countByKid()).toEqual({ k2: 25 });
    for (const id of IDS) {
      expect(ciphertext((await records.get(id)).sealed)).toBe(first.get(id));
      expect(await opened(active.vault, id)).toBe(`secret of ${id}`);
    }

    // 4. Drop: not while an isolate may have sealed something that is not written yet.
    expect(await active.ask("POST", "/v1/vault/keys/k1/drop-check")).toMatchObject({ code: "key_in_use" });
    later(16 * MINUTE_MS);
    expect((await keysSeenBy(active))["k1"]).toMatchObject({
      droppable: true,
      records: {},
      dropped_at: null,
    });
    const dropped = await active.ask("POST", "/v1/vault/keys/k1/drop-check");
    expect(dropped).toMatchObject({ kid: "k1", in_keyring: true });
    expect(await active.ask("POST", "/v1/vault/keys/k1/drop-check")).toEqual(dropped);

    // The one that was left behind seals nothing under it any more; without it, all opens.
    expect(await codeOf(added.vault.seal(PLACE, "late"))).toBe("key_dropped");
    const after = isolate(ring("k2", { k2: 2 }));
    for (const id of IDS) expect(await opened(after.vault, id)).toBe(`secret of ${id}`);
    expect((await keysSeenBy(after))["k1"]).toMatchObject({
      in_keyring: false,
      check: "not_here",
      records: {},
    });
  });

  it("a key is not dropped if a record comes under it between the count and the mark", async () => {
    const one = isolate(ring("k2", { k1: 1, k2: 2 }));
    await one.operations.keys();
    const sealed = await createVault(ring("k1", { k1: 1 })).seal(records.placeOf("late"), "late");
    let counted = 0;
    const racing = createVaultOperations({
      ...{ db: env.DB, keyring: ring("k2", { k1: 1, k2: 2 }), check: one.check, vault: one.vault },
      ...{ log: createLogger(), now: () => Date.now(), audit: createAccessAudit(env.DB) },
      records: [
        {
          ...records,
          countByKid: async () => {
            counted += 1;
            if (counted === 2) await records.set("late", sealed, "k1");
            return records.countByKid();
          },
        },
      ],
    });
    expect(await racing.drop("k1", "root")).toMatchObject({
      error: { code: "key_in_use", records: { rotated: 1 } },
    });
    expect((await keysSeenBy(one))["k1"]).toMatchObject({ dropped_at: null });
  });

  it("the active key is never dropped, nor one that nobody knows, nor any by who has the wrong keyring", async () => {
    const one = isolate(ring("k1", { k1: 1 }));
    await one.vault.seal(PLACE, "x");
    expect(await one.ask("POST", "/v1/vault/keys/k1/drop-check")).toMatchObject({ code: "key_in_use" });
    expect(await one.ask("POST", "/v1/vault/keys/k9/drop-check")).toMatchObject({ code: "not_found" });
    expect(await one.ask("POST", "/v1/vault/keys/K_9/drop-check")).toMatchObject({ code: "not_found" });
    const wrong = isolate(ring("k1", { k1: 66, k2: 2 }));
    await isolate(ring("k1", { k1: 1, k2: 2 })).operations.keys();
    expect(await wrong.ask("POST", "/v1/vault/keys/k2/drop-check")).toMatchObject({ code: "wrong_keyring" });
  });

  it("what is asked of a key is in the audit, granted or refused", async () => {
    const one = isolate(ring("k2", { k1: 1, k2: 2 }));
    await one.operations.keys();
    await one.operations.drop("k2", "root");
    await one.operations.drop("k1", "root");
    const { results } = await env.DB.prepare(
      "SELECT actor, target, outcome FROM access_audit WHERE action = 'vault.drop' ORDER BY seq DESC LIMIT 2",
    ).all();
    expect(results).toEqual([
      { actor: "root", target: "k1", outcome: "granted" },
      { actor: "root", target: "k2", outcome: "refused" },
    ]);
  });

  it("a record that does not open is passed over, and holds its key back", async () => {
    const old = isolate(ring("k1", { k1: 1 }));
    await records.put(old.vault, "bad", "x");
    const { sealed } = await records.get("bad");
    await records.set("bad", `${sealed.slice(0, -4)}AAAA`, "k1");
    await records.set("worse", sealed, "k1");
    await records.put(old.vault, "good", "y");
    const next = isolate(ring("k2", { k1: 1, k2: 2 }));
    // The ciphertext is not looked into; that of another place is found by its key.
    expect(await next.ask("POST", "/v1/vault/rewrap", {})).toMatchObject({
      rewrapped: { rotated: 2 },
      left: { rotated: 1 },
    });
    expect(await opened(next.vault, "good")).toBe("y");
    expect(await opened(next.vault, "bad")).toBe("not_authentic");
  });
});

describe("the Worker", () => {
  it("proves its keys and moves records with the cron trigger", async () => {
    const mine = testRecords(env.DB);
    const keys = (JSON.parse(env.KEYRING) as { keys: Record<string, string> }).keys;
    // What an earlier keyring left, whose key is in the Worker's no more: passed over. Then what its own key seals.
    await mine.put(createVault(ring("k9", { k9: 9 })), "lost", "x");
    await worker.scheduled(createScheduledController({ scheduledTime: Date.now() }), env);
    const { results } = await env.DB.prepare("SELECT kid FROM vault_keys").all();
    expect(results).toEqual(Object.keys(keys).map((kid) => ({ kid })));
    expect(await mine.countByKid()).toEqual({ k9: 1 });
  });

  it("tells the operator whether what it stands on is well, and what to do where it is not", async () => {
    interface Seen {
      readonly status: string;
      readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
    }
    const check = async (): Promise<Seen> =>
      expectAnswer<Seen>(
        await send("GET", "/v1/health", { key: env.ROOT_API_KEY ?? "" }),
        "checkHealth",
        200,
      );
    const well = await check();
    expect(well.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(well.status).toBe("ok");
    expect(well.checks.map(({ name }) => name)).toEqual(["database", "keyring", "objects", "issuer"]);

    const { name } = (await env.DB.prepare("SELECT name FROM d1_migrations ORDER BY id DESC LIMIT 1").first<{
      name: string;
    }>()) ?? { name: "" };
    await env.DB.prepare("UPDATE d1_migrations SET name = '0001_old.sql' WHERE name = ?").bind(name).run();
    const behind = await check();
    await env.DB.prepare("UPDATE d1_migrations SET name = ? WHERE name = '0001_old.sql'").bind(name).run();
    expect(behind.status).toBe("failing");
    expect(behind.checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: "database", detail: expect.stringContaining("d1 migrations apply") },
    ]);

    await env.DB.exec("DELETE FROM vault_keys");
    await isolate(ring("k1", { k1: 1 })).vault.seal(PLACE, "x");
    const wrong = isolate(ring("k1", { k1: 66 }));
    const seen = await wrong.ask<Seen>("GET", "/v1/health");
    expect(seen.checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: "keyring", detail: expect.stringContaining("put the right KEYRING back") },
      // Here no run can be reached: what failed is told to the log alone.
      { name: "objects", detail: expect.stringContaining("health.check_failed") },
    ]);
    expect(JSON.stringify(seen)).not.toContain("A run was reached");

    // As after a restore: texts are under a key that today's keyring does not have.
    await records.put(isolate(ring("k1", { k1: 1 })).vault, "r1", "secret");
    const without = await isolate(ring("k2", { k2: 2 })).ask<Seen>("GET", "/v1/health");
    expect(without.checks.filter(({ ok, name: of }) => !ok && of === "keyring")).toMatchObject([
      { detail: expect.stringContaining("sealed under k1, which KEYRING does not have") },
    ]);
  });

  it("tells its keys to the root key, and what they are to nobody", async () => {
    const key = env.ROOT_API_KEY ?? "";
    const answer = await send("GET", "/v1/vault/keys", { key });
    const text = await answer.clone().text();
    await expectAnswer(answer, "listVaultKeys", 200);
    for (const secret of Object.values((JSON.parse(env.KEYRING) as { keys: Record<string, string> }).keys))
      expect(text).not.toContain(secret.slice(0, 12));
    await expectProblem(
      await send("POST", "/v1/vault/rewrap", { key, body: { limit: 0 } }),
      400,
      "invalid_request",
    );
  });
});
