import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import type { SchemeSettings } from "../../src/triggers/schemes/scheme.ts";
import { makeDelivery, secretFlaw, settingsFlaw, verifyDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf, CASES, HMAC, LINEAR, NOW, utf8, verdict, WHPK, WHSEC, WHSK } from "./deliveries.ts";

const SECRET = "a-secret-of-this-test";

describe("settings of HMAC", () => {
  it("of the table have no flaw", () => {
    for (const { settings } of CASES) expect(settingsFlaw(settings)).toBeNull();
  });

  test.each([
    ["a header that is none", { header: "x y" }, "header"],
    ["a prefix with a space in it", { prefix: "HMAC " }, "prefix"],
    ["what is signed without the body", { signed: "{id}.{time}" }, "signed"],
    ["a body that is not last", { signed: "{id}.{body}.{time}" }, "signed"],
    ["an id and a time with nothing between", { signed: "{id}{time}.{body}" }, "signed"],
    ["a time with nothing behind", { signed: "{id}.{time}{body}" }, "signed"],
    ["a digit behind a time", { signed: "{id}.{time}0{body}" }, "signed"],
    ["the same value twice", { signed: "{id}.{id}.{body}" }, "signed"],
    ["a value that is not known", { signed: "{url}.{body}" }, "signed"],
    ["a time in a header that is not signed", { signed: "{id}.{body}" }, "time"],
    ["a signed time that stands nowhere", { time: null }, "time"],
    ["a signed time in the body", { time: { ...HMAC.time, header: undefined, pointer: "/t" } }, "time"],
    ["no tolerance", { time: { header: "t", unit: "s", toleranceS: 0 } }, "time"],
    ["a tolerance of more than a day", { time: { header: "t", unit: "s", toleranceS: 86_401 } }, "time"],
    ["a signed id in the body", { id: { pointer: "/id" } }, "id"],
    ["a signed id that stands nowhere", { id: null }, "id"],
    ["an id at no pointer", { signed: "{time}.{body}", id: { pointer: "id" } }, "id"],
    ["an event in a header that is none", { event: { header: "" } }, "event"],
  ])("are refused with %s", (_, change, at) => {
    const settings = Object.fromEntries(
      Object.entries({ ...HMAC, ...change }).map(([key, value]) => [
        key,
        key === "time" && value !== null ? JSON.parse(JSON.stringify(value)) : value,
      ]),
    ) as unknown as SchemeSettings;
    expect(settingsFlaw(settings)?.at).toBe(at);
  });

  it("of an API key have a header", () => {
    const settings = { scheme: "api_key", header: ":", prefix: "", id: null, event: null } as const;
    expect(settingsFlaw(settings)?.at).toBe("header");
    expect(settingsFlaw({ ...settings, header: "x-key", prefix: "\n" })?.at).toBe("prefix");
    expect(settingsFlaw({ ...settings, header: "x-key", id: { header: " " } })?.at).toBe("id");
  });
});

describe("places of id and event", () => {
  const PLACES = { id: null, event: null } as const;
  test.each<[string, SchemeSettings, string]>([
    ["basic", { scheme: "basic", ...PLACES, event: { header: "Authorization" } }, "event"],
    [
      "an API key's own header",
      { scheme: "api_key", header: "X-Door", prefix: "", ...PLACES, id: { header: "x-door" } },
      "id",
    ],
    ["the signature's", { ...HMAC, event: { header: HMAC.header.toUpperCase() } }, "event"],
    ["another scheme's", { ...HMAC, event: { header: "x-hub-signature-256" } }, "event"],
    ["a cookie", { scheme: "basic", ...PLACES, event: { header: "cookie" } }, "event"],
  ])("are no header that proves who sends, for they stand in the log: %s", (_, settings, at) => {
    expect(settingsFlaw(settings)?.at).toBe(at);
  });
});

