/**
 * The pages on which a user consents: from the link to the provider, and back. Owns what a browser must bring for each of
 * them; what happens then is connecting.ts, and how it is said stands in pages/.
 *
 * - B1 looking burns no link: GET shows, POST redeems. A POST counts only from the page of this link in this browser.
 * - B2 nothing that a browser brings in an address is shown, stored or sent on; a callback is left for a clean address at once.
 * - B3 what became of a flow is shown to the browser of the flow; every other one sees the same page, whatever it tries.
 * - B4 a `host_session` is only for a browser that came with a ticket. A ticket is good for one browser, once.
 */
import { isSessionId, type Logger } from "../platform/index.ts";
import { comeBack, consentIntegration, decline, providerAddress, redeem } from "./connecting.ts";
import { cookie, cookieOf, withoutCookie } from "./cookies.ts";
import { createGrantPages } from "./grants-app.ts";
import { flowCookieName, formCookieName, hashOf, matchesHash, newSecret, ticketCookieName } from "./links.ts";
import { type Door, newForm, seeOther, sessionOfLink, shown, trustedForm } from "./page-tools.ts";
import * as connect from "./pages/connect.ts";
import { providerName } from "./pages/parts.ts";
import * as results from "./pages/results.ts";
import type { Connections } from "./room.ts";
import { FLOW_MS, READING_MS } from "./sessions.ts";
import { selectSession, swapTicket, type WithSecrets } from "./sessions-store.ts";

export interface ConnectPagesDeps {
  /** Throws if there is no keyring. */
  readonly room: () => Connections;
  /** Where browsers find this deployment; null: where the request came to. */
  readonly publicOrigin: string | null;
  /** Where a browser finds an address of the outside; missing: there. */
  readonly browserAddress?: (address: string) => string;
  readonly log: Logger;
}

/** Answers a page, or null: there is none at this address. Never throws. */
export type ConnectPages = (request: Request) => Promise<Response | null>;

const SESSION_PART = "(cs_[0-9a-z]{26})";
const NAME_PART = "([a-z0-9][a-z0-9_-]{0,63})";
const LAX = { sameSite: "Lax", seconds: FLOW_MS / 1_000 } as const;

export function createConnectPages({
  room,
  publicOrigin,
  browserAddress = (address) => address,
  log,
}: ConnectPagesDeps): ConnectPages {
  const origin = (request: Request): string => publicOrigin ?? new URL(request.url).origin;
  const doors: readonly (readonly [string, RegExp, Door])[] = [
    ["GET", /^\/connect\/([^/]+)$/, showLink],
    ["POST", /^\/connect\/([^/]+)$/, takeDecision],
    [
      "GET",
      new RegExp(`^/connect/go/${SESSION_PART}$`),
      async (...at) => goOn({ origin: origin(at[0]), browserAddress }, ...at),
    ],
    ["GET", new RegExp(`^/connect/done/${SESSION_PART}$`), showResult],
    [
      "GET",
      new RegExp(`^/oauth/callback/${NAME_PART}/${NAME_PART}$`),
      async (...at) => takeCallback(origin(at[0]), ...at),
    ],
    ...createGrantPages(),
  ];
  return async (request) => {
    const { pathname } = new URL(request.url);
    const method = request.method === "HEAD" ? "GET" : request.method;
    for (const [verb, pattern, door] of doors) {
      const found = verb === method ? pattern.exec(pathname) : null;
      if (found === null) continue;
      try {
        return await door(request, room(), found.slice(1));
      } catch (error) {
        log.error("connect_page.failed", { error });
        return shown(connect.NOT_NOW, 503);
      }
    }
    return null;
  };
}

/** Addresses below `/connect/` that are none of links. */
const FIXED = { done: results.OTHER_BROWSER, noted: results.NOTICE } as const;

async function showLink(
  request: Request,
  room: Connections,
  [token = ""]: readonly string[],
): Promise<Response> {
  if (token === "done" || token === "noted") return shown(FIXED[token]);
  const { flow } = room;
  const session = await sessionOfLink(flow, token);
  if (session === null) return shown(connect.UNKNOWN_LINK, 404);
  if (session.state !== "open")
    return session.failure === "declined" ? shown(connect.DECLINED) : shown(connect.USED_LINK, 410);
  if (session.expiresAt <= flow.now()) return shown(connect.EXPIRED_LINK, 410);
  const tickets = new URL(request.url).searchParams.getAll("ticket");
  if (tickets.length > 0 && request.method === "GET") return arrive(room, session, token, tickets);
  if (!(await mayRead(request, room, session)))
    return shown(connect.onlyFromTheApp(session.slot.tenant), 403);
  const made = await consentIntegration(flow.db, session);
  if (made === null) return shown(connect.NOT_OFFERED, 410);
  const form = await newForm(flow.vault, request, formOf(session));
  return shown(connect.askingPage(session, made, form.token), 200, [form.cookie]);
}

/** B2, B4. The ticket leaves the address, and what the browser has instead is good in it alone. */
async function arrive(
  { flow: { db, now } }: Connections,
  session: WithSecrets,
  token: string,
  [ticket = "", ...more]: readonly string[],
): Promise<Response> {
  const clean = `/connect/${token}`;
  if (more.length > 0 || !(await matchesHash(ticket, session.ticketHash))) return seeOther(clean);
  const kept = newSecret();
  const swap = { before: await hashOf(ticket), after: await hashOf(kept), until: now() + READING_MS };
  const arrived = await swapTicket(db, session.id, swap, now());
  const name = ticketCookieName(session.id);
  return seeOther(
    clean,
    arrived ? [cookie(name, kept, { sameSite: "Lax", seconds: READING_MS / 1_000 })] : [],
  );
}

