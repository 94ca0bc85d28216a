/** Deliveries over HTTP, to the whole Worker: what becomes of them, and what those get who should get nothing. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { ConnectionRpc } from "../../src/connections/index.ts";
import { connectionIdOf, fromBase64, importHmacKey } from "../../src/platform/index.ts";
import { makeDelivery, type SchemeSettings } from "../../src/triggers/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, ORIGIN, send } from "./api-support.ts";

const TENANT = "hook-door";
const SECRET = "a-secret-of-the-door-1";
const GITHUB: SchemeSettings = { scheme: "github" };
const PLAN = {
  input: { type: "object" },
  steps: { one: { action: "transform", with: { value: "${{ input }}" } } },
  output: "${{ steps.one.output }}",
};

let admin = "";
beforeAll(async () => {
  admin = await newTenant(TENANT);
  const stored = await send("PUT", "/v1/workflows/echo", { key: admin, body: PLAN });
  if (stored.status !== 201) throw new Error(await stored.text());
});
afterEach(() => {
  vi.useRealTimers();
});

interface Line {
  readonly id: string;
  readonly outcome: string;
  readonly code: string | null;
  readonly detail: string | null;
  readonly run: string | null;
  readonly by: string | null;
  readonly kept: boolean;
}

async function hook(name: string, more: object = {}, key = admin): Promise<{ id: string; etag: string }> {
  const body = { name, workflow: "echo", scheme: { type: "github" }, secret: SECRET, ...more };
  const made = await send("POST", "/v1/hooks", { key, body });
  const etag = made.headers.get("etag") ?? "";
  return { ...(await expectAnswer<{ id: string }>(made, "createHook", 201)), etag };
}

interface Sent {
  readonly id: string;
  readonly body?: string;
  readonly event?: string;
  readonly secret?: string;
  readonly scheme?: SchemeSettings;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tenant?: string;
}

async function deliver(name: string, sent: Sent): Promise<Response> {
  const { id, body = '{"n":1}', event = "push", secret = SECRET, scheme = GITHUB, tenant = TENANT } = sent;
  const draft = { id, event, sentAt: Date.now(), body: new TextEncoder().encode(body) };
  const signed = await makeDelivery(scheme, draft, secret);
  const headers = { "content-type": "application/json", ...signed, ...sent.headers };
  return exports.default.fetch(
    new Request(`${ORIGIN}/hooks/${tenant}/${name}`, { method: "POST", body, headers }),
  );
}

/** The log, once it has so many lines: it is told beside the answers. */
async function linesOf(name: string, count: number): Promise<readonly Line[]> {
  return vi.waitFor(async () => {
    const answer = await send("GET", `/v1/hooks/${name}/deliveries`, { key: admin });
    const { data } = await expectAnswer<{ data: Line[] }>(answer, "listHookDeliveries", 200);
    expect(data).toHaveLength(count);
    return data;
  });
}

async function ended(run: string | null): Promise<RunView> {
  const answer = await send("GET", `/v1/runs/${run ?? ""}`, { key: admin, headers: { prefer: "wait=10" } });
  return expectAnswer<RunView>(answer, "getRun", 200);
}

/** What who has no business here sees: all of it but the id of the request. */
async function seen(response: Response): Promise<unknown> {
  const headers = [...response.headers].filter(([name]) => name !== "x-request-id");
  const { instance: _, request_id: __, ...body } = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers, body };
}

