/** Stripe: HMAC-SHA256 of `{t}.{body}`, several signatures while a secret is rolled. https://docs.stripe.com/webhooks/signature */
import { err, fromHex, hex, ok } from "../../platform/index.ts";
import { bytesOf, chosenFlaw, joinBytes, macOf, MAX_SIGNATURES, secretOf } from "./mac.ts";
import type { FixedSettings, Scheme } from "./scheme.ts";
import { eventOf, idOf, member, timeOf } from "./values.ts";

const SIGNATURE = "stripe-signature";
/** The default of Stripe's own libraries. */
const TOLERANCE_S = 300;

export const stripe: Scheme<FixedSettings> = {
  repeatable: false,
  /** The key is the text as Stripe shows it, with `whsec_`: it is not decoded. */
  secretFlaw: (text) =>
    text.startsWith("whsec_") ? chosenFlaw(text) : "A secret of Stripe's begins with whsec_.",

  async prove({ headers, body }, secrets) {
    const header = headers.get(SIGNATURE);
    if (header === null) return err("signature_missing");
    const parts = header.split(",").map((part) => part.trim());
    const times = parts.filter((part) => part.startsWith("t=")).map((part) => part.slice(2));
    const [time, ...more] = times;
    if (time === undefined) return err("time_missing");
    const signedAt = timeOf(time, "s");
    if (signedAt === null || more.length > 0) return err("time_malformed");
    // Other versions are not looked at: v0 is for Stripe's own tests.
    const signatures = parts.filter((part) => part.startsWith("v1=")).map((part) => fromHex(part.slice(3)));
    if (signatures.length === 0) return err("signature_missing");
    const claimed = signatures.filter((one) => one !== null);
    if (claimed.length === 0 || signatures.length > MAX_SIGNATURES) return err("signature_malformed");
    const content = joinBytes(`${time}.`, body);
    const secret = await secretOf(secrets, claimed, ({ text }) => macOf(bytesOf(text), content));
    return secret === null ? err("signature_wrong") : ok({ secret, signedAt });
  },

  toleranceS: () => TOLERANCE_S,

  about: (_, payload) =>
    ok({ id: idOf(member(payload, "id")), event: eventOf(member(payload, "type")), handshake: null }),

  /** Id and event stand in the body. */
  async make({ sentAt, body }, secret) {
    const time = Math.floor(sentAt / 1_000);
    const mac = hex(await macOf(bytesOf(secret), joinBytes(`${time}.`, body)));
    return { "content-type": "application/json", [SIGNATURE]: `t=${time},v1=${mac}` };
  },
};
