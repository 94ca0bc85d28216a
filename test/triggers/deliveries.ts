/** Deliveries of every scheme, as the tests make them. */
import { base64, fromHex } from "../../src/platform/index.ts";
import type { Arrival, Draft, SchemeSettings } from "../../src/triggers/schemes/scheme.ts";
import { makeDelivery, verifyDelivery } from "../../src/triggers/schemes/verify.ts";

export const NOW = Date.UTC(2026, 10, 26, 12);

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function arrivalOf(headers: Readonly<Record<string, string>>, body: string | Uint8Array): Arrival {
  return { headers: new Headers(headers), body: typeof body === "string" ? utf8(body) : body };
}

/** Not the pattern that scanners of repositories look for. */
export const WHSEC = `whsec_${base64(new Uint8Array(32).fill(7))}`;
export const WHSEC_OTHER = `whsec_${base64(new Uint8Array(32).fill(8))}`;
/** The third key of RFC 8032, section 7.1. */
export const SEED = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
export const POINT = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
export const WHSK = `whsk_${base64(fromHex(SEED) ?? new Uint8Array())}`;
export const WHPK = `whpk_${base64(fromHex(POINT) ?? new Uint8Array())}`;

export interface Case {
  readonly name: string;
  readonly settings: SchemeSettings;
  /** What signs, what accepts that, and another pair. */
  readonly signs: string;
  readonly accepts: string;
  readonly other: string;
  readonly draft: Draft;
  /** Headers whose every change is refused. */
  readonly signed: readonly string[];
  /** Headers that may be changed without that being noticed. */
  readonly unsigned: readonly string[];
  readonly bodySigned: boolean;
  /** Seconds; null: no time is judged. */
  readonly toleranceS: number | null;
  readonly key: RegExp | null;
}

function draftOf(body: string, id = "d-1", event: string | null = "order.made"): Draft {
  return { id, event, sentAt: NOW, body: utf8(body) };
}

const BODY = '{"id":"evt_1","type":"order.made","event_id":"Ev1","n":1}';

/** HMAC as a service of one's own might have it. */
export const HMAC: Extract<SchemeSettings, { scheme: "hmac" }> = {
  scheme: "hmac",
  hash: "SHA-512",
  header: "X-Acme-Signature",
  prefix: "v1=",
  encoding: "base64",
  signed: "{id}.{time}.{body}",
  secretEncoding: "text",
  time: { header: "X-Acme-Time", unit: "ms", toleranceS: 60 },
  id: { header: "X-Acme-Delivery" },
  event: { header: "X-Acme-Event" },
};

/** As Linear signs: the time stands in the body. */
export const LINEAR: Extract<SchemeSettings, { scheme: "hmac" }> = {
  scheme: "hmac",
  hash: "SHA-256",
  header: "Linear-Signature",
  prefix: "",
  encoding: "hex",
  signed: "{body}",
  secretEncoding: "text",
  time: { pointer: "/webhookTimestamp", unit: "ms", toleranceS: 60 },
  id: { header: "Linear-Delivery" },
  event: { pointer: "/type" },
};

const text = {
  signs: "a-secret-of-this-test",
  accepts: "a-secret-of-this-test",
  other: "another-secret-of-it",
};