describe("a delivery", () => {
  it("starts one run, however often it comes, and the log says which", async () => {
    await hook("first", { filter: "input.event == 'push'", input: { n: "${{ input.body.n }}" } });
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map(async (n) => deliver("first", { id: "d-1", body: `{"n":1,"copy":${n}}` })),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
    const lines = await linesOf("first", 5);
    expect(new Set(lines.map(({ run }) => run)).size).toBe(1);
    expect(lines.map(({ outcome }) => outcome).toSorted()).toEqual(
      ["accepted", ...Array.from({ length: 4 }, () => "duplicate")].toSorted(),
    );
    const run = await ended(lines[0]?.run ?? null);
    expect(run).toMatchObject({ workflow: "echo", status: "succeeded", output: { value: { n: 1 } } });
    expect(run.started_by).toBe("hook:first");
    expect((await deliver("first", { id: "d-2", event: "issues" })).status).toBe(202);
    expect((await linesOf("first", 6))[0]).toMatchObject({ outcome: "filtered", run: null, kept: true });
  });

  it("that asks whether somebody is there is answered, and starts nothing", async () => {
    await hook("ping");
    const answer = await deliver("ping", { id: "d-1", event: "ping" });
    expect([answer.status, await answer.text()]).toEqual([200, "pong"]);
    expect((await linesOf("ping", 1))[0]).toMatchObject({ outcome: "handshake", run: null });
  });

  it("that is no input of the workflow, or whose workflow is gone, is failed, and can be delivered anew when it is mended", async () => {
    await hook("mended", { input: "${{ input.body.list }}" });
    expect((await deliver("mended", { id: "d-1", body: '{"list":[1],"n":7}' })).status).toBe(202);
    const [failed] = await linesOf("mended", 1);
    expect(failed).toMatchObject({ outcome: "failed", code: "start_refused", kept: true, run: null });
    expect(failed?.detail).toContain("invalid_input");
    const body = { workflow: "echo", scheme: { type: "github" }, input: { n: "${{ input.body.n }}" } };
    const put = await send("PUT", "/v1/hooks/mended", { key: admin, body });
    await expectAnswer(put, "putHook", 200);
    const again = async (number: number): Promise<string | null> => {
      const path = `/v1/hooks/mended/deliveries/${failed?.id}/redeliver`;
      const answer = await send("POST", path, { key: admin, body: { number } });
      return (await expectAnswer<Line>(answer, "redeliver", 200)).run;
    };
    const [first, second, third] = [await again(1), await again(1), await again(2)];
    expect(first).toBe(second);
    expect(third).not.toBe(first);
    expect(await ended(first)).toMatchObject({ status: "succeeded", output: { value: { n: 7 } } });
    expect((await linesOf("mended", 4)).map(({ outcome, kept }) => [outcome, kept])).toEqual([
      ["accepted", false],
      ["duplicate", false],
      ["accepted", false],
      ["failed", true],
    ]);
  });

  it("beyond the rate is held back, is not lost, and forged ones take nothing of it", async () => {
    await hook("rated", { rate: { per_minute: 1, burst: 2 } });
    for (let n = 0; n < 5; n += 1)
      expect((await deliver("rated", { id: `f-${n}`, secret: "not-the-secret-of-it" })).status).toBe(404);
    expect((await deliver("rated", { id: "d-1" })).status).toBe(202);
    expect((await deliver("rated", { id: "d-2" })).status).toBe(202);
    const held = await deliver("rated", { id: "d-3" });
    expect(held.status).toBe(429);
    expect(Number(held.headers.get("retry-after"))).toBeGreaterThan(50);
    expect((await linesOf("rated", 8)).filter(({ outcome }) => outcome === "limited")).toHaveLength(1);
  });
});

describe("who has no business at a hook", () => {
  it("learns nothing: all refusals are answered as an address at which there is nothing", async () => {
    await hook("closed", { paused: true });
    await hook("small", { max_body_bytes: 10 });
    const other = await newTenant("hook-door-other");
    await hook("theirs", { workflow: "t-wait", secret: "a-secret-of-the-others" }, other);
    const nothing = await seen(await send("POST", "/hooks-of-nobody", { raw: "{}" }));
    const attempts: Record<string, Response> = {
      "no hook": await deliver("absent", { id: "d" }),
      "no tenant": await deliver("closed", { id: "d", tenant: "nobody" }),
      "no name": await deliver("No%20Name", { id: "d" }),
      "the wrong secret": await deliver("closed", { id: "d", secret: "another-secret-1" }),
      "the right secret of another tenant's": await deliver("theirs", {
        id: "d",
        secret: "a-secret-of-the-others",
      }),
      "another tenant's hook": await deliver("theirs", { id: "d", tenant: "hook-door-other" }),
      "a paused one": await deliver("closed", { id: "d" }),
      "too much": await deliver("small", { id: "d", body: JSON.stringify("x".repeat(100)) }),
      "far too much": await deliver("small", { id: "d", body: "x".repeat(3_000_000) }),
      unsigned: await send("POST", `/hooks/${TENANT}/closed`, { raw: "{}" }),
      "a look": await send("GET", `/hooks/${TENANT}/closed`),
    };
    for (const [what, response] of Object.entries(attempts))
      expect([what, await seen(response)]).toEqual([what, nothing]);
    expect((await linesOf("closed", 3)).map(({ code }) => String(code)).toSorted()).toEqual([
      ...["paused", "signature_missing", "signature_wrong"],
    ]);
    expect((await linesOf("small", 2)).map(({ code }) => code)).toEqual(["body_too_large", "body_too_large"]);
  });

  it("cannot drive what is genuine out of the log, nor fill it", async () => {
    await hook("flooded");
    await deliver("flooded", { id: "d-1" });
    await linesOf("flooded", 1);
    for (let n = 0; n < 30; n += 1) await deliver("flooded", { id: `f-${n}`, secret: "another-secret-1" });
    const lines = await linesOf("flooded", 11);
    expect(lines.filter(({ outcome }) => outcome === "accepted")).toHaveLength(1);
  });

  it("cannot replay what was signed earlier, nor under another id where that is signed", async () => {
    const scheme: SchemeSettings = { scheme: "standard" };
    const secret = `whsec_${btoa("0123456789abcdef0123456789abcdef")}`;
    await hook("signed", { scheme: { type: "standard" }, secret });
    const body = '{"n":1}';
    const draft = { event: null, body: new TextEncoder().encode(body) };
    const old = await makeDelivery(scheme, { ...draft, id: "m-1", sentAt: Date.now() - 301_000 }, secret);
    const now = await makeDelivery(scheme, { ...draft, id: "m-2", sentAt: Date.now() }, secret);
    const post = async (headers: Record<string, string>, raw = body): Promise<number> =>
      (await send("POST", `/hooks/${TENANT}/signed`, { raw, headers })).status;
    expect(await post(old)).toBe(404);
    expect(await post({ ...now, "webhook-id": "m-3" })).toBe(404);
    expect(await post(now, '{"n":2}')).toBe(404);
    expect(await post(now)).toBe(202);
    expect(await post(now)).toBe(202);
    const lines = await linesOf("signed", 5);
    expect(lines.map(({ outcome, code }) => code ?? outcome).toReversed()).toEqual([
      ...["time_outside", "signature_wrong", "signature_wrong", "accepted", "duplicate"],
    ]);
  });
});

