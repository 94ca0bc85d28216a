/** The tenant's policy in D1 and in the memory of an isolate. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import {
  createTenantCache,
  type Identity,
  type KeyIdentity,
  type Policy,
  TENANT_EFFECTIVE_MS,
  type PolicyDeps,
  putPolicy,
  revokeKey,
  tenantPolicy,
} from "../../src/access/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import { client, expectProblem, makeKey, type Client } from "./api-support.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const HOME: Policy = { hosts: [{ host: "api.skyline.example" }] };
const AWAY = { ok: false, error: "policy_unavailable" };

interface Isolate {
  readonly deps: PolicyDeps;
  /** How often the database was asked. */
  asked: number;
  /** What it throws from now on. */
  fault: Error | null;
}

function isolate(): Isolate {
  const one: Isolate = {
    asked: 0,
    fault: null,
    deps: {
      policies: createTenantCache<Policy | null>(),
      log: createLogger("debug", () => {}),
      db: new Proxy(env.DB, {
        get(target, name) {
          if (name === "prepare") one.asked += 1;
          if (one.fault !== null) throw one.fault;
          const member: unknown = Reflect.get(target, name);
          return typeof member === "function" ? member.bind(target) : member;
        },
      }),
    },
  };
  return one;
}

const unreachable = (): never => {
  throw new Error("A run or workflow was reached.");
};
const api: Client = client({
  runs: unreachable,
  runIdOf: unreachable,
  workflows: { list: () => [], get: () => null },
});
let admin: KeyIdentity;

async function put(policy: Policy, now = NOW): Promise<void> {
  const changed = await putPolicy(api.deps.access, admin, policy, now);
  if (!changed.ok) throw new Error(changed.error.message);
}

async function adminOf(tenant: string): Promise<KeyIdentity> {
  const { id } = await makeKey(api, tenant, {}, NOW - 1_000);
  const scopes = new Set(["*"] as const);
  return { kind: "key", tenant, keyId: id, user: null, scopes, policies: [], expiresAt: null };
}

beforeAll(async () => {
  admin = await adminOf("default");
});

describe("what an isolate knows of a policy", () => {
  test("that there is none is known as well, and costs one look for 15 s", async () => {
    const one = isolate();
    for (const at of [NOW, NOW + 1, NOW + 14_999])
      expect(await tenantPolicy(one.deps, "nobody", at)).toEqual({ ok: true, value: null });
    expect(one.asked).toBe(1);
    await tenantPolicy(one.deps, "nobody", NOW + 15_000);
    expect(one.asked).toBe(2);
  });

  test("one of many callers asks again while the others go on, and nobody goes by what is too old", () => {
    const cache = createTenantCache<Policy | null>();
    cache.put("t", HOME, NOW);
    const sent = (at: number, callers = 100): number =>
      Array.from({ length: callers }, () => cache.get("t", at)).filter((known) => known === undefined).length;
    expect([sent(NOW + 14_999), sent(NOW + 15_000), sent(NOW + 19_999), sent(NOW + 20_000)]).toEqual([
      0, 1, 0, 1,
    ]);
    // No answer came: by now it is too old for everybody.
    expect(sent(NOW + 25_000)).toBe(100);
    cache.put("t", null, NOW + 25_000);
    expect(sent(NOW + 25_001)).toBe(0);
  });

  test("a change is in force in every isolate by the time that was promised", async () => {
    await put({}, NOW);
    const one = isolate();
    expect(await tenantPolicy(one.deps, "default", NOW)).toEqual({ ok: true, value: {} });
    await put(HOME, NOW + 1);
    const promised = NOW + 1 + TENANT_EFFECTIVE_MS;
    expect(await tenantPolicy(one.deps, "default", promised)).toEqual({ ok: true, value: HOME });
  });

  test("whoever changes it is held by it at once", async () => {
    await put(HOME, NOW + 10);
    const known = await tenantPolicy(api.deps.access, "default", NOW + 10);
    expect(known).toEqual({ ok: true, value: HOME });
  });

  test("an answer that was long on its way does not cover a newer one", () => {
    const cache = createTenantCache<Policy | null>();
    cache.put("t", HOME, NOW + 5);
    cache.put("t", null, NOW);
    expect(cache.get("t", NOW + 6)).toEqual(HOME);
  });

  test("no more tenants are remembered than fit, the oldest goes first", () => {
    const cache = createTenantCache<Policy | null>(2);
    for (const tenant of ["a", "b", "c"]) cache.put(tenant, null, NOW);
    expect(["a", "b", "c"].map((tenant) => cache.get(tenant, NOW))).toEqual([undefined, null, null]);
  });
});

