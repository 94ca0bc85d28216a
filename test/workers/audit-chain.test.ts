/** That the chain of the audit covers all that is written, and that what is done to it shows. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { createAuditDesk } from "../../src/access/audit-desk.ts";
import { sealNext } from "../../src/access/audit-sealing.ts";
import {
  type AuditDesk,
  type ChainHead,
  createAccessAudit,
  createUseAudit,
  forgetAuditUser,
  listAudit,
  retentionIn,
} from "../../src/access/index.ts";
import {
  createLogger,
  type CredentialUse,
  fromBase64,
  importHmacKey,
  randomId,
} from "../../src/platform/index.ts";
import { expectAnswer, expectProblem, send } from "./api-support.ts";
import { flawOfExport } from "./audit-oracle.ts";

const DAY = 24 * 60 * 60_000;
let key: CryptoKey;
let triggers: string[] = [];
let time = Date.now();
let days: number | null = null;

beforeAll(async () => {
  key = await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array());
  const { results } = await env.DB.prepare("SELECT sql FROM sqlite_master WHERE type = 'trigger'").all<{
    sql: string;
  }>();
  triggers = results.map(({ sql }) => sql);
});

const deps = (db: D1Database = env.DB) => ({
  db,
  serverKey: async () => key,
  retention: async () => retentionIn(days === null ? null : { auditDays: days }),
  log: createLogger("error", () => {}),
  now: () => time,
});
const desk: AuditDesk = createAuditDesk(deps());
const audit = createAccessAudit(env.DB);

async function freshTenant(): Promise<string> {
  const tenant = `t-${randomId("run").slice(4, 16)}`;
  await env.DB.prepare("INSERT INTO tenants (id, created_at, created_by) VALUES (?, 1, 'root')")
    .bind(tenant)
    .run();
  return tenant;
}

const write = async (tenant: string | null, n: number, at = time): Promise<void> => {
  for (let i = 0; i < n; i++)
    await audit.write({
      ...{ at, tenant, actor: i % 2 === 0 ? "key:key_1" : "user:ada", action: "connection.grant" },
      ...{ target: `conn_${i}`, outcome: "granted", detail: { i } },
    });
};

const use = (tenant: string, id: string, ended: boolean, at = time): CredentialUse => ({
  ...{ id, at, tenant, run: "run_1", workflow: "w", user: "ada", unit: "a", attempt: 1 },
  credential: { connection: "conn_1" },
  ended: ended ? { hosts: ["api.example"], moreHosts: 0, outcome: "success" } : null,
});

/** Two links, of three entries each, and of a use. */
async function sealedTenant(): Promise<string> {
  const tenant = await freshTenant();
  for (const round of [1, 2]) {
    await write(tenant, 3);
    await createUseAudit(env.DB).write([use(tenant, `${tenant}.use${round}`, true)]);
    expect(await sealNext(deps(), tenant)).toMatchObject({
      kind: "made",
      link: { number: round, entries: 3, uses: 1 },
    });
  }
  return tenant;
}

const verify = async (tenant: string | null, head?: ChainHead) =>
  desk.verify(tenant, { after: 0, most: 100, ...(head === undefined ? {} : { head }) });

async function exported(tenant: string | null): Promise<string> {
  let text = "";
  for (let after: number | null = 0; after !== null;) {
    const { links } = await desk.export(tenant, after);
    for await (const lines of links) text += lines.map((line) => `${line}\n`).join("");
    const end = JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as { next: number | null };
    after = end.next;
  }
  return text;
}

/** As somebody would who can write the database: without its triggers, which are back afterwards. */
async function tamper(...statements: readonly [string, ...unknown[]][]): Promise<void> {
  const named = triggers.map((sql) => sql.split(" ")[2] ?? "");
  await env.DB.batch([
    ...named.map((name) => env.DB.prepare(`DROP TRIGGER ${name}`)),
    ...statements.map(([sql, ...values]) => env.DB.prepare(sql).bind(...values)),
    ...triggers.map((sql) => env.DB.prepare(sql)),
  ]);
}

