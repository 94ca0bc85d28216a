/** The queue of an endpoint in virtual time: deaths at every point, lost answers, outages of either side, and what is recorded. */
import { describe, expect, it } from "vitest";
import { FAILED_KEPT_MS, KNOWN_MS, LOG_KEPT, MAX_PENDING } from "../../src/triggers/outgoing/queue-store.ts";
import { DEAD_AFTER_MS } from "../../src/triggers/outgoing/retrying.ts";
import { Random } from "../sim/random.ts";
import { CALM, DAY_MS, EndpointWorld, HOUR_MS, SECOND_MS } from "./endpoint-world.ts";

const WHICH = { tenant: "acme", endpoint: "ep_1" };
const STORMY = { kill: 0.05, lost: 0.1, away: 0.05 };
const down = () => ({ status: 503 });

function world(seed = 1, chances = CALM): EndpointWorld {
  return new EndpointWorld(new Random(seed, "endpoint"), chances);
}

/** So many events, evenly spread. */
function events(of: EndpointWorld, count: number, everyMs: number): void {
  for (let n = 1; n <= count; n += 1) of.event(n, of.now + n * everyMs);
}

const codes = (of: EndpointWorld): Set<string> =>
  new Set(of.queue.log(LOG_KEPT).map(({ status, code }) => code ?? status));

describe("an endpoint that is down for a day", () => {
  it("gets every event in the end, each once, under its id, if nobody dies", async () => {
    const of = world();
    const [from, to] = [of.now + 5 * HOUR_MS, of.now + 29 * HOUR_MS];
    of.receiver = (_, now) => ({ status: now >= from && now < to ? 500 : 200 });
    events(of, 60, 30 * 60_000);
    await of.run(of.now + 5 * DAY_MS);
    expect(of.took.size).toBe(60);
    expect([...of.took.values()].filter(({ times }) => times !== 1)).toEqual([]);
    expect(codes(of)).toEqual(new Set(["delivered"]));
    expect([of.endpoint?.disabled, of.queue.view()]).toEqual([
      null,
      { pending: 0, failed: 0, failingSince: null, nextAt: null },
    ]);
  });

  it.each(Array.from({ length: 16 }, (_, i) => i + 1))(
    "gets every event in the end, under one id and with one body, whatever dies and is lost (seed %i)",
    async (seed) => {
      const of = world(seed, STORMY);
      const random = new Random(seed, "outage");
      const from = of.now + random.int(0, 12) * HOUR_MS;
      // All but the one that ends it.
      const faults = [301, 404, 429, 500, 503];
      of.receiver = (_, now) => ({
        status: now >= from && now < from + DAY_MS ? (faults[random.int(0, 4)] ?? 500) : 200,
      });
      events(of, 60, 30 * 60_000);
      await of.run(of.now + 2 * DAY_MS);
      of.calm();
      await of.run(of.now + 4 * DAY_MS);
      expect(new Set(of.took.keys())).toEqual(new Set(of.told.map(({ id }) => id)));
      expect([of.took.size, of.endpoint?.disabled]).toEqual([60, null]);
      expect(codes(of)).toEqual(new Set(["delivered"]));
      expect(of.kills).toBeGreaterThan(0);
    },
  );
});

describe("an endpoint that is dead for good", () => {
  it.each([1, 2, 3, 4])(
    "slows nobody, is disabled with a reason after five days, and what waited is recorded and can be sent again (seed %i)",
    async (seed) => {
      const of = world(seed, { ...STORMY, lost: 0 });
      const begun = of.now;
      of.receiver = down;
      events(of, 10 * 24, HOUR_MS);
      await of.run(begun + 10 * DAY_MS + HOUR_MS);
      const { disabled } = of.endpoint ?? {};
      expect(disabled?.reason).toBe("failing");
      expect(disabled?.at).toBeGreaterThanOrEqual(begun + HOUR_MS + DEAD_AFTER_MS);
      expect(disabled?.at).toBeLessThan(begun + 6 * DAY_MS);
      // Whoever tells it of an event waits for nothing but the taking of it.
      expect(of.told).toHaveLength(240);
      const sent = of.posts;
      of.calm();
      await of.run(of.now + 10 * DAY_MS);
      expect([of.posts, of.alarm, of.took.size]).toEqual([sent, null, 0]);
      expect(codes(of)).toEqual(new Set(["given_up", "endpoint_disabled"]));
      const { failed, pending } = of.queue.view();
      expect(pending).toBe(0);
      // What came after that is not kept for it.
      expect(failed).toBeLessThan(240);
      of.receiver = () => ({ status: 200 });
      of.change({ disabled: null, since: of.now });
      expect(await of.ask(async (queue) => queue.replayFailed(WHICH, begun))).toEqual({
        ok: true,
        messages: failed,
      });
      await of.run(of.now + HOUR_MS);
      expect([of.took.size, of.queue.view()]).toEqual([
        failed,
        { pending: 0, failed: 0, failingSince: null, nextAt: null },
      ]);
    },
  );

  it("is tried less and less: at most ten times a message", async () => {
    const of = world();
    of.receiver = down;
    of.event(1, of.now + 1);
    await of.run(of.now + 4 * DAY_MS);
    const [logged] = of.queue.log(1);
    expect(logged).toMatchObject({ status: "failed", code: "given_up", tries: 10 });
    const waits = logged!.attempts.map(({ at }) => at).map((at, i, all) => (i === 0 ? 0 : at - all[i - 1]!));
    const plan = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(plan[i]! * SECOND_MS);
      expect(wait).toBeLessThan(plan[i]! * 1.2 * SECOND_MS + SECOND_MS);
    }
    expect(of.posts).toBe(10);
  });

  it("that answers 410 is disabled at once, and nothing more is sent", async () => {
    const of = world();
    of.receiver = (_, now) => ({ status: now > of.endpoint!.createdAt + 10 * HOUR_MS ? 410 : 200 });
    events(of, 20, HOUR_MS);
    await of.run(of.now + 3 * DAY_MS);
    expect(of.endpoint?.disabled?.reason).toBe("gone");
    expect([of.took.size, of.posts]).toEqual([10, 11]);
    expect(codes(of)).toEqual(new Set(["delivered", "endpoint_disabled"]));
  });

  it("is not disabled for what failed before it got another address", async () => {
    const of = world();
    of.receiver = down;
    of.event(1, of.now + 1);
    await of.run(of.now + 4 * DAY_MS);
    of.change({ url: "https://other.example/hook", since: of.now });
    of.event(2, of.now + 2 * DAY_MS);
    await of.run(of.now + 2 * DAY_MS + HOUR_MS);
    expect(of.endpoint?.disabled).toBeNull();
    of.receiver = () => ({ status: 200 });
    await of.run(of.now + DAY_MS);
    expect([of.took.size, of.endpoint?.disabled]).toEqual([1, null]);
  });
});

