/** Tokens that must not be taken, and what each attack would have to get past. */
import { beforeAll, describe, expect, test } from "vitest";
import { exportSPKI } from "jose";
import { checkRootKey } from "../../src/access/index.ts";
import { expectAnswer, expectProblem, newTenant } from "./api-support.ts";
import {
  Isolate,
  part,
  rawToken,
  requestsTo,
  RULE,
  serve,
  signingKey,
  TestIssuer,
} from "./trusted-support.ts";

const here = new Isolate();
const TENANT = "attacked";
const NOW_S = Math.floor(Date.now() / 1_000);
let admin = "";
let rsa: TestIssuer;
let ec: TestIssuer;

beforeAll(async () => {
  admin = await newTenant(TENANT);
  await newTenant("attacked-other");
  rsa = await TestIssuer.make("RS256", "/realms/acme");
  ec = await TestIssuer.make("ES256");
  await here.trust(admin, rsa);
  await here.trust(admin, ec, [{ ...RULE, subject: "repo:acme/*:environment:production" }]);
});

test("without an attack each of them is taken", async () => {
  for (const issuer of [rsa, ec])
    expect(await here.tried(admin, await issuer.token(TENANT))).toMatchObject({ taken: true });
});

/** It is refused at the door, whatever it asks for, and whoever keeps the trust is told why. */
async function expectRefused(token: string, reason: string | null): Promise<void> {
  const { detail } = await expectProblem(
    await here.send("GET", "/v1/runs", { key: token }),
    401,
    "invalid_token",
  );
  // Nobody learns anything without a good signature.
  if (["not_for_us", "issuer_not_trusted", "signature"].includes(reason ?? ""))
    expect(detail).toBe("The token is not taken here.");
  if (reason === null) return;
  expect(await here.tried(admin, token)).toMatchObject({ taken: false, reason, caller: null });
}

describe("algorithms", () => {
  test.each(["none", "None", "NONE", "nOnE"])("a token without a signature (%s)", async (alg) => {
    await expectRefused(rawToken({ alg, kid: rsa.key.kid }, rsa.claims(TENANT)), "not_for_us");
    const unsigned = rawToken({ alg, kid: rsa.key.kid }, rsa.claims(TENANT), "");
    await expectProblem(await here.send("GET", "/v1/runs", { key: unsigned }), 401, "invalid_key");
  });

  test.each(["HS256", "HS384", "HS512"])("%s with the RSA public key as the secret", async (alg) => {
    const pem = new TextEncoder().encode(await exportSPKI(await publicKeyOf(rsa)));
    const secrets = [pem, new TextEncoder().encode(JSON.stringify(rsa.key.publicJwk))];
    for (const secret of secrets)
      await expectRefused(await rsa.token(TENANT, {}, { alg }, secret), "not_for_us");
  });

  test("RS256 with the kid of an EC key, and the other way round", async () => {
    const mine = await signingKey("RS256", "mine");
    await expectRefused(
      await ec.token(TENANT, {}, { alg: "RS256", kid: ec.key.kid }, mine.privateKey),
      "signature",
    );
    const other = await signingKey("ES256", "mine");
    await expectRefused(
      await rsa.token(TENANT, {}, { alg: "ES256", kid: rsa.key.kid }, other.privateKey),
      "signature",
    );
  });

  test("another algorithm of the same key than the one that the issuer says it is for", async () => {
    const { privateKey } = rsa.key;
    const jwk = (await crypto.subtle.exportKey("jwk", privateKey)) as JsonWebKey;
    const pss = await crypto.subtle.importKey(
      "jwk",
      { ...jwk, alg: "PS256" },
      { name: "RSA-PSS", hash: "SHA-256" },
      false,
      ["sign"],
    );
    await expectRefused(await rsa.token(TENANT, {}, { alg: "PS256" }, pss), "signature");
  });

  test.each([7, null, ["RS256"], { toString: "RS256" }, "constructor", "__proto__"])(
    "an algorithm that is %j",
    async (alg) => {
      await expectRefused(rawToken({ alg, kid: rsa.key.kid }, rsa.claims(TENANT)), "not_for_us");
    },
  );
});

