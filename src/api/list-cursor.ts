/**
 * Where a list or a feed of runs goes on. A cursor gives nobody access: tenant and user come from the key each time. So it
 * is not signed; its checksum finds cursors that were cut, edited, or made for another query. Pure.
 */
import type { Filter, Place } from "../directory/index.ts";
import { canonicalJson, crc32, fromBase64, isRunId } from "../platform/index.ts";

/** What a list was asked for, and as whom. */
export interface ListQuery {
  readonly tenant: string;
  readonly onlyUser: string | null;
  readonly filter: Filter;
}

const VERSION = 1;

export function writeCursor(query: ListQuery, place: Place): string {
  const { startedAt, id } = place;
  const text = JSON.stringify([VERSION, startedAt, id, checksum(query, place)]);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Null: it is not a cursor of this list. */
export function readCursor(query: ListQuery, cursor: string): Place | null {
  const bytes = /^[A-Za-z0-9_-]+$/.test(cursor) ? fromBase64(cursor) : null;
  const [version, startedAt, id, sum] = bytes === null ? [] : listIn(new TextDecoder().decode(bytes));
  if (version !== VERSION || typeof startedAt !== "number" || typeof id !== "string") return null;
  if (!Number.isSafeInteger(startedAt) || !isRunId(id)) return null;
  const place = { startedAt, id };
  // One place has one spelling.
  return sum === checksum(query, place) && writeCursor(query, place) === cursor ? place : null;
}

function checksum({ tenant, onlyUser, filter }: ListQuery, { startedAt, id }: Place): number {
  return crc32(canonicalJson([tenant, onlyUser, filter, startedAt, id]));
}

function listIn(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** Where every shard of a feed stands. */
export function writePosition(position: readonly number[]): string {
  return position.map((n) => n.toString(36)).join("-");
}

/** Null: it is no position of a feed. */
export function readPosition(text: string): number[] | null {
  if (!/^[0-9a-z]{1,11}(?:-[0-9a-z]{1,11}){0,63}$/.test(text)) return null;
  const position = text.split("-").map((n) => Number.parseInt(n, 36));
  return position.every((n) => Number.isSafeInteger(n)) ? position : null;
}
