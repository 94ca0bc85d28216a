/** Who shares which credentials, and what becomes of it when services, clocks and objects fail. */
import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { SETTLING_MS } from "../../src/identity/exchange.ts";
import {
  createCredentials,
  type CredentialAnswer,
  type Credentials,
  type CredentialRpc,
} from "../../src/identity/index.ts";
import { wantedLifeMs } from "../../src/identity/needed-life.ts";
import { credentialObjectName, exchangeKey } from "../../src/identity/credential-rpc.ts";
import { FLIGHT_MS, FORCED_REST_MS } from "../../src/identity/keeping.ts";
import { neededLifeMs } from "../../src/identity/needed-life.ts";
import type { CloudRole } from "../../src/identity/role.ts";
import { createLogger } from "../../src/platform/index.ts";
import { LONG_AGO, roleOf, TARGETS, WHO } from "../identity/support.ts";
import { CredentialHouse, credentialHouses } from "./credential-house.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const STEP_MS = wantedLifeMs(MINUTE_MS);

let house: CredentialHouse;
let role: CloudRole;
let roles = 0;

beforeEach(() => {
  house = new CredentialHouse();
  credentialHouses.current = house;
  roles += 1;
  // A role of its own for each test, so an object of its own.
  role = roleOf(TARGETS.azure, { id: `role_${roles}`, tenant: "credential-tests", updatedAt: LONG_AGO });
});

function objectOf(name: string): CredentialRpc {
  const stub: unknown = env.CREDENTIAL.getByName(name);
  return stub as CredentialRpc;
}

/** One isolate. */
function isolate(callMs?: number): Credentials {
  const more = callMs === undefined ? {} : { callMs };
  return createCredentials({ objectOf, now: () => house.now, log: createLogger("error", () => {}), ...more });
}

/** One that knows nothing yet. */
const get = async (
  neededMs = STEP_MS,
  refused?: string,
  of = role,
  who: Parameters<Credentials["get"]>[1] = WHO,
) => isolate().get(of, who, neededMs, refused);

const saying = (answer: CredentialAnswer): string =>
  answer.ok ? (answer.credential.kind === "bearer" ? answer.credential.token : "?") : answer.refusal.code;
const nth = (n: number): string => `the-access-token-number-${n}`;

async function given(neededMs = STEP_MS, refused?: string): Promise<Extract<CredentialAnswer, { ok: true }>> {
  const answer = await get(neededMs, refused);
  if (!answer.ok) throw new Error(answer.refusal.code);
  return answer;
}

const crowd = async (size: number, one: () => Promise<CredentialAnswer>): Promise<string[]> =>
  (await Promise.all(Array.from({ length: size }, one))).map(saying);

describe("200 runs at once", () => {
  it("make one exchange, from 200 isolates", async () => {
    expect(new Set(await crowd(200, get))).toEqual(new Set([nth(1)]));
    expect([house.reached, house.minted.length]).toEqual([1, 1]);
  });

  it("make one exchange from one isolate, and the next 200 ask nobody", async () => {
    const one = isolate();
    const all = async () => crowd(200, async () => one.get(role, WHO, STEP_MS));
    expect(new Set(await all())).toEqual(new Set([nth(1)]));
    await abortAllDurableObjects();
    expect(new Set(await all())).toEqual(new Set([nth(1)]));
    expect(house.reached).toBe(1);
  });

  it("make two exchanges where the object that exchanges dies half way, and nobody is left behind", async () => {
    house.fates.push({ diesAt: 200 });
    expect(new Set(await crowd(200, get))).toEqual(new Set([nth(1)]));
    expect([house.reached, house.minted.length]).toEqual([2, 2]);
    // Each has a token of its own, never one that was seen before.
    expect(house.given).toBe(1);
  });

  it("none waits longer than it may where the object dies each time", async () => {
    house.standing = { diesAt: 50 };
    expect(new Set(await crowd(50, get))).toEqual(new Set(["credential_unavailable"]));
    expect(house.given).toBe(0);
  });

  it("wait no longer than each may for a service that is slow, and have what comes when they come again", async () => {
    house.waiterMs = 20;
    house.hold();
    const arrived = house.arrival();
    const all = crowd(200, get);
    await arrived;
    expect(new Set(await all)).toEqual(new Set(["exchange_slow"]));
    house.release();
    house.waiterMs = 20_000;
    expect(new Set(await crowd(200, get))).toEqual(new Set([nth(1)]));
    expect(house.reached).toBe(1);
  });

  it("one whose object never answers gives up by itself", async () => {
    const silent: CredentialRpc = { get: async () => new Promise(() => {}) };
    const credentials = createCredentials({
      objectOf: () => silent,
      now: () => house.now,
      log: createLogger("error", () => {}),
      callMs: 20,
    });
    expect(saying(await credentials.get(role, WHO, STEP_MS))).toBe("credential_unavailable");
  });

  it("meet one request where the service throttles, and the next not before it said", async () => {
    house.standing = { status: 429, error: "slow_down", retryAfter: 30 };
    expect(new Set(await crowd(200, get))).toEqual(new Set(["slow_down"]));
    expect(house.reached).toBe(1);
    house.later(30 * SECOND_MS - 1);
    const early = await get();
    expect(early).toMatchObject({ refusal: { kind: "passing", retryAfterMs: 1 } });
    expect(house.reached).toBe(1);
    house.standing = "ok";
    house.later(1);
    expect(new Set(await crowd(200, get))).toEqual(new Set([nth(1)]));
    expect(house.reached).toBe(2);
  });
});

