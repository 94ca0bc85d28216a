/** Runs while token services, clocks, keys and the exchanging object fail: how each ends, and what it cost at the world. */
import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RunView } from "../../../src/run/index.ts";
import { expectAnswer } from "../api-support.ts";
import { ledgerSince, referee, step } from "../run-support.ts";
import { Clock, CloudTenant, forget, settings, type Started, trust } from "./support.ts";

const TENANT = "cloud-trouble";
const STEP_MS = 60_000;
const HOUR_MS = 3_600_000;
const DIRECTORY = "aaaaaaaa-0000-4000-8000-0000000000c1";
const CROWD = 200;
/** Enough to see that they share, where a crowd would only take longer. */
const SOME = 20;

const clock = new Clock("exchange", "exchange-api", "azure");
let tenant: CloudTenant;
let roles = 0;

beforeAll(async () => {
  tenant = await CloudTenant.begin(TENANT);
}, 30_000);
afterEach(async () => {
  await clock.back();
  await settings("exchange", { jwksCacheMs: 300_000, refetchUnknownKid: true });
});

/** A role and a workflow of its own, so an object of its own. */
class Scene {
  readonly name: string;
  readonly service: "exchange" | "azure";

  private constructor(name: string, service: "exchange" | "azure") {
    this.name = name;
    this.service = service;
  }

  static async begin(service: "exchange" | "azure" = "exchange"): Promise<Scene> {
    roles += 1;
    const name = `trouble-${roles}`;
    const asked =
      service === "exchange"
        ? "https://api.exchange.example/whoami"
        : `https://invoices.blob.core.windows.net/trouble/${name}`;
    const subject = `tenant:${TENANT}:plan:${name}`;
    if (service === "exchange") {
      const audience = `https://tokens.exchange.example/${roles}`;
      await tenant.role(name, {
        ...{ provider: "token_exchange", token_url: "https://tokens.exchange.example/token", audience },
        ...{ hosts: ["api.exchange.example"], workflows: [`plan:${name}`] },
      });
      await trust({ kind: "exchange", issuer: tenant.issuer, audience, subject, once: true });
    } else {
      const clientId = `bbbbbbbb-0000-4000-8000-${String(roles).padStart(12, "0")}`;
      await tenant.role(name, {
        ...{ provider: "azure", directory: DIRECTORY, client_id: clientId },
        ...{ scope: "https://storage.azure.com/.default" },
        ...{ hosts: ["invoices.blob.core.windows.net"], workflows: [`plan:${name}`] },
      });
      await trust(
        { kind: "azure_app", directory: DIRECTORY, clientId },
        {
          ...{ kind: "azure_credential", clientId, name, issuer: tenant.issuer, subject },
          audiences: ["api://AzureADTokenExchange"],
        },
        { kind: "azure_container", name: "trouble", clientIds: [clientId] },
      );
    }
    await tenant.publish();
    await tenant.plan(name, {
      ask: {
        ...{ action: "http", timeout: `${STEP_MS}ms`, effect: "safe" },
        with: {
          method: service === "exchange" ? "GET" : "PUT",
          url: asked,
          auth: { cloud: name },
          ...(service === "exchange"
            ? {}
            : { text: "Invoice", headers: { "x-ms-version": "2025-01-05", "x-ms-blob-type": "BlockBlob" } }),
        },
      },
    });
    return new Scene(name, service);
  }

  async start(): Promise<Started> {
    return tenant.start({ workflow: this.name, input: {} });
  }

  async crowd(size: number): Promise<Started[]> {
    return Promise.all(Array.from({ length: size }, async () => this.start()));
  }

  /** By what the service said to each: null for a credential. */
  async exchanges(): Promise<(string | null)[]> {
    const subject = `tenant:${TENANT}:plan:${this.name}`;
    return (await tenant.exchanges(this.service, subject)).map(({ refused }) => refused);
  }
}

interface Arrived {
  readonly service: string;
  readonly method: string;
  readonly at: number;
  readonly status: number | null;
}

/** Where the ledger ends now. */
async function now(): Promise<number> {
  return (await ledgerSince()).next;
}