async function publicKeyOf({ key }: TestIssuer): Promise<CryptoKey> {
  return crypto.subtle.importKey(
    "jwk",
    key.publicJwk as JsonWebKey,
    { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    true,
    ["verify"],
  );
}

describe("keys that a token brings, or points to, are not looked at", () => {
  test("jwk, jku, x5u, x5c", async () => {
    const mine = await signingKey("RS256", rsa.key.kid);
    serve("thief.example", () => Response.json({ keys: [mine.publicJwk] }));
    const headers = [
      { jwk: mine.publicJwk },
      { jku: "https://thief.example/keys" },
      { x5u: "https://thief.example/chain" },
      { x5c: ["MIIB"] },
    ];
    for (const header of headers)
      await expectRefused(await rsa.token(TENANT, {}, header, mine.privateKey), "signature");
    expect(requestsTo("thief.example")).toBe(0);
  });

  test("a kid that is an address, a path or a query names no key, and nothing is asked for it", async () => {
    const before = requestsTo(rsa.host);
    for (const kid of ["https://thief.example/keys", "../../etc/passwd", "' OR 1=1 --", ""])
      await expectRefused(await rsa.token(TENANT, {}, { kid }), "signature");
    // They are looked for once, if at all, however many.
    expect(requestsTo(rsa.host) - before).toBeLessThanOrEqual(2);
    for (const kid of [7, null, ["a"], { a: 1 }])
      await expectRefused(rawToken({ alg: "RS256", kid }, rsa.claims(TENANT)), "not_for_us");
  });

  test("an extension that must be understood and is not", async () => {
    const header = { alg: "RS256", kid: rsa.key.kid };
    const sign = (more: object) => signed(rsa, { ...header, ...more }, rsa.claims(TENANT));
    await expectRefused(await sign({ crit: ["urn:x"], "urn:x": true }), "signature");
    await expectRefused(await sign({ crit: ["b64"], b64: false }), "signature");
    await expectRefused(await sign({ crit: [] }), "signature");
    await expectRefused(await sign({ crit: "exp" }), "signature");
  });
});

/** Signed as it stands, also what no library would sign. */
async function signed(issuer: TestIssuer, header: unknown, payload: unknown): Promise<string> {
  const input = `${part(header)}.${typeof payload === "string" ? payload : part(payload)}`;
  const signature = await crypto.subtle.sign(
    "RSASSA-PKCS1-v1_5",
    issuer.key.privateKey,
    new TextEncoder().encode(input),
  );
  const text = btoa(String.fromCodePoint(...new Uint8Array(signature)));
  return `${input}.${text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

describe("a token whose signature is good, with a claim that is not", () => {
  const audience = `https://showcaller.test/t/${TENANT}`;

  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    // Whose it is
    ["no iss", { iss: undefined }, "not_for_us"],
    ["an iss with a slash more", { iss: "SLASH" }, "issuer_not_trusted"],
    ["an iss in capitals", { iss: "CAPITALS" }, "issuer_not_trusted"],
    ["the iss of another issuer that is trusted", { iss: "OTHER" }, "signature"],
    ["an iss that is a list", { iss: ["x"] }, "not_for_us"],
    ["an iss of 3,000 characters", { iss: `https://a.example/${"x".repeat(3_000)}` }, "not_for_us"],
    // Whom it is for
    ["no aud", { aud: undefined }, "not_for_us"],
    ["the origin as its aud", { aud: "https://showcaller.test" }, "not_for_us"],
    ["the aud of a cloud", { aud: "sts.amazonaws.com" }, "not_for_us"],
    ["an aud with a slash more", { aud: `${audience}/` }, "not_for_us"],
    ["an aud in capitals", { aud: audience.toUpperCase() }, "not_for_us"],
    [
      "an aud on a host that begins like ours",
      { aud: `https://showcaller.test.evil.example/t/${TENANT}` },
      "not_for_us",
    ],
    ["two audiences, ours the first", { aud: [audience, "https://other.example"] }, "not_for_us"],
    ["our audience twice", { aud: [audience, audience] }, "not_for_us"],
    ["no audience in a list", { aud: [] }, "not_for_us"],
    ["an aud that is an object", { aud: { 0: audience } }, "not_for_us"],
    ["an aud of nobody", { aud: "https://showcaller.test/t/nobody-here" }, "not_for_us"],
    ["an aud that leaves the tenants", { aud: "https://showcaller.test/t/../t/attacked" }, "not_for_us"],
    // For how long
    ["no exp", { exp: undefined }, "claims"],
    ["an exp in the past", { exp: NOW_S - 1, iat: NOW_S - 100 }, "expired"],
    ["an exp long past", { exp: NOW_S - 3_000, iat: NOW_S - 3_400 }, "expired"],
    ["an exp that is text", { exp: String(NOW_S + 300) }, "claims"],
    ["an exp in milliseconds, and an old iat", { exp: NOW_S * 1_000, iat: NOW_S - 4_000 }, "too_old"],
    ["no iat", { iat: undefined }, "claims"],
    ["an iat in the future", { iat: NOW_S + 600 }, "claims"],
    ["an iat that is older than the issuer is trusted for", { iat: NOW_S - 3_601 }, "too_old"],
    ["an iat that is text", { iat: String(NOW_S) }, "claims"],
    ["an nbf in the future", { nbf: NOW_S + 600 }, "claims"],
    ["an nbf that is text", { nbf: "0" }, "claims"],
    // Who it is
    ["no sub", { sub: undefined }, "claims"],
    ["an empty sub", { sub: "" }, "no_rule"],
    ["a sub that is a list", { sub: [RULE.subject] }, "no_rule"],
    ["a sub that is an object", { sub: { toString: RULE.subject } }, "no_rule"],
    ["a sub that goes on", { sub: `${RULE.subject}-evil` }, "no_rule"],
    ["a sub that begins before", { sub: `x${RULE.subject}` }, "no_rule"],
    ["a sub with a line more", { sub: `${RULE.subject}\n` }, "no_rule"],
    ["a sub in capitals", { sub: RULE.subject.toUpperCase() }, "no_rule"],
  ])("%s", async (_, more, reason) => {
    const named: Readonly<Record<string, string>> = {
      ...{ SLASH: `${rsa.url}/`, CAPITALS: rsa.url.toUpperCase(), OTHER: ec.url },
    };
    const iss = typeof more["iss"] === "string" ? (named[more["iss"]] ?? more["iss"]) : more["iss"];
    await expectRefused(await rsa.token(TENANT, "iss" in more ? { ...more, iss } : more), reason);
  });

  test("a star crosses no colon, and its rule goes to the end", async () => {
    const subjects = [
      "repo:acme/shop:ref:x:environment:production",
      "repo:acme/shop:environment:production-evil",
      "repo:acme-evil/shop:environment:production",
      "repo:acme/:environment:production",
    ];
    for (const sub of subjects) await expectRefused(await ec.token(TENANT, { sub }), "no_rule");
    const sub = "repo:acme/other:environment:production";
    expect(await here.tried(admin, await ec.token(TENANT, { sub }))).toMatchObject({ taken: true });
  });

  test("numbers that JSON has and clocks have not", async () => {
    const claims = rsa.claims(TENANT, { exp: "@" });
    const header = { alg: "RS256", kid: rsa.key.kid };
    const payload = (text: string) =>
      btoa(JSON.stringify(claims).replace('"@"', text))
        .replaceAll("=", "")
        .replaceAll("+", "-")
        .replaceAll("/", "_");
    // Infinite: it ends when the issuer's trust in it does.
    const endless = await here.tried(admin, await signed(rsa, header, payload("1e999")));
    expect(endless.caller?.expires_at).toBe((Number(claims["iat"]) + 3_600) * 1_000);
    await expectRefused(await signed(rsa, header, payload("-1e999")), "expired");
    await expectRefused(await signed(rsa, header, payload("null")), "claims");
  });

  test("a payload that is no object", async () => {
    const header = { alg: "RS256", kid: rsa.key.kid };
    for (const payload of [[], [1], "text", 7, null])
      await expectRefused(await signed(rsa, header, part(payload)), "not_for_us");
  });

  test("one audience in a list is one", async () => {
    expect(await here.tried(admin, await rsa.token(TENANT, { aud: [audience] }))).toMatchObject({
      taken: true,
    });
  });

  test("of an issuer that another tenant trusts, or nobody", async () => {
    await expectRefused(await (await TestIssuer.make()).token(TENANT), "issuer_not_trusted");
    await expectRefused(await rsa.token("attacked-other"), "not_for_us");
  });

  test("of our own issuer, which no tenant can trust", async () => {
    const claims = { ...rsa.claims(TENANT), iss: "https://id.showcaller.test/t/attacked-other" };
    await expectRefused(await signed(rsa, { alg: "RS256", kid: rsa.key.kid }, claims), "issuer_not_trusted");
  });
});