describe("a service that asks for a day", () => {
  it.each([
    ["is asked again after five minutes where time mends it", { status: 503 }, 5 * MINUTE_MS],
    [
      "is asked again after ten seconds where a person mends it",
      { status: 403, error: "access_denied" },
      10 * SECOND_MS,
    ],
  ])("%s", async (_, standing, restMs) => {
    house.standing = { ...standing, retryAfter: 86_400 };
    await get();
    house.standing = "ok";
    house.later(restMs);
    expect(saying(await get())).toBe(nth(1));
  });
});

describe("what a crowd costs while a service is down", () => {
  it("is a request after 1, 2, 4 seconds and so on, up to one a minute", async () => {
    house.standing = { status: 503 };
    const at: number[] = [];
    const began = house.now;
    for (let s = 0; s < 300; s += 1) {
      const before = house.reached;
      await get();
      if (house.reached > before) at.push((house.now - began) / SECOND_MS);
      house.later(SECOND_MS);
    }
    expect(at).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    house.standing = "ok";
    house.later(MINUTE_MS);
    expect(saying(await get())).toBe(nth(1));
    // The next failure is a first one again.
    house.standing = { status: 503 };
    house.later(HOUR_MS);
    expect(await get()).toMatchObject({ refusal: { retryAfterMs: SECOND_MS } });
  });

  it("a mistake that is mended at the cloud is seen within ten seconds", async () => {
    house.standing = { status: 400, error: "invalid_client" };
    for (let i = 0; i < 8; i += 1) {
      expect(await get()).toMatchObject({ refusal: { kind: "configuration" } });
      house.later(10 * SECOND_MS);
    }
    house.standing = "ok";
    expect(saying(await get())).toBe(nth(1));
  });

  it("what still lives is given, as long as it lives", async () => {
    await given();
    house.standing = { status: 503 };
    house.later(14 * MINUTE_MS);
    expect(saying(await get())).toBe(nth(1));
    expect(house.reached).toBe(2);
    house.later(29 * SECOND_MS);
    expect(saying(await get())).toBe(nth(1));
    house.later(SECOND_MS);
    expect(saying(await get())).toBe("http_503");
  });

  it("but not where somebody has taken the trust away", async () => {
    await given();
    house.standing = { status: 400, error: "unauthorized_client" };
    house.later(14 * MINUTE_MS);
    expect(await get()).toMatchObject({ refusal: { kind: "configuration", code: "unauthorized_client" } });
  });

  it("a service that takes longer than its credential lives gives nothing", async () => {
    house.lifeS = 40;
    house.takesMs = 30 * SECOND_MS;
    expect(saying(await get())).toBe("credential_spent");
  });
});

describe("a verifier that does not know a key or a trust yet", () => {
  const unknownKey = { status: 400, error: "invalid_grant" } as const;

  it("is waited for where it has worked before, and for no longer than ten minutes", async () => {
    await given();
    house.later(HOUR_MS);
    house.standing = unknownKey;
    const began = house.now;
    const kinds = new Set<string>();
    while (house.now - began < SETTLING_MS) {
      const answer = await get();
      kinds.add(answer.ok ? "ok" : answer.refusal.kind);
      house.later(15 * SECOND_MS);
    }
    expect([...kinds]).toEqual(["propagating"]);
    expect(await get()).toMatchObject({ refusal: { kind: "configuration", code: "invalid_grant" } });
    house.standing = "ok";
    house.later(15 * SECOND_MS);
    expect(saying(await get())).toBe(nth(2));
  });

  it("is waited for right after the role was changed, and is a mistake later", async () => {
    house.standing = unknownKey;
    role = { ...role, updatedAt: house.now };
    expect(await get()).toMatchObject({ refusal: { kind: "propagating" } });
    house.later(SETTLING_MS);
    expect(await get()).toMatchObject({ refusal: { kind: "configuration" } });
  });

  it("is a mistake where it has never worked", async () => {
    house.standing = unknownKey;
    expect(await get()).toMatchObject({ refusal: { kind: "configuration", code: "invalid_grant" } });
  });

  it("a key that was rotated between mint and verify costs one more identity token", async () => {
    house.fates.push(unknownKey);
    expect(saying(await get())).toBe(nth(1));
    expect([house.reached, house.minted.length]).toEqual([2, 2]);
  });
});

