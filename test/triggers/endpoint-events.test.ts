/** Which facts of a run are events, what their messages say, and how they come to the endpoints of a tenant. */
import { describe, expect, it } from "vitest";
import {
  evolveAll,
  type Fact,
  type Failure,
  type FactOf,
  NULL_VALUE,
  type RunState,
} from "../../src/kernel/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import { eventOf, messageOf } from "../../src/triggers/outgoing/events.ts";
import {
  createEndpointListener,
  ENDPOINTS_KNOWN_MS,
  type Wanting,
} from "../../src/triggers/outgoing/listener.ts";
import { NOW } from "./deliveries.ts";

const SECRET = "the-secret-of-this-test";
const STEP = { name: "pay", action: "http", needs: [], join: "all", effect: "once" };

function runWith(more: Partial<FactOf<"run_started">["run"]> = {}): RunState {
  const started = {
    ...{ t: "run_started", at: NOW, input: { v: SECRET }, deadlineAt: NOW + 1_000 },
    graph: { steps: [STEP], deadlineMs: 1_000, undoBudgetMs: 1_000, idleLimitMs: 1_000, output: true },
    run: {
      ...{ id: "run_1", tenant: "acme", workflow: "orders", version: "3", user: "ada", startedBy: "key_1" },
      ...{ open: false, tags: ["shop"], traceparent: null },
      ...more,
    },
  } as unknown as Fact;
  const state = evolveAll(null, [started]);
  if (state === null) throw new Error("no run began");
  return state;
}

const failure: Failure = {
  code: "http_500",
  message: `It said ${SECRET}.`,
  hint: "Look.",
  retryable: false,
  step: "pay",
};
const about = {
  ...{ run: "run_1", generation: 1, parent: null, workflow: "orders", workflow_version: "3" },
  ...{ user: "ada", tags: ["shop"] },
};
const of = (fact: Fact, confidential = false, state = runWith()) => eventOf(fact, state, confidential);

describe("an event", () => {
  it("is the end of a run: how it ended, why, and never what it gave", () => {
    const good: Fact = { t: "ended", at: NOW + 5, status: "succeeded", output: { v: SECRET } };
    expect(of(good)).toEqual({
      ...{ type: "run.ended", at: NOW + 5 },
      data: { ...about, status: "running", started_at: NOW, ended_at: NOW + 5, failure: null },
    });
    const bad = { ...failure, left_behind: [], undone: [] };
    expect(of({ t: "ended", at: NOW, status: "failed", failure: bad })?.data["failure"]).toEqual({
      ...{ code: "http_500", message: `It said ${SECRET}.`, step: "pay", retryable: false },
    });
  });

  it("is a connection that a person has to make or mend, once for each wait", () => {
    const need = {
      kind: "connection",
      integration: "google",
      reason: "scope_missing",
      scopes: ["a"],
    } as const;
    const parked = {
      ...{ t: "parked", at: NOW, step: "pay", since: NOW, limitAt: NOW + 9, wakeAt: NOW + 1, looks: 1 },
      need: { ...need, limitMs: 9, recheckMs: 1, detail: SECRET },
    } as const satisfies Fact;
    expect(of(parked)).toMatchObject({
      type: "connection.required",
      data: {
        ...{ run: "run_1", step: "pay", item: null, role: null, limit_at: NOW + 9 },
        connection: { integration: "google", account: null, reason: "scope_missing", scopes: ["a"] },
      },
    });
    expect(JSON.stringify(of(parked))).not.toContain(SECRET);
    expect(of({ ...parked, at: NOW + 1, looks: 2 })).toBeNull();
    expect(of({ ...parked, need: { ...parked.need, reason: "unavailable" } })).toBeNull();
    const cloud = { kind: "cloud", role: "aws", reason: "unavailable", limitMs: 9, recheckMs: 1 } as const;
    expect(of({ ...parked, need: cloud })).toBeNull();
  });

  it("is an approval that is asked for, without what it is about", () => {
    const asked = { t: "asked", at: NOW, step: "pay", id: "run_1.pay.g1", limitAt: NOW + 9 } as const;
    const data = { step: "pay", approval: "run_1.pay.g1", limit_at: NOW + 9 };
    expect(of({ ...asked, text: SECRET })).toMatchObject({
      type: "approval.required",
      data: { ...data, about: "wait" },
    });
    expect(of({ ...asked, digest: "d", about: { host: SECRET } })).toMatchObject({
      data: { ...data, about: "call" },
    });
    expect(JSON.stringify([of({ ...asked, text: SECRET }), of({ ...asked, about: SECRET })])).not.toContain(
      SECRET,
    );
  });

  it("is an outcome that nobody knows, and says until when the step looks by itself", () => {
    const unknown = {
      t: "unknown",
      at: NOW,
      step: "pay",
      item: 3,
      role: "undo",
      limitAt: NOW + 9,
      failure,
    } as const;
    expect(of(unknown)).toMatchObject({
      type: "outcome.unknown",
      data: {
        step: "pay",
        item: 3,
        role: "undo",
        verify_at: null,
        limit_at: NOW + 9,
        failure: { code: "http_500" },
      },
    });
    expect(of({ ...unknown, verifyAt: NOW + 2 })?.data["verify_at"]).toBe(NOW + 2);
  });

  it("of a confidential run tells no message of a failure", () => {
    const ended = {
      t: "ended",
      at: NOW,
      status: "failed",
      failure: { ...failure, left_behind: [], undone: [] },
    } as const;
    const unknown = { t: "unknown", at: NOW, step: "pay", limitAt: NOW, failure } as const;
    for (const fact of [ended, unknown]) {
      expect(of(fact, true)?.data["failure"]).toMatchObject({ code: "http_500", message: "[REDACTED]" });
      expect(JSON.stringify(of(fact, true))).not.toContain(SECRET);
    }
  });

  it("of a child says whose it is", () => {
    const child = runWith({ parent: { run: "run_0", unit: "sub", depth: 1 } });
    expect(
      of({ t: "ended", at: NOW, status: "succeeded", output: NULL_VALUE }, false, child)?.data["parent"],
    ).toBe("run_0");
  });

  it("is no other fact", () => {
    expect(of({ t: "paused", at: NOW, by: "key_1" })).toBeNull();
    expect(of({ t: "waiting", at: NOW, step: "pay" })).toBeNull();
  });

  it("has the same id and body whenever it is told, and another id than any other fact of the run", () => {
    const event = { type: "run.ended", at: NOW, data: { run: "run_1" } } as const;
    const message = messageOf("run_1", 17, event);
    expect(message).toEqual({
      ...{ id: "msg_run_1_17_run-ended", type: "run.ended", at: NOW },
      body: `{"type":"run.ended","timestamp":"${new Date(NOW).toISOString()}","data":{"run":"run_1"}}`,
    });
    expect(messageOf("run_1", 17, structuredClone(event))).toEqual(message);
    expect(messageOf("run_1", 18, event).id).not.toBe(message.id);
  });
});