describe("whose runs they are", () => {
  it("they have the hook's user, and are found by the same id also after that changed", async () => {
    await hook("for-ada", { user: "ada" });
    await deliver("for-ada", { id: "d-1" });
    const body = { workflow: "echo", scheme: { type: "github" }, user: "bob" };
    await expectAnswer(await send("PUT", "/v1/hooks/for-ada", { key: admin, body }), "putHook", 200);
    await deliver("for-ada", { id: "d-1" });
    await deliver("for-ada", { id: "d-2" });
    const lines = await linesOf("for-ada", 3);
    const users = await Promise.all(lines.map(async ({ run }) => (await ended(run)).user));
    expect(users.map(String).toSorted()).toEqual(["ada", "ada", "bob"]);
    expect(lines.filter(({ outcome }) => outcome === "duplicate")).toHaveLength(1);
  });

  it("nobody makes a hook that can do what they cannot: start, name a user, mark connections, or what a policy forbids", async () => {
    const only = await newKey(admin, { scopes: ["hooks:*"] });
    const starter = await newKey(admin, { scopes: ["hooks:*", "runs:write"] });
    const bound = await newKey(admin, {
      scopes: ["hooks:*", "runs:write"],
      policy: { workflows: ["t-wait"] },
    });
    const body = { name: "wider", workflow: "echo", scheme: { type: "github" }, secret: SECRET };
    const make = async (key: string, more: object = {}): Promise<Response> =>
      send("POST", "/v1/hooks", { key, body: { ...body, ...more } });
    await expectProblem(await make(only), 403, "insufficient_scope");
    await expectProblem(await make(starter, { user: "ada" }), 403, "user_wider");
    await expectProblem(await make(starter, { revokes: "slack" }), 403, "insufficient_scope");
    await expectProblem(await make(bound), 403, "policy_denied");
    // A secret is as good as a hook: who adds one could start what it starts.
    await hook("for-eve", { user: "eve" });
    const add = (key: string) =>
      send("POST", "/v1/hooks/for-eve/secrets", { key, body: { secret: "mine-from-now-on-1" } });
    for (const [key, code] of [
      [await newKey(admin, { scopes: ["hooks:*", "runs:act_as"] }), "insufficient_scope"],
      [starter, "user_wider"],
    ] as const)
      await expectProblem(await add(key), 403, code);
  });

  it("they stand under the policies of who last changed the hook, and of who delivers anew", async () => {
    await hook("bound");
    const narrow = await newKey(admin, {
      scopes: ["hooks:*", "runs:write"],
      policy: { workflows: ["echo"] },
    });
    await expectAnswer(
      await send("POST", "/v1/hooks/bound/secrets", { key: narrow, body: { secret: "second-secret-of-it" } }),
      "addHookSecret",
      201,
    );
    const policy = { workflows: ["book-trip"] };
    await expectAnswer(await send("PUT", "/v1/policy", { key: admin, body: policy }), "putPolicy", 200);
    await deliver("bound", { id: "d-1" });
    expect((await linesOf("bound", 1))[0]).toMatchObject({ outcome: "failed", code: "start_refused" });
    await expectAnswer(await send("PUT", "/v1/policy", { key: admin, body: {} }), "putPolicy", 200);
    // Whoever could not start it does not start it by having it delivered anew, or as a test.
    const other = await newKey(admin, {
      scopes: ["hooks:*", "runs:write"],
      policy: { workflows: ["t-wait"] },
    });
    const [line] = await linesOf("bound", 1);
    const again = `/v1/hooks/bound/deliveries/${line?.id}/redeliver`;
    await expectProblem(await send("POST", again, { key: other, body: {} }), 403, "policy_denied");
    const trial = await send("POST", "/v1/hooks/bound/test", { key: other, body: { start: true } });
    await expectProblem(trial, 403, "policy_denied");
    const shown = await send("GET", "/v1/hooks/bound", { key: admin });
    const { answers } = await expectAnswer<{ answers: string }>(shown, "getHook", 200);
    const mine = await send("GET", "/v1/hooks/for-ada", { key: admin });
    expect(answers).not.toBe((await expectAnswer<{ answers: string }>(mine, "getHook", 200)).answers);
  });

  it("none is started once the key that answers for the hook was revoked, and the hook is paused until another one does", async () => {
    const made = await send("POST", "/v1/keys", {
      key: admin,
      body: { name: "maker", scopes: ["hooks:*", "runs:*"] },
    });
    const maker = await expectAnswer<{ key: string; id: string }>(made, "createKey", 201);
    await hook("orphaned", {}, maker.key);
    expect((await deliver("orphaned", { id: "d-1" })).status).toBe(202);
    await linesOf("orphaned", 1);
    await expectAnswer(await send("DELETE", `/v1/keys/${maker.id}`, { key: admin }), "revokeKey", 200);
    expect((await deliver("orphaned", { id: "d-2" })).status).toBe(404);
    const paused = await vi.waitFor(async () => {
      const answer = await send("GET", "/v1/hooks/orphaned", { key: admin });
      const view = await expectAnswer<{ paused: boolean; version: number }>(answer, "getHook", 200);
      expect(view.paused).toBe(true);
      return view;
    });
    expect(paused).toMatchObject({ paused_reason: "maker_revoked" });
    const lines = await linesOf("orphaned", 2);
    expect(lines[0]).toMatchObject({ outcome: "refused", code: "maker_revoked", run: null });
    const again = await send("POST", `/v1/hooks/orphaned/deliveries/${lines[1]?.id}/redeliver`, {
      ...{ key: admin, body: {} },
    });
    await expectProblem(again, 409, "hook_paused");
    const body = { workflow: "echo", scheme: { type: "github" } };
    await expectAnswer(await send("PUT", "/v1/hooks/orphaned", { key: admin, body }), "putHook", 200);
    expect((await deliver("orphaned", { id: "d-2" })).status).toBe(202);
  });
});

