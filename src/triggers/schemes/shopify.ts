/**
 * Shopify: HMAC-SHA256 of the body under the app's client secret, in base64. It signs neither a time nor the id. Its newer
 * events name the headers without `X-`. https://shopify.dev/docs/apps/build/webhooks/verify-deliveries
 */
import { base64, err, fromBase64, ok } from "../../platform/index.ts";
import { bytesOf, chosenFlaw, macOf, secretOf } from "./mac.ts";
import type { Arrival, FixedSettings, Scheme } from "./scheme.ts";
import { eventOf, idOf } from "./values.ts";

const SIGNATURE = "hmac-sha256";

export const shopify: Scheme<FixedSettings> = {
  repeatable: false,
  secretFlaw: (text) => chosenFlaw(text),

  async prove(arrival, secrets) {
    const header = named(arrival, SIGNATURE);
    if (header === null) return err("signature_missing");
    const claimed = fromBase64(header);
    if (claimed === null) return err("signature_malformed");
    const secret = await secretOf(secrets, [claimed], ({ text }) => macOf(bytesOf(text), arrival.body));
    return secret === null ? err("signature_wrong") : ok({ secret, signedAt: null });
  },

  toleranceS: () => 0,

  about(arrival) {
    const given = named(arrival, "webhook-id");
    if (given === null) return err("id_missing");
    const id = idOf(given);
    if (id === null) return err("id_malformed");
    return ok({ id, event: eventOf(named(arrival, "topic")), handshake: null });
  },

  async make({ id, event, body }, secret) {
    return {
      "content-type": "application/json",
      "x-shopify-webhook-id": id,
      ...(event === null ? {} : { "x-shopify-topic": event }),
      [`x-shopify-${SIGNATURE}`]: base64(await macOf(bytesOf(secret), body)),
    };
  },
};

/** A header of the family that the signature is of: the two are never mixed. */
function named({ headers }: Arrival, name: string): string | null {
  const family = headers.get(`x-shopify-${SIGNATURE}`) === null ? "shopify-" : "x-shopify-";
  return headers.get(family + name);
}
