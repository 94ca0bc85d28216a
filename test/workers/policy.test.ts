/** Attacks on the Worker as it is deployed: data of one place shall not get to another, whichever way it is tried. */
import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TENANT_EFFECTIVE_MS } from "../../src/access/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { arrived, fault } from "./run-support.ts";

const SKYLINE = "https://api.skyline.example";
/** Somebody else's service: it is there, and the referee would see what comes. */
const FOREIGN = "https://api.harbour.example/reservations";
const HOME = { hosts: [{ host: "api.skyline.example" }] };

let tenants = 0;
let admin = "";
beforeAll(async () => {
  admin = await newTenant("policy");
});

/** Names what a test sends, for the referee. */
let reference = "";
beforeEach(() => {
  reference = crypto.randomUUID();
});

async function tenantUnder(policy: unknown): Promise<string> {
  tenants += 1;
  const key = await newTenant(`policy-${tenants}`);
  await put(key, policy);
  return key;
}

async function put(key: string, body: unknown): Promise<{ effective_by: number; updated_at: number }> {
  return expectAnswer(await send("PUT", "/v1/policy", { key, body }), "putPolicy", 200);
}

function agentKey(maker: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const scopes = ["runs:read", "runs:write", "outputs:read"];
  return newKey(maker, { user: "ada", scopes, expires_at: Date.now() + 600_000, ...more });
}

function get(url: string, more: Readonly<Record<string, unknown>> = {}) {
  const auth = url.startsWith(SKYLINE) ? { auth: { bearer: "SKYLINE_TOKEN" } } : {};
  const parameters = { method: "GET", url, headers: { "x-reference": reference }, ...auth, ...more };
  return { action: "http", with: parameters, retry: { attempts: 1 } };
}

function begin(key: string, body: unknown): Promise<Response> {
  return send("POST", "/v1/runs", { key, body, headers: { prefer: "wait=20" } });
}

function inline(key: string, steps: unknown): Promise<Response> {
  return send("POST", "/v1/runs", { key, body: { open: true, steps } });
}

async function opened(key: string): Promise<RunView> {
  const answer = await send("POST", "/v1/runs", { key, body: { open: true } });
  return expectAnswer<RunView>(answer, "startRun", 202);
}

function append(key: string, run: string, steps: unknown): Promise<Response> {
  return send("POST", `/v1/runs/${run}/steps`, { key, body: { steps }, headers: { prefer: "wait=20" } });
}

interface Appended {
  readonly steps: RunView["steps"];
}

async function settled(response: Response): Promise<RunView["steps"][number]> {
  const { steps } = await expectAnswer<Appended>(response, "appendSteps", 200);
  const [step] = steps;
  if (step === undefined) throw new Error("no step");
  return step;
}

async function ended(response: Response): Promise<RunView> {
  return expectAnswer<RunView>(response, "startRun", 200);
}

const DENIED = { code: "policy_denied", retryable: false };

