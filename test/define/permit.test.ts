/** What an attempt does with the word of the policies. */
import { describe, expect, test } from "vitest";
import {
  performAction,
  type ActionCall,
  type ActionResult,
  type CodeTools,
  type PolicyVerdict,
} from "../../src/actions/index.ts";
import { permitOf } from "../../src/actions/permit.ts";
import { createEgress, type EgressResult } from "../../src/platform/index.ts";
import { answered, call, outside, stepDef, type Outside } from "./support.ts";

const URL_ = "https://api.skyline.example/bookings";
const ALLOWED = { kind: "allowed", approval: false } as const;
const ASKS = { kind: "allowed", approval: true } as const;
const DENIED = { kind: "denied", message: "The tenant's policy does not allow it." } as const;
const AWAY = { kind: "unavailable" } as const;

function under(verdict: PolicyVerdict, result: EgressResult = answered(200)): Outside {
  return { ...outside(() => result), policy: async () => verdict };
}

async function permitted(verdict: PolicyVerdict, more: Partial<ActionCall>, redirectedFrom: string | null) {
  const hop = { url: new URL(URL_), method: "POST", redirectedFrom };
  return (await permitOf(call(more), under(verdict))(hop))?.code ?? "sent";
}

describe("a hop", () => {
  const gated = {
    def: stepDef({ approval: { limitMs: 1_000 } }),
    with: { method: "POST", url: `${URL_}#top`, query: {} },
  };
  const seenQuery = { ...gated, with: { method: "POST", url: URL_, query: { page: 1 } } };
  const seenQueryInUrl = { ...gated, with: { method: "POST", url: `${URL_}?page=1` } };
  const seenElsewhere = { ...gated, with: { method: "POST", url: `${URL_}/other` } };
  const seenOtherwise = { ...gated, with: { method: "PUT", url: URL_ } };

  test.each([
    [ALLOWED, {}, null, "sent"],
    [DENIED, {}, null, "policy_denied"],
    [DENIED, gated, null, "policy_denied"],
    [AWAY, {}, null, "policy_unavailable"],
    [AWAY, gated, null, "policy_unavailable"],
    [ASKS, {}, null, "approval_required"],
    // The step has waited for its decision before it came here.
    [ASKS, gated, null, "sent"],
    [ASKS, gated, "api.skyline.example", "sent"],
    [ASKS, gated, "other.example", "approval_required"],
    // A person has seen one place and one method: no other page, and no other place that the service leads to.
    [ASKS, seenElsewhere, null, "approval_required"],
    [ASKS, seenElsewhere, "api.skyline.example", "approval_required"],
    [ASKS, seenOtherwise, null, "approval_required"],
    [ASKS, seenQuery, null, "approval_required"],
    [ASKS, seenQueryInUrl, null, "approval_required"],
    [ASKS, seenQuery, "api.skyline.example", "approval_required"],
    // Nobody has seen what verifies or undoes it.
    [ASKS, { ...gated, unit: { step: "s", role: "undo" } }, null, "approval_required"],
    [ASKS, { ...gated, unit: { step: "s", role: "verify" } }, null, "approval_required"],
    [ASKS, { ...gated, action: "code" }, null, "approval_required"],
    [ASKS, { ...gated, unit: { step: "s", item: 1 } }, null, "sent"],
  ] as const)("%j, %j, redirected from %j: %s", async (verdict, more, from, expected) => {
    expect(await permitted(verdict, more, from)).toBe(expected);
  });

  test("an approval of a query is for that query, however it was written", async () => {
    for (const parameters of [seenQuery.with, seenQueryInUrl.with]) {
      const sent = async (search: string): Promise<string> => {
        const hop = { url: new URL(URL_ + search), method: "POST", redirectedFrom: null };
        return (await permitOf(call({ ...gated, with: parameters }), under(ASKS))(hop))?.code ?? "sent";
      };
      expect(await sent("?page=1")).toBe("sent");
      expect(await sent("?page=2")).toBe("approval_required");
      expect(await sent("?page=1&danger=delete")).toBe("approval_required");
    }
  });

  test("the policies hear the very address and method that would be sent", async () => {
    const heard: string[] = [];
    const surroundings: Outside = {
      ...under(ALLOWED),
      policy: async (_, { url, method }) => {
        heard.push(`${method} ${url.href}`);
        return ALLOWED;
      },
    };
    const parameters = {
      method: "POST",
      url: URL_,
      query: { a: "/../x" },
      auth: { bearer: "SKYLINE_TOKEN" },
    };
    await performAction(call({ effect: "once", with: parameters }), surroundings);
    const url = surroundings.requests[0]?.url ?? "";
    expect(heard).toEqual([`POST ${url}`]);
    expect(url).toContain("a=%2F..%2Fx");
  });
});

