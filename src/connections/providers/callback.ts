/** What the redirect back must hold beside code and state. The order is: state and cookie (the caller), then these. */
import { err, ok, type Result } from "../../platform/index.ts";
import type { Bound, ConsentProvider } from "./descriptor.ts";

export type CallbackRefusal =
  | { readonly code: "iss_missing" | "iss_mismatch" | "callback_forged" }
  | {
      readonly code: "redirect_value_missing" | "redirect_value_invalid" | "redirect_value_repeated";
      readonly name: string;
    };

/**
 * Checks `iss` (RFC 9207 2.4), the provider's own signature if it makes one, and the values that arrive in the query; gives
 * the values. `clientSecret` keys Shopify's signature and is needed for nothing else.
 */
export async function readCallback(
  provider: Bound<ConsentProvider>,
  query: URLSearchParams,
  clientSecret: string | undefined,
): Promise<Result<Readonly<Record<string, string>>, CallbackRefusal>> {
  const iss = query.get("iss");
  if (iss === null && provider.issRequired === true) return err({ code: "iss_missing" });
  if (iss !== null && provider.issuer !== undefined && iss !== provider.issuer)
    return err({ code: "iss_mismatch" });
  // Who was refused brings nothing else (RFC 6749 4.1.2.1).
  if (query.has("error")) return ok({});
  if (
    provider.callbackCheck === "shopify_hmac" &&
    !(await isFromShopify(provider, query, clientSecret ?? ""))
  )
    return err({ code: "callback_forged" });
  const values: [string, string][] = [];
  for (const { name, pattern, required } of provider.redirectValues ?? []) {
    const [value, ...more] = query.getAll(name);
    if (more.length > 0) return err({ code: "redirect_value_repeated", name });
    if (value === undefined) {
      if (required) return err({ code: "redirect_value_missing", name });
      continue;
    }
    if (!new RegExp(pattern).test(value)) return err({ code: "redirect_value_invalid", name });
    values.push([name, value]);
  }
  return ok(Object.fromEntries(values));
}

/** HMAC-SHA256 in hex over all other parameters, sorted by name, keyed with the app's secret; and it is the shop that was asked. */
async function isFromShopify(
  provider: Bound<ConsentProvider>,
  query: URLSearchParams,
  clientSecret: string,
): Promise<boolean> {
  const claimed = query.getAll("hmac");
  const mac = claimed[0] ?? "";
  if (claimed.length !== 1 || clientSecret === "" || !/^[0-9a-f]{64}$/.test(mac)) return false;
  if (query.get("shop") !== `${provider.bound["shop"] ?? ""}.myshopify.com`) return false;
  const message = [...query]
    .filter(([name]) => name !== "hmac" && name !== "signature")
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
  const bytes = new TextEncoder();
  const hash = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes.encode(clientSecret), hash, false, ["verify"]);
  const given = Uint8Array.from(mac.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  // Constant time is the platform's part.
  return crypto.subtle.verify("HMAC", key, given, bytes.encode(message));
}
