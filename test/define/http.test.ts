import { describe, expect, it } from "vitest";
import { performAction, type ActionCall, type ActionResult } from "../../src/actions/index.ts";
import { answered, call, NOW, outside, scope, TOKEN, type Outside } from "./support.ts";
import type { EgressResult } from "../../src/platform/index.ts";

const URL_ = "https://api.skyline.example/bookings";
const GET = { method: "GET", url: URL_ } as const;
const POST = { method: "POST", url: URL_, json: { a: 1 } } as const;
const DELETE = { method: "DELETE", url: URL_ } as const;

function perform(result: EgressResult, more: Partial<ActionCall>): Promise<ActionResult> {
  return performAction(
    call(more),
    outside(() => result),
  );
}

async function kindOf(status: number, more: Partial<ActionCall>): Promise<string> {
  return (await perform(answered(status, { detail: "said" }), more)).kind;
}

/** Every status of the effects table, with what it means whatever the effect. */
const REFUSED = [401, 421, 425, 429, 521, 523, 525, 526, 530];
const UNCLEAR = [408, 500, 501, 502, 503, 504, 505, 507, 520, 522, 524, 527, 599];
const CANNOT = [
  300, 304, 307, 308, 400, 402, 403, 404, 405, 406, 409, 410, 411, 412, 413, 415, 418, 422, 423, 424, 426,
  428, 431, 451,
];

describe("a status", () => {
  it("means what the effects table says, for each effect", async () => {
    for (const effect of ["safe", "idempotent", "once"] as const) {
      for (const status of REFUSED)
        expect([status, await kindOf(status, { effect, with: POST })]).toEqual([status, "refused"]);
      for (const status of UNCLEAR)
        expect([status, await kindOf(status, { effect, with: POST })]).toEqual([status, "unclear"]);
      for (const status of CANNOT)
        expect([status, await kindOf(status, { effect, with: POST })]).toEqual([status, "cannot"]);
      for (const status of [200, 201, 202, 204, 299])
        expect(await kindOf(status, { effect, with: POST })).toBe("success");
    }
  });

  it("409 of a keyed step is tried again with the same key: the first attempt may still be at work", async () => {
    expect(await kindOf(409, { effect: "keyed", with: POST })).toBe("unclear");
    expect(await kindOf(409, { effect: "idempotent", with: POST })).toBe("cannot");
  });

  it("301, 302 and 303 to what may change something are unclear: forms that worked are answered so", async () => {
    for (const status of [301, 302, 303]) {
      for (const method of ["POST", "PATCH", "PUT", "DELETE"] as const)
        expect(await kindOf(status, { effect: "once", with: { ...POST, method } })).toBe("unclear");
      for (const method of ["GET", "HEAD", "OPTIONS"] as const)
        expect(await kindOf(status, { effect: "safe", with: { ...GET, method } })).toBe("cannot");
      expect(await kindOf(status, { effect: "once", with: { ...POST, success: [status] } })).toBe("success");
    }
  });

  it("503 is a refusal only where the step says so", async () => {
    expect(await kindOf(503, { effect: "once", with: { ...POST, refused: [503] } })).toBe("refused");
    expect(await kindOf(503, { effect: "once", with: POST })).toBe("unclear");
  });

  it("404 and 410 to a DELETE are a success only after an attempt that may have happened", async () => {
    for (const status of [404, 410]) {
      expect(await kindOf(status, { effect: "idempotent", with: DELETE, maybe: true })).toBe("success");
      expect(await kindOf(status, { effect: "idempotent", with: DELETE })).toBe("cannot");
      expect(
        await kindOf(status, { effect: "idempotent", with: { ...POST, method: "PUT" }, maybe: true }),
      ).toBe("cannot");
    }
  });

  it("404 and 410 are answers to a verify, without a body", async () => {
    const result = await perform(answered(404, { detail: "none" }), {
      with: GET,
      unit: { step: "s", role: "verify" },
    });
    expect(result).toMatchObject({ kind: "success", output: { status: 404, body: null } });
  });

  it("counts as success where the step lists it, and nothing else then does", async () => {
    const parameters = { ...GET, success: ["300-399", 404] };
    expect(await kindOf(302, { with: parameters })).toBe("success");
    expect(await kindOf(404, { with: parameters })).toBe("success");
    expect(await kindOf(200, { with: parameters })).toBe("cannot");
  });
});

