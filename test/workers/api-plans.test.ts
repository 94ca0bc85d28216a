import { beforeAll, describe, expect, test } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import type { RunView, StepView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { fault } from "./run-support.ts";

let admin = "";
let other = "";
beforeAll(async () => {
  admin = await newTenant("plans");
  other = await newTenant("plans-other");
});

const say = (value: unknown, more: object = {}): object => ({
  action: "transform",
  with: { value },
  ...more,
});
const PLAN = {
  description: "Says what it was given.",
  input: { type: "object", required: ["word"], properties: { word: { type: "string" } } },
  steps: { say: say("${{ input.word }}!") },
  output: "${{ steps.say.output }}",
};

function put(name: string, plan: unknown, key = admin): Promise<Response> {
  return send("PUT", `/v1/workflows/${name}`, { key, body: plan });
}

async function run(body: object, key = admin): Promise<RunView> {
  const response = await send("POST", "/v1/runs", { key, body, headers: { prefer: "wait=20" } });
  return expectAnswer<RunView>(response, "startRun", 200);
}

interface Kept {
  readonly version: string;
  readonly created: boolean;
}
const stored = async (response: Response, status = 201): Promise<Kept> =>
  expectAnswer<Kept>(response, "putWorkflow", status);

describe("a stored plan", () => {
  test("is a workflow: it is started by its name, in its newest version, or in one that is named", async () => {
    const first = await put("greet", PLAN);
    expect(first.headers.get("location")).toBe("/v1/workflows/greet?version=1");
    expect(await stored(first)).toEqual({ name: "greet", version: "1", created: true });
    const changed = { ...PLAN, steps: { say: say("${{ input.word }}?") } };
    expect(await stored(await put("greet", changed))).toMatchObject({ version: "2", created: true });
    expect(await run({ workflow: "greet", input: { word: "hi" } })).toMatchObject({
      workflow: "greet",
      version: "2",
      output: { value: "hi?" },
    });
    expect(await run({ workflow: "greet", version: "1", input: { word: "hi" } })).toMatchObject({
      version: "1",
      output: { value: "hi!" },
    });
  });

  test("of the same content is the same version; an older content again is the next one", async () => {
    const second = { ...PLAN, description: "Another." };
    const versions = [];
    for (const plan of [PLAN, { ...PLAN, name: "again" }, second, second, PLAN])
      versions.push(await (await put("again", plan)).json());
    expect(versions).toEqual([
      { name: "again", version: "1", created: true },
      { name: "again", version: "1", created: false },
      { name: "again", version: "2", created: true },
      { name: "again", version: "2", created: false },
      { name: "again", version: "3", created: true },
    ]);
  });

  test("is stored once when the same is sent many times at once", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => put("at-once", PLAN)));
    const seen = await Promise.all(answers.map(async (answer) => await answer.json<Kept>()));
    expect(seen.map(({ version }) => version)).toEqual(Array.from({ length: 8 }, () => "1"));
    expect(seen.filter(({ created }) => created)).toHaveLength(1);
  });

  test("is pinned by its runs: a version stored later changes nothing in them", async () => {
    const waits = {
      steps: { go: { action: "wait", with: { signal: "go" } }, say: say("old", { needs: ["go"] }) },
    };
    await stored(await put("pinned", waits));
    const response = await send("POST", "/v1/runs", { key: admin, body: { workflow: "pinned" } });
    const { id } = await expectAnswer<RunView>(response, "startRun", 202);
    await stored(
      await put("pinned", { ...waits, steps: { ...waits.steps, say: say("new", { needs: ["go"] }) } }),
    );
    await send("POST", `/v1/runs/${id}/signals/go`, { key: admin, body: {} });
    const ended = await send("GET", `/v1/runs/${id}`, { key: admin, headers: { prefer: "wait=20" } });
    expect(await expectAnswer<RunView>(ended, "getRun", 200)).toMatchObject({
      version: "1",
      output: { value: { say: "old" } },
    });
  });

  test("is listed and shown beside the workflows of the deployment, which keep their names", async () => {
    await stored(await put("listed", PLAN));
    const list = await send("GET", "/v1/workflows", { key: admin });
    const { data } = await expectAnswer<{ data: object[] }>(list, "listWorkflows", 200);
    expect(data).toContainEqual({
      name: "listed",
      version: "1",
      description: "Says what it was given.",
      kind: "plan",
    });
    expect(data).toContainEqual(expect.objectContaining({ name: "book-trip", kind: "typescript" }));
    const shown = await send("GET", "/v1/workflows/listed", { key: admin });
    expect(await expectAnswer(shown, "getWorkflow", 200)).toMatchObject({
      name: "listed",
      version: "1",
      kind: "plan",
      plan: PLAN,
      input: PLAN.input,
      steps: [{ name: "say", action: "transform" }],
    });
    await expectProblem(await put("book-trip", PLAN), 409, "name_taken");
    await expectProblem(await put("inline", PLAN), 409, "name_taken");
  });

  test("belongs to its tenant", async () => {
    await stored(await put("mine", PLAN));
    const hidden = await send("GET", "/v1/workflows/mine", { key: other });
    await expectProblem(hidden, 404, "not_found");
    const started = await send("POST", "/v1/runs", { key: other, body: { workflow: "mine" } });
    await expectProblem(started, 422, "unknown_workflow");
    expect(await stored(await put("mine", { ...PLAN, description: "Theirs." }, other))).toMatchObject({
      version: "1",
    });
    expect(await run({ workflow: "mine", input: { word: "a" } })).toMatchObject({ output: { value: "a!" } });
  });

  test("cannot be stored by a key of a user, nor without the scope", async () => {
    const reader = await newKey(admin, { scopes: ["workflows:read", "runs:write", "runs:read"] });
    const problem = await put("no", PLAN, reader);
    await expectProblem(problem, 403, "insufficient_scope");
    const made = await send("POST", "/v1/keys", {
      key: admin,
      body: { name: "agent", scopes: ["workflows:write"], user: "ada" },
    });
    await expectProblem(made, 403, "scope_not_for_users");
  });

  test.each([
    ["a version that is not there", { workflow: "greet", version: "99" }, "/version"],
    ["a version that is no number", { workflow: "greet", version: "latest" }, "/version"],
    ["a name that is not there", { workflow: "nobody" }, "/workflow"],
  ])("is not found by %s", async (_, body, pointer) => {
    await put("greet", PLAN);
    const problem = await expectProblem(
      await send("POST", "/v1/runs", { key: admin, body }),
      422,
      "unknown_workflow",
    );
    expect(problem.errors).toMatchObject([{ pointer }]);
  });

  test("that cannot run is not stored, and a name in it must be that of the address", async () => {
    const bad = { steps: { a: say("${{ steps.b.output }}") } };
    const problem = await expectProblem(await put("bad", bad), 422, "bad_plan");
    expect(problem.errors).toMatchObject([{ pointer: "/steps/a/with/value", code: "unknown_step" }]);
    const named = await expectProblem(await put("bad", { ...PLAN, name: "worse" }), 400, "invalid_request");
    expect(named.errors).toMatchObject([{ pointer: "/name" }]);
    await expectProblem(await send("GET", "/v1/workflows/bad", { key: admin }), 404, "not_found");
  });

  test("refuses an input that does not fit, and says where", async () => {
    await put("greet", PLAN);
    const body = { workflow: "greet", version: "1", input: { word: 7 } };
    const problem = await expectProblem(
      await send("POST", "/v1/runs", { key: admin, body }),
      422,
      "invalid_input",
    );
    expect(problem.errors).toMatchObject([{ pointer: "/input/word" }]);
    const missing = { workflow: "greet", version: "1", input: {} };
    const other = await send("POST", "/v1/runs", { key: admin, body: missing });
    expect((await expectProblem(other, 422, "invalid_input")).errors).toMatchObject([
      { pointer: "/input/word" },
    ]);
  });
});