/** B4. */
async function mayRead(
  request: Request,
  { flow }: Connections,
  { id, mode, ticketHash, ticketUntil }: WithSecrets,
): Promise<boolean> {
  if (mode !== "host_session") return true;
  const ticket = cookieOf(request, ticketCookieName(id)) ?? "";
  return (await matchesHash(ticket, ticketHash)) && (ticketUntil ?? 0) > flow.now();
}

/** B1. */
async function takeDecision(
  request: Request,
  room: Connections,
  [token = ""]: readonly string[],
): Promise<Response> {
  const { flow } = room;
  const session = await sessionOfLink(flow, token);
  if (session === null) return shown(connect.UNKNOWN_LINK, 404);
  const form = await trustedForm(flow.vault, request, formOf(session));
  if (form === null) return shown(connect.UNTRUSTED_FORM, 403);
  // Whatever does not go on is said by the page of the link.
  const back = `/connect/${token}`;
  const used = [withoutCookie(formOf(session).name), withoutCookie(ticketCookieName(session.id))];
  if (!(await mayRead(request, room, session))) return seeOther(back);
  switch (form.get("decision")) {
    case "go_on": {
      const redeemed = await redeem(flow, session, cookieOf(request, ticketCookieName(session.id)));
      if (!redeemed.ok) return seeOther(back);
      const flowCookie = cookie(flowCookieName(session.id), redeemed.value, LAX);
      return seeOther(`/connect/go/${session.id}`, [flowCookie, ...used]);
    }
    case "decline":
      await decline(flow, session);
      return seeOther(back, used);
    default:
      return shown(connect.UNTRUSTED_FORM, 400);
  }
}

function formOf({ id }: WithSecrets): { readonly name: `__Host-${string}`; readonly about: string } {
  return { name: formCookieName(id), about: `connect ${id}` };
}

/** A page of its own on the way to the provider, as `form-action` would hold the provider's own redirects, too. */
async function goOn(
  {
    origin,
    browserAddress,
  }: { readonly origin: string; readonly browserAddress: (address: string) => string },
  request: Request,
  { flow }: Connections,
  [id = ""]: readonly string[],
): Promise<Response> {
  const done = seeOther(`/connect/done/${id}`);
  const held = cookieOf(request, flowCookieName(id));
  const session = held === null || !isSessionId(id) ? null : await selectSession(flow.db, id);
  if (held === null || session === null) return done;
  const address = await providerAddress(flow, session, { origin, cookie: held });
  const made = address === null ? null : await consentIntegration(flow.db, session);
  return address === null || made === null ? done : shown(connect.goingPage(made, browserAddress(address)));
}

/** B2, B3. */
async function takeCallback(
  origin: string,
  request: Request,
  { flow }: Connections,
  [tenant = "", integration = ""]: readonly string[],
): Promise<Response> {
  const query = new URL(request.url).searchParams;
  // An app that was installed at the provider, without a flow of ours: its code is nobody's.
  if (!query.has("state")) return seeOther("/connect/noted");
  // Who only looks, like a mail scanner with a copied address, has no cookie; HEAD must not use a code up either.
  if (request.method !== "GET") return seeOther("/connect/done");
  const cookieOfSession = (id: string): string | null => cookieOf(request, flowCookieName(id));
  const back = await comeBack(flow, { tenant, integration, query, cookieOf: cookieOfSession, origin });
  if (!back.ok) {
    const { session } = back.error;
    return seeOther(session === null ? "/connect/done" : `/connect/done/${session.id}`);
  }
  const { session, location, narrower } = back.value;
  const isToBeRead = location === null || (narrower.length > 0 && session.mode !== "confirm");
  return isToBeRead
    ? seeOther(`/connect/done/${session.id}`)
    : seeOther(location, [withoutCookie(flowCookieName(session.id))]);
}

/** B3. Of what is over, once: then the flow's cookie goes. */
async function showResult(
  request: Request,
  room: Connections,
  [id = ""]: readonly string[],
): Promise<Response> {
  const { flow } = room;
  const name = flowCookieName(id);
  const held = cookieOf(request, name);
  const session = held === null || !isSessionId(id) ? null : await selectSession(flow.db, id);
  if (held === null || session === null || !(await matchesHash(held, session.cookieHash)))
    return shown(results.OTHER_BROWSER);
  const over = request.method === "GET" ? [withoutCookie(name)] : [];
  const isLate = session.expiresAt <= flow.now();
  const { tenant, integration } = session.slot;
  const made = await room.integration(tenant, integration);
  const provider = made === null ? "The provider" : providerName(made);
  switch (session.state) {
    case "done": {
      const view = await flow.object(tenant, session.connection).view(tenant);
      if (made === null || view === null) return shown(connect.NOT_OFFERED, 410, over);
      const have = view.scopes;
      const missing = have === null ? [] : session.scopes.filter((scope) => !have.includes(scope));
      return shown(results.connectedPage({ session, made, label: view.account.label, missing }), 200, over);
    }
    case "failed":
      return shown(results.failedPage(session.failure ?? "exchange_failed", session, provider), 200, over);
    case "unconfirmed":
      return isLate
        ? shown(results.failedPage("unconfirmed", session, provider), 200, over)
        : shown(results.unconfirmedPage(session));
    case "open":
    case "redeemed":
    case "exchanging":
      if (isLate) return shown(results.TOOK_TOO_LONG, 200, over);
      if ((await consentIntegration(flow.db, session)) === null) return shown(connect.NOT_OFFERED, 410, over);
      return shown(session.state === "redeemed" ? results.notYetPage(session.id) : results.STILL_WORKING);
  }
}