describe("a good token of which one thing is changed after it was signed is refused", () => {
  const changes: Readonly<Record<string, readonly [change: unknown, reason: string]>> = {
    "header alg": ["RS512", "signature"],
    "header kid": ["another", "signature"],
    "header typ": ["JWS", "signature"],
    "header more": ["x", "signature"],
    // What decides where to look leads elsewhere; nothing else of it counts before the signature.
    "payload iss": ["https://elsewhere.example", "issuer_not_trusted"],
    "payload aud": ["https://showcaller.test/t/attacked-other", "not_for_us"],
    "payload sub": ["repo:acme/shop:environment:staging", "signature"],
    "payload exp": [NOW_S + 3_000, "signature"],
    "payload iat": [NOW_S - 1, "signature"],
    "payload nbf": [NOW_S - 100, "signature"],
    "payload jti": ["another", "signature"],
    "payload email": ["eve", "signature"],
    "payload more": ["x", "signature"],
  };

  test.each(Object.entries(changes))("%s", async (field, [change, reason]) => {
    const [where = "", name = ""] = field.split(" ");
    const header = { alg: "RS256", kid: rsa.key.kid, typ: "JWT" };
    const payload = { ...rsa.claims(TENANT), nbf: NOW_S, jti: "one", email: "ada" };
    const good = await signed(rsa, header, payload);
    expect(await here.tried(admin, good)).toMatchObject({ taken: true });
    const parts = good.split(".");
    const changed = where === "header" ? { ...header, [name]: change } : { ...payload, [name]: change };
    parts[where === "header" ? 0 : 1] = part(changed);
    await expectRefused(parts.join("."), reason);
  });

  test("each byte of the signature, its end and its length", async () => {
    const good = await rsa.token(TENANT);
    const at = good.lastIndexOf(".") + 1;
    const flip = (i: number) => good.slice(0, i) + (good[i] === "A" ? "B" : "A") + good.slice(i + 1);
    for (const i of [at, at + 1, at + 100, at + 200]) await expectRefused(flip(i), "signature");
    await expectRefused(good.slice(0, -4), "signature");
    await expectRefused(`${good}AAAA`, "signature");
    await expectRefused(`${good.slice(0, at)}${"A".repeat(342)}`, "signature");
  });

  test("two tokens that were mixed", async () => {
    const [one = [], two = []] = [await rsa.token(TENANT), await rsa.token(TENANT, { jti: "two" })].map(
      (text) => text.split("."),
    );
    await expectRefused([one[0], two[1], one[2]].join("."), "signature");
  });
});

