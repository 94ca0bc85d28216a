/** The referee tells what really happened: ledger, deeds, duplicates, work in hand, reports of a benchmark. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startWorld, type World } from "../world/index.ts";
import { AIRLINE, ask, book, gate, GATE, send } from "./world-client.ts";

const WAIT_MS = 5_000;
const NEVER_MS = 600_000;

let world: World;

beforeEach(async () => {
  world = await startWorld();
});

afterEach(async () => {
  await world.close();
});

describe("referee", () => {
  test("two deeds for one reference are a duplicate, even without keys", async () => {
    await book(world, { reference: "run-1" });
    await book(world, { reference: "run-1" });
    expect(world.referee.duplicates()).toMatchObject([
      { reference: "run-1", first: "bk_1", second: "bk_2", keyed: false },
    ]);
  });

  test("booking again after cancelling is no duplicate", async () => {
    await book(world, { reference: "run-1", key: "k1" });
    await ask(world, AIRLINE, "DELETE", "/bookings/bk_1");
    await book(world, { reference: "run-1", key: "k2" });
    expect(world.referee.duplicates()).toEqual([]);
    expect(world.referee.counts()).toMatchObject({
      made: 2,
      undone: 1,
      standing: 1,
      kinds: { "airline booking": { made: 2, standing: 1 } },
    });
  });

  test("the ledger tells who asked what, what it did, and whether the answer left", async () => {
    const reference = "run-1";
    await book(world, { reference, key: "k1", headers: { "x-attempt": "2", traceparent: "00-1-2-01" } });
    await world.referee.until(() => world.referee.counts().open === 0, WAIT_MS);
    const [entry] = world.referee.ledger().entries;
    expect(entry).toMatchObject({
      seq: 1,
      service: "airline",
      method: "POST",
      path: "/bookings",
      key: "k1",
      reference,
      attempt: "2",
      traceparent: "00-1-2-01",
      digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      made: ["bk_1"],
      undid: [],
      absorbed: false,
      fault: null,
      answer: "delivered",
      status: 201,
    });
    expect(JSON.stringify(entry)).not.toContain(world.tokens[AIRLINE]);
  });

  test("a reader of the ledger gets each change once, in pages", async () => {
    await book(world);
    await world.referee.until(() => world.referee.counts().open === 0, WAIT_MS);
    const page = world.referee.ledger(0, 1);
    await ask(world, AIRLINE, "GET", "/bookings");
    await world.referee.until(() => world.referee.counts().delivered === 2, WAIT_MS);
    expect(world.referee.ledger(page.next).entries.map((entry) => entry.seq)).toEqual([2]);
    expect(world.referee.ledger(0, 1)).toMatchObject({ more: true, entries: [{ seq: 1 }] });
    expect(world.referee.ledger(world.referee.revision).entries).toEqual([]);
  });

  test("an old entry that changes comes after the newer ones that were read", async () => {
    const pass = gate();
    await world.close();
    world = await startWorld({ services: [pass.service] });
    const first = ask(world, GATE, "POST", "/pass");
    await world.referee.until(() => world.referee.open().length === 1, WAIT_MS);
    await book(world);
    await world.referee.until(() => world.referee.counts().delivered === 1, WAIT_MS);
    const { next } = world.referee.ledger();
    pass.open();
    await first;
    await world.referee.until(() => world.referee.counts().delivered === 2, WAIT_MS);
    expect(world.referee.ledger(next).entries).toMatchObject([{ seq: 1, answer: "delivered" }]);
    expect(world.referee.ledger(0, 1).entries).toMatchObject([{ seq: 2 }]);
  });

  test("a request is open until it is answered, and lost if its client goes away first", async () => {
    world.faults([{ fault: { kind: "slow", ms: NEVER_MS } }]);
    const client = new AbortController();
    const asked = book(world, { reference: "run-1", signal: client.signal }).catch(() => "aborted");
    await world.referee.until(() => world.referee.open().some((entry) => entry.fault === "slow"), WAIT_MS);
    expect(world.referee.happened("run-1")).toMatchObject({ happened: false, atWork: 1 });
    client.abort();
    expect(await asked).toBe("aborted");
    expect(await world.referee.until(() => world.referee.counts().lost === 1, WAIT_MS)).toBe(true);
    expect(world.referee.open()).toEqual([]);
  });

  test("waiting for what does not come ends with false", async () => {
    expect(await world.referee.until(() => false, 1)).toBe(false);
  });

  test("what an old world began does not happen in the new one", async () => {
    const pass = gate();
    await world.close();
    world = await startWorld({ services: [pass.service] });
    const asked = ask(world, GATE, "POST", "/pass").catch(() => "cut off");
    await world.referee.until(() => world.referee.counts().atWork === 1, WAIT_MS);
    world.referee.reset();
    pass.open();
    expect(await asked).toBe("cut off");
    expect(world.referee.counts()).toMatchObject({ made: 0, requests: 0, atWork: 0 });
  });

  test("a reset forgets deeds, keys and ledger, cuts off what is at work, and keeps numbering", async () => {
    await book(world, { key: "k1" });
    world.faults([{ fault: { kind: "slow", ms: NEVER_MS } }]);
    const cutOff = book(world).catch(() => "cut off");
    await world.referee.until(() => world.referee.counts().faults === 1, WAIT_MS);
    world.referee.reset();
    expect(await cutOff).toBe("cut off");
    expect(world.referee.counts()).toMatchObject({ requests: 0, made: 0, open: 0 });
    expect(await book(world, { key: "k1" })).toMatchObject({ status: 201, body: { id: "bk_2" } });
  });
});

describe("bench", () => {
  test("the time of report number N for an id can be waited for", async () => {
    const before = performance.timeOrigin + performance.now();
    const waiting = world.referee.reports.wait("run-1", 3, WAIT_MS);
    await send(world, "api.bench.example", "POST", "/report?id=run-1");
    await send(world, "api.bench.example", "POST", "/report", { body: { id: "run-1", step: 2 } });
    await send(world, "api.bench.example", "GET", "/echo?id=run-1");
    const report = await waiting;
    expect(report).toMatchObject({ id: "run-1", count: 3 });
    expect(report?.firstAt).toBeGreaterThanOrEqual(before);
    expect(report?.at).toBeGreaterThanOrEqual(report?.firstAt ?? Infinity);
    expect(await world.referee.reports.wait("run-1", 2, NEVER_MS)).toMatchObject({ count: 3 });
    expect(await world.referee.reports.wait("run-1", 4, 1)).toBeNull();
    expect(world.referee.counts().requests).toBe(0);
  });
});
