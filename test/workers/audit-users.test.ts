/** That the audit names no end user in what it keeps, and shows who they are for as long as they are not forgotten. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { callerStatement } from "../../src/access/audit-users-store.ts";
import {
  createAccessAudit,
  createUseAudit,
  eraseUserCallers,
  forgetAuditUser,
  listAudit,
} from "../../src/access/index.ts";
import { type CredentialUse, randomId } from "../../src/platform/index.ts";
import { newKey, newTenant } from "./api-support.ts";

const PSEUDONYM = /^usr_[0-9a-f]{32}$/;
const audit = createAccessAudit(env.DB);

const entry = (tenant: string, actor: string, detail: Parameters<typeof audit.write>[0]["detail"] = {}) => ({
  ...{ at: Date.now(), tenant, actor, action: "connection.disconnect", target: "conn_1", detail },
  outcome: "granted" as const,
});

const use = (tenant: string, user: string | null, run = randomId("run")): CredentialUse => ({
  ...{ id: `${run}.s0.a1.0`, at: Date.now(), tenant, run, workflow: "w", user, unit: "s0", attempt: 1 },
  credential: { connection: "conn_1", integration: "google", account: "ada@mail.example", version: 1 },
  ended: { hosts: ["api.example"], moreHosts: 0, outcome: "success" },
});

async function freshTenant(): Promise<string> {
  const tenant = `t-${randomId("run").slice(4, 16)}`;
  await env.DB.prepare("INSERT INTO tenants (id, created_at, created_by) VALUES (?, 1, 'root')")
    .bind(tenant)
    .run();
  return tenant;
}

/** All that the audit keeps of a tenant, as text. */
async function kept(tenant: string): Promise<string> {
  const tables = await env.DB.batch(
    ["access_audit", "credential_uses"].map((table) =>
      env.DB.prepare(`SELECT * FROM ${table} WHERE tenant = ?`).bind(tenant),
    ),
  );
  return JSON.stringify(tables.map(({ results }) => results));
}

/** Without pseudonyms: by chance one of them can spell a name. */
function spelled(text: string): string {
  return text.replaceAll(/usr_[0-9a-f]{32}/g, "");
}

async function pseudonyms(tenant: string): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT pseudonym FROM audit_users WHERE tenant = ? ORDER BY user")
    .bind(tenant)
    .all<{ pseudonym: string }>();
  return results.map(({ pseudonym }) => pseudonym);
}

