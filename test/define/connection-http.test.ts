/** What an `http` step does with the token of a connection: where it goes, and what the service's word on it makes of the attempt. */
import type { LeaseFinding } from "../../src/platform/index.ts";
import { describe, expect, it } from "vitest";
import { Lent, performAction, type ActionCall } from "../../src/actions/index.ts";
import type { EgressRequest, EgressResult } from "../../src/platform/index.ts";
import { always, FRESH, GOOGLE, HOST, keeper, needOf, OLD, type Keeper } from "./lending.ts";
import { answered, call, outside } from "./support.ts";

const URL_ = `https://${HOST}/calendar/v3/events`;
const GET = { method: "GET", url: URL_, auth: GOOGLE } as const;
const POST = { method: "POST", url: URL_, json: { a: 1 }, auth: GOOGLE } as const;
const EFFECTS = ["safe", "idempotent", "keyed", "once"] as const;

function perform(
  kept: Keeper,
  answer: (request: EgressRequest) => EgressResult,
  more: Partial<ActionCall> = {},
) {
  const surroundings = outside(answer);
  const result = performAction(call({ with: GET, lease: kept.lent, ...more }), surroundings);
  return { result, requests: surroundings.requests };
}

const token = ({ headers }: EgressRequest): string | undefined => headers?.["authorization"];

