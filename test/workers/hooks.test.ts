import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { createAccessAudit, createSeenCache } from "../../src/access/index.ts";
import { createValueExpressions } from "../../src/define/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import {
  createHookDesk,
  createHooks,
  dropEndedSecrets,
  type HookDraft,
  hookRecords,
  type KnownHook,
  MAX_BODY_BYTES,
} from "../../src/triggers/index.ts";
import { createVault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";

const SECRET = "a-secret-of-this-test";
const OTHER = "another-secret-of-it";
const DRAFT: HookDraft = {
  scheme: { scheme: "github" },
  paused: false,
  maxBodyBytes: MAX_BODY_BYTES,
  rate: { perMinute: 60, burst: 10 },
  filter: "input.event == 'push'",
  input: { ref: "${{ input.body.ref }}" },
  headers: ["x-github-event"],
  workflow: "book-trip",
  revokes: null,
  user: null,
};
const ME = { tenant: "default", maker: { actor: "key:test", policies: [{ workflows: ["book-trip"] }] } };
const YOU = { tenant: "others", maker: { actor: "key:other", policies: [] } };

let clock = 1_000;
const lines: string[] = [];
const log = createLogger("debug", (_, line) => lines.push(line));
const RING = ring("k1", { k1: 1, k2: 2 });

function house(keyring = RING) {
  const vault = createVault(keyring);
  const hooks = createHooks({
    db: env.DB,
    vault: () => vault,
    expressions: createValueExpressions(),
    audit: createAccessAudit(env.DB),
    log,
    now: () => (clock += 1),
  });
  return { vault, hooks };
}

const { hooks } = house();

async function made(name: string, draft: HookDraft = DRAFT) {
  const hook = await hooks.create(ME, name, draft);
  if (!hook.ok) throw new Error(JSON.stringify(hook.error));
  return hook.value;
}

async function added(name: string, secret: string) {
  const view = await hooks.addSecret(ME, name, secret);
  if (!view.ok) throw new Error(JSON.stringify(view.error));
  return view.value;
}

describe("a hook", () => {
  it("is found and listed as it was made, by its tenant only", async () => {
    const hook = await made("first");
    expect(hook).toMatchObject({ ...DRAFT, version: 1, createdBy: "key:test", maker: ME.maker });
    expect(await hooks.find("default", "first")).toEqual({ ok: true, value: hook });
    expect(await hooks.find("others", "first")).toEqual({ ok: false, error: { code: "not_found" } });
    expect((await hooks.list("default", "", 10)).map(({ name }) => name)).toContain("first");
    expect(await hooks.list("others", "", 10)).toEqual([]);
    expect(await hooks.create(ME, "first", DRAFT)).toEqual({ ok: false, error: { code: "conflict" } });
  });

  it("whose input is the body has none after it was read again", async () => {
    const hook = await made("plain", { ...DRAFT, input: undefined, filter: null, rate: null });
    expect(await hooks.find("default", "plain")).toEqual({ ok: true, value: hook });
  });

  it("is refused with all that is wrong with it", async () => {
    const draft: HookDraft = {
      ...DRAFT,
      scheme: { scheme: "api_key", header: "x y", prefix: "", id: null, event: null },
      maxBodyBytes: 0,
      rate: { perMinute: 0, burst: 1.5 },
      filter: "steps.a.output",
      input: { a: ["${{ 1 +"] },
      headers: ["X-Upper", "authorization"],
      workflow: "No Name",
      user: "",
    };
    const refused = await hooks.create(ME, "flawed", draft);
    expect(
      refused.ok || refused.error.code !== "flawed" || refused.error.flaws.map((one) => one.pointer),
    ).toEqual([
      "/workflow",
      "/user",
      "/scheme/header",
      "/maxBodyBytes",
      "/rate/perMinute",
      "/rate/burst",
      "/headers/0",
      "/headers/1",
      "/filter",
      "/input/a/0",
    ]);
  });

  it("is changed from the version that was seen, and keeps its id and its scheme", async () => {
    const hook = await made("changing");
    const paused = { ...DRAFT, paused: true };
    const changed = await hooks.change(ME, "changing", 1, paused);
    expect(changed).toMatchObject({ ok: true, value: { id: hook.id, version: 2, paused: true } });
    expect(await hooks.change(ME, "changing", 1, paused)).toEqual({ ok: false, error: { code: "conflict" } });
    expect(await hooks.change(ME, "changing", 2, { ...DRAFT, scheme: { scheme: "slack" } })).toMatchObject({
      error: { code: "flawed", flaws: [{ pointer: "/scheme/scheme" }] },
    });
    expect(await hooks.change(YOU, "changing", 2, paused)).toMatchObject({ error: { code: "not_found" } });
  });

  it("that is made again under its name is another one, without the secrets of the first", async () => {
    const hook = await made("again");
    await added("again", SECRET);
    expect(await hooks.remove(YOU, "again")).toMatchObject({ error: { code: "not_found" } });
    expect(await hooks.remove(ME, "again")).toMatchObject({ ok: true });
    expect(await hooks.remove(ME, "again")).toMatchObject({ error: { code: "not_found" } });
    const next = await made("again");
    expect(next.id).not.toBe(hook.id);
    expect(await hooks.secretsOf(next)).toEqual([]);
    expect(await hooks.secretsOf(hook)).toEqual([]);
  });

  it("is in the audit before it is there, and so are its secrets, never with their text", async () => {
    await made("audited");
    await added("audited", SECRET);
    const { results } = await env.DB.prepare(
      "SELECT action, actor, detail FROM access_audit WHERE target = 'audited' ORDER BY at",
    ).all<{ action: string }>();
    expect(results.map(({ action }) => action)).toEqual(["hook.create", "hook.secret.add"]);
    expect(JSON.stringify(results)).not.toContain(SECRET);
    const failing = createHooks({
      ...{ db: env.DB, vault: () => house().vault, expressions: createValueExpressions(), log },
      now: () => 1,
      audit: { write: async () => Promise.reject(new Error("no audit")) },
    });
    await expect(failing.create(ME, "untold", DRAFT)).rejects.toThrow("no audit");
    expect(await hooks.find("default", "untold")).toMatchObject({ error: { code: "not_found" } });
  });
});

describe("a hook that is made with its secret", () => {
  it("is not there where the secret cannot be sealed, so that trying again makes it", async () => {
    const never = (): never => {
      throw new Error("the keyring is away");
    };
    const desk = createHookDesk({
      ...{ db: env.DB, vault: never, log, now: () => (clock += 1), revoke: never, object: never },
      ...{ expressions: createValueExpressions(), audit: createAccessAudit(env.DB) },
      ...{ seen: createSeenCache<KnownHook>(), starter: { start: never }, runIdOf: never },
      ...{ makerStands: never, deliver: never, defer: () => {} },
    });
    await expect(desk.create(ME, "half-made", DRAFT, SECRET)).rejects.toThrow("the keyring is away");
    expect(await hooks.find("default", "half-made")).toMatchObject({ error: { code: "not_found" } });
    expect(await hooks.create(ME, "half-made", DRAFT)).toMatchObject({ ok: true });
  });
});

describe("secrets of a hook", () => {
  it("stand sealed, are shown without their text, and open for deliveries", async () => {
    const hook = await made("sealed");
    const view = await added("sealed", SECRET);
    expect(await hooks.secretViews(hook)).toEqual([view]);
    expect(JSON.stringify(view)).not.toContain(SECRET);
    expect(await hooks.secretsOf(hook)).toEqual([{ id: view.id, text: SECRET, until: null }]);
    const row = await env.DB.prepare("SELECT * FROM hook_secrets WHERE id = ?").bind(view.id).first();
    expect(JSON.stringify(row)).not.toContain(SECRET);
    expect(row).toMatchObject({ kid: "k1", sealed: expect.stringMatching(/^v1\.k1\./) });
  });

  it("are several while they change, and an end is never put off", async () => {
    const hook = await made("rotating");
    const old = await added("rotating", SECRET);
    const fresh = await added("rotating", OTHER);
    const active = async () => (await hooks.secretsOf(hook)).map(({ id }) => id);
    expect(await active()).toEqual([fresh.id, old.id]);
    expect(await hooks.endSecret(YOU, "rotating", old.id, 0)).toMatchObject({ error: { code: "not_found" } });
    const end = clock + 1_000;
    expect(await hooks.endSecret(ME, "rotating", old.id, end)).toMatchObject({ ok: true });
    expect(await hooks.endSecret(ME, "rotating", old.id, end + 5_000)).toMatchObject({ ok: true });
    expect(await active()).toEqual([fresh.id, old.id]);
    clock = end;
    expect(await active()).toEqual([fresh.id]);
    await dropEndedSecrets(env.DB, clock);
    const { results } = await env.DB.prepare("SELECT id FROM hook_secrets WHERE hook = ?")
      .bind(hook.id)
      .all();
    expect(results).toEqual([{ id: fresh.id }]);
  });

  it("are at most five that have not ended, and of the hook's scheme", async () => {
    await made("many");
    const views = [];
    for (let i = 0; i < 5; i += 1) views.push(await added("many", `${SECRET}-${i}`));
    expect(await hooks.addSecret(ME, "many", SECRET)).toMatchObject({ error: { code: "conflict" } });
    await hooks.endSecret(ME, "many", views[0]?.id ?? "", 0);
    expect(await hooks.addSecret(ME, "many", SECRET)).toMatchObject({ ok: true });
    const short = await hooks.addSecret(ME, "many", "short");
    expect(short).toMatchObject({ error: { code: "flawed", flaws: [{ pointer: "/secret" }] } });
  });

  it("of another hook do not open in its place, and stop nothing beside them", async () => {
    const [one, two] = [await made("one"), await made("two")];
    const [first, second] = [await added("one", SECRET), await added("two", OTHER)];
    const intact = await added("two", `${OTHER}-2`);
    await env.DB.prepare(
      "UPDATE hook_secrets SET sealed = (SELECT sealed FROM hook_secrets WHERE id = ?) WHERE id = ?",
    )
      .bind(first.id, second.id)
      .run();
    expect((await hooks.secretsOf(two)).map(({ id }) => id)).toEqual([intact.id]);
    expect(await hooks.secretsOf(one)).toHaveLength(1);
    expect(
      lines.some((line) => line.includes("hook.secret_not_opened") && line.includes("not_authentic")),
    ).toBe(true);
    expect(lines.join("\n")).not.toContain(OTHER);
    await hooks.remove(ME, "two");
  });

  it("move to another key of the vault, and open there", async () => {
    const hook = await made("moving");
    const view = await added("moving", SECRET);
    const records = hookRecords({ db: env.DB, log });
    const { k1 = 0 } = await records.countByKid();
    expect(k1).toBeGreaterThan(0);
    const next = house(ring("k2", { k1: 1, k2: 2 }));
    let moved = 0;
    for (let some = 1; some > 0; moved += some) some = await records.rewrapSome(next.vault, 2);
    expect(moved).toBe(k1);
    expect(await records.countByKid()).toEqual({ k2: k1 });
    expect(await next.hooks.secretsOf(hook)).toEqual([{ id: view.id, text: SECRET, until: null }]);
    expect(await house(ring("k2", { k2: 2 })).hooks.secretsOf(hook)).toHaveLength(1);
  });
});
