/** What the doors of this room's pages share: forms that count, redirects that leave nothing behind, and links. */
import { isSameOrigin, type Page, pageResponse, readForm } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { cookie, cookieOf } from "./cookies.ts";
import { formToken, isFormToken, isLinkToken, isSecretText, newSecret, sessionOfToken } from "./links.ts";
import type { Connections } from "./room.ts";
import { selectSession, type WithSecrets } from "./sessions-store.ts";

/** Answers one kind of address; `part` is what the address names. */
export type Door = (request: Request, room: Connections, part: readonly string[]) => Promise<Response>;

/** How long a form can be sent after its page was shown. */
const FORM_SECONDS = 30 * 60;

export function shown(page: Page, status = 200, cookies: readonly string[] = []): Response {
  const headers = new Headers();
  for (const one of cookies) headers.append("set-cookie", one);
  return pageResponse(page, { status, headers });
}

/** Always 303: a form is never sent a second time, and what stood in the address is gone. */
export function seeOther(location: string, cookies: readonly string[] = []): Response {
  const headers = new Headers({ location, "cache-control": "no-store", "referrer-policy": "no-referrer" });
  for (const one of cookies) headers.append("set-cookie", one);
  return new Response(null, { status: 303, headers });
}

/**
 * A form that counts in the browser that it was shown to, and for one thing only.
 * @param name of the cookie: one for each thing, so that two tabs do not disturb each other
 */
export async function newForm(
  vault: Vault,
  request: Request,
  { name, about }: { readonly name: `__Host-${string}`; readonly about: string },
): Promise<{ readonly token: string; readonly cookie: string }> {
  const known = cookieOf(request, name) ?? "";
  const secret = isSecretText(known) ? known : newSecret();
  return {
    token: await formToken(vault, secret, about),
    cookie: cookie(name, secret, { sameSite: "Strict", seconds: FORM_SECONDS }),
  };
}

/** The fields of a form of ours; null: it was not sent by one, in this browser. */
export async function trustedForm(
  vault: Vault,
  request: Request,
  { name, about }: { readonly name: `__Host-${string}`; readonly about: string },
): Promise<URLSearchParams | null> {
  const secret = cookieOf(request, name) ?? "";
  if (!isSameOrigin(request) || !isSecretText(secret)) return null;
  const form = await readForm(request);
  return (await isFormToken(vault, form.get("form") ?? "", secret, about)) ? form : null;
}

/** The session of a link. Null for every link that is not one of ours. */
export async function sessionOfLink(
  { db, vault }: { readonly db: D1Database; readonly vault: Vault },
  token: string,
): Promise<WithSecrets | null> {
  const id = sessionOfToken(token);
  const session = id === null ? null : await selectSession(db, id);
  return session !== null && (await isLinkToken(vault, session, token)) ? session : null;
}
