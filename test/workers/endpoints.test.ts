/**
 * Outgoing webhooks in workerd: what the object really sends (looked at where it leaves the Worker), the door, keys, makers, and
 * the alarm over virtual days with deaths in between.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createAccessAudit } from "../../src/access/index.ts";
import { createLogger, objectName } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { createEndpoints, dropEndedKeys, endpointRecords } from "../../src/triggers/index.ts";
import { createVault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";
import { arrivalOf, verdict } from "../triggers/deliveries.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { endpointHouse } from "./endpoint-house.ts";
import { meter } from "./meter.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const TENANT = "endpoint-tests";
const HOST = "backend.receiver.example";

interface Made {
  readonly id: string;
  readonly status: string;
  readonly disabled: { readonly reason: string; readonly at: number } | null;
  readonly key: { readonly id: string; readonly secret: string | null; readonly public_key: string | null };
}
interface Seen extends Omit<Made, "key"> {
  readonly keys: readonly { readonly id: string; readonly until: number | null }[];
  readonly queue: {
    readonly pending: number;
    readonly failed: number;
    readonly failing_since: number | null;
    readonly next_at: number | null;
  };
}
interface Logged {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly code: string | null;
  readonly tries: number;
  readonly attempts: readonly { readonly status: number | null; readonly code: string | null }[];
}
interface Sent {
  readonly url: string;
  readonly redirect: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

let admin = "";
/** What left the Worker for receivers, by path. */
const sent: Sent[] = [];
let answer: (sent: Sent) => Response | Promise<Response> = () => new Response(null, { status: 204 });

beforeAll(async () => {
  admin = await newTenant(TENANT);
  const real = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    if (!new URL(request.url).hostname.endsWith("receiver.example")) return real(request);
    const { url, redirect } = request;
    const one = { url, redirect, headers: Object.fromEntries(request.headers), body: await request.text() };
    sent.push(one);
    return answer(one);
  });
});

afterEach(() => {
  answer = () => new Response(null, { status: 204 });
  endpointHouse.change = null;
});

let paths = 0;

async function made(
  body: Readonly<Record<string, unknown>> = {},
  key = admin,
): Promise<Made & { path: string }> {
  paths += 1;
  const path = `/hook/${paths}`;
  const whole = { url: `https://${HOST}${path}`, events: ["run.ended"], ...body };
  const answered = await send("POST", "/v1/endpoints", { key, body: whole });
  return { ...(await expectAnswer<Made>(answered, "createEndpoint", 201)), path };
}

async function gone(...ids: readonly string[]): Promise<void> {
  for (const id of ids)
    expect((await send("DELETE", `/v1/endpoints/${id}`, { key: admin })).status).toBe(204);
}

async function seen(id: string): Promise<Seen> {
  return expectAnswer<Seen>(await send("GET", `/v1/endpoints/${id}`, { key: admin }), "getEndpoint", 200);
}

async function messages(id: string): Promise<readonly Logged[]> {
  const answered = await send("GET", `/v1/endpoints/${id}/messages?limit=200`, { key: admin });
  return (await expectAnswer<{ data: Logged[] }>(answered, "listEndpointMessages", 200)).data;
}

async function started(body: Readonly<Record<string, unknown>>): Promise<string> {
  const answered = await send("POST", "/v1/runs", { key: admin, body });
  return (await expectAnswer<RunView>(answered, "startRun", 202)).id;
}

const arrived = (path: string): Sent[] => sent.filter(({ url }) => new URL(url).pathname === path);

async function arrival(path: string, count = 1): Promise<Sent> {
  await vi.waitUntil(() => arrived(path).length >= count, { timeout: 10_000, interval: 10 });
  const last = arrived(path).at(count - 1);
  if (last === undefined) throw new Error("nothing arrived");
  return last;
}

const stub = (id: string): DurableObjectStub => env.ENDPOINT.getByName(objectName("endpoint", TENANT, id));

/** What is asked again of the next life, where one is killed by the test meanwhile. */
async function survived<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!String(error).includes("killed by a test")) throw error;
    }
  }
}