describe("what is signed under HMAC", () => {
  it("can be cut in one way only, whatever stands in the id and between the values", async () => {
    const char = fc.constantFrom("-", "a", "1");
    const word = fc.array(char, { minLength: 1, maxLength: 4 }).map((all) => all.join(""));
    await fc.assert(
      fc.asyncProperty(word, word, word, fc.nat({ max: 6 }), async (separator, id, body, cut) => {
        const settings = { ...HMAC, signed: `{id}${separator}{body}`, time: null };
        if (settingsFlaw(settings) !== null) return;
        const made = await makeDelivery(
          settings,
          { id, event: null, sentAt: NOW, body: utf8(body) },
          SECRET,
        ).catch(() => null);
        if (made === null) return;
        // Every other cut of the signed text that has the separator at its place.
        const whole = id + separator + body;
        if (cut === id.length || !whole.startsWith(separator, cut) || cut === 0) return;
        const shifted = arrivalOf(
          { ...made, "x-acme-delivery": whole.slice(0, cut) },
          whole.slice(cut + separator.length),
        );
        expect(await verdict(settings, shifted, [SECRET])).toBe("id_malformed");
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["text", "a-key-of-16-chars"],
    ["hex", "00ff00ff00ff00ff00ff00ff00ff00ff"],
    ["base64", "AP8A/wD/AP8A/wD/AP8A/w=="],
  ] as const)("has a key that is written as %s", async (secretEncoding, secret) => {
    const settings = { ...LINEAR, time: null, secretEncoding };
    const draft = { id: "d", event: null, sentAt: NOW, body: utf8("{}") };
    const made = await makeDelivery(settings, draft, secret);
    expect(secretFlaw(settings, secret)).toBeNull();
    expect(await verdict(settings, arrivalOf(made, "{}"), [secret])).toBe("ok");
    const key = secretEncoding === "text" ? Buffer.from(secret) : Buffer.from(secret, secretEncoding);
    const { createHmac } = await import("node:crypto");
    expect(made["linear-signature"]).toBe(createHmac("sha256", key).update("{}").digest("hex"));
  });

  it("has a time in the body only once it is known to be the sender's", async () => {
    const stale = utf8(`{"webhookTimestamp":${NOW - 61_000}}`);
    const made = await makeDelivery(LINEAR, { id: "d", event: null, sentAt: NOW, body: stale }, SECRET);
    expect(await verdict(LINEAR, arrivalOf(made, stale), [SECRET])).toBe("time_outside");
    expect(await verdict(LINEAR, arrivalOf(made, stale), ["another-secret-of-it"])).toBe("signature_wrong");
    const without = await makeDelivery(
      LINEAR,
      { id: "d", event: null, sentAt: NOW, body: utf8("[]") },
      SECRET,
    );
    expect(await verdict(LINEAR, arrivalOf(without, "[]"), [SECRET])).toBe("time_missing");
  });
});

describe("a secret", () => {
  test.each([
    ["standard", "whsec_c2hvcnQ="],
    ["standard", WHSK],
    ["standard", "a-secret-of-this-test"],
    ["stripe", "a-secret-of-this-test"],
    ["stripe", "whsec_short"],
    ["github", "short"],
    ["slack", ""],
    ["shopify", " a-secret-of-this-test"],
    ["shopify", "a-secret\nof-this-test"],
  ] as const)("of %s is not %j, and the complaint does not quote it", (scheme, secret) => {
    const flaw = secretFlaw({ scheme }, secret);
    expect(flaw).not.toBeNull();
    if (secret !== "") expect(flaw).not.toContain(secret);
  });

  it("of Standard Webhooks is a shared one or a public key", () => {
    expect(secretFlaw({ scheme: "standard" }, WHSEC)).toBeNull();
    expect(secretFlaw({ scheme: "standard" }, WHPK)).toBeNull();
  });

  it("of basic authentication is a user and a password that is long enough", () => {
    const settings = { scheme: "basic", id: null, event: null } as const;
    expect(secretFlaw(settings, "acme:a-password-of-it")).toBeNull();
    expect(secretFlaw(settings, "a-password-without-user")).not.toBeNull();
    expect(secretFlaw(settings, "a-user-that-is-long:short")).not.toBeNull();
  });

  it("that is none of the scheme proves nothing, and does not stop the others", async () => {
    const settings: SchemeSettings = { scheme: "standard" };
    const draft = { id: "d", event: null, sentAt: NOW, body: utf8("{}") };
    const made = await makeDelivery(settings, draft, WHSEC);
    expect(await verdict(settings, arrivalOf(made, "{}"), ["", "nonsense", WHSK, WHSEC])).toBe("ok");
    expect(await verdict(settings, arrivalOf(made, "{}"), ["", "nonsense", WHSK])).toBe("signature_wrong");
  });
});

describe("the body", () => {
  const settings: SchemeSettings = { scheme: "slack" };
  const payloadOf = async (body: string | Uint8Array, type = "application/json") => {
    const bytes = typeof body === "string" ? utf8(body) : body;
    const made = await makeDelivery(settings, { id: "-", event: null, sentAt: NOW, body: bytes }, SECRET);
    const arrival = arrivalOf({ ...made, "content-type": type }, bytes);
    return verifyDelivery(settings, arrival, [{ id: "s", text: SECRET }], NOW);
  };
  const FORM = "application/x-www-form-urlencoded; charset=utf-8";

  it("is read as JSON, as a form, or as text", async () => {
    expect(await payloadOf('{"a":[1]}')).toMatchObject({ value: { payload: { a: [1] } } });
    expect(await payloadOf("a=1&b=2&b=3", FORM)).toMatchObject({
      value: { payload: { a: "1", b: ["2", "3"] } },
    });
    expect(await payloadOf("<a/>", "text/xml")).toMatchObject({ value: { payload: "<a/>" } });
    expect(await payloadOf("")).toMatchObject({ value: { payload: null } });
    expect(await payloadOf("payload=%7B%22type%22%3A%22block_actions%22%7D", FORM)).toMatchObject({
      value: { event: "block_actions", payload: { payload: { type: "block_actions" } } },
    });
  });

  it("is refused where it is no text, or nested too deeply to be worked with", async () => {
    expect(await payloadOf(Uint8Array.of(0xff))).toEqual({ ok: false, error: "body_unreadable" });
    const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
    expect(await payloadOf(deep(100))).toMatchObject({ ok: true });
    expect(await payloadOf(deep(100_000))).toEqual({ ok: false, error: "body_unreadable" });
  });

  it("of a prototype shows nothing", async () => {
    const body = '{"__proto__":{"event_id":"x"},"constructor":"y"}';
    expect(await payloadOf(body)).toMatchObject({ value: { id: null, event: null } });
  });
});

describe("handshakes", () => {
  it("of Slack are answered once they are proved to be Slack's", async () => {
    const settings: SchemeSettings = { scheme: "slack" };
    const body = utf8('{"type":"url_verification","challenge":"c-1"}');
    const made = await makeDelivery(settings, { id: "-", event: null, sentAt: NOW, body }, SECRET);
    const arrival = arrivalOf(made, body);
    const verified = await verifyDelivery(settings, arrival, [{ id: "s", text: SECRET }], NOW);
    expect(verified).toMatchObject({
      value: { handshake: { status: 200, contentType: "text/plain", body: "c-1" } },
    });
    expect(await verdict(settings, arrival, ["another-secret-of-it"])).toBe("signature_wrong");
  });

  it("of Slack's commands are answered, where a form asks for it", async () => {
    const settings: SchemeSettings = { scheme: "slack" };
    const body = utf8("token=t&ssl_check=1");
    const made = await makeDelivery(settings, { id: "-", event: null, sentAt: NOW, body }, SECRET);
    const form = { ...made, "content-type": "application/x-www-form-urlencoded" };
    const asked = async (headers: Readonly<Record<string, string>>) =>
      verifyDelivery(settings, arrivalOf(headers, body), [{ id: "s", text: SECRET }], NOW);
    expect(await asked(form)).toMatchObject({ value: { handshake: { status: 200, body: "" } } });
    // Anything else that says so is no such question.
    expect(await asked(made)).toMatchObject({ ok: true, value: { handshake: null } });
  });

  it("of GitHub is its ping", async () => {
    const settings: SchemeSettings = { scheme: "github" };
    const body = utf8('{"zen":"z"}');
    const made = await makeDelivery(settings, { id: "g", event: "ping", sentAt: NOW, body }, SECRET);
    const verified = await verifyDelivery(settings, arrivalOf(made, body), [{ id: "s", text: SECRET }], NOW);
    expect(verified).toMatchObject({ value: { event: "ping", handshake: { status: 200 } } });
  });
});

describe("what tells a delivery from others", () => {
  const keyOf = async (settings: SchemeSettings, body: string, sentAt = NOW, id = "d-1") => {
    const made = await makeDelivery(settings, { id, event: null, sentAt, body: utf8(body) }, SECRET);
    const verified = await verifyDelivery(settings, arrivalOf(made, body), [{ id: "s", text: SECRET }], NOW);
    return verified.ok ? verified.value.key : verified.error;
  };

  it("is its id alone, whatever the body is", async () => {
    expect(await keyOf({ scheme: "github" }, "{}")).toBe("id:d-1");
    expect(await keyOf({ scheme: "github" }, "[]")).toBe("id:d-1");
    expect(await keyOf({ scheme: "github" }, "{}", NOW, "d-2")).toBe("id:d-2");
  });

  it("is the signed time and the body where there is no id", async () => {
    const slack: SchemeSettings = { scheme: "slack" };
    const one = await keyOf(slack, '{"command":"/go"}');
    expect(one).toMatch(/^body:\d+:[\da-f]{64}$/);
    expect(await keyOf(slack, '{"command":"/go"}')).toBe(one);
    expect(await keyOf(slack, '{"command":"/go"}', NOW + 1_000)).not.toBe(one);
    expect(await keyOf(slack, '{"command":"/stop"}')).not.toBe(one);
    // An id cannot be made to look like it.
    expect(await keyOf({ scheme: "github" }, "{}", NOW, one ?? "")).toBe(`id:${one}`);
  });

  it("is demanded where the scheme or the tenant says that there is one", async () => {
    const arrival = arrivalOf({ "x-hub-signature-256": await signatureOfGithub("{}") }, "{}");
    expect(await verdict({ scheme: "github" }, arrival, [SECRET])).toBe("id_missing");
    expect(await keyOf({ ...LINEAR, time: null, id: { pointer: "/a/0/id" } }, '{"a":[{"id":7}]}')).toBe(
      "id:7",
    );
    expect(await keyOf({ ...LINEAR, time: null, id: { pointer: "/a/0/id" } }, '{"a":[]}')).toBe("id_missing");
    expect(await keyOf({ ...LINEAR, time: null, id: { pointer: "/a" } }, '{"a":{}}')).toBe("id_malformed");
  });
});

async function signatureOfGithub(body: string): Promise<string> {
  const draft = { id: "g", event: null, sentAt: NOW, body: utf8(body) };
  return (await makeDelivery({ scheme: "github" }, draft, SECRET))["x-hub-signature-256"] ?? "";
}