describe("a plan that is sent with a start", () => {
  test("runs under the name inline, and once per idempotency key", async () => {
    const send_ = async (): Promise<RunView> => {
      const body = { plan: PLAN, input: { word: "hi" } };
      const headers = { prefer: "wait=20", "idempotency-key": "plan-once" };
      const response = await send("POST", "/v1/runs", { key: admin, body, headers });
      return expectAnswer<RunView>(response, "startRun", 200);
    };
    const first = await send_();
    expect(first).toMatchObject({ workflow: "inline", version: "1", output: { value: "hi!" } });
    expect((await send_()).id).toBe(first.id);
  });

  test.each([
    ["workflow", { workflow: "greet" }],
    ["version", { version: "1" }],
    ["steps", { steps: {} }],
  ])("stands alone: not beside %s", async (field, more) => {
    const response = await send("POST", "/v1/runs", { key: admin, body: { plan: PLAN, ...more } });
    const problem = await expectProblem(response, 400, "invalid_request");
    expect(problem.errors).toMatchObject([{ pointer: `/${field}` }]);
  });

  test("is refused as a whole, with the place in the request, the expression, and what could stand there", async () => {
    const body = { plan: { steps: { a: say(1), b: say("x ${{ steps.a.otput }}", { needs: ["a"] }) } } };
    const response = await send("POST", "/v1/runs", { key: admin, body });
    const problem = await expectProblem(response, 422, "bad_plan");
    expect(problem.errors).toEqual([
      {
        pointer: "/plan/steps/b/with/value",
        code: "unknown_name",
        detail: "A step has no field `otput`. Did you mean `output`?",
        expression: " steps.a.otput ",
        offset: 6,
        allowed: ["status", "output", "failure", "attempts", "startedAt", "endedAt"],
      },
    ]);
  });
});