export const CASES: readonly Case[] = [
  {
    name: "standard (v1)",
    settings: { scheme: "standard" },
    ...{ signs: WHSEC, accepts: WHSEC, other: WHSEC_OTHER },
    draft: draftOf(BODY),
    signed: ["webhook-id", "webhook-timestamp", "webhook-signature"],
    unsigned: [],
    bodySigned: true,
    toleranceS: 300,
    key: /^id:d-1$/,
  },
  {
    name: "standard (v1a)",
    settings: { scheme: "standard" },
    ...{ signs: WHSK, accepts: WHPK, other: WHSEC_OTHER },
    draft: draftOf(BODY),
    signed: ["webhook-id", "webhook-timestamp", "webhook-signature"],
    unsigned: [],
    bodySigned: true,
    toleranceS: 300,
    key: /^id:d-1$/,
  },
  {
    name: "github",
    settings: { scheme: "github" },
    ...text,
    draft: draftOf(BODY),
    signed: ["x-hub-signature-256"],
    unsigned: ["x-github-delivery", "x-github-event"],
    bodySigned: true,
    toleranceS: null,
    key: /^id:d-1$/,
  },
  {
    name: "stripe",
    settings: { scheme: "stripe" },
    ...{ signs: "whsec_of_this_test_1", accepts: "whsec_of_this_test_1", other: "whsec_of_this_test_2" },
    draft: draftOf(BODY),
    signed: ["stripe-signature"],
    unsigned: [],
    bodySigned: true,
    toleranceS: 300,
    key: /^id:evt_1$/,
  },
  {
    name: "slack",
    settings: { scheme: "slack" },
    ...text,
    draft: draftOf(BODY),
    signed: ["x-slack-signature", "x-slack-request-timestamp"],
    unsigned: [],
    bodySigned: true,
    toleranceS: 300,
    key: /^id:Ev1$/,
  },
  {
    name: "shopify",
    settings: { scheme: "shopify" },
    ...text,
    draft: draftOf(BODY),
    signed: ["x-shopify-hmac-sha256"],
    unsigned: ["x-shopify-webhook-id", "x-shopify-topic"],
    bodySigned: true,
    toleranceS: null,
    key: /^id:d-1$/,
  },
  {
    name: "hmac (all of it)",
    settings: HMAC,
    ...text,
    draft: draftOf(BODY),
    signed: ["x-acme-signature", "x-acme-time", "x-acme-delivery"],
    unsigned: ["x-acme-event"],
    bodySigned: true,
    toleranceS: 60,
    key: /^id:d-1$/,
  },
  {
    name: "hmac (as Linear)",
    settings: LINEAR,
    ...text,
    draft: draftOf(`{"type":"Issue","webhookTimestamp":${NOW}}`),
    signed: ["linear-signature"],
    unsigned: ["linear-delivery"],
    bodySigned: true,
    toleranceS: 60,
    key: /^id:d-1$/,
  },
  {
    name: "basic",
    settings: { scheme: "basic", id: null, event: { pointer: "/type" } },
    ...{ signs: "acme:a-password-of-it", accepts: "acme:a-password-of-it", other: "acme:another-password" },
    draft: draftOf(BODY),
    signed: ["authorization"],
    unsigned: [],
    bodySigned: false,
    toleranceS: null,
    key: null,
  },
  {
    name: "api_key",
    settings: { scheme: "api_key", header: "X-Api-Key", prefix: "", id: { pointer: "/id" }, event: null },
    ...text,
    draft: draftOf(BODY),
    signed: ["x-api-key"],
    unsigned: [],
    bodySigned: false,
    toleranceS: null,
    key: /^id:evt_1$/,
  },
];

export async function headersOf(one: Case, change: Partial<Draft> = {}): Promise<Record<string, string>> {
  return makeDelivery(one.settings, { ...one.draft, ...change }, one.signs);
}

/** The code of the refusal, or `ok`. */
export async function verdict(
  settings: SchemeSettings,
  arrival: Arrival,
  secrets: readonly string[],
  nowMs = NOW,
): Promise<string> {
  const verified = await verifyDelivery(
    settings,
    arrival,
    secrets.map((secret, i) => ({ id: `s${i}`, text: secret })),
    nowMs,
  );
  return verified.ok ? "ok" : verified.error;
}

/** The same text with one character changed, to one that may stand there; never only its case, which hexadecimal ignores. */
export function changed(original: string, at: number): string {
  const char = original[at] ?? "";
  const other = /\d/.test(char) ? (char === "1" ? "2" : "1") : char.toLowerCase() === "c" ? "d" : "c";
  return original.slice(0, at) + other + original.slice(at + 1);
}