async function alarmAt(id: string): Promise<number | null> {
  return survived(async () => runInDurableObject(stub(id), async (_, { storage }) => storage.getAlarm()));
}

const event = (n: number, at: number) => ({
  ...{ id: `msg_run_${n}_1_run-ended`, type: "run.ended", at },
  body: JSON.stringify({
    type: "run.ended",
    timestamp: new Date(at).toISOString(),
    data: { run: `run_${n}` },
  }),
});

async function enqueue(id: string, message: ReturnType<typeof event>): Promise<void> {
  const object: unknown = stub(id);
  await (object as { enqueue: (which: object, message: object) => Promise<void> }).enqueue(
    { tenant: TENANT, endpoint: id },
    message,
  );
}

describe("a run that ends", () => {
  it("is told to every endpoint that wants it: the official library verifies what is sent, and so do public keys", async () => {
    const shared = await made();
    const open = await made({ key: "ed25519" });
    const other = await made({ events: ["approval.required"] });
    const run = await started({ workflow: "t-chain-4", user: "ada", tags: ["shop"] });
    const [one, two] = [await arrival(shared.path), await arrival(open.path)];
    expect(one.redirect).toBe("manual");
    expect(one.headers).toMatchObject({ "content-type": "application/json", "user-agent": "Showcaller/1" });
    const told = new Webhook(shared.key.secret ?? "").verify(one.body, one.headers);
    expect(told).toMatchObject({
      type: "run.ended",
      data: {
        run,
        generation: 1,
        parent: null,
        workflow: "t-chain-4",
        user: "ada",
        tags: ["shop"],
        failure: null,
      },
    });
    expect(Object.keys((told as { data: object }).data)).not.toContain("output");
    expect(() => new Webhook(shared.key.secret ?? "").verify(`${one.body} `, one.headers)).toThrow(
      "signature",
    );
    expect(open.key.secret).toBeNull();
    const proved = await verdict(
      { scheme: "standard" },
      arrivalOf(two.headers, two.body),
      [open.key.public_key ?? ""],
      Date.now(),
    );
    expect(proved).toBe("ok");
    // One event has one id, wherever it goes.
    expect(two.headers["webhook-id"]).toBe(one.headers["webhook-id"]);
    expect(one.headers["webhook-id"]).toMatch(new RegExp(`^msg_${run}_\\d+_run-ended$`));
    await vi.waitUntil(async () => (await messages(shared.id))[0]?.status === "delivered");
    expect(await messages(shared.id)).toMatchObject([
      {
        id: one.headers["webhook-id"],
        type: "run.ended",
        status: "delivered",
        tries: 1,
        attempts: [{ status: 204, code: null }],
      },
    ]);
    expect([arrived(other.path), await messages(other.id)]).toEqual([[], []]);
    await gone(shared.id, open.id, other.id);
  });

  it("and one that asks for a decision, and a child with its parent", async () => {
    const { id, path } = await made({ events: ["run.ended", "approval.required"] });
    const asks = await started({ workflow: "t-approval", input: { price: 4_242 } });
    const asked = await arrival(path);
    expect(JSON.parse(asked.body)).toMatchObject({
      type: "approval.required",
      data: {
        run: asks,
        step: "ok",
        about: "wait",
        approval: expect.stringContaining(asks),
        status: "waiting",
      },
    });
    // What is to be paid is read with an API key.
    expect(asked.body).not.toContain("4242");
    const parent = await started({ workflow: "t-parent-sleep", input: { ms: 1 } });
    await arrival(path, 3);
    const ends = arrived(path)
      .slice(1)
      .map(({ body }) => JSON.parse(body) as { data: { run: string; parent: string | null } });
    expect(ends.map(({ data }) => data.parent)).toEqual(expect.arrayContaining([null, parent]));
    await gone(id);
  });

  it("that is confidential is told of without the words of its failure", async () => {
    const { id, path } = await made();
    const word = "only-the-run-may-know";
    const steps = {
      a: { action: "transform", with: { value: word }, sensitive: true },
      b: { action: "fail", needs: ["a"], with: { message: "It was ${{ steps.a.output }}." } },
    };
    await started({ plan: { steps } });
    const { body } = await arrival(path);
    expect(JSON.parse(body)).toMatchObject({
      data: { status: "failed", failure: { code: "step_failed", message: "[REDACTED]" } },
    });
    expect(body).not.toContain(word);
    await gone(id);
  });
});

