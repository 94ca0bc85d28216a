/**
 * The page on which a user sees what they have granted, and takes it back. Reached by a link of the tenant's backend.
 *
 * - U1 the link is redeemed once, by a POST from its own page; from then on one browser has the page, for 15 minutes.
 * - U2 it shows and changes what is this user's, and nothing else: whose it is, is read anew for each that is taken back.
 */
import { cookie, cookieOf, withoutCookie } from "./cookies.ts";
import {
  GRANT_LINK_MS,
  type GrantLink,
  type GrantLinkDeps,
  grantLinkOf,
  readGrantLink,
  redeemGrantLink,
} from "./grant-links.ts";
import { formCookieName } from "./links.ts";
import type { ListedConnection } from "./listing.ts";
import { type Door, newForm, seeOther, shown, trustedForm } from "./page-tools.ts";
import { UNTRUSTED_FORM } from "./pages/connect.ts";
import * as pages from "./pages/grants.ts";
import { providerName } from "./pages/parts.ts";
import type { Connections } from "./room.ts";

const COOKIE = "__Host-grants";
const FORM = { name: "__Host-grants-form" } as const;
const TAKE_BACK = "take back";
const MAX_SHOWN = 50;

export function createGrantPages(): readonly (readonly [string, RegExp, Door])[] {
  return [
    ["GET", /^\/grants\/(gl_[^/]+)$/, showEntry],
    ["POST", /^\/grants\/(gl_[^/]+)$/, enter],
    ["GET", /^\/grants$/, showGrants],
    ["POST", /^\/grants$/, takeBack],
    ["GET", /^\/grants\/taken-back\/(conn_[0-9a-z]{26})$/, showTakenBack],
  ];
}

async function showEntry(request: Request, { flow }: Connections, [token = ""]: readonly string[]) {
  const link = await readGrantLink(flow, token);
  if (link === null) return shown(pages.GRANTS_LINK_OVER, 410);
  const form = await newForm(flow.vault, request, entryForm(link));
  return shown(pages.entryPage(link, form.token), 200, [form.cookie]);
}

/** U1. */
async function enter(request: Request, { flow }: Connections, [token = ""]: readonly string[]) {
  const link = await readGrantLink(flow, token);
  if (link === null) return shown(pages.GRANTS_LINK_OVER, 410);
  const form = entryForm(link);
  if ((await trustedForm(flow.vault, request, form)) === null) return shown(UNTRUSTED_FORM, 403);
  const secret = await redeemGrantLink(flow, link);
  if (secret === null) return shown(pages.GRANTS_LINK_OVER, 410);
  const how = { sameSite: "Strict", seconds: GRANT_LINK_MS / 1_000 } as const;
  return seeOther("/grants", [cookie(COOKIE, `${link.id}.${secret}`, how), withoutCookie(form.name)]);
}

function entryForm({ id }: GrantLink): { readonly name: `__Host-${string}`; readonly about: string } {
  return { name: formCookieName(id), about: `grants ${id}` };
}

/** Whose page this browser has; null: none (any more). */
async function openedBy(request: Request, flow: GrantLinkDeps): Promise<GrantLink | null> {
  const [id = "", secret = ""] = (cookieOf(request, COOKIE) ?? "").split(".");
  return grantLinkOf(flow, id, secret);
}

async function showGrants(request: Request, room: Connections) {
  const { flow } = room;
  const link = await openedBy(request, flow);
  if (link === null) return shown(pages.GRANTS_OVER, 403);
  const { tenant, user } = link;
  const listed = await room.connections(tenant, { user }, { after: "", limit: MAX_SHOWN + 1 });
  const form = await newForm(flow.vault, request, takeBackForm(link));
  const grants = await Promise.all(
    listed.slice(0, MAX_SHOWN).map(async ({ id }) => {
      const connection = await own(room, link, id);
      if (connection === null) return null;
      const [provider, uses] = await Promise.all([providerOf(room, connection), room.uses(id)]);
      return { connection, provider, uses, form: form.token };
    }),
  );
  const found = grants.filter((one) => one !== null);
  return shown(pages.grantsPage(link, found, { more: listed.length > MAX_SHOWN, now: flow.now() }), 200, [
    form.cookie,
  ]);
}

/** U2. */
async function takeBack(request: Request, room: Connections) {
  const { flow } = room;
  const link = await openedBy(request, flow);
  if (link === null) return shown(pages.GRANTS_OVER, 403);
  const form = await trustedForm(flow.vault, request, takeBackForm(link));
  if (form === null) return shown(UNTRUSTED_FORM, 403);
  const connection = await own(room, link, form.get("connection") ?? "");
  if (connection === null) return seeOther("/grants");
  await room.disconnect(link.tenant, connection.id, `user:${link.user}`);
  return seeOther(`/grants/taken-back/${connection.id}`);
}

async function showTakenBack(request: Request, room: Connections, [id = ""]: readonly string[]) {
  const link = await openedBy(request, room.flow);
  if (link === null) return shown(pages.GRANTS_OVER, 403);
  const connection = await own(room, link, id);
  const over = connection?.status === "revoking" || connection?.status === "disconnected";
  return connection === null || !over
    ? seeOther("/grants")
    : shown(pages.takenBackPage(connection, await providerOf(room, connection)));
}

function takeBackForm({ id }: GrantLink): { readonly name: `__Host-${string}`; readonly about: string } {
  return { ...FORM, about: `${TAKE_BACK} ${id}` };
}

/** U2. As its object says it. */
async function own(
  room: Connections,
  { tenant, user }: GrantLink,
  id: string,
): Promise<ListedConnection | null> {
  const connection = await room.connection(tenant, id);
  return connection?.user === user ? connection : null;
}

async function providerOf(room: Connections, { tenant, integration }: ListedConnection): Promise<string> {
  const made = await room.integration(tenant, integration);
  return made === null ? integration : providerName(made);
}
