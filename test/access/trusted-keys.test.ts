import { exportJWK, generateKeyPair, type JWK } from "jose";
import { beforeEach, describe, expect, test } from "vitest";
import { createKeySource } from "../../src/access/index.ts";
import { createLogger, type EgressRequest, type EgressResult } from "../../src/platform/index.ts";

const TRUSTED = { id: "iss_1", issuer: "https://issuer.example", jwksUrl: null };
const DISCOVERY = "https://issuer.example/.well-known/openid-configuration";
const KEYS = "https://keys.example/jwks";
const UNAVAILABLE = { ok: false, error: "unavailable" };
const UNKNOWN = { ok: false, error: "unknown_key" };

const asked: EgressRequest[] = [];
const answers = new Map<string, () => EgressResult | Promise<EgressResult>>();
const lines: string[] = [];
let now = 0;

const answered = (body: string, status = 200): EgressResult => ({
  ...{ kind: "answered", status, headers: {}, redirects: 0 },
  body: new TextEncoder().encode(body),
});
const failed = (code: "timeout" | "network" | "too_large"): EgressResult => ({
  ...{ kind: "failed", code, message: code, sent: true, answer: null },
});
const json = (value: unknown): EgressResult => answered(JSON.stringify(value));

function source() {
  return createKeySource({
    egress: async (request) => {
      asked.push(request);
      return (await answers.get(request.url)?.()) ?? failed("network");
    },
    log: createLogger("debug", (_, line) => lines.push(line)),
    now: () => now,
  });
}

async function jwk(alg: string, more: JWK = {}): Promise<JWK> {
  const { publicKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(publicKey)), kid: "k1", ...more };
}

const rsa = await jwk("RS256");
const p256 = await jwk("ES256");
const p384 = await jwk("ES384");
const okp = await jwk("EdDSA");

function publish(...keys: unknown[]): void {
  answers.set(DISCOVERY, () => json({ issuer: TRUSTED.issuer, jwks_uri: KEYS }));
  answers.set(KEYS, () => json({ keys }));
}

beforeEach(() => {
  now = 1_800_000_000_000;
  asked.length = 0;
  answers.clear();
});

describe("a key verifies only what it is for (X1)", () => {
  test.each<[string, string, JWK]>([
    ["RS256", "RSA", rsa],
    ["PS512", "RSA", rsa],
    ["ES256", "EC", p256],
    ["ES384", "EC", p384],
    ["EdDSA", "OKP", okp],
  ])("%s is checked with a key of the kind %s", async (alg, _, key) => {
    publish(key);
    expect(await source().keyFor(TRUSTED, { alg, kid: "k1" })).toMatchObject({ ok: true });
  });

  test.each<[string, string, JWK]>([
    ["an RSA token and an EC key", "RS256", p256],
    ["an EC token and an RSA key", "ES256", rsa],
    ["an EC token and a key on another curve", "ES256", p384],
    ["an EC token and an Edwards key", "ES256", okp],
    ["a key for encryption", "RS256", { ...rsa, use: "enc" }],
    ["a key for another algorithm", "RS256", { ...rsa, alg: "PS256" }],
    ["a key for encryption by its algorithm", "RS256", { ...rsa, alg: "RSA-OAEP" }],
    ["a symmetric key", "RS256", { kty: "oct", k: "c2VjcmV0", kid: "k1" }],
    ["an algorithm that is none", "none", rsa],
    ["an HMAC with a key of the kind oct", "HS256", { kty: "oct", k: "c2VjcmV0", kid: "k1" }],
    ["an algorithm called like a method", "constructor", rsa],
    ["a key whose private half is published", "RS256", { ...rsa, d: "AQAB" }],
    ["a key with a member that is no text", "RS256", { ...rsa, n: 7 } as unknown as JWK],
    ["a key with a modulus of a megabyte", "RS256", { ...rsa, n: "A".repeat(1_000_000) }],
    ["a key that cannot be read", "RS256", { kty: "RSA", kid: "k1", e: "AQAB" }],
    ["another kid", "RS256", { ...rsa, kid: "k2" }],
  ])("not %s", async (_, alg, key) => {
    publish(key);
    expect(await source().keyFor(TRUSTED, { alg, kid: "k1" })).toEqual(UNKNOWN);
  });

  test("without a kid there must be no choice; with one there must be one", async () => {
    publish(rsa, p256);
    const one = source();
    expect(await one.keyFor(TRUSTED, { alg: "RS256" })).toMatchObject({ ok: true });
    publish(p256, p384, okp);
    expect(await source().keyFor(TRUSTED, { alg: "ES256" })).toMatchObject({ ok: true });
    publish(rsa, { ...rsa, kid: "k2" });
    expect(await source().keyFor(TRUSTED, { alg: "RS256" })).toEqual(UNKNOWN);
    publish(rsa, rsa);
    expect(await source().keyFor(TRUSTED, { alg: "RS256", kid: "k1" })).toEqual(UNKNOWN);
  });

  test("only the first 100 keys count", async () => {
    publish(...Array.from({ length: 100 }, () => ({ ...rsa, kid: "other" })), rsa);
    expect(await source().keyFor(TRUSTED, { alg: "RS256", kid: "k1" })).toEqual(UNKNOWN);
  });
});

