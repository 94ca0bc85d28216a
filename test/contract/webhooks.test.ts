/** The vendors' own packages as senders and as receivers. */
import { sign as githubSigns, verify as githubVerifies } from "@octokit/webhooks-methods";
import { isValidSlackRequest } from "@slack/bolt";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { signMessage } from "../../src/triggers/outgoing/signing.ts";
import type { SchemeSettings } from "../../src/triggers/schemes/scheme.ts";
import { makeDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf, utf8, verdict, WHSEC, WHSEC_OTHER } from "../triggers/deliveries.ts";

/** Their packages ask the clock themselves. */
const now = () => Date.now();
const SECRET = "a-secret-of-this-test";
const STRIPE_SECRET = "whsec_of_this_test_1";

/** Bodies as services send them: JSON, with whatever in its texts. */
const body = fc.json().map((text) => `{"id":"evt_1","object":"event","v":${text}}`);
const id = fc.stringMatching(/^[\w-]{1,40}$/);
const runs = { numRuns: 50 };

async function made(settings: SchemeSettings, secret: string, text: string, name = "d-1") {
  return makeDelivery(settings, { id: name, event: null, sentAt: now(), body: utf8(text) }, secret);
}

describe("standardwebhooks", () => {
  const settings: SchemeSettings = { scheme: "standard" };

  it("signs what we accept", async () => {
    await fc.assert(
      fc.asyncProperty(id, body, async (name, text) => {
        const at = new Date();
        const headers = {
          "webhook-id": name,
          "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
          "webhook-signature": new Webhook(WHSEC).sign(name, at, text),
        };
        expect(await verdict(settings, arrivalOf(headers, text), [WHSEC_OTHER, WHSEC], now())).toBe("ok");
        expect(await verdict(settings, arrivalOf(headers, `${text} `), [WHSEC], now())).toBe(
          "signature_wrong",
        );
      }),
      runs,
    );
  });

  it("accepts what we sign, also while keys change, and not what was altered", async () => {
    await fc.assert(
      fc.asyncProperty(id, body, async (name, text) => {
        const keys = [
          { id: "new", madeAt: 2, until: null },
          { id: "old", madeAt: 1, until: now() + 60_000 },
        ];
        const texts = new Map([
          ["new", WHSEC],
          ["old", WHSEC_OTHER],
        ]);
        const headers = await signMessage({ id: name, sentAt: now(), body: utf8(text) }, keys, texts);
        expect(new Webhook(WHSEC).verify(text, headers)).toEqual(JSON.parse(text));
        expect(new Webhook(WHSEC_OTHER).verify(text, headers)).toEqual(JSON.parse(text));
        expect(() => new Webhook(WHSEC).verify(`${text} `, headers)).toThrow("No matching signature");
      }),
      runs,
    );
  });
});

describe("@octokit/webhooks-methods", () => {
  const settings: SchemeSettings = { scheme: "github" };

  it("signs what we accept, and accepts what we sign", async () => {
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        const headers = {
          "x-github-delivery": "g-1",
          "x-hub-signature-256": await githubSigns(SECRET, text),
        };
        expect(await verdict(settings, arrivalOf(headers, text), [SECRET])).toBe("ok");
        expect(await verdict(settings, arrivalOf(headers, `${text} `), [SECRET])).toBe("signature_wrong");
        const ours = (await made(settings, SECRET, text))["x-hub-signature-256"] ?? "";
        expect(await githubVerifies(SECRET, text, ours)).toBe(true);
        expect(await githubVerifies(SECRET, `${text} `, ours)).toBe(false);
      }),
      runs,
    );
  });
});

describe("stripe", () => {
  const settings: SchemeSettings = { scheme: "stripe" };
  const { webhooks } = new Stripe("sk_test_of_nobody");

  it("signs what we accept, and accepts what we sign", async () => {
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        const header = webhooks.generateTestHeaderString({ payload: text, secret: STRIPE_SECRET });
        const arrival = arrivalOf({ "stripe-signature": header }, text);
        expect(await verdict(settings, arrival, [STRIPE_SECRET], now())).toBe("ok");
        expect(await verdict(settings, arrival, ["whsec_of_this_test_2"], now())).toBe("signature_wrong");
        const ours = (await made(settings, STRIPE_SECRET, text))["stripe-signature"] ?? "";
        expect(webhooks.constructEvent(text, ours, STRIPE_SECRET)).toMatchObject({ id: "evt_1" });
        expect(() => webhooks.constructEvent(`${text} `, ours, STRIPE_SECRET)).toThrow("No signatures found");
      }),
      runs,
    );
  });

  it("and we agree on which times are too old", async () => {
    const text = '{"id":"evt_1","object":"event"}';
    const at = Math.floor(now() / 1_000);
    const theirs = (age: number) =>
      webhooks.generateTestHeaderString({ payload: text, secret: STRIPE_SECRET, timestamp: at - age });
    for (const [age, code] of [
      [290, "ok"],
      [310, "time_outside"],
    ] as const) {
      const arrival = arrivalOf({ "stripe-signature": theirs(age) }, text);
      expect(await verdict(settings, arrival, [STRIPE_SECRET], at * 1_000)).toBe(code);
      const read = () => webhooks.constructEvent(text, theirs(age), STRIPE_SECRET);
      if (code === "ok") expect(read()).toMatchObject({ id: "evt_1" });
      else expect(read).toThrow("Timestamp outside the tolerance zone");
    }
  });
});

describe("@slack/bolt, which has no signer for events", () => {
  const settings: SchemeSettings = { scheme: "slack" };

  it("accepts what we sign, and not what was altered, late, or of another secret", async () => {
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        const ours = await made(settings, SECRET, text);
        const headers = {
          "x-slack-signature": ours["x-slack-signature"] ?? "",
          "x-slack-request-timestamp": Number(ours["x-slack-request-timestamp"]),
        };
        const request = { signingSecret: SECRET, body: text, headers };
        expect(isValidSlackRequest(request)).toBe(true);
        expect(isValidSlackRequest({ ...request, body: `${text} ` })).toBe(false);
        expect(isValidSlackRequest({ ...request, signingSecret: "another-secret-of-it" })).toBe(false);
        expect(isValidSlackRequest({ ...request, nowMilliseconds: now() + 301_000 })).toBe(false);
      }),
      runs,
    );
  });
});
