/** PERSISTED CONTRACT. What a deployment of some version has stored, as text: see `test/upgrade/golden.ts`, which writes it. */
import type { Json } from "../../src/kernel/index.ts";

export type Cell = string | number | null;

export interface Table {
  readonly name: string;
  /** What makes it, with its indexes. */
  readonly ddl: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface ObjectDump {
  /** Of its class: `RUN`. */
  readonly binding: string;
  readonly name: string;
  readonly tables: readonly Table[];
  readonly kv: Readonly<Record<string, Json>>;
  /** Milliseconds since 1970. */
  readonly alarm: number | null;
}

export interface StateDump {
  readonly database: readonly Table[];
  readonly objects: readonly ObjectDump[];
}

export interface Golden extends StateDump {
  readonly v: 1;
  readonly version: string;
  /** The newest migration of the database. */
  readonly migration: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The admin's key. It opens nothing but this data. */
  readonly key: string;
  /** What each story has kept. */
  readonly stories: Readonly<Record<string, Readonly<Record<string, Json>>>>;
}

/** A time that lies around that of a dump: what was written in the dump stands in all of its texts as such a number. */
const TIME = /(?<![0-9A-Za-z_.-])1[78]\d{11}(?![0-9A-Za-z_])/g;

/** The dump as if it had been made at that time: a wait that had an hour left has an hour left. What is sealed stays as it is. */
export function movedTo(golden: Golden, now: number): Golden {
  const by = now - golden.at;
  const moved = JSON.stringify(golden).replace(TIME, (time) => String(Number(time) + by));
  return JSON.parse(moved) as Golden;
}