describe("where an endpoint can be", () => {
  it.each([
    ["http://backend.receiver.example/", "https"],
    ["https://127.0.0.1/", "IP address"],
    ["https://[::1]/", "IP address"],
    ["https://2130706433/", "IP address"],
    ["https://localhost/", "public internet"],
    ["https://metadata.google.internal/", "public internet"],
    ["https://printer.local/", "public internet"],
    ["https://intranet/", "public internet"],
    ["https://backend.receiver.example:8443/", "443"],
    ["https://user:secret@backend.receiver.example/", "user name"],
    ["https://backend.receiver.example./", "trailing dot"],
    ["https://showcaller.test/v1/runs", "this deployment"],
    ["https://id.showcaller.test/", "this deployment"],
    ["backend.receiver.example", "absolute URL"],
    ["javascript:alert(1)", "https"],
  ])("is not %s", async (url, why) => {
    const refused = await send("POST", "/v1/endpoints", { key: admin, body: { url, events: ["run.ended"] } });
    const { errors, detail } = await expectProblem(refused, 400, "invalid_request");
    expect(errors?.map(({ pointer }) => pointer)).toEqual(["/url"]);
    expect(detail).toContain(why);
    expect(detail).not.toContain("secret@");
  });

  it("is not changed to such a place either", async () => {
    const { id } = await made();
    const refused = await send("PATCH", `/v1/endpoints/${id}`, {
      key: admin,
      body: { url: "https://10.0.0.1/" },
    });
    await expectProblem(refused, 400, "invalid_request");
    await gone(id);
  });

  it("is where the policies of its maker allow a POST, when it is made and each time that it is sent to", async () => {
    const tenant = "endpoint-policy";
    const boss = await newTenant(tenant);
    const hosts = [{ host: HOST, paths: ["/hook/*"] }];
    const narrow = await newKey(boss, { policy: { hosts } });
    const body = { url: "https://elsewhere.receiver.example/", events: ["run.ended"] };
    const refused = await send("POST", "/v1/endpoints", { key: narrow, body });
    expect((await expectProblem(refused, 403, "policy_denied")).errors?.[0]?.pointer).toBe("/url");
    const blind = await newKey(boss, { scopes: ["endpoints:*"] });
    const told = await send("POST", "/v1/endpoints", {
      key: blind,
      body: { ...body, url: `https://${HOST}/` },
    });
    await expectProblem(told, 403, "insufficient_scope");
    const { id, path } = await made({}, narrow);
    for (const [method, at, change] of [
      ["PATCH", "", { description: "mine" }],
      ["POST", "/enable", undefined],
    ] as const)
      await expectProblem(
        await send(method, `/v1/endpoints/${id}${at}`, { key: blind, ...(change && { body: change }) }),
        403,
        "insufficient_scope",
      );
    const ping = async () =>
      expectAnswer(await send("POST", `/v1/endpoints/${id}/ping`, { key: boss }), "pingEndpoint", 200);
    expect(await ping()).toMatchObject({ delivered: true });
    const closed = { hosts: [{ host: HOST, methods: ["GET"] }] };
    await expectAnswer(await send("PUT", "/v1/policy", { key: boss, body: closed }), "putPolicy", 200);
    expect(await ping()).toMatchObject({
      delivered: false,
      attempt: { status: null, code: "policy_denied" },
    });
    expect(arrived(path)).toHaveLength(1);
    const decided = { hosts: [{ host: HOST, approval: "writes" }] };
    await expectAnswer(await send("PUT", "/v1/policy", { key: boss, body: decided }), "putPolicy", 200);
    expect(await ping()).toMatchObject({ delivered: false, attempt: { code: "policy_denied" } });
  });

  it("is not where it redirects to: that is a failed try, whose answer is not kept", async () => {
    const { id, path } = await made();
    answer = () =>
      new Response("the body of the receiver", {
        status: 307,
        headers: { location: "https://other.receiver.example/" },
      });
    const pinged = await send("POST", `/v1/endpoints/${id}/ping`, { key: admin });
    expect(await expectAnswer(pinged, "pingEndpoint", 200)).toMatchObject({
      delivered: false,
      attempt: { status: 307 },
    });
    expect(arrived(path)).toHaveLength(1);
    expect(sent.filter(({ url }) => url.includes("other.receiver"))).toEqual([]);
    expect(JSON.stringify(await messages(id))).not.toContain("the body of the receiver");
    await gone(id);
  });

  it("is one of 20", async () => {
    const tenant = "endpoint-many";
    const boss = await newTenant(tenant);
    for (let n = 0; n < 20; n += 1) await made({}, boss);
    const body = { url: `https://${HOST}/`, events: ["run.ended"] };
    await expectProblem(await send("POST", "/v1/endpoints", { key: boss, body }), 429, "quota_exceeded");
    const { data } = await expectAnswer<{ data: unknown[] }>(
      await send("GET", "/v1/endpoints", { key: boss }),
      "listEndpoints",
      200,
    );
    expect(data).toHaveLength(20);
  });
});

