/** The schemes on the runtime of the Worker: its WebCrypto is another one than that of the other tests. */
import { describe, expect, it } from "vitest";
import { newStandardKey, publicTextOf, signMessage } from "../../src/triggers/index.ts";
import { arrivalOf, CASES, headersOf, NOW, utf8, verdict, WHPK, WHSK } from "../triggers/deliveries.ts";

describe.each(CASES)("in workerd, $name", (one) => {
  it("accepts what it made, and refuses another secret and another body", async () => {
    const { settings, accepts, other, draft, bodySigned } = one;
    const headers = await headersOf(one);
    expect(await verdict(settings, arrivalOf(headers, draft.body), [other, accepts])).toBe("ok");
    expect(await verdict(settings, arrivalOf(headers, draft.body), [other])).toMatch(/_wrong$/);
    if (bodySigned)
      expect(await verdict(settings, arrivalOf(headers, "{}"), [accepts])).toBe("signature_wrong");
  });
});

describe("in workerd, keys of Ed25519", () => {
  it("of RFC 8032 have the public key of the RFC, and sign the same bytes as elsewhere", async () => {
    expect(await publicTextOf(WHSK)).toBe(WHPK);
    // Section 7.1, test 3 signs two bytes; here it is a message of ours, signed in Node.
    const headers = await signMessage(
      { id: "msg_1", sentAt: NOW, body: utf8("{}") },
      [{ id: "k", madeAt: 0, until: null }],
      new Map([["k", WHSK]]),
    );
    expect(headers["webhook-signature"]).toBe(
      "v1a,+pSf32NvXRJsixjYmpQelcejI4g9z4e0MUfBGylih+YfovcThQxySf1byIQUFAvRQa0HK43Dp+A97Qgy9jkeBw==",
    );
  });

  it("that were just made sign what their public half accepts", async () => {
    const key = newStandardKey("ed25519");
    const headers = await signMessage(
      { id: "msg_1", sentAt: NOW, body: utf8("{}") },
      [{ id: "k", madeAt: 0, until: null }],
      new Map([["k", key]]),
    );
    const whpk = await publicTextOf(key);
    expect(await verdict({ scheme: "standard" }, arrivalOf(headers, "{}"), [whpk])).toBe("ok");
    expect(await verdict({ scheme: "standard" }, arrivalOf(headers, "{}"), [WHPK])).toBe("signature_wrong");
  });
});
