/** Steps that use connections, from the API to the service and back: real objects, the real database, the world outside. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, newKey, newTenant, send } from "./api-support.ts";
import { everythingKept, foundIn, listenToConsole } from "./kept.ts";
import { referee, step } from "./run-support.ts";

const HOST = "api.skyline.example";
const WRONG = "wrong-token-0123456789";
const secrets = JSON.parse(env.SERVICE_TOKENS ?? "{}") as Record<string, { readonly token: string }>;
const RIGHT = secrets["SKYLINE_TOKEN"]?.token ?? "";

const logged = listenToConsole();

let admin = "";
beforeAll(async () => {
  admin = await newTenant("connection-use");
  for (const name of ["skyline", "other"])
    await made("integrations", "createIntegration", {
      ...{ name, provider: "api_key", owner: "user" },
      custom: { hosts: [name === "skyline" ? HOST : "api.harbour.example"] },
    });
});

async function made(path: string, operation: string, body: object): Promise<void> {
  await expectAnswer(await send("POST", `/v1/${path}`, { key: admin, body }), operation, 201);
}

const lend = (user: string, key: string, integration = "skyline") =>
  made("connections", "createConnection", { integration, user, api_key: key });

function plan(auth: object, ref: string): object {
  return {
    steps: {
      book: {
        action: "http",
        effect: "once",
        with: {
          method: "POST",
          url: `https://${HOST}/bookings`,
          auth,
          headers: { "x-reference": ref },
          json: { from: "VIE", to: "LIS", date: "2026-12-01", traveller: "Ada" },
        },
      },
    },
  };
}

interface Flaw {
  readonly pointer: string;
  readonly code: string;
  readonly allowed?: readonly string[];
}

interface Begun {
  readonly id: string;
  readonly ref: string;
}

async function start(user: string, auth: object = { connection: "skyline" }): Promise<Begun> {
  const ref = randomId("run");
  const body = { plan: plan(auth, ref), user };
  const started = await send("POST", "/v1/runs", { key: admin, body });
  return { id: (await expectAnswer<RunView>(started, "startRun", 202)).id, ref };
}

async function look(id: string, prefer = "wait=1"): Promise<RunView> {
  const looked = await send("GET", `/v1/runs/${id}`, { key: admin, headers: { prefer } });
  return JSON.parse(await looked.text()) as RunView;
}

/** Looks until it holds; vitest's own limit ends a look in vain. */
async function until({ id }: Begun, holds: (view: RunView) => boolean): Promise<RunView> {
  for (;;) {
    const seen = await look(id);
    if (holds(seen)) return seen;
  }
}

const parked = (seen: RunView): boolean => step(seen, "book").waiting_for !== undefined;
const over = (seen: RunView): boolean => seen.ended_at !== null;

async function booked({ ref }: Begun): Promise<number> {
  return (await referee<{ items: unknown[] }>("GET", `/deeds?reference=${ref}&standing=true`)).items.length;
}

async function eventsOf({ id }: Begun): Promise<string> {
  return (await send("GET", `/v1/runs/${id}/events`, { key: admin })).text();
}

