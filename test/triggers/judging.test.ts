import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createValueExpressions } from "../../src/define/index.ts";
import { importHmacKey, runIdOf } from "../../src/platform/index.ts";
import { entryOf } from "../../src/triggers/entries.ts";
import {
  answerOf,
  type HookRules,
  judgeDelivery,
  MAX_BODY_BYTES,
  NOT_THERE,
  redeliveryKey,
} from "../../src/triggers/judging.ts";
import { maySee, readPayload } from "../../src/triggers/schemes/values.ts";
import { type Bucket, type Rate, takeToken } from "../../src/triggers/rate.ts";
import type { Arrival } from "../../src/triggers/schemes/scheme.ts";
import { arrivalOf, type Case, CASES, headersOf, HMAC, NOW } from "./deliveries.ts";

const expressions = createValueExpressions();
const GITHUB = CASES.find(({ name }) => name === "github")!;
const BASIC = CASES.find(({ name }) => name === "basic")!;
const HOOK: HookRules = {
  scheme: GITHUB.settings,
  paused: false,
  maxBodyBytes: MAX_BODY_BYTES,
  rate: null,
  filter: null,
  input: undefined,
  headers: [],
};

async function judge(
  hook: Partial<HookRules>,
  arrival: Arrival,
  {
    bucket: before = null,
    secret = GITHUB.accepts,
    makerStands = true,
  }: { bucket?: Bucket | null; secret?: string; makerStands?: boolean } = {},
) {
  let made = 0;
  let bucket = before;
  const take = async (rate: Rate): Promise<number> => {
    const taken = takeToken(bucket, rate, NOW);
    bucket = taken.bucket;
    return taken.waitMs;
  };
  const ports = { expressions, nowMs: NOW, makerStands, take, unique: () => `u${(made += 1)}` };
  const judged = await judgeDelivery({ ...HOOK, ...hook }, [{ id: "s1", text: secret }], arrival, ports);
  return { judged, bucket };
}

const genuine = async (): Promise<Arrival> => arrivalOf(await headersOf(GITHUB), GITHUB.draft.body);
const forged = async (): Promise<Arrival> =>
  arrivalOf({ ...(await headersOf(GITHUB)), "x-hub-signature-256": `sha256=${"0".repeat(64)}` }, "{}");

/** The values of the headers that prove who sends: one in each scheme. */
function proofsIn(one: Case, headers: Readonly<Record<string, string>>): string[] {
  const proofs = one.signed.filter((name) => /signature|hmac|authorization|api-key/.test(name));
  expect(proofs).toHaveLength(1);
  return proofs.map((name) => headers[name] ?? "");
}

