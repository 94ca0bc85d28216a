import { describe, expect, it } from "vitest";
import type { SchemeSettings } from "../../src/triggers/schemes/scheme.ts";
import { newStandardKey, publicTextOf } from "../../src/triggers/schemes/standard-keys.ts";
import { makeDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf, POINT, SEED, utf8, verdict, WHPK, WHSK } from "./deliveries.ts";

const SLACK_BODY = [
  "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar",
  "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=",
  "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN",
  "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
].join("");

interface Vector {
  readonly of: string;
  readonly settings: SchemeSettings;
  readonly secret: string;
  readonly body: string;
  readonly id: string;
  /** Seconds. */
  readonly time: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** From the vendors' documentation, but for Stripe's, which has none: that one was computed apart. */
const VECTORS: readonly Vector[] = [
  {
    of: "GitHub",
    settings: { scheme: "github" },
    secret: "It's a Secret to Everybody",
    body: "Hello, World!",
    id: "g-1",
    time: 0,
    headers: {
      "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
      "x-github-delivery": "g-1",
    },
  },
  {
    of: "Slack",
    settings: { scheme: "slack" },
    secret: "8f742231b10e8888abcd99yyyzzz85a5",
    body: SLACK_BODY,
    id: "-",
    time: 1531420618,
    headers: {
      "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
      "x-slack-request-timestamp": "1531420618",
    },
  },
  {
    of: "Standard Webhooks",
    settings: { scheme: "standard" },
    secret: ["whsec", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"].join("_"),
    body: '{"test": 2432232314}',
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    time: 1614265330,
    headers: {
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
  },
  {
    of: "Stripe",
    settings: { scheme: "stripe" },
    secret: "whsec_test_secret",
    body: '{"id":"evt_1"}',
    id: "-",
    time: 1492774577,
    headers: {
      "stripe-signature": "t=1492774577,v1=799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f",
    },
  },
];

describe.each(VECTORS)("the vector of $of", ({ settings, secret, body, id, time, headers }) => {
  it("is accepted", async () => {
    const arrival = arrivalOf(
      { ...headers, ...(body === SLACK_BODY ? { "content-type": "application/x-www-form-urlencoded" } : {}) },
      body,
    );
    expect(await verdict(settings, arrival, [secret], time * 1_000)).toBe("ok");
  });

  it("is what is made", async () => {
    const draft = { id, event: null, sentAt: time * 1_000 + 999, body: utf8(body) };
    expect(await makeDelivery(settings, draft, secret)).toMatchObject(headers);
  });
});

it("RFC 8032's third key signs and is accepted as `v1a`, its public key is the one of the RFC", async () => {
  expect(await publicTextOf(WHSK)).toBe(WHPK);
  // With the public key behind the seed, as NaCl writes private keys, it is the same key.
  const long = `whsk_${Buffer.from(SEED + POINT, "hex").toString("base64")}`;
  expect(await publicTextOf(long)).toBe(WHPK);
  const draft = { id: "m1", event: null, sentAt: 1_000, body: utf8("{}") };
  const made = await makeDelivery({ scheme: "standard" }, draft, long);
  expect(await verdict({ scheme: "standard" }, arrivalOf(made, "{}"), [WHPK], 1_000)).toBe("ok");
  expect(newStandardKey("ed25519")).toMatch(/^whsk_[\w+/]{43}=$/);
  expect(newStandardKey("hmac")).toMatch(/^whsec_[\w+/]{43}=$/);
});