describe("sealing", () => {
  it("covers every entry and every use that is final, once, and goes on where it ended", async () => {
    const tenant = await sealedTenant();
    await createUseAudit(env.DB).write([use(tenant, `${tenant}.goes-on`, false)]);
    expect(await sealNext(deps(), tenant)).toEqual({ kind: "nothing" });
    expect(await verify(tenant)).toMatchObject({
      ...{ verifiedTo: 2, links: 2, entries: 6, uses: 2, broken: null, complete: true },
      open: { entries: 0, uses: 1 },
    });
    expect(await flawOfExport(await exported(tenant))).toBeNull();
  });

  it("by many at once makes one chain without a gap", async () => {
    const tenant = await freshTenant();
    for (let round = 0; round < 3; round++) {
      await Promise.all([
        ...Array.from({ length: 4 }, async () => sealNext(deps(), tenant)),
        write(tenant, 5),
        createUseAudit(env.DB).write([use(tenant, `${tenant}.${round}`, true)]),
      ]);
    }
    await sealNext(deps(), tenant);
    expect(await verify(tenant)).toMatchObject({
      entries: 15,
      uses: 3,
      broken: null,
      open: { entries: 0, uses: 0 },
    });
  });

  it("that dies at any statement has written nothing; one whose answer was lost is found written", async () => {
    const tenant = await freshTenant();
    await write(tenant, 2);
    await createUseAudit(env.DB).write([use(tenant, `${tenant}.use`, true)]);
    let batches = 0;
    const failing = (fate: "before" | "broken" | "after"): D1Database =>
      new Proxy(env.DB, {
        get: (db, name: keyof D1Database) =>
          name !== "batch"
            ? (db[name] as (...values: unknown[]) => unknown).bind(db)
            : async (statements: D1PreparedStatement[]) => {
                batches += 1;
                if (batches % 2 === 1) return db.batch(statements);
                if (fate === "before") throw new Error("D1_ERROR: Network connection lost.");
                const bad = db.prepare("INSERT INTO audit_links (tenant) VALUES (NULL)");
                const done = await db.batch(fate === "broken" ? [...statements, bad] : statements);
                if (fate === "after") throw new Error("D1_ERROR: Network connection lost.");
                return done;
              },
      });
    for (const fate of ["before", "broken"] as const) {
      await expect(sealNext(deps(failing(fate)), tenant)).rejects.toThrow(
        fate === "before" ? "connection lost" : "constraint failed",
      );
      expect(await verify(tenant)).toMatchObject({ links: 0, open: { entries: 2, uses: 1 } });
    }
    expect(await sealNext(deps(failing("after")), tenant)).toEqual({ kind: "lost" });
    expect(await sealNext(deps(), tenant)).toEqual({ kind: "nothing" });
    expect(await verify(tenant)).toMatchObject({ links: 1, entries: 2, uses: 1, broken: null });
  });

  it("covers a use that never ended after a week, and a word that comes later changes nothing of it", async () => {
    const tenant = await freshTenant();
    const sink = createUseAudit(env.DB);
    const id = `${tenant}.lost`;
    await sink.write([use(tenant, id, false, time - 8 * DAY)]);
    expect(await sealNext(deps(), tenant)).toMatchObject({ kind: "made", link: { uses: 1 } });
    await sink.write([use(tenant, id, true), use(tenant, `${tenant}.other`, true)]);
    expect(await verify(tenant)).toMatchObject({ uses: 1, broken: null, open: { uses: 1 } });
  });

  it("leaves rows that nothing changes: uses that ended, links, entries", async () => {
    const tenant = await sealedTenant();
    const run = async (sql: string) => env.DB.prepare(sql).bind(tenant).run();
    await run("UPDATE credential_uses SET hosts = '[]' WHERE tenant = ?");
    expect(await verify(tenant)).toMatchObject({ uses: 2, broken: null });
    for (const sql of [
      "DELETE FROM credential_uses WHERE tenant = ?",
      "DELETE FROM access_audit WHERE tenant = ?",
      "UPDATE access_audit SET target = '' WHERE tenant = ?",
      "DELETE FROM audit_links WHERE tenant = ?",
      "UPDATE audit_links SET at = 1 WHERE tenant = ?",
    ])
      await expect(run(sql)).rejects.toThrow(/append-only|kept until/);
  });

  it("is done for all chains by the cron trigger's share, also for the deployment's own", async () => {
    const tenants = await Promise.all(Array.from({ length: 3 }, freshTenant));
    for (const tenant of tenants) await write(tenant, 1);
    await write(null, 1);
    await desk.sweep(1_000);
    for (const tenant of [...tenants, null])
      expect(await verify(tenant)).toMatchObject({ broken: null, complete: true, open: { entries: 0 } });
  });
});

