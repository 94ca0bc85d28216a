/** Calls that are held back until somebody releases them, against the world: what is sent, when, and after what. */

import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Answer, ApprovalView } from "../../src/run/index.ts";
import { arrived, deeds, ended, requestOf, start, step, until, VIEWER, type Started } from "./run-support.ts";
import { heard } from "./worker.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** One booking that somebody must approve within an hour. */
async function held(tags: readonly string[] = []): Promise<Started> {
  const { graph } = requestOf("t-keyed");
  const steps = graph.steps.map((def) => ({ ...def, approval: { limitMs: 3_600_000 } }));
  const run = await start("t-keyed", {}, { tags, graph: { ...graph, steps } });
  await until(run, (seen) => seen.status === "waiting");
  return run;
}

function valueOf<T>(answer: Answer<T>): T {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer.value;
}

async function asked(run: Started): Promise<ApprovalView> {
  const [one] = valueOf(await run.stub().approvals(VIEWER));
  if (one === undefined) throw new Error("nothing is asked");
  return one;
}

const decide = (run: Started, as: "approved" | "denied") =>
  run.stub().decide(VIEWER, { id: `${run.id}.book.g1`, step: "book" }, { as, by: "key:other" });

describe("a held call", () => {
  test("is described by what the engine knows, and nothing of it has left", async () => {
    const run = await held();
    expect(await asked(run)).toMatchObject({
      id: `${run.id}.book.g1`,
      method: "POST",
      host: "api.skyline.example",
      path: "/bookings",
      query: null,
      effect: "keyed",
      text: null,
    });
    expect((await asked(run)).digest).toEqual(expect.any(String));
    expect(await arrived(run.id)).toEqual([]);
  });

  test("happens once when it is approved, also if the object was lost while it waited", async () => {
    const run = await held();
    await abortAllDurableObjects();
    expect(valueOf(await decide(run, "approved"))).toMatchObject({ applied: true });
    expect((await ended(run)).status).toBe("succeeded");
    expect(await deeds(run.id)).toBe(1);
  });

  test("never happens when it is denied", async () => {
    const run = await held();
    expect(valueOf(await decide(run, "denied")).approval.status).toBe("denied");
    const seen = await ended(run);
    expect([seen.failure?.code, step(seen, "book").outcome]).toEqual(["denied", "not_done"]);
    expect(await arrived(run.id)).toEqual([]);
  });

  test("expires by the alarm alone", async () => {
    const run = await held();
    await abortAllDurableObjects();
    vi.setSystemTime(Date.now() + 3_600_001);
    await runDurableObjectAlarm(run.stub());
    expect((await ended(run)).failure?.code).toBe("wait_expired");
    expect(await decide(run, "approved")).toMatchObject({ ok: false, code: "not_waiting_for_approval" });
  });

  test("is told to the listeners, with all that a person must be shown", async () => {
    const run = await held(["heard"]);
    await vi.waitUntil(() => (heard.get(run.id) ?? []).length === 2, { timeout: 5_000, interval: 20 });
    expect(heard.get(run.id)?.at(-1)?.body).toEqual({
      what: "asked",
      id: `${run.id}.book.g1`,
      until: (await asked(run)).expires_at,
      about: { action: "http", method: "POST", host: "api.skyline.example", path: "/bookings" },
    });
  });
});