describe("a hook", () => {
  it("is changed only from the version that was read, if that is asked for", async () => {
    const { etag } = await hook("versions");
    const body = { workflow: "echo", scheme: { type: "github" }, paused: true };
    const put = async (ifMatch: string, more: object = {}): Promise<Response> =>
      send("PUT", "/v1/hooks/versions", {
        key: admin,
        body: { ...body, ...more },
        headers: { "if-match": ifMatch },
      });
    await expectProblem(await put('"h-99"'), 412, "hook_changed");
    await expectProblem(await put("h-1"), 400, "invalid_header");
    await expectAnswer(await put(etag), "putHook", 200);
    await expectProblem(await put(etag), 412, "hook_changed");
    await expectAnswer(await put("*"), "putHook", 200);
    const flawed = await put("*", {
      scheme: { type: "slack" },
      rate: { per_minute: 0, burst: 1 },
      headers: ["Cookie"],
    });
    expect((await expectProblem(flawed, 422, "invalid_hook")).errors?.map(({ pointer }) => pointer)).toEqual([
      ...["/rate/per_minute", "/headers/0", "/scheme/type"],
    ]);
  });

  it("takes its old secret beside the new one until that ends, and not an instant longer here", async () => {
    await hook("rotated");
    const shown = await send("GET", "/v1/hooks/rotated", { key: admin });
    const { secrets } = await expectAnswer<{ secrets: { id: string }[] }>(shown, "getHook", 200);
    const secret = "the-next-secret-of-it";
    await expectAnswer(
      await send("POST", "/v1/hooks/rotated/secrets", { key: admin, body: { secret } }),
      "addHookSecret",
      201,
    );
    expect((await deliver("rotated", { id: "d-1" })).status).toBe(202);
    expect((await deliver("rotated", { id: "d-2", secret })).status).toBe(202);
    const path = `/v1/hooks/rotated/secrets/${secrets[0]?.id}/end`;
    await expectAnswer(await send("POST", path, { key: admin, body: {} }), "endHookSecret", 200);
    expect((await deliver("rotated", { id: "d-3" })).status).toBe(404);
    expect((await deliver("rotated", { id: "d-4", secret })).status).toBe(202);
    await expectProblem(
      await send("POST", "/v1/hooks/rotated/secrets/sec_nothing/end", { key: admin, body: {} }),
      404,
      "not_found",
    );
  });

  it("that is made again under its name starts with nothing seen, and an empty log", async () => {
    await hook("reborn");
    await deliver("reborn", { id: "d-1" });
    const [before] = await linesOf("reborn", 1);
    await expectAnswer(await send("DELETE", "/v1/hooks/reborn", { key: admin }), "deleteHook", 200);
    expect((await deliver("reborn", { id: "d-1" })).status).toBe(404);
    await hook("reborn");
    await deliver("reborn", { id: "d-1" });
    const [after] = await linesOf("reborn", 1);
    expect(after).toMatchObject({ outcome: "accepted" });
    expect(after?.run).not.toBe(before?.run);
  });

  it("whose delivery is delivered anew shows what was in it to those only who may see what runs give", async () => {
    const secret = { type: "object", properties: { n: { type: "integer" } } };
    const sensitive = { ...PLAN, sensitive: ["input"], input: secret };
    const stored = await send("PUT", "/v1/workflows/sensitive-echo", { key: admin, body: sensitive });
    expect(`${stored.status} ${await stored.text()}`).toContain("201 ");
    const scopes = ["hooks:*", "runs:write"];
    const blind = await newKey(admin, { scopes });
    const seeing = await newKey(admin, { scopes: [...scopes, "outputs:read"] });
    const shown: boolean[][] = [];
    for (const workflow of ["echo", "sensitive-echo"]) {
      await hook(`shows-${workflow}`, { workflow });
      await deliver(`shows-${workflow}`, { id: "d-1", body: '{"n":7}' });
      const [line] = await linesOf(`shows-${workflow}`, 1);
      const path = `/v1/hooks/shows-${workflow}/deliveries/${line?.id}/redeliver`;
      const answers = [blind, seeing, admin].map(async (key, number) => {
        const answer = await send("POST", path, { key, body: { number: number + 1 } });
        const told = await expectAnswer<{ input?: unknown; run: string | null }>(answer, "redeliver", 200);
        expect(told.run).toMatch(/^run_/);
        if ("input" in told) expect(told.input).toEqual({ n: 7 });
        return "input" in told;
      });
      shown.push(await Promise.all(answers));
    }
    expect(shown).toEqual([
      [false, true, true],
      [false, false, true],
    ]);
  });

  it("never shows its own secret as the id or the event of a delivery that it is tried with", async () => {
    const base = { name: "leaky", workflow: "echo", secret: "user:a-password-of-the-door" };
    for (const scheme of [
      { type: "basic", event: { header: "authorization" } },
      { type: "api_key", header: "x-door", id: { header: "X-Door" } },
    ]) {
      const made = await send("POST", "/v1/hooks", { key: admin, body: { ...base, scheme } });
      await expectProblem(made, 422, "invalid_hook");
    }
  });

  it.each([
    [{ headers: { "x-acme": "caf\u20ac" } }, "/headers/x-acme"],
    [{ headers: { "x-acme": "a\r\nx-b: c" } }, "/headers/x-acme"],
    [{ event: "push\n" }, "/event"],
    [{ event: "\u20ac" }, "/event"],
  ])("is tried with nothing that cannot stand in a header: %j", async (body, pointer) => {
    await send("POST", "/v1/hooks", {
      key: admin,
      body: { name: "headers", workflow: "echo", scheme: { type: "github" }, secret: SECRET },
    });
    const answer = await send("POST", "/v1/hooks/headers/test", { key: admin, body });
    expect((await expectProblem(answer, 400, "invalid_request")).errors?.[0]?.pointer).toBe(pointer);
  });

  it("is tried without a run, with what it would give, and with one if that is asked for", async () => {
    await hook("tried", { filter: "input.body.n > 1", input: { n: "${{ input.body.n }}" } });
    const trial = async (body: object): Promise<unknown> =>
      expectAnswer(await send("POST", "/v1/hooks/tried/test", { key: admin, body }), "testHook", 200);
    expect(await trial({ event: "push", body: { n: 2 } })).toMatchObject({
      ...{ id: null, outcome: "accepted", input: { n: 2 }, run: null, event: "push" },
    });
    expect(await trial({ body: { n: 1 } })).toMatchObject({ outcome: "filtered" });
    expect(await trial({ body: {} })).toMatchObject({ outcome: "failed", code: "filter_failed" });
    const started = (await trial({ body: { n: 3 }, start: true })) as Line;
    expect(await ended(started.run)).toMatchObject({ status: "succeeded", output: { value: { n: 3 } } });
    const [line] = await linesOf("tried", 1);
    expect(line?.by).toMatch(/^key:/);
  });

  it("is tried with an event only where a header says it, so none is passed over", async () => {
    const SIGNED = {
      type: "hmac",
      hash: "SHA-256",
      header: "x-signature",
      encoding: "hex",
      signed: "{body}",
    };
    await hook("in-body", { scheme: { ...SIGNED, event: { pointer: "/type" } } });
    await hook("in-header", { scheme: { ...SIGNED, event: { header: "x-event" } } });
    const trial = async (name: string, body: object): Promise<Response> =>
      send("POST", `/v1/hooks/${name}/test`, { key: admin, body });
    const refused = await expectProblem(await trial("in-body", { event: "paid" }), 400, "invalid_request");
    expect(refused).toMatchObject({ errors: [{ pointer: "/event" }] });
    for (const answer of [
      await trial("in-body", { body: { type: "paid" } }),
      await trial("in-header", { event: "paid" }),
    ])
      expect(await expectAnswer(answer, "testHook", 200)).toMatchObject({ event: "paid" });
  });

  it("is tried also where a `_` ends the id in what is signed", async () => {
    const scheme = { type: "hmac", hash: "SHA-256", header: "x-signature", encoding: "hex" };
    await hook("ends-id", { scheme: { ...scheme, signed: "{id}_{body}", id: { header: "x-id" } } });
    const answer = await send("POST", "/v1/hooks/ends-id/test", { key: admin, body: { body: { n: 1 } } });
    expect(await expectAnswer(answer, "testHook", 200)).toMatchObject({ outcome: "accepted" });
  });
});