describe("the way from a run to the endpoints", () => {
  const ended = { type: "run.ended", at: NOW, data: {} } as const;
  const told = { tenant: "acme", run: "run_1", version: 9, body: ended };

  function house(endpoints: Readonly<Record<string, readonly Wanting[]>>) {
    const state = { now: NOW, asked: 0, away: false, refuses: new Set<string>(), got: [] as string[] };
    const listener = createEndpointListener({
      wanting: async (tenant) => {
        state.asked += 1;
        if (state.away) throw new Error("away");
        return endpoints[tenant] ?? [];
      },
      enqueue: async (tenant, endpoint, { id }) => {
        if (state.refuses.has(endpoint)) throw new Error("away");
        state.got.push(`${tenant} ${endpoint} ${id}`);
      },
      log: createLogger("error", () => {}),
      now: () => state.now,
    });
    return { state, listener };
  }
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
  };

  it("is open until it is known that nobody waits at its end, and then for a minute shut", async () => {
    const { state, listener } = house({ acme: [{ id: "ep_1", types: ["run.ended"] }] });
    expect(listener.wants("nobody")).toBe(true);
    await settle();
    expect([listener.wants("nobody"), listener.wants("acme")]).toEqual([false, true]);
    await settle();
    expect([listener.wants("acme"), state.asked]).toEqual([true, 2]);
    state.now += ENDPOINTS_KNOWN_MS - 1;
    expect(listener.wants("nobody")).toBe(false);
    state.now += 1;
    expect(listener.wants("nobody")).toBe(true);
    await settle();
    listener.forget("nobody");
    expect(listener.wants("nobody")).toBe(true);
  });

  it("stays open while the database is away, and asks it by one at a time", async () => {
    const { state, listener } = house({});
    state.away = true;
    expect([listener.wants("nobody"), listener.wants("nobody"), state.asked]).toEqual([true, true, 1]);
    await settle();
    expect([listener.wants("nobody"), state.asked]).toEqual([true, 2]);
    await expect(listener.deliver({ ...told, tenant: "nobody" })).rejects.toThrow("away");
  });

  it("ends at those that want the type, and is gone again until all of them have it", async () => {
    const { state, listener } = house({
      acme: [
        { id: "ep_1", types: ["run.ended"] },
        { id: "ep_2", types: ["approval.required"] },
        { id: "ep_3", types: ["outcome.unknown", "run.ended"] },
      ],
    });
    state.refuses.add("ep_1");
    await expect(listener.deliver(told)).rejects.toThrow("could not be told");
    // One that cannot be reached holds back no other.
    expect(state.got).toEqual(["acme ep_3 msg_run_1_9_run-ended"]);
    state.refuses.clear();
    await listener.deliver(told);
    expect(state.got.slice(1)).toEqual([
      "acme ep_1 msg_run_1_9_run-ended",
      "acme ep_3 msg_run_1_9_run-ended",
    ]);
  });
});
