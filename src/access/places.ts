/**
 * Where the objects of each tenant live: its jurisdiction, and near what they are made.
 *
 * - W1 the jurisdiction is never guessed: the same name in another one is another object, empty. Who does not know it asks the
 *   database, and fails with it.
 * - W2 it never changes, so what is known stays known. An object knows its own, and with it that of all objects of its tenant.
 */
import { inTime, type Row, textOrNull } from "../platform/index.ts";

/** developers.cloudflare.com/durable-objects/reference/data-location. */
export const JURISDICTIONS = ["eu", "fedramp", "fedramp-high", "us"] as const;
// prettier-ignore
export const LOCATION_HINTS = ["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"] as const;

export type Jurisdiction = (typeof JURISDICTIONS)[number];
export type LocationHint = (typeof LOCATION_HINTS)[number];

export interface Place {
  /** Null: anywhere. */
  readonly jurisdiction: Jurisdiction | null;
  readonly locationHint: LocationHint | null;
}

export const ANYWHERE: Place = { jurisdiction: null, locationHint: null };

export interface Places {
  /** Undefined: not known here. */
  known(tenant: string): Place | undefined;
  know(tenant: string, place: Place): void;
  /** From the database, and from then on known. Rejects if there is no such tenant, or while the database is away. */
  find(db: D1Database, tenant: string): Promise<Place>;
}

/** A database that takes longer is away. */
const PATIENCE_MS = 5_000;
const MAX_KNOWN = 10_000;

/** One for each isolate. */
export function createPlaces(): Places {
  const places = new Map<string, Place>();
  const know = (tenant: string, place: Place): void => {
    places.delete(tenant);
    places.set(tenant, place);
    const oldest = places.keys().next();
    if (places.size > MAX_KNOWN && !oldest.done) places.delete(oldest.value);
  };
  return {
    known: (tenant) => places.get(tenant),
    know,
    async find(db, tenant) {
      const query = "SELECT jurisdiction, location_hint FROM tenants WHERE id = ?";
      const row = await inTime(async () => db.prepare(query).bind(tenant).first<Row>(), PATIENCE_MS);
      if (row === null) throw new Error(`There is no tenant ${tenant}.`);
      const place = placeIn(row);
      know(tenant, place);
      return place;
    },
  };
}

export function placeIn(row: Row): Place {
  const jurisdiction = textOrNull(row, "jurisdiction");
  if (jurisdiction !== null && !isJurisdiction(jurisdiction))
    throw new TypeError(`${jurisdiction} is no jurisdiction that this build knows.`);
  const hint = textOrNull(row, "location_hint");
  // Only a hint: one of a newer build is passed over.
  return { jurisdiction, locationHint: hint !== null && isOneOf(LOCATION_HINTS, hint) ? hint : null };
}

export function isJurisdiction(text: string): text is Jurisdiction {
  return isOneOf(JURISDICTIONS, text);
}

function isOneOf<T extends string>(all: readonly T[], text: string): text is T {
  return (all as readonly string[]).includes(text);
}