describe("a request with a connection", () => {
  it("carries what presents the token, which no header of the step can replace, and defaults that one can", async () => {
    const { result, requests } = perform(keeper(), () => answered(200, {}), {
      with: { ...GET, headers: { Accept: "text/plain" } },
    });
    expect(await result).toMatchObject({ kind: "success" });
    expect(requests[0]?.headers).toEqual({
      accept: "text/plain",
      "x-api-version": "3",
      authorization: `Bearer ${OLD}`,
    });
  });

  it("carries the token where a provider has a header of its own for it, and the step would use that one, too", async () => {
    const { lease } = keeper();
    const lent = new Lent([[GOOGLE, { ...lease, headers: { "x-presented": OLD } }]]);
    const { result, requests } = perform(keeper(), () => answered(200, {}), {
      effect: "keyed",
      with: { ...POST, headers: { "X-Presented": "mine" }, idempotencyHeader: "X-Presented" },
      lease: lent,
    });
    await result;
    expect(requests[0]?.headers?.["x-presented"]).toBe(OLD);
  });

  it("is not sent to another host, nor to a path that the token is kept from: nothing leaves", async () => {
    for (const url of ["https://evil.example/", `https://${HOST}.evil.example/`, `https://${HOST}/token`]) {
      const { result, requests } = perform(keeper(), () => answered(200), { with: { ...GET, url } });
      expect(await result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
      expect(requests).toEqual([]);
    }
  });

  it("loses the token in redirects to where it may not go, of the same origin too", async () => {
    const { result, requests } = perform(keeper(), () => answered(200));
    await result;
    const carries = (url: string) => requests[0]?.carriesTo?.(new URL(url));
    expect(carries(`https://${HOST}/calendar/v4`)).toBe(true);
    expect(carries(`https://${HOST}/token`)).toBe(false);
    // Once lost it stays so.
    expect(carries(`https://${HOST}/calendar/v4`)).toBe(false);
  });

  it("takes no word on the token from where the token was not sent", async () => {
    const kept = keeper();
    const { result } = perform(kept, (request) => {
      request.carriesTo?.(new URL("https://elsewhere.example/"));
      return answered(401);
    });
    expect(await result).toMatchObject({ kind: "refused", failure: { code: "http_401" } });
    expect(kept.told).toEqual([]);
  });

  it("is tried again later where the credential was not at hand: nothing was sent", async () => {
    const { result, requests } = perform(keeper(), () => answered(200), { lease: null });
    expect(await result).toMatchObject({ kind: "refused", failure: { code: "not_sent", retryable: true } });
    expect(requests).toEqual([]);
  });

  it("asks for each page with the same token, and follows none to where it may not go", async () => {
    const link = (to: string) => ({ link: `<${to}>; rel="next"` });
    const paged = { ...GET, paginate: { by: "link", max: 5 } } as const;
    const { result, requests } = perform(
      keeper(),
      ({ url }) => answered(200, [url], url.endsWith("2") ? {} : link(`${URL_}?page=2`)),
      { with: paged },
    );
    expect(await result).toMatchObject({ kind: "success", output: { pages: 2 } });
    expect(requests.map(token)).toEqual([`Bearer ${OLD}`, `Bearer ${OLD}`]);
    const lured = perform(keeper(), () => answered(200, [1], link(`https://${HOST}/token`)), { with: paged });
    expect(await lured.result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
    expect(lured.requests).toHaveLength(1);
  });

  it("keeps from its output the headers that only the connection is read from, and every form of its tokens", async () => {
    const echo = (request: EgressRequest) =>
      token(request)?.endsWith(OLD) === true
        ? answered(401)
        : answered(200, { said: [OLD, FRESH, btoa(FRESH)] }, { "x-quota": "7", etag: "e" });
    const { result } = perform(keeper(), echo);
    const end = await result;
    expect(end).toMatchObject({ kind: "success", output: { headers: { etag: "e" } } });
    const text = JSON.stringify(end);
    for (const secret of [OLD, FRESH, btoa(FRESH), "x-quota"]) expect(text).not.toContain(secret);
  });
});

describe("a token that the service refuses", () => {
  it("is renewed once, and the request sent again in the same attempt, whatever its effect", async () => {
    for (const effect of EFFECTS) {
      const kept = keeper();
      const { result, requests } = perform(
        kept,
        (request) => (token(request) === `Bearer ${FRESH}` ? answered(200, {}) : answered(401)),
        { effect, with: POST },
      );
      expect([effect, (await result).kind]).toEqual([effect, "success"]);
      expect(requests.map(token)).toEqual([`Bearer ${OLD}`, `Bearer ${FRESH}`]);
      expect(requests[1]?.body).toBe(requests[0]?.body);
      expect(kept.told).toEqual(["renew"]);
    }
  });

  it("parks the step where the fresh one is refused, too, and says which grant it was", async () => {
    for (const effect of EFFECTS) {
      const kept = keeper();
      const { result, requests } = perform(kept, () => answered(401), { effect, with: POST });
      expect(await result).toEqual({
        kind: "needs",
        need: needOf("rejected", { refused: true, version: 2 }),
        credentials: [{ ...kept.lease.about, version: 2, hosts: [HOST] }],
      });
      expect([requests.length, kept.told]).toEqual([2, ["renew"]]);
    }
  });

  it.each([
    [
      { kind: "needs", need: needOf("revoked") },
      { kind: "needs", need: needOf("revoked") },
    ],
    [
      { kind: "needs", need: needOf("unavailable") },
      { kind: "needs", need: needOf("unavailable") },
    ],
    // There is no other one: it is this one that was refused.
    [
      { kind: "needs", need: needOf("rejected") },
      { kind: "needs", need: needOf("rejected", { refused: true, version: 1 }) },
    ],
    [
      { kind: "cannot", code: "connection_refused", message: "No.", hint: "No." },
      { kind: "cannot", failure: { code: "connection_refused" } },
    ],
    ["throws", { kind: "needs", need: { reason: "unavailable", recheckMs: 1_000 } }],
  ] as const)("leads to what the renewal says: %j", async (renewal, expected) => {
    const { result, requests } = perform(keeper(undefined, renewal), () => answered(401), {
      effect: "once",
      with: POST,
    });
    expect(await result).toMatchObject(expected);
    expect(requests).toHaveLength(1);
  });
});

describe("a service's word on the connection", () => {
  const scopes = ["calendar.write"];
  const table: readonly (readonly [LeaseFinding, number, object, readonly string[]])[] = [
    [
      { is: "token_dead" },
      403,
      { kind: "needs", need: needOf("revoked", { refused: true, version: 1 }) },
      ["dead"],
    ],
    [
      { is: "scope_missing", scopes },
      403,
      { kind: "needs", need: needOf("scope_missing", { refused: true, version: 1, scopes }) },
      [],
    ],
    [
      { is: "rate_limited", waitMs: 7_000 },
      429,
      { kind: "refused", failure: { code: "http_429" }, retryAfterMs: 7_000 },
      ["limited 7000"],
    ],
    [
      { is: "rate_limited", waitMs: 7_000 },
      403,
      { kind: "refused", failure: { code: "http_403", retryable: true }, retryAfterMs: 7_000 },
      ["limited 7000"],
    ],
    [
      { is: "rate_limited" },
      200,
      { kind: "refused", failure: { code: "service_refused", retryable: true }, retryAfterMs: 9_000 },
      ["limited undefined"],
    ],
    [
      { is: "refused" },
      200,
      { kind: "cannot", failure: { code: "service_refused", status: 200, retryable: false } },
      [],
    ],
    [{ is: "refused" }, 404, { kind: "cannot", failure: { code: "http_404" } }, []],
    [{ is: "misconfigured" }, 200, { kind: "cannot", failure: { code: "service_refused" } }, []],
    [{ is: "misconfigured" }, 403, { kind: "cannot", failure: { code: "http_403" } }, []],
  ];

  it.each(table)("%j in an answer of %i: %j, for every effect", async (finding, status, expected, told) => {
    for (const effect of EFFECTS) {
      const kept = keeper(always(finding));
      const body = { ok: false, error: "channel_not_found" };
      const { result } = perform(kept, () => answered(status, body, { "retry-after": "9" }), {
        effect,
        with: POST,
      });
      expect(await result).toMatchObject(expected);
      expect(kept.told).toEqual(told);
    }
  });

  it("is in the failure in the service's own words", async () => {
    const { result } = perform(keeper(always({ is: "refused" })), () =>
      answered(200, { ok: false, error: "channel_not_found" }),
    );
    expect((await result) as object).toMatchObject({
      failure: { message: `${HOST} answered 200, and refused in the answer: channel_not_found` },
    });
  });

  it("is not looked for in a long body, and is by its status where the body did not come", async () => {
    const bodies: string[] = [];
    const kept = keeper(({ body, status }) => {
      bodies.push(body);
      return status === 403 ? { is: "token_dead" } : undefined;
    });
    await perform(kept, () => answered(200, "x".repeat(70_000))).result;
    const late = perform(kept, () => ({
      kind: "failed",
      code: "timeout",
      message: "late",
      sent: true,
      answer: { status: 403, headers: {} },
    }));
    expect(await late.result).toMatchObject({ kind: "needs" });
    expect(bodies).toEqual(["", ""]);
  });
});
