/**
 * Slack: HMAC-SHA256 of `v0:{time}:{body}`. Events have an id; slash commands and interactions have none.
 * https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
import { err, fromHex, hex, ok } from "../../platform/index.ts";
import { bytesOf, chosenFlaw, joinBytes, macOf, secretOf } from "./mac.ts";
import type { Arrival, FixedSettings, Handshake, Scheme } from "./scheme.ts";
import { eventOf, idOf, inner, isForm, member, timeOf } from "./values.ts";
import type { Json } from "../../kernel/index.ts";

const SIGNATURE = "x-slack-signature";
const TIME = "x-slack-request-timestamp";
const PREFIX = "v0=";
const TOLERANCE_S = 300;
const MAX_CHALLENGE_CHARS = 1_024;

export const slack: Scheme<FixedSettings> = {
  repeatable: false,
  secretFlaw: (text) => chosenFlaw(text),

  async prove({ headers, body }, secrets) {
    const header = headers.get(SIGNATURE);
    if (header === null) return err("signature_missing");
    const time = headers.get(TIME);
    if (time === null) return err("time_missing");
    const signedAt = timeOf(time, "s");
    if (signedAt === null) return err("time_malformed");
    const claimed = header.startsWith(PREFIX) ? fromHex(header.slice(PREFIX.length)) : null;
    if (claimed === null) return err("signature_malformed");
    const content = joinBytes(`v0:${time}:`, body);
    const secret = await secretOf(secrets, [claimed], ({ text }) => macOf(bytesOf(text), content));
    return secret === null ? err("signature_wrong") : ok({ secret, signedAt });
  },

  toleranceS: () => TOLERANCE_S,

  about(arrival, payload) {
    const told = inner(arrival, payload);
    const event =
      eventOf(member(member(told, "event"), "type")) ??
      eventOf(member(told, "type")) ??
      eventOf(member(told, "command"));
    return ok({ id: idOf(member(told, "event_id")), event, handshake: handshakeOf(arrival, told) });
  },

  /** Id and event stand in the body. */
  async make({ sentAt, body }, secret) {
    const time = String(Math.floor(sentAt / 1_000));
    const mac = hex(await macOf(bytesOf(secret), joinBytes(`v0:${time}:`, body)));
    return { "content-type": "application/json", [TIME]: time, [SIGNATURE]: `${PREFIX}${mac}` };
  },
};

/** Slack asks twice whether somebody is there: when an address for events is given, and for slash commands now and then. */
function handshakeOf(arrival: Arrival, told: Json): Handshake | null {
  const challenge = member(told, "challenge");
  if (member(told, "type") === "url_verification" && typeof challenge === "string")
    return { status: 200, contentType: "text/plain", body: challenge.slice(0, MAX_CHALLENGE_CHARS) };
  if (isForm(arrival) && member(told, "ssl_check") === "1")
    return { status: 200, contentType: "text/plain", body: "" };
  return null;
}
