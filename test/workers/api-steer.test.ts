import { inject, beforeAll, describe, expect, test } from "vitest";
import type { RunView, StepView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";

let admin = "";
beforeAll(async () => {
  admin = await newTenant("steer");
});

async function start(body: unknown, key = admin, headers: Record<string, string> = {}): Promise<RunView> {
  const response = await send("POST", "/v1/runs", { key, body, headers });
  return expectAnswer<RunView>(response, "startRun", response.status === 200 ? 200 : 202);
}

const WAIT = { prefer: "wait=20" };
const waiting = (key = admin) => start({ workflow: "t-wait" }, key);
const succeeded = () => start({ workflow: "t-chain-4" }, admin, WAIT);
const failed = () => start({ workflow: "t-fatal" }, admin, WAIT);
const post = (id: string, path: string, body?: unknown, headers: Record<string, string> = {}, key = admin) =>
  send("POST", `/v1/runs/${id}/${path}`, { key, headers, ...(body === undefined ? {} : { body }) });
const look = async (id: string, headers: Record<string, string> = {}) =>
  expectAnswer<RunView>(await send("GET", `/v1/runs/${id}`, { key: admin, headers }), "getRun", 200);

describe("cancel, pause, resume, redrive", () => {
  test("a run is cancelled, once it is over with 200 for one who waits", async () => {
    const { id } = await waiting();
    const response = await post(id, "cancel", { mode: "immediate", reason: "enough" }, WAIT);
    const run = await expectAnswer<RunView>(response, "cancelRun", 200);
    expect(run.status).toBe("cancelled");
    expect(run.failure).toMatchObject({ code: "cancelled", message: "enough" });
    await expectProblem(await post(id, "cancel"), 409, "run_ended");
  });

  test("a cancel without a body is a graceful one, and answers 202 with the address", async () => {
    const { id } = await waiting();
    const response = await post(id, "cancel");
    await expectAnswer(response, "cancelRun", 202);
    expect(response.headers.get("location")).toBe(`/v1/runs/${id}`);
    expect((await look(id, WAIT)).status).toBe("cancelled");
  });

  test("a paused run starts nothing until it is resumed", async () => {
    const { id } = await waiting();
    expect((await expectAnswer<RunView>(await post(id, "pause"), "pauseRun", 200)).paused).toBe(true);
    await expectAnswer(await post(id, "signals/go", { payload: 1 }), "sendSignal", 200);
    expect((await look(id, { prefer: "wait=1" })).status).not.toBe("succeeded");
    expect((await expectAnswer<RunView>(await post(id, "resume"), "resumeRun", 200)).paused).toBe(false);
    expect((await look(id, WAIT)).status).toBe("succeeded");
    await expectProblem(await post(id, "pause"), 409, "run_ended");
  });

  test("a failed run is redriven in its next generation; others are not", async () => {
    const { id } = await failed();
    const run = await expectAnswer<RunView>(await post(id, "redrive", undefined, WAIT), "redriveRun", 200);
    expect(run).toMatchObject({ generation: 2, status: "failed" });
    await expectProblem(await post((await succeeded()).id, "redrive"), 409, "nothing_to_redrive");
    await expectProblem(await post((await waiting()).id, "redrive"), 409, "already_ending");
  });

  test.each([
    ["cancel", { mode: "brutal" }, "/mode"],
    ["cancel", { reason: "" }, "/reason"],
    ["redrive", { resolve: [] }, "/resolve"],
    ["redrive", { resolve: { "no such": { as: "retry" } } }, "/resolve/no such"],
    ["pause", { now: true }, ""],
    ["signals/go", { name: "go" }, "/name"],
    ["steps/ask/resolve", { as: "succeeded" }, "/output"],
    ["steps", { steps: {} }, "/steps"],
  ])("%s with %j is refused at %j", async (path, body, pointer) => {
    const { id } = await waiting();
    const { errors } = await expectProblem(await post(id, path, body), 400, "invalid_request");
    expect(errors?.[0]?.pointer).toBe(pointer);
  });
});

describe("signals", () => {
  test("reach the step that waits, and its output is the payload", async () => {
    const { id } = await waiting();
    await expectAnswer(await post(id, "signals/go", { payload: { a: 1 } }), "sendSignal", 200);
    expect((await look(id, WAIT)).output).toEqual({ value: { heard: { a: 1 } } });
  });

  test("are taken by a step whose schema names what every object inherits, and 64 misfits are not in the way", async () => {
    const { id } = await start({ open: true });
    for (let i = 0; i < 64; i += 1) await post(id, "signals/go", { id: `m-${i}`, payload: "misfit" });
    await expectProblem(await post(id, "signals/go", { payload: {} }), 409, "signal_buffer_full");
    const schema = { type: "object", properties: { constructor: { type: "string" } }, required: ["a"] };
    await post(id, "steps", { steps: { hear: { action: "wait", with: { signal: "go", schema } } } });
    await expectProblem(await post(id, "signals/go", { payload: {} }), 422, "invalid_payload");
    await expectAnswer(await post(id, "signals/go", { payload: { a: 1 } }), "sendSignal", 200);
    expect((await look(id)).steps).toMatchObject([{ status: "succeeded", output: { value: { a: 1 } } }]);
  });

  test("with one id count once, by body or by Idempotency-Key", async () => {
    const { id } = await start({
      open: true,
      steps: {
        first: { action: "wait", with: { signal: "go" } },
        second: { action: "wait", with: { signal: "go" }, needs: ["first"] },
      },
    });
    await post(id, "signals/go", { id: "d-1", payload: 1 });
    await post(id, "signals/go", { payload: 2 }, { "idempotency-key": "d-1" });
    const once = await look(id);
    expect(once.steps.map(({ status }) => status)).toEqual(["succeeded", "waiting"]);
    await post(id, "signals/go", { payload: 3 }, { "idempotency-key": "d-2" });
    const twice = await look(id);
    expect(twice.steps.map(({ output }) => output)).toEqual([{ value: 1 }, { value: 3 }]);
  });

  test("that no step can take are refused, and names that cannot be", async () => {
    const { id } = await waiting();
    await expectProblem(await post(id, "signals/stop"), 409, "signal_not_expected");
    const { errors } = await expectProblem(await post(id, "signals/Go!"), 400, "invalid_request");
    expect(errors?.[0]?.parameter).toBe("name");
    await expectProblem(await post((await succeeded()).id, "signals/go"), 409, "run_ended");
  });

  test("are for the key that started the run, and for runs:admin", async () => {
    const mine = await newKey(admin, { scopes: ["runs:read", "runs:write"] });
    const other = await newKey(admin, { scopes: ["runs:read", "runs:write"] });
    const { id } = await waiting(mine);
    await expectProblem(await post(id, "signals/go", {}, {}, other), 404, "not_found");
    await expectAnswer(await post(id, "signals/go", {}, {}, mine), "sendSignal", 200);
    const second = await waiting(mine);
    await expectAnswer(await post(second.id, "signals/go", {}, {}, admin), "sendSignal", 200);
  });
});

interface Appended {
  readonly revision: number;
  readonly settled: boolean;
  readonly steps: readonly StepView[];
}

describe("open runs", () => {
  const compute = (value: unknown, needs: readonly string[] = []) => ({
    action: "transform",
    with: { value },
    needs,
  });
  const append = (id: string, steps: unknown, headers: Record<string, string> = {}, key = admin) =>
    post(id, "steps", { steps }, headers, key);

  test("take steps, and give their results in the same call", async () => {
    const { id, revision } = await start({ open: true });
    const response = await append(id, { a: compute(1), b: compute({ two: 2 }, ["a"]) }, WAIT);
    const done = await expectAnswer<Appended>(response, "appendSteps", 200);
    expect(response.headers.get("etag")).toBe(`"g-${done.revision}"`);
    expect(response.headers.get("preference-applied")).toBe("wait=20");
    expect(done.revision).toBe(revision + 1);
    expect(done.steps.map(({ output }) => output)).toEqual([{ value: 1 }, { value: { two: 2 } }]);
  });

  test("answer 202 to one who does not wait, or waits too short", async () => {
    const { id } = await start({ open: true });
    const wait = { w: { action: "wait", with: { signal: "go" } } };
    const response = await append(id, wait);
    expect((await expectAnswer<Appended>(response, "appendSteps", 202)).settled).toBe(false);
    expect(response.headers.get("location")).toBe(`/v1/runs/${id}`);
    const patient = await append(id, wait, { prefer: "wait=1" });
    expect((await expectAnswer<Appended>(patient, "appendSteps", 202)).settled).toBe(false);
  });

  test("take the same steps again without a change, and refuse another under the same name", async () => {
    const { id } = await start({ open: true });
    const first = await expectAnswer<Appended>(await append(id, { a: compute(1) }, WAIT), "appendSteps", 200);
    const again = await expectAnswer<Appended>(await append(id, { a: compute(1) }, WAIT), "appendSteps", 200);
    expect(again).toEqual(first);
    await expectProblem(await append(id, { a: compute(2) }), 409, "step_exists");
  });

  test("take steps for one revision of the graph only, if that is asked for", async () => {
    const { id, revision } = await start({ open: true });
    const tag = { "if-match": `"g-${revision}"` };
    await expectAnswer(await append(id, { a: compute(1) }, tag), "appendSteps", 202);
    await expectProblem(await append(id, { b: compute(1) }, tag), 412, "revision_mismatch");
    await expectAnswer(await append(id, { b: compute(1) }, { "if-match": "*" }), "appendSteps", 202);
    for (const bad of [`"r-${revision}"`, String(revision), `W/"g-${revision}"`]) {
      const { errors } = await expectProblem(
        await append(id, { c: compute(1) }, { "if-match": bad }),
        400,
        "invalid_header",
      );
      expect(errors?.[0]?.header).toBe("If-Match");
    }
  });

  test("take no more once they are closed, and end", async () => {
    const { id } = await start({ open: true, steps: { a: compute(1) } });
    const closed = await expectAnswer<RunView>(await post(id, "close"), "closeRun", 200);
    expect(closed.closed).toBe(true);
    expect((await look(id, WAIT)).status).toBe("succeeded");
    await expectProblem(await append(id, { b: compute(1) }), 409, "not_open");
    await expectProblem(await append((await waiting()).id, { b: compute(1) }), 409, "not_open");
    await expectProblem(await post((await waiting()).id, "close"), 409, "not_open");
  });

  test("are for the key that started them, and for runs:admin", async () => {
    const scopes = ["runs:read", "runs:write", "outputs:read"];
    const mine = await newKey(admin, { scopes });
    const other = await newKey(admin, { scopes });
    const { id } = await start({ open: true }, mine);
    await expectProblem(await append(id, { a: compute(1) }, {}, other), 404, "not_found");
    await expectProblem(await post(id, "close", undefined, {}, other), 404, "not_found");
    await expectAnswer(await append(id, { a: compute(1) }, WAIT, mine), "appendSteps", 200);
    await expectAnswer(await append(id, { b: compute(1) }, WAIT, admin), "appendSteps", 200);
  });

  test.each<[string, unknown, readonly string[]]>([
    ["a need that there is not", { a: compute(1, ["ghost"]) }, ["/steps/a/needs/0"]],
    ["a cycle", { a: compute(1, ["b"]), b: compute(1, ["a"]) }, ["/steps/a/needs/0"]],
    ["an unknown action", { a: { action: "fly", with: {} } }, ["/steps/a/action"]],
    ["an unknown field", { a: { ...compute(1), colour: "red" } }, ["/steps/a/colour"]],
    ["a name that breaks the grammar", { "A b": compute(1) }, ["/steps/A b"]],
    [
      "a credential in a header",
      {
        a: {
          action: "http",
          with: {
            method: "GET",
            url: "https://api.skyline.example/",
            headers: { authorization: "Bearer x" },
          },
        },
      },
      ["/steps/a/with/headers/authorization"],
    ],
  ])("refuse %s, at the start and later, each with its place", async (_, steps, pointers) => {
    const atStart = await send("POST", "/v1/runs", { key: admin, body: { open: true, steps } });
    const { id } = await start({ open: true });
    for (const response of [atStart, await append(id, steps)]) {
      const { errors } = await expectProblem(response, 422, "bad_graph");
      expect(errors?.map(({ pointer }) => pointer)).toEqual(expect.arrayContaining([...pointers]));
    }
  });

  test("refuse more steps at once than a call may bring", async () => {
    const { id } = await start({ open: true });
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`s${i}`, compute(i)]));
    await expectProblem(await append(id, many), 400, "invalid_request");
  });
});

