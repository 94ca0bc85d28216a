/** Deliveries as services make them, with their signatures. For trying a hook by hand: written from the services' documents, not from our own schemes. */
import { createHmac } from "node:crypto";

export const SERVICES = ["github", "stripe", "slack", "shopify", "standard"] as const;
export type Service = (typeof SERVICES)[number];

/** What of a delivery stands in its body, where the service puts it there and no header has it. */
export const IN_BODY: Readonly<Record<Service, Readonly<Partial<Record<"id" | "event", string>>>>> = {
  github: {},
  shopify: {},
  stripe: { id: "id", event: "type" },
  slack: { id: "event_id", event: "event.type" },
  standard: { event: "type" },
};

export interface Unsigned {
  /** Of the delivery; not used where it stands in the body, and likewise the event. */
  readonly id: string;
  readonly event: string;
  readonly body: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The headers that make a body a delivery of the service. Throws a TypeError for a secret that is none of Standard Webhooks. */
export function signedHeaders(
  service: Service,
  secret: string,
  { id, event, body, now }: Unsigned,
): Readonly<Record<string, string>> {
  const time = String(Math.floor(now / 1_000));
  const mac = (text: string, encoding: "hex" | "base64", key: string | Buffer = secret): string =>
    createHmac("sha256", key).update(text).digest(encoding);
  switch (service) {
    case "github":
      return {
        "x-github-event": event,
        "x-github-delivery": id,
        "x-hub-signature-256": `sha256=${mac(body, "hex")}`,
      };
    case "stripe":
      return { "stripe-signature": `t=${time},v1=${mac(`${time}.${body}`, "hex")}` };
    case "slack":
      return {
        "x-slack-request-timestamp": time,
        "x-slack-signature": `v0=${mac(`v0:${time}:${body}`, "hex")}`,
      };
    case "shopify":
      return {
        "x-shopify-topic": event,
        "x-shopify-webhook-id": id,
        "x-shopify-hmac-sha256": mac(body, "base64"),
      };
    case "standard":
      return {
        "webhook-id": id,
        "webhook-timestamp": time,
        "webhook-signature": `v1,${mac(`${id}.${time}.${body}`, "base64", standardKey(secret))}`,
      };
  }
}

function standardKey(secret: string): Buffer {
  if (!secret.startsWith("whsec_")) throw new TypeError("A secret of Standard Webhooks begins with whsec_.");
  return Buffer.from(secret.slice("whsec_".length), "base64");
}

export function isService(text: string): text is Service {
  return (SERVICES as readonly string[]).includes(text);
}
