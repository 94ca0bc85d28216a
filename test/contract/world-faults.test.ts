/** Each fault does exactly what it says, to the request it was meant for, as often as it was asked. */
import { get } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startWorld, type Fault, type FaultRule, type World } from "../world/index.ts";
import { AIRLINE, ask, book, send, TRIP } from "./world-client.ts";

const WAIT_MS = 5_000;

let world: World;

beforeEach(async () => {
  world = await startWorld();
});

afterEach(async () => {
  await world.close();
});

function once(fault: Fault): void {
  world.faults([{ service: "airline", method: "POST", path: "/bookings", fault }]);
}

async function settled(requests: number): Promise<void> {
  await world.referee.until(
    () => world.referee.counts().requests === requests && world.referee.open().length === 0,
    WAIT_MS,
  );
}

describe("kinds", () => {
  test("status: refused before anything happened, then served", async () => {
    once({ kind: "status", status: 503 });
    expect((await book(world, { key: "k1" })).status).toBe(503);
    expect(world.referee.counts().made).toBe(0);
    const second = await book(world, { key: "k1" });
    expect([second.status, second.headers.get("idempotent-replayed")]).toEqual([201, null]);
  });

  test("status after: it happened, the answer says otherwise, and a retry with the key is absorbed", async () => {
    once({ kind: "status", status: 500, after: true });
    expect((await book(world, { key: "k1" })).status).toBe(500);
    expect(world.referee.counts().made).toBe(1);
    expect((await book(world, { key: "k1" })).headers.get("idempotent-replayed")).toBe("true");
  });

  test("status 429 says when to come back, in seconds or as a date that is not too early", async () => {
    once({ kind: "status", status: 429, retryAfterSeconds: 7 });
    expect((await book(world)).headers.get("retry-after")).toBe("7");
    once({ kind: "status", status: 429, retryAfterDateSeconds: 60 });
    const before = Date.now();
    const at = Date.parse((await book(world)).headers.get("retry-after") ?? "");
    expect(at).toBeGreaterThanOrEqual(before + 60_000);
    expect(at).toBeLessThanOrEqual(Date.now() + 61_000);
  });

  test("status 401 carries the challenge of a token that no longer counts", async () => {
    once({ kind: "status", status: 401 });
    expect((await book(world)).headers.get("www-authenticate")).toContain('error="invalid_token"');
  });

  test("accept_then_timeout: it happened, and no answer comes while the client waits", async () => {
    once({ kind: "accept_then_timeout" });
    const client = new AbortController();
    const asked = book(world, { key: "k1", signal: client.signal }).then(
      () => "answered",
      () => "given up",
    );
    await world.referee.until(() => world.referee.counts().made === 1, WAIT_MS);
    expect(world.referee.open()).toMatchObject([{ fault: "accept_then_timeout", made: ["bk_1"] }]);
    client.abort();
    expect(await asked).toBe("given up");
    expect((await book(world, { key: "k1" })).headers.get("idempotent-replayed")).toBe("true");
    expect(world.referee.duplicates()).toEqual([]);
  });

  test("lost_answer: it happened, and the connection ends without an answer", async () => {
    once({ kind: "lost_answer" });
    await expect(book(world, { reference: "run-1" })).rejects.toThrow("fetch failed");
    await settled(1);
    expect(world.referee.happened("run-1")).toMatchObject({ happened: true, atWork: 0 });
    expect(world.referee.ledger().entries).toMatchObject([
      { answer: "lost", status: null, fault: "lost_answer" },
    ]);
  });

  test("reset: the connection ends, and nothing happened", async () => {
    once({ kind: "reset" });
    await expect(book(world, { reference: "run-1" })).rejects.toThrow("fetch failed");
    await settled(1);
    expect(world.referee.happened("run-1")).toMatchObject({ happened: false, atWork: 0 });
  });

  test("slow: it happens at the end, also if the client has gone meanwhile", async () => {
    once({ kind: "slow", ms: 20 });
    const client = new AbortController();
    const asked = book(world, { reference: "run-1", signal: client.signal }).catch(() => "given up");
    await world.referee.until(() => world.referee.counts().faults === 1, WAIT_MS);
    expect(world.referee.counts().made).toBe(0);
    client.abort();
    await asked;
    expect(await world.referee.until(() => world.referee.counts().atWork === 0, WAIT_MS)).toBe(true);
    expect(world.referee.happened("run-1")).toMatchObject({ happened: true, atWork: 0 });
  });

  test("slow: a service is still at work when its client has long gone, and the referee says so", async () => {
    once({ kind: "slow", ms: 600_000 });
    const client = new AbortController();
    const asked = book(world, { reference: "run-1", signal: client.signal }).catch(() => "given up");
    await world.referee.until(() => world.referee.counts().faults === 1, WAIT_MS);
    client.abort();
    expect(await asked).toBe("given up");
    await world.referee.until(() => world.referee.counts().lost === 1, WAIT_MS);
    expect(world.referee.open()).toEqual([]);
    expect(world.referee.happened("run-1")).toMatchObject({ happened: false, atWork: 1 });
  });

  test("late: it happens at once and is answered later", async () => {
    once({ kind: "late", ms: 20 });
    const asked = book(world);
    await world.referee.until(() => world.referee.counts().made === 1, WAIT_MS);
    expect(world.referee.open()).toHaveLength(1);
    expect((await asked).status).toBe(201);
  });

  test.each(["text", "cut_json"] as const)(
    "garbage %s: it happened, and the answer is 200 and no JSON",
    async (form) => {
      once({ kind: "garbage", form });
      const response = await send(world, AIRLINE, "POST", "/bookings", { body: TRIP });
      expect(response.status).toBe(200);
      const text = await response.text();
      expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
      expect(world.referee.counts().made).toBe(1);
    },
  );

  test("garbage cut_transfer: it happened, and the answer breaks off in the middle", async () => {
    once({ kind: "garbage", form: "cut_transfer" });
    const response = await send(world, AIRLINE, "POST", "/bookings", { body: TRIP });
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow("terminated");
    expect(world.referee.counts().made).toBe(1);
  });

  test("huge: a well-formed answer of exactly that many bytes", async () => {
    once({ kind: "huge", bytes: 300_000 });
    const text = await (await send(world, AIRLINE, "POST", "/bookings", { body: TRIP })).text();
    expect(text).toHaveLength(300_000);
    expect(JSON.parse(text)).toHaveProperty("padding");
  });

  test("huge gzip: a small body that unpacks to that many bytes", async () => {
    const bytes = 4 * 1024 * 1024;
    const huge: FaultRule = { fault: { kind: "huge", bytes, gzip: true } };
    world.faults([huge, huge]);
    const unpacked = await (await send(world, AIRLINE, "GET", "/bookings")).text();
    expect(unpacked).toHaveLength(bytes);
    expect(await rawLength("/bookings")).toBeLessThan(bytes / 500);
  });

  test("huge: a client that leaves early costs the world nothing more", async () => {
    once({ kind: "huge", bytes: 2 * 1024 ** 3 });
    const response = await send(world, AIRLINE, "POST", "/bookings", { body: TRIP });
    await response.body?.cancel();
    await settled(1);
    expect(world.referee.ledger().entries).toMatchObject([{ answer: "lost", status: 200 }]);
  });

  test("redirect: points elsewhere, and nothing happened", async () => {
    once({ kind: "redirect", to: "https://api.harbour.example/reservations", status: 307 });
    const got = await book(world);
    expect([got.status, got.headers.get("location")]).toEqual([
      307,
      "https://api.harbour.example/reservations",
    ]);
    expect(world.referee.counts().made).toBe(0);
  });
});

