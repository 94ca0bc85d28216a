/** Rows of a tenant in D1, page by page, for its export. What of them leaves is said in `export-tables.ts`. */
import type { Row } from "../platform/index.ts";
import type { ExportTable } from "./export-tables.ts";

/** Where a table goes on: the key of the last row that was read. */
export type ExportKey = readonly (string | number)[];

export interface ExportedRows {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Null: that was all of the table. */
  readonly next: ExportKey | null;
}

/** @param after from an earlier page; null: from the beginning. Throws a TypeError for one that cannot be of this table. */
export async function selectExportRows(
  db: D1Database,
  spec: ExportTable,
  tenant: string,
  after: ExportKey | null,
): Promise<ExportedRows> {
  const { table, where, key, columns, rows } = spec;
  if (after !== null && after.length !== key.length) throw new TypeError("This is no key of the table.");
  const names = [...new Set([...columns, ...key])];
  const placed = key.map((_, i) => `?${i + 3}`).join(", ");
  const later = after === null ? "" : ` AND (${key.join(", ")}) > (${placed})`;
  const { results } = await db
    .prepare(
      `SELECT ${names.join(", ")} FROM ${table} WHERE ${where}${later} ORDER BY ${key.join(", ")} LIMIT ?2`,
    )
    .bind(tenant, rows, ...(after ?? []))
    .all<Row>();
  const last = results.at(-1);
  return {
    rows: results.map((row) => shown(spec, row)),
    next: results.length < rows || last === undefined ? null : key.map((name) => keyPart(last[name])),
  };
}

function shown({ columns, json }: ExportTable, row: Row): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    columns.map((name) => {
      const value = row[name] ?? null;
      return [
        name,
        typeof value === "string" && json.includes(name) ? (JSON.parse(value) as unknown) : value,
      ];
    }),
  );
}

function keyPart(value: unknown): string | number {
  if (typeof value === "string" || typeof value === "number") return value;
  throw new TypeError("A key of an exported table is a text or a number.");
}