describe("an end user in the audit", () => {
  it("is kept as a pseudonym, the same in entries and uses, and shown by their id", async () => {
    const tenant = await freshTenant();
    await audit.write(entry(tenant, "user:ada@mail.example", { by: { user: "ada@mail.example" } }));
    await audit.write(entry(tenant, "key:key_1", { for: { user: 'Grace "x" usr_\'' }, n: 1, yes: true }));
    await createUseAudit(env.DB).write([use(tenant, "ada@mail.example"), use(tenant, null)]);
    const text = await kept(tenant);
    expect(spelled(text)).not.toMatch(/ada|mail\.example|Grace/);
    const [grace = "", ada = "", ...others] = await pseudonyms(tenant);
    expect([ada, grace]).toEqual([expect.stringMatching(PSEUDONYM), expect.stringMatching(PSEUDONYM)]);
    expect(others).toEqual([]);
    expect(text.split(ada)).toHaveLength(4);
    const { entries } = await listAudit(env.DB, tenant, {}, { limit: 10 });
    expect(entries.map(({ actor }) => actor)).toContain("user:ada@mail.example");
    expect(entries.map(({ detail }) => detail)).toEqual(
      expect.arrayContaining([
        { by: "ada@mail.example" },
        { for: 'Grace "x" usr_\'', n: 1, yes: true },
        expect.objectContaining({ user: "ada@mail.example", ended: "success" }),
      ]),
    );
  });

  it("has one pseudonym, however many name them first at the same moment", async () => {
    const tenant = await freshTenant();
    const sink = createUseAudit(env.DB);
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) =>
        i % 2 === 0 ? audit.write(entry(tenant, "user:ada")) : sink.write([use(tenant, "ada")]),
      ),
    );
    const [ada = "", ...others] = await pseudonyms(tenant);
    expect(others).toEqual([]);
    expect((await kept(tenant)).match(/usr_[0-9a-f]{32}/g)).toEqual(Array.from({ length: 8 }, () => ada));
  });

  it("has another pseudonym in another tenant, which forgetting them here leaves alone", async () => {
    const [here, there] = [await freshTenant(), await freshTenant()];
    for (const tenant of [here, there]) await audit.write(entry(tenant, "user:ada"));
    expect(await pseudonyms(here)).not.toEqual(await pseudonyms(there));
    await forgetAuditUser(env.DB, here, "ada").run();
    const shown = async (tenant: string) =>
      (await listAudit(env.DB, tenant, { kind: "connection" }, { limit: 10 })).entries.map(
        ({ actor }) => actor,
      );
    expect(await shown(here)).toEqual([expect.stringMatching(/^user:usr_[0-9a-f]{32}$/)]);
    expect(await shown(there)).toEqual(["user:ada"]);
  });

  it("who is forgotten is nowhere in the audit's tables, and keeps no pseudonym when named again", async () => {
    const tenant = await freshTenant();
    await audit.write(entry(tenant, "user:ada"));
    const before = await pseudonyms(tenant);
    const text = await kept(tenant);
    await forgetAuditUser(env.DB, tenant, "ada").run();
    await forgetAuditUser(env.DB, tenant, "ada").run();
    expect(await pseudonyms(tenant)).toEqual([]);
    expect(await kept(tenant)).toBe(text);
    await audit.write(entry(tenant, "user:ada"));
    expect(await pseudonyms(tenant)).not.toEqual(before);
  });

  it("who was erased is not known again by what is told late: entries and uses of before name nobody, later ones do", async () => {
    const tenant = await freshTenant();
    const sink = createUseAudit(env.DB);
    const caller = { ...entry(tenant, "token:tok_of_ada"), action: "run.start" };
    await audit.write(entry(tenant, "user:ada"));
    const at = Date.now();
    await env.DB.batch([
      forgetAuditUser(env.DB, tenant, "ada"),
      env.DB.prepare(
        `INSERT INTO erasures (id, tenant, user, status, progress, report, begun_at, begun_by, done_at)
         VALUES (?, ?, NULL, 'done', '{}', '{}', 1, 'key:key_1', ?)`,
      ).bind(`era_${tenant}`, tenant, at),
    ]);
    for (const early of [
      { ...entry(tenant, "user:ada"), at },
      { ...caller, at: at - 1 },
    ])
      await audit.write(early);
    await sink.write([
      { ...use(tenant, "ada"), at },
      { ...use(tenant, null), at },
    ]);
    expect(await pseudonyms(tenant)).toEqual([]);
    expect(spelled(await kept(tenant))).not.toMatch(/ada/);
    const { results } = await env.DB.prepare(
      "SELECT user FROM credential_uses WHERE tenant = ? ORDER BY user",
    )
      .bind(tenant)
      .all();
    expect(results).toEqual([{ user: null }, { user: expect.stringMatching(/^usr_[0-9a-f]{32}$/) }]);
    // Who uses the id from then on is anybody.
    await audit.write({ ...entry(tenant, "user:ada"), at: at + 1 });
    await sink.write([{ ...use(tenant, "ada"), at: at + 1 }]);
    expect(await pseudonyms(tenant)).toHaveLength(1);
  });

  it("who came with a token is forgotten with the user that they came for, or are called like", async () => {
    const tenant = await freshTenant();
    await env.DB.batch([
      callerStatement(env.DB, tenant, `tok_${tenant}_1`, "ada"),
      ...(["ada", "agent-of-ada", "grace"] as const).map((subject, i) =>
        env.DB.prepare(
          "INSERT INTO trusted_callers (id, tenant, issuer_id, subject, first_at, last_at) VALUES (?, ?, 'iss_1', ?, 1, 1)",
        ).bind(`tok_${tenant}_${i}`, tenant, subject),
      ),
    ]);
    for (const i of [0, 1, 2]) await audit.write(entry(tenant, `token:tok_${tenant}_${i}`));
    expect(await pseudonyms(tenant)).toHaveLength(3);
    expect(await eraseUserCallers(env.DB, tenant, "ada")).toBe(2);
    expect(await eraseUserCallers(env.DB, tenant, "ada")).toBe(0);
    await forgetAuditUser(env.DB, tenant, "ada").run();
    expect(await pseudonyms(tenant)).toHaveLength(1);
    const { entries } = await listAudit(env.DB, tenant, { kind: "connection" }, { limit: 10 });
    const anybody = expect.stringMatching(/^token:usr_/);
    expect(entries.map(({ actor }) => actor).toSorted()).toEqual([`token:tok_${tenant}_2`, anybody, anybody]);
    const { results } = await env.DB.prepare(
      "SELECT subject FROM trusted_callers WHERE tenant = ? ORDER BY id",
    )
      .bind(tenant)
      .all();
    expect(results).toEqual([{ subject: "erased" }, { subject: "erased" }, { subject: "grace" }]);
  });

  it("of a key that is bound to them: neither their id nor the key's name is kept", async () => {
    const tenant = `t-${randomId("run").slice(4, 16)}`;
    const admin = await newTenant(tenant);
    const expires_at = Date.now() + 600_000;
    await newKey(admin, { name: "Ada's agent", scopes: ["runs:read"], user: "ada", expires_at });
    expect(spelled(await kept(tenant))).not.toMatch(/ada/i);
    const { entries } = await listAudit(env.DB, tenant, { kind: "key" }, { limit: 1 });
    expect(entries).toMatchObject([{ action: "key.create", detail: { user: "ada" } }]);
  });

  it("is a pseudonym also where older code, that goes on for minutes, writes them in plain", async () => {
    const tenant = await freshTenant();
    await audit.write(entry(tenant, "user:ada"));
    const [ada] = await pseudonyms(tenant);
    await env.DB.prepare(
      `INSERT INTO access_audit (at, tenant, actor, action, target, outcome, detail)
       VALUES (1, ?1, 'user:ada', 'connection.disconnect', 'conn_2', 'granted', '{"account":"ada"}')`,
    )
      .bind(tenant)
      .run();
    expect(await kept(tenant)).not.toContain("user:ada");
    const { results } = await env.DB.prepare("SELECT actor, detail FROM access_audit WHERE tenant = ?")
      .bind(tenant)
      .all();
    expect(results).toEqual([
      { actor: `user:${ada}`, detail: "{}" },
      { actor: `user:${ada}`, detail: "{}" },
    ]);
  });
});
