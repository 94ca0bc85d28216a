/** What the surroundings say to a plan before it runs: at the check, the start, the store and the append. */
import { beforeAll, describe, expect, test } from "vitest";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";

let admin = "";
beforeAll(async () => {
  admin = await newTenant("plan-checks");
});

interface Finding {
  readonly pointer?: string;
  readonly code?: string;
  readonly allowed?: readonly string[];
}
interface Report {
  readonly valid: boolean;
  readonly errors: readonly Finding[];
  readonly advice: readonly Finding[];
}

const say = (value: unknown, more: object = {}): object => ({
  action: "transform",
  with: { value },
  ...more,
});
const sub = (workflow: string, more: object = {}): object => ({ action: "run", with: { workflow, ...more } });
const call = (bearer: string, host = "api.skyline.example"): object => ({
  action: "http",
  with: { method: "GET", url: `https://${host}/bookings`, auth: { bearer } },
});
const TAKES = {
  input: {
    type: "object",
    required: ["sku"],
    properties: { sku: { type: "string" } },
    additionalProperties: false,
  },
  steps: { a: say("${{ input.sku }}") },
};
/** All that only the surroundings know to be wrong. */
const FLAWED = {
  token: call("NO_TOKEN"),
  foreign: call("SKYLINE_TOKEN", "api.harbour.example"),
  child: sub("t-sleeep", { input: { ms: 1 } }),
  old: sub("t-sleep", { version: "99", input: { ms: 1 } }),
  unfit: sub("t-sleep", { input: { ms: "soon" } }),
};
const FOUND = [
  "/steps/child/with/workflow unknown_workflow",
  "/steps/foreign/with/auth/bearer token_not_for_host",
  "/steps/old/with/version unknown_workflow",
  "/steps/token/with/auth/bearer unknown_token",
  "/steps/unfit/with/input/ms invalid",
];

async function check(plan: object, key = admin): Promise<Report> {
  const response = await send("POST", "/v1/plans/validate", { key, body: { plan } });
  return expectAnswer<Report>(response, "validatePlan", 200);
}
const put = (name: string, plan: object): Promise<Response> =>
  send("PUT", `/v1/workflows/${name}`, { key: admin, body: plan });
const start = (body: object, key = admin): Promise<Response> =>
  send("POST", "/v1/runs", { key, body, headers: { prefer: "wait=20" } });
const lines = (findings: readonly Finding[] | undefined): string[] =>
  (findings ?? []).map(({ pointer, code }) => `${pointer} ${code}`).toSorted();