describe("keys", () => {
  const rotate = async (id: string, body?: object): Promise<Made["key"]> =>
    expectAnswer(
      await send("POST", `/v1/endpoints/${id}/keys`, { key: admin, ...(body === undefined ? {} : { body }) }),
      "rotateEndpointKey",
      201,
    );
  const signed = async (id: string, path: string): Promise<Sent> => {
    const before = arrived(path).length;
    await send("POST", `/v1/endpoints/${id}/ping`, { key: admin });
    return arrival(path, before + 1);
  };
  const accepts = (secret: string | null, { body, headers }: Sent): boolean => {
    try {
      new Webhook(secret ?? "").verify(body, headers);
      return true;
    } catch {
      return false;
    }
  };

  it("overlap while receivers change over, and the newest cannot be ended", async () => {
    const { id, path, key: first } = await made();
    const second = await rotate(id);
    let message = await signed(id, path);
    expect([accepts(first.secret, message), accepts(second.secret, message)]).toEqual([true, true]);
    expect((await seen(id)).keys.map((key) => key.id)).toEqual([second.id, first.id]);
    await expectProblem(
      await send("DELETE", `/v1/endpoints/${id}/keys/${second.id}`, { key: admin }),
      409,
      "newest_key",
    );
    expect((await send("DELETE", `/v1/endpoints/${id}/keys/${first.id}`, { key: admin })).status).toBe(204);
    message = await signed(id, path);
    expect([accepts(first.secret, message), accepts(second.secret, message)]).toEqual([false, true]);
    await expectProblem(
      await send("DELETE", `/v1/endpoints/${id}/keys/epk_none`, { key: admin }),
      404,
      "not_found",
    );
    const third = await rotate(id, { overlap_s: 0 });
    message = await signed(id, path);
    expect([accepts(second.secret, message), accepts(third.secret, message)]).toEqual([false, true]);
    await dropEndedKeys(env.DB, Date.now());
    const { results } = await env.DB.prepare("SELECT id FROM endpoint_keys WHERE endpoint = ?")
      .bind(id)
      .all();
    expect(results).toEqual([{ id: third.id }]);
    await gone(id);
  });

  it("are made one at a time, and none lives longer for it", async () => {
    const { id } = await made();
    const statuses = await Promise.all(
      Array.from(
        { length: 5 },
        async () => (await send("POST", `/v1/endpoints/${id}/keys`, { key: admin })).status,
      ),
    );
    expect(statuses.filter((status) => status !== 201 && status !== 503)).toEqual([]);
    expect(statuses).toContain(201);
    const { keys } = await seen(id);
    expect(keys.length).toBeLessThanOrEqual(3);
    expect(keys.filter(({ until }) => until === null)).toHaveLength(1);
    await gone(id);
  });

  it("are shown once, and stand nowhere: in no answer, no row, no object, no line of the log", async () => {
    const lines: string[] = [];
    const logs = ["info", "warn", "error"].map((level) =>
      vi.spyOn(console, level as "info").mockImplementation((line) => lines.push(String(line))),
    );
    const { id, path, key } = await made();
    const secret = (key.secret ?? "").slice("whsec_".length);
    expect(secret).toMatch(/^[\w+/]{43}=$/);
    answer = () => new Response(null, { status: 500 });
    await enqueue(id, event(1, Date.now()));
    await arrival(path);
    const said = [
      await seen(id),
      await messages(id),
      await (await send("GET", "/v1/endpoints", { key: admin })).json(),
    ];
    const { results } = await env.DB.prepare(
      "SELECT * FROM endpoints JOIN endpoint_keys ON endpoint = endpoints.id",
    ).all();
    const { results: audit } = await env.DB.prepare("SELECT * FROM access_audit WHERE target = ?")
      .bind(id)
      .all();
    const stored = await runInDurableObject(stub(id), (_, { storage }) => [
      storage.sql.exec("SELECT * FROM messages").toArray(),
      [...storage.kv.list()],
    ]);
    expect(results.map((row) => row["sealed"])).toContainEqual(expect.stringMatching(/^v1\.k1\./));
    expect(audit).toMatchObject([{ action: "endpoint.create" }]);
    expect(JSON.stringify([said, results, audit, stored, lines])).not.toContain(secret);
    for (const log of logs) log.mockRestore();
    await gone(id);
  });

  it("move to another key of the vault, and open there; one that was replaced and does not open stops nothing", async () => {
    const RING = { k1: 1, k2: 2 };
    const log = createLogger("error", () => {});
    const house = (vault = createVault(ring("k1", RING))) =>
      createEndpoints({
        ...{ db: env.DB, vault: () => vault, ownHosts: [], audit: createAccessAudit(env.DB), log },
        ...{
          refusal: async () => null,
          makerStands: async () => true,
          changed: () => {},
          now: () => Date.now(),
        },
      });
    const { results } = await env.DB.prepare("SELECT count(*) AS n FROM endpoint_keys").all();
    const asking = { tenant: TENANT, maker: { actor: "key:key_1", policies: [] } };
    const draft = { url: `https://${HOST}/`, types: ["run.ended" as const], description: "" };
    const one = await house().create(asking, draft, "hmac");
    if (!one.ok) throw new Error(one.error.code);
    const { id } = one.value.endpoint;
    const two = await house().rotate(asking, id, "ed25519", HOUR_MS);
    if (!two.ok) throw new Error(two.error.code);
    await env.DB.prepare("DELETE FROM endpoint_keys WHERE endpoint <> ?").bind(id).run();
    expect(results).toHaveLength(1);
    const next = createVault(ring("k2", RING));
    const records = endpointRecords({ db: env.DB, log });
    expect(await records.countByKid()).toEqual({ k1: 2 });
    expect([
      await records.rewrapSome(next, 1),
      await records.rewrapSome(next, 1),
      await records.rewrapSome(next, 1),
    ]).toEqual([1, 1, 0]);
    expect(await records.countByKid()).toEqual({ k2: 2 });
    const setting = await house(createVault(ring("k2", { k2: 2 }))).settingOf(TENANT, id);
    expect(setting?.texts?.get(one.value.made.key.id)).toBe(one.value.made.text);
    expect(two.value.text).toBeNull();
    expect((await house(createVault(ring("k1", { k1: 1 }))).settingOf(TENANT, id))?.texts).toBeNull();
    const swap =
      "UPDATE endpoint_keys SET sealed = (SELECT sealed FROM endpoint_keys WHERE id = ?) WHERE id = ?";
    await env.DB.prepare(swap).bind(two.value.key.id, one.value.made.key.id).run();
    expect([...((await house(next).settingOf(TENANT, id))?.texts?.keys() ?? [])]).toEqual([two.value.key.id]);
    await house().remove(asking, id);
  });
});