describe("a step whose outcome is unknown", () => {
  /** Books once at an airline that books but does not answer, and waits for the step's status. */
  async function booking(reference: string, fault: unknown, status: string): Promise<string> {
    const { names } = inject("world");
    const rule = { service: "api.skyline.example", method: "POST", reference, times: 1, fault };
    const faults = await fetch(`http://127.0.0.1:${names["referee.example"]}/faults`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([rule]),
    });
    expect(faults.status).toBeLessThan(300);
    const { id } = await start({ open: true });
    const book = {
      action: "http",
      effect: "once",
      timeout: "60s",
      with: {
        method: "POST",
        url: "https://api.skyline.example/bookings",
        auth: { bearer: "SKYLINE_TOKEN" },
        headers: { "x-reference": reference },
        json: { from: "VIE", to: "LIS", date: "2026-12-01", traveller: "Ada" },
      },
    };
    await post(id, "steps", { steps: { book } });
    for (let run = await look(id); run.steps[0]?.status !== status;) {
      expect(run.status).not.toBe("failed");
      const next = await send("GET", `/v1/runs/${id}`, {
        key: admin,
        headers: { prefer: "wait=20", "if-none-match": `"r-${run.seq}"` },
      });
      run = await expectAnswer<RunView>(next, "getRun", 200);
    }
    return id;
  }

  test("is resolved by a person, once", async () => {
    const id = await booking("api-steer-resolve", { kind: "lost_answer" }, "unknown");
    const told = (await look(id)).steps[0]?.failure;
    expect(told?.retryable).toBe(false);
    expect(told?.hint).toContain(
      `POST /v1/runs/${id}/steps/book/resolve with {"as": "succeeded", "output": …}`,
    );
    const note = "The airline has it.";
    const run = await expectAnswer<RunView>(
      await post(id, "steps/book/resolve", { as: "succeeded", output: { id: "bk_1" }, note }),
      "resolveStep",
      200,
    );
    expect(run.steps[0]).toMatchObject({
      status: "succeeded",
      outcome: "done",
      output: { value: { id: "bk_1" } },
    });
    await expectProblem(await post(id, "steps/book/resolve", { as: "retry" }), 409, "not_unknown");
  });

  test("that was aborted is asked for by a redrive, which takes the answer by the step's name", async () => {
    const id = await booking("api-steer-redrive", { kind: "accept_then_timeout" }, "running");
    const cancelled = await post(id, "cancel", { mode: "immediate" }, WAIT);
    expect((await expectAnswer<RunView>(cancelled, "cancelRun", 200)).steps[0]?.outcome).toBe("unknown");
    const refused = await expectProblem(await post(id, "redrive"), 409, "resolve_first");
    expect(refused.errors?.[0]?.pointer).toBe("/resolve/book");
    const resolve = { book: { as: "succeeded", output: { id: "bk_2" }, note: "It is there." } };
    const stray = { ...resolve, other: { as: "retry" } };
    await expectProblem(await post(id, "redrive", { resolve: stray }), 409, "not_unknown");
    const run = await expectAnswer<RunView>(await post(id, "redrive", { resolve }), "redriveRun", 202);
    expect(run).toMatchObject({ generation: 2, status: "waiting" });
    expect(run.steps[0]).toMatchObject({ status: "succeeded", output: { value: { id: "bk_2" } } });
  });

  test("is none where the step is not unknown, and there is no step that there is not", async () => {
    const { id } = await waiting();
    await expectProblem(await post(id, "steps/ask/resolve", { as: "retry" }), 409, "not_unknown");
    await expectProblem(await post(id, "steps/nobody/resolve", { as: "retry" }), 404, "no_such_step");
  });
});

describe("workflows", () => {
  test("are listed, and shown with the schema of their input, steps and graph", async () => {
    const list = await send("GET", "/v1/workflows", { key: admin });
    const { data } = await expectAnswer<{ data: { name: string }[] }>(list, "listWorkflows", 200);
    expect(data.map(({ name }) => name)).toEqual(data.map(({ name }) => name).toSorted());
    expect(data.map(({ name }) => name)).toContain("t-sleep");
    const one = await send("GET", "/v1/workflows/t-sleep", { key: admin });
    const shown = await expectAnswer<{ input: unknown; steps: unknown[]; graph: { edges: unknown[] } }>(
      one,
      "getWorkflow",
      200,
    );
    expect(shown.input).toMatchObject({ type: "object", required: ["ms"] });
    expect(shown.steps).toHaveLength(2);
    expect(shown.graph.edges).toEqual([{ from: "nap", to: "after" }]);
    await expectProblem(await send("GET", "/v1/workflows/nobody", { key: admin }), 404, "not_found");
    await expectProblem(
      await send("GET", "/v1/workflows/t-sleep?version=9", { key: admin }),
      404,
      "not_found",
    );
    await expectProblem(await send("GET", "/v1/workflows/T", { key: admin }), 400, "invalid_request");
  });
});
