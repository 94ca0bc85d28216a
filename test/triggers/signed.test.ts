import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SCHEME_NAMES } from "../../src/triggers/schemes/scheme.ts";
import { verifyDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf, CASES, changed, headersOf, NOW, verdict } from "./deliveries.ts";

it("every scheme has a row in the table of what is signed", () => {
  expect(new Set(CASES.map(({ settings }) => settings.scheme))).toEqual(new Set(SCHEME_NAMES));
});

describe.each(CASES)("$name", (one) => {
  const { settings, accepts, other, draft, signed, unsigned, bodySigned, toleranceS, key } = one;

  it("accepts what is made with the secret, and says which one it was", async () => {
    const arrival = arrivalOf(await headersOf(one), draft.body);
    const secrets = [other, accepts].map((text, i) => ({ id: `s${i}`, text }));
    const verified = await verifyDelivery(settings, arrival, secrets, NOW);
    expect(verified).toMatchObject({ ok: true, value: { secret: "s1" } });
    if (!verified.ok) return;
    if (key === null) expect(verified.value.key).toBeNull();
    else expect(verified.value.key).toMatch(key);
  });

  it("says that headers are signed or not as the table has it, and there are no others", async () => {
    const headers = await headersOf(one);
    const rest = Object.keys(headers).filter((name) => name !== "content-type");
    expect(rest.sort()).toEqual([...signed, ...unsigned].sort());
    for (const name of unsigned) {
      const value = changed(headers[name] ?? "", 0);
      expect(await verdict(settings, arrivalOf({ ...headers, [name]: value }, draft.body), [accepts])).toBe(
        "ok",
      );
    }
  });

  it("refuses every change of one character of a signed header, and its absence", async () => {
    const headers = await headersOf(one);
    for (const name of signed) {
      const value = headers[name] ?? "";
      for (let at = 0; at < value.length; at += 1) {
        const altered = changed(value, at);
        // Of the last characters of base64 some bits mean nothing: the same bytes are the same signature.
        if (altered === value || sameBytes(altered, value)) continue;
        const arrival = arrivalOf({ ...headers, [name]: altered }, draft.body);
        expect({ altered, code: await verdict(settings, arrival, [accepts]) }).not.toEqual({
          altered,
          code: "ok",
        });
      }
      const { [name]: _, ...without } = headers;
      expect(await verdict(settings, arrivalOf(without, draft.body), [accepts])).toMatch(/_missing$/);
    }
  });

  it(`${bodySigned ? "refuses" : "does not notice"} a change of any byte of the body`, async () => {
    const headers = await headersOf(one);
    for (let at = 0; at < draft.body.length; at += 1) {
      const body = draft.body.slice();
      // Another digit or letter, so that it stays JSON where it was.
      body[at] = (body[at] ?? 0) ^ 1;
      const code = await verdict(settings, arrivalOf(headers, body), [accepts]);
      if (bodySigned) expect(code).toBe("signature_wrong");
      else expect(code).not.toMatch(/wrong$/);
    }
  });

  it("refuses another secret, and none", async () => {
    const arrival = arrivalOf(await headersOf(one), draft.body);
    expect(await verdict(settings, arrival, [other])).toMatch(/_wrong$/);
    expect(await verdict(settings, arrival, [])).toMatch(/_wrong$/);
  });

  it("judges the signed time, both ways, where there is one", async () => {
    const arrival = arrivalOf(await headersOf(one), draft.body);
    const codeAt = (nowMs: number) => verdict(settings, arrival, [accepts], nowMs);
    const edge = (toleranceS ?? 0) * 1_000;
    expect(await codeAt(NOW + edge)).toBe("ok");
    expect(await codeAt(NOW - edge)).toBe("ok");
    const late = toleranceS === null ? "ok" : "time_outside";
    expect(await codeAt(NOW + edge + 1)).toBe(late);
    expect(await codeAt(NOW - edge - 1)).toBe(late);
    // What is not genuine is not said to be late.
    expect(await verdict(settings, arrival, [other], NOW + edge + 1)).toMatch(/_wrong$/);
  });

  it("accepts every body and refuses it with any byte changed, added or taken away", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 64 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (tail, place, mask) => {
          // As text, so that the body can be read.
          const body = Buffer.concat([
            Buffer.from(draft.body),
            Buffer.from(Buffer.from(tail).toString("hex")),
          ]);
          const plain = one.name === "hmac (as Linear)" ? Buffer.from(draft.body) : body;
          const headers = await headersOf(one, { body: new Uint8Array(plain) });
          const codeOf = (bytes: Uint8Array) => verdict(settings, arrivalOf(headers, bytes), [accepts]);
          // With a tail it is JSON no more: where the id stood in it, there is none.
          expect(await codeOf(new Uint8Array(plain))).toMatch(/^(?:ok|id_missing)$/);
          if (!bodySigned) return;
          const flipped = new Uint8Array(plain);
          const at = place % flipped.length;
          flipped[at] = (flipped[at] ?? 0) ^ mask;
          expect(await codeOf(flipped)).toBe("signature_wrong");
          expect(await codeOf(flipped.slice(0, -1))).toBe("signature_wrong");
          expect(await codeOf(new Uint8Array([...plain, mask]))).toBe("signature_wrong");
        },
      ),
      { numRuns: 40 },
    );
  });
});

function sameBytes(a: string, b: string): boolean {
  const bytes = (text: string) => {
    const [, encoded = ""] = /^(?:v1a?[,=]|Basic )?([\w+/]+=*)$/.exec(text) ?? [];
    return encoded === "" || /^[\da-f]+$/.test(encoded) ? null : Buffer.from(encoded, "base64");
  };
  const [left, right] = [bytes(a), bytes(b)];
  return left !== null && right !== null && a.length === b.length && left.equals(right);
}