describe("who answers for an endpoint", () => {
  it("is whoever made it: when that key ends it is held, and goes on when another key enables it", async () => {
    const maker = await newKey(admin, {});
    const { id, path } = await made({}, maker);
    const me = (await (await send("GET", "/v1/keys?limit=100", { key: admin })).json()) as {
      data: { id: string; last4: string; revoked_at: number | null }[];
    };
    const key = me.data.find(({ last4 }) => maker.endsWith(last4));
    await send("DELETE", `/v1/keys/${key?.id}`, { key: admin });
    expect((await seen(id)).status).toBe("held");
    await started({ workflow: "t-chain-4" });
    await vi.waitUntil(async () => (await seen(id)).queue.pending === 1, { timeout: 10_000, interval: 20 });
    expect(arrived(path)).toEqual([]);
    const enabled = await send("POST", `/v1/endpoints/${id}/enable`, { key: admin });
    expect(await expectAnswer<Made>(enabled, "enableEndpoint", 200)).toMatchObject({ status: "active" });
    await arrival(path);
    await vi.waitUntil(async () => (await seen(id)).queue.pending === 0);
    await gone(id);
  });
});

describe("the object over virtual time", () => {
  let now = 0;
  /** Chance that the object dies just before a message leaves, or just after. */
  let deaths = 0;
  let died = 0;
  let seed = 7;
  const chance = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;

  /** Later than any real time, so that no alarm fires but by the tests' own hand. */
  function virtual(): void {
    now = Date.UTC(2200, 0, 1);
    [deaths, died] = [0, 0];
    endpointHouse.change = (real, ctx) => {
      const mayDie = async (): Promise<void> => {
        if (chance() >= deaths) return;
        died += 1;
        ctx.abort("killed by a test");
        await new Promise(() => {});
      };
      return {
        ...real,
        now: () => now,
        random: chance,
        post: async (...given) => {
          await ctx.storage.sync();
          await mayDie();
          const posted = await real.post(...given);
          await mayDie();
          return posted;
        },
        // The maker's key has an end in this century.
        load: async (tenant, id) => {
          const setting = await real.load(tenant, id);
          return setting === null ? null : { ...setting, stands: true };
        },
      };
    };
  }

  async function fire(id: string): Promise<void> {
    const at = await alarmAt(id);
    if (at === null) throw new Error("no alarm stands");
    now = Math.max(now, at);
    try {
      await runDurableObjectAlarm(stub(id));
    } catch (error) {
      if (!String(error).includes("killed by a test")) throw error;
    }
  }

  it("brings every event of a day of outage in the end, under one id, whatever dies", async () => {
    const { id, path } = await made();
    virtual();
    const begun = now;
    deaths = 0.2;
    answer = () => new Response(null, { status: now < begun + DAY_MS ? 503 : 204 });
    for (let n = 1; n <= 12; n += 1) {
      await survived(async () => enqueue(id, event(n, now)));
      const next = begun + n * 2 * HOUR_MS;
      for (let at = await alarmAt(id); at !== null && at <= next; at = await alarmAt(id)) await fire(id);
      now = next;
    }
    deaths = 0;
    while ((await alarmAt(id)) !== null) await fire(id);
    expect(died).toBeGreaterThan(0);
    const log = await messages(id);
    expect(log.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => "delivered"));
    const bodies = new Map(arrived(path).map(({ headers, body }) => [headers["webhook-id"], body]));
    expect(bodies.size).toBe(12);
    expect(now - begun).toBeLessThan(2.5 * DAY_MS);
    expect(await seen(id)).toMatchObject({
      status: "active",
      queue: { pending: 0, failed: 0, failing_since: null },
    });
    endpointHouse.change = null;
    await gone(id);
  });

  it("gives up one that is dead for good, says so where it is listed, and sends what failed when it is enabled again", async () => {
    const { id, path } = await made();
    virtual();
    const begun = now;
    answer = () => new Response(null, { status: 500 });
    for (let n = 1; n <= 14; n += 1) {
      await enqueue(id, event(n, now));
      const next = begun + n * 10 * HOUR_MS;
      for (let at = await alarmAt(id); at !== null && at <= next; at = await alarmAt(id)) await fire(id);
      now = next;
    }
    const { disabled, status, queue } = await seen(id);
    expect([status, disabled?.reason, queue.pending]).toEqual(["disabled", "failing", 0]);
    expect(await alarmAt(id)).toBeNull();
    const { data } = await expectAnswer<{ data: Made[] }>(
      await send("GET", "/v1/endpoints", { key: admin }),
      "listEndpoints",
      200,
    );
    expect(data.find((one) => one.id === id)?.disabled?.reason).toBe("failing");
    expect(new Set((await messages(id)).map(({ code }) => code))).toEqual(
      new Set(["given_up", "endpoint_disabled"]),
    );
    const before = arrived(path).length;
    await expectProblem(
      await send("POST", `/v1/endpoints/${id}/replay`, { key: admin, body: { since: begun } }),
      409,
      "endpoint_disabled",
    );
    // A run that ends meanwhile is told to nobody, at no cost.
    await enqueue(id, event(99, now));
    expect(await messages(id)).not.toContainEqual(expect.objectContaining({ id: event(99, 0).id }));
    answer = () => new Response(null, { status: 200 });
    await expectAnswer(
      await send("POST", `/v1/endpoints/${id}/enable`, { key: admin }),
      "enableEndpoint",
      200,
    );
    const replayed = await send("POST", `/v1/endpoints/${id}/replay`, { key: admin, body: { since: begun } });
    const { messages: count } = await expectAnswer<{ messages: number }>(
      replayed,
      "replayFailedMessages",
      202,
    );
    expect(count).toBe(queue.failed);
    await arrival(path, before + count);
    await vi.waitUntil(async () => (await seen(id)).queue.pending === 0);
    expect((await seen(id)).queue).toMatchObject({ failed: 0, failing_since: null });
    endpointHouse.change = null;
    await gone(id);
  });

  it("lives on in the next life, sends one message again by hand, and leaves nothing behind when it is deleted", async () => {
    const { id, path } = await made();
    virtual();
    answer = () => new Response(null, { status: 503, headers: { "retry-after": "120" } });
    await enqueue(id, event(1, now));
    await arrival(path);
    await vi.waitUntil(async () => (await alarmAt(id)) !== null && (await messages(id))[0]?.tries === 1);
    expect((await messages(id))[0]).toMatchObject({ status: "pending", attempts: [{ status: 503 }] });
    expect(await alarmAt(id)).toBeGreaterThanOrEqual(now + 120_000);
    await evictDurableObject(stub(id));
    answer = () => new Response(null, { status: 200 });
    await fire(id);
    expect((await messages(id))[0]).toMatchObject({ status: "delivered", tries: 2 });
    const message = event(1, 0).id;
    const again = await send("POST", `/v1/endpoints/${id}/messages/${message}/replay`, { key: admin });
    await expectAnswer(again, "replayEndpointMessage", 202);
    const third = await arrival(path, 3);
    expect(third.headers["webhook-id"]).toBe(message);
    await expectProblem(
      await send("POST", `/v1/endpoints/${id}/messages/msg_none/replay`, { key: admin }),
      404,
      "not_found",
    );
    await gone(id);
    const left = await runInDurableObject(stub(id), async (_, { storage }) => [
      [...storage.kv.list()],
      await storage.getAlarm(),
    ]);
    expect(left).toEqual([[], null]);
  });

  it("costs 11 rows for its first message, and 5 for each after it", async () => {
    const { id, path } = await made();
    virtual();
    const counts = await meter(stub(id));
    const costs: number[] = [];
    for (const n of [1, 2]) {
      const before = counts.rows;
      await enqueue(id, event(n, now));
      await arrival(path, n);
      await vi.waitUntil(
        async () => (await messages(id))[0]?.status === "delivered" && (await alarmAt(id)) === null,
      );
      costs.push(counts.rows - before);
    }
    expect(costs).toEqual([11, 5]);
    endpointHouse.change = null;
    await gone(id);
  });
});
