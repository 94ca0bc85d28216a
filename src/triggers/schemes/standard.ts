/**
 * Standard Webhooks 1.0: `v1` is HMAC-SHA256, `v1a` is Ed25519, both over `{id}.{time}.{body}`.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 *
 * S4: neither an id nor a time may hold a full stop, "to prevent certain attacks"; the specification leaves that to senders.
 */
import { err, fromBase64, ok } from "../../platform/index.ts";
import { joinBytes, macOf, MAX_SIGNATURES, secretOf } from "./mac.ts";
import type { Arrival, FixedSettings, Scheme, Secret } from "./scheme.ts";
import { privateKeyOf, publicKeyOf, signStandard, symmetricKeyOf } from "./standard-keys.ts";
import { eventOf, idOf, member, timeOf } from "./values.ts";

/** That of the official libraries. */
const TOLERANCE_S = 300;
/** Of public keys: each goes through the whole body once for every key, and anybody can send as many. */
const MAX_OPEN_SIGNATURES = 4;
const OPEN_SIGNATURE_BYTES = 64;

export const standard: Scheme<FixedSettings> = {
  repeatable: false,
  secretFlaw: (text) =>
    symmetricKeyOf(text) !== null || publicKeyOf(text) !== null
      ? null
      : "A secret is whsec_ and 24 to 64 bytes in base64, or whpk_ and a public key of Ed25519 in base64.",

  async prove(arrival, secrets) {
    const header = named(arrival, "signature");
    if (header === null) return err("signature_missing");
    const id = named(arrival, "id");
    if (id === null) return err("id_missing");
    if (idOf(id) === null || id.includes(".")) return err("id_malformed");
    const time = named(arrival, "timestamp");
    if (time === null) return err("time_missing");
    const signedAt = timeOf(time, "s");
    if (signedAt === null) return err("time_malformed");
    const signatures = header.split(" ").filter((one) => one !== "");
    const claimed = claimedBy(signatures, "v1,");
    const claimedOpenly = claimedBy(signatures, "v1a,").filter(
      ({ byteLength }) => byteLength === OPEN_SIGNATURE_BYTES,
    );
    if (claimed.length + claimedOpenly.length === 0 || signatures.length > MAX_SIGNATURES)
      return err("signature_malformed");
    if (claimedOpenly.length > MAX_OPEN_SIGNATURES) return err("signature_malformed");
    const content = joinBytes(`${id}.${time}.`, arrival.body);
    const secret =
      (await secretOf(secrets, claimed, async ({ text }) => {
        const key = symmetricKeyOf(text);
        return key === null ? null : macOf(key, content);
      })) ?? (await signerOf(secrets, claimedOpenly, content));
    return secret === null ? err("signature_wrong") : ok({ secret, signedAt });
  },

  toleranceS: () => TOLERANCE_S,

  about: (arrival, payload) =>
    ok({ id: named(arrival, "id"), event: eventOf(member(payload, "type")), handshake: null }),

  /** The event stands in the body. Takes a `whsk_` for what a `whpk_` accepts. */
  async make({ id, sentAt, body }, secret) {
    if (symmetricKeyOf(secret) === null && privateKeyOf(secret) === null)
      throw new TypeError("A delivery is signed with a whsec_ or a whsk_.");
    return signStandard({ id, sentAt, body }, [secret]);
  },
};

/** The bytes of the signatures of one version. Those of others are passed over, as the specification asks. */
function claimedBy(signatures: readonly string[], version: "v1," | "v1a,"): Uint8Array[] {
  return signatures
    .filter((one) => one.startsWith(version))
    .map((one) => fromBase64(one.slice(version.length)))
    .filter((bytes) => bytes !== null);
}

/** As `secretOf`, of public keys: there is no secret whose bytes could show in the time it takes. */
async function signerOf(
  secrets: readonly Secret[],
  claimed: readonly Uint8Array[],
  content: Uint8Array,
): Promise<string | null> {
  let found: string | null = null;
  for (const { id, text } of secrets) {
    const bytes = publicKeyOf(text);
    if (bytes === null) continue;
    const key = await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
    for (const claim of claimed) if (await crypto.subtle.verify("Ed25519", key, claim, content)) found ??= id;
  }
  return found;
}

/** A header of the family that the signature is of; Svix sends the same scheme under its own name. The two are never mixed. */
function named({ headers }: Arrival, name: string): string | null {
  return headers.get(`${headers.get("webhook-signature") === null ? "svix" : "webhook"}-${name}`);
}
