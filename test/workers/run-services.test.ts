import { describe, expect, it } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import { arrived, deeds, ended, fault, start, step, type Fault } from "./run-support.ts";

const HUGE_BYTES = 200 * 1024 * 1024;

/** Runs a workflow whose requests meet a fault, and tells how its step ended. */
async function meet(workflow: string, faults: readonly Fault[], input: unknown = {}) {
  const id = randomId("run");
  await fault(id, ...faults);
  const run = await start(workflow, input, { id });
  const seen = await ended(run);
  const name = seen.steps[0]?.name ?? "";
  return { id, seen, step: step(seen, name) };
}

const always = (one: Fault["fault"]): Fault[] => [{ fault: one, times: 10 }];

describe("a service that misbehaves, and a keyed step", () => {
  it.each([
    ["answers garbage", { kind: "garbage", form: "text" }],
    ["answers half a JSON", { kind: "garbage", form: "cut_json" }],
  ])(
    "that %s with 200 did it: the step fails with outcome done, and is not sent again",
    async (_what, one) => {
      const met = await meet("t-post", always(one));
      expect(met.step).toMatchObject({
        status: "failed",
        outcome: "done",
        failure: { code: "output_invalid" },
        attempts: 1,
      });
      expect(await deeds(met.id)).toBe(1);
      expect(met.seen.failure).toMatchObject({
        left_behind: [{ step: "book", outcome: "done", reason: "no_compensation" }],
      });
    },
  );

  it("breaks its answer off: with 200 it did it, so the step fails with outcome done", async () => {
    const met = await meet("t-post", always({ kind: "garbage", form: "cut_transfer" }));
    expect(met.step).toMatchObject({ status: "failed", outcome: "done", attempts: 1 });
  });

  it("never answers: the attempts time out, and the outcome is unknown", async () => {
    const met = await meet("t-post", always({ kind: "accept_then_timeout" }));
    expect(met.step).toMatchObject({
      status: "failed",
      outcome: "unknown",
      failure: { code: "timeout" },
      attempts: 2,
    });
    expect(await deeds(met.id)).toBe(1);
  });

  it.each([
    [307, { outcome: "not_done", attempts: 1 }],
    // What many services answer to a POST that worked.
    [302, { outcome: "unknown", attempts: 2 }],
  ])(
    "redirects to another origin with %i: nothing but the answer is looked at, and the step fails",
    async (status, end) => {
      const to = "https://api.harbour.example/reservations";
      const met = await meet("t-post", always({ kind: "redirect", to, status }));
      expect(met.step).toMatchObject({ status: "failed", failure: { code: `http_${status}` }, ...end });
    },
  );

  it.each([
    ["plain", { kind: "huge", bytes: HUGE_BYTES }],
    ["compressed", { kind: "huge", bytes: HUGE_BYTES, gzip: true }],
  ])(
    "answers 200 MB %s: no more than the limit is read, and the step fails with outcome done",
    async (_how, one) => {
      const met = await meet("t-post", always(one));
      expect(met.step).toMatchObject({
        status: "failed",
        outcome: "done",
        failure: { code: "output_too_large" },
        attempts: 1,
      });
    },
  );

  it("says 429 with Retry-After: the next attempt is not earlier, and has the same key", async () => {
    const met = await meet("t-post", [{ fault: { kind: "status", status: 429, retryAfterSeconds: 1 } }]);
    expect(met.seen.status).toBe("succeeded");
    expect((met.seen.ended_at ?? 0) - met.seen.started_at).toBeGreaterThanOrEqual(1_000);
    expect(new Set((await arrived(met.id)).map((entry) => entry.key)).size).toBe(1);
  });
});

describe("a service that misbehaves, and a safe step", () => {
  it("answers garbage once: the step is simply asked again", async () => {
    const id = randomId("run");
    await fault(id, { fault: { kind: "garbage", form: "cut_json" }, method: "GET" });
    const run = await start("t-read", { path: "/bookings" }, { id });
    const seen = await ended(run);
    expect(seen).toMatchObject({ status: "succeeded", output: { value: { status: 200 } } });
    expect(step(seen, "get").attempts).toBe(2);
  });
});

describe("an output that is too large", () => {
  it("fails a safe step that retries cannot help, with nothing done", async () => {
    const run = await start("t-large", { bytes: 1_048_577, effect: "safe" });
    const seen = await ended(run);
    expect(step(seen, "safe")).toMatchObject({
      status: "failed",
      outcome: "not_done",
      failure: { code: "output_too_large" },
    });
    expect(seen.status).toBe("failed");
  });

  it("fails a once step with outcome done: it happened, and is not repeated", async () => {
    const run = await start("t-large", { bytes: 1_048_577, effect: "once" });
    expect(step(await ended(run), "once")).toMatchObject({
      status: "failed",
      outcome: "done",
      attempts: 1,
      failure: { code: "output_too_large" },
    });
  });

  it("of nearly 1 MiB is kept, in parts, and read again", async () => {
    const run = await start("t-large", { bytes: 1_048_000, effect: "safe" });
    const seen = await ended(run);
    expect(seen.status).toBe("succeeded");
    expect(step(seen, "safe").output).toEqual({ bytes: 1_048_002 });
    const whole = await run.stub().step({ tenant: "default" }, "safe");
    expect(whole).toMatchObject({ ok: true, value: { output: { value: "x".repeat(1_048_000) } } });
  });
});