describe("what is thrown on the way", () => {
  const failed = (code: string, sent: boolean, status?: number): EgressResult => ({
    kind: "failed",
    code: code as never,
    message: "it broke",
    sent,
    answer: status === undefined ? null : { status, headers: {} },
  });

  it.each([
    ["network", true, undefined, "unclear", "network"],
    ["timeout", true, undefined, "unclear", "timeout"],
    ["timeout", true, 200, "unclear", "timeout"],
    ["timeout", true, 422, "cannot", "http_422"],
    ["aborted", true, undefined, "unclear", "timeout"],
    ["timeout", false, undefined, "refused", "not_sent"],
    ["too_large", true, 200, "unusable", "output_too_large"],
    ["too_large", true, 500, "unclear", "http_500"],
    ["truncated", true, 201, "unusable", "output_invalid"],
    ["truncated", true, 429, "refused", "http_429"],
    ["redirect_refused", true, 302, "cannot", "http_302"],
    ["timeout", true, 303, "unclear", "http_303"],
    ["too_many_redirects", true, 302, "cannot", "http_302"],
  ])("%s (sent: %s, status %s) is %s, %s", async (code, sent, status, kind, failure) => {
    const result = await perform(failed(code, sent, status), { effect: "once", with: POST });
    expect(result).toMatchObject({ kind, failure: { code: failure } });
  });

  it("a limit of the event that was met before anything was sent is a hop, not an attempt", async () => {
    expect(await perform(failed("subrequest_limit", false), { with: GET })).toEqual({ kind: "hop" });
    expect(await perform(failed("subrequest_limit", true), { with: GET })).toMatchObject({ kind: "unclear" });
  });

  it("a request that egress refuses can never work", async () => {
    const blocked: EgressResult = { kind: "blocked", code: "host_local", message: "Not public." };
    expect(await perform(blocked, { with: GET })).toMatchObject({
      kind: "cannot",
      failure: { code: "egress_blocked" },
    });
  });
});

describe("an answer", () => {
  it("is read as JSON where its content type says so, else as text", async () => {
    const json = await perform(
      answered(200, { id: "b1" }, { "content-type": "application/problem+json; charset=utf-8" }),
      { with: GET },
    );
    expect(json).toMatchObject({ output: { status: 200, body: { id: "b1" } } });
    expect(await perform(answered(200, "hello"), { with: GET })).toMatchObject({ output: { body: "hello" } });
    expect(await perform(answered(204), { with: GET })).toMatchObject({ output: { body: null } });
  });

  it("that is garbage is unusable, whatever the effect", async () => {
    const cut = answered(200, '{"id":', { "content-type": "application/json" });
    for (const effect of ["safe", "keyed", "once"] as const)
      expect(await perform(cut, { effect, with: POST })).toMatchObject({
        kind: "unusable",
        failure: { code: "output_invalid" },
      });
    const html = await perform(answered(200, "<p>"), { with: { ...GET, keep: { body: "json" } } });
    expect(html).toMatchObject({ kind: "unusable", failure: { code: "output_invalid" } });
    const binary: EgressResult = {
      kind: "answered",
      status: 200,
      headers: {},
      body: new Uint8Array([0xff, 0xfe]),
      redirects: 0,
    };
    expect(await perform(binary, { with: GET })).toMatchObject({
      kind: "unusable",
      failure: { code: "output_invalid" },
    });
    expect(await perform(binary, { with: { ...GET, keep: { body: "none" } } })).toMatchObject({
      kind: "success",
    });
  });

  it.each([
    ["nested without end", `${"[".repeat(400_000)}${"]".repeat(400_000)}`],
    ["nested deeper than the journal's readers follow", `${'{"a":'.repeat(129)}1${"}".repeat(129)}`],
    ["with a number that is no number any more", '{"total":1e400}'],
  ])("that is JSON %s is unusable: it could not be kept as it is", async (_, body) => {
    const json = { "content-type": "application/json" };
    for (const effect of ["safe", "once"] as const)
      expect(await perform(answered(200, body, json), { effect, with: POST })).toMatchObject({
        kind: "unusable",
        failure: { code: "output_invalid" },
      });
    expect(await perform(answered(500, body, json), { with: POST })).toMatchObject({
      failure: { code: "http_500" },
    });
  });

  it("keeps only the headers that the step asks for", async () => {
    const result = await perform(answered(200, 1, { etag: '"1"', link: "<x>" }), {
      with: { ...GET, keep: { headers: ["ETag"] } },
    });
    expect(result).toMatchObject({ kind: "success", output: { headers: { etag: '"1"' } } });
    expect(result).not.toHaveProperty("output.headers.link");
  });

  it("that is not what the author declared is unusable, and one that is comes parsed", async () => {
    const surroundings = outside(() => answered(200, { id: 7 }), {
      answer: () => (body) =>
        typeof (body as { id: unknown }).id === "string"
          ? { ok: true, body: "parsed" }
          : { ok: false, message: "/id: text" },
    });
    expect(await performAction(call({ with: GET }), surroundings)).toMatchObject({
      kind: "unusable",
      failure: { code: "output_invalid" },
    });
    const good = outside(() => answered(200, { id: "b" }), {
      answer: () => () => ({ ok: true, body: "parsed" }),
    });
    expect(await performAction(call({ with: GET }), good)).toMatchObject({ output: { body: "parsed" } });
  });
});