describe("who can write the database", () => {
  const AT = "(SELECT min(seq) + 1 FROM access_audit WHERE tenant = ?1)";
  it.each([
    ["changes an entry", `UPDATE access_audit SET outcome = 'refused' WHERE seq = ${AT}`, "entries_changed"],
    [
      "changes who did it",
      `UPDATE access_audit SET actor = 'key:key_9' WHERE seq = ${AT}`,
      "entries_changed",
    ],
    ["deletes an entry", `DELETE FROM access_audit WHERE seq = ${AT}`, "entries_missing"],
    [
      "puts an entry in where no link looks",
      `INSERT INTO access_audit (seq, at, tenant, actor, action, target, outcome, detail)
       SELECT min(seq, 0) - 1, 1, ?1, 'x', 'a.b', '', 'granted', '{}' FROM access_audit ORDER BY seq LIMIT 1`,
      "entries_added",
    ],
    [
      "puts another tenant's entry in",
      "UPDATE access_audit SET tenant = ?1 WHERE seq = (SELECT min(seq) - 1 FROM access_audit WHERE tenant = ?1)",
      "entries_added",
    ],
    [
      "gives an entry to another tenant",
      `UPDATE access_audit SET tenant = 'default' WHERE seq = ${AT}`,
      "entries_missing",
    ],
    [
      "changes a use",
      "UPDATE credential_uses SET outcome = 'failed' WHERE tenant = ?1 AND link = 1",
      "uses_changed",
    ],
    ["deletes a use", "DELETE FROM credential_uses WHERE tenant = ?1 AND link = 1", "uses_missing"],
    ["moves a use to another link", "UPDATE credential_uses SET link = 1 WHERE tenant = ?1", "uses_added"],
    ["changes a link", "UPDATE audit_links SET at = 1 WHERE tenant = ?1 AND number = 1", "link_changed"],
    ["deletes a link", "DELETE FROM audit_links WHERE tenant = ?1 AND number = 1", "link_missing"],
    [
      "says that all was dropped",
      "UPDATE audit_links SET dropped = 1 WHERE tenant = ?1 AND number = 2",
      "link_changed",
    ],
    ["makes up a MAC", "UPDATE audit_links SET mac = 'x' WHERE tenant = ?1 AND number = 1", "link_forged"],
  ])("and %s is found out", async (_what, sql, code) => {
    const tenant = await sealedTenant();
    await tamper([sql, tenant]);
    expect((await verify(tenant)).broken).toMatchObject({ code });
  });

  it("and puts two entries in each other's place is found out, at the very link", async () => {
    const tenant = await sealedTenant();
    await tamper(
      [`UPDATE access_audit SET seq = -1000 WHERE seq = ${AT}`, tenant],
      [
        `UPDATE access_audit SET seq = ${AT} WHERE seq = (SELECT min(seq) + 1 FROM access_audit WHERE tenant = ?1 AND seq > 0)`,
        tenant,
      ],
    );
    const { broken, verifiedTo } = await verify(tenant);
    expect([broken?.link, verifiedTo]).toEqual([1, 0]);
  });

  it("and computes hashes anew for what they changed is found out: they have no key", async () => {
    const tenant = await sealedTenant();
    const mine = await importHmacKey(new Uint8Array(32).fill(1));
    await tamper(
      ["DELETE FROM audit_links WHERE tenant = ?1 AND number = 2", tenant],
      ["UPDATE credential_uses SET link = 0 WHERE tenant = ?1 AND link = 2", tenant],
    );
    await sealNext({ ...deps(), serverKey: async () => mine }, tenant);
    expect(await flawOfExport(await exported(tenant))).toBeNull();
    expect((await verify(tenant)).broken).toMatchObject({ link: 2, code: "link_forged" });
  });

  it("and puts another tenant's chain, or an old link, in the place of this one's is found out", async () => {
    const [mine, other] = [await sealedTenant(), await sealedTenant()];
    await tamper(
      ["DELETE FROM audit_links WHERE tenant = ?1", mine],
      ["UPDATE audit_links SET tenant = ?1 WHERE tenant = ?2", mine, other],
    );
    expect((await verify(mine)).broken).toMatchObject({ code: "link_changed" });
    const third = await sealedTenant();
    await tamper([
      "UPDATE audit_links SET hash = o.hash, mac = o.mac FROM audit_links o WHERE audit_links.tenant = ?1 AND audit_links.number = 2 AND o.tenant = ?1 AND o.number = 1",
      third,
    ]);
    expect((await verify(third)).broken).toMatchObject({ link: 2, code: "link_changed" });
  });

  it("and cuts the end off, or puts the database back, is found out by a head that was given out, and only by it", async () => {
    const tenant = await sealedTenant();
    const { head } = await verify(tenant);
    await tamper(
      ["DELETE FROM audit_links WHERE tenant = ?1 AND number = 2", tenant],
      ["DELETE FROM credential_uses WHERE tenant = ?1 AND link = 2", tenant],
      [
        "DELETE FROM access_audit WHERE tenant = ?1 AND seq > (SELECT through FROM audit_links WHERE tenant = ?1 AND number = 1)",
        tenant,
      ],
    );
    expect(await verify(tenant)).toMatchObject({ broken: null, links: 1 });
    expect((await verify(tenant, head ?? undefined)).broken).toMatchObject({ link: 2, code: "head_missing" });
    await write(tenant, 1);
    await sealNext(deps(), tenant);
    expect((await verify(tenant)).broken).toBeNull();
    expect((await verify(tenant, head ?? undefined)).broken).toMatchObject({ link: 2, code: "head_changed" });
    expect(
      (await verify(tenant, { number: 2, hash: "0".repeat(64), mac: head?.mac ?? "" })).broken,
    ).toMatchObject({
      code: "head_forged",
    });
  });
});