describe("while the database is away", () => {
  const fault = new Error("D1_ERROR: Network connection lost.");

  test("the last policy that was known counts, for an hour, and then nothing is allowed", async () => {
    await put(HOME, NOW + 20);
    const one = isolate();
    await tenantPolicy(one.deps, "default", NOW + 20);
    one.fault = fault;
    expect(await tenantPolicy(one.deps, "default", NOW + HOUR)).toEqual({ ok: true, value: HOME });
    expect(await tenantPolicy(one.deps, "default", NOW + 20 + HOUR)).toEqual(AWAY);
  });

  test("what was never known is not made up", async () => {
    const one = isolate();
    one.fault = fault;
    expect(await tenantPolicy(one.deps, "default", NOW)).toEqual(AWAY);
    one.fault = null;
    expect((await tenantPolicy(one.deps, "default", NOW)).ok).toBe(true);
  });

  test("starts are answered with 503, and no run is reached", async () => {
    const one = isolate();
    const access = { ...api.deps.access, policies: createTenantCache<Policy | null>(), db: one.deps.db };
    const faulty = client({ ...api.deps, access });
    const { text: key } = await makeKey(api, "default");
    // The key is known by now, so that it is the policy that cannot be read.
    await faulty.send("GET", "/v1/workflows", { key });
    one.fault = fault;
    const response = await faulty.send("POST", "/v1/runs", { key, body: { open: true } });
    await expectProblem(response, 503, "unavailable");
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
  });
});

describe("a change of the policy", () => {
  async function stored(tenant: string): Promise<unknown> {
    const query = "SELECT policy FROM tenant_policies WHERE tenant = ?";
    return (await env.DB.prepare(query).bind(tenant).first<{ policy: string }>())?.policy ?? null;
  }

  async function audited(actor: Identity): Promise<string[]> {
    const query = "SELECT outcome FROM access_audit WHERE action = 'policy.put' AND actor = ? ORDER BY seq";
    const name = actor.kind === "key" ? `key:${actor.keyId}` : "root";
    const { results } = await env.DB.prepare(query).bind(name).all<{ outcome: string }>();
    return results.map(({ outcome }) => outcome);
  }

  test("by a key that was revoked a moment ago, and that an isolate still knows, is refused and audited", async () => {
    const gone = await adminOf("default");
    await put(HOME);
    await revokeKey(api.deps.access, gone, gone.keyId, NOW);
    const before = await stored("default");
    const changed = await putPolicy(api.deps.access, gone, {}, NOW);
    expect(changed).toMatchObject({ ok: false, error: { code: "maker_ended" } });
    expect(await stored("default")).toBe(before);
    expect(await audited(gone)).toEqual(["refused"]);
  });

  test("is not made where it cannot be audited", async () => {
    const one = await adminOf("default");
    await put(HOME);
    const before = await stored("default");
    await env.DB.exec(
      "CREATE TRIGGER no_audit BEFORE INSERT ON access_audit BEGIN SELECT RAISE(ABORT, 'no audit'); END",
    );
    await expect(putPolicy(api.deps.access, one, {}, NOW)).rejects.toThrow("no audit");
    await env.DB.exec("DROP TRIGGER no_audit");
    expect(await stored("default")).toBe(before);
  });

  test.each([
    ["that no build can read", { hots: [] }],
    [
      "that is too long",
      {
        hosts: Array.from({ length: 64 }, () => ({ host: "*", paths: Array(4).fill(`/${"a".repeat(100)}`) })),
      },
    ],
  ])("to one %s is refused", async (_, policy) => {
    const changed = await putPolicy(api.deps.access, admin, policy, NOW);
    expect(changed).toMatchObject({ ok: false, error: { code: "invalid", pointer: "" } });
  });

  test("by a key without the scope is refused", async () => {
    const reader: KeyIdentity = { ...admin, scopes: new Set(["policy:read"]) };
    expect(await putPolicy(api.deps.access, reader, {}, NOW)).toMatchObject({ error: { code: "forbidden" } });
    const user: KeyIdentity = { ...admin, user: "ada" };
    expect(await putPolicy(api.deps.access, user, {}, NOW)).toMatchObject({ error: { code: "forbidden" } });
  });
});