describe("Retry-After", () => {
  const wait = async (value: string, date?: string): Promise<unknown> => {
    const headers = { "retry-after": value, ...(date === undefined ? {} : { date }) };
    const result = await perform(answered(429, null, headers), { with: GET });
    return "retryAfterMs" in result ? result.retryAfterMs : null;
  };

  it("is read as seconds and as a date, against the answer's own date where there is one", async () => {
    expect(await wait("7")).toBe(7_000);
    expect(await wait(new Date(NOW + 30_000).toUTCString())).toBe(30_000);
    expect(await wait("Tue, 01 Dec 2026 12:00:30 GMT", "Tue, 01 Dec 2026 12:00:00 GMT")).toBe(30_000);
    expect(await wait("Tue, 01 Dec 2020 12:00:30 GMT")).toBe(0);
  });

  it("is bounded, and passed over where it makes no sense", async () => {
    expect(await wait("9999999999")).toBe(365 * 86_400_000);
    expect(await wait("soon")).toBeNull();
  });

  it("counts for what is unclear too", async () => {
    expect(
      await perform(answered(503, null, { "retry-after": "2" }), { effect: "keyed", with: POST }),
    ).toMatchObject({ kind: "unclear", retryAfterMs: 2_000 });
  });
});

describe("a request", () => {
  const sent = async (more: Partial<ActionCall>): Promise<Outside["requests"][0] | undefined> => {
    const surroundings = outside(() => answered(200, {}));
    await performAction(call(more), surroundings);
    return surroundings.requests[0];
  };

  it("of a keyed step carries its key, in the header that the step names, whatever its own headers say", async () => {
    expect(await sent({ effect: "keyed", with: POST })).toMatchObject({
      headers: { "idempotency-key": "run_test.s.g0" },
    });
    const own = { ...POST, headers: { "Idempotency-Key": "mine", "X-A": "1" } };
    expect(await sent({ effect: "keyed", with: own })).toMatchObject({
      headers: { "idempotency-key": "run_test.s.g0", "x-a": "1" },
    });
    const named = await sent({ effect: "keyed", with: { ...POST, idempotencyHeader: "X-Request-Key" } });
    expect(named?.headers).toMatchObject({ "x-request-key": "run_test.s.g0" });
    expect(named?.headers).not.toHaveProperty("idempotency-key");
    expect((await sent({ effect: "once", with: POST }))?.headers).not.toHaveProperty("idempotency-key");
  });

  it("has its query encoded and its body in the form that was chosen", async () => {
    const query = { q: "a b&c", tags: ["x", "y"], none: null, n: 3 };
    expect((await sent({ with: { ...GET, query } }))?.url).toBe(`${URL_}?q=a+b%26c&tags=x&tags=y&n=3`);
    expect(await sent({ with: POST })).toMatchObject({
      body: '{"a":1}',
      headers: { "content-type": "application/json" },
    });
    const form = { method: "POST", url: URL_, form: { a: "1 2", b: true, c: null } };
    expect(await sent({ with: form })).toMatchObject({ body: "a=1+2&b=true" });
    expect(
      await sent({
        with: { method: "POST", url: URL_, text: "hi", headers: { "Content-Type": "text/csv" } },
      }),
    ).toMatchObject({
      body: "hi",
      headers: { "content-type": "text/csv" },
    });
  });

  it("belongs to the run's trace, and each attempt is a span of its own", async () => {
    const first = (await sent({ with: GET }))?.traceparent ?? "";
    const second = (await sent({ with: GET, attempt: 2 }))?.traceparent ?? "";
    expect(first).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    expect(second).not.toBe(first);
  });

  it("of a once step outlives the step's timeout: its late answer may still settle the step", async () => {
    expect((await sent({ with: GET }))?.timeoutMs).toBe(1_000);
    expect((await sent({ effect: "once", with: POST }))?.timeoutMs).toBeGreaterThan(600_000);
  });

  it("whose pinned parameters no longer fit this build fails with template_failed", async () => {
    expect(await perform(answered(200), { with: { method: "FETCH" } })).toMatchObject({
      kind: "cannot",
      failure: { code: "template_failed" },
    });
  });
});

