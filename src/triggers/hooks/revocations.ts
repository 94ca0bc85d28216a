/**
 * What a provider tells of accesses that its users took back: read out of genuine deliveries. Pure. Whose connections these are is
 * found by the connections room, by the id that the provider gave the account.
 * https://docs.slack.dev/reference/events/tokens_revoked, https://docs.slack.dev/reference/events/app_uninstalled
 * https://docs.github.com/webhooks/webhook-events-and-payloads#github_app_authorization
 */
import type { Json } from "../../kernel/index.ts";
import { at as inside, idOf, member } from "../schemes/values.ts";
import type { SchemeSettings } from "../schemes/scheme.ts";
import type { Genuine } from "../schemes/verify.ts";

export interface Revocation {
  /** Ids of accounts, as the connections room knows them, or what the ids of all of them begin with. */
  readonly accounts: readonly string[] | { readonly prefix: string };
  /** When it was taken back at the latest, milliseconds since 1970; null: it does not say. */
  readonly at: number | null;
}

/** Of one delivery: more accounts than a workspace takes back at once. */
const MAX_ACCOUNTS = 1_000;
/** Between workspace and user in the account's id, in the connections room. */
const SEPARATOR = ":";

/** Whether deliveries of the scheme can tell of revocations. */
export function canRevoke({ scheme }: SchemeSettings): boolean {
  return scheme === "slack" || scheme === "github";
}

/** What the delivery says was taken back; null: nothing. */
export function revocationOf(
  { scheme }: SchemeSettings,
  { event, payload }: Pick<Genuine, "event" | "payload">,
): Revocation | null {
  if (scheme === "slack") return ofSlack(event, payload);
  return scheme === "github" ? ofGitHub(event, payload) : null;
}

function ofSlack(event: string | null, payload: Json): Revocation | null {
  const team = idOf(member(payload, "team_id"));
  if (team === null) return null;
  const second = member(payload, "event_time");
  const at = typeof second === "number" ? (second + 1) * 1_000 : null;
  if (event === "app_uninstalled") return { accounts: { prefix: `${team}${SEPARATOR}` }, at };
  if (event !== "tokens_revoked") return null;
  // Of users, and of the bot: both are users of the workspace.
  const users = [inside(payload, "/event/tokens/oauth"), inside(payload, "/event/tokens/bot")].flatMap(
    listOf,
  );
  const ids = users.map(idOf).filter((id) => id !== null);
  return accounts(
    ids.map((id) => `${team}${SEPARATOR}${id}`),
    at,
  );
}

function ofGitHub(event: string | null, payload: Json): Revocation | null {
  const action = member(payload, "action");
  if (event === "github_app_authorization" && action === "revoked")
    return accounts([idOf(inside(payload, "/sender/id"))], null);
  // Of an organisation it takes no user's token back.
  if (event === "installation" && action === "deleted")
    return accounts([idOf(inside(payload, "/installation/account/id"))], null);
  return null;
}

function accounts(ids: readonly (string | null)[], at: number | null): Revocation | null {
  const known = ids.filter((id) => id !== null).slice(0, MAX_ACCOUNTS);
  return known.length === 0 ? null : { accounts: known, at };
}

function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}
