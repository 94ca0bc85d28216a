import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_BODY_BYTES } from "../../src/api/body.ts";
import { compose } from "../../src/compose.ts";
import { randomId } from "../../src/platform/index.ts";
import type { EventView, RunView } from "../../src/run/index.ts";
import type { TriggeredStart } from "../../src/triggers/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send, type Sending } from "./api-support.ts";
import { testWorkflows } from "./workflows.ts";

let admin = "";
beforeAll(async () => {
  admin = await newTenant("start");
});

const QUICK = { workflow: "t-chain-4" };
const WAITER = { workflow: "t-wait" };

function start(body: unknown, headers: Record<string, string> = {}, key = admin): Promise<Response> {
  return send("POST", "/v1/runs", { key, body, headers });
}

async function started(response: Response): Promise<RunView> {
  return expectAnswer<RunView>(response, "startRun", 202);
}

describe("a start", () => {
  test("answers 202 with the run, where to ask again, and when", async () => {
    const response = await start({ ...WAITER, tags: ["a", "b"] });
    const run = await started(response);
    expect(response.headers.get("location")).toBe(`/v1/runs/${run.id}`);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(response.headers.get("etag")).toBe(`"r-${run.seq}"`);
    expect(response.headers.get("preference-applied")).toBeNull();
    expect(run).toMatchObject({
      tenant: "start",
      workflow: "t-wait",
      version: "1",
      user: null,
      tags: ["a", "b"],
    });
    expect(run.started_by).toMatch(/^key:key_/);
  });

  test("that waits answers 200 once the run is over, with its output", async () => {
    const response = await start(QUICK, { prefer: "wait=20" });
    const run = await expectAnswer<RunView>(response, "startRun", 200);
    expect(response.headers.get("preference-applied")).toBe("wait=20");
    expect(response.headers.get("location")).toBe(`/v1/runs/${run.id}`);
    expect(run.status).toBe("succeeded");
  });

  test("that waits for a run that goes on answers 202 when the time is up", async () => {
    const response = await start(WAITER, { prefer: "wait=1" });
    expect((await started(response)).status).toBe("waiting");
    expect(response.headers.get("preference-applied")).toBe("wait=1");
  });

  test("of an open run that waits answers 202 as soon as nothing of it is at work", async () => {
    const double = { action: "transform", with: { value: "${{ input.n * 2 }}" } };
    const body = { open: true, input: { n: 2 }, steps: { double } };
    const began = Date.now();
    const run = await started(await start(body, { prefer: "wait=60" }));
    expect(run).toMatchObject({ status: "waiting", closed: false });
    expect(run.steps).toMatchObject([{ status: "succeeded", output: { value: 4 } }]);
    expect((await started(await start({ open: true }, { prefer: "wait=60" }))).steps).toEqual([]);
    expect(Date.now() - began).toBeLessThan(30_000);
  });

  test("of an open run whose step waits for a signal goes on waiting", async () => {
    const answer = { action: "wait", with: { signal: "go" } };
    const began = Date.now();
    const run = await started(await start({ open: true, steps: { answer } }, { prefer: "wait=1" }));
    expect(run.steps).toMatchObject([{ status: "waiting" }]);
    expect(Date.now() - began).toBeGreaterThanOrEqual(990);
  });

  test("that shall not wait answers 202, also for a run that is over", async () => {
    const headers = { "idempotency-key": "over" };
    await expectAnswer(await start(QUICK, { ...headers, prefer: "wait=20" }), "startRun", 200);
    const again = await start(QUICK, { ...headers, prefer: "respond-async" });
    expect((await started(again)).status).toBe("succeeded");
    expect(again.headers.get("preference-applied")).toBe("respond-async");
  });

  test("keeps a valid traceparent on the run and ignores another", async () => {
    const trace = async (traceparent: string): Promise<unknown> => {
      const { id } = await started(await start(WAITER, { traceparent }));
      const page = await send("GET", `/v1/runs/${id}/events`, { key: admin });
      const { data } = await expectAnswer<{ data: EventView[] }>(page, "getEvents", 200);
      const [first] = data;
      return (first?.data as { traceparent: unknown } | undefined)?.traceparent;
    };
    const valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    expect(await trace(valid)).toBe(valid);
    expect(await trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01")).toBeNull();
    expect(await trace("nonsense")).toBeNull();
  });
});

describe("an idempotency key", () => {
  test("with the same body gives the same run, quoted or bare, in any order of fields, and says so", async () => {
    const first = await start({ ...WAITER, tags: ["x"] }, { "idempotency-key": '"order-1"' });
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    const again = await start({ tags: ["x"], ...WAITER }, { "idempotency-key": "order-1" });
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect((await started(again)).id).toBe((await started(first)).id);
  });

  test("sent many times at once starts one run", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => start(WAITER, { "idempotency-key": "burst" })),
    );
    const runs = await Promise.all(answers.map(started));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === null)).toHaveLength(1);
  });

  test("with another body is refused", async () => {
    await started(await start(WAITER, { "idempotency-key": "order-2" }));
    const other = await start({ ...WAITER, tags: ["y"] }, { "idempotency-key": "order-2" });
    await expectProblem(other, 422, "idempotency_mismatch");
  });

  test("outlives the rotation of the API key", async () => {
    const rotated = await newKey(admin, { scopes: ["runs:write"] });
    const { id } = await started(await start(WAITER, { "idempotency-key": "rotation" }));
    const again = await start(WAITER, { "idempotency-key": "rotation" }, rotated);
    expect((await started(again)).id).toBe(id);
  });

  test("of one user is not that of another, nor of another tenant", async () => {
    const expires_at = Date.now() + 600_000;
    const scopes = ["runs:read", "runs:write"];
    const keys = [
      admin,
      await newKey(admin, { user: "ada", scopes, expires_at }),
      await newKey(admin, { user: "bob", scopes, expires_at }),
      await newTenant("start-too"),
    ];
    const runs = await Promise.all(
      keys.map(async (key) => started(await start(WAITER, { "idempotency-key": "mine" }, key))),
    );
    expect(new Set(runs.map(({ id }) => id)).size).toBe(keys.length);
  });

  test.each(["", '"open', "a, b", "x".repeat(256)])("that cannot be read is refused: %j", async (key) => {
    const { errors } = await expectProblem(
      await start(WAITER, { "idempotency-key": key }),
      400,
      "invalid_header",
    );
    expect(errors?.[0]?.header).toBe("Idempotency-Key");
  });
});