describe("a credential", () => {
  const auth = { bearer: "SKYLINE_TOKEN" };

  it("is sent to its host, and taken out of the output wherever it comes back", async () => {
    const surroundings = outside(() =>
      answered(200, { echo: `Bearer ${TOKEN}`, b64: btoa(`x:${TOKEN}`), [TOKEN]: 1 }),
    );
    const result = await performAction(call({ with: { ...GET, auth } }), surroundings);
    expect(surroundings.requests[0]?.headers).toMatchObject({ authorization: `Bearer ${TOKEN}` });
    expect(result.kind).toBe("success");
    expect(JSON.stringify(result)).not.toContain(TOKEN);
    expect(JSON.stringify(result)).not.toContain(btoa(TOKEN).slice(4, 20));
  });

  it("is taken out of a failure's message too", async () => {
    const surroundings = outside(() => answered(422, { detail: `bad token ${TOKEN}` }));
    const result = await performAction(call({ with: { ...GET, auth } }), surroundings);
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "http_422", status: 422 } });
    expect(JSON.stringify(result)).not.toContain(TOKEN);
  });

  it("is not in a message that was cut in the middle of it, wherever the service put it", async () => {
    const secret = "mellon0123456789abcdefghijklmnopqrstuvwxyz";
    const lend = async () =>
      ({ ok: true, header: "authorization", value: `Bearer ${secret}`, secrets: [secret] }) as const;
    for (const before of [
      "x".repeat(270),
      "x ".repeat(140),
      "\n".repeat(580),
      `Bearer ${"y".repeat(560)} `,
    ]) {
      const surroundings = outside(() => answered(422, { detail: `${before}${secret} is bad` }));
      const result = await performAction(call({ with: { ...GET, auth } }), {
        ...surroundings,
        credential: lend,
      });
      expect(result).toMatchObject({ kind: "cannot", failure: { code: "http_422" } });
      expect(JSON.stringify(result)).not.toContain(secret.slice(0, 6));
    }
  });

  it("is never sent to another host: the attempt ends before anything leaves", async () => {
    const surroundings = outside(() => answered(200));
    const result = await performAction(
      call({ with: { method: "GET", url: "https://evil.example/", auth } }),
      surroundings,
    );
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
    expect(surroundings.requests).toEqual([]);
  });
});

describe("a failure", () => {
  it("says what the service said, in one line, without the query of the request", async () => {
    const result = await perform(answered(422, { title: "no", detail: "The date\r\nis past." }), {
      with: { ...GET, query: { secret: "query-value" }, headers: { "x-a": "header-value" } },
    });
    expect(result).toMatchObject({
      failure: { code: "http_422", message: "api.skyline.example answered 422: The date is past." },
    });
    expect(JSON.stringify(result)).not.toMatch(/query-value|header-value/);
  });

  it("of an action that this build does not know asks for a deploy", async () => {
    const result = await performAction(
      call({ action: "teleport", scope: scope() }),
      outside(() => answered(200)),
    );
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "step_code_missing" } });
  });
});