describe("a check of a plan", () => {
  const check = async (
    body: object,
  ): Promise<{ readonly valid: boolean; readonly [field: string]: unknown }> =>
    expectAnswer(await send("POST", "/v1/plans/validate", { key: admin, body }), "validatePlan", 200);

  test("says everything that is wrong at once", async () => {
    const report = await check({
      plan: {
        dedline: "1h",
        steps: {
          a: { action: "http", with: { method: "GET", url: "https://${{ input.host }}/" } },
          b: {
            action: "http",
            needs: ["z"],
            when: "steps.c.output",
            with: { method: "GTE", url: "https://a.example/" },
          },
          c: say(1, { needs: ["c"] }),
        },
        output: "${{ nothing }}",
      },
    });
    expect(report.valid).toBe(false);
    const errors = report["errors"] as { pointer: string; code: string; allowed?: string[] }[];
    expect(errors.map(({ pointer, code }) => `${pointer} ${code}`).toSorted()).toEqual([
      "/plan/dedline unknown_field",
      "/plan/output unknown_name",
      "/plan/steps/a/with/url url_not_literal",
      "/plan/steps/b/needs/0 unknown_need",
      "/plan/steps/b/when not_an_ancestor",
      "/plan/steps/b/with/method invalid",
      "/plan/steps/c/needs/0 cycle",
    ]);
    expect(errors.find(({ pointer }) => pointer.endsWith("method"))?.allowed).toContain("GET");
    expect(errors.find(({ pointer }) => pointer.endsWith("needs/0"))?.allowed).toEqual(["a", "c"]);
  });

  test("tells what the plan would do, in order, and starts nothing", async () => {
    const report = await check({
      plan: {
        steps: {
          pay: {
            action: "http",
            needs: ["look"],
            with: {
              method: "POST",
              url: "https://api.pay.example/charges",
              auth: { bearer: "PAY_TOKEN" },
              json: {},
            },
            compensate: {
              action: "http",
              with: { method: "POST", url: "https://api.pay.example/charges/${{ own.body.id }}/refunds" },
            },
          },
          look: {
            action: "http",
            with: { method: "GET", url: "https://api.shop.example/stock/${{ input.sku }}" },
          },
          go: { action: "wait", with: { signal: "go" }, needs: ["pay"] },
        },
      },
    });
    expect(report).toMatchObject({
      valid: true,
      errors: [],
      advice: [
        { pointer: "/plan/steps/pay", code: "once_without_verify" },
        { pointer: "/plan/steps/pay/compensate", code: "undo_reads_output" },
      ],
      summary: {
        hosts: ["api.pay.example", "api.shop.example"],
        service_tokens: ["PAY_TOKEN"],
        steps: [
          {
            name: "look",
            undo: "not_needed",
            when_unclear: "tried_again",
            requests: [
              {
                method: "GET",
                host: "api.shop.example",
                path: "/stock/*",
                policy: { verdict: "allowed", detail: null },
              },
            ],
          },
          {
            name: "pay",
            effect: "once",
            on_failure: "run_fails",
            when_unclear: "waits_for_a_person",
            undo: "by_compensation",
            requests: [
              { role: "step", token: "PAY_TOKEN" },
              { role: "compensate", path: "/charges/*/refunds" },
            ],
          },
          { name: "go", waits_for: "go", requests: [], when_unclear: "nothing_to_repeat" },
        ],
      },
    });
  });

  test("checks an input that is given", async () => {
    expect(await check({ plan: PLAN, input: { word: "a" } })).toMatchObject({ valid: true });
    expect(await check({ plan: PLAN, input: {} })).toMatchObject({
      valid: false,
      errors: [{ pointer: "/input/word", code: "missing" }],
    });
  });

  test("the schema of plans is open to everybody, and is JSON Schema", async () => {
    const response = await send("GET", "/v1/plans/schema");
    expect(response.headers.get("content-type")).toBe("application/schema+json");
    const schema = (await response.json()) as Record<string, unknown>;
    expect(schema).toMatchObject({ type: "object", required: ["steps"], additionalProperties: false });
    expect(JSON.stringify(schema)).toContain("Idempotency-Key");
  });
});