describe("what looks like a token", () => {
  test("a root key cannot", () => {
    expect(() => checkRootKey("eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.c2lnbmF0dXJl")).toThrow(TypeError);
    expect(() => checkRootKey(rawToken({ alg: "RS256" }, { iss: "x" }))).toThrow(TypeError);
  });

  test("more than the header may hold is not read", async () => {
    const token = await rsa.token(TENANT, { pad: "x".repeat(10_000) });
    expect(token.length).toBeGreaterThan(12_288);
    await expectProblem(await here.send("GET", "/v1/runs", { key: token }), 401, "invalid_key");
    const fits = await rsa.token(TENANT, { pad: "x".repeat(8_000) });
    expect((await here.send("GET", "/v1/runs", { key: fits })).status).toBe(200);
  });

  test.each(["ey.ey.x", "eyJ.eyJ.x", "eyJhbGciOiJSUzI1NiJ9.eyJh.x", "ey!.ey.x", "eyA.eyA.x.y", "eyA..x"])(
    "%s is nobody, and no failure of ours",
    async (text) => {
      const response = await here.send("GET", "/v1/runs", { key: text });
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toContain('error="invalid_token"');
    },
  );

  test("nothing of a token is in an answer", async () => {
    const token = await rsa.token(TENANT, { secret: "a-word-of-the-token" });
    const texts = await Promise.all(
      ["/v1/runs", "/v1/trusted-issuers", `/v1/trusted-issuers/of-${rsa.host.split(".")[0]}`].map(
        async (path) => (await here.send("GET", path, { key: path === "/v1/runs" ? token : admin })).text(),
      ),
    );
    expect(texts.join("\n")).not.toContain("a-word-of-the-token");
    expect(texts.join("\n")).not.toContain(token.split(".")[2]);
  });
});

