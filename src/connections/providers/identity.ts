/** Whose account it is: reads the answers that tell. Pure; the clock is an argument. */
import { err, fromBase64, ok, type Result } from "../../platform/index.ts";
import { joinedAt, parseJson, textAt, valuesAt } from "./body.ts";
import type { Bound, ConsentProvider } from "./descriptor.ts";

/** An id is compared on every reconnect, and shown. */
const MAX_ACCOUNT_CHARS = 512;
const MAX_RESOURCES = 100;
/** How far the provider's clock may be ahead of ours or behind. */
const MAX_SKEW_S = 300;

export interface Account {
  /** Stays the same for as long as the account exists. */
  readonly id: string;
  /** For people. */
  readonly label: string;
}

export type IdentityRefusal =
  | { readonly code: "identity_unreadable" }
  | { readonly code: "id_token_invalid"; readonly claim: "form" | "iss" | "aud" | "exp" | "nonce" };

/** Reads what `identityRequest` brought. */
export function readIdentityAnswer(
  provider: Bound<ConsentProvider>,
  answer: { readonly status: number; readonly body: string },
): Result<Account, IdentityRefusal> {
  const body = answer.status === 200 ? parseJson(answer.body) : null;
  const { identity } = provider;
  if (body === null || identity?.from !== "endpoint") return err({ code: "identity_unreadable" });
  return accountOf(joinedAt(body, identity.id), joinedAt(body, identity.label));
}

/**
 * Reads the id token of a token answer. Its signature is not checked: it came from the token endpoint itself over TLS (OpenID
 * Connect Core 3.1.3.7, point 6). One that came by way of the browser must never be given here.
 */
export function readIdToken(
  provider: Bound<ConsentProvider>,
  idToken: string,
  expected: { readonly clientId: string; readonly now: number; readonly nonce?: string },
): Result<Account, IdentityRefusal> {
  const { identity } = provider;
  if (identity?.from !== "id_token") return err({ code: "identity_unreadable" });
  const claims = claimsOf(idToken);
  if (claims === null) return err({ code: "id_token_invalid", claim: "form" });
  const issuer = identity.issuer.replace(
    /\{([a-z_]+)\}/g,
    (_, name: string) => textAt(claims, `/${name}`) ?? "",
  );
  if (textAt(claims, "/iss") !== issuer) return err({ code: "id_token_invalid", claim: "iss" });
  const audience: readonly unknown[] = valuesAt(claims, "/aud").flat();
  if (!audience.includes(expected.clientId)) return err({ code: "id_token_invalid", claim: "aud" });
  const exp = Number(textAt(claims, "/exp") ?? Number.NaN);
  if (!(exp + MAX_SKEW_S > expected.now / 1_000)) return err({ code: "id_token_invalid", claim: "exp" });
  if (expected.nonce !== undefined && textAt(claims, "/nonce") !== expected.nonce)
    return err({ code: "id_token_invalid", claim: "nonce" });
  // Where the provider names nobody, what it calls the user says more to a person than the whole id does.
  return accountOf(joinedAt(claims, identity.id), joinedAt(claims, identity.label) ?? textAt(claims, "/sub"));
}

/** The account, where the redirect's values or the chosen parts are it (QuickBooks, Shopify); undefined elsewhere. */
export function identityOfFlow(
  provider: Bound<ConsentProvider>,
  redirectValues: Readonly<Record<string, string>>,
): Account | undefined {
  const { identity } = provider;
  if (identity?.from !== "redirect" && identity?.from !== "part") return undefined;
  const values = identity.from === "part" ? provider.bound : redirectValues;
  const pointers = (names: readonly string[]) => names.map((name) => `/${name}`);
  const read = accountOf(joinedAt(values, pointers(identity.id)), joinedAt(values, pointers(identity.label)));
  return read.ok ? read.value : undefined;
}

/** Reads what `resourcesRequest` brought: at most 100 sites or organisations; null if it cannot be read. */
export function readResources(
  provider: Bound,
  answer: { readonly status: number; readonly body: string },
): readonly Account[] | null {
  const body = answer.status === 200 ? parseJson(answer.body) : null;
  const { resources } = provider;
  if (resources === undefined || !Array.isArray(body)) return null;
  return (body as unknown[]).slice(0, MAX_RESOURCES).flatMap((one) => {
    const read = accountOf(textAt(one, resources.id), textAt(one, resources.label));
    return read.ok ? [read.value] : [];
  });
}

function accountOf(id: string | undefined, label: string | undefined): Result<Account, IdentityRefusal> {
  if (id === undefined || id.length > MAX_ACCOUNT_CHARS) return err({ code: "identity_unreadable" });
  return ok({ id, label: (label ?? id).slice(0, MAX_ACCOUNT_CHARS) });
}

function claimsOf(idToken: string): Readonly<Record<string, unknown>> | null {
  const [, payload = ""] = idToken.split(".");
  const bytes = idToken.split(".").length === 3 ? fromBase64(payload) : null;
  const claims = bytes === null ? null : parseJson(new TextDecoder().decode(bytes));
  return claims === null || Array.isArray(claims) ? null : (claims as Readonly<Record<string, unknown>>);
}