describe("a credential that a service refuses", () => {
  it("is exchanged once for all who were refused it", async () => {
    const { fingerprint } = await given();
    expect(new Set(await crowd(200, async () => get(STEP_MS, fingerprint)))).toEqual(new Set([nth(2)]));
    // Also for those who learn of it late, and those who never were refused.
    house.later(5 * MINUTE_MS);
    expect(saying(await get(STEP_MS, fingerprint))).toBe(nth(2));
    expect(saying(await get())).toBe(nth(2));
    expect(house.reached).toBe(2);
  });

  it("is not what an isolate gives again", async () => {
    const one = isolate();
    const first = await one.get(role, WHO, STEP_MS);
    if (!first.ok) throw new Error(first.refusal.code);
    expect(saying(await one.get(role, WHO, STEP_MS, first.fingerprint))).toBe(nth(2));
    expect(saying(await one.get(role, WHO, STEP_MS))).toBe(nth(2));
    expect(house.reached).toBe(2);
  });

  it("and whose successors are refused as well, costs one exchange in half a minute", async () => {
    const said: string[] = [];
    const all: number[] = [];
    for (let s = 0; s < 60; s += 1) {
      const { fingerprint } = await given();
      said.push(saying(await get(STEP_MS, fingerprint)));
      all.push(house.reached);
      house.later(SECOND_MS);
    }
    expect(said.filter((one) => one !== "credential_refused")).toEqual([nth(2), nth(3)]);
    expect(all.at(-1)).toBe(3);
    expect(FORCED_REST_MS).toBe(30 * SECOND_MS);
  });

  it("has no other in its place while the service is down", async () => {
    const { fingerprint } = await given();
    house.standing = { status: 503 };
    expect(saying(await get(STEP_MS, fingerprint))).toBe("http_503");
    // Who was not refused has it still.
    expect(saying(await get())).toBe(nth(1));
  });
});

describe("twelve hours with credentials of a quarter of an hour", () => {
  const TICK_MS = 5 * SECOND_MS;

  it.each([
    // Seconds of a step, and at which age a credential serves it for the last time: while it has what the step needs, or over
    // half of its life.
    [1, 869],
    [60, 810],
    [300, 570],
    [600, 449],
    [3_600, 449],
  ])(
    "steps of %i s never get one that is too short, and exchange no more than they must",
    async (stepS, lastS) => {
      const one = isolate();
      const needed = wantedLifeMs(stepS * SECOND_MS);
      const began = house.now;
      let shortest = Infinity;
      while (house.now - began < 12 * HOUR_MS) {
        const answer = await one.get(role, WHO, needed);
        if (!answer.ok) throw new Error(answer.refusal.code);
        const { credential } = answer;
        const half = (credential.expiresAt - credential.issuedAt) / 2;
        shortest = Math.min(
          shortest,
          credential.expiresAt - house.now - Math.min(neededLifeMs(needed, credential), half),
        );
        house.later(TICK_MS);
      }
      expect(shortest).toBeGreaterThanOrEqual(0);
      const everyMs = (Math.floor((lastS * SECOND_MS) / TICK_MS) + 1) * TICK_MS;
      expect(house.reached).toBe(Math.ceil((12 * HOUR_MS) / everyMs));
    },
    30_000,
  );

  it("ten isolates exchange no more than one", async () => {
    const many = Array.from({ length: 10 }, () => isolate());
    const began = house.now;
    let shortest = Infinity;
    while (house.now - began < 12 * HOUR_MS) {
      for (const answer of await Promise.all(many.map(async (one) => one.get(role, WHO, STEP_MS)))) {
        if (!answer.ok) throw new Error(answer.refusal.code);
        shortest = Math.min(shortest, answer.credential.expiresAt - house.now);
      }
      house.later(MINUTE_MS);
    }
    expect(shortest).toBeGreaterThanOrEqual(STEP_MS);
    // One serves for 810 s, so for 14 of these minutes.
    expect(house.reached).toBe(Math.ceil((12 * 60) / 14));
  }, 30_000);

  it("an object that was evicted exchanges anew, and isolates that know one do not ask it", async () => {
    const one = isolate();
    await one.get(role, WHO, STEP_MS);
    await evictDurableObject(env.CREDENTIAL.getByName(await credentialObjectName(role, WHO)));
    expect(saying(await one.get(role, WHO, STEP_MS))).toBe(nth(1));
    expect(saying(await get())).toBe(nth(2));
  });
});

