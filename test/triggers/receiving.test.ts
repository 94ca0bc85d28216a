/** The way of a delivery over ports that a test disturbs: isolates that remember, a database and objects that are away. */
import { describe, expect, it } from "vitest";
import { createSeenCache } from "../../src/access/seen-cache.ts";
import { createValueExpressions } from "../../src/define/index.ts";
import { createLogger, err, importHmacKey, ok, runIdOf } from "../../src/platform/index.ts";
import type { Hook } from "../../src/triggers/hooks/hook.ts";
import type { ToldDelivery } from "../../src/triggers/hooks/hook-rpc.ts";
import type { OpenSecret } from "../../src/triggers/hooks/hooks.ts";
import { createReceiving, type KnownHook, type Reception } from "../../src/triggers/hooks/receiving.ts";
import { revocationOf } from "../../src/triggers/hooks/revocations.ts";
import { MAX_BODY_BYTES } from "../../src/triggers/judging.ts";
import { makeDelivery } from "../../src/triggers/schemes/verify.ts";
import { StartHeldBack, type TriggeredStart } from "../../src/triggers/start-port.ts";
import { createVault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";
import { NOW, utf8 } from "./deliveries.ts";

const SECRET = "a-secret-of-this-test";
const NEXT = "the-next-secret-of-it";

/** A deployment: one database and the runs' objects, and isolates that come and go. */
class Deployment {
  now = NOW;
  hook: Hook | null = {
    ...{ tenant: "default", name: "push", id: "hook_1", workflow: "echo", revokes: null, user: "ada" },
    ...{ version: 1, createdAt: 0, createdBy: "key:k", updatedAt: 0, pausedReason: null },
    ...{ scheme: { scheme: "github" }, paused: false, maxBodyBytes: MAX_BODY_BYTES, rate: null },
    ...{ filter: null, input: undefined, headers: [] },
    maker: { actor: "key:k", policies: [{ workflows: ["echo"] }] },
  };
  secrets: OpenSecret[] = [{ id: "s1", text: SECRET, until: null }];
  makerStands = true;
  readonly runs = new Map<string, TriggeredStart>();
  readonly told: ToldDelivery[] = [];
  readonly reads = { hooks: 0, paused: 0 };
  /** What becomes of the next starts, and of all else. */
  readonly starts: ("lost before" | "lost after" | "refused" | "held back")[] = [];
  /** The quota of deliveries holds them back for so long; null: it does not. */
  heldMs: number | null = null;
  isDatabaseAway = false;
  isObjectAway = false;
  waitMs = 0;
  revoked: unknown[] = [];
  readonly #later: Promise<unknown>[] = [];

  isolate() {
    const away = (): never => {
      throw new Error("away");
    };
    const vault = createVault(ring("k1", { k1: 1 }));
    return createReceiving({
      hooks: {
        find: async () => {
          if (this.isDatabaseAway) away();
          this.reads.hooks += 1;
          return this.hook === null ? err({ code: "not_found" }) : ok(this.hook);
        },
        secretsOf: async () => this.secrets,
        pause: async () => {
          this.reads.paused += 1;
        },
      },
      seen: createSeenCache<KnownHook>(),
      vault: () => vault,
      expressions: createValueExpressions(),
      starter: {
        start: async (start) => {
          const fate = this.starts.shift();
          if (fate === "lost before") away();
          if (fate === "held back") throw new StartHeldBack("active_runs", 2_000);
          if (fate === "refused") return { kind: "refused", code: "policy_denied", message: "No." };
          const created = !this.runs.has(start.id);
          if (created) this.runs.set(start.id, start);
          if (fate === "lost after") away();
          return { kind: "started", created, run: start.id };
        },
      },
      deliver: async () => (this.heldMs === null ? null : { retryMs: this.heldMs }),
      runIdOf: async (source) => runIdOf(await importHmacKey(new Uint8Array(32).fill(3)), source),
      makerStands: async () => this.makerStands,
      object: () => ({
        take: async () => (this.isObjectAway ? away() : this.waitMs),
        tell: async (_, told) => {
          if (this.isObjectAway) away();
          this.told.push(told);
        },
        log: away,
        find: away,
        eraseRun: away,
        forget: away,
      }),
      revoke: async (...what) => this.revoked.push(what),
      defer: (work) => this.#later.push(work),
      log: createLogger("error", () => {}),
      now: () => this.now,
    });
  }

  async settled(): Promise<void> {
    await Promise.all(this.#later);
  }

  codes(): (string | null)[] {
    return this.told.map(({ entry }) => entry.code ?? entry.outcome);
  }
}

type Isolate = ReturnType<Deployment["isolate"]>;

async function deliver(
  isolate: Isolate,
  id: string,
  { secret = SECRET, body = '{"n":1}' }: { secret?: string; body?: string } = {},
): Promise<Reception> {
  const draft = { id, event: "push", sentAt: NOW, body: utf8(body) };
  const headers = new Headers(await makeDelivery({ scheme: "github" }, draft, secret));
  return isolate.receive("default", "push", { headers, body: new Blob([body]).stream(), traceparent: null });
}

describe("of copies", () => {
  it("at many isolates, with starts that are lost before and after, one run comes, and every sender is told the truth", async () => {
    const all = new Deployment();
    all.starts.push("lost after", "lost before");
    const statuses: number[] = [];
    for (let copy = 0; copy < 6; copy += 1)
      statuses.push((await deliver(all.isolate(), "d-1", { body: `{"copy":${copy}}` })).status);
    expect(statuses).toEqual([503, 503, 202, 202, 202, 202]);
    expect(all.runs.size).toBe(1);
    await all.settled();
    expect(all.codes()).toEqual([
      "unavailable",
      "unavailable",
      ...Array.from({ length: 4 }, () => "duplicate"),
    ]);
  });

  it("what a quota of the tenant holds back is answered with when to send it again, and begins nothing until then", async () => {
    const all = new Deployment();
    all.starts.push("held back");
    expect(await deliver(all.isolate(), "d-1")).toEqual({ status: 429, retryAfterS: 2 });
    all.heldMs = 1_500;
    expect(await deliver(all.isolate(), "d-1")).toEqual({ status: 429, retryAfterS: 2 });
    expect(all.runs.size).toBe(0);
    all.heldMs = null;
    expect((await deliver(all.isolate(), "d-1")).status).toBe(202);
    await all.settled();
    expect(all.codes()).toEqual(["quota_exceeded", "limited", "accepted"]);
  });

  it("each start says who answers for it, in whose name, and what is the same at every try", async () => {
    const all = new Deployment();
    const isolate = all.isolate();
    await deliver(isolate, "d-1");
    await deliver(isolate, "d-2");
    const [one, two] = [...all.runs.values()];
    expect(one).toMatchObject({
      ...{ tenant: "default", user: "ada", startedBy: "hook:push", maker: all.hook?.maker },
      target: { workflow: "echo", input: { n: 1 }, tags: [] },
    });
    expect(one?.bodyDigest).not.toBe(two?.bodyDigest);
  });
});

describe("an isolate", () => {
  it("asks the database once in a minute, and learns of what others changed by then", async () => {
    const all = new Deployment();
    const isolate = all.isolate();
    for (let n = 0; n < 5; n += 1) await deliver(isolate, `d-${n}`);
    expect(all.reads.hooks).toBe(1);
    all.hook = { ...all.hook!, paused: true };
    expect((await deliver(isolate, "d-5")).status).toBe(202);
    all.now += 60_000;
    expect((await deliver(isolate, "d-6")).status).toBe(404);
    isolate.forget("default", "push");
    all.hook = { ...all.hook, paused: false };
    expect((await deliver(isolate, "d-7")).status).toBe(202);
  });

  it("takes a secret that another one added after a few seconds, and asks no more often however much is forged", async () => {
    const all = new Deployment();
    const isolate = all.isolate();
    await deliver(isolate, "d-1");
    all.secrets = [{ id: "s2", text: NEXT, until: null }, ...all.secrets];
    expect((await deliver(isolate, "d-2", { secret: NEXT })).status).toBe(404);
    all.now += 5_000;
    expect((await deliver(isolate, "d-2", { secret: NEXT })).status).toBe(202);
    for (let n = 0; n < 50; n += 1) await deliver(isolate, `f-${n}`, { secret: "somebody-elses-secret" });
    expect(all.reads.hooks).toBe(2);
  });

  it("stops taking a secret at its end, also one that it remembers", async () => {
    const all = new Deployment();
    all.secrets = [{ id: "s1", text: SECRET, until: NOW + 1_000 }];
    const isolate = all.isolate();
    expect((await deliver(isolate, "d-1")).status).toBe(202);
    all.now += 1_000;
    expect((await deliver(isolate, "d-2")).status).toBe(404);
  });

  it("remembers for five seconds that there is no hook", async () => {
    const all = new Deployment();
    const { hook } = all;
    all.hook = null;
    const isolate = all.isolate();
    for (let n = 0; n < 5; n += 1) expect((await deliver(isolate, "d-1")).status).toBe(404);
    expect(all.reads.hooks).toBe(1);
    all.hook = hook;
    all.now += 5_000;
    expect((await deliver(isolate, "d-1")).status).toBe(202);
  });

  it("tells of few deliveries that nobody could prove, and of every one that is genuine", async () => {
    const all = new Deployment();
    const isolate = all.isolate();
    for (let n = 0; n < 100; n += 1) await deliver(isolate, `f-${n}`, { secret: "somebody-elses-secret" });
    for (let n = 0; n < 30; n += 1) await deliver(isolate, `d-${n}`);
    await all.settled();
    expect(all.codes().filter((code) => code === "signature_wrong")).toHaveLength(10);
    expect(all.codes().filter((code) => code === "accepted")).toHaveLength(30);
  });
});

describe("while something is away", () => {
  it("the database: the sender is told to send again, unless the hook is remembered", async () => {
    const all = new Deployment();
    const isolate = all.isolate();
    all.isDatabaseAway = true;
    expect(await deliver(isolate, "d-1")).toEqual({ status: 503 });
    all.isDatabaseAway = false;
    await deliver(isolate, "d-1");
    all.isDatabaseAway = true;
    expect((await deliver(isolate, "d-2")).status).toBe(202);
    expect(all.runs.size).toBe(2);
  });

  it("the database: a forged delivery does not take the remembered hook from the service", async () => {
    const all = new Deployment();
    const isolate = all.isolate();
    await deliver(isolate, "d-1");
    all.isDatabaseAway = true;
    all.now += 5_000;
    expect(await deliver(isolate, "f-1", { secret: "somebody-elses-secret" })).toEqual({ status: 503 });
    expect((await deliver(isolate, "d-2")).status).toBe(202);
    all.isDatabaseAway = false;
    all.hook = null;
    expect((await deliver(isolate, "f-2", { secret: "somebody-elses-secret" })).status).toBe(404);
    expect((await deliver(isolate, "d-3")).status).toBe(404);
  });

  it("the hook's object: only a hook with a rate waits for it", async () => {
    const all = new Deployment();
    all.isObjectAway = true;
    expect((await deliver(all.isolate(), "d-1")).status).toBe(202);
    all.hook = { ...all.hook!, rate: { perMinute: 1, burst: 1 } };
    expect((await deliver(all.isolate(), "d-2")).status).toBe(503);
    expect(all.runs.size).toBe(1);
    all.isObjectAway = false;
    all.waitMs = 1_500;
    expect(await deliver(all.isolate(), "d-2")).toEqual({ status: 429, retryAfterS: 2 });
  });
});

describe("a flood", () => {
  it("of what is held back is told of a few times: what was taken before stays in the log", async () => {
    const all = new Deployment();
    all.hook = { ...all.hook!, rate: { perMinute: 60, burst: 1 } };
    const one = all.isolate();
    await deliver(one, "d-0");
    all.waitMs = 1_000;
    for (let n = 1; n <= 300; n += 1) await deliver(one, `d-${n}`);
    await all.settled();
    expect(all.codes()).toEqual(["accepted", ...Array.from({ length: 10 }, () => "limited")]);
    all.now += 10_000;
    await deliver(one, "d-301");
    await all.settled();
    expect(all.codes()).toHaveLength(12);
  });

  it("of what nobody can prove hides nothing that was the sender's own and refused", async () => {
    const all = new Deployment();
    all.hook = { ...all.hook!, paused: true };
    const one = all.isolate();
    for (let n = 0; n < 30; n += 1) await deliver(one, `f-${n}`, { secret: "somebody-elses-secret" });
    await deliver(one, "d-1");
    await all.settled();
    expect(all.codes().filter((code) => code === "signature_wrong")).toHaveLength(10);
    expect(all.codes()).toContain("paused");
  });
});

describe("a start that is refused", () => {
  it("is the log's to tell, and keeps the body so that it can be delivered anew", async () => {
    const all = new Deployment();
    all.starts.push("refused");
    expect((await deliver(all.isolate(), "d-1")).status).toBe(202);
    await all.settled();
    expect(all.told).toMatchObject([
      {
        entry: { outcome: "failed", code: "start_refused", detail: "policy_denied: No.", run: null },
        sealed: expect.stringMatching(/^v1\.k1\./),
      },
    ]);
  });

  it("because who answers for the hook may act no more pauses it", async () => {
    const all = new Deployment();
    all.makerStands = false;
    expect((await deliver(all.isolate(), "d-1")).status).toBe(404);
    await all.settled();
    expect([all.codes(), all.reads.paused, all.runs.size]).toEqual([["maker_revoked"], 1, 0]);
    // Nobody pauses a hook by sending to it what is not genuine.
    await deliver(all.isolate(), "d-2", { secret: "somebody-elses-secret" });
    expect(all.reads.paused).toBe(1);
  });
});

describe("what a delivery says was taken back", () => {
  const slack = { scheme: "slack" } as const;
  const github = { scheme: "github" } as const;
  it.each([
    [
      "of users and bots",
      slack,
      "tokens_revoked",
      { team_id: "T", event_time: 9, event: { tokens: { oauth: ["U"], bot: ["B"] } } },
      { accounts: ["T:U", "T:B"], at: 10_000 },
    ],
    [
      "of a workspace",
      slack,
      "app_uninstalled",
      { team_id: "T", event_time: 9 },
      { accounts: { prefix: "T:" }, at: 10_000 },
    ],
    ["of no workspace", slack, "app_uninstalled", {}, null],
    [
      "of nobody",
      slack,
      "tokens_revoked",
      { team_id: "T", event: { tokens: { oauth: [], bot: [{}] } } },
      null,
    ],
    ["of something else", slack, "message", { team_id: "T", event: { tokens: { oauth: ["U"] } } }, null],
    [
      "of an account",
      github,
      "github_app_authorization",
      { action: "revoked", sender: { id: 7 } },
      { accounts: ["7"], at: null },
    ],
    [
      "of an installation",
      github,
      "installation",
      { action: "deleted", installation: { account: { id: 7 } } },
      { accounts: ["7"], at: null },
    ],
    [
      "of an installation that was made",
      github,
      "installation",
      { action: "created", installation: { account: { id: 7 } } },
      null,
    ],
    [
      "of nobody whose id is one",
      github,
      "github_app_authorization",
      { action: "revoked", sender: { id: {} } },
      null,
    ],
    ["in another scheme's words", { scheme: "stripe" } as const, "app_uninstalled", { team_id: "T" }, null],
  ] as const)("%s", (_, scheme, event, payload, expected) => {
    expect(revocationOf(scheme, { event, payload })).toEqual(expected);
  });
});
