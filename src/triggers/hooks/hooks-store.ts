/** Hooks and their secrets in D1. Owns the tables, and the places of the secrets in the vault. */
import { integer, integerOrNull, quotaSql, type Row, text, textOrNull } from "../../platform/index.ts";
import type { Place } from "../../vault/index.ts";
import type { HookRules } from "../judging.ts";
import type { Maker } from "../start-port.ts";
import type { Hook, HookDraft } from "./hook.ts";

/** Secrets of one hook that have not ended. */
const MAX_SECRETS = 5;
/** Stands for no workflow. */
const NOTHING = "";

/** A secret as it is shown: without its text. */
export interface SecretView {
  readonly id: string;
  readonly madeAt: number;
  readonly until: number | null;
}

export interface SealedSecret extends SecretView {
  readonly sealed: string;
}

/** PERSISTED CONTRACT: places are part of what is sealed. */
export function secretPlace(tenant: string, hook: string, secret: string): Place {
  return { purpose: "hook", tenant, record: hook, field: `secret:${secret}`, version: 1 };
}

/** False: the name is taken, or there are too many. */
export async function insertHook(db: D1Database, hook: Hook): Promise<boolean> {
  const { tenant, name, id, workflow, user, version, createdAt, createdBy, maker } = hook;
  const { meta } = await db
    .prepare(
      `INSERT INTO hooks (tenant, name, id, workflow, user, rules, version, created_at, created_by, updated_at, maker)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?8, ?10
       WHERE NOT EXISTS (SELECT 1 FROM hooks WHERE tenant = ?1 AND name = ?2)
         AND (SELECT count(*) FROM hooks WHERE tenant = ?1) < ${quotaSql("hooks", "?1")}`,
    )
    .bind(
      ...[tenant, name, id, workflow ?? NOTHING, user, rulesText(hook), version, createdAt, createdBy],
      JSON.stringify(maker),
    )
    .run();
  return meta.changes === 1;
}

/** Null: it was changed meanwhile, or is gone. */
export async function updateHook(
  db: D1Database,
  before: Hook,
  draft: HookDraft,
  { maker, now }: { readonly maker: Maker; readonly now: number },
): Promise<Hook | null> {
  const { tenant, name, id, version } = before;
  const row = await db
    .prepare(
      `UPDATE hooks SET workflow = ?5, user = ?6, rules = ?7, version = version + 1, updated_at = ?8, maker = ?9,
         paused_reason = NULL
       WHERE tenant = ?1 AND name = ?2 AND id = ?3 AND version = ?4 RETURNING *`,
    )
    .bind(
      ...[tenant, name, id, version, draft.workflow ?? NOTHING, draft.user, rulesText(draft), now],
      JSON.stringify(maker),
    )
    .first<Row>();
  return row === null ? null : toHook(row);
}

/** Because who answers for it may act no more. False: it was changed meanwhile. */
export async function pauseHook(
  db: D1Database,
  { id, version, ...hook }: Hook,
  now: number,
): Promise<boolean> {
  const { meta } = await db
    .prepare(
      `UPDATE hooks SET rules = ?3, paused_reason = 'maker_revoked', version = version + 1, updated_at = ?4
       WHERE id = ?1 AND version = ?2`,
    )
    .bind(id, version, rulesText({ ...hook, paused: true }), now)
    .run();
  return meta.changes === 1;
}

/** With its secrets, in one transaction. */
export async function deleteHook(db: D1Database, hook: Hook): Promise<boolean> {
  const [, gone] = await db.batch([
    db.prepare("DELETE FROM hook_secrets WHERE hook = ?").bind(hook.id),
    db.prepare("DELETE FROM hooks WHERE id = ? AND tenant = ?").bind(hook.id, hook.tenant),
  ]);
  return gone?.meta.changes === 1;
}

export async function selectHook(db: D1Database, tenant: string, name: string): Promise<Hook | null> {
  const row = await db
    .prepare("SELECT * FROM hooks WHERE tenant = ? AND name = ?")
    .bind(tenant, name)
    .first<Row>();
  return row === null ? null : toHook(row);
}

