/** All that a test file's product keeps and logs: every row of the database, all storage of every object, every line of its log. */
import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { SecretSearch } from "../platform/secret-search.ts";

/** Of the engine, which does not let them be read. */
const HIDDEN_TABLES = /^(_cf_|sqlite_|__miniflare)/;
const LEVELS = ["debug", "log", "info", "warn", "error"] as const;

/** Texts and bytes, by where they are: `<database or class> <table or key>`. */
export type Kept = ReadonlyMap<string, readonly (string | Uint8Array)[]>;

/** Every value of every table, and of every object's storage. */
export async function everythingKept(): Promise<Kept> {
  const kept = new Map<string, (string | Uint8Array)[]>();
  const keep = (place: string, value: unknown): void => {
    kept.set(place, [...(kept.get(place) ?? []), ...textsOf(value)]);
  };
  const { results } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all<{
    name: string;
  }>();
  for (const { name } of results)
    if (!HIDDEN_TABLES.test(name))
      keep(`D1 ${name}`, (await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results);
  const keepObjects = async <T extends Rpc.DurableObjectBranded>(
    of: string,
    objects: DurableObjectNamespace<T>,
  ): Promise<void> => {
    for (const id of await listDurableObjectIds(objects))
      await runInDurableObject(objects.get(id), (_object, { storage }) => {
        for (const [key, value] of storage.kv.list()) keep(`${of} ${key}`, [key, value]);
        const tables = storage.sql.exec<{ name: string }>(
          "SELECT name FROM sqlite_master WHERE type = 'table'",
        );
        for (const { name } of tables.toArray())
          if (!HIDDEN_TABLES.test(name))
            keep(`${of} ${name}`, storage.sql.exec(`SELECT * FROM "${name}"`).toArray());
      });
  };
  await keepObjects("run", env.RUN);
  await keepObjects("connection", env.CONNECTION);
  await keepObjects("directory", env.DIRECTORY);
  await keepObjects("issuer", env.ISSUER);
  await keepObjects("credential", env.CREDENTIAL);
  await keepObjects("events", env.EVENTS);
  await keepObjects("schedule", env.SCHEDULE);
  await keepObjects("hook", env.HOOK);
  await keepObjects("flow", env.FLOW);
  await keepObjects("endpoint", env.ENDPOINT);
  await keepObjects("quota", env.QUOTA);
  return kept;
}

/** What was found, as `<place>: <secret>, <form>`. */
export function foundIn(kept: Kept, secrets: ReadonlyMap<string, string>): string[] {
  const search = new SecretSearch(secrets);
  const found = [...kept].flatMap(([place, values]) =>
    values.flatMap((value) => search.in(value).map((what) => `${place}: ${what}`)),
  );
  return [...new Set(found)];
}

/** What is written to the console from now on, as it is asked. No mock: those are emptied before each test. */
export function listenToConsole(): () => string[] {
  const lines: string[] = [];
  for (const level of LEVELS) {
    const real = console[level];
    console[level] = (...words: unknown[]) => {
      lines.push(words.map(wordOf).join(" "));
      real.apply(console, words);
    };
  }
  return () => lines;
}

function wordOf(word: unknown): string {
  return word instanceof Error
    ? `${word.stack ?? ""} ${word.message}`
    : typeof word === "string"
      ? word
      : (JSON.stringify(word) ?? "");
}

/** The texts and bytes in a value, keys of objects too. */
function textsOf(value: unknown): (string | Uint8Array)[] {
  if (typeof value === "string") return [value];
  if (value instanceof ArrayBuffer) return [new Uint8Array(value)];
  if (ArrayBuffer.isView(value)) return [new Uint8Array(value.buffer, value.byteOffset, value.byteLength)];
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (value instanceof Map || value instanceof Set) return [...value].flatMap(textsOf);
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([key, member]) => [key, ...textsOf(member)]);
  return [];
}