/** What has arrived at a token service since then. */
async function since(revision: number, service = "exchange"): Promise<readonly Arrived[]> {
  const { entries } = await ledgerSince<Arrived>(revision);
  return entries.filter((entry) => entry.service === service);
}

/** Waits until something has. */
async function arrival(revision: number, service = "exchange"): Promise<void> {
  for (let from = revision; ;) {
    const page = await referee<{ entries: Arrived[]; next: number }>(
      "GET",
      `/ledger?since=${from}&wait=5000`,
    );
    if (page.entries.some((entry) => entry.service === service)) return;
    from = page.next;
  }
}

async function fails(...rules: readonly object[]): Promise<void> {
  await referee(
    "POST",
    "/faults",
    rules.map((rule) => ({ service: "exchange", ...rule })),
  );
}

async function allEnded(runs: readonly Started[]): Promise<readonly RunView[]> {
  return Promise.all(runs.map(async (run) => run.ended()));
}

const statuses = (seen: readonly RunView[]): Set<string> => new Set(seen.map(({ status }) => status));
const longest = (seen: readonly RunView[]): number =>
  Math.max(...seen.map(({ started_at: from, ended_at: to }) => (to ?? Infinity) - from));

/** Why a run has waited, oldest first. */
async function waitedFor(run: Started): Promise<unknown[]> {
  const events = await run.events();
  return events.filter(({ type }) => type === "parked").map(({ data }) => (data as { need: unknown }).need);
}

const parked = (seen: RunView): boolean => step(seen, "ask").waiting_for !== undefined;

describe("200 runs at once", () => {
  it("of one role are one exchange", { timeout: 120_000 }, async () => {
    const scene = await Scene.begin();
    const seen = await allEnded(await scene.crowd(CROWD));
    expect(statuses(seen)).toEqual(new Set(["succeeded"]));
    expect(await scene.exchanges()).toEqual([null]);
    expect(new Set(seen.map((run) => step(run, "ask").attempts))).toEqual(new Set([1]));
  });

  it(
    "are two where the object that exchanges dies half way, and none waits longer than its step may take",
    { timeout: 120_000 },
    async () => {
      const scene = await Scene.begin();
      const from = await now();
      await fails({ path: "/token", times: 1, fault: { kind: "late", ms: 2 * STEP_MS } });
      const runs = await scene.crowd(CROWD);
      await arrival(from);
      for (const id of await listDurableObjectIds(env.CREDENTIAL))
        await runInDurableObject(env.CREDENTIAL.get(id), (_object, state) => {
          state.abort("killed by a test");
        }).catch(() => {});
      const seen = await allEnded(runs);
      expect(statuses(seen)).toEqual(new Set(["succeeded"]));
      expect(await scene.exchanges()).toEqual([null, null]);
      // Nor as long as the answer that the dead one waited for.
      expect(longest(seen)).toBeLessThan(STEP_MS);
    },
  );
});

describe("a token service", () => {
  it(
    "that is down for a while is asked after 1 and 2 seconds, by one for all",
    { timeout: 60_000 },
    async () => {
      const scene = await Scene.begin();
      const from = await now();
      await fails({ path: "/token", times: 2, fault: { kind: "status", status: 503 } });
      const runs = await scene.crowd(SOME);
      const seen = await allEnded(runs);
      expect(statuses(seen)).toEqual(new Set(["succeeded"]));
      expect((await since(from)).map(({ status }) => status)).toEqual([503, 503, 200]);
      expect(await waitedFor(runs[0] as Started)).toContainEqual(
        expect.objectContaining({ kind: "cloud", role: scene.name, reason: "unavailable" }),
      );
      expect(new Set(seen.map((run) => step(run, "ask").attempts))).toEqual(new Set([1]));
    },
  );

  it("that throttles is not asked before it said", { timeout: 60_000 }, async () => {
    const scene = await Scene.begin();
    const from = await now();
    await fails({ path: "/token", times: 1, fault: { kind: "status", status: 429, retryAfterSeconds: 3 } });
    const seen = await allEnded(await scene.crowd(SOME));
    expect(statuses(seen)).toEqual(new Set(["succeeded"]));
    const [first, second, ...more] = await since(from);
    expect([first?.status, second?.status, more]).toEqual([429, 200, []]);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(3_000);
  });

  it("that is slow, or whose answer is lost, fails nobody", { timeout: 60_000 }, async () => {
    const scene = await Scene.begin();
    await fails({ path: "/token", times: 1, fault: { kind: "slow", ms: 1_500 } });
    expect(statuses(await allEnded(await scene.crowd(SOME)))).toEqual(new Set(["succeeded"]));
    expect(await scene.exchanges()).toEqual([null]);
    const other = await Scene.begin();
    await fails({ path: "/token", times: 1, fault: { kind: "lost_answer" } });
    expect(statuses(await allEnded(await other.crowd(SOME)))).toEqual(new Set(["succeeded"]));
    // The first token was used up, though nobody heard of what it gave.
    expect(await other.exchanges()).toEqual([null, null]);
  });
});

