/** What can be told of steps before anything runs. */
import { describe, expect, test } from "vitest";
import { chainOf } from "../../src/access/index.ts";
import { judgeSteps } from "../../src/api/policy-check.ts";
import { limits, type Json, type StepDef } from "../../src/kernel/index.ts";
import { stepDef } from "../define/support.ts";

const POLICY = {
  hosts: [
    { host: "weather.example", methods: ["GET"] },
    { host: "api.skyline.example", paths: ["/bookings/*", "/quotes"], approval: "writes" },
    { host: "api.pay.example", paths: ["/cards/*"], approval: "always" },
    { host: "api.pay.example" },
  ],
};

function http(url: string, method: Json = "GET", more: Partial<StepDef> = {}): StepDef {
  return stepDef({ name: "one", with: { method, url }, ...more });
}

function judged(step: StepDef, definitionAt: string | null = "/plan") {
  const { steps, errors } = judgeSteps(chainOf(POLICY), {
    workflow: null,
    steps: [step],
    at: "/workflow",
    definitionAt,
  });
  return { approval: steps[0]?.approval, errors };
}

/** `denied`, `approval` or `allowed`. */
function said(url: string, method: Json = "GET"): string {
  const { approval, errors } = judged(http(url, method));
  if (errors.length > 0) return "denied";
  return approval === undefined ? "allowed" : "approval";
}

describe("a step that stands in a plan", () => {
  test.each([
    ["https://weather.example/today", "GET", "allowed"],
    ["https://weather.example/today", "POST", "denied"],
    ["https://foreign.example/", "GET", "denied"],
    ["https://api.skyline.example/bookings/1", "GET", "allowed"],
    ["https://api.skyline.example/bookings/1", "DELETE", "approval"],
    ["https://api.skyline.example/seats", "GET", "denied"],
    ["https://api.pay.example/cards/1", "GET", "approval"],
    ["https://api.pay.example/banks", "GET", "allowed"],

    // With expressions: what is literal counts.
    ["https://foreign.example/${{ input.path }}", "GET", "denied"],
    ["https://weather.example/${{ input.path }}", "GET", "allowed"],
    ["https://weather.example/today?city=${{ input.city }}", "GET", "allowed"],
    ["https://weather.example/${{ input.path }}", "POST", "denied"],
    ["https://api.skyline.example/seats?x=${{ input.x }}", "GET", "denied"],
    ["https://api.skyline.example/${{ input.path }}", "POST", "approval"],
    // It may turn out to be a card, so a person is asked in any case.
    ["https://api.pay.example/${{ input.path }}", "GET", "approval"],
    ["https://weather.example/today", "${{ input.method }}", "allowed"],
    ["https://api.skyline.example/quotes", "${{ input.method }}", "approval"],

    // Of these the host is not known, so they are judged when they are sent.
    ["https://${{ input.host }}/", "GET", "allowed"],
    ["https://weather.example${{ input.host }}/", "GET", "allowed"],
    ["https://weather.example${{ input.host }}", "GET", "allowed"],
    ["https://weather.example:${{ input.port }}/", "GET", "allowed"],
    ["https://foreign.example@${{ input.host }}/", "GET", "allowed"],
    ["${{ input.url }}", "GET", "allowed"],
    ["no address", "GET", "allowed"],
  ])("%s by %s: %s", (url, method, expected) => {
    expect(said(url, method)).toBe(expected);
  });

  test("cannot read pages where each request needs a person, and can where none does", () => {
    const paged = (url: string): string[] => {
      const paginate = { by: "link", max: 3 };
      const { errors } = judged(stepDef({ name: "one", with: { method: "GET", url, paginate } }));
      return errors.map(({ pointer, code }) => `${pointer} ${code}`);
    };
    expect(paged("https://api.pay.example/cards/1")).toEqual([
      "/plan/steps/one/with/paginate approval_required",
    ]);
    expect(paged("https://api.pay.example/banks")).toEqual([]);
    // Whether it will need one is not known: the pages behind the first are refused when they are asked for.
    expect(paged("https://api.pay.example/${{ input.path }}")).toEqual([]);
  });

  test("is refused with its place, also where it is a verify or a compensate, or has a name with a slash", () => {
    const leak = { ...http("https://foreign.example/"), afterMs: 0 };
    const step = http("https://weather.example/", "GET", { name: "a/b", verify: leak, compensate: leak });
    expect(judged(step).errors.map(({ pointer, code }) => [pointer, code])).toEqual([
      ["/plan/steps/a~1b/verify/with/url", "policy_denied"],
      ["/plan/steps/a~1b/compensate/with/url", "policy_denied"],
    ]);
    const handler = http("https://foreign.example/", "GET", { part: "on_failure" });
    expect(judged(handler, "").errors[0]?.pointer).toBe("/onFailure/one/with/url");
    expect(judged(step, null).errors.map(({ pointer }) => pointer)).toEqual(["/workflow", "/workflow"]);
  });

  test("that needs a person's decision waits as long as any wait does, or as long as it says itself", () => {
    expect(judged(http("https://api.pay.example/cards/1")).approval).toEqual({
      limitMs: limits.WAIT_LIMIT_MS,
    });
    const own = http("https://api.pay.example/cards/1", "GET", { approval: { limitMs: 5 } });
    expect(judged(own).approval).toEqual({ limitMs: 5 });
  });

  test("cannot hide in its verify or compensate what a person must agree to", () => {
    const card = http("https://api.pay.example/cards/1");
    const step = http("https://api.pay.example/cards/1", "GET", {
      verify: { ...card, afterMs: 0 },
      compensate: http("https://api.skyline.example/bookings/1", "DELETE"),
    });
    expect(judged(step).errors.map(({ pointer, code }) => [pointer, code])).toEqual([
      ["/plan/steps/one/verify/with/url", "approval_required"],
      ["/plan/steps/one/compensate/with/url", "approval_required"],
    ]);
    // What is not known yet may need none; it is judged when it is sent, and the step itself does not wait for it.
    const open = http("https://weather.example/", "GET", {
      compensate: http("https://api.skyline.example/${{ input.path }}", "DELETE"),
    });
    expect(judged(open)).toEqual({ approval: undefined, errors: [] });
  });

  test("of another action, or of a function, says nothing of where it goes", () => {
    for (const step of [
      stepDef({ action: "code" }),
      stepDef({ with: null }),
      stepDef({ action: "transform", kind: "instant", with: { value: "https://foreign.example/" } }),
    ])
      expect(judged(step)).toEqual({ approval: undefined, errors: [] });
  });
});