describe("an issuer's word", () => {
  const look = (one = source()) => one.keyFor(TRUSTED, { alg: "RS256", kid: "k1" });

  test("is asked without a redirect, for five seconds and a quarter of a mebibyte at most", async () => {
    publish(rsa);
    await look();
    expect(asked.map(({ url }) => url)).toEqual([DISCOVERY, KEYS]);
    for (const request of asked)
      expect(request).toMatchObject({ effect: "idempotent", timeoutMs: 5_000, maxResponseBytes: 262_144 });
  });

  test.each<[string, () => void]>([
    [
      "its discovery document is another issuer's",
      () => answers.set(DISCOVERY, () => json({ issuer: "https://evil.example", jwks_uri: KEYS })),
    ],
    [
      "its name has a slash more there",
      () => answers.set(DISCOVERY, () => json({ issuer: `${TRUSTED.issuer}/`, jwks_uri: KEYS })),
    ],
    [
      "the document says no address of keys",
      () => answers.set(DISCOVERY, () => json({ issuer: TRUSTED.issuer, jwks_uri: [KEYS] })),
    ],
    ["the document is a list", () => answers.set(DISCOVERY, () => json([]))],
    ["the document is HTML", () => answers.set(DISCOVERY, () => answered("<html>"))],
    ["the document is null", () => answers.set(DISCOVERY, () => json(null))],
    ["the document redirects", () => answers.set(DISCOVERY, () => answered("", 302))],
    ["the keys redirect", () => answers.set(KEYS, () => answered("", 301))],
    ["the keys are gone", () => answers.set(KEYS, () => answered("{}", 404))],
    ["the keys are no list", () => answers.set(KEYS, () => json({ keys: { 0: rsa, length: 1 } }))],
    ["the keys are cut", () => answers.set(KEYS, () => answered('{"keys":[{'))],
    ["the keys come too slowly", () => answers.set(KEYS, () => failed("timeout"))],
    ["the keys are too many bytes", () => answers.set(KEYS, () => failed("too_large"))],
    ["nobody answers", () => answers.clear()],
  ])("is not there if %s", async (_, wrong) => {
    publish(rsa);
    wrong();
    const before = lines.length;
    expect(await look()).toEqual(UNAVAILABLE);
    expect(lines.length).toBe(before + 1);
    expect(lines.at(-1)).toContain("access.issuer_keys_unread");
  });

  test("counts for a day while it cannot be reached, and no longer (X3)", async () => {
    publish(rsa);
    const one = source();
    expect((await look(one)).ok).toBe(true);
    answers.clear();
    now += 24 * 3_600_000 - 1;
    expect((await look(one)).ok).toBe(true);
    now += 60_000;
    expect(await look(one)).toEqual(UNAVAILABLE);
  });

  test("is asked anew after ten minutes, and a key that went is not taken any more", async () => {
    publish(rsa);
    const one = source();
    await look(one);
    publish({ ...rsa, kid: "k2" });
    now += 599_999;
    expect((await look(one)).ok).toBe(true);
    now += 1;
    expect(await look(one)).toEqual(UNKNOWN);
    expect(asked.length).toBe(4);
  });

  test("of one tenant, or at one address, is not that of another", async () => {
    publish(rsa);
    const one = source();
    await look(one);
    await one.keyFor({ ...TRUSTED, id: "iss_2" }, { alg: "RS256", kid: "k1" });
    expect(asked.length).toBe(4);
    const jwksUrl = "https://other.example/jwks";
    expect(await one.keyFor({ ...TRUSTED, jwksUrl }, { alg: "RS256", kid: "k1" })).toEqual(UNAVAILABLE);
    expect(asked.slice(4).map(({ url }) => url)).toEqual([jwksUrl]);
  });
});

