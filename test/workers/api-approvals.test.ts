/** Approvals by the API: who may decide, once, and never who made the run. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { ApprovalView, RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";

let admin = "";
let starter = "";
let approver = "";
beforeAll(async () => {
  admin = await newTenant("approve");
  starter = await newKey(admin, { scopes: ["*"] });
  approver = await newKey(admin, { scopes: ["runs:read", "outputs:read", "approvals:decide"] });
});

const WAIT = { prefer: "wait=20" };

async function start(body: unknown = { workflow: "t-approval", input: { price: 7 } }): Promise<RunView> {
  return expectAnswer<RunView>(await send("POST", "/v1/runs", { key: starter, body }), "startRun", 202);
}

async function pending(run: string, key = approver): Promise<readonly ApprovalView[]> {
  const answer = await send("GET", `/v1/runs/${run}/approvals`, { key });
  return (await expectAnswer<{ data: ApprovalView[] }>(answer, "listApprovals", 200)).data;
}

const decide = (id: string, body: unknown, key = approver) =>
  send("POST", `/v1/approvals/${id}`, { key, body });
const look = async (run: string) =>
  expectAnswer<RunView>(
    await send("GET", `/v1/runs/${run}`, { key: approver, headers: WAIT }),
    "getRun",
    200,
  );

describe("an approval", () => {
  test("is listed while it is pending, with what the engine knows and the author's words apart", async () => {
    const run = await start();
    const [one] = await pending(run.id);
    expect(one).toMatchObject({
      id: `${run.id}.ok.g1`,
      run: run.id,
      workflow: "t-approval",
      step: "ok",
      item: null,
      text: "Pay 7 <b>now</b>?",
      status: "pending",
      digest: null,
      decided: null,
    });
    expect(one?.expires_at).toBe((one?.asked_at ?? 0) + 3_600_000);
    expect(run.steps[0]).toMatchObject({ status: "waiting", awaits_approval: `${run.id}.ok.g1` });
  });

  test("that is approved lets the run go on, with who decided as the step's output", async () => {
    const { id } = await start();
    const answer = await decide(`${id}.ok.g1`, { decision: "approved", note: "fine" });
    const { applied, approval } = await expectAnswer<{ applied: boolean; approval: ApprovalView }>(
      answer,
      "decideApproval",
      200,
    );
    expect([applied, approval.status, approval.decided?.note]).toEqual([true, "approved", "fine"]);
    const run = await look(id);
    expect(run).toMatchObject({ status: "succeeded" });
    expect(run.output).toMatchObject({
      value: { decision: "approved", by: approval.decided?.by, note: "fine" },
    });
    expect(approval.decided?.by).toMatch(/^key:key_/);
    expect(await pending(id)).toEqual([]);
  });

  test("that is denied fails the run with `denied`", async () => {
    const { id } = await start();
    await expectAnswer(await decide(`${id}.ok.g1`, { decision: "denied" }), "decideApproval", 200);
    expect((await look(id)).failure).toMatchObject({ code: "denied", step: "ok" });
  });

  test("is decided once: the second decision is answered with the first, also after the end", async () => {
    const { id } = await start();
    await expectAnswer(await decide(`${id}.ok.g1`, { decision: "denied" }), "decideApproval", 200);
    await look(id);
    const second = await decide(`${id}.ok.g1`, { decision: "approved" }, admin);
    const { applied, approval } = await expectAnswer<{ applied: boolean; approval: ApprovalView }>(
      second,
      "decideApproval",
      200,
    );
    expect([applied, approval.status]).toEqual([false, "denied"]);
    expect((await look(id)).status).toBe("failed");
  });

  test("of two decisions at once one is applied", async () => {
    const { id } = await start();
    const answers = await Promise.all(
      ["approved", "denied", "denied"].map(async (decision) => {
        const answer = await decide(`${id}.ok.g1`, { decision });
        return expectAnswer<{ applied: boolean; approval: ApprovalView }>(answer, "decideApproval", 200);
      }),
    );
    expect(answers.filter(({ applied }) => applied)).toHaveLength(1);
    expect(new Set(answers.map(({ approval }) => approval.status)).size).toBe(1);
  });
});

describe("who may decide", () => {
  test("is never the key that started the run, in person or by a link of its own", async () => {
    const { id } = await start();
    const approval = `${id}.ok.g1`;
    await expectProblem(
      await decide(approval, { decision: "approved" }, starter),
      403,
      "approver_is_starter",
    );
    const link = await send("POST", `/v1/approvals/${approval}/links`, { key: starter, body: {} });
    await expectProblem(link, 403, "approver_is_starter");
    expect(await pending(id)).toHaveLength(1);
  });

  test("is never a key that appended to the run", async () => {
    const steps = { ok: { action: "wait", with: { approval: "Go on?" } } };
    const { id } = await start({ open: true, steps });
    const more = { more: { action: "transform", with: { value: 1 } } };
    const helper = await newKey(admin, {});
    const appended = await send("POST", `/v1/runs/${id}/steps`, { key: helper, body: { steps: more } });
    await expectAnswer(appended, "appendSteps", 202);
    await expectProblem(
      await decide(`${id}.ok.g1`, { decision: "approved" }, helper),
      403,
      "approver_is_starter",
    );
    await expectAnswer(await decide(`${id}.ok.g1`, { decision: "approved" }), "decideApproval", 200);
  });

  test("is never who answers for the hook, the schedule or the event that started the run, nor who had it started by hand", async () => {
    const helper = await newKey(admin, {});
    const input = { price: 7 };
    const scheme = { type: "github" };
    const hook = { name: "asks", workflow: "t-approval", scheme, secret: "a-secret-of-the-asking" };
    await expectAnswer(await send("POST", "/v1/hooks", { key: starter, body: hook }), "createHook", 201);
    const test = await send("POST", "/v1/hooks/asks/test", {
      key: helper,
      body: { body: input, start: true },
    });
    const delivered = await expectAnswer<{ run: string }>(test, "testHook", 200);
    const timing = { kind: "interval", every_ms: 86_400_000, anchor: Date.now() };
    const schedule = { timing, workflow: "t-approval", input };
    const put = await send("PUT", "/v1/schedules/asks", { key: starter, body: schedule });
    await expectAnswer(put, "putSchedule", 201);
    const hand = await send("POST", "/v1/schedules/asks/trigger", { key: helper });
    const triggered = await expectAnswer<{ run: string }>(hand, "triggerSchedule", 202);
    const plan = { on: [{ event: "asks" }], steps: { ok: { action: "wait", with: { approval: "Go on?" } } } };
    expect((await send("PUT", "/v1/workflows/asks", { key: admin, body: plan })).status).toBe(201);
    const event = await send("POST", "/v1/events", { key: starter, body: { name: "asks", id: "e-1" } });
    await expectAnswer(event, "postEvent", 202);
    const posted = await vi.waitFor(async () => {
      const seen = await send("GET", "/v1/events/asks/e-1", { key: starter });
      const { runs } = await expectAnswer<{ runs: { run: string }[] }>(seen, "getEvent", 200);
      expect(runs).toHaveLength(1);
      return { run: runs[0]?.run ?? "" };
    });
    const child = await newKey(starter, { scopes: ["approvals:decide", "runs:read"] });
    // Another one answers for the hook by now, and who gave it its secret still knows that.
    const { name: _, secret: __, ...changed } = hook;
    const keeper = await newKey(admin, {});
    const taken = await send("PUT", "/v1/hooks/asks", { key: keeper, body: changed });
    await expectAnswer(taken, "putHook", 200);
    const again = await send("POST", "/v1/hooks/asks/test", {
      ...{ key: helper, body: { body: { ...input, again: 1 }, start: true } },
    });
    const sent = await expectAnswer<{ run: string }>(again, "testHook", 200);
    for (const [run, makers] of [
      [sent.run, [keeper, starter, helper]],
      [delivered.run, [starter, helper, child]],
      [triggered.run, [starter, helper, child]],
      [posted.run, [starter, child]],
    ] as const) {
      await vi.waitFor(async () => {
        expect(await pending(run)).toHaveLength(1);
      });
      for (const key of makers) {
        const decided = await decide(`${run}.ok.g1`, { decision: "approved" }, key);
        await expectProblem(decided, 403, "approver_is_starter");
      }
      await expectAnswer(await decide(`${run}.ok.g1`, { decision: "approved" }), "decideApproval", 200);
    }
  });

  test("is never a key that the starter has made, at whatever distance, in person or by a link", async () => {
    const { id } = await start();
    const approval = `${id}.ok.g1`;
    const scopes = ["approvals:decide", "runs:read"];
    const made = await newKey(starter, { scopes: [...scopes, "keys:write"] });
    const second = await newKey(made, { scopes });
    for (const key of [made, second]) {
      await expectProblem(await decide(approval, { decision: "approved" }, key), 403, "approver_is_starter");
      const link = await send("POST", `/v1/approvals/${approval}/links`, { key, body: {} });
      await expectProblem(link, 403, "approver_is_starter");
    }
    expect((await pending(id))[0]?.status).toBe("pending");
    // Who made the starter, and what that one made beside it, are somebody else.
    await expectAnswer(await decide(approval, { decision: "approved" }, admin), "decideApproval", 200);
  });

  test("is never a key that was made by so many others that nobody can tell from whom it comes", async () => {
    const { id } = await start();
    const hidden = await newKey(admin, { scopes: ["approvals:decide", "runs:read"], name: "hidden" });
    const { results } = await env.DB.prepare(
      "SELECT id, created_by FROM api_keys WHERE name = 'hidden'",
    ).all();
    const [row] = results;
    await env.DB.batch(
      Array.from({ length: 256 }, (_, i) =>
        env.DB.prepare(
          `INSERT INTO api_keys SELECT ?1, tenant, 'link', printf('%064x', ?2), prefix, last4, scopes, user, policies, ?3,
             created_at, expires_at, revoked_at, last_used_at FROM api_keys WHERE id = ?4`,
        ).bind(`key_far${i}`, i, i === 0 ? row?.["created_by"] : `key:key_far${i - 1}`, row?.["id"]),
      ),
    );
    await env.DB.prepare("UPDATE api_keys SET created_by = 'key:key_far255' WHERE id = ?")
      .bind(row?.["id"])
      .run();
    await expectProblem(
      await decide(`${id}.ok.g1`, { decision: "approved" }, hidden),
      403,
      "approver_is_starter",
    );
    await env.DB.prepare("UPDATE api_keys SET created_by = 'key:key_far200' WHERE id = ?")
      .bind(row?.["id"])
      .run();
    await expectAnswer(await decide(`${id}.ok.g1`, { decision: "approved" }, hidden), "decideApproval", 200);
  });

  test("is nobody by a signal, not even in an open run", async () => {
    const steps = { ok: { action: "wait", with: { approval: "Go on?" } } };
    const { id } = await start({ open: true, steps });
    const body = { payload: { decision: "approved" } };
    await send("POST", `/v1/runs/${id}/signals/ok`, { key: starter, body });
    expect(await pending(id)).toHaveLength(1);
  });

  test("needs the scope, and the tenant", async () => {
    const { id } = await start();
    const reader = await newKey(admin, { scopes: ["runs:*", "outputs:read"] });
    await expectProblem(
      await decide(`${id}.ok.g1`, { decision: "approved" }, reader),
      403,
      "insufficient_scope",
    );
    const stranger = await newTenant("approve-2");
    await expectProblem(await decide(`${id}.ok.g1`, { decision: "approved" }, stranger), 404, "not_found");
    await expectProblem(await send("GET", `/v1/approvals/${id}.ok.g1`, { key: stranger }), 404, "not_found");
    await expectProblem(await send("GET", `/v1/runs/${id}/approvals`, { key: stranger }), 404, "not_found");
  });

  test("a key without outputs:read sees that something waits, and not the author's words", async () => {
    const { id } = await start();
    const blind = await newKey(admin, { scopes: ["runs:read"] });
    expect((await pending(id, blind))[0]).toMatchObject({ status: "pending", text: null });
    const events = await send("GET", `/v1/runs/${id}/events`, { key: blind });
    expect(await events.text()).not.toContain("Pay 7");
  });
});

describe("an approval that is not there", () => {
  test.each(["nonsense", "run_x.ok.g1"])("%s is not found", async (id) => {
    await expectProblem(await decide(id, { decision: "approved" }), 404, "not_found");
  });

  test("in this generation, step or item is not found", async () => {
    const { id } = await start();
    for (const of of ["ok.g2", "ok.i0.g1", "ok.r1.g1", "no.g1"])
      await expectProblem(await decide(`${id}.${of}`, { decision: "approved" }), 404, "not_found");
  });

  test("any more because its step was cancelled is a conflict, and it reads as closed", async () => {
    const { id } = await start();
    await send("POST", `/v1/runs/${id}/cancel`, { key: starter, body: { mode: "immediate" }, headers: WAIT });
    const late = await decide(`${id}.ok.g1`, { decision: "approved" });
    await expectProblem(late, 409, "not_waiting_for_approval");
    const seen = await send("GET", `/v1/approvals/${id}.ok.g1`, { key: approver });
    expect((await expectAnswer<ApprovalView>(seen, "getApproval", 200)).status).toBe("closed");
    const link = await send("POST", `/v1/approvals/${id}.ok.g1/links`, { key: approver });
    await expectProblem(link, 409, "not_waiting_for_approval");
  });

  test.each([
    [{ decision: "maybe" }, "/decision"],
    [{}, "/decision"],
    [{ decision: "approved", note: "" }, "/note"],
    [{ decision: "approved", note: "a\u0000b" }, "/note"],
    [{ decision: "approved", by: "key:other" }, "/by"],
  ])("is not decided by %j", async (body, pointer) => {
    const { id } = await start();
    const { errors } = await expectProblem(await decide(`${id}.ok.g1`, body), 400, "invalid_request");
    expect(errors?.[0]?.pointer).toBe(pointer);
  });
});
