import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import {
  defineSchema,
  describeSchema,
  dropSchema,
  hasSchema,
  integer,
  migrate,
  SchemaError,
  text,
  textOrNull,
} from "../../src/platform/index.ts";

const FIRST = { id: 1, sql: "CREATE TABLE fact (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT" };
const SECOND = {
  id: 2,
  sql: "CREATE TABLE chunk (seq INTEGER PRIMARY KEY) STRICT; CREATE INDEX fact_body ON fact (body); INSERT INTO fact VALUES (1, 'from 2')",
};
const BROKEN = { id: 2, sql: "CREATE TABLE half (id INTEGER) STRICT; CREATE TABLE fact (again INTEGER)" };

const OTHER = defineSchema([{ id: 1, sql: "CREATE TABLE other (id INTEGER PRIMARY KEY) STRICT" }], "other");

let objects = 0;
/** Runs with the storage of an object of its own. */
async function withStorage<T>(use: (storage: DurableObjectStorage) => T): Promise<T> {
  objects += 1;
  return runInDurableObject(env.RUN.getByName(`run:default:sql-${objects}`), (_, state) =>
    use(state.storage),
  );
}

function codeOf(act: () => void): string | null {
  try {
    act();
  } catch (error) {
    if (error instanceof SchemaError) return error.code;
    throw error;
  }
  return null;
}

test("an untouched object has no schema, and looking leaves it without storage", async () => {
  await withStorage((storage) => {
    const before = storage.sql.databaseSize;
    expect(storage.kv.get("schema")).toBeUndefined();
    expect(storage.sql.databaseSize).toBe(before);
    expect(describeSchema(storage.sql)).toEqual([]);
  });
});

test("all migrations are applied in order, and the DDL is the expected one", async () => {
  await withStorage((storage) => {
    migrate(storage, defineSchema([FIRST, SECOND]));
    expect(describeSchema(storage.sql)).toEqual([
      "CREATE TABLE chunk (seq INTEGER PRIMARY KEY) STRICT",
      "CREATE TABLE fact (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT",
      "CREATE INDEX fact_body ON fact (body)",
    ]);
  });
});

test("a later build applies only what is missing and keeps the rows", async () => {
  await withStorage((storage) => {
    migrate(storage, defineSchema([FIRST]));
    storage.sql.exec("INSERT INTO fact VALUES (7, 'kept')");
    migrate(storage, defineSchema([FIRST, SECOND]));
    const rows = storage.sql.exec("SELECT body FROM fact ORDER BY seq").toArray();
    expect(rows.map((row) => text(row, "body"))).toEqual(["from 2", "kept"]);
  });
});

test("migrating again writes nothing", async () => {
  await withStorage((storage) => {
    const schema = defineSchema([FIRST, SECOND]);
    migrate(storage, schema);
    migrate(storage, schema);
    expect(storage.sql.exec("SELECT * FROM fact").toArray()).toHaveLength(1);
  });
});

test("an applied migration that was edited is refused and nothing is changed", async () => {
  await withStorage((storage) => {
    migrate(storage, defineSchema([FIRST]));
    const edited = { ...FIRST, sql: `${FIRST.sql} ` };
    expect(codeOf(() => migrate(storage, defineSchema([edited])))).toBe("schema_changed");
    expect(codeOf(() => migrate(storage, defineSchema([edited, SECOND])))).toBe("schema_changed");
    expect(storage.kv.get("schema")).toMatchObject({ version: 1 });
  });
});

test("a database of a newer build is refused", async () => {
  await withStorage((storage) => {
    migrate(storage, defineSchema([FIRST, SECOND]));
    expect(codeOf(() => migrate(storage, defineSchema([FIRST])))).toBe("schema_newer");
  });
});

test("a migration that fails leaves neither its tables nor a version", async () => {
  await withStorage((storage) => {
    expect(() => migrate(storage, defineSchema([FIRST, BROKEN]))).toThrow(/already exists/);
    migrate(storage, defineSchema([FIRST]));
    expect(() => migrate(storage, defineSchema([FIRST, BROKEN]))).toThrow(/already exists/);
    expect(storage.kv.get("schema")).toMatchObject({ version: 1 });
    expect(describeSchema(storage.sql).join()).not.toContain("half");
  });
});

test("it may run inside a transaction of the caller, and goes back with it", async () => {
  await withStorage((storage) => {
    const turn = (): void =>
      storage.transactionSync(() => {
        migrate(storage, defineSchema([FIRST]));
        throw new Error("refused");
      });
    expect(turn).toThrow("refused");
    expect(storage.kv.get("schema")).toBeUndefined();
  });
});

test("schemas of different names live side by side, each with a version of its own", async () => {
  await withStorage((storage) => {
    migrate(storage, OTHER);
    expect([hasSchema(storage, OTHER), hasSchema(storage, defineSchema([FIRST]))]).toEqual([true, false]);
    migrate(storage, defineSchema([FIRST, SECOND]));
    migrate(storage, OTHER);
    expect(describeSchema(storage.sql)).toContain("CREATE TABLE other (id INTEGER PRIMARY KEY) STRICT");
  });
});

test("a schema that is dropped leaves no table, keeps the other entries, and can be applied again", async () => {
  await withStorage((storage) => {
    const schema = defineSchema([FIRST, SECOND]);
    migrate(storage, schema);
    storage.kv.put("other", 1);
    migrate(storage, OTHER);
    dropSchema(storage);
    expect([hasSchema(storage, schema), hasSchema(storage, OTHER)]).toEqual([false, false]);
    expect(describeSchema(storage.sql)).toEqual([]);
    expect(storage.kv.get("other")).toBe(1);
    migrate(storage, schema);
    expect(storage.sql.exec("SELECT * FROM fact").toArray()).toHaveLength(1);
  });
});

test("ids out of order are a mistake of the programmer", () => {
  expect(() => defineSchema([SECOND, FIRST])).toThrow(TypeError);
  expect(() => defineSchema([FIRST, FIRST])).toThrow(TypeError);
});

test("a column that holds something else than its reader expects throws", async () => {
  await withStorage((storage) => {
    const row = storage.sql.exec("SELECT 1 AS n, 'a' AS t, NULL AS none, 1.5 AS half").one();
    expect([integer(row, "n"), text(row, "t"), textOrNull(row, "none")]).toEqual([1, "a", null]);
    expect(() => text(row, "n")).toThrow(TypeError);
    expect(() => integer(row, "half")).toThrow(TypeError);
    expect(() => text(row, "missing")).toThrow(TypeError);
    expect(() => textOrNull(row, "missing")).toThrow(TypeError);
  });
});