describe("nobody can make us ask again and again (X2)", () => {
  test("a key that is not known is looked for once in thirty seconds", async () => {
    publish(rsa);
    const one = source();
    await one.keyFor(TRUSTED, { alg: "RS256", kid: "k1" });
    now += 30_000;
    for (let n = 0; n < 100; n++)
      expect(await one.keyFor(TRUSTED, { alg: "RS256", kid: `guess-${n}` })).toEqual(UNKNOWN);
    expect(asked.length).toBe(4);
    now += 30_000;
    await one.keyFor(TRUSTED, { alg: "RS256", kid: "guess" });
    expect(asked.length).toBe(6);
  });

  test("nor are a hundred at once more than one, and all who wait for the first answer get it", async () => {
    publish(rsa);
    const one = source();
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        one.keyFor(TRUSTED, { alg: "RS256", kid: n % 2 === 0 ? "k1" : "guess" }),
      ),
    );
    expect(all.filter(({ ok }) => ok).length).toBe(50);
    expect(asked.length).toBe(2);
    now += 30_000;
    await Promise.all(
      Array.from({ length: 100 }, (_, n) => one.keyFor(TRUSTED, { alg: "RS256", kid: `guess-${n}` })),
    );
    expect(asked.length).toBe(4);
  });

  test("an issuer that is away is asked once in ten seconds", async () => {
    const one = source();
    for (let n = 0; n < 10; n++)
      expect(await one.keyFor(TRUSTED, { alg: "RS256", kid: "k1" })).toEqual(UNAVAILABLE);
    expect(asked.length).toBe(1);
    now += 10_000;
    publish(rsa);
    expect((await one.keyFor(TRUSTED, { alg: "RS256", kid: "k1" })).ok).toBe(true);
  });

  test("one who asks and never comes back keeps nobody from asking", async () => {
    answers.set(DISCOVERY, () => new Promise(() => {}));
    const one = source();
    void one.keyFor(TRUSTED, { alg: "RS256", kid: "k1" });
    now += 10_000;
    publish(rsa);
    expect((await one.keyFor(TRUSTED, { alg: "RS256", kid: "k1" })).ok).toBe(true);
  });
});

test("what is kept is bounded: the oldest goes (X4)", async () => {
  publish(rsa);
  const one = source();
  const look = async (n: number) =>
    (await one.keyFor({ ...TRUSTED, id: `iss_${n}` }, { alg: "RS256", kid: "k1" })).ok;
  for (let n = 0; n < 101; n++) expect(await look(n)).toBe(true);
  expect(asked.length).toBe(202);
  expect(await look(100)).toBe(true);
  expect(await look(1)).toBe(true);
  expect(asked.length).toBe(202);
  expect(await look(0)).toBe(true);
  expect(asked.length).toBe(204);
});
