/** Reports as runs make them, and what a directory object reads. */
import { runInDurableObject } from "cloudflare:test";
import type { Listed, Report } from "../../src/directory/index.ts";
import { randomId } from "../../src/platform/index.ts";

export const HOUR_MS = 60 * 60_000;
/** Lately, and a whole hour: a directory drops what ended long ago. */
export const T0 = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 6 * HOUR_MS;

export function reportOf(more: Partial<Report> & { readonly tenant: string }): Report {
  const endedAt = more.endedAt ?? null;
  return {
    id: randomId("run"),
    version: 3,
    workflow: "book-trip",
    workflowVersion: "1",
    user: null,
    startedBy: "key:test",
    tags: [],
    parent: null,
    status: endedAt === null ? "running" : "succeeded",
    paused: false,
    generation: 1,
    startedAt: T0,
    endedAt,
    failure: null,
    leaseAt: endedAt === null ? Date.now() + HOUR_MS : null,
    ...more,
  };
}

/** `count` reports, one started each second from T0 on. */
export function many(
  tenant: string,
  count: number,
  each: (i: number) => Partial<Report> = () => ({}),
): Report[] {
  return Array.from({ length: count }, (_, i) => reportOf({ tenant, startedAt: T0 + i * 1_000, ...each(i) }));
}

/** What SQLite says that it has read, in all statements of an object from now on. */
export async function readMeter(stub: DurableObjectStub): Promise<() => Promise<number>> {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  await runInDurableObject(stub, (_object, { storage }) => {
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    sql.exec = <T extends Record<string, SqlStorageValue>>(query: string, ...values: unknown[]) => {
      const cursor = exec<T>(query, ...values);
      cursors.push(cursor);
      return cursor;
    };
  });
  let before = 0;
  return async () => {
    const read = await runInDurableObject(stub, () => cursors.reduce((sum, one) => sum + one.rowsRead, 0));
    const since = read - before;
    before = read;
    return since;
  };
}

export const idsOf = (runs: readonly Pick<Listed, "id">[]): string[] => runs.map(({ id }) => id);