describe("a body that is refused", () => {
  const post = (options: Sending) => send("POST", "/v1/runs", { key: admin, ...options });

  test("malformed JSON, with the place", async () => {
    const { detail } = await expectProblem(
      await post({ raw: '{"workflow": "t-wait",}' }),
      400,
      "malformed_json",
    );
    expect(detail).toContain("position 22 (line 1, column 23)");
  });

  test("no body, and one that is no object", async () => {
    await expectProblem(await send("POST", "/v1/runs", { key: admin }), 400, "invalid_request");
    await expectProblem(await post({ raw: "[]" }), 400, "invalid_request");
  });

  test("another content type", async () => {
    const headers = { "content-type": "text/plain" };
    await expectProblem(await post({ body: WAITER, headers }), 415, "unsupported_media_type");
  });

  test("over 1 MiB, whether the length is announced or not", async () => {
    const big = JSON.stringify({ ...WAITER, input: "x".repeat(MAX_BODY_BYTES) });
    await expectProblem(await post({ raw: big }), 413, "body_too_large");
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const feeding = writer.write(new TextEncoder().encode(big)).then(() => writer.close());
    await expectProblem(await post({ raw: readable }), 413, "body_too_large");
    await feeding.catch(() => undefined);
  });

  test("unknown fields and wrong types, each with its pointer", async () => {
    const { errors } = await expectProblem(
      await start({ workflow: 1, tags: [1], prio: 3 }),
      400,
      "invalid_request",
    );
    expect(errors?.map(({ pointer }) => pointer)).toEqual(["/workflow", "/tags/0", "/prio"]);
  });

  test.each(["Book-Trip", "", "a b", "../x", "x".repeat(65), "ключ"])(
    "a name that breaks the grammar: %j",
    async (workflow) => {
      const { errors } = await expectProblem(await start({ workflow }), 400, "invalid_request");
      expect(errors?.[0]?.pointer).toBe("/workflow");
    },
  );

  test("a workflow or version that there is not", async () => {
    const unknown = await expectProblem(await start({ workflow: "nobody" }), 422, "unknown_workflow");
    expect(unknown.errors?.[0]?.pointer).toBe("/workflow");
    const version = await expectProblem(await start({ ...WAITER, version: "99" }), 422, "unknown_workflow");
    expect(version.errors?.[0]?.pointer).toBe("/version");
  });

  test("an input that does not fit, with its pointer", async () => {
    const body = { workflow: "t-sleep", input: { ms: "long" } };
    const { errors } = await expectProblem(await start(body), 422, "invalid_input");
    expect(errors?.[0]?.pointer).toBe("/input/ms");
  });

  test("neither a workflow nor an open run", async () => {
    const { errors } = await expectProblem(await start({}), 400, "invalid_request");
    expect(errors?.[0]?.pointer).toBe("/workflow");
  });

  test("a user, from a key that may not name one, and another than a key's own", async () => {
    const plain = await newKey(admin, { scopes: ["runs:write"] });
    await expectProblem(await start({ ...WAITER, user: "ada" }, {}, plain), 403, "user_wider");
    const expires_at = Date.now() + 600_000;
    const bound = await newKey(admin, { user: "ada", scopes: ["runs:read", "runs:write"], expires_at });
    await expectProblem(await start({ ...WAITER, user: "bob" }, {}, bound), 403, "user_wider");
    expect((await started(await start({ ...WAITER, user: "ada" }, {}, bound))).user).toBe("ada");
    expect((await started(await start(WAITER, {}, bound))).user).toBe("ada");
    expect((await started(await start({ ...WAITER, user: "bob" }))).user).toBe("bob");
  });
});