describe("what has had its time", () => {
  it("goes: uses after 90 days, and the chain says so and holds", async () => {
    const tenant = await sealedTenant();
    const began = time;
    try {
      time += 89 * DAY;
      await desk.sweep(1_000);
      expect(await verify(tenant)).toMatchObject({ uses: 2, dropped: { uses: 0 } });
      time += 3 * DAY;
      await desk.sweep(1_000);
      await desk.sweep(1_000);
      const { entries } = await listAudit(env.DB, tenant, { kind: "credential" }, { limit: 10 });
      expect(entries).toEqual([]);
      expect(await verify(tenant)).toMatchObject({
        broken: null,
        entries: 6,
        dropped: { entries: 0, uses: 2 },
      });
      expect(await flawOfExport(await exported(tenant))).toBeNull();
    } finally {
      time = began;
    }
  });

  it("goes: entries after the tenant's days, at least 90; that it went is an entry itself", async () => {
    const tenant = await sealedTenant();
    await env.DB.prepare(
      "INSERT INTO tenant_settings (tenant, retention, updated_at, updated_by) VALUES (?, '{\"auditDays\":90}', 1, 'root')",
    )
      .bind(tenant)
      .run();
    const began = time;
    days = 90;
    try {
      time += 89 * DAY;
      await desk.sweep(1_000);
      expect((await verify(tenant)).entries).toBe(6);
      time += 3 * DAY;
      for (let tick = 0; tick < 3; tick++) await desk.sweep(1_000);
      const { entries } = await listAudit(env.DB, tenant, {}, { limit: 10 });
      expect(entries).toMatchObject([
        { action: "audit.drop", actor: "system", detail: { links: 2, days: 90 } },
      ]);
      expect(await verify(tenant)).toMatchObject({
        broken: null,
        entries: 1,
        dropped: { entries: 6, uses: 2 },
      });
      expect(await flawOfExport(await exported(tenant))).toBeNull();
    } finally {
      [time, days] = [began, null];
    }
  });
});

