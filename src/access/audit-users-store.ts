/**
 * Who stands behind the pseudonyms of the audit: the only place where they are made, and the only one where they lead back.
 *
 * No end user is named in what the audit keeps. In the place of their id stands a pseudonym, which is random: the row here is
 * all that links the two, so that without the row nothing does, for nobody.
 *
 * - U1 one person of a tenant has one pseudonym for as long as the row is there: whoever writes first has chosen it, and who writes
 *   at the same moment takes that one, inside SQL.
 * - U2 the row is written in the transaction of the first entry that names them, before it.
 * - U3 a person is also who comes with another issuer's token: the caller's id is a hash of the subject, which could be tried out.
 * - U4 what is told of a time before an erasure was done makes nobody known who is not: it may be of whom was erased. In their place
 *   stands a pseudonym that leads nowhere.
 */
import { type AuditEntry, hex, isAuditPerson, type Row, text } from "../platform/index.ts";

/** A user of the tenant, or who came with a token of another issuer. */
type Kind = "user" | "caller";

interface Person {
  readonly kind: Kind;
  readonly name: string;
  /** Stands in the texts for them, and becomes their pseudonym if they have none. */
  readonly mark: string;
}

/** An entry whose texts hold marks where persons stood. */
export interface Masked {
  readonly people: readonly Person[];
  readonly actor: string;
  /** JSON. */
  readonly detail: string;
}

const PSEUDONYM = /^usr_[0-9a-f]{32}$/;
/** How actors name a person. */
const ACTOR = /^(user|token):(.+)$/s;
const KINDS: Readonly<Record<string, Kind>> = { user: "user", token: "caller" };
/** Of one entry: each takes five of the hundred values that a statement of D1 can have. */
const MAX_PEOPLE = 16;

/** Throws a TypeError for more than 16 persons in one entry. */
export function maskedEntry({ actor, detail }: Pick<AuditEntry, "actor" | "detail">): Masked {
  const people: Person[] = [];
  const markOf = (kind: Kind, name: string): string => {
    const known = people.find((one) => one.kind === kind && one.name === name);
    if (known !== undefined) return known.mark;
    const mark = `usr_${hex(crypto.getRandomValues(new Uint8Array(16)))}`;
    people.push({ kind, name, mark });
    return mark;
  };
  const [, prefix = "", name = ""] = ACTOR.exec(actor) ?? [];
  const kind = KINDS[prefix];
  const masked = {
    actor: kind === undefined ? actor : `${prefix}:${markOf(kind, name)}`,
    detail: JSON.stringify(
      Object.fromEntries(
        Object.entries(detail).map(([key, value]) => [
          key,
          isAuditPerson(value) ? markOf("user", value.user) : value,
        ]),
      ),
    ),
  };
  if (people.length > MAX_PEOPLE) throw new TypeError(`An entry names at most ${MAX_PEOPLE} persons.`);
  return { ...masked, people };
}

/** U4: of `tenant` and `at`, which are bound. */
const NONE_ERASED_SINCE = "NOT EXISTS (SELECT 1 FROM erasures WHERE tenant = ? AND done_at >= ?)";

/** U2: for the batch of the entry, before it. None if it names nobody. */
export function personStatements(
  db: D1Database,
  { tenant, at }: Pick<AuditEntry, "tenant" | "at">,
  people: readonly Person[],
  condition: string,
  bindings: readonly unknown[],
): D1PreparedStatement[] {
  if (people.length === 0) return [];
  return [
    db
      .prepare(
        `INSERT INTO audit_users (tenant, user, kind, pseudonym)
         SELECT ?, value ->> 'name', value ->> 'kind', value ->> 'mark' FROM json_each(?) WHERE ${condition} AND ${NONE_ERASED_SINCE}
         ON CONFLICT (tenant, user, kind) DO NOTHING`,
      )
      .bind(tenant ?? "", JSON.stringify(people), ...bindings, tenant, at),
  ];
}