describe("what only the surroundings know to be wrong with a plan", () => {
  test("is told by the check, all at once, beside what is wrong with the plan itself", async () => {
    const report = await check({ steps: { ...FLAWED, odd: say("${{ steps.z.output }}") } });
    expect(report.valid).toBe(false);
    expect(lines(report.errors)).toEqual(
      [...FOUND, "/steps/odd/with/value unknown_step"].map((one) => `/plan${one}`).toSorted(),
    );
    expect(report.errors.find(({ pointer }) => pointer?.includes("/child/"))?.allowed).toContain("t-sleep");
  });

  test("keeps it from starting: a plan, and the first steps of an open run", async () => {
    const planned = await expectProblem(await start({ plan: { steps: FLAWED } }), 422, "bad_plan");
    expect(lines(planned.errors)).toEqual(FOUND.map((one) => `/plan${one}`));
    const opened = await expectProblem(await start({ open: true, steps: FLAWED }), 422, "bad_graph");
    expect(lines(opened.errors)).toEqual(FOUND);
  });

  test("keeps steps from being appended", async () => {
    // It does not end by itself, so nobody waits for its end.
    const body = { open: true, steps: { first: say(1) } };
    const made = await send("POST", "/v1/runs", { key: admin, body });
    const { id } = await expectAnswer<RunView>(made, "startRun", 202);
    const appended = await send("POST", `/v1/runs/${id}/steps`, { key: admin, body: { steps: FLAWED } });
    const problem = await expectProblem(appended, 422, "bad_graph");
    expect(lines(problem.errors)).toEqual(FOUND);
    const seen = await send("GET", `/v1/runs/${id}`, { key: admin });
    expect((await expectAnswer<RunView>(seen, "getRun", 200)).steps.map(({ name }) => name)).toEqual([
      "first",
    ]);
  });

  test("is told of appended steps beside all that the run's own steps say to them", async () => {
    const before = {
      look: call("SKYLINE_TOKEN"),
      early: say(1),
      late: say(1, { needs: ["early"] }),
      talk: { action: "wait", with: { approval: "Go?" } },
    };
    const made = await send("POST", "/v1/runs", { key: admin, body: { open: true, steps: before } });
    const { id } = await expectAnswer<RunView>(made, "startRun", 202);
    const steps = {
      b: say("${{ [steps.look.output.available, steps.early.output, steps.c.output] }}", {
        needs: ["look", "lat"],
        z: 1,
      }),
      c: say("${{ [steps.early.output, steps.talk.output.approved] }}", { needs: ["late"], retries: 3 }),
      d: say("${{ steps.early.output }}", { needs: ["late", "nobody"] }),
      token: call("NO_TOKEN"),
      child: sub("t-sleeep"),
    };
    const appended = await send("POST", `/v1/runs/${id}/steps`, { key: admin, body: { steps } });
    const problem = await expectProblem(appended, 422, "bad_graph");
    expect(lines(problem.errors)).toEqual([
      "/steps/b/needs/1 unknown_need",
      "/steps/b/with/value not_an_ancestor",
      "/steps/b/with/value unknown_output_field",
      "/steps/b/z unknown_field",
      "/steps/c/retries unknown_field",
      "/steps/c/with/value not_an_ancestor",
      "/steps/c/with/value unknown_output_field",
      "/steps/child/with/workflow unknown_workflow",
      "/steps/d/needs/1 unknown_need",
      "/steps/token/with/auth/bearer unknown_token",
    ]);
    const need = problem.errors?.find(({ pointer }) => pointer === "/steps/b/needs/1");
    expect(need).toMatchObject({ detail: "There is no step named lat. Did you mean `late`?" });
  });

  test("is no reason to refuse what fits: steps are appended, with advice on them", async () => {
    const before = { first: say({ x: 1 }), second: say("${{ steps.first.output.x }}", { needs: ["first"] }) };
    const made = await send("POST", "/v1/runs", { key: admin, body: { open: true, steps: before } });
    const { id } = await expectAnswer<RunView>(made, "startRun", 202);
    const steps = { third: say("${{ steps.first.output.x }} {{ x }}", { needs: ["second"] }) };
    const options = { key: admin, body: { steps }, headers: { prefer: "wait=20" } };
    for (const _ of ["at first", "again"]) {
      const response = await send("POST", `/v1/runs/${id}/steps`, options);
      const answer = await expectAnswer<Pick<Report, "advice"> & Pick<RunView, "steps">>(
        response,
        "appendSteps",
        200,
      );
      expect(lines(answer.advice)).toEqual(["/steps/third/with/value looks_like_expression"]);
      expect(answer.steps).toMatchObject([{ name: "third", output: { value: "1 {{ x }}" } }]);
    }
  });

  test("is told of the first steps of an open run beside what is wrong with their graph", async () => {
    const steps = {
      a: say("${{ steps.b.output.x }}", { needs: ["c"], z: 1 }),
      b: say({ y: 1 }),
      token: call("NO_TOKEN"),
    };
    const problem = await expectProblem(await start({ open: true, steps }), 422, "bad_graph");
    expect(lines(problem.errors)).toEqual([
      "/steps/a/needs/0 unknown_need",
      "/steps/a/with/value not_an_ancestor",
      "/steps/a/with/value unknown_output_field",
      "/steps/a/z unknown_field",
      "/steps/token/with/auth/bearer unknown_token",
    ]);
  });

  test("keeps it from being stored, but for workflows that are not there yet", async () => {
    const problem = await expectProblem(await put("flawed", { steps: FLAWED }), 422, "bad_plan");
    expect(lines(problem.errors)).toEqual(FOUND.filter((one) => !one.endsWith("unknown_workflow")));
    const { child } = FLAWED;
    const kept = await put("early", { steps: { child } });
    const answer = await expectAnswer<Pick<Report, "advice">>(kept, "putWorkflow", 201);
    expect(lines(answer.advice)).toEqual(["/steps/child/with/workflow unknown_workflow"]);
  });
});