describe("a delivery", () => {
  it("becomes a run whose input is its body, and whose key is its id", async () => {
    const { judged } = await judge({}, await genuine());
    expect(judged).toMatchObject({ outcome: "accepted", key: "id:d-1", input: { id: "evt_1", n: 1 } });
    expect(answerOf(judged)).toEqual({ status: 202 });
  });

  it("is filtered and mapped by expressions over body, id, event, times and named headers", async () => {
    const hook = {
      filter: "input.event == 'order.made' && input.body.n > 0 && input.receivedAt > 0",
      input: { n: "${{ input.body.n }}", text: "${{ input.id }}/${{ input.headers['x-github-event'] }}" },
      headers: ["x-github-event", "x-absent"],
    };
    const { judged } = await judge(hook, await genuine());
    expect(judged).toMatchObject({ outcome: "accepted", input: { n: 1, text: "d-1/order.made" } });
    const other = await judge({ ...hook, filter: "input.body.n > 1" }, await genuine());
    expect(other.judged.outcome).toBe("filtered");
    expect(answerOf(other.judged)).toEqual({ status: 202 });
  });

  it("fails where an expression does, and says which and why", async () => {
    for (const [hook, code] of [
      [{ filter: "input.body.n" }, "filter_failed"],
      [{ filter: "input.body.absent.more > 1" }, "filter_failed"],
      [{ input: "${{ input.body.n + 'x' }}" }, "input_failed"],
    ] as const) {
      const { judged } = await judge(hook, await genuine());
      expect(judged).toMatchObject({
        outcome: "failed",
        code,
        detail: expect.stringContaining("input.body"),
      });
      expect(answerOf(judged)).toEqual({ status: 202 });
    }
  });

  it("is refused unread when it is too large, and to everybody outside all refusals are the same as no hook", async () => {
    const large = arrivalOf(await headersOf(GITHUB), new Uint8Array(MAX_BODY_BYTES + 1));
    const cases = [
      [await judge({ maxBodyBytes: 9 * MAX_BODY_BYTES }, large), "body_too_large"],
      [await judge({ maxBodyBytes: 10 }, await genuine()), "body_too_large"],
      [await judge({}, await forged()), "signature_wrong"],
      [await judge({ paused: true }, await genuine()), "paused"],
      [await judge({}, await genuine(), { makerStands: false }), "maker_revoked"],
      [await judge({}, arrivalOf({}, "{}")), "signature_missing"],
    ] as const;
    for (const [{ judged }, code] of cases) {
      expect(judged).toEqual({ outcome: "refused", code });
      expect(answerOf(judged)).toBe(NOT_THERE);
    }
  });

  it("without anything that tells it from copies has a key of its own each time", async () => {
    const arrival = arrivalOf(await headersOf(BASIC), BASIC.draft.body);
    const { judged } = await judge({ scheme: BASIC.settings }, arrival, { secret: BASIC.accepts });
    expect(judged).toMatchObject({ outcome: "accepted", key: "once:u1" });
  });

  it("that is a handshake is answered, also by a hook that is paused", async () => {
    const arrival = arrivalOf(await headersOf(GITHUB, { event: "ping" }), GITHUB.draft.body);
    const { judged } = await judge({ paused: true, filter: "false" }, arrival);
    expect(judged.outcome).toBe("handshake");
    expect(answerOf(judged)).toMatchObject({ status: 200, body: "pong" });
  });
});

describe("the rate of a hook", () => {
  const rate = { perMinute: 60, burst: 2 };

  it("holds genuine deliveries back, and says for how long", async () => {
    const first = await judge({ rate }, await genuine());
    const second = await judge({ rate }, await genuine(), { bucket: first.bucket });
    const third = await judge({ rate }, await genuine(), { bucket: second.bucket });
    expect([first, second, third].map(({ judged }) => judged.outcome)).toEqual([
      "accepted",
      "accepted",
      "limited",
    ]);
    expect(answerOf(third.judged)).toEqual({ status: 429, retryAfterS: 1 });
  });

  it("cannot be used up by who has no secret", async () => {
    const { judged, bucket } = await judge({ rate }, await forged(), { bucket: { tokens: 1, at: NOW } });
    expect(judged.outcome).toBe("refused");
    expect(bucket).toEqual({ tokens: 1, at: NOW });
  });
});

describe("what expressions see", () => {
  it("is never a header that proves who sends, whatever the hook names", async () => {
    for (const one of CASES) {
      const headers = await headersOf(one);
      const named = [...Object.keys(headers), "authorization", "Cookie", "X-Gitlab-Token"];
      const hook = { scheme: one.settings, headers: named, input: "${{ input.headers }}" };
      const { judged } = await judge(hook, arrivalOf({ ...headers, cookie: "c" }, one.draft.body), {
        secret: one.accepts,
      });
      expect(judged.outcome).toBe("accepted");
      const seen = JSON.stringify(judged);
      for (const proof of proofsIn(one, headers)) expect(seen).not.toContain(proof);
      expect(seen).not.toContain('"c"');
    }
    expect(maySee(HMAC, "X-ACME-SIGNATURE")).toBe(false);
    expect(maySee(HMAC, "x-acme-event")).toBe(true);
  });
});