describe("a service's clock that is wrong by an hour", () => {
  it.each([
    ["azure", "ahead", HOUR_MS, "700024", "unavailable"],
    ["azure", "behind", -HOUR_MS, "700024", "unavailable"],
    ["exchange", "ahead", HOUR_MS, "invalid_request", "propagating"],
    ["exchange", "behind", -HOUR_MS, "invalid_request", "propagating"],
  ] as const)(
    "%s, %s: its runs wait, and go on once it is right",
    async (service, _, skewMs, code, reason) => {
      const scene = await Scene.begin(service);
      await settings(service, { skewMs });
      const run = await scene.start();
      const waits = await run.until(parked);
      expect(step(waits, "ask").waiting_for).toMatchObject({ kind: "cloud", role: scene.name, reason });
      // A second identity token was tried at once.
      expect((await scene.exchanges()).slice(0, 2)).toEqual([code, code]);
      await clock.later(20_000);
      await run.ring();
      const seen = await run.ended();
      expect(seen.status).toBe("succeeded");
      expect((await scene.exchanges()).at(-1)).toBeNull();
    },
    30_000,
  );
});

describe("a key that is taken back", () => {
  /** From here on a fresh one signs. */
  async function revoke(): Promise<void> {
    interface Keys {
      readonly keys: readonly { readonly kid: string; readonly state: string }[];
    }
    const { keys } = await expectAnswer<Keys>(await tenant.send("GET", "/v1/issuer"), "getIssuer", 200);
    const active = keys.find(({ state }) => state === "active");
    await expectAnswer(
      await tenant.send("POST", `/v1/issuer/keys/${active?.kid ?? ""}/revoke`),
      "revokeIssuerKey",
      200,
    );
    await clock.later(11_000);
    await tenant.publish();
  }

  it("is no hindrance where a service asks again for a key that it does not know", async () => {
    const before = await Scene.begin();
    expect((await (await before.start()).ended()).status).toBe("succeeded");
    const scene = await Scene.begin();
    await revoke();
    const run = await scene.start();
    expect((await run.ended()).status).toBe("succeeded");
    expect(await waitedFor(run)).toEqual([]);
    expect(await scene.exchanges()).toEqual([null]);
  }, 30_000);

  it("is waited out where a service goes on with the keys that it remembers", async () => {
    await forget();
    const before = await Scene.begin();
    await settings("exchange", { refetchUnknownKid: false, jwksCacheMs: HOUR_MS });
    expect((await (await before.start()).ended()).status).toBe("succeeded");
    const scene = await Scene.begin();
    await revoke();
    const run = await scene.start();
    const waits = await run.until(parked);
    expect(step(waits, "ask").waiting_for).toMatchObject({ kind: "cloud", reason: "propagating" });
    expect(await scene.exchanges()).toEqual(["invalid_request", "invalid_request"]);
    // Who has a credential is not held up by it.
    expect((await (await before.start()).ended()).status).toBe("succeeded");
    await settings("exchange", { jwksCacheMs: 0 });
    await clock.later(20_000);
    await run.ring();
    expect((await run.ended()).status).toBe("succeeded");
    expect((await scene.exchanges()).at(-1)).toBeNull();
  }, 30_000);
});