describe("a step of a plan that names a connection", () => {
  test("waits until its user has lent it, goes on by itself, and the journal says what it used and no secret", async () => {
    const run = await start("ada");
    const waiting = await until(run, parked);
    expect(step(waiting, "book")).toMatchObject({
      status: "waiting",
      attempts: 0,
      waiting_for: { integration: "skyline", reason: "missing" },
    });
    // Somebody else's, and another integration's, change nothing.
    await lend("bob", RIGHT);
    await lend("ada", RIGHT, "other");
    expect(step(await look(run.id), "book").status).toBe("waiting");
    expect(await booked(run)).toBe(0);
    await lend("ada", RIGHT);
    expect((await until(run, over)).status).toBe("succeeded");
    expect(await booked(run)).toBe(1);
    const told = await eventsOf(run);
    const wait = step(waiting, "book").waiting_for;
    const connection = wait?.kind === "connection" ? wait.connection : undefined;
    expect(JSON.parse(told)).toMatchObject({
      data: expect.arrayContaining([
        expect.objectContaining({
          type: "started",
          data: expect.objectContaining({
            credentials: [{ connection, integration: "skyline", account: "default", version: 1 }],
          }),
        }),
      ]),
    });
    expect(told).not.toContain(RIGHT);
  });

  test("that the service refuses waits for another one, and does not send the same again in the meantime", async () => {
    await lend("cleo", WRONG);
    const run = await start("cleo");
    const waiting = await until(run, parked);
    expect(step(waiting, "book").waiting_for).toMatchObject({ reason: "rejected" });
    expect(await eventsOf(run)).not.toContain(WRONG);
    await lend("cleo", RIGHT);
    expect((await until(run, over)).status).toBe("succeeded");
    expect(await booked(run)).toBe(1);
  });

  test("does not go on by itself with a key that its user has put in the place of the other", async () => {
    await lend("emil", WRONG);
    const run = await start("emil");
    await until(run, parked);
    const key = await newKey(admin, {
      ...{ user: "emil", scopes: ["connections:write"], expires_at: Date.now() + 600_000 },
    });
    const body = { integration: "skyline", api_key: RIGHT };
    await expectAnswer(await send("POST", "/v1/connections", { key, body }), "createConnection", 201);
    const replaced = (seen: RunView) => step(seen, "book").waiting_for?.reason === "replaced";
    const seen = await until(run, (view) => replaced(view) || over(view));
    expect(step(seen, "book").waiting_for).toMatchObject({ reason: "replaced" });
    expect(await booked(run)).toBe(0);
  });

  test("fails where the service refuses the next one, too", async () => {
    await lend("dora", WRONG);
    const run = await start("dora");
    await until(run, parked);
    await lend("dora", `${WRONG}-again`);
    const { failure, status } = await until(run, over);
    expect([status, failure?.code]).toEqual(["failed", "connection_rejected"]);
    expect(await booked(run)).toBe(0);
  });

  test("is refused at the start where it never could be lent: every place is told", async () => {
    const flaw = async (auth: object, user?: string) => {
      const body = { plan: plan(auth, "x"), ...(user === undefined ? {} : { user }) };
      const answer = await send("POST", "/v1/runs", { key: admin, body });
      const { errors } = JSON.parse(await answer.text()) as { errors: Flaw[] };
      return errors.map(({ pointer, code, allowed }) => `${pointer} ${code} ${allowed?.join() ?? "-"}`);
    };
    const at = "/plan/steps/book/with/auth";
    expect(await flaw({ connection: "skylin" }, "ada")).toEqual([
      `${at}/connection unknown_integration skyline`,
    ]);
    expect(await flaw({ connection: "other" }, "ada")).toEqual([
      `${at}/connection connection_not_for_host api.harbour.example`,
    ]);
    expect(await flaw({ connection: "nothing-like-it" }, "ada")).toEqual([
      `${at}/connection unknown_integration other,skyline`,
    ]);
    expect(await flaw({ connection: "skyline" })).toEqual([`${at}/connection connection_without_user -`]);
    expect(await flaw({ connection: "skyline", scopes: ["all"] }, "ada")).toEqual([
      `${at}/scopes scopes_not_taken -`,
    ]);
  });

  test.each([
    [{}, []],
    [{ user: "ada" }, []],
    [{ user: null }, ["connection_without_user"]],
  ])("is checked for whom the run would act for, if that is said: %j", async (who, codes) => {
    const body = { plan: plan({ connection: "skyline" }, "x"), ...who };
    const answer = await send("POST", "/v1/plans/validate", { key: admin, body });
    const { errors } = await expectAnswer<{ errors: Flaw[] }>(answer, "validatePlan", 200);
    expect(errors.map(({ code }) => code)).toEqual(codes);
  });

  test("is in the summary of a check, with what policy says", async () => {
    const body = { plan: plan({ connection: "skyline", account: "work" }, "x") };
    const answer = await send("POST", "/v1/plans/validate", { key: admin, body });
    expect(await expectAnswer(answer, "validatePlan", 200)).toMatchObject({
      valid: true,
      summary: {
        connections: [{ integration: "skyline", account: "work", scopes: [], hosts: [HOST] }],
        steps: [{ requests: [{ connection: { connection: "skyline" }, policy: { verdict: "allowed" } }] }],
      },
    });
  });

  test("is lent nothing that a policy does not allow, at the start and in the run", async () => {
    const key = await newTenant("connection-policy");
    const name = { name: "skyline", provider: "api_key", owner: "user", custom: { hosts: [HOST] } };
    await expectAnswer(await send("POST", "/v1/integrations", { key, body: name }), "createIntegration", 201);
    const policy = { connections: { skyline: { methods: ["GET"] } } };
    await expectAnswer(await send("PUT", "/v1/policy", { key, body: policy }), "putPolicy", 200);
    const body = { plan: plan({ connection: "skyline" }, "x"), user: "ada" };
    const refused = await send("POST", "/v1/runs", { key, body });
    expect([refused.status, JSON.parse(await refused.text())]).toMatchObject([
      403,
      { errors: [{ pointer: "/plan/steps/book/with/url", code: "policy_denied" }] },
    ]);
  });
});

describe("of all these runs", () => {
  test("nothing that was kept or logged holds a key that was lent, of the services or of the API, in any form", async () => {
    // Alone, too: one that is refused and one that is taken.
    await lend("finn", WRONG);
    const run = await start("finn");
    await until(run, parked);
    await lend("finn", RIGHT);
    expect((await until(run, over)).status).toBe("succeeded");
    // What writes to the log of a run is heard, so that silence means something.
    const thrown = await send("POST", "/v1/runs", { key: admin, body: { workflow: "t-fatal" } });
    const { id } = await expectAnswer<RunView>(thrown, "startRun", 202);
    await until({ id, ref: "" }, over);
    const kept = new Map(await everythingKept());
    expect([...kept.keys()]).toEqual(
      expect.arrayContaining(["D1 connections", "D1 api_keys", "connection record", "run turns"]),
    );
    kept.set("log", logged());
    expect(logged().join()).toContain("step_threw");
    const own = Object.values(secrets).map(({ token }) => [token, "service token"] as const);
    const { keys } = JSON.parse(env.KEYRING) as { readonly keys: Record<string, string> };
    const all = new Map([
      ...own,
      ...Object.values(keys).map((key) => [key, "key of the keyring"] as const),
      ...([
        [WRONG, "key that is refused"],
        [admin, "API key"],
        [env.SERVER_KEY, "server key"],
        [env.ROOT_API_KEY ?? "", "root key"],
      ] as const),
    ]);
    expect(foundIn(kept, all)).toEqual([]);
  });
});