describe("steps that are appended to an open run", () => {
  async function open(): Promise<string> {
    const body = { open: true, input: { n: 1 }, steps: { a: say("${{ input.n }}") } };
    return (
      await expectAnswer<RunView>(await send("POST", "/v1/runs", { key: admin, body }), "startRun", 202)
    ).id;
  }
  const append = (id: string, steps: object): Promise<Response> =>
    send("POST", `/v1/runs/${id}/steps`, { key: admin, body: { steps }, headers: { prefer: "wait=20" } });

  test("read the steps before them", async () => {
    const id = await open();
    const response = await append(id, { b: say("${{ steps.a.output + 1 }}", { needs: ["a"] }) });
    expect(await expectAnswer(response, "appendSteps", 200)).toMatchObject({
      steps: [{ name: "b", status: "succeeded", output: { value: 2 } }],
    });
    const again = await append(id, {
      b: say("${{ steps.a.output + 1 }}", { needs: ["a"] }),
      c: say("${{ [steps.a.output, steps.b.output] }}", { needs: ["b"] }),
    });
    expect(await expectAnswer(again, "appendSteps", 200)).toMatchObject({
      steps: [{ name: "b" }, { name: "c", output: { value: [1, 2] } }],
    });
  });

  test("take of the messages that came before them only one that fits, and say which did not", async () => {
    const id = await open();
    const signal = async (id_: string, payload: unknown): Promise<void> => {
      const body = { id: id_, payload };
      const sent = await send("POST", `/v1/runs/${id}/signals/answer`, { key: admin, body });
      await expectAnswer(sent, "sendSignal", 200);
    };
    const schema = {
      type: "object",
      required: ["ok"],
      properties: { ok: { type: "boolean" }, note: { type: "string", default: "none" } },
    };
    const wait = { action: "wait", with: { signal: "answer", schema } };
    await signal("text", "yes");
    const first = await send("POST", `/v1/runs/${id}/steps`, {
      key: admin,
      body: { steps: { first: wait } },
    });
    expect(await expectAnswer(first, "appendSteps", 202)).toMatchObject({
      steps: [{ status: "waiting", misfits: ["text"] }],
    });
    await signal("fits", { ok: true });
    await signal("early", { ok: false });
    const second = await append(id, { first: wait, second: wait });
    expect(await expectAnswer(second, "appendSteps", 200)).toMatchObject({
      steps: [
        { status: "succeeded", output: { value: { ok: true, note: "none" } } },
        { status: "succeeded", output: { value: { ok: false, note: "none" } } },
      ],
    });
    const events = await send("GET", `/v1/runs/${id}/events`, { key: admin });
    const page = await expectAnswer<{ data: { type: string; data: object }[] }>(events, "getEvents", 200);
    expect(page.data.filter(({ type }) => type === "waiting").map(({ data }) => data)).toMatchObject([
      { step: "first", misfits: ["text"] },
      { step: "second", misfits: ["text"] },
    ]);
  });

  test("show why it cannot be found out whether one of them happened", async () => {
    const reference = randomId("run");
    await fault(reference, { fault: { kind: "lost_answer" }, method: "POST" });
    const id = await open();
    const api = { url: "https://api.skyline.example/bookings", auth: { bearer: "SKYLINE_TOKEN" } };
    const json = { from: "VIE", to: "LIS", date: "2027-03-14", traveller: "Ada" };
    const book = {
      action: "http",
      effect: "once",
      with: { ...api, method: "POST", headers: { "x-reference": reference }, json },
      verify: {
        action: "http",
        after: 0,
        with: { ...api, method: "GET" },
        happened: "output.body.nothing > 0",
      },
    };
    await send("POST", `/v1/runs/${id}/steps`, { key: admin, body: { steps: { book } } });
    const look = async (headers: Record<string, string> = {}): Promise<RunView> => {
      const looked = await send("GET", `/v1/runs/${id}`, { key: admin, headers });
      return expectAnswer<RunView>(looked, "getRun", 200);
    };
    const stepOf = ({ steps }: RunView): StepView | undefined => steps.find(({ name }) => name === "book");
    let run = await look();
    while (stepOf(run)?.check?.status !== "failed") {
      expect(stepOf(run)?.outcome).toBeNull();
      run = await look({ prefer: "wait=20", "if-none-match": `"r-${run.seq}"` });
    }
    expect(stepOf(run)).toMatchObject({
      status: "unknown",
      failure: { code: "network" },
      check: {
        status: "failed",
        failure: { code: "template_failed", message: expect.stringContaining("nothing") },
      },
    });
  });

  test("cannot read what they do not wait for, nor what is not there", async () => {
    const id = await open();
    const response = await append(id, {
      b: say("${{ steps.a.output }}"),
      c: say("${{ steps.z.output }}", { when: "steps.b.status == 'failed'" }),
    });
    const problem = await expectProblem(response, 422, "bad_graph");
    expect(problem.errors).toMatchObject([
      { pointer: "/steps/b/with/value", code: "not_an_ancestor" },
      { pointer: "/steps/c/when", code: "not_an_ancestor" },
      { pointer: "/steps/c/with/value", code: "unknown_step" },
    ]);
  });
});