describe("the object of a hook", () => {
  const NAMED = (id: string) => env.HOOK.getByName(`hook:${TENANT}:${id}`);

  it("keeps bodies sealed, and nothing of a secret or a signature", async () => {
    const { id } = await hook("kept", { input: { n: 1 } });
    await deliver("kept", { id: "d-1", body: '{"private":"only-for-the-run"}' });
    await linesOf("kept", 1);
    const text = await runInDurableObject(NAMED(id), (_, { storage }) =>
      JSON.stringify([
        storage.sql.exec("SELECT * FROM log").toArray(),
        storage.sql.exec("SELECT * FROM bodies").toArray(),
      ]),
    );
    expect(text).toContain("v1.k1.");
    for (const word of ["only-for-the-run", SECRET, "sha256="]) expect(text).not.toContain(word);
  });

  it("keeps 200 lines and 20 bodies, in this life and the next, and bodies for 30 days", async () => {
    const { id } = await hook("long");
    const stub = NAMED(id);
    const entry = { at: 0, outcome: "accepted" as const, code: null, detail: null, bytes: 1, delivery: null };
    const rest = { event: null, signedAt: null, secret: null, key: null, run: null };
    for (let n = 1; n <= 150; n += 1)
      await stub.tell(TENANT, { id: `dlv_${n}`, entry: { ...entry, ...rest, at: n }, sealed: "v1.sealed" });
    await runInDurableObject(stub, (_, state) => state.abort("another life")).catch(() => undefined);
    for (let n = 151; n <= 260; n += 1)
      await NAMED(id).tell(TENANT, {
        id: `dlv_${n}`,
        entry: { ...entry, ...rest, at: n },
        sealed: "v1.sealed",
      });
    const counts = () =>
      runInDurableObject(NAMED(id), (_, { storage: { sql } }) =>
        ["log", "bodies"].map((table) => {
          const { n, first, last } = sql
            .exec(`SELECT count(*) AS n, min(n) AS first, max(n) AS last FROM ${table}`)
            .one();
          return [n, first, last];
        }),
      );
    expect(await counts()).toEqual([
      [200, 61, 260],
      [20, 241, 260],
    ]);
    // What nobody could prove has a ring of its own.
    for (let n = 1; n <= 60; n += 1)
      await NAMED(id).tell(TENANT, {
        id: `dlv_f${n}`,
        entry: { ...entry, ...rest, outcome: "refused", code: "signature_wrong" },
        sealed: null,
      });
    const lines = await NAMED(id).log(TENANT, null, 300);
    expect(lines.filter((line) => line.entry.outcome === "accepted")).toHaveLength(200);
    expect(lines.slice(0, 50).map((line) => line.n)).toEqual(Array.from({ length: 50 }, (_, at) => 320 - at));
    expect(lines).toHaveLength(250);
    // They are of 1970: the alarm that drops bodies is long due.
    await runDurableObjectAlarm(NAMED(id));
    expect(await counts()).toEqual([
      [250, 61, 320],
      [0, null, null],
    ]);
  });

  it("answers another tenant as if nothing were there, and keeps nothing once its hook is gone", async () => {
    const { id } = await hook("owned");
    await deliver("owned", { id: "d-1" });
    await linesOf("owned", 1);
    expect(await NAMED(id).log("hook-door-other", null, 10)).toEqual([]);
    await NAMED(id).forget("hook-door-other");
    expect(await NAMED(id).log(TENANT, null, 10)).toHaveLength(1);
    await NAMED(id).forget(TENANT);
    const entry = { at: 0, outcome: "accepted" as const, code: null, detail: null, bytes: 1, delivery: null };
    const rest = { event: null, signedAt: null, secret: null, key: null, run: null };
    await NAMED(id).tell(TENANT, { id: "dlv_late", entry: { ...entry, ...rest }, sealed: null });
    expect(await NAMED(id).log(TENANT, null, 10)).toEqual([]);
  });
});