describe("a stored plan that starts one which is stored later", () => {
  test("cannot be started before, and can be after, in words about the step that names it", async () => {
    await put("parent", { steps: { child: sub("parent-child", { input: { sku: "TEA" } }) } });
    const problem = await expectProblem(await start({ workflow: "parent" }), 422, "bad_plan");
    expect(problem.errors).toEqual([
      {
        pointer: "/workflow",
        code: "unknown_workflow",
        detail:
          "At /steps/child/with/workflow of parent: There is no workflow parent-child. Did you mean `parent`?",
        allowed: ["parent"],
      },
    ]);
    await put("parent-child", TAKES);
    expect(await expectAnswer<RunView>(await start({ workflow: "parent" }), "startRun", 200)).toMatchObject({
      status: "succeeded",
      output: { value: { child: { a: "TEA" } } },
    });
  });

  test("is checked against what it starts as that is then, also if it is itself", async () => {
    await put("takes", TAKES);
    const stray = { child: sub("takes", { input: { sku: "${{ input.sku }}", count: 1 } }) };
    const problem = await expectProblem(await put("gives", { steps: stray }), 422, "bad_plan");
    expect(lines(problem.errors)).toEqual(["/steps/child/with/input/count unknown_field"]);
    const again = (input: unknown): object => ({
      ...TAKES,
      steps: { again: { ...sub("itself", { input }), when: "input.sku == 'x'" } },
    });
    const unfit = await expectProblem(await put("itself", again({ sku: 1 })), 422, "bad_plan");
    expect(lines(unfit.errors)).toEqual(["/steps/again/with/input/sku invalid"]);
    const kept = await put("itself", again({ sku: "y" }));
    expect(await expectAnswer(kept, "putWorkflow", 201)).toEqual({
      name: "itself",
      version: "1",
      created: true,
      advice: [
        {
          pointer: "/steps/again/with/workflow",
          code: "starts_itself",
          detail: expect.stringContaining("itself"),
        },
      ],
    });
  });

  test("is one of its own tenant, and names are near ones only for who may list them", async () => {
    const other = await newTenant("plan-checks-other");
    await put("treasure", TAKES);
    const report = await check({ steps: { a: sub("treasure", { input: { sku: "x" } }) } }, other);
    expect(report.errors).toMatchObject([{ code: "unknown_workflow" }]);
    expect(JSON.stringify(report.errors)).not.toContain("allowed");
    const blind = await newKey(admin, { scopes: ["runs:read", "runs:write"] });
    const body = { plan: { steps: { a: sub("treasur") } } };
    const problem = await expectProblem(await start(body, blind), 422, "bad_plan");
    expect(JSON.stringify(problem)).not.toContain("treasure");
    expect((await expectProblem(await start(body), 422, "bad_plan")).errors).toMatchObject([
      { allowed: ["treasure"] },
    ]);
  });
});