describe("the output of one step does not get to a foreign host", () => {
  test("the referee sees what an allowed request sends, so that what it does not see was not sent", async () => {
    const run = await ended(await begin(admin, { workflow: "t-send", input: { url: FOREIGN } }));
    expect((await arrived(run.id)).length).toBeGreaterThan(0);
  });

  test("by a step of a start: refused with its place, and with what is allowed", async () => {
    const key = await tenantUnder(HOME);
    const problem = await expectProblem(await inline(key, { leak: get(FOREIGN) }), 403, "policy_denied");
    expect(problem.errors).toEqual([
      { pointer: "/steps/leak/with/url", code: "policy_denied", detail: expect.any(String) },
    ]);
    expect(problem.detail).toContain("api.skyline.example");
    expect(await arrived(reference)).toEqual([]);
  });

  test("by a verify or a compensate: refused as well, and all at once", async () => {
    const key = await tenantUnder(HOME);
    const book = {
      action: "http",
      with: { method: "POST", url: `${SKYLINE}/bookings`, json: {} },
      verify: get(FOREIGN),
      compensate: { action: "http", with: { method: "DELETE", url: FOREIGN } },
    };
    const problem = await expectProblem(
      await inline(key, { book, leak: get(FOREIGN) }),
      403,
      "policy_denied",
    );
    expect(problem.errors?.map(({ pointer }) => pointer).toSorted()).toEqual([
      "/steps/book/compensate/with/url",
      "/steps/book/verify/with/url",
      "/steps/leak/with/url",
    ]);
  });

  test("by an appended step: refused, and the run is as it was", async () => {
    const key = await tenantUnder(HOME);
    const run = await opened(key);
    const problem = await expectProblem(
      await append(key, run.id, { leak: get(FOREIGN) }),
      403,
      "policy_denied",
    );
    expect(problem.errors?.[0]?.pointer).toBe("/steps/leak/with/url");
    const seen = await expectAnswer<RunView>(await send("GET", `/v1/runs/${run.id}`, { key }), "getRun", 200);
    expect(seen.revision).toBe(run.revision);
    expect(await arrived(reference)).toEqual([]);
  });

  test.each(["t-send", "t-fetch"])(
    "by an address that %s takes from its input: not sent, not tried again",
    async (workflow) => {
      const key = await tenantUnder(HOME);
      const run = await ended(await begin(key, { workflow, input: { url: FOREIGN } }));
      expect(run).toMatchObject({ status: "failed", failure: DENIED });
      expect(run.steps[0]).toMatchObject({ outcome: "not_done", attempts: 1, failure: DENIED });
      expect(await arrived(run.id)).toEqual([]);
    },
  );

  test.each([301, 302, 303, 307, 308])("by a redirect with %i: not followed", async (status) => {
    const key = await tenantUnder(HOME);
    await fault(reference, { fault: { kind: "redirect", status, to: `${FOREIGN}?x=secret` } });
    const { steps } = await settledRun(await inline(key, { look: get(`${SKYLINE}/bookings`) }), key, "look");
    expect(steps[0]).toMatchObject({ status: "failed", outcome: "not_done", attempts: 1, failure: DENIED });
    expect(await arrived(reference)).toHaveLength(1);
  });

  test.each([
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Host",
  ])("by the header %s, which would make another request of it", async (header) => {
    const step = get(`${SKYLINE}/bookings`, { headers: { [header]: "DELETE" } });
    const problem = await expectProblem(await inline(admin, { look: step }), 422, "bad_graph");
    expect(problem.errors?.[0]?.pointer).toBe(`/steps/look/with/headers/${header}`);
  });

  test.each([
    "/bookings/..%2Fseats",
    "/bookings/%2e%2e/seats",
    "/bookings//seats",
    "/bookings/..;/seats",
    "/BOOKINGS/1",
    "/bookingsX/1",
  ])("by the path %s, where a rule opens /bookings/* alone", async (path) => {
    const key = await tenantUnder({ hosts: [{ host: "api.skyline.example", paths: ["/bookings/*"] }] });
    const run = await ended(await begin(key, { workflow: "t-send", input: { url: SKYLINE + path } }));
    expect(run.failure).toMatchObject(DENIED);
    expect(await arrived(run.id)).toEqual([]);
  });
});

/** An open run does not end by itself: waits for its step. */
async function settledRun(response: Response, key: string, name: string): Promise<RunView> {
  let run = await expectAnswer<RunView>(response, "startRun", 202);
  while (run.steps.find((step) => step.name === name)?.outcome === null) {
    const headers = { "if-none-match": `"r-${run.seq}"`, prefer: "wait=20" };
    run = await expectAnswer<RunView>(
      await send("GET", `/v1/runs/${run.id}`, { key, headers }),
      "getRun",
      200,
    );
  }
  return run;
}

