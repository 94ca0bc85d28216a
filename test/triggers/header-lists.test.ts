import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import type { SchemeSettings } from "../../src/triggers/schemes/scheme.ts";
import { makeDelivery, verifyDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf, NOW, utf8, verdict, WHPK, WHSEC, WHSEC_OTHER, WHSK } from "./deliveries.ts";

const STANDARD: SchemeSettings = { scheme: "standard" };
const STRIPE: SchemeSettings = { scheme: "stripe" };
const DRAFT = { id: "m-1", event: null, sentAt: NOW, body: utf8("{}") };
/** Nobody's signature, of the right form. */
const STRANGE = Buffer.alloc(32, 1).toString("base64");

async function signatureOf(key: string): Promise<string> {
  return (await makeDelivery(STANDARD, DRAFT, key))["webhook-signature"] ?? "";
}

function standardArrival(signature: string, change: Readonly<Record<string, string>> = {}) {
  const time = String(NOW / 1_000);
  return arrivalOf(
    { "webhook-id": "m-1", "webhook-timestamp": time, "webhook-signature": signature, ...change },
    "{}",
  );
}

describe("several signatures of Standard Webhooks", () => {
  it("are accepted in any order, beside those of strangers and of versions that are not known", async () => {
    const right = [await signatureOf(WHSEC), await signatureOf(WHSK)];
    const others = [`v1,${STRANGE}`, `v1a,${STRANGE}${STRANGE}`, "v2,xyz", "v1,%%", "nonsense"];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...right),
        fc.shuffledSubarray(others),
        fc.nat({ max: 5 }),
        async (mine, rest, place) => {
          const all = [...rest.slice(0, place), mine, ...rest.slice(place)];
          const secrets = [WHSEC_OTHER, WHSEC, WHPK];
          expect(await verdict(STANDARD, standardArrival(all.join(" ")), secrets)).toBe("ok");
          expect(await verdict(STANDARD, standardArrival(rest.join(" ")), secrets)).not.toBe("ok");
        },
      ),
      { numRuns: 30 },
    );
  });

  it("tell which secret it was, whichever place it has", async () => {
    const header = `${await signatureOf(WHSK)} ${await signatureOf(WHSEC)}`;
    for (const texts of [
      [WHSEC, WHPK],
      [WHPK, WHSEC],
    ]) {
      const secrets = texts.map((text) => ({ id: text === WHPK ? "open" : "shared", text }));
      const verified = await verifyDelivery(STANDARD, standardArrival(header), secrets, NOW);
      expect(verified).toMatchObject({ ok: true, value: { secret: "shared" } });
    }
  });

  it("are not accepted under the other version", async () => {
    const [shared, open] = [await signatureOf(WHSEC), await signatureOf(WHSK)];
    const swapped = `${shared.replace("v1,", "v1a,")} ${open.replace("v1a,", "v1,")}`;
    expect(await verdict(STANDARD, standardArrival(swapped), [WHSEC, WHPK])).toBe("signature_wrong");
  });

  it("are refused unread where they are too many", async () => {
    const header = `${`v1,${STRANGE} `.repeat(16)}${await signatureOf(WHSEC)}`;
    expect(await verdict(STANDARD, standardArrival(header), [WHSEC])).toBe("signature_malformed");
    const fewer = `${`v1,${STRANGE} `.repeat(15)}${await signatureOf(WHSEC)}`;
    expect(await verdict(STANDARD, standardArrival(fewer), [WHSEC])).toBe("ok");
    // Those of public keys cost a pass over the body each.
    const open = await signatureOf(WHSK);
    const odd = `v1a,${btoa("x".repeat(64))} `;
    expect(await verdict(STANDARD, standardArrival(odd.repeat(4) + open), [WHPK])).toBe(
      "signature_malformed",
    );
    expect(await verdict(STANDARD, standardArrival(odd.repeat(3) + open), [WHPK])).toBe("ok");
    expect(await verdict(STANDARD, standardArrival(`${"v1a,AAAA ".repeat(15)}${open}`), [WHPK])).toBe("ok");
  });
});

