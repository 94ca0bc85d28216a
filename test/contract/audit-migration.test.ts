/** That the migrations take the names of people out of an audit that was written before. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";

const DIR = join(import.meta.dirname, "../../migrations");
const FILES = readdirSync(DIR).toSorted();
const NAMES_GO = "0020_audit_users.sql";

const apply = (db: DatabaseSync, files: readonly string[]): void => {
  for (const file of files) db.exec(readFileSync(join(DIR, file), "utf8"));
};

/** A database at the migration before. */
function before(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  apply(db, FILES.slice(0, FILES.indexOf(NAMES_GO)));
  return db;
}

/** Rows as the code of before writes them. */
function written(db: DatabaseSync): DatabaseSync {
  const entry = db.prepare(
    "INSERT INTO access_audit (at, tenant, actor, action, target, outcome, detail) VALUES (?, ?, ?, ?, ?, 'granted', ?)",
  );
  const at = 1_800_000_000_000;
  const key = { name: "Ada's agent", scopes: "runs:read", user: "ada", expires_at: at };
  entry.run(at, null, "root", "root.use", "", '{"purpose":"GET /v1/tenants"}');
  entry.run(at, "default", "key:key_1", "key.create", "key_2", JSON.stringify(key));
  entry.run(
    at,
    "default",
    "key:key_1",
    "key.create",
    "key_3",
    JSON.stringify({ ...key, name: "CI", user: null }),
  );
  entry.run(
    at,
    "default",
    "user:ada",
    "connection.disconnect",
    "conn_1",
    '{"account":"ada@mail.example","n":1}',
  );
  entry.run(at, "default", "user:grace", "connection.disconnect", "conn_2", '{"account":"default"}');
  entry.run(
    at,
    "default",
    "token:tok_1",
    "issuer.trust",
    "idp",
    '{"issuer":"https://idp","rules":"ada: runs:read"}',
  );
  const use = db.prepare(
    `INSERT INTO credential_uses (id, tenant, at, run, workflow, user, unit, attempt, target, credential)
     VALUES (?, 'default', ?, 'run_1', 'w', ?, 'a', 1, 'conn_1', '{"connection":"conn_1","account":"ada@mail.example"}')`,
  );
  use.run("run_1.a.a1.0", at, "ada");
  use.run("run_1.b.a1.0", at, null);
  return db;
}

const NEWER = FILES.slice(FILES.indexOf(NAMES_GO));
const upgraded = (db: DatabaseSync): DatabaseSync => {
  apply(db, NEWER);
  return db;
};

test.each([
  ["an older audit", () => upgraded(written(before()))],
  ["what older code writes beside the new table", () => written(upgraded(before()))],
])("%s names nobody, and the new table alone says who stood there", (_what, made) => {
  const db = made();
  const kept = [
    ...db.prepare("SELECT * FROM access_audit ORDER BY seq").all(),
    ...db.prepare("SELECT * FROM credential_uses ORDER BY id").all(),
  ];
  expect(JSON.stringify(kept)).not.toMatch(/ada|grace|mail\.example|tok_1/i);
  const people = db
    .prepare("SELECT tenant, user, kind, owner, pseudonym FROM audit_users ORDER BY user")
    .all();
  expect(people).toMatchObject([
    { tenant: "default", user: "ada", kind: "user", owner: null },
    { tenant: "default", user: "grace", kind: "user" },
    { tenant: "default", user: "tok_1", kind: "caller" },
  ]);
  const [ada, grace, caller] = people.map(({ pseudonym }) => String(pseudonym));
  expect(kept).toMatchObject([
    { actor: "root", detail: '{"purpose":"GET /v1/tenants"}' },
    { detail: `{"scopes":"runs:read","user":"${ada}","expires_at":1800000000000}` },
    { detail: '{"name":"CI","scopes":"runs:read","user":null,"expires_at":1800000000000}' },
    { actor: `user:${ada}`, detail: '{"n":1}' },
    { actor: `user:${grace}`, detail: "{}" },
    { actor: `token:${caller}`, detail: '{"issuer":"https://idp"}' },
    { user: ada, credential: '{"connection":"conn_1"}' },
    { user: null },
  ]);
});

test("a user whom their tenant calls as pseudonyms begin is named by neither", () => {
  for (const db of [upgraded(before()), before()]) {
    const entry = db.prepare(
      `INSERT INTO access_audit (at, tenant, actor, action, target, outcome, detail)
       VALUES (1, 'default', 'user:usr_ada', 'connection.disconnect', 'conn_1', 'granted', '{"user":"usr_ada"}')`,
    );
    entry.run();
    db.exec(
      `INSERT INTO credential_uses (id, tenant, at, run, workflow, user, unit, attempt, target, credential, hosts, more_hosts, outcome)
       VALUES ('run_1.a.a1.0', 'default', 1, 'run_1', 'w', 'usr_ada', 'a', 1, 'conn_1', '{}', '[]', 0, 'succeeded')`,
    );
    if (db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit_users'").get() === undefined)
      upgraded(db);
    const kept = [
      db.prepare("SELECT actor, detail FROM access_audit").all(),
      db.prepare("SELECT user FROM credential_uses").all(),
    ];
    expect(JSON.stringify(kept)).not.toContain("usr_ada");
    expect(db.prepare("SELECT user FROM audit_users").all()).toEqual([{ user: "usr_ada" }]);
    expect(() => db.exec("UPDATE access_audit SET actor = 'x'")).toThrow("append-only");
  }
});

test("what is carried over is append-only again", () => {
  const db = upgraded(written(before()));
  for (const sql of ["UPDATE access_audit SET actor = 'x'", "DELETE FROM access_audit"])
    expect(() => db.exec(sql)).toThrow("append-only");
});