describe("a message", () => {
  it("waits as long as the receiver asks for", async () => {
    const of = world();
    const begun = of.now;
    of.receiver = (_, now) =>
      now < begun + 3 * HOUR_MS ? { status: 429, retryAfterMs: 3 * HOUR_MS } : { status: 200 };
    of.event(1, of.now + 1);
    await of.run(of.now + DAY_MS);
    expect([of.took.size, of.posts]).toEqual([1, 2]);
  });

  it("is taken once by its id, also days later", async () => {
    const of = world();
    of.event(1, of.now + 1);
    of.event(1, of.now + 2);
    of.event(1, of.now + 3 * DAY_MS);
    await of.run(of.now + 4 * DAY_MS);
    expect([of.took.size, of.posts]).toEqual([1, 1]);
  });

  it("counts no try where the reason is ours: a policy that cannot be read, a keyring that is not the right one", async () => {
    const of = world();
    let times = 0;
    of.instead = () => ((times += 1) <= 30 ? { kind: "later", code: "policy_unavailable" } : null);
    of.event(1, of.now + 1);
    await of.run(of.now + HOUR_MS);
    expect(of.queue.log(1)[0]).toMatchObject({ status: "delivered", tries: 1 });
    expect([times, of.posts, of.queue.view().failingSince]).toEqual([31, 1, null]);
    of.opens = false;
    of.change({});
    of.event(2, of.now + 1);
    await of.run(of.now + DAY_MS);
    expect(of.queue.log(1)[0]).toMatchObject({ status: "pending", tries: 0 });
    of.opens = true;
    await of.run(of.now + 60 * SECOND_MS);
    expect(of.queue.log(1)[0]).toMatchObject({ status: "delivered", tries: 1 });
  });

  it("of which there is too much is recorded as failed, without its body, and not sent", async () => {
    const of = world();
    of.receiver = down;
    of.event(0, of.now + 1);
    await of.run(of.now + SECOND_MS);
    const at = of.now;
    for (let n = 1; n < MAX_PENDING; n += 1)
      of.store.add({ id: `msg_${n}`, type: "run.ended", at, body: "{}" }, at + DAY_MS);
    expect(of.store.pending()).toBe(MAX_PENDING);
    of.event(MAX_PENDING, of.now + 1);
    await of.run(of.now + 2);
    expect(of.queue.log(1)[0]).toMatchObject({ status: "failed", code: "queue_full", kept: false, tries: 0 });
    expect(of.lines.filter((line) => line.includes("endpoint.queue_full"))).toHaveLength(1);
    const id = of.queue.log(1)[0]?.id ?? "";
    expect(await of.ask(async (queue) => queue.replay(WHICH, id))).toEqual({ ok: false, code: "not_kept" });
  });

  it("that waits for its next try is sent now, with all that failed, once the receiver is back", async () => {
    const of = world();
    of.receiver = down;
    of.event(1, of.now + 1);
    const early = of.now + 2;
    of.event(2, of.now + 3 * SECOND_MS);
    await of.run(of.now + 20 * SECOND_MS);
    expect(of.queue.view().pending).toBe(2);
    of.receiver = () => ({ status: 200 });
    expect(await of.ask(async (queue) => queue.replayFailed(WHICH, early))).toEqual({
      ok: true,
      messages: 1,
    });
    await of.run(of.now + 1);
    expect([of.took.size, of.queue.view().pending]).toEqual([1, 1]);
    expect(await of.ask(async (queue) => queue.replayFailed(WHICH, 0))).toEqual({ ok: true, messages: 1 });
    await of.run(of.now + 1);
    expect([...of.took.values()].map(({ times }) => times)).toEqual([1, 1]);
  });

  it("can be sent again by hand, also one that was delivered, and not of an endpoint that is disabled", async () => {
    const of = world();
    of.event(1, of.now + 1);
    await of.run(of.now + SECOND_MS);
    const id = of.queue.log(1)[0]?.id ?? "";
    expect(await of.ask(async (queue) => queue.replay(WHICH, id))).toEqual({ ok: true, messages: 1 });
    await of.run(of.now + SECOND_MS);
    expect(of.took.get(id)?.times).toBe(2);
    expect(of.queue.log(1)[0]?.attempts).toHaveLength(2);
    expect(await of.ask(async (queue) => queue.replay(WHICH, "msg_none"))).toMatchObject({
      code: "not_found",
    });
    of.change({ disabled: { reason: "by_request", at: of.now } });
    expect(await of.ask(async (queue) => queue.replay(WHICH, id))).toMatchObject({ code: "disabled" });
    expect(await of.ask(async (queue) => queue.replayFailed(WHICH, 0))).toMatchObject({ code: "disabled" });
  });

  it("is kept as long as a copy can come, longer if it failed, and among the last 200 for good", async () => {
    const of = world();
    of.receiver = (id) => ({ status: id.startsWith("msg_run_1_") ? 500 : 200 });
    events(of, 300, 60_000);
    await of.run(of.now + KNOWN_MS);
    expect(of.store.log(LOG_KEPT)).toHaveLength(LOG_KEPT);
    expect(await of.ask(async (queue) => queue.replay(WHICH, "msg_run_2_2_run-ended"))).toMatchObject({
      ok: true,
    });
    await of.run(of.now + KNOWN_MS + 3 * DAY_MS);
    expect(await of.ask(async (queue) => queue.replay(WHICH, "msg_run_2_2_run-ended"))).toMatchObject({
      code: "not_found",
    });
    of.receiver = () => ({ status: 200 });
    expect(of.queue.view().failed).toBe(1);
    await of.run(of.now + FAILED_KEPT_MS);
    expect(of.queue.view().failed).toBe(0);
    expect(of.store.log(LOG_KEPT)).toHaveLength(LOG_KEPT);
    expect(of.alarm).toBeNull();
  });
});

