/** Where a page of the audit goes on. As the cursors of other lists it gives nobody access; its checksum finds wrong ones. */
import type { AuditFilter, AuditPlace } from "../access/index.ts";
import { base64url, canonicalJson, crc32, fromBase64 } from "../platform/index.ts";

const VERSION = 1;

export function writeAuditCursor(tenant: string, filter: AuditFilter, place: AuditPlace): string {
  const { at, of, key } = place;
  const text = JSON.stringify([VERSION, at, of, key, checksum(tenant, filter, place)]);
  return base64url(new TextEncoder().encode(text));
}

/** Null: it is not a cursor of this list. */
export function readAuditCursor(tenant: string, filter: AuditFilter, cursor: string): AuditPlace | null {
  const bytes = /^[A-Za-z0-9_-]{1,800}$/.test(cursor) ? fromBase64(cursor) : null;
  const [version, at, of, key] = bytes === null ? [] : listIn(new TextDecoder().decode(bytes));
  if (version !== VERSION || typeof at !== "number" || typeof key !== "string") return null;
  if (!Number.isSafeInteger(at) || (of !== "use" && of !== "entry")) return null;
  const place: AuditPlace = { at, of, key };
  // One place has one spelling.
  return writeAuditCursor(tenant, filter, place) === cursor ? place : null;
}

function checksum(tenant: string, filter: AuditFilter, { at, of, key }: AuditPlace): number {
  return crc32(canonicalJson([tenant, { ...filter }, at, of, key]));
}

function listIn(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
