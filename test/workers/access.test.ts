import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import {
  type AccessDeps,
  authenticate,
  changeSettings,
  checkRootKey,
  createAccessAudit,
  createKey,
  createKeyCache,
  createPlaces,
  createTenantCache,
  createTenant,
  getKey,
  getTenant,
  type Identity,
  type KeyIdentity,
  type KeyRequest,
  listKeys,
  listTenants,
  makerStands,
  type Policy,
  settingsOf,
  TENANT_EFFECTIVE_MS,
  type TenantSettings,
  MAX_USER_KEY_LIFE_MS,
  type NewKey,
  REVOKED_EVERYWHERE_MS,
  revokeKey,
} from "../../src/access/index.ts";
import { createLogger } from "../../src/platform/index.ts";

const NOW = 1_800_000_000_000;
const HOUR = MAX_USER_KEY_LIFE_MS;
const ROOT_KEY = "root-key-of-these-tests-0123456789";
const ROOT: Identity = { kind: "root" };

/** One isolate: a cache of its own, and a count of the statements that it sends to the database. */
interface Isolate {
  readonly deps: AccessDeps;
  statements(): number;
  settled(): Promise<unknown>;
  lines: string[];
}

function isolate(fault?: Error): Isolate {
  let statements = 0;
  const deferred: Promise<unknown>[] = [];
  const lines: string[] = [];
  const db = new Proxy(env.DB, {
    get(target, name) {
      if (name === "prepare") statements += 1;
      if (fault !== undefined) throw fault;
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
  const log = createLogger("debug", (_, line) => lines.push(line));
  const deps: AccessDeps = {
    db,
    cache: createKeyCache(),
    ...{ policies: createTenantCache<Policy | null>(), settings: createTenantCache<TenantSettings>() },
    places: createPlaces(),
    rootKey: checkRootKey(ROOT_KEY),
    trust: null,
    log,
    defer: (work) => void deferred.push(work),
  };
  return { deps, statements: () => statements, settled: () => Promise.all(deferred), lines };
}

const { deps } = isolate();

async function identify(where: AccessDeps, token: string, now = NOW): Promise<Identity | string> {
  const result = await authenticate(
    where,
    { authorization: `Bearer ${token}`, purpose: "GET /v1/runs" },
    now,
  );
  return result.ok ? result.value : result.error.code;
}

async function identityOf(text: string): Promise<KeyIdentity> {
  const one = isolate();
  const identity = await identify(one.deps, text);
  await one.settled();
  if (typeof identity === "string" || identity.kind !== "key")
    throw new Error(`no key identity: ${JSON.stringify(identity)}`);
  return identity;
}

async function made(maker: Identity, request: Partial<KeyRequest> = {}, now = NOW): Promise<NewKey> {
  const result = await createKey(deps, maker, { name: "k", ...request }, now);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

let tenants = 0;
/** A tenant of the test's own, and the identity of its admin key. */
async function newTenant(): Promise<{ tenant: string; admin: KeyIdentity; text: string }> {
  tenants += 1;
  const tenant = `tenant-${tenants}`;
  await createTenant(deps, ROOT, tenant, NOW);
  const { text } = await made(ROOT, { tenant });
  return { tenant, admin: await identityOf(text), text };
}

interface AuditRow {
  at: number;
  tenant: string | null;
  actor: string;
  action: string;
  target: string;
  outcome: string;
  detail: string;
}

async function audited(action: string, actor: string): Promise<AuditRow[]> {
  const query = "SELECT * FROM access_audit WHERE action = ? AND actor = ? ORDER BY seq";
  return (await env.DB.prepare(query).bind(action, actor).all<AuditRow>()).results;
}

describe("who is asking", () => {
  test.each([
    [null, "credentials_missing"],
    ["", "credentials_malformed"],
    ["Bearer", "credentials_malformed"],
    ["Bearer ", "credentials_malformed"],
    ["Basic dXNlcjpwYXNz", "credentials_malformed"],
    ["Bearer a b", "credentials_malformed"],
    ["Bearer ä", "credentials_malformed"],
    [`Bearer ${"a".repeat(13_000)}`, "credentials_malformed"],
    ["Bearer sck_", "key_malformed"],
    ["Bearer sck_00000000000000000000000000000000000000", "key_malformed"],
    ["Bearer not-a-key", "key_unknown"],
  ])("%j ends with %s, without the database", async (authorization, code) => {
    const one = isolate();
    const result = await authenticate(one.deps, { authorization, purpose: "" }, NOW);
    expect(result).toMatchObject({ ok: false, error: { code } });
    expect(one.statements()).toBe(0);
  });

  test("a key is taken in any spelling of the scheme, with what it may do", async () => {
    const { tenant, admin } = await newTenant();
    const request = {
      scopes: ["runs:read", "runs:write"],
      user: "ada",
      policy: { hosts: [{ host: "a.example" }] },
      expiresAt: NOW + HOUR,
    };
    const { key, text } = await made(admin, request);
    for (const scheme of ["Bearer", "bearer", "BEARER  "]) {
      const result = await authenticate(deps, { authorization: `${scheme} ${text}`, purpose: "" }, NOW);
      expect(result).toEqual({
        ok: true,
        value: {
          kind: "key",
          tenant,
          keyId: key.id,
          user: "ada",
          scopes: new Set(["runs:read", "runs:write"]),
          policies: [{ hosts: [{ host: "a.example" }] }],
          expiresAt: NOW + HOUR,
        },
      });
    }
  });

  test("a well-formed key that was never made is unknown, and asked for once in five seconds", async () => {
    const one = isolate();
    const unknown = "sck_000000000000000000000000000000000iSeCI";
    expect(await identify(one.deps, unknown)).toBe("key_unknown");
    expect(await identify(one.deps, unknown, NOW + 4_999)).toBe("key_unknown");
    expect(one.statements()).toBe(1);
    expect(await identify(one.deps, unknown, NOW + 5_000)).toBe("key_unknown");
    expect(one.statements()).toBe(2);
  });

  test("a known key costs no look-up", async () => {
    const { text } = await newTenant();
    const one = isolate();
    await identify(one.deps, text);
    await one.settled();
    const before = one.statements();
    for (let request = 0; request < 10; request += 1) {
      expect(await identify(one.deps, text, NOW + request * 5_000)).toHaveProperty("kind", "key");
    }
    expect(one.statements()).toBe(before);
  });

  test("a key expires at its time, also where it is known", async () => {
    const { admin } = await newTenant();
    const { text } = await made(admin, { scopes: ["runs:read"], expiresAt: NOW + 1_000 });
    const known = isolate();
    expect(await identify(known.deps, text, NOW + 999)).toHaveProperty("kind", "key");
    expect(await identify(known.deps, text, NOW + 1_000)).toBe("key_expired");
    expect(await identify(isolate().deps, text, NOW + 1_000)).toBe("key_expired");
  });

  test("a use is noted about once an hour, beside the answer", async () => {
    const { admin } = await newTenant();
    const { key, text } = await made(admin, { scopes: ["runs:read"] });
    const lastUsed = async (now: number): Promise<number | null> => {
      const one = isolate();
      await identify(one.deps, text, now);
      await one.settled();
      const result = await getKey(deps, admin, key.id);
      return result.ok ? result.value.lastUsedAt : null;
    };
    expect(await lastUsed(NOW)).toBe(NOW);
    expect(await lastUsed(NOW + HOUR - 1)).toBe(NOW);
    expect(await lastUsed(NOW + HOUR)).toBe(NOW + HOUR);
  });

  test("a database that is away is a passing failure, and nobody is let in", async () => {
    const { text } = await newTenant();
    const away = isolate(new Error("D1_ERROR: Network connection lost."));
    expect(await identify(away.deps, text)).toBe("access_unavailable");
    expect(await identify(away.deps, ROOT_KEY)).toBe("access_unavailable");
    expect(away.lines.join()).toContain("access.database_unavailable");
    expect(away.lines.join()).not.toContain(text);
  });

  test("a bug is thrown, not taken for a passing failure", async () => {
    const { text } = await newTenant();
    await expect(identify(isolate(new TypeError("x is not a function")).deps, text)).rejects.toThrow(
      TypeError,
    );
  });
});

describe("the root key", () => {
  test("is compared as a hash in constant time, and each use is in the audit before it counts", async () => {
    const compare = vi.spyOn(crypto.subtle, "timingSafeEqual");
    const before = (await audited("root.use", "root")).length;
    const result = await authenticate(
      deps,
      { authorization: `Bearer ${ROOT_KEY}`, purpose: "POST /v1/tenants" },
      NOW,
    );
    expect(result).toEqual({ ok: true, value: { kind: "root" } });
    expect(await identify(deps, `${ROOT_KEY}x`)).toBe("key_unknown");
    expect(await identify(deps, ROOT_KEY.slice(0, -1))).toBe("key_unknown");
    expect(compare).toHaveBeenCalledTimes(3);
    for (const [a, b] of compare.mock.calls) expect([a.byteLength, b.byteLength]).toEqual([32, 32]);
    compare.mockRestore();
    const rows = await audited("root.use", "root");
    expect(rows).toHaveLength(before + 1);
    expect(rows.at(-1)).toMatchObject({
      at: NOW,
      outcome: "granted",
      detail: '{"purpose":"POST /v1/tenants"}',
    });
  });

  test("does nothing where it is unset", async () => {
    expect(await identify({ ...deps, rootKey: null }, ROOT_KEY)).toBe("key_unknown");
    expect(await identify({ ...deps, rootKey: checkRootKey("") }, ROOT_KEY)).toBe("key_unknown");
  });

  test("makes tenants, once each, and admin keys of tenants that exist", async () => {
    expect(await createTenant(deps, ROOT, "acme", NOW)).toEqual({
      ok: true,
      value: {
        ...{ id: "acme", createdAt: NOW, createdBy: "root" },
        place: { jurisdiction: null, locationHint: null },
      },
    });
    expect(await createTenant(deps, ROOT, "acme", NOW)).toMatchObject({
      error: { code: "tenant_exists", status: 409 },
    });
    expect(
      await audited("tenant.create", "root").then((rows) => rows.filter(({ target }) => target === "acme")),
    ).toHaveLength(1);
    expect(await createKey(deps, ROOT, { name: "k", tenant: "nobody" }, NOW)).toMatchObject({
      error: { code: "tenant_unknown" },
    });
    expect((await made(ROOT, { tenant: "acme" })).key).toMatchObject({
      tenant: "acme",
      scopes: ["*"],
      createdBy: "root",
    });
  });

  test("reads and revokes no keys", async () => {
    const { admin } = await newTenant();
    expect(await listKeys(deps, ROOT, { limit: 10 })).toMatchObject({ error: { code: "forbidden" } });
    expect(await getKey(deps, ROOT, admin.keyId)).toMatchObject({ error: { code: "forbidden" } });
    expect(await revokeKey(deps, ROOT, admin.keyId, NOW)).toMatchObject({ error: { code: "forbidden" } });
  });
});

describe("tenants", () => {
  test("the tenant default is there from the start", async () => {
    const page = await listTenants(deps, ROOT, { limit: 100 });
    expect(page.ok && page.value.tenants.map(({ id }) => id)).toContain("default");
    expect((await made(ROOT, { tenant: "default" })).key.tenant).toBe("default");
  });

  test.each(["", "Acme", "a b", "-a", "a:b", "a".repeat(49), "ä", "a\n"])(
    "%j is no tenant id",
    async (id) => {
      expect(await createTenant(deps, ROOT, id, NOW)).toMatchObject({
        error: { code: "invalid", pointer: "/id" },
      });
    },
  );

  test("no key makes or lists tenants; the try is in the audit", async () => {
    const { admin } = await newTenant();
    expect(await createTenant(deps, admin, "mine", NOW)).toMatchObject({
      error: { code: "forbidden", status: 403 },
    });
    expect(await listTenants(deps, admin, { limit: 1 })).toMatchObject({ error: { code: "forbidden" } });
    expect(await audited("tenant.create", `key:${admin.keyId}`)).toMatchObject([{ outcome: "refused" }]);
  });

  test("pages follow each other without gap or repetition", async () => {
    await newTenant();
    await newTenant();
    const all = await listTenants(deps, ROOT, { limit: 100 });
    const seen: string[] = [];
    for (let after: string | undefined, turn = 0; turn < 50; turn += 1) {
      const page = await listTenants(deps, ROOT, { limit: 1, after });
      if (!page.ok) break;
      seen.push(...page.value.tenants.map(({ id }) => id));
      if (page.value.next === null) break;
      after = page.value.next;
    }
    expect(seen).toEqual(all.ok && all.value.tenants.map(({ id }) => id));
  });
});

describe("keys", () => {
  test("the text is shown once: the database holds its hash, and what tells keys apart", async () => {
    const { admin } = await newTenant();
    const { key, text } = await made(admin, { scopes: ["runs:read"] });
    const row = await env.DB.prepare("SELECT * FROM api_keys WHERE id = ?").bind(key.id).first();
    expect(JSON.stringify(row)).not.toContain(text.slice(4, 36));
    expect(row).toMatchObject({
      prefix: text.slice(0, 8),
      last4: text.slice(-4),
      hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(key).not.toHaveProperty("hash");
    expect(JSON.stringify(key)).not.toContain(text);
  });

  test("what is granted is in the audit, what is refused as well, mistakes are not", async () => {
    const { admin } = await newTenant();
    const actor = `key:${admin.keyId}`;
    const { key, text } = await made(admin, { name: "ci", scopes: ["keys:write", "runs:read"] });
    expect(await audited("key.create", actor)).toMatchObject([
      { tenant: admin.tenant, target: key.id, outcome: "granted", at: NOW },
    ]);
    const narrow = await identityOf(text);
    expect(await createKey(deps, narrow, { name: "k", scopes: ["*"] }, NOW)).toMatchObject({
      error: { code: "scope_wider" },
    });
    expect(await createKey(deps, narrow, { name: "", scopes: ["*"] }, NOW)).toMatchObject({
      error: { code: "invalid" },
    });
    expect(await audited("key.create", `key:${narrow.keyId}`)).toMatchObject([
      { outcome: "refused", detail: '{"code":"scope_wider"}' },
    ]);
  });

  test("a maker that was revoked or has expired since it was looked up makes nothing", async () => {
    const { admin } = await newTenant();
    const revoked = await identityOf((await made(admin, { scopes: ["keys:write"] })).text);
    await revokeKey(deps, admin, revoked.keyId, NOW);
    const passing = await identityOf(
      (await made(admin, { scopes: ["keys:write"], expiresAt: NOW + 10 })).text,
    );
    for (const [maker, now] of [
      [revoked, NOW],
      [{ ...passing, expiresAt: null }, NOW + 10],
    ] as const) {
      const result = await createKey(deps, maker, { name: "k", scopes: ["keys:write"] }, now);
      expect(result).toMatchObject({ error: { code: "maker_ended" } });
      expect(await audited("key.create", `key:${maker.keyId}`)).toMatchObject([{ outcome: "refused" }]);
    }
    const list = await listKeys(deps, admin, { limit: 100 });
    expect(list.ok && list.value.keys).toHaveLength(3);
  });

  test("a key is seen by its own tenant alone, and always by itself", async () => {
    const { admin } = await newTenant();
    const { admin: foreign } = await newTenant();
    const { key, text } = await made(admin, { scopes: ["runs:read"] });
    expect(await getKey(deps, admin, key.id)).toEqual({ ok: true, value: key });
    const self = await identityOf(text);
    expect(await getKey(deps, self, key.id)).toMatchObject({ ok: true });
    expect(await getKey(deps, self, admin.keyId)).toMatchObject({ error: { code: "forbidden" } });
    expect(await getKey(deps, foreign, key.id)).toMatchObject({
      error: { code: "key_unknown", status: 404 },
    });
    expect(await getKey(deps, admin, "key_nobody")).toMatchObject({ error: { code: "key_unknown" } });
    expect(await revokeKey(deps, foreign, key.id, NOW)).toMatchObject({ error: { code: "key_unknown" } });
    const list = await listKeys(deps, foreign, { limit: 100 });
    expect(list.ok && list.value.keys.map(({ id }) => id)).toEqual([foreign.keyId]);
  });

  test("pages are in order of creation, and a cursor of others is refused", async () => {
    const { admin } = await newTenant();
    const made3 = [];
    for (const at of [3, 1, 1]) made3.push((await made(admin, { scopes: ["runs:read"] }, NOW + at)).key.id);
    const first = await listKeys(deps, admin, { limit: 2 });
    if (!first.ok || first.value.next === null) throw new Error("no second page");
    const second = await listKeys(deps, admin, { limit: 2, after: first.value.next });
    const ids = [...first.value.keys, ...(second.ok ? second.value.keys : [])].map(({ id }) => id);
    expect(ids).toEqual([admin.keyId, ...made3.slice(1).toSorted(), made3[0]]);
    for (const after of ["", "x", "1.key_", "' OR 1=1 --"]) {
      expect(await listKeys(deps, admin, { limit: 2, after })).toMatchObject({ error: { code: "invalid" } });
    }
  });
});

describe("revoking", () => {
  test("the isolate that revokes refuses at once, every other by the time that was told", async () => {
    const { admin } = await newTenant();
    const { key, text } = await made(admin, { scopes: ["runs:read"] });
    const here = isolate();
    const elsewhere = isolate();
    await identify(here.deps, text);
    await identify(elsewhere.deps, text);
    const result = await revokeKey(here.deps, admin, key.id, NOW + 1);
    expect(result).toMatchObject({
      ok: true,
      value: { key: { revokedAt: NOW + 1 }, effectiveBy: NOW + 1 + REVOKED_EVERYWHERE_MS },
    });
    expect(await identify(here.deps, text, NOW + 2)).toBe("key_revoked");
    expect(await identify(elsewhere.deps, text, NOW + 2)).toHaveProperty("kind", "key");
    expect(await identify(elsewhere.deps, text, NOW + REVOKED_EVERYWHERE_MS)).toBe("key_revoked");
    expect(await audited("key.revoke", `key:${admin.keyId}`)).toMatchObject([
      { target: key.id, outcome: "granted" },
    ]);
  });

  test("revoking again changes nothing and promises nothing new", async () => {
    const { admin } = await newTenant();
    const { key } = await made(admin, { scopes: ["runs:read"] });
    const first = await revokeKey(deps, admin, key.id, NOW);
    expect(await revokeKey(deps, admin, key.id, NOW + HOUR)).toEqual(first);
  });

  test("a key ends itself without any scope, but no other", async () => {
    const { admin } = await newTenant();
    const self = await identityOf((await made(admin, { scopes: ["runs:read"] })).text);
    expect(await revokeKey(deps, self, admin.keyId, NOW)).toMatchObject({ error: { code: "forbidden" } });
    expect(await revokeKey(deps, self, self.keyId, NOW)).toMatchObject({ ok: true });
  });

  test("a key with fewer scopes cannot lock out one with more; the try is in the audit", async () => {
    const { admin } = await newTenant();
    const narrow = await identityOf((await made(admin, { scopes: ["keys:write", "runs:*"] })).text);
    expect(await revokeKey(deps, narrow, admin.keyId, NOW)).toMatchObject({ error: { code: "scope_wider" } });
    expect(await audited("key.revoke", `key:${narrow.keyId}`)).toMatchObject([
      { target: admin.keyId, outcome: "refused" },
    ]);
  });
});

describe("the tables", () => {
  const insertKey = (columns: Record<string, string>): Promise<unknown> => {
    const row = {
      id: "'key_x'",
      tenant: "'default'",
      name: "'k'",
      hash: `'${"0".repeat(64)}'`,
      prefix: "'sck_abcd'",
      last4: "'wxyz'",
      scopes: "'[]'",
      policies: "'[]'",
      created_by: "'root'",
      created_at: "0",
      ...columns,
    };
    return env.DB.prepare(
      `INSERT INTO api_keys (${Object.keys(row).join()}) VALUES (${Object.values(row).join()})`,
    ).run();
  };

  test.each<[string, Record<string, string>]>([
    ["a hash that is none", { hash: "'abc'" }],
    ["scopes that are no list", { scopes: "'{}'" }],
    ["policies that are no JSON", { policies: "'['" }],
    ["a tenant that does not exist", { tenant: "'nobody'" }],
    ["an expiry before the beginning", { expires_at: "-1" }],
    ["a user's key without expiry", { user: "'ada'" }],
    ["a user's key for over an hour", { user: "'ada'", expires_at: String(HOUR + 1) }],
    ["text where a number belongs", { created_at: "'soon'" }],
  ])("refuse a key with %s", async (_, columns) => {
    await expect(insertKey(columns)).rejects.toThrow(/constraint|STRICT|cannot store/i);
  });

  test("refuse a tenant id that breaks the grammar", async () => {
    for (const id of ["", "A", "-a", "a b", "a".repeat(49)]) {
      const insert = env.DB.prepare("INSERT INTO tenants (id, created_at, created_by) VALUES (?, 0, 'root')")
        .bind(id)
        .run();
      await expect(insert).rejects.toThrow(/constraint/i);
    }
  });

  test("the audit can be added to, not changed", async () => {
    const entry = {
      at: NOW,
      tenant: null,
      actor: "test",
      action: "test.append",
      target: "",
      detail: {},
    } as const;
    await createAccessAudit(env.DB).write({ ...entry, outcome: "granted" });
    expect(await audited("test.append", "test")).toHaveLength(1);
    for (const sql of ["UPDATE access_audit SET actor = 'x'", "DELETE FROM access_audit"]) {
      await expect(env.DB.prepare(sql).run()).rejects.toThrow(/append-only/);
    }
  });

  /** A maker, its children, theirs, and so on: each makes the next. */
  async function dynasty(
    admin: KeyIdentity,
    generations: number,
  ): Promise<(NewKey & { self: KeyIdentity })[]> {
    const keys: (NewKey & { self: KeyIdentity })[] = [];
    for (let maker = admin; keys.length < generations;) {
      const next = await made(maker, { scopes: ["keys:write", "runs:*"] });
      maker = await identityOf(next.text);
      keys.push({ ...next, self: maker });
    }
    return keys;
  }

  test("a key's own keys live on, unless they are revoked with it, however far they come from it", async () => {
    const { admin, text } = await newTenant();
    const [stolen, child, grandchild, last] = await dynasty(admin, 4);
    if (stolen === undefined || child === undefined || grandchild === undefined || last === undefined)
      throw new Error("too few");
    const beside = await made(admin, { scopes: ["runs:read"] });
    expect(await revokeKey(deps, admin, stolen.key.id, NOW)).toMatchObject({ ok: true });
    expect(await identify(isolate().deps, child.text)).toHaveProperty("kind", "key");
    // Its maker is revoked as well, and what comes from it is still found.
    await revokeKey(deps, admin, grandchild.key.id, NOW + 1);
    const here = isolate();
    expect(await identify(here.deps, last.text)).toHaveProperty("kind", "key");
    const result = await revokeKey(here.deps, admin, stolen.key.id, NOW + 5, { descendants: true });
    expect(result).toMatchObject({
      ok: true,
      value: {
        key: { id: stolen.key.id, revokedAt: NOW },
        effectiveBy: NOW + 5 + REVOKED_EVERYWHERE_MS,
        descendants: { revoked: 2, complete: true },
      },
    });
    for (const gone of [stolen, child, grandchild, last])
      expect(await identify(here.deps, gone.text, NOW + 6)).toBe("key_revoked");
    for (const other of [text, beside.text])
      expect(await identify(here.deps, other, NOW + 6)).toHaveProperty("kind", "key");
    expect(await createKey(deps, last.self, { name: "k", scopes: ["runs:read"] }, NOW + 6)).toMatchObject({
      error: { code: "maker_ended" },
    });
    const audit = await audited("key.revoke", `key:${admin.keyId}`);
    expect(audit.slice(0, 2)).toMatchObject([{ target: stolen.key.id }, { target: grandchild.key.id }]);
    // One transaction revokes both, and they were made in the same millisecond: either may stand first.
    const together = [child.key.id, last.key.id].toSorted();
    expect(
      audit
        .slice(2)
        .map((entry) => entry.target)
        .toSorted(),
    ).toEqual(together);
    expect(audit.slice(2)).toMatchObject([{ outcome: "granted" }, { outcome: "granted" }]);
    expect(await revokeKey(deps, admin, stolen.key.id, NOW + 9, { descendants: true })).toMatchObject({
      value: { effectiveBy: NOW + REVOKED_EVERYWHERE_MS, descendants: { revoked: 0, complete: true } },
    });
  });

  test("more keys than one transaction takes are revoked, and none of another tenant", async () => {
    const { admin } = await newTenant();
    const { admin: foreign, text } = await newTenant();
    const [maker] = await dynasty(admin, 1);
    if (maker === undefined) throw new Error("too few");
    // As the maker would make them, but in one statement.
    const many = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1201)
      INSERT INTO api_keys (id, tenant, name, hash, prefix, last4, scopes, policies, created_by, created_at)
      SELECT 'key_many' || i, ?1, 'k', printf('%064x', i), 'sck_', 'last', '[]', '[]', ?2, ?3 FROM n`;
    await env.DB.prepare(many).bind(admin.tenant, `key:${maker.key.id}`, NOW).run();
    const crossed = "UPDATE api_keys SET created_by = ? WHERE id = ?";
    await env.DB.prepare(crossed).bind(`key:${maker.key.id}`, foreign.keyId).run();
    expect(await revokeKey(deps, admin, maker.key.id, NOW, { descendants: true })).toMatchObject({
      value: { descendants: { revoked: 1_201, complete: true } },
    });
    expect(await identify(isolate().deps, text)).toHaveProperty("kind", "key");
  });

  test("what comes from a wider key is not reached by one that may not revoke that", async () => {
    const { admin } = await newTenant();
    const [narrow] = await dynasty(admin, 1);
    if (narrow === undefined) throw new Error("too few");
    const sister = await made(admin, { scopes: ["runs:read"] });
    expect(await revokeKey(deps, narrow.self, admin.keyId, NOW, { descendants: true })).toMatchObject({
      error: { code: "scope_wider" },
    });
    expect(await identify(isolate().deps, sister.text)).toHaveProperty("kind", "key");
  });
});

describe("whether who made something may still act", () => {
  test("a key may until it is revoked or expires, and in its own tenant only", async () => {
    const { tenant, admin } = await newTenant();
    const { key } = await made(admin, { scopes: ["*"], expiresAt: NOW + HOUR });
    const maker = { actor: `key:${key.id}` };
    expect(await makerStands(deps, tenant, maker, NOW + HOUR - 1)).toBe(true);
    expect(await makerStands(deps, tenant, maker, NOW + HOUR)).toBe(false);
    expect(await makerStands(deps, (await newTenant()).tenant, maker, NOW)).toBe(false);
    await revokeKey(deps, admin, key.id, NOW);
    expect(await makerStands(deps, tenant, maker, NOW)).toBe(false);
  });

  test("who came with a token may while the issuer is trusted as it was then, by a key that has not ended", async () => {
    const { tenant, admin } = await newTenant();
    const { key: truster } = await made(admin, { scopes: ["*"] });
    await env.DB.prepare(
      `INSERT INTO trusted_issuers (id, tenant, name, issuer, max_age_s, rules, policies, makers, version, created_at, created_by, updated_at)
       VALUES ('iss_1', ?, 'ci', 'https://ci.example', 600, '[]', '[]', json_array(?), 3, 1, ?, 1)`,
    )
      .bind(tenant, `key:${truster.id}`, `key:${truster.id}`)
      .run();
    await env.DB.prepare("INSERT INTO trusted_callers VALUES ('tok_1', ?, 'iss_1', 'sub', 1, 1)")
      .bind(tenant)
      .run();
    const maker = { actor: "token:tok_1", trust: { issuerId: "iss_1", version: 3 } };
    expect(await makerStands(deps, tenant, maker, NOW)).toBe(true);
    expect(await makerStands(deps, (await newTenant()).tenant, maker, NOW)).toBe(false);
    expect(await makerStands(deps, tenant, { actor: maker.actor }, NOW)).toBe(false);
    const older = { ...maker, trust: { issuerId: "iss_1", version: 2 } };
    expect(await makerStands(deps, tenant, older, NOW)).toBe(false);
    await revokeKey(deps, admin, truster.id, NOW);
    expect(await makerStands(deps, tenant, maker, NOW)).toBe(false);
  });

  test("nobody else ever may", async () => {
    const { tenant } = await newTenant();
    for (const actor of ["root", "key:", "key:key_none", "bearer_link", "", "run:run_1"])
      expect(await makerStands(deps, tenant, { actor }, NOW)).toBe(false);
  });
});

describe("settings of a tenant", () => {
  const LOW = { activeRuns: 5 };
  const NONE = { quotas: null, retention: null };

  test("what is set is in the audit with it, each part by itself, and null takes it back", async () => {
    await createTenant(deps, ROOT, "set-one", NOW);
    expect(await changeSettings(deps, ROOT, "set-one", { quotas: LOW }, NOW)).toEqual({
      ok: true,
      value: { quotas: LOW, retention: null },
    });
    await changeSettings(deps, ROOT, "set-one", { retention: { runsDays: 7 } }, NOW);
    const shown = await getTenant(deps, ROOT, "set-one");
    expect(shown).toMatchObject({
      value: { tenant: { id: "set-one" }, settings: { quotas: LOW, retention: { runsDays: 7 } } },
    });
    await changeSettings(deps, ROOT, "set-one", { quotas: null }, NOW);
    expect(await settingsOf(deps, "set-one", NOW)).toEqual({ quotas: null, retention: { runsDays: 7 } });
    const query =
      "SELECT outcome, detail FROM access_audit WHERE action = 'tenant.settings' AND tenant = ? ORDER BY seq";
    const { results } = await env.DB.prepare(query).bind("set-one").all();
    expect(results).toEqual([
      { outcome: "granted", detail: '{"quotas":"{\\"activeRuns\\":5}"}' },
      { outcome: "granted", detail: '{"retention":"{\\"runsDays\\":7}"}' },
      { outcome: "granted", detail: '{"quotas":null}' },
    ]);
  });

  test("only the root key sets them, and only of a tenant that there is", async () => {
    const { tenant, admin } = await newTenant();
    expect(await changeSettings(deps, admin, tenant, { quotas: LOW }, NOW)).toMatchObject({
      error: { code: "forbidden" },
    });
    expect(await getTenant(deps, admin, tenant)).toMatchObject({ error: { code: "forbidden" } });
    expect(await changeSettings(deps, ROOT, "set-nobody", { quotas: LOW }, NOW)).toMatchObject({
      error: { code: "tenant_unknown" },
    });
    expect(await settingsOf(deps, "set-nobody", NOW)).toEqual(NONE);
  });

  test("an isolate goes by them without asking, hears of a change within the promise, and by the last when the database is away", async () => {
    await createTenant(deps, ROOT, "set-three", NOW);
    const one = isolate();
    expect(await settingsOf(one.deps, "set-three", NOW)).toEqual(NONE);
    const asked = one.statements();
    await changeSettings(deps, ROOT, "set-three", { quotas: LOW }, NOW);
    expect(await settingsOf(one.deps, "set-three", NOW + 1_000)).toEqual(NONE);
    expect(one.statements()).toBe(asked);
    expect(await settingsOf(one.deps, "set-three", NOW + TENANT_EFFECTIVE_MS)).toMatchObject({ quotas: LOW });
    const away = { ...one.deps, db: isolate(new Error("D1 is away.")).deps.db };
    expect(await settingsOf(away, "set-three", NOW + 3 * TENANT_EFFECTIVE_MS)).toMatchObject({ quotas: LOW });
    expect(await settingsOf(away, "set-four", NOW)).toEqual(NONE);
    expect(one.lines.filter((line) => line.includes("access.settings_unavailable"))).toHaveLength(2);
  });
});