describe("an export", () => {
  it("names nobody, holds what an independent verifier needs, and holds it still when a user is forgotten", async () => {
    const tenant = await sealedTenant();
    const before = await exported(tenant);
    expect(before).not.toContain("ada");
    expect(before).toMatch(/user:usr_[0-9a-f]{32}/);
    await forgetAuditUser(env.DB, tenant, "ada");
    expect(await exported(tenant)).toBe(before);
    expect(await flawOfExport(before)).toBeNull();
    expect((await verify(tenant)).broken).toBeNull();
    for (const [a, b] of [
      ["conn_1", "conn_9"],
      ['"number":2', '"number":3'],
      ['"type":"entry"', '"type":"other"'],
    ] as const)
      expect(await flawOfExport(before.replace(a, b))).not.toBeNull();
  });

  it("is given by HTTP to who may read the audit, in parts, and sealed before; verified likewise, in steps", async () => {
    const tenant = await freshTenant();
    const admin = await adminOf(tenant);
    for (let i = 0; i < 3; i++) {
      await write(tenant, 1);
      await sealNext(deps(), tenant);
    }
    const answer = await send("GET", "/v1/audit/export?after=1", { key: admin });
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = (await answer.text())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.filter(({ type }) => type === "link").map(({ number }) => number)).toEqual([2, 3]);
    const head = lines.at(-1)?.["head"];
    expect(lines.at(-1)).toMatchObject({ type: "end", next: null, head: { number: 3 } });
    const ask = async (body: object) =>
      expectAnswer<Record<string, unknown>>(
        await send("POST", "/v1/audit/verify", { key: admin, body }),
        "verifyAudit",
        200,
      );
    expect(await ask({ limit: 2, head })).toMatchObject({ verified_to: 2, complete: false, broken: null });
    expect(await ask({ limit: 2, after: 2 })).toMatchObject({ verified_to: 3, complete: true, links: 1 });
    const root = env.ROOT_API_KEY ?? "";
    const own = await send("POST", "/v1/deployment/audit/verify", { key: root });
    expect(await expectAnswer(own, "verifyAuditOf", 200)).toMatchObject({ broken: null });
    const of = await send("GET", `/v1/deployment/audit/export?tenant=${tenant}`, { key: root });
    expect(await flawOfExport(await of.text())).toBeNull();
    const nobody = "/v1/deployment/audit/export?tenant=t-nobody";
    await expectProblem(await send("GET", nobody, { key: root }), 404, "not_found");
    const verify = "/v1/deployment/audit/verify?tenant=t-nobody";
    await expectProblem(await send("POST", verify, { key: root }), 404, "not_found");
    await expectProblem(await send("GET", "/v1/audit/export", { key: root }), 403, "insufficient_scope");
  });
});

async function adminOf(tenant: string): Promise<string> {
  const made = await send("POST", `/v1/tenants/${tenant}/keys`, {
    key: env.ROOT_API_KEY ?? "",
    body: { name: "admin" },
  });
  return (await expectAnswer<{ key: string }>(made, "createAdminKey", 201)).key;
}
