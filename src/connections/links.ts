/**
 * Links of connect sessions, and what ties a flow to one browser.
 *
 * - K1 a link is derived from its session's id by a key of the vault: it is stored nowhere, and the database alone gives none.
 * - K2 what a browser or a backend has to show again is kept as a hash only, and compared in constant time.
 */
import { base64url, isSessionId, sameSecret, sha256Hex } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";

const LINK_PURPOSE = "connect-link";
const FORM_PURPOSE = "connect-form";
const SECRET_BYTES = 32;
const TOKEN = /^(cs_[0-9a-z]{26})\.([\w-]{43})$/;
const SECRET = /^[\w-]{43}$/;

/** The last part of the link's address. Null: the key that it is derived from is not here (any more). */
export async function linkToken(
  vault: Vault,
  session: { readonly id: string; readonly kid: string },
): Promise<string | null> {
  const derived = vault.derive(session.kid, LINK_PURPOSE);
  return derived.ok ? `${session.id}.${await derived.value.mac(session.id)}` : null;
}

/** The session that a link names, whether or not there is one; null: it is of no form that we make. */
export function sessionOfToken(token: string): string | null {
  const [, id] = TOKEN.exec(token) ?? [];
  return id !== undefined && isSessionId(id) ? id : null;
}

export async function isLinkToken(
  vault: Vault,
  session: { readonly id: string; readonly kid: string },
  token: string,
): Promise<boolean> {
  const expected = await linkToken(vault, session);
  return expected !== null && sameSecret(token, expected);
}

/** 256 random bits, 43 characters. */
export function newSecret(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

export function isSecretText(text: string): boolean {
  return SECRET.test(text);
}

export async function hashOf(secret: string): Promise<string> {
  return sha256Hex(secret);
}

/** K2. */
export async function matchesHash(secret: string, hash: string | null): Promise<boolean> {
  return hash !== null && isSecretText(secret) && sameSecret(await sha256Hex(secret), hash);
}

/** What a form of ours must send back: bound to the browser's cookie and to what the form is about. */
export async function formToken(vault: Vault, cookie: string, about: string): Promise<string> {
  const { kid, ...derived } = vault.derive("active", FORM_PURPOSE);
  return `${kid}.${await derived.mac(JSON.stringify([cookie, about]))}`;
}

export async function isFormToken(
  vault: Vault,
  given: string,
  cookie: string,
  about: string,
): Promise<boolean> {
  const derived = vault.derive(given.slice(0, given.indexOf(".")), FORM_PURPOSE);
  if (!derived.ok) return false;
  const mac = await derived.value.mac(JSON.stringify([cookie, about]));
  return sameSecret(given.slice(given.indexOf(".") + 1), mac);
}

/** OAuth's `state` of a flow: follows from the flow's cookie, and does not give it away. */
export async function stateOf(cookie: string): Promise<string> {
  return sha256Hex(JSON.stringify(["connect-state", cookie]));
}

/** A cookie for each flow, so that two tabs do not overwrite each other's. */
export function flowCookieName(session: string): `__Host-${string}` {
  return `__Host-flow-${session}`;
}

export function ticketCookieName(session: string): `__Host-${string}` {
  return `__Host-ticket-${session}`;
}

/** @param about id of the session or the link */
export function formCookieName(about: string): `__Host-${string}` {
  return `__Host-form-${about}`;
}