export async function selectHooks(
  db: D1Database,
  tenant: string,
  after: string,
  limit: number,
): Promise<Hook[]> {
  const { results } = await db
    .prepare("SELECT * FROM hooks WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?")
    .bind(tenant, after, limit)
    .all<Row>();
  return results.map(toHook);
}

/** Who adds it answers for the hook from then on. False: the hook is gone, or has too many secrets that have not ended. */
export async function insertSecret(
  db: D1Database,
  hook: Hook,
  { id, sealed, madeAt }: SealedSecret,
  { kid, maker }: { readonly kid: string; readonly maker: Maker },
): Promise<boolean> {
  const insert = db
    .prepare(
      `INSERT INTO hook_secrets (hook, id, tenant, sealed, kid, made_at, until)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, NULL
       WHERE EXISTS (SELECT 1 FROM hooks WHERE id = ?1 AND tenant = ?3)
         AND (SELECT count(*) FROM hook_secrets WHERE hook = ?1 AND (until IS NULL OR until > ?6)) < ${MAX_SECRETS}`,
    )
    .bind(hook.id, id, hook.tenant, sealed, kid, madeAt);
  const answers = db
    .prepare(
      `UPDATE hooks SET maker = ?3, version = version + 1, updated_at = ?4
       WHERE id = ?1 AND EXISTS (SELECT 1 FROM hook_secrets WHERE hook = ?1 AND id = ?2)`,
    )
    .bind(hook.id, id, JSON.stringify(maker), madeAt);
  const [added] = await db.batch([insert, answers]);
  return added?.meta.changes === 1;
}

/** Gives a secret an end, never a later one than it has. False: it is not there. */
export async function endSecret(db: D1Database, hook: Hook, id: string, until: number): Promise<boolean> {
  const { meta } = await db
    .prepare("UPDATE hook_secrets SET until = min(coalesce(until, ?3), ?3) WHERE hook = ?1 AND id = ?2")
    .bind(hook.id, id, until)
    .run();
  return meta.changes === 1;
}

/** Those that have not ended, newest first. */
export async function selectSecrets(db: D1Database, hook: Hook, now: number): Promise<SealedSecret[]> {
  const { results } = await db
    .prepare(
      `SELECT id, sealed, made_at, until FROM hook_secrets WHERE hook = ? AND tenant = ? AND (until IS NULL OR until > ?)
       ORDER BY made_at DESC, id`,
    )
    .bind(hook.id, hook.tenant, now)
    .all<Row>();
  return results.map((row) => ({
    id: text(row, "id"),
    sealed: text(row, "sealed"),
    madeAt: integer(row, "made_at"),
    until: integerOrNull(row, "until"),
  }));
}

/** Takes away what has ended: the only copy of the secret with it. */
export async function dropEndedSecrets(db: D1Database, now: number): Promise<number> {
  const { meta } = await db.prepare("DELETE FROM hook_secrets WHERE until <= ?").bind(now).run();
  return meta.changes;
}

function rulesText(hook: HookRules & Pick<Hook, "revokes">): string {
  const { scheme, paused, maxBodyBytes, rate, filter, input, headers, revokes } = hook;
  return JSON.stringify({ scheme, paused, maxBodyBytes, rate, filter, input, headers, revokes });
}

function toHook(row: Row): Hook {
  // The column holds what was written by this file.
  const rules = JSON.parse(text(row, "rules")) as Omit<HookRules, "input"> &
    Pick<Partial<HookRules>, "input"> &
    Pick<Partial<Hook>, "revokes">;
  const workflow = text(row, "workflow");
  return {
    ...rules,
    // A text of JSON has no undefined.
    input: rules.input,
    revokes: rules.revokes ?? null,
    tenant: text(row, "tenant"),
    name: text(row, "name"),
    id: text(row, "id"),
    workflow: workflow === NOTHING ? null : workflow,
    user: textOrNull(row, "user"),
    version: integer(row, "version"),
    createdAt: integer(row, "created_at"),
    createdBy: text(row, "created_by"),
    updatedAt: integer(row, "updated_at"),
    maker: JSON.parse(text(row, "maker")) as Maker,
    pausedReason: textOrNull(row, "paused_reason") === null ? null : "maker_revoked",
  };
}