describe("an attempt that a policy stops", () => {
  const POST = { method: "POST", url: URL_ } as const;
  const withAuth = { ...POST, auth: { bearer: "SKYLINE_TOKEN" } };
  const sending = createEgress({ ownHosts: [] });

  async function stopped(verdict: PolicyVerdict, parameters: object): Promise<[ActionResult, Outside]> {
    const lent: string[] = [];
    const surroundings: Outside = {
      ...under(verdict),
      egress: sending,
      credential: async () => {
        lent.push("token");
        throw new Error("No credential may be resolved for what is not sent.");
      },
    };
    const one = call({ effect: "once", with: parameters as ActionCall["with"] });
    let left = false;
    const result = await performAction({ ...one, sent: () => void (left = true) }, surroundings);
    expect([left, lent]).toEqual([false, []]);
    return [result, surroundings];
  }

  test.each([
    [DENIED, "cannot", "policy_denied", false],
    [ASKS, "cannot", "approval_required", false],
    [AWAY, "refused", "not_sent", true],
  ] as const)("%j: %s, %s, and nothing is sent or lent", async (verdict, kind, code, retryable) => {
    for (const parameters of [POST, withAuth]) {
      const [result] = await stopped(verdict, parameters);
      expect(result).toMatchObject({ kind, failure: { code, retryable } });
    }
  });

  test.each([
    ["policy_denied", "cannot", "policy_denied"],
    ["approval_required", "cannot", "approval_required"],
    ["policy_unavailable", "unclear", "not_sent"],
  ] as const)("a redirect that meets %s ends as %s", async (code, kind, failure) => {
    const result: EgressResult = { kind: "failed", code, message: "No.", sent: true, answer: null };
    const one = call({ with: { method: "GET", url: URL_ } });
    expect(await performAction(one, under(ALLOWED, result))).toMatchObject({
      kind,
      failure: { code: failure },
    });
  });
});

describe("a function whose fetch a policy stops", () => {
  async function run(verdicts: readonly PolicyVerdict[], step: (tools: CodeTools) => Promise<unknown>) {
    const left = [...verdicts];
    const egress = createEgress({ ownHosts: [] });
    const surroundings: Outside = {
      ...outside(() => answered(200), { step: () => step }),
      policy: async () => left.shift() ?? ALLOWED,
    };
    // What is allowed goes nowhere but is taken as sent; what is not allowed meets the real egress.
    const scripted = surroundings.egress;
    const both: Outside["egress"] = async (request) => {
      const hop = { url: new URL(request.url), method: request.method, redirectedFrom: null };
      const refusal = await request.permit?.(hop);
      return refusal === null
        ? scripted(request)
        : egress({ ...request, permit: async () => refusal ?? null });
    };
    return performAction(call({ action: "code", effect: "once" }), { ...surroundings, egress: both });
  }

  test("before anything was sent: it cannot, and nothing happened", async () => {
    const result = await run([DENIED], ({ fetch }) => fetch(URL_, { method: "POST" }));
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "policy_denied" } });
  });

  test("while the policy cannot be read: it is refused, and tried again", async () => {
    const result = await run([AWAY], ({ fetch }) => fetch(URL_, { method: "POST" }));
    expect(result).toMatchObject({ kind: "refused", failure: { code: "not_sent", retryable: true } });
  });

  test("after another request was sent: what that one did is not known", async () => {
    const result = await run([ALLOWED, DENIED], async ({ fetch }) => {
      await fetch(URL_, { method: "POST" });
      return fetch(URL_, { method: "POST" });
    });
    expect(result).toMatchObject({ kind: "unclear", failure: { code: "policy_denied", retryable: false } });
  });
});
