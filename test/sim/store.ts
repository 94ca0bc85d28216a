/**
 * Simulated storage of one object: writes are buffered in bursts and flushed burst by burst, as the platform does with
 * writes that have no await between them.
 *
 * Owns: rows, snapshots and the alarm, as a life sees them and as they are on disk. Does not own when a flush happens.
 *
 * S1 a crash leaves exactly the state at the end of some burst, never half of one.
 * S2 everything is kept as text: what does not survive JSON does not survive here.
 */

import type { Loaded, Row } from "../../src/driver/index.ts";
import type { RunState, Snapshot } from "../../src/kernel/index.ts";
import type { Audit } from "./audit.ts";

export interface Alarm {
  /** A new one at each `set`: a delivery is for one setting. */
  readonly id: number;
  readonly at: number;
}

interface Version {
  readonly rows: number;
  readonly snapshot: { readonly text: string; readonly rows: number; readonly seq: number } | null;
  readonly alarm: Alarm | null;
}

export class Store {
  readonly #audit: Audit;
  readonly #texts: string[] = [];
  readonly #values: string[][] = [];
  readonly #rowOf = new Map<number, number>();
  #seqs: number[] = [];
  #current: Version = { rows: 0, snapshot: null, alarm: null };
  #durable: Version = this.#current;
  #unflushed: { readonly burst: number; version: Version }[] = [];
  #open = 1;
  #dirty = false;
  #alarms = 0;
  /** The last burst that is on disk, or gone with the life that wrote it. */
  flushedTo = 0;
  /** Rows and alarms written, snapshots aside: what the platform charges. */
  written = 0;

  constructor(audit: Audit) {
    this.#audit = audit;
  }

  get rows(): number {
    return this.#current.rows;
  }

  get durableRows(): number {
    return this.#durable.rows;
  }

  get alarm(): Alarm | null {
    return this.#current.alarm;
  }

  get durableAlarm(): Alarm | null {
    return this.#durable.alarm;
  }

  /** The number of the last burst that holds a write: what must be flushed before anything may leave. */
  get burst(): number {
    return this.#dirty ? this.#open : this.#open - 1;
  }

  get flushed(): boolean {
    return this.#unflushed.length === 0 && !this.#dirty;
  }

  /** Texts of the rows, for a digest. */
  texts(): readonly string[] {
    return this.#texts;
  }

  /** Rows that a waking life reads: those since the newest snapshot. */
  get rowsToRead(): number {
    return this.#current.rows - (this.#current.snapshot?.rows ?? 0);
  }

  load(): Loaded {
    const { snapshot, rows } = this.#current;
    const first = snapshot?.rows ?? 0;
    return {
      snapshot:
        snapshot === null ? null : { seq: snapshot.seq, state: JSON.parse(snapshot.text) as Snapshot },
      rows: this.#texts.slice(first, rows).map((text) => JSON.parse(text) as Row),
    };
  }

  value(seq: number, slot: number): string {
    const text = this.#values[this.#rowOf.get(seq) ?? -1]?.[slot];
    if (text === undefined) throw new Error(`there is no value ${seq}.${slot}`);
    return text;
  }

  /** @param version of the life that appends */
  append(row: Row, after: RunState, snapshot: Snapshot | null, version: string): void {
    const text = JSON.stringify({ ...row, values: [] });
    this.#texts.push(text);
    this.#values.push([...row.values]);
    this.#seqs.push(row.seq);
    this.#rowOf.set(row.seq, this.#texts.length - 1);
    const rows = this.#texts.length;
    this.written += 1;
    const kept =
      snapshot === null
        ? this.#current.snapshot
        : { text: JSON.stringify(snapshot), rows, seq: row.seq + row.facts.length };
    this.#write({ ...this.#current, rows, snapshot: kept });
    this.#audit.appended({ ...(JSON.parse(text) as Row), values: row.values }, after, snapshot, version);
  }

  setAlarm(at: number): void {
    this.written += 1;
    this.#write({ ...this.#current, alarm: { id: ++this.#alarms, at } });
  }

  /** The platform delivers an alarm, or loses it: that setting of it is used up. */
  useAlarm(id: number): void {
    const used = (version: Version): Version =>
      version.alarm?.id === id ? { ...version, alarm: null } : version;
    this.#current = used(this.#current);
    this.#durable = used(this.#durable);
    for (const burst of this.#unflushed) burst.version = used(burst.version);
  }

  /** Nothing was awaited since the burst began; now something is. Returns its number, or null if it holds no write. */
  close(): number | null {
    if (!this.#dirty) return null;
    this.#unflushed.push({ burst: this.#open, version: this.#current });
    this.#dirty = false;
    return this.#open++;
  }

  flush(to: number): void {
    for (
      let first = this.#unflushed[0];
      first !== undefined && first.burst <= to;
      first = this.#unflushed[0]
    ) {
      this.#durable = first.version;
      this.flushedTo = first.burst;
      this.#unflushed.shift();
    }
  }

  /** Bursts that are closed and not flushed, oldest first. */
  pending(): readonly number[] {
    return this.#unflushed.map(({ burst }) => burst);
  }

  /** Everything after `keep` is gone, the open burst in any case. */
  crash(keep: number): void {
    this.flush(keep);
    this.#unflushed = [];
    this.#dirty = false;
    this.flushedTo = this.#open - 1;
    this.#current = this.#durable;
    const { rows } = this.#current;
    for (const seq of this.#seqs.slice(rows)) this.#rowOf.delete(seq);
    this.#texts.length = rows;
    this.#values.length = rows;
    this.#seqs.length = rows;
    this.#audit.truncated(rows);
  }

  #write(version: Version): void {
    this.#current = version;
    this.#dirty = true;
  }
}
