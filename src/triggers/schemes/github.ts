/**
 * GitHub: HMAC-SHA256 of the body. It signs neither a time nor the id, so only the id, which whoever forwards a delivery could
 * change, tells a copy. https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 */
import { err, fromHex, hex, ok } from "../../platform/index.ts";
import { bytesOf, chosenFlaw, macOf, secretOf } from "./mac.ts";
import type { FixedSettings, Handshake, Scheme } from "./scheme.ts";
import { eventOf, idOf } from "./values.ts";

const SIGNATURE = "x-hub-signature-256";
const PREFIX = "sha256=";
/** GitHub sends one when a hook was made, to see whether somebody is there. */
const PONG: Handshake = { status: 200, contentType: "text/plain", body: "pong" };

export const github: Scheme<FixedSettings> = {
  repeatable: false,
  secretFlaw: (text) => chosenFlaw(text),

  async prove({ headers, body }, secrets) {
    const header = headers.get(SIGNATURE);
    if (header === null) return err("signature_missing");
    const claimed = header.startsWith(PREFIX) ? fromHex(header.slice(PREFIX.length)) : null;
    if (claimed === null) return err("signature_malformed");
    const secret = await secretOf(secrets, [claimed], ({ text }) => macOf(bytesOf(text), body));
    return secret === null ? err("signature_wrong") : ok({ secret, signedAt: null });
  },

  toleranceS: () => 0,

  about({ headers }) {
    const given = headers.get("x-github-delivery");
    if (given === null) return err("id_missing");
    const id = idOf(given);
    if (id === null) return err("id_malformed");
    const event = eventOf(headers.get("x-github-event"));
    return ok({ id, event, handshake: event === "ping" ? PONG : null });
  },

  async make({ id, event, body }, secret) {
    return {
      "content-type": "application/json",
      "x-github-delivery": id,
      ...(event === null ? {} : { "x-github-event": event }),
      [SIGNATURE]: `${PREFIX}${hex(await macOf(bytesOf(secret), body))}`,
    };
  },
};