describe("keys", () => {
  const FETCH = { workflow: "t-fetch", input: { url: FOREIGN } };

  test("a key makes no wider one: the policies of its makers bind what it makes", async () => {
    const narrow = await newKey(admin, { policy: HOME });
    const wide = await newKey(narrow, { policy: { hosts: [{ host: "*" }] } });
    await expectProblem(await inline(wide, { leak: get(FOREIGN) }), 403, "policy_denied");
    const run = await ended(await begin(wide, FETCH));
    expect(run.failure).toMatchObject(DENIED);
    expect(await arrived(run.id)).toEqual([]);
  });

  test("a key that writes the tenant's policy does not get out of its own", async () => {
    const root = await tenantUnder({});
    const narrow = await newKey(root, { policy: HOME });
    await put(narrow, { hosts: [{ host: "*" }] });
    expect((await ended(await begin(narrow, FETCH))).failure).toMatchObject(DENIED);
  });

  test("a key shows the policies that it stands under, to itself as well", async () => {
    const made = await send("POST", "/v1/keys", {
      key: await newKey(admin, { policy: HOME }),
      body: { name: "k", scopes: ["runs:read"], policy: { inline: false } },
    });
    const { id, key } = await expectAnswer<{ id: string; key: string }>(made, "createKey", 201);
    const shown = await expectAnswer(await send("GET", `/v1/keys/${id}`, { key }), "getKey", 200);
    expect(shown).toMatchObject({ policies: [HOME, { inline: false }] });
  });

  test("a policy that does not fit is refused with its place", async () => {
    const body = { name: "k", scopes: ["runs:read"], policy: { hosts: [{ host: "*.com" }], hots: [] } };
    const problem = await expectProblem(
      await send("POST", "/v1/keys", { key: admin, body }),
      400,
      "invalid_request",
    );
    expect(problem.errors?.map(({ pointer }) => pointer).toSorted()).toEqual([
      "/policy/hosts/0/host",
      "/policy/hots",
    ]);
  });

  test("a key bound to a user reaches nothing that no policy names, by a plan or by code", async () => {
    const key = await agentKey(admin);
    await expectProblem(await inline(key, { look: get(`${SKYLINE}/bookings`) }), 403, "policy_denied");
    const run = await ended(await begin(key, { workflow: "t-fetch", input: { url: `${SKYLINE}/bookings` } }));
    expect(run.failure).toMatchObject(DENIED);
    expect(await arrived(run.id)).toEqual([]);
  });

  test("a key bound to a user reaches what its policy names, and what the tenant's names", async () => {
    const input = { url: `${SKYLINE}/bookings` };
    const own = await agentKey(admin, { policy: HOME });
    const tenants = await agentKey(await tenantUnder(HOME));
    for (const key of [own, tenants]) {
      const run = await ended(await begin(key, { workflow: "t-fetch", input }));
      expect(run.status).toBe("succeeded");
      expect(await arrived(run.id)).toHaveLength(1);
    }
  });

  test("a run goes on under the policies of the key that started it, whoever appends", async () => {
    const agent = await agentKey(admin, { policy: HOME });
    const run = await opened(agent);
    const step = await settled(await append(admin, run.id, { leak: get(FOREIGN) }));
    expect(step).toMatchObject({ status: "failed", attempts: 1, failure: DENIED });
    expect(await arrived(reference)).toEqual([]);
  });

  test("a step is bound by the policies of the key that appended it as well, also when it is redirected", async () => {
    const run = await opened(admin);
    const helper = await newKey(admin, { policy: HOME });
    await fault(reference, { fault: { kind: "redirect", to: FOREIGN } });
    const step = await settled(await append(helper, run.id, { look: get(`${SKYLINE}/bookings`) }));
    expect(step.failure).toMatchObject(DENIED);
    expect(step.failure?.message).toContain("that appended the step");
    expect(await arrived(reference)).toHaveLength(1);
  });

  test("a step that is sent again by another key, or under another policy, is the same step", async () => {
    const key = await tenantUnder({});
    const run = await opened(key);
    const steps = { look: get(`${SKYLINE}/bookings`) };
    await settled(await append(key, run.id, steps));
    await settled(await append(await newKey(key, { policy: HOME }), run.id, steps));
    await put(key, { hosts: [{ host: "*", approval: "always" }] });
    await settled(await append(key, run.id, steps));
    expect(await arrived(reference)).toHaveLength(1);
  });

  test("a user that the key may not name is refused before any policy is asked", async () => {
    const plain = await newKey(admin, { scopes: ["runs:write"] });
    for (const key of [plain, await agentKey(admin, { policy: HOME })])
      await expectProblem(await begin(key, { open: true, user: "bob" }), 403, "user_wider");
  });
});

describe("what may be started", () => {
  test("only the workflows that are named, and no steps as JSON", async () => {
    const key = await newKey(admin, { policy: { workflows: ["t-chain-4"] } });
    expect((await ended(await begin(key, { workflow: "t-chain-4" }))).status).toBe("succeeded");
    const other = await expectProblem(await begin(key, { workflow: "t-wait" }), 403, "policy_denied");
    expect(other.errors?.[0]?.pointer).toBe("/workflow");
    await expectProblem(await inline(key, {}), 403, "policy_denied");
    const open = await send("POST", "/v1/runs", { key, body: { workflow: "t-chain-4", open: true } });
    const run = await expectAnswer<RunView>(open, "startRun", 202);
    const more = { more: { action: "transform", with: { value: 1 } } };
    await expectProblem(await append(key, run.id, more), 403, "policy_denied");
  });
});

