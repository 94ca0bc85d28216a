/** A backup says which keys it needs, and is not restored without them, nor if it is another file. */
import { describe, expect, test } from "vitest";
import { manifestOf, refusal } from "../../src/cli/backup-file.ts";
import { nextOf, summaryOf } from "../../src/cli/export-file.ts";

const row = (kid: string, dropped: string): string =>
  `INSERT INTO "vault_keys" ("kid","check_value","created_at","sealed_at","dropped_at") VALUES('${kid}','v1.x.y',1,NULL,${dropped});`;
const SQL = [
  `INSERT INTO "d1_migrations" ("id","name","applied_at") VALUES(1,'0001_access.sql','2026-11-26 09:03:29');`,
  `INSERT INTO "tenants" ("id","created_at","created_by") VALUES('acme',1,'root');`,
  row("k0", "3"),
  row("k1", "NULL"),
].join("\n");

describe("a backup", () => {
  const manifest = manifestOf(SQL, 7);

  test("names its migration, its rows, and the keys that are in use", () => {
    expect(manifest).toMatchObject({
      ...{ format: "showcaller.backup/1", made_at: 7, migration: "0001_access.sql", keys: ["k1"] },
      rows: { d1_migrations: 1, tenants: 1, vault_keys: 2 },
    });
  });

  test("is restored only with each of its keys, and only as the file that it was", () => {
    expect(refusal(manifest, SQL, { keys: { k1: "x", k2: "y" } })).toBeNull();
    expect(refusal(manifest, SQL, { keys: { k2: "y" } })).toContain("k1");
    expect(refusal(manifest, SQL, null)).toContain("k1");
    expect(refusal(manifest, `${SQL}\n`, { keys: { k1: "x" } })).toContain("changed");
  });

  test("is made whatever a tenant has written: no text of theirs is a line of it", () => {
    const written = ["\u2028", "\u2029", "\r"].map(
      (end) =>
        `INSERT INTO "plans" ("name","description") VALUES('p','x${end}INSERT INTO "vault_keys" (hello)');`,
    );
    const sql = [SQL, ...written].join("\n");
    expect(manifestOf(sql, 7)).toMatchObject({ keys: ["k1"], rows: { vault_keys: 2, plans: 3 } });
  });

  test("whose keys cannot be read is none", () => {
    expect(() => manifestOf(SQL.replace('("kid",', '("name",'), 7)).toThrow(/another form/);
  });
});

describe("an export that was cut off", () => {
  const page = (cursor: string | null): string =>
    `${JSON.stringify({ type: "page", next_cursor: cursor })}\n`;

  test("goes on behind its last whole page", () => {
    const whole = `{"type":"export"}\n${page("a")}{"type":"plan"}\n${page("b")}`;
    expect(nextOf(`${whole}{"type":"plan"}\n{"ty`)).toEqual({ keep: whole.length, cursor: "b" });
    expect(nextOf('{"type":"export"}\n')).toEqual({ keep: 0, cursor: "" });
    expect(nextOf(`${whole}${page(null)}`)).toMatchObject({ cursor: null });
  });

  test("is summed up by type", () => {
    expect(summaryOf(`{"type":"plan"}\n{"type":"plan"}\n${page(null)}`)).toEqual({
      type: "summary",
      complete: true,
      lines: { plan: 2, page: 1 },
    });
  });
});
