/**
 * What is wrong with an identity token is refused by every cloud for that reason and no other, in the cloud's own code; what a
 * vendor does not look at, it takes. Whoever issues the tokens: a test's own issuer, or the product's.
 */
import { createHmac } from "node:crypto";
import { base64url, decodeJwt, UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import type { TokenService } from "../world/clouds/names.ts";
import type { World } from "../world/index.ts";
import type { Signing, TokenSource } from "./cloud-issuer.ts";
import { ask, AUDIENCES, SERVICES } from "./cloud-trust.ts";

/** An issuer that has several keys published, and signs with one of them whatever a test asks for. */
export interface MutableSource extends TokenSource {
  readonly subject: string;
  /** Of the key that signs. */
  readonly kid: string;
  readonly publicPem: string;
  /** Of another key that is published. */
  readonly otherKid: string;
  /** RSA, and not its own, or not the one that signs. */
  readonly foreignKey: CryptoKey;
  sign(audience: unknown, signing?: Signing): Promise<string>;
}

/** `400 invalid_grant (exp)`; `taken` for a credential. */
export type Expected = string;
type Row = Readonly<Record<TokenService, Expected>>;

/** The answer of every cloud to what is wrong with the token itself. */
function refused(reason: string, over: Partial<Row> = {}): Row {
  return {
    aws: `400 InvalidIdentityToken (${reason})`,
    gcp: `400 invalid_grant (${reason})`,
    azure: `400 50027 (${reason})`,
    exchange: `400 invalid_request (${reason})`,
    vault: `400 (${reason})`,
    anthropic: `401 invalid_grant (${reason})`,
    openrouter: `400 invalid_request (${reason})`,
    ...over,
  };
}
const unsigned = (reason: string): Row => refused(reason, { azure: `401 700027 (${reason})` });
const untimely = (reason: string): Row => refused(reason, { azure: `401 700024 (${reason})` });
export const taken = (over: Partial<Row> = {}): Row => ({
  aws: "taken",
  gcp: "taken",
  azure: "taken",
  exchange: "taken",
  vault: "taken",
  anthropic: "taken",
  openrouter: "taken",
  ...over,
});
const UNKNOWN_ISSUER = refused("issuer", { azure: "401 700211 (issuer)" });
const OTHER_AUDIENCE: Row = {
  aws: "400 InvalidIdentityToken (Incorrect token audience)",
  gcp: "400 invalid_grant (does not match the expected audience)",
  azure: "401 700212 (audience)",
  exchange: "400 invalid_request (another audience or subject)",
  vault: "400 (aud does not match)",
  anthropic: "401 invalid_grant (The audience does not match)",
  openrouter: "400 invalid_request (No rule matches)",
};
const OTHER_SUBJECT: Row = {
  aws: "403 AccessDenied (Not authorized to perform sts:AssumeRoleWithWebIdentity)",
  gcp: "403 unauthorized_client (rejected by the attribute condition)",
  azure: "401 700213 (subject)",
  exchange: "400 invalid_request (another audience or subject)",
  vault: "400 (sub does not match)",
  anthropic: "401 invalid_grant (The subject does not match)",
  openrouter: "400 invalid_request (No rule matches)",
};
/** Where each `jti` counts once. */
const ONCE = taken({
  exchange: "400 invalid_request (jti of the subject token has been used)",
  anthropic: "401 invalid_grant (jti of the assertion is missing or has been used)",
});

const TAGS = "https://aws.amazon.com/tags";

/** Holds the answer of a service to a token. */
export async function expectAnswer(
  world: World,
  service: TokenService,
  token: string,
  expected: Expected,
): Promise<void> {
  const { status, code, text } = await ask(world, service, token);
  if (expected === "taken") return expect([status, code, text]).toEqual([200, null, text]);
  const [, wanted, codeWanted, reason = "?"] = /^(\d+) ?(\w*) \((.+)\)$/.exec(expected) ?? [];
  expect(text).toContain(reason);
  expect(`${status} ${service === "vault" ? "" : (code ?? "")}`).toBe(`${wanted} ${codeWanted}`);
}

/** The table, at every service; `stage` is asked in each test. */
export function testMutations(stage: () => { readonly world: World; readonly source: MutableSource }): void {
  const issuer = (): MutableSource => stage().source;
  const now = (): number => Math.floor(Date.now() / 1000);
  const claims = (changed: () => Signing["claims"]) => (audience: string) =>
    issuer().sign(audience, { claims: changed() ?? {} });
  const header = (changed: () => Signing["header"]) => (audience: string) =>
    issuer().sign(audience, { header: changed() ?? {} });

  /** Changes what is signed, and keeps the signature. */
  const tampered =
    (part: 0 | 1, change: (object: Record<string, unknown>) => void) =>
    async (audience: string): Promise<string> => {
      const parts = (await issuer().mint(audience)).split(".");
      const object = JSON.parse(new TextDecoder().decode(base64url.decode(parts[part] ?? ""))) as Record<
        string,
        unknown
      >;
      change(object);
      parts[part] = base64url.encode(JSON.stringify(object));
      return parts.join(".");
    };

  const TABLE: readonly (readonly [string, (audience: string) => Promise<string>, Row])[] = [
    ["nothing changed", (audience) => issuer().mint(audience), taken()],

    [
      "alg: none",
      async (audience) => new UnsecuredJWT(decodeJwt(await issuer().mint(audience))).encode(),
      unsigned("alg"),
    ],
    ["alg: HS256 with the public key as secret", (audience) => confused(audience), unsigned("alg")],
    [
      "alg: changed, signature kept",
      tampered(0, (it) => (it["alg"] = "RS384")),
      refused("key", {
        azure: "401 700027 (alg)",
        gcp: "400 invalid_grant (alg)",
        exchange: "400 invalid_request (alg)",
        anthropic: "401 invalid_grant (alg)",
        openrouter: "400 invalid_request (alg)",
      }),
    ],
    [
      "kid: missing, where the issuer has several keys",
      header(() => ({ kid: undefined })),
      { ...unsigned("key"), gcp: "400 invalid_grant (kid)" },
    ],
    ["kid: of no key", header(() => ({ kid: "nobody" })), unsigned("key")],
    ["kid: of another key", header(() => ({ kid: issuer().otherKid })), unsigned("signature")],
    ["typ: an access token", header(() => ({ typ: "at+jwt" })), refused("typ")],
    ["crit: an extension that nobody knows", header(() => ({ crit: ["odd"], odd: true })), unsigned("crit")],

    ["iss: another host", claims(() => ({ iss: "https://id.other.example/t/acme" })), UNKNOWN_ISSUER],
    ["iss: another tenant of the host", claims(() => ({ iss: `${issuer().issuerUrl}2` })), UNKNOWN_ISSUER],
    ["iss: with a slash at the end", claims(() => ({ iss: `${issuer().issuerUrl}/` })), UNKNOWN_ISSUER],
    ["iss: in capitals", claims(() => ({ iss: issuer().issuerUrl.replace("acme", "ACME") })), UNKNOWN_ISSUER],
    ["iss: missing", claims(() => ({ iss: undefined })), UNKNOWN_ISSUER],

    ["sub: another workflow", claims(() => ({ sub: "tenant:acme:code:book-trip" })), OTHER_SUBJECT],
    ["sub: in capitals", claims(() => ({ sub: issuer().subject.toUpperCase() })), OTHER_SUBJECT],
    ["sub: with more at the end", claims(() => ({ sub: `${issuer().subject}-2` })), OTHER_SUBJECT],
    ["sub: missing", claims(() => ({ sub: undefined })), refused("sub")],
    ["sub: no text", claims(() => ({ sub: 7 })), refused("sub")],

    ["aud: another", claims(() => ({ aud: "https://elsewhere.example" })), OTHER_AUDIENCE],
    ["aud: missing", claims(() => ({ aud: undefined })), refused("aud")],

    ["iat: in the future", claims(() => ({ iat: now() + 120 })), untimely("iat")],
    ["iat: missing", claims(() => ({ iat: undefined })), refused("times")],
    ["iat: with a fraction", claims(() => ({ iat: now() - 1.5 })), refused("times")],
    ["iat: a text", claims(() => ({ iat: String(now()) })), refused("times")],
    ["nbf: in the future", claims(() => ({ nbf: now() + 120 })), untimely("nbf")],
    ["nbf: with a fraction", claims(() => ({ nbf: now() - 60.5 })), refused("times")],
    ["nbf: missing", claims(() => ({ nbf: undefined })), taken()],
    [
      "exp: over",
      claims(() => ({ exp: now() - 1 })),
      { ...untimely("exp"), aws: "400 ExpiredTokenException (exp)" },
    ],
    ["exp: missing", claims(() => ({ exp: undefined })), refused("times")],
    ["exp: with a fraction", claims(() => ({ exp: now() + 60.5 })), refused("times")],
    [
      "exp: in two days",
      claims(() => ({ exp: now() + 48 * 3_600 })),
      taken({ gcp: "400 invalid_grant (48 hours)", anthropic: "401 invalid_grant (lives longer)" }),
    ],

    ["jti: missing", claims(() => ({ jti: undefined })), ONCE],

    [
      "payload: changed, signature kept",
      tampered(1, (it) => (it["sub"] = "tenant:acme:code:other")),
      unsigned("signature"),
    ],
    [
      "signature: of another key under the same kid",
      (audience) => issuer().sign(audience, { key: issuer().foreignKey }),
      unsigned("signature"),
    ],
    [
      "signature: missing",
      async (audience) => (await issuer().mint(audience)).replace(/[^.]+$/, ""),
      unsigned("signature"),
    ],
    ["no JWT at all", async () => "not.a.token", refused("malformed")],

    [
      "tags: that the role does not allow",
      claims(() => ({ [TAGS]: { principal_tags: { run: ["r1"] } } })),
      taken({ aws: "403 AccessDenied (sts:TagSession)" }),
    ],
    [
      "tags: flat",
      claims(() => ({ [`${TAGS}/principal_tags/run`]: "r1" })),
      taken({ aws: "403 AccessDenied (sts:TagSession)" }),
    ],
    [
      "tags: malformed",
      claims(() => ({ [TAGS]: { principal_tags: { run: "r1" } } })),
      taken({ aws: "400 InvalidIdentityToken (tags of the token are malformed)" }),
    ],
    [
      "source identity: that the role does not allow",
      claims(() => ({ "https://aws.amazon.com/source_identity": "ada" })),
      taken({ aws: "403 AccessDenied (sts:SetSourceIdentity)" }),
    ],
    ["extra claims", claims(() => ({ claims: { team: "billing" }, azp: "someone" })), taken()],
  ];

  async function confused(audience: string): Promise<string> {
    const [, payload = ""] = (await issuer().mint(audience)).split(".");
    const head = base64url.encode(JSON.stringify({ alg: "HS256", kid: issuer().kid, typ: "JWT" }));
    const mac = createHmac("sha256", issuer().publicPem).update(`${head}.${payload}`).digest("base64url");
    return `${head}.${payload}.${mac}`;
  }

  describe.each(SERVICES)("%s", (service) => {
    const expectHeld = async (token: string, expected: Expected): Promise<void> =>
      expectAnswer(stage().world, service, token, expected);

    test.each(TABLE)("%s", async (_what, mint, row) => {
      await expectHeld(await mint(AUDIENCES[service]), row[service]);
    });

    test("aud: more than one", async () => {
      const token = await issuer().sign([AUDIENCES[service], "https://elsewhere.example"]);
      await expectHeld(token, OTHER_AUDIENCE[service]);
    });

    test("aud: of another cloud", async () => {
      const other = AUDIENCES[service === "aws" ? "gcp" : "aws"];
      await expectHeld(await issuer().mint(other), OTHER_AUDIENCE[service]);
    });

    test("jti: for the second time", async () => {
      const token = await issuer().mint(AUDIENCES[service]);
      await expectHeld(token, "taken");
      await expectHeld(token, ONCE[service]);
    });
  });
}
