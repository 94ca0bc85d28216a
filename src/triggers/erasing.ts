/** Erasing an end user, or one run, from what the triggers keep. Each part is for itself, and does nothing where it was done before. */
import { macOf, type Row, text } from "../platform/index.ts";
import type { EndpointRpc } from "./outgoing/endpoint-rpc.ts";
import type { EventsRpc } from "./events/events-port.ts";
import type { HookDesk } from "./hooks/desk.ts";
import type { HookRpc } from "./hooks/hook-rpc.ts";
import type { ScheduleRpc } from "./schedule-rpc.ts";
import type { Schedules } from "./schedules.ts";

export interface EraseTriggersDeps {
  readonly db: D1Database;
  readonly serverKey: () => Promise<CryptoKey>;
  readonly hooks: HookDesk;
  readonly hook: (tenant: string, id: string) => HookRpc;
  readonly schedules: Schedules;
  readonly schedule: (tenant: string, name: string) => ScheduleRpc;
  readonly events: (tenant: string, event: string) => EventsRpc;
  readonly endpoint: (tenant: string, endpoint: string) => EndpointRpc;
}

export interface UserToErase {
  readonly tenant: string;
  readonly user: string;
  /** Who asks, as the audit writes it. */
  readonly by: string;
}

/** Hooks whose runs act for the user are deleted, with their log. Answers their names. */
export async function eraseHooks(
  { db, hooks, hook }: EraseTriggersDeps,
  { tenant, user, by }: UserToErase,
): Promise<readonly string[]> {
  const { results } = await db
    .prepare("SELECT name, id FROM hooks WHERE tenant = ? AND user = ? LIMIT 50")
    .bind(tenant, user)
    .all<Row>();
  for (const row of results) {
    // Before its row: nothing leads to the object afterwards.
    await hook(tenant, text(row, "id")).forget(tenant);
    await hooks.remove({ tenant, maker: { actor: by, policies: [] } }, text(row, "name"));
  }
  return results.map((row) => text(row, "name"));
}

/** Of the schedules behind `after`, at most `limit`: those that start anything for the user are deleted. `next`: null: these were all. */
export async function eraseSchedules(
  { schedules, schedule }: EraseTriggersDeps,
  { tenant, user, by }: UserToErase,
  page: { readonly after: string; readonly limit: number },
): Promise<{ readonly removed: readonly string[]; readonly asked: number; readonly next: string | null }> {
  const lines = await schedules.list(tenant, page.after, page.limit);
  const removed: string[] = [];
  for (const { name } of lines)
    if (await schedule(tenant, name).isFor(tenant, user)) {
      await schedules.remove({ tenant, actor: by, name });
      removed.push(name);
    }
  const last = lines.at(-1);
  return {
    removed,
    asked: lines.length,
    next: lines.length < page.limit || last === undefined ? null : last.name,
  };
}

/** Longer than an event is kept. */
const EVENTS_KEPT_MS = 2 * 24 * 60 * 60_000;

/** How a user is called where it is noted which names of events they had: whoever reads that cannot try out who it is. */
async function whoIs(serverKey: CryptoKey, tenant: string, user: string): Promise<string> {
  return macOf(serverKey, "user-events", JSON.stringify([tenant, user]));
}

/** That events of this name may hold data of the user: to be told before one is posted. */
async function notePosted(
  db: D1Database,
  { tenant, who, event }: { readonly tenant: string; readonly who: string; readonly event: string },
  now: number,
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO user_events (tenant, who, event, seen_at) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (tenant, who, event) DO UPDATE SET seen_at = ?4 WHERE seen_at < ?4`,
    )
    .bind(tenant, who, event, now)
    .run();
}

/** A name that was noted is noted again so much later, as it is still in use. */
const NOTED_MS = 60 * 60_000;
const MAX_NOTED = 10_000;

/** The same, once in an hour of this isolate. */
export function createPostedNotes(
  db: D1Database,
  serverKey: () => Promise<CryptoKey>,
  now: () => number,
): (tenant: string, user: string, event: string) => Promise<void> {
  const noted = new Map<string, number>();
  return async (tenant, user, event) => {
    const key = JSON.stringify([tenant, user, event]);
    const at = now();
    if ((noted.get(key) ?? -Infinity) > at - NOTED_MS) return;
    await notePosted(db, { tenant, who: await whoIs(await serverKey(), tenant, user), event }, at);
    if (noted.size >= MAX_NOTED) noted.clear();
    noted.set(key, at);
  };
}

export async function dropOldPosted(db: D1Database, now: number): Promise<void> {
  await db
    .prepare("DELETE FROM user_events WHERE seen_at < ?")
    .bind(now - EVENTS_KEPT_MS)
    .run();
}

/** Of the names of events that the user had, behind `after`, at most `limit`. */
export async function eraseEvents(
  { db, serverKey, events }: EraseTriggersDeps,
  { tenant, user }: UserToErase,
  page: { readonly after: string; readonly limit: number },
): Promise<{ readonly asked: number; readonly next: string | null }> {
  const { results } = await db
    .prepare(
      "SELECT event FROM user_events WHERE tenant = ? AND who = ? AND event > ? ORDER BY event LIMIT ?",
    )
    .bind(tenant, await whoIs(await serverKey(), tenant, user), page.after, page.limit)
    .all<Row>();
  for (const row of results) await events(tenant, text(row, "event")).erase(tenant, { user });
  const last = results.at(-1);
  const next = results.length < page.limit || last === undefined ? null : text(last, "event");
  return { asked: results.length, next };
}

/** What endpoints keep of messages about the user's runs, or one run. Answers how many endpoints were asked. */
export async function eraseMessages(
  { db, endpoint }: EraseTriggersDeps,
  tenant: string,
  whose: { readonly user: string } | { readonly run: string },
): Promise<number> {
  const { results } = await db.prepare("SELECT id FROM endpoints WHERE tenant = ?").bind(tenant).all<Row>();
  for (const row of results) {
    const id = text(row, "id");
    await endpoint(tenant, id).erase({ tenant, endpoint: id }, whose);
  }
  return results.length;
}

/** What its hook, or the events that it had to do with, keep of one run. */
export async function eraseOrigins(
  { db, hook, events }: EraseTriggersDeps,
  tenant: string,
  {
    run,
    startedBy,
    heard,
  }: { readonly run: string; readonly startedBy: string; readonly heard: readonly string[] },
): Promise<void> {
  const [kind, name = ""] = startedBy.split(":");
  if (kind === "hook") {
    const row = await db
      .prepare("SELECT id FROM hooks WHERE tenant = ? AND name = ?")
      .bind(tenant, name)
      .first<Row>();
    if (row !== null) await hook(tenant, text(row, "id")).eraseRun(tenant, run);
  }
  const names = new Set([...heard, ...(kind === "event" ? [name] : [])]);
  for (const event of names) await events(tenant, event).erase(tenant, { run });
}