describe("the log", () => {
  it("says why a delivery was refused, and nothing that its sender made up", async () => {
    const { judged } = await judge({}, await forged());
    expect(entryOf(judged, { at: NOW, bytes: 2 }, null)).toEqual({
      at: NOW,
      outcome: "refused",
      code: "signature_wrong",
      detail: null,
      bytes: 2,
      delivery: null,
      event: null,
      signedAt: null,
      secret: null,
      key: null,
      run: null,
    });
  });

  it("tells the run, and whether a copy had started it", async () => {
    const { judged } = await judge({}, await genuine());
    const when = { at: NOW, bytes: 60 };
    const done = (existed: boolean) => ({ kind: "done", run: { id: "run_1", existed }, revoked: 0 }) as const;
    const first = entryOf(judged, when, done(false));
    expect(first).toMatchObject({ outcome: "accepted", delivery: "d-1", event: "order.made", secret: "s1" });
    expect(entryOf(judged, when, done(true))).toEqual({ ...first, outcome: "duplicate" });
    const refused = { kind: "failed", code: "start_refused", detail: "policy_denied: no." } as const;
    expect(entryOf(judged, when, refused)).toEqual({
      ...first,
      ...{ outcome: "failed", code: "start_refused", detail: "policy_denied: no.", run: null },
    });
  });

  it("holds no secret and no signature", async () => {
    for (const one of CASES) {
      const headers = await headersOf(one);
      const { judged } = await judge({ scheme: one.settings }, arrivalOf(headers, one.draft.body), {
        secret: one.accepts,
      });
      const entry = JSON.stringify(entryOf(judged, { at: NOW, bytes: 1 }, null));
      expect(entry).not.toContain(one.accepts);
      for (const proof of proofsIn(one, headers)) expect(entry).not.toContain(proof);
    }
  });
});

it("keys of deliveries, of redeliveries, and of deliveries without an id are never the same", () => {
  const key = fc.oneof(
    fc.string().map((id) => `id:${id}`),
    fc.string().map((id) => `once:${id}`),
    fc.tuple(fc.string(), fc.nat()).map(([id, n]) => redeliveryKey(`id:${id}`, n)),
  );
  fc.assert(
    fc.property(key, key, fc.nat(), fc.nat(), (a, b, m, n) => {
      if (a === b && m === n) return;
      expect(redeliveryKey(a, m)).not.toBe(redeliveryKey(b, n));
      expect(redeliveryKey(a, m).startsWith("id:")).toBe(false);
    }),
  );
});

it("of 200 deliveries, each five times, with other times and bodies, 200 runs come", async () => {
  const serverKey = await importHmacKey(new Uint8Array(32).fill(1));
  const runs = new Set<string>();
  for (const one of CASES.filter(({ name }) => name === "standard (v1)" || name === "github")) {
    const hook = { scheme: one.settings };
    for (let n = 0; n < 100; n += 1)
      for (let copy = 0; copy < 5; copy += 1) {
        const body = new TextEncoder().encode(`{"copy":${copy}}`);
        const headers = await headersOf(one, { id: `m-${n}`, sentAt: NOW - copy * 1_000, body });
        const { judged } = await judge(hook, arrivalOf(headers, body), { secret: one.accepts });
        if (judged.outcome !== "accepted") throw new Error(judged.outcome);
        const source = { tenant: "default", kind: "hook", id: `hook_${one.name}` } as const;
        runs.add(await runIdOf(serverKey, { ...source, idempotencyKey: judged.key }));
      }
  }
  expect(runs.size).toBe(200);
});

describe("a body", () => {
  it.each(['"\\ud800"', '{"a":["\\uDC00 b"]}', '{"\\ud83d":1}'])(
    "that holds half of a surrogate pair is no text: %s",
    (text) => {
      const json = arrivalOf({ "content-type": "application/json" }, text);
      expect(readPayload(json)).toEqual({ ok: false, error: "body_unreadable" });
      const form = { "content-type": "application/x-www-form-urlencoded" };
      const held = arrivalOf(form, `payload=${encodeURIComponent(text)}`);
      expect(readPayload(held)).toEqual({ ok: false, error: "body_unreadable" });
    },
  );

  it("with a whole pair is one", () => {
    const json = arrivalOf({ "content-type": "application/json" }, '"\\ud83d\\ude00"');
    expect(readPayload(json)).toEqual({ ok: true, value: "\u{1f600}" });
  });
});

describe("a form", () => {
  it("with a field as often as there is room for it is read as a list, not copied with each of them", () => {
    const times = 250_000;
    const arrival = arrivalOf({ "content-type": "application/x-www-form-urlencoded" }, "a&".repeat(times));
    const read = readPayload(arrival);
    // Copied with each, it would be 30,000 million texts, and no test may take so long.
    expect(read.ok && (read.value as { a: readonly string[] }).a.length).toBe(times);
  });
});