describe("an issuer that does not answer as it should", () => {
  async function trusting(answer: (path: string) => Promise<Response> | Response) {
    const issuer = await TestIssuer.make();
    serve(issuer.host, answer);
    await here.trust(admin, issuer);
    return { issuer, token: await issuer.token(TENANT) };
  }

  test.each<[string, (path: string) => Promise<Response> | Response]>([
    ["is away", () => new Response(null, { status: 503 })],
    ["breaks off", () => Promise.reject(new Error("connection lost"))],
    ["redirects to another host", () => Response.redirect("https://thief.example/keys", 302)],
    [
      "redirects to itself",
      (path) => new Response(null, { status: 307, headers: { location: `${path}/x` } }),
    ],
    ["sends a page", () => new Response("<html>", { headers: { "content-type": "text/html" } })],
    ["sends more than it may", () => new Response(`{"keys":[],"pad":"${"x".repeat(300_000)}"}`)],
    [
      "is another one",
      () => Response.json({ issuer: "https://thief.example", jwks_uri: "https://thief.example/keys" }),
    ],
  ])("and %s: its callers are asked to come again, others are not held up", async (_, answer) => {
    const { token } = await trusting(answer);
    const response = await here.send("GET", "/v1/runs", { key: token });
    expect(response.headers.get("retry-after")).not.toBeNull();
    await expectProblem(response, 503, "unavailable");
    expect(await here.tried(admin, token)).toMatchObject({ taken: false, reason: "unavailable" });
    expect((await here.send("GET", "/v1/runs", { key: await rsa.token(TENANT) })).status).toBe(200);
    expect(requestsTo("thief.example")).toBe(0);
    expect(requestsTo("id.showcaller.test")).toBe(0);
  });

  test.each([
    "https://id.showcaller.test/t/attacked-other/jwks",
    "http://thief.example/keys",
    "https://10.0.0.1/keys",
    7,
  ])("and says that its keys are at %s: nothing is asked there", async (jwksUri) => {
    const issuer = await TestIssuer.make();
    serve(issuer.host, () => Response.json({ issuer: issuer.url, jwks_uri: jwksUri }));
    await here.trust(admin, issuer);
    const before = requestsTo();
    await expectProblem(
      await here.send("GET", "/v1/runs", { key: await issuer.token(TENANT) }),
      503,
      "unavailable",
    );
    expect(requestsTo() - before).toBe(1);
  });

  test("for a key that nobody has, it is asked once, be it for a hundred", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer);
    const tokens = await Promise.all(
      Array.from({ length: 50 }, (_, n) => issuer.token(TENANT, {}, { kid: `guess-${n}` })),
    );
    const answers = await Promise.all(tokens.map((key) => here.send("GET", "/v1/runs", { key })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(requestsTo(issuer.host)).toBe(2);
    expect((await here.send("GET", "/v1/runs", { key: await issuer.token(TENANT) })).status).toBe(200);
    expect(requestsTo(issuer.host)).toBe(2);
  });
});

test("a claim with a name that the request cannot hold is refused, not passed over", async () => {
  const rules = `[{"subject":"repo:acme/shop:*","scopes":["runs:read"],"claims":{"__proto__":"x"}}]`;
  const raw = `{"name":"proto","issuer":"https://issuer.example","rules":${rules}}`;
  const response = await here.send("POST", "/v1/trusted-issuers", { key: admin, body: JSON.parse(raw) });
  await expectProblem(response, 400, "invalid_request");
  const inherited = { ...RULE, claims: { constructor: "x" } };
  const issuer = await TestIssuer.make();
  await here.trust(admin, issuer, [inherited]);
  await expectRefused(await issuer.token(TENANT), "no_rule");
  await expectAnswer(
    await here.send("GET", "/v1/runs", { key: await issuer.token(TENANT, { constructor: "x" }) }),
    "listRuns",
    200,
  );
});