describe("advice on a plan", () => {
  test("stands in the answer of a check, keeps nothing from running, and is there for one that cannot run too", async () => {
    const input = { type: "object", properties: { to: { type: "string" } } };
    const plan = { input, steps: { a: say("{{ input.to }} ${{ has(input.too) ? 1 : 2 }}") } };
    const told = [
      "/plan/steps/a/with/value looks_like_expression",
      "/plan/steps/a/with/value undeclared_field",
    ];
    const report = await check(plan);
    expect([report.valid, lines(report.advice)]).toEqual([true, told]);
    const lost = await check({ ...plan, steps: { ...plan.steps, b: say(1, { needs: ["z"] }) } });
    expect([lost.valid, lines(lost.advice)]).toEqual([false, told]);
    const ended = await start({ plan, input: { to: "x" } });
    expect((await expectAnswer<RunView>(ended, "startRun", 200)).status).toBe("succeeded");
  });
});

describe("a credential in a plan", () => {
  test("is refused at every door, with its place and without itself", async () => {
    const key = `sk_live_${"a1".repeat(12)}`;
    const steps = { a: say({ deep: [key] }) };
    for (const [response, code, at] of [
      [await start({ plan: { steps } }), "bad_plan", "/plan"],
      [await start({ open: true, steps }), "bad_graph", ""],
      [await put("leaky", { steps }), "bad_plan", ""],
    ] as const) {
      const problem = await expectProblem(response, 422, code);
      expect(lines(problem.errors)).toEqual([`${at}/steps/a/with/value/deep/0 secret_in_plan`]);
      expect(JSON.stringify(problem)).not.toContain(key);
    }
    const report = await check({ steps });
    expect(lines(report.errors)).toEqual(["/plan/steps/a/with/value/deep/0 secret_in_plan"]);
    expect(JSON.stringify(report)).not.toContain(key);
  });

  const secret = `sk_live_${"b2".repeat(12)}`;
  const get = (more: object): object => ({
    action: "http",
    with: { method: "GET", url: "https://api.skyline.example/", ...more },
  });
  test.each<[string, object]>([
    ["a step", { steps: { [secret]: say(1) } }],
    ["a step that does not fit", { steps: { [secret]: get({ nothing: 1 }) } }],
    ["a step that is not undone", { steps: { [secret]: get({ method: "POST" }) } }],
    ["an action", { steps: { a: { action: secret, with: {} } } }],
    ["a field of a step", { steps: { a: say(1, { [secret]: 1 }) } }],
    ["a field of the plan", { [secret]: 1, steps: { a: say(1) } }],
    ["the plan", { name: secret, steps: { a: say(1) } }],
    ["a need", { steps: { a: say(1, { needs: [secret] }) } }],
    ["a step that is read", { steps: { a: say(`\${{ steps["${secret}"].output }}`) } }],
    ["a function", { steps: { a: say(`\${{ ${secret}(1) }}`) } }],
    ["a field that is read", { steps: { a: say(`\${{ input.x.${secret} }}`) } }],
    ["a service token", { steps: { a: get({ auth: { bearer: secret } }) } }],
    ["a header", { steps: { a: get({ headers: { [secret]: "x" } }) } }],
    ["a query parameter", { steps: { a: get({ query: { [secret]: "x", access_token: "hunter2" } }) } }],
    ["a workflow", { steps: { a: sub(secret) } }],
    ["an input", { input: { properties: { [secret]: { type: 1 } } }, steps: { a: say(1) } }],
    [
      "a field of an input",
      {
        input: { type: "object", properties: { [secret]: {} }, additionalProperties: false },
        steps: { a: say("${{ input.other }}") },
      },
    ],
  ])("is not repeated where it stands as the name of %s", async (_, plan) => {
    const { name: _name, ...body } = plan as { name?: string };
    for (const response of [
      await send("POST", "/v1/plans/validate", { key: admin, body: { plan } }),
      await start({ plan }),
      await put("leaky", body),
    ]) {
      const text = await response.text();
      if (response.status < 300) expect(text).toMatch(/"valid":false|"advice"|"created"/);
      expect(text).not.toContain(secret);
    }
  });
});