describe("an approval that a policy asks for", () => {
  const policy = { hosts: [{ host: "api.skyline.example", approval: "writes" }] };

  test.each(["t-send", "t-fetch"])("stops what %s sends without one", async (workflow) => {
    const key = await tenantUnder(policy);
    const run = await ended(await begin(key, { workflow, input: { url: `${SKYLINE}/bookings` } }));
    expect(run.failure).toMatchObject({ code: "approval_required", retryable: false });
    expect(run.steps[0]).toMatchObject({ outcome: "not_done", attempts: 1 });
    expect(await arrived(run.id)).toEqual([]);
  });

  test("does not stop what only reads", async () => {
    const key = await tenantUnder(policy);
    const step = { look: get(`${SKYLINE}/bookings`) };
    const { steps } = await settledRun(await inline(key, step), key, "look");
    expect(steps[0]).toMatchObject({ status: "succeeded" });
  });

  test("is not given to the host that a redirect leads to", async () => {
    const key = await tenantUnder({
      hosts: [{ host: "api.skyline.example" }, { host: "api.harbour.example", approval: "always" }],
    });
    await fault(reference, { fault: { kind: "redirect", to: FOREIGN } });
    const { steps } = await settledRun(await inline(key, { look: get(`${SKYLINE}/bookings`) }), key, "look");
    expect(steps[0]?.failure).toMatchObject({ code: "approval_required" });
    expect(await arrived(reference)).toHaveLength(1);
  });
});

describe("the tenant's policy", () => {
  test("is none at first, and then what was put, with when it is in force", async () => {
    const key = await newTenant("policy-fresh");
    const read = async () => expectAnswer(await send("GET", "/v1/policy", { key }), "getPolicy", 200);
    expect(await read()).toEqual({ policy: null, updated_at: null, updated_by: null });
    const { effective_by, updated_at } = await put(key, HOME);
    expect(effective_by).toBe(updated_at + TENANT_EFFECTIVE_MS);
    expect(await read()).toMatchObject({
      policy: HOME,
      updated_at,
      updated_by: expect.stringMatching(/^key:/),
    });
    await put(key, {});
    expect(await read()).toMatchObject({ policy: {} });
  });

  test("binds runs that go on: what was allowed at the start is judged anew when it is sent", async () => {
    const key = await tenantUnder(HOME);
    const started = await send("POST", "/v1/runs", { key, body: { workflow: "t-later" } });
    const { id } = await expectAnswer<RunView>(started, "startRun", 202);
    await put(key, { hosts: [] });
    await expectAnswer(await send("POST", `/v1/runs/${id}/signals/go`, { key }), "sendSignal", 200);
    const headers = { prefer: "wait=20" };
    const run = await expectAnswer<RunView>(
      await send("GET", `/v1/runs/${id}`, { key, headers }),
      "getRun",
      200,
    );
    expect(run.failure).toMatchObject(DENIED);
    expect(await arrived(id)).toEqual([]);
  });

  test("is that of the tenant alone", async () => {
    await tenantUnder({ hosts: [], workflows: [] });
    const other = await newTenant("policy-other");
    const run = await ended(await begin(other, { workflow: "t-send", input: { url: FOREIGN } }));
    expect((await arrived(run.id)).length).toBeGreaterThan(0);
  });

  test("stands in the audit, whole, with who put it", async () => {
    const key = await tenantUnder(HOME);
    const { updated_by } = await expectAnswer<{ updated_by: string }>(
      await send("GET", "/v1/policy", { key }),
      "getPolicy",
      200,
    );
    const query =
      "SELECT action, outcome, detail FROM access_audit WHERE actor = ? AND action = 'policy.put'";
    const { results } = await env.DB.prepare(query)
      .bind(updated_by)
      .all<{ detail: string; outcome: string }>();
    expect(results).toHaveLength(1);
    expect(JSON.parse((JSON.parse(results[0]?.detail ?? "") as { policy: string }).policy)).toEqual(HOME);
  });

  test("is refused where it does not fit, and nothing changes", async () => {
    const key = await tenantUnder(HOME);
    const body = { hosts: [{ host: "API.example.com" }], inlines: true };
    const problem = await expectProblem(
      await send("PUT", "/v1/policy", { key, body }),
      400,
      "invalid_request",
    );
    expect(problem.errors?.map(({ pointer }) => pointer).toSorted()).toEqual(["/hosts/0/host", "/inlines"]);
    expect(await expectAnswer(await send("GET", "/v1/policy", { key }), "getPolicy", 200)).toMatchObject({
      policy: HOME,
    });
  });
});