describe("clocks", () => {
  it("one that goes back gives nobody a credential for longer than it was issued for", async () => {
    await given();
    house.later(-HOUR_MS);
    house.later(HOUR_MS + 14 * MINUTE_MS);
    expect(saying(await get())).toBe(nth(2));
  });

  it("a flight that never lands is given up, and the next one is not held by it", async () => {
    house.waiterMs = 20;
    house.hold();
    expect(saying(await get())).toBe("exchange_slow");
    house.later(FLIGHT_MS);
    expect(saying(await get())).toBe("exchange_slow");
    expect(house.reached).toBe(2);
    house.release();
    house.waiterMs = 20_000;
    // What lands late is nobody's: there is one credential, that of the second.
    expect(saying(await get())).toMatch(/number-[12]$/);
    expect(house.reached).toBe(2);
  });
});

describe("who shares", () => {
  const other = (more: Partial<CloudRole>): CloudRole => ({ ...role, ...more });

  it("nobody whose exchange differs in anything", async () => {
    const base = await exchangeKey(role, WHO);
    const keys = await Promise.all([
      exchangeKey(other({ tenant: "other" }), WHO),
      exchangeKey(other({ id: "role_x" }), WHO),
      exchangeKey(other({ version: 2 }), WHO),
      exchangeKey(other({ audience: "there" }), WHO),
      exchangeKey(other({ claims: { team: "a" } }), WHO),
      exchangeKey(
        other({ target: { ...TARGETS.azure, scope: "https://graph.microsoft.com/.default" } }),
        WHO,
      ),
      exchangeKey(role, { ...WHO, subject: { kind: "plan", name: "process-order" } }),
      exchangeKey(role, { ...WHO, subject: { kind: "inline", name: null } }),
      exchangeKey(role, { ...WHO, workflowVersion: "v8" }),
      exchangeKey(other({ perRun: true }), { ...WHO, run: "run_a" }),
      exchangeKey(other({ perRun: true }), { ...WHO, run: "run_b" }),
    ]);
    expect(new Set([base, ...keys]).size).toBe(12);
  });

  it("all runs of a role that is not of one run", async () => {
    expect(await exchangeKey(role, { ...WHO, run: "run_a" })).toBe(await exchangeKey(role, WHO));
    const said = await Promise.all(
      ["run_a", "run_b"].map(async (run) => saying(await get(STEP_MS, undefined, role, { ...WHO, run }))),
    );
    expect(said).toEqual([nth(1), nth(1)]);
    expect(house.minted[0]).not.toHaveProperty("run");
  });

  it("objects of two tenants, subjects or runs are two, and versions of a role share one", async () => {
    const perRun = other({ perRun: true });
    const names = await Promise.all([
      credentialObjectName(role, WHO),
      credentialObjectName(other({ tenant: "other" }), WHO),
      credentialObjectName(role, { ...WHO, subject: { kind: "plan", name: "process-order" } }),
      credentialObjectName(perRun, { ...WHO, run: "run_a" }),
      credentialObjectName(perRun, { ...WHO, run: "run_b" }),
    ]);
    expect(new Set(names).size).toBe(5);
    expect(await credentialObjectName(other({ version: 9 }), WHO)).toBe(names[0]);
  });

  it("an object is not talked into another tenant's credential by its name", async () => {
    await given();
    const evil = other({ tenant: "other-tenant" });
    const object = objectOf(await credentialObjectName(role, WHO));
    const answer = await object.get({ role: evil, ...WHO, neededMs: STEP_MS });
    expect(saying(answer)).toBe(nth(2));
    expect(house.minted[1]?.tenant).toBe("other-tenant");
  });
});

it("no log holds a credential or an identity token", async () => {
  const { credential } = await given();
  const token = credential.kind === "bearer" ? credential.token : "";
  expect(house.lines.join("\n")).toContain("identity.exchanged");
  expect(house.lines.join("\n")).not.toContain(token);
  expect(house.lines.join("\n")).not.toContain("signature-");
});