describe("a start that nobody asks for in person", () => {
  const starter = compose(testWorkflows).starting(env);
  const wanted = (workflow: string, more: Partial<TriggeredStart> = {}): TriggeredStart => ({
    ...{ tenant: "start", id: randomId("run"), target: { workflow, input: {}, tags: ["nightly"] } },
    ...{ user: "ada", startedBy: "schedule:night", bodyDigest: "d", traceparent: null },
    maker: { actor: "key:key_1", policies: [] },
    ...more,
  });

  test("begins the run once, as whose and by what it says, and finds it again", async () => {
    const start = wanted("t-wait");
    expect(await starter.start(start)).toEqual({ kind: "started", created: true, run: start.id });
    expect(await starter.start(start)).toEqual({ kind: "started", created: false, run: start.id });
    const shown = await send("GET", `/v1/runs/${start.id}`, { key: admin });
    expect(await expectAnswer<RunView>(shown, "getRun", 200)).toMatchObject({
      ...{ workflow: "t-wait", user: "ada", started_by: "schedule:night", tags: ["nightly"] },
    });
  });

  test.each([
    ["t-none", {}, "unknown_workflow"],
    ["t-approval", {}, "invalid_input"],
    ["t-wait", { maker: { actor: "key:key_1", policies: [{ workflows: ["t-chain-4"] }] } }, "policy_denied"],
    ["t-wait", { target: { workflow: "t-wait", version: "9", input: {}, tags: [] } }, "unknown_workflow"],
  ])("of %s under %j is refused, and leaves no run", async (workflow, more, code) => {
    const start = wanted(workflow, more);
    expect(await starter.start(start)).toMatchObject({ kind: "refused", code });
    await expectProblem(await send("GET", `/v1/runs/${start.id}`, { key: admin }), 404, "not_found");
  });

  test("is the maker's own: who made what started it decides nothing in it", async () => {
    const decider = await newKey(admin, { scopes: ["approvals:decide", "runs:read"] });
    const { id } = await expectAnswer<{ id: string }>(
      await send("GET", "/v1/keys?limit=1", { key: admin }),
      "listKeys",
      200,
    ).then((page) => (page as unknown as { data: { id: string }[] }).data[0] ?? { id: "" });
    const start = wanted("t-approval", {
      target: { workflow: "t-approval", input: { price: 1 }, tags: [] },
      maker: { actor: `key:${id}`, policies: [] },
    });
    expect(await starter.start(start)).toMatchObject({ kind: "started" });
    const decide = (key: string) =>
      send("POST", `/v1/approvals/${start.id}.ok.g1`, { key, body: { decision: "approved" } });
    await expectProblem(await decide(admin), 403, "approver_is_starter");
    // Nor a key that the maker made.
    await expectProblem(await decide(decider), 403, "approver_is_starter");
    const { key: second } = await expectAnswer<{ key: string }>(
      await send("POST", "/v1/tenants/start/keys", { key: env.ROOT_API_KEY ?? "", body: { name: "second" } }),
      "createAdminKey",
      201,
    );
    await expectAnswer(await decide(second), "decideApproval", 200);
  });

  test("that was begun is started, whatever speaks against it by now", async () => {
    const start = wanted("t-wait");
    await starter.start(start);
    const denied = { maker: { actor: "key:key_1", policies: [{ workflows: [] }] } };
    expect(await starter.start({ ...start, ...denied })).toMatchObject({ kind: "started", created: false });
    expect(await starter.start({ ...start, bodyDigest: "other" })).toMatchObject({
      ...{ kind: "refused", code: "idempotency_mismatch" },
    });
  });
});
