/**
 * Basic authentication and API keys: whoever knows the secret may send. They sign nothing: neither that the body is whole
 * nor that it is new. Without an id that the sender puts into each delivery, a copy of one cannot be told from another one.
 */
import { base64, err, fromBase64, ok } from "../../platform/index.ts";
import { bytesOf, chosenFlaw, secretOf } from "./mac.ts";
import type { ApiKeySettings, BasicSettings, Draft, Scheme, ValuePlace } from "./scheme.ts";
import { aboutPlaced, isHeaderName, placesFlaw } from "./values.ts";

const MIN_PASSWORD_CHARS = 16;

/** What is wrong with settings: the member, and why. Null: nothing is. */
export function apiKeyFlaw(
  settings: ApiKeySettings,
): { readonly at: string; readonly detail: string } | null {
  if (!isHeaderName(settings.header)) return { at: "header", detail: "This is not the name of a header." };
  if (!/^[\x20-\x7e]{0,64}$/.test(settings.prefix))
    return { at: "prefix", detail: "A prefix has at most 64 characters of ASCII." };
  return placesFlaw(settings);
}

/** The secret is `user:password`. */
export const basic: Scheme<BasicSettings> = {
  repeatable: true,

  secretFlaw(text) {
    const colon = text.indexOf(":");
    if (colon < 1) return "A secret is a user, a colon, and a password.";
    return chosenFlaw(text) ?? chosenFlaw(text.slice(colon + 1), MIN_PASSWORD_CHARS);
  },

  async prove({ headers }, secrets) {
    const [, written] = /^Basic +([\w+/=-]+)$/i.exec(headers.get("authorization") ?? "") ?? [];
    if (written === undefined) return err("credentials_missing");
    const claimed = fromBase64(written);
    if (claimed === null) return err("credentials_missing");
    const secret = await secretOf(secrets, [claimed], async ({ text }) => bytesOf(text));
    return secret === null ? err("credentials_wrong") : ok({ secret, signedAt: null });
  },

  toleranceS: () => 0,
  about: (arrival, payload, settings) => aboutPlaced(settings, arrival, payload),
  make: async (draft, secret, settings) => ({
    ...headersOf(draft, settings),
    authorization: `Basic ${base64(bytesOf(secret))}`,
  }),
};

export const apiKey: Scheme<ApiKeySettings> = {
  repeatable: true,
  secretFlaw: (text) => chosenFlaw(text),

  async prove({ headers }, secrets, { header, prefix }) {
    const given = headers.get(header);
    if (given === null || !given.startsWith(prefix)) return err("credentials_missing");
    const claimed = bytesOf(given.slice(prefix.length));
    const secret = await secretOf(secrets, [claimed], async ({ text }) => bytesOf(text));
    return secret === null ? err("credentials_wrong") : ok({ secret, signedAt: null });
  },

  toleranceS: () => 0,
  about: (arrival, payload, settings) => aboutPlaced(settings, arrival, payload),
  make: async (draft, secret, settings) => ({
    ...headersOf(draft, settings),
    [settings.header.toLowerCase()]: settings.prefix + secret,
  }),
};

function headersOf(
  draft: Draft,
  { id, event }: { readonly id: ValuePlace | null; readonly event: ValuePlace | null },
): Record<string, string> {
  return {
    "content-type": "application/json",
    ...(id !== null && "header" in id ? { [id.header.toLowerCase()]: draft.id } : {}),
    ...(event !== null && "header" in event && draft.event !== null
      ? { [event.header.toLowerCase()]: draft.event }
      : {}),
  };
}