describe("rules", () => {
  const status = (code: number): Fault => ({ kind: "status", status: code });

  test("the first rule that matches and has turns left wins", async () => {
    world.faults([
      { service: AIRLINE, times: 2, fault: status(503) },
      { service: "airline", fault: status(500) },
    ]);
    const statuses = [];
    for (let turn = 0; turn < 4; turn += 1) statuses.push((await book(world)).status);
    expect(statuses).toEqual([503, 503, 500, 201]);
    expect(world.faultBook.list()).toMatchObject([
      { left: 0, served: 2 },
      { left: 0, served: 1 },
    ]);
  });

  test("skip lets the first requests through", async () => {
    world.faults([{ skip: 1, fault: status(503) }]);
    expect([(await book(world)).status, (await book(world)).status]).toEqual([201, 503]);
  });

  test("rules match service, method, route, path, reference and key", async () => {
    await book(world);
    const rules: FaultRule[] = [
      { service: "hotel", fault: status(500) },
      { method: "DELETE", fault: status(500) },
      { path: "/bookings/:id", fault: status(501) },
      { path: "/book*", reference: "run-1*", fault: status(502) },
      { key: "k1", fault: status(504) },
    ];
    world.faults(rules);
    expect((await ask(world, AIRLINE, "GET", "/bookings/bk_1")).status).toBe(501);
    expect((await book(world, { reference: "run-12" })).status).toBe(502);
    expect((await book(world, { reference: "run-2", key: "k1" })).status).toBe(504);
    expect((await book(world)).status).toBe(201);
  });

  test("the same seed gives the same faults, another seed others", async () => {
    const rules: FaultRule[] = [{ probability: 0.5, fault: status(503) }];
    const series = async (seed: number): Promise<number[]> => {
      await world.close();
      world = await startWorld({ seed, faults: rules });
      const statuses = [];
      for (let turn = 0; turn < 20; turn += 1) statuses.push((await book(world)).status);
      return statuses;
    };
    const first = await series(7);
    expect(first).toContain(503);
    expect(first).toContain(201);
    expect(await series(7)).toEqual(first);
    expect(await series(8)).not.toEqual(first);
  });

  test("probability 1 always strikes, without end; 0 never does", async () => {
    world.faults([
      { probability: 0, fault: status(500) },
      { probability: 1, fault: status(503) },
    ]);
    expect([(await book(world)).status, (await book(world)).status]).toEqual([503, 503]);
    expect(world.faultBook.list()).toMatchObject([
      { left: null, served: 0 },
      { left: null, served: 2 },
    ]);
  });

  test("a request that would not be served anyway uses no rule up", async () => {
    world.faults([{ fault: status(503) }]);
    expect((await book(world, { token: "wrong" })).status).toBe(401);
    expect((await book(world, { body: {} })).status).toBe(422);
    expect((await book(world)).status).toBe(503);
  });
});

/** Bytes of an answer as they come over the wire. */
function rawLength(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${world.tokens[AIRLINE]}` };
    get(`${world.origin(AIRLINE)}${path}`, { headers }, (res) => {
      let length = 0;
      res.on("data", (chunk: Buffer) => (length += chunk.length));
      res.on("end", () => resolve(length));
    }).once("error", reject);
  });
}
