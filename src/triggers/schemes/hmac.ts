/**
 * HMAC as a tenant describes it, for services that have no scheme here (Linear, GitLab's newer hooks, one's own).
 *
 * S4: the body stands last in what is signed, a time is digits, and the text that follows an id does not begin in it. A time that
 * stands in a header counts only if it is signed (S3); one that stands in the body always is.
 */
import { base64, err, fromBase64, fromHex, hex, ok, type Result } from "../../platform/index.ts";
import { bytesOf, chosenFlaw, joinBytes, macOf, secretOf } from "./mac.ts";
import type { Arrival, HmacSettings, Proof, Scheme, SchemeFault } from "./scheme.ts";
import {
  aboutPlaced,
  isHeaderName,
  isPointer,
  placed,
  placesFlaw,
  readPayload,
  idOf,
  timeOf,
} from "./values.ts";

const MIN_KEY_BYTES = 16;
const MAX_TOLERANCE_S = 86_400;
/** `{id}` and `{time}`, each at most once, each with something behind it (of a time no digit); then the body. */
const SIGNED = /^[^{}]*(?:(?:\{id\}|\{time\}(?!\d))[^{}]+){0,2}\{body\}$/;

/** What is wrong with settings: the member, and why. Null: nothing is. */
export function hmacFlaw(settings: HmacSettings): { readonly at: string; readonly detail: string } | null {
  const { header, prefix, signed, time, id } = settings;
  if (!isHeaderName(header)) return { at: "header", detail: "This is not the name of a header." };
  if (!/^[\x21-\x7e]{0,64}$/.test(prefix))
    return { at: "prefix", detail: "A prefix has at most 64 visible characters." };
  if (signed.length > 256 || !SIGNED.test(signed) || /\{(id|time)\}.*\{\1\}/.test(signed))
    return {
      at: "signed",
      detail:
        "What is signed ends in {body}; before it {id} and {time} may stand once, with a text behind each.",
    };
  const flaw = placesFlaw(settings);
  if (flaw !== null) return flaw;
  if (signed.includes("{id}") && !(id !== null && "header" in id))
    return { at: "id", detail: "An id that is signed beside the body stands in a header." };
  const inHeader = time !== null && "header" in time;
  if (inHeader !== signed.includes("{time}"))
    return {
      at: "time",
      detail: "A time that stands in a header has to be signed, as {time}; only such a time can be.",
    };
  if (time === null) return null;
  if (!("header" in time ? isHeaderName(time.header) : isPointer(time.pointer)))
    return { at: "time", detail: "A time stands in a header, or at a JSON pointer." };
  return Number.isInteger(time.toleranceS) && time.toleranceS >= 1 && time.toleranceS <= MAX_TOLERANCE_S
    ? null
    : { at: "time", detail: "A time may be off by 1 to 86,400 seconds." };
}

export const hmac: Scheme<HmacSettings> = {
  repeatable: false,

  secretFlaw(text, settings) {
    if (settings.secretEncoding === "text") return chosenFlaw(text);
    const key = keyOf(text, settings);
    return key !== null && key.length >= MIN_KEY_BYTES
      ? chosenFlaw(text)
      : `A secret is at least ${MIN_KEY_BYTES} bytes in ${settings.secretEncoding}.`;
  },

  async prove(arrival, secrets, settings) {
    const { header, prefix, encoding, hash, time } = settings;
    const given = arrival.headers.get(header);
    if (given === null) return err("signature_missing");
    const written = given.startsWith(prefix) ? given.slice(prefix.length) : null;
    const decode = encoding === "hex" ? fromHex : fromBase64;
    const claimed = written === null || written === "" ? null : decode(written);
    if (claimed === null) return err("signature_malformed");
    const before = signedBefore(arrival, settings);
    if (!before.ok) return before;
    const content = joinBytes(before.value, arrival.body);
    const secret = await secretOf(secrets, [claimed], async ({ text }) => {
      const key = keyOf(text, settings);
      return key === null ? null : macOf(key, content, hash);
    });
    if (secret === null) return err("signature_wrong");
    return time === null ? ok({ secret, signedAt: null }) : timed(secret, arrival, time);
  },

  toleranceS: ({ time }) => time?.toleranceS ?? 0,

  about: (arrival, payload, settings) => aboutPlaced(settings, arrival, payload),

  /** Id, event and time that belong into the body have to stand there already. */
  async make(draft, secret, settings) {
    const { header, prefix, encoding, hash, time, id, event } = settings;
    const key = keyOf(secret, settings);
    if (key === null || key.length === 0) throw new TypeError("This is no secret of the scheme.");
    const headers = new Map([["content-type", "application/json"]]);
    if (id !== null && "header" in id) headers.set(id.header.toLowerCase(), draft.id);
    if (event !== null && "header" in event && draft.event !== null)
      headers.set(event.header.toLowerCase(), draft.event);
    if (time !== null && "header" in time) {
      const at = time.unit === "s" ? Math.floor(draft.sentAt / 1_000) : draft.sentAt;
      headers.set(time.header.toLowerCase(), String(at));
    }
    const made: Arrival = {
      headers: { get: (name) => headers.get(name.toLowerCase()) ?? null },
      body: draft.body,
    };
    const before = signedBefore(made, settings);
    if (!before.ok) throw new TypeError(`The draft cannot be signed: ${before.error}.`);
    const mac = await macOf(key, joinBytes(before.value, draft.body), hash);
    headers.set(header.toLowerCase(), prefix + (encoding === "hex" ? hex(mac) : base64(mac)));
    return Object.fromEntries(headers);
  },
};

/** What is signed before the body. */
function signedBefore(arrival: Arrival, { signed, time, id }: HmacSettings): Result<string, SchemeFault> {
  let before = signed.slice(0, -"{body}".length);
  if (before.includes("{time}")) {
    const text = time === null ? null : placed(time, arrival, null);
    if (typeof text !== "string") return err("time_missing");
    if (timeOf(text, "s") === null) return err("time_malformed");
    before = before.replace("{time}", text);
  }
  if (before.includes("{id}")) {
    const text = id === null ? null : placed(id, arrival, null);
    if (typeof text !== "string") return err("id_missing");
    // The text that follows it must not begin inside of it: the id could end in two places.
    const behind = /\{id\}([^{]+)/.exec(signed)?.[1] ?? "";
    if (idOf(text) === null || (text + behind).indexOf(behind) !== text.length) return err("id_malformed");
    // By a function: `$` in an id is no pattern.
    before = before.replace("{id}", () => text);
  }
  return ok(before);
}

function timed(
  secret: string,
  arrival: Arrival,
  time: NonNullable<HmacSettings["time"]>,
): Result<Proof, SchemeFault> {
  // Only now the body is known to be the sender's (S1).
  const payload = "header" in time ? ok(null) : readPayload(arrival);
  if (!payload.ok) return payload;
  const value = placed(time, arrival, payload.value);
  if (value === null) return err("time_missing");
  const signedAt = timeOf(value, time.unit);
  return signedAt === null ? err("time_malformed") : ok({ secret, signedAt });
}

function keyOf(text: string, { secretEncoding }: HmacSettings): Uint8Array | null {
  if (secretEncoding === "text") return bytesOf(text);
  return secretEncoding === "hex" ? fromHex(text) : fromBase64(text);
}