describe("what a provider says was taken back", () => {
  const SLACK: SchemeSettings = { scheme: "slack" };
  const BORN = Date.now();

  async function integration(name: string, provider: string): Promise<void> {
    const body = {
      ...{ name, provider, client_id: `app-of-${name}`, client_secret: "client-secret-of-it" },
      ...{ scopes_default: ["read"], return_to: ["https://app.example/connected"] },
    };
    const made = await send("POST", "/v1/integrations", { key: admin, body });
    await expectAnswer(made, "createIntegration", 201);
  }

  /** As it is once somebody consented: what asks the provider stands in other tests. */
  async function connected(name: string, user: string, account: string): Promise<string> {
    const serverKey = await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array());
    const slot = { tenant: TENANT, integration: name, account: "default" };
    const id = await connectionIdOf(serverKey, { ...slot, owner: `user:${user}` });
    const row = await env.DB.prepare("SELECT fixed FROM integrations WHERE tenant = ? AND name = ?")
      .bind(TENANT, name)
      .first<{ fixed: string }>();
    const { provider, clientId } = JSON.parse(row?.fixed ?? "{}") as { provider: object; clientId: string };
    const stub: unknown = env.CONNECTION.getByName(`connection:${TENANT}:${id}`);
    const granted = await (stub as ConnectionRpc).grant({
      ...{ slot: { ...slot, owner: { kind: "user", user } }, id },
      integration: { name, version: 1, provider, clientId, secret: "client-secret-of-it" },
      pair: { accessToken: `token-of-${user}-0123456789`, refreshToken: null },
      times: { issuedAt: BORN, expiresAt: null, idleEndsAt: null, endsAt: null },
      ...{ scopes: ["read"], account: { id: account, label: user }, identityLevel: "confirm" },
      ...{ extra: {}, workflows: null, by: "session:test", pending: null, replaceAccount: false },
    });
    expect(granted).toMatchObject({ kind: "active" });
    await vi.waitFor(async () => {
      const { results } = await env.DB.prepare("SELECT id FROM connections WHERE id = ?").bind(id).all();
      expect(results).toHaveLength(1);
    });
    return id;
  }

  async function standing(id: string): Promise<string> {
    const answer = await send("GET", `/v1/connections/${id}`, { key: admin });
    const { status, reason } = await expectAnswer<{ status: string; reason: string | null }>(
      ...([answer, "getConnection", 200] as const),
    );
    return reason === null ? status : `${status}: ${reason}`;
  }

  /** What a run of the user waits for. */
  async function parked(name: string, user: string): Promise<unknown> {
    const call = { method: "GET", url: "https://api.github.com/user", auth: { connection: name } };
    const body = { user, plan: { steps: { call: { action: "http", with: call } } } };
    const started = await send("POST", "/v1/runs", { key: admin, body });
    const { id } = await expectAnswer<RunView>(started, "startRun", 202);
    return vi.waitFor(async () => {
      const answer = await send("GET", `/v1/runs/${id}`, { key: admin });
      const { steps } = await expectAnswer<RunView>(answer, "getRun", 200);
      expect(steps[0]?.waiting_for).toMatchObject({ kind: "connection", integration: name });
      return steps[0]?.waiting_for;
    });
  }

  it("by GitHub marks the connections of that account, and no others; a run that needs one waits for a consent", async () => {
    await integration("gh", "github");
    const [ada, bob] = [await connected("gh", "ada", "1001"), await connected("gh", "bob", "1002")];
    await hook("gh-events", { workflow: undefined, revokes: "gh" });
    const revoked = JSON.stringify({ action: "revoked", sender: { id: 1001, login: "ada" } });
    const event = "github_app_authorization";
    expect(
      (await deliver("gh-events", { id: "r-0", event, body: revoked, secret: "not-the-secret-of-it" }))
        .status,
    ).toBe(404);
    expect((await deliver("gh-events", { id: "r-1", event: "push", body: revoked })).status).toBe(202);
    expect([await standing(ada), await standing(bob)]).toEqual(["active", "active"]);
    expect((await deliver("gh-events", { id: "r-2", event, body: revoked })).status).toBe(202);
    expect([await standing(ada), await standing(bob)]).toEqual(["dead: revoked", "active"]);
    expect((await linesOf("gh-events", 3))[0]).toMatchObject({ outcome: "accepted", run: null, revoked: 1 });
    expect(await parked("gh", "ada")).toMatchObject({ reason: "revoked" });
    const gone = JSON.stringify({
      action: "deleted",
      installation: { id: 5, account: { id: 1002, type: "User" } },
    });
    expect((await deliver("gh-events", { id: "r-3", event: "installation", body: gone })).status).toBe(202);
    expect(await standing(bob)).toBe("dead: revoked");
  });

  it("by Slack marks users' and bots' tokens, or all of a workspace, but nothing that was granted since", async () => {
    await integration("sl", "slack");
    const users = ["U1", "U2", "U3", "U4"];
    const ids = await Promise.all(
      users.map(async (user) => connected("sl", user, `${user === "U4" ? "T2" : "T1"}:${user}`)),
    );
    const all = () => Promise.all(ids.map(standing));
    await hook("sl-events", { scheme: { type: "slack" }, revokes: "sl" });
    const tell = async (id: string, event: object, at = BORN + 60_000): Promise<void> => {
      const body = JSON.stringify({
        ...{ type: "event_callback", team_id: "T1", api_app_id: "A1", event_id: id },
        ...{ event_time: Math.floor(at / 1_000), event },
      });
      expect((await deliver("sl-events", { id, body, scheme: SLACK })).status).toBe(202);
    };
    const tokens = (oauth: readonly string[], bot: readonly string[]) => ({
      type: "tokens_revoked",
      tokens: { oauth, bot },
    });
    await tell("Ev0", tokens(users, []), BORN - 60_000);
    expect(await all()).toEqual(["active", "active", "active", "active"]);
    await tell("Ev1", tokens(["U1", "U4"], ["U2"]));
    expect(await all()).toEqual(["dead: revoked", "dead: revoked", "active", "active"]);
    await tell("Ev2", { type: "app_uninstalled" });
    expect(await all()).toEqual(["dead: revoked", "dead: revoked", "dead: revoked", "active"]);
    // The workflow of the hook is started beside that.
    expect((await linesOf("sl-events", 3)).map(({ run }) => typeof run)).toEqual([
      "string",
      "string",
      "string",
    ]);
  });

  it("is asked of schemes only whose services say it", async () => {
    const body = { name: "no-word", scheme: { type: "stripe" }, revokes: "sl" };
    const refused = await send("POST", "/v1/hooks", { key: admin, body });
    expect((await expectProblem(refused, 422, "invalid_hook")).errors).toMatchObject([
      { pointer: "/revokes" },
    ]);
    const empty = await send("POST", "/v1/hooks", {
      key: admin,
      body: { name: "no-aim", scheme: { type: "slack" } },
    });
    expect((await expectProblem(empty, 422, "invalid_hook")).errors).toMatchObject([
      { pointer: "/workflow" },
    ]);
  });
});