/** U1: the text that is bound first, with every mark replaced by the pseudonym that counts. SQL, and its values. */
export function unmarked(
  tenant: string | null,
  people: readonly Person[],
  masked: string,
): { readonly sql: string; readonly values: readonly string[] } {
  const within = people.filter(({ mark }) => masked.includes(mark));
  return {
    sql: within.reduce((sql) => `replace(${sql}, ?, coalesce((${OF_PERSON}), ?))`, "?"),
    // U4: who has none keeps the mark, which is as random as one.
    values: [masked, ...within.flatMap(({ mark, name, kind }) => [mark, tenant ?? "", name, kind, mark])],
  };
}

const OF_PERSON = "SELECT pseudonym FROM audit_users WHERE tenant = ? AND user = ? AND kind = ?";

/** Makes pseudonyms for users in a JSON list of objects that have `tenant`, `user` and `at`, which is bound: for the batch that needs them. */
export const USERS_OF_LIST = `INSERT INTO audit_users (tenant, user, kind, pseudonym)
  SELECT DISTINCT value ->> 'tenant', value ->> 'user', 'user', 'usr_' || lower(hex(randomblob(16)))
  FROM json_each(?) WHERE value ->> 'user' IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM erasures WHERE tenant = value ->> 'tenant' AND done_at >= value ->> 'at')
  ON CONFLICT (tenant, user, kind) DO NOTHING`;

/** Whose pseudonym a caller's is: it goes with the user for whom they came first. For the batch that notes the caller. */
export function callerStatement(
  db: D1Database,
  tenant: string,
  caller: string,
  user: string,
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO audit_users (tenant, user, kind, pseudonym, owner)
       VALUES (?, ?, 'caller', 'usr_' || lower(hex(randomblob(16))), ?)
       ON CONFLICT (tenant, user, kind) DO UPDATE SET owner = excluded.owner WHERE owner IS NULL`,
    )
    .bind(tenant, caller, user);
}

/** Ids of those who came with tokens for a user; `?1` and `?2` are tenant and user. */
export const CALLERS_OF_USER =
  "SELECT user FROM audit_users WHERE tenant = ?1 AND owner = ?2 AND kind = 'caller'";

/**
 * Forgets who stands behind the pseudonyms of a user, and of whoever came with tokens that act for them. Nobody can tell from the
 * audit afterwards. For the batch that says that the erasure is done (U4): a later entry that names them makes a new pseudonym.
 */
export function forgetAuditUser(db: D1Database, tenant: string, user: string): D1PreparedStatement {
  return db
    .prepare("DELETE FROM audit_users WHERE tenant = ?1 AND ((user = ?2 AND kind = 'user') OR owner = ?2)")
    .bind(tenant, user);
}

interface Told {
  readonly actor: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The same with the ids of those that are not forgotten. One query for all, and none if no pseudonym is there. */
export async function withNames<T extends Told>(
  db: D1Database,
  tenant: string,
  records: readonly T[],
): Promise<T[]> {
  const found = new Set(records.flatMap(pseudonymsIn));
  if (found.size === 0) return [...records];
  const { results } = await db
    .prepare(
      "SELECT pseudonym, user FROM audit_users WHERE tenant = ? AND pseudonym IN (SELECT value FROM json_each(?))",
    )
    .bind(tenant, JSON.stringify([...found]))
    .all<Row>();
  const names = new Map(results.map((row) => [text(row, "pseudonym"), text(row, "user")]));
  const named = (value: unknown): unknown =>
    typeof value === "string" ? (names.get(value) ?? value) : value;
  return records.map((record) => {
    const [, prefix, name] = ACTOR.exec(record.actor) ?? [];
    return {
      ...record,
      actor: name === undefined ? record.actor : `${prefix}:${names.get(name) ?? name}`,
      detail: Object.fromEntries(Object.entries(record.detail).map(([key, value]) => [key, named(value)])),
    };
  });
}

function pseudonymsIn({ actor, detail }: Told): string[] {
  const values = [ACTOR.exec(actor)?.[2], ...Object.values(detail)];
  return values.filter((value): value is string => typeof value === "string" && PSEUDONYM.test(value));
}
