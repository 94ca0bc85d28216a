/**
 * Reads the audit of a tenant, newest first: what was granted and refused, and the uses of credentials between it. Two
 * tables in one order: by time, uses before the rest of the same moment, each by its own key.
 */
import { withNames } from "./audit-users-store.ts";
import { integer, integerOrNull, type Row, text, textOrNull } from "../platform/index.ts";

export interface AuditRecord {
  readonly id: string;
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly outcome: "granted" | "refused";
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditFilter {
  /** The part of `action` before the dot: `connection`, `key`, `credential`. */
  readonly kind?: string;
  readonly target?: string;
  /** Only what this run did. */
  readonly run?: string;
  /** From, and before: milliseconds since 1970. */
  readonly since?: number;
  readonly until?: number;
}

/** Behind which entry a page begins. */
export interface AuditPlace {
  readonly at: number;
  readonly of: "use" | "entry";
  readonly key: string;
}

export interface AuditPage {
  readonly entries: readonly AuditRecord[];
  /** Null: this was the last one. */
  readonly next: AuditPlace | null;
}

const USE_ACTION = "credential.use";
const USE_KIND = "credential";

/** `[SQL, its values]`, all of which must hold. */
type Conditions = (readonly [string, ...(string | number)[]])[];

export async function listAudit(
  db: D1Database,
  tenant: string,
  filter: AuditFilter,
  page: { readonly after?: AuditPlace; readonly limit: number },
): Promise<AuditPage> {
  const { after, limit } = page;
  const common: Conditions = [["tenant = ?", tenant]];
  if (filter.target !== undefined) common.push(["target = ?", filter.target]);
  if (filter.since !== undefined) common.push(["at >= ?", filter.since]);
  if (filter.until !== undefined) common.push(["at < ?", filter.until]);
  if (after !== undefined) common.push(["at <= ?", after.at]);
  const uses: Conditions = [...common];
  if (filter.run !== undefined) uses.push(["id >= ? AND id < ?", `${filter.run}.`, `${filter.run}/`]);
  // Of the moment of an entry every use was shown.
  if (after !== undefined)
    uses.push(after.of === "use" ? ["(at < ? OR id < ?)", after.at, after.key] : ["at < ?", after.at]);
  const entries: Conditions = [...common];
  if (filter.kind !== undefined)
    entries.push(["action >= ? AND action < ?", `${filter.kind}.`, `${filter.kind}/`]);
  if (after?.of === "entry") entries.push(["(at < ? OR seq < ?)", after.at, Number(after.key)]);
  const wantsUses = filter.kind === undefined || filter.kind === USE_KIND;
  const [used, entered] = await Promise.all([
    wantsUses ? select(db, "credential_uses", "id", uses, limit + 1) : [],
    filter.run === undefined ? select(db, "access_audit", "seq", entries, limit + 1) : [],
  ]);
  const merged = [...used.map(ofUse), ...entered.map(ofEntry)].toSorted(
    (a, b) => b.place.at - a.place.at || Number(a.place.of === "entry") - Number(b.place.of === "entry"),
  );
  const shown = merged.slice(0, limit);
  return {
    entries: await withNames(
      db,
      tenant,
      shown.map(({ record }) => record),
    ),
    next: merged.length > limit ? (shown.at(-1)?.place ?? null) : null,
  };
}

async function select(
  db: D1Database,
  table: "credential_uses" | "access_audit",
  key: "id" | "seq",
  conditions: Conditions,
  limit: number,
): Promise<Row[]> {
  const where = conditions.map(([sql]) => sql).join(" AND ");
  const { results } = await db
    .prepare(`SELECT * FROM ${table} WHERE ${where} ORDER BY at DESC, ${key} DESC LIMIT ?`)
    .bind(...conditions.flatMap(([, ...values]) => values), limit)
    .all<Row>();
  return results;
}

interface Placed {
  readonly place: AuditPlace;
  readonly record: AuditRecord;
}

function ofEntry(row: Row): Placed {
  const seq = integer(row, "seq");
  const at = integer(row, "at");
  return {
    place: { at, of: "entry", key: String(seq) },
    record: {
      ...{ id: `aud_${seq}`, at, actor: text(row, "actor"), action: text(row, "action") },
      target: text(row, "target"),
      outcome: text(row, "outcome") === "refused" ? "refused" : "granted",
      detail: JSON.parse(text(row, "detail")) as AuditRecord["detail"],
    },
  };
}

function ofUse(row: Row): Placed {
  const id = text(row, "id");
  const at = integer(row, "at");
  const hosts = textOrNull(row, "hosts");
  return {
    place: { at, of: "use", key: id },
    record: {
      ...{ id, at, actor: `run:${text(row, "run")}`, action: USE_ACTION, target: text(row, "target") },
      outcome: "granted",
      detail: {
        run: text(row, "run"),
        workflow: text(row, "workflow"),
        user: textOrNull(row, "user"),
        unit: text(row, "unit"),
        attempt: integer(row, "attempt"),
        credential: JSON.parse(text(row, "credential")) as unknown,
        hosts: hosts === null ? null : (JSON.parse(hosts) as unknown),
        more_hosts: integerOrNull(row, "more_hosts"),
        ended: textOrNull(row, "outcome"),
      },
    },
  };
}