describe("the headers of Standard Webhooks", () => {
  it("may be those of Svix, and are never of both families", async () => {
    const made = await makeDelivery(STANDARD, DRAFT, WHSEC);
    const svix = Object.fromEntries(
      Object.entries(made).map(([name, value]) => [name.replace("webhook-", "svix-"), value]),
    );
    expect(await verdict(STANDARD, arrivalOf(svix, "{}"), [WHSEC])).toBe("ok");
    const { "svix-id": id = "", ...rest } = svix;
    expect(await verdict(STANDARD, arrivalOf({ ...rest, "webhook-id": id }, "{}"), [WHSEC])).toBe(
      "id_missing",
    );
  });

  test.each([
    ["an id with a full stop", { "webhook-id": "m.1" }, "id_malformed"],
    ["an id of two words", { "webhook-id": "m 1" }, "id_malformed"],
    ["an id of 256 characters", { "webhook-id": "m".repeat(256) }, "id_malformed"],
    ["a time that is no number", { "webhook-timestamp": "now" }, "time_malformed"],
    ["a negative time", { "webhook-timestamp": "-1" }, "time_malformed"],
    ["a time with a fraction", { "webhook-timestamp": "1.5" }, "time_malformed"],
    ["no signature of a known version", { "webhook-signature": "v9,abc" }, "signature_malformed"],
    ["an empty signature", { "webhook-signature": "" }, "signature_malformed"],
  ])("are refused with %s", async (_, change, code) => {
    expect(await verdict(STANDARD, standardArrival(await signatureOf(WHSEC), change), [WHSEC])).toBe(code);
  });

  it("cannot be cut at another place of the signed text", async () => {
    // Signed is `m-1.<time>.<body>`; with a body that begins like a time, the same text would be another delivery.
    const time = String(NOW / 1_000);
    const draft = { ...DRAFT, body: utf8(`${time}.{}`) };
    const made = await makeDelivery(STANDARD, draft, WHSEC);
    const shifted = { ...made, "webhook-id": `m-1.${time}`, "webhook-timestamp": time };
    expect(await verdict(STANDARD, arrivalOf(shifted, "{}"), [WHSEC])).toBe("id_malformed");
  });
});

describe("the header of Stripe", () => {
  const time = NOW / 1_000;
  const secret = "whsec_of_this_test_1";
  const right = async (): Promise<string> => {
    const made = await makeDelivery(STRIPE, DRAFT, secret);
    return (made["stripe-signature"] ?? "").split(",v1=")[1] ?? "";
  };
  const codeOf = (header: string) =>
    verdict(STRIPE, arrivalOf({ "stripe-signature": header }, "{}"), [secret]);

  it("may hold several signatures in any order, and v0, which counts for nothing", async () => {
    const [mine, strange] = [await right(), "0".repeat(64)];
    for (const header of [
      `t=${time},v1=${mine},v1=${strange}`,
      `t=${time},v1=${strange},v0=${strange},v1=${mine}`,
      `v1=${mine},t=${time}`,
      `v1=zz,v1=${mine}, t=${time}`,
    ])
      expect({ header, code: await codeOf(header) }).toEqual({ header, code: "ok" });
    expect(await codeOf(`t=${time},v0=${mine}`)).toBe("signature_missing");
  });

  it("holds one time, and at most 16 signatures", async () => {
    const mine = await right();
    expect(await codeOf(`t=${time},t=${time},v1=${mine}`)).toBe("time_malformed");
    expect(await codeOf(`v1=${mine}`)).toBe("time_missing");
    expect(await codeOf(`t=1e9,v1=${mine}`)).toBe("time_malformed");
    expect(await codeOf(`t=${time},v1=zz`)).toBe("signature_malformed");
    expect(await codeOf(`t=${time}${`,v1=${mine}`.repeat(17)}`)).toBe("signature_malformed");
  });
});

it("a delivery of another prefix or in pieces is malformed", async () => {
  const github = (header: string) =>
    verdict(
      { scheme: "github" },
      arrivalOf({ "x-hub-signature-256": header, "x-github-delivery": "g" }, "{}"),
      [WHSEC],
    );
  expect(await github("sha1=00")).toBe("signature_malformed");
  expect(await github("sha256=xyz")).toBe("signature_malformed");
  expect(await github("sha256=")).toBe("signature_wrong");
  // The platform joins headers that were sent twice.
  expect(await github(`sha256=${"0".repeat(64)}, sha256=${"0".repeat(64)}`)).toBe("signature_malformed");
});

it("the headers of Shopify's newer events have no X-, and are never of both families", async () => {
  const settings: SchemeSettings = { scheme: "shopify" };
  const made = await makeDelivery(settings, DRAFT, WHSEC);
  const newer = Object.fromEntries(
    Object.entries(made).map(([name, value]) => [name.replace("x-shopify-", "shopify-"), value]),
  );
  expect(await verdict(settings, arrivalOf(newer, "{}"), [WHSEC])).toBe("ok");
  const { "shopify-webhook-id": id = "", ...rest } = newer;
  const mixed = arrivalOf({ ...rest, "x-shopify-webhook-id": id }, "{}");
  expect(await verdict(settings, mixed, [WHSEC])).toBe("id_missing");
});
