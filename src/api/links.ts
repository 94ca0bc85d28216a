/**
 * Links by which a person without a key decides. A link says what it is for and who made it, and is sealed with the
 * server key: nothing is stored, and it is worth nothing once the approval is decided, expired or asked anew.
 */
import { openSealed, macOf, sameSecret, sealText } from "../platform/index.ts";

/** PERSISTED CONTRACT: links live as long as the wait for their approval. */
const LINK_PURPOSE = "approval-link";
const FORM_PURPOSE = "approval-form";

export interface Link {
  readonly tenant: string;
  readonly approval: string;
  /** The key that made it, and answers for who decides. */
  readonly via: string;
  /** Who decides, by that key's word; null: whoever has the link. */
  readonly identity: string | null;
}

export interface Links {
  seal(link: Link): Promise<string>;
  /** Null: not made here, or by another server key. */
  open(token: string): Promise<Link | null>;
  /** What a form must send back: bound to the browser's cookie and to the link. */
  formToken(cookie: string, token: string): Promise<string>;
  isFormToken(given: string, cookie: string, token: string): Promise<boolean>;
}

export function createLinks(serverKey: () => Promise<CryptoKey>): Links {
  const formToken: Links["formToken"] = async (cookie, token) =>
    macOf(await serverKey(), FORM_PURPOSE, JSON.stringify([cookie, token]));
  return {
    seal: async ({ tenant, approval, via, identity }) =>
      sealText(await serverKey(), LINK_PURPOSE, JSON.stringify([tenant, approval, via, identity])),
    open: async (token) => {
      const text = await openSealed(await serverKey(), LINK_PURPOSE, token);
      if (text === null) return null;
      // Sealed here, so it has the form that `seal` gave it.
      const [tenant, approval, via, identity] = JSON.parse(text) as [string, string, string, string | null];
      return { tenant, approval, via, identity };
    },
    formToken,
    isFormToken: async (given, cookie, token) => sameSecret(given, await formToken(cookie, token)),
  };
}