describe("an endpoint whose maker may not act any more", () => {
  it("is held: what happens waits, and is sent once somebody else answers for it", async () => {
    const of = world();
    of.stands = false;
    events(of, 10, HOUR_MS);
    await of.run(of.now + 2 * DAY_MS);
    expect([of.posts, of.queue.view().pending]).toEqual([0, 10]);
    of.stands = true;
    of.change({});
    await of.run(of.now + SECOND_MS);
    expect([of.took.size, of.queue.view().pending]).toEqual([10, 0]);
  });

  it.each([1, 2, 3])("is disabled after five days, with that reason (seed %i)", async (seed) => {
    const of = world(seed, STORMY);
    of.stands = false;
    events(of, 10, HOUR_MS);
    await of.run(of.now + 6 * DAY_MS);
    of.calm();
    await of.run(of.now + HOUR_MS);
    expect(of.endpoint?.disabled?.reason).toBe("maker_revoked");
    expect([of.posts, codes(of)]).toEqual([0, new Set(["endpoint_disabled"])]);
  });
});

describe("an endpoint that is deleted", () => {
  it("leaves nothing behind, also if its object is never told", async () => {
    const of = world();
    of.receiver = down;
    of.event(1, of.now + 1);
    await of.run(of.now + SECOND_MS);
    of.queue.closing();
    of.endpoint = null;
    await of.run(of.now + HOUR_MS);
    expect([of.alarm, of.store.condition(), of.queue.log(1)]).toEqual([null, null, []]);
    of.event(2, of.now + 1);
    await of.run(of.now + SECOND_MS);
    expect([of.store.condition(), of.queue.log(1)]).toEqual([null, []]);
  });
});

describe("a ping", () => {
  it("is tried once, at once, and says nothing of how the endpoint does", async () => {
    const of = world();
    of.change({ disabled: { reason: "by_request", at: of.now } });
    const good = await of.ask(async (queue) => queue.ping(WHICH));
    of.receiver = () => ({ status: 410 });
    const bad = await of.ask(async (queue) => queue.ping(WHICH));
    expect([good?.delivered, bad?.delivered]).toEqual([true, false]);
    expect(bad?.attempt).toMatchObject({ status: 410, code: null });
    await of.run(of.now + DAY_MS);
    expect([of.posts, of.endpoint?.disabled?.reason, of.queue.view().failingSince]).toEqual([
      2,
      "by_request",
      null,
    ]);
    expect(of.queue.log(2).map(({ type, code }) => [type, code])).toEqual([
      ["endpoint.ping", "ping_failed"],
      ["endpoint.ping", null],
    ]);
  });
});
