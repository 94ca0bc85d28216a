/** Tenants in D1. The only SQL about them. */
import { type AuditEntry, integer, type Row, text } from "../platform/index.ts";
import { auditStatementIf } from "./audit-store.ts";
import { type Place, placeIn } from "./places.ts";

const COLUMNS = "id, created_at, created_by, jurisdiction, location_hint";

export interface Tenant {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Who made it, as `actorOf` writes it; `system` for the tenant that exists from the start. */
  readonly createdBy: string;
  readonly place: Place;
}

/** Writes audit and tenant in one transaction; false, and nothing written, if the id was ever used. */
export async function insertTenant(db: D1Database, tenant: Tenant, audit: AuditEntry): Promise<boolean> {
  const isNew = "NOT EXISTS (SELECT 1 FROM tenants WHERE id = ?)";
  const [, inserted] = await db.batch([
    auditStatementIf(db, audit, isNew, [tenant.id]),
    db
      .prepare(`INSERT INTO tenants (${COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
      .bind(
        tenant.id,
        tenant.createdAt,
        tenant.createdBy,
        tenant.place.jurisdiction,
        tenant.place.locationHint,
      ),
  ]);
  return inserted?.meta.changes === 1;
}

export async function selectTenants(db: D1Database, after: string, limit: number): Promise<Tenant[]> {
  const query = `SELECT ${COLUMNS} FROM tenants WHERE id > ? ORDER BY id LIMIT ?`;
  const { results } = await db.prepare(query).bind(after, limit).all();
  return results.map(toTenant);
}

/** Null: there is none. */
export async function selectTenant(db: D1Database, id: string): Promise<Tenant | null> {
  const query = `SELECT ${COLUMNS} FROM tenants WHERE id = ?`;
  const row = await db.prepare(query).bind(id).first<Row>();
  return row === null ? null : toTenant(row);
}

export async function countTenants(db: D1Database): Promise<number> {
  const row = await db.prepare("SELECT count(*) AS n FROM tenants").first();
  return row === null ? 0 : integer(row, "n");
}

/** In a stable order: new ones come in anywhere. */
export async function selectTenantsAt(db: D1Database, offset: number, limit: number): Promise<Tenant[]> {
  const query = `SELECT ${COLUMNS} FROM tenants ORDER BY id LIMIT ? OFFSET ?`;
  const { results } = await db.prepare(query).bind(limit, offset).all();
  return results.map(toTenant);
}

function toTenant(row: Row): Tenant {
  return {
    ...{ id: text(row, "id"), createdAt: integer(row, "created_at"), createdBy: text(row, "created_by") },
    place: placeIn(row),
  };
}
