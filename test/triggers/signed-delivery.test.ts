/** What `npm run deliver` sends, against the schemes that take it: two hands wrote them. */
import { describe, expect, it } from "vitest";
import { SERVICES, signedHeaders } from "../../src/cli/signed-delivery.ts";
import { verifyDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf, NOW, WHSEC, WHSEC_OTHER } from "./deliveries.ts";

describe.each(SERVICES)("a delivery by hand, as of %s", (service) => {
  const body = '{"id":"evt_1","event_id":"Ev1","type":"push"}';
  const [secret, other] =
    service === "standard" ? [WHSEC, WHSEC_OTHER] : ["a-secret-of-this-test", "another-secret-of-it"];
  const verdict = async (signing: string, sent = body) => {
    const headers = signedHeaders(service, signing, { id: "d-1", event: "push", body, now: NOW });
    const scheme = { scheme: service } as const;
    const read = await verifyDelivery(scheme, arrivalOf(headers, sent), [{ id: "s", text: secret }], NOW);
    return read.ok ? [read.value.id, read.value.event] : read.error;
  };

  it("is taken, with its id and event, and not with another secret or body", async () => {
    const ids = { github: "d-1", shopify: "d-1", standard: "d-1", stripe: "evt_1", slack: "Ev1" };
    expect(await verdict(secret)).toEqual([ids[service], "push"]);
    expect(await verdict(other)).toBe("signature_wrong");
    expect(await verdict(secret, `${body} `)).toBe("signature_wrong");
  });
});
