/**
 * Verifying a delivery, and making one: the order of the checks is here, what is checked is each scheme's.
 * Signature, then time, then body, then what it says of itself: so what the log says of the time or the id of a delivery is
 * said of one that is genuine.
 */
import type { Json } from "../../kernel/index.ts";
import { err, ok, type Result, sha256Hex } from "../../platform/index.ts";
import { apiKey, apiKeyFlaw, basic } from "./credentials.ts";
import { github } from "./github.ts";
import { hmac, hmacFlaw } from "./hmac.ts";
import type {
  Arrival,
  Draft,
  Handshake,
  Scheme,
  SchemeFault,
  SchemeName,
  SchemeSettings,
  Secret,
} from "./scheme.ts";
import { shopify } from "./shopify.ts";
import { slack } from "./slack.ts";
import { standard } from "./standard.ts";
import { stripe } from "./stripe.ts";
import { placesFlaw, readPayload } from "./values.ts";

/** A delivery that is the sender's own. */
export interface Genuine {
  /** Id of the secret that it was made with. */
  readonly secret: string;
  /** The sender's id of it. */
  readonly id: string | null;
  readonly event: string | null;
  /** The signed time, milliseconds since 1970. */
  readonly signedAt: number | null;
  /**
   * What is the same of two copies, and of no two deliveries; null: nothing is, so a replay cannot be noticed.
   * PERSISTED CONTRACT: run ids are made of it.
   */
  readonly key: string | null;
  readonly payload: Json;
  readonly handshake: Handshake | null;
}

/** @param nowMs milliseconds since 1970 */
export async function verifyDelivery(
  settings: SchemeSettings,
  arrival: Arrival,
  secrets: readonly Secret[],
  nowMs: number,
): Promise<Result<Genuine, SchemeFault>> {
  const scheme = schemeOf(settings);
  const proof = await scheme.prove(arrival, secrets, settings);
  if (!proof.ok) return proof;
  const { secret, signedAt } = proof.value;
  if (signedAt !== null && Math.abs(nowMs - signedAt) > scheme.toleranceS(settings) * 1_000)
    return err("time_outside");
  const payload = readPayload(arrival);
  if (!payload.ok) return payload;
  const about = scheme.about(arrival, payload.value, settings);
  if (!about.ok) return about;
  const { id, event, handshake } = about.value;
  const key = await keyOf(id, signedAt, arrival.body, scheme.repeatable);
  return ok({ secret, id, event, signedAt, key, payload: payload.value, handshake });
}

/** The id alone, if there is one: a body that differs makes no other delivery of it. Else the signed time and the body. */
async function keyOf(
  id: string | null,
  signedAt: number | null,
  body: Uint8Array,
  repeatable: boolean,
): Promise<string | null> {
  if (id !== null) return `id:${id}`;
  return repeatable ? null : `body:${signedAt ?? "-"}:${await sha256Hex(body)}`;
}

/** The headers that make a draft a delivery of the scheme. Throws a TypeError where the secret or the draft cannot be used. */
export async function makeDelivery(
  settings: SchemeSettings,
  draft: Draft,
  secret: string,
): Promise<Record<string, string>> {
  return schemeOf(settings).make(draft, secret, settings);
}

/** Whether a header says what a delivery tells of. Else its body does, or nothing. */
export function tellsEventInHeader(settings: SchemeSettings): boolean {
  switch (settings.scheme) {
    case "github":
    case "shopify":
      return true;
    case "standard":
    case "stripe":
    case "slack":
      return false;
    case "hmac":
    case "basic":
    case "api_key":
      return settings.event !== null && "header" in settings.event;
  }
}

/** Why a text is no secret of the scheme; null: it is one. */
export function secretFlaw(settings: SchemeSettings, text: string): string | null {
  return schemeOf(settings).secretFlaw(text, settings);
}

/** What is wrong with settings: the member, and why. Null: nothing is. */
export function settingsFlaw(
  settings: SchemeSettings,
): { readonly at: string; readonly detail: string } | null {
  switch (settings.scheme) {
    case "hmac":
      return hmacFlaw(settings);
    case "api_key":
      return apiKeyFlaw(settings);
    case "basic":
      return placesFlaw(settings);
    case "standard":
    case "github":
    case "stripe":
    case "slack":
    case "shopify":
      return null;
  }
}

function schemeOf(settings: SchemeSettings): Scheme<SchemeSettings> {
  return SCHEMES[settings.scheme];
}

// Each is only ever given settings that bear its own name: see `schemeOf`.
const SCHEMES: Readonly<Record<SchemeName, Scheme<SchemeSettings>>> = {
  standard,
  github,
  stripe,
  slack,
  shopify,
  hmac,
  basic,
  api_key: apiKey,
};
