/**
 * An issuer of identity tokens, as small as one can be: two RSA keys and an EC key, discovery and JWKS at a port of loopback
 * that answers only to its own name. It signs whatever a test asks for.
 */
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type JWK, type JWTPayload } from "jose";
import { listen, send, shut } from "../world/http.ts";

/** Where identity tokens come from: this issuer, or the product's own. */
export interface TokenSource {
  /** https, without a port. */
  readonly issuerUrl: string;
  /** Of loopback, where the documents of that name are. */
  readonly issuerPort: number;
  mint(audience: string): Promise<string>;
}

export type KeyName = "rsa" | "retired" | "ec";

export interface Signing {
  /** Instead of `{ alg: "RS256", kid: "rsa", typ: "JWT" }`; undefined leaves a field out. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Instead of the usual ones; undefined leaves a claim out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
}

export interface TestIssuer extends TokenSource {
  readonly subject: string;
  readonly keys: Readonly<Record<KeyName, CryptoKey>>;
  /** Of the first key, as PEM. */
  readonly publicPem: string;
  /** The first key as a JWK with its private parts. */
  readonly privateJwk: JWK;
  sign(audience: unknown, signing?: Signing): Promise<string>;
  /** The JWKS from now on. */
  show(...names: KeyName[]): void;
  /** Changes the discovery document from now on. */
  alter(document: Readonly<Record<string, unknown>>, jwks?: unknown): void;
  /** How often each path was asked for. */
  readonly asked: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export const ISSUER_HOST = "id.acme.example";
const LIFE_S = 300;

/** Made once: keys take time, and tests do not tell them apart. */
let made: ReturnType<typeof makePairs> | null = null;
async function makePairs(): Promise<Record<KeyName, { publicKey: CryptoKey; privateKey: CryptoKey }>> {
  return {
    rsa: await generateKeyPair("RS256", { extractable: true }),
    retired: await generateKeyPair("RS256"),
    ec: await generateKeyPair("ES256"),
  };
}

export async function startIssuer(
  path = "/t/acme",
  subject = "tenant:acme:code:process-order",
): Promise<TestIssuer> {
  const issuerUrl = `https://${ISSUER_HOST}${path}`;
  const pairs = await (made ??= makePairs());
  const publics: Record<KeyName, JWK> = {
    rsa: await published(pairs.rsa.publicKey, "rsa", "RS256"),
    retired: await published(pairs.retired.publicKey, "retired", "RS256"),
    ec: await published(pairs.ec.publicKey, "ec", "ES256"),
  };
  const asked = new Map<string, number>();
  let jwks: unknown = { keys: Object.values(publics) };
  let discovery: Readonly<Record<string, unknown>> = {
    issuer: issuerUrl,
    jwks_uri: `${issuerUrl}/jwks`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
  };
  const { server, port } = await listen(0, (req, res) => {
    const name = req.url ?? "/";
    asked.set(name, (asked.get(name) ?? 0) + 1);
    if (req.headers.host === ISSUER_HOST && name === `${path}/.well-known/openid-configuration`)
      return send(res, { status: 200, body: discovery });
    if (req.headers.host === ISSUER_HOST && name === `${path}/jwks`)
      return send(res, { status: 200, body: jwks });
    return send(res, { status: 404, body: {} });
  });
  const sign = async (audience: unknown, { header, claims, key }: Signing = {}): Promise<string> => {
    const now = Math.floor(Date.now() / 1000);
    const payload: JWTPayload = {
      iss: issuerUrl,
      sub: subject,
      aud: audience as string,
      iat: now,
      nbf: now - 60,
      exp: now + LIFE_S,
      jti: crypto.randomUUID(),
      tenant: "acme",
      ...claims,
    };
    return await new SignJWT(withoutUndefined(payload))
      .setProtectedHeader(withoutUndefined({ alg: "RS256", kid: "rsa", typ: "JWT", ...header }))
      .sign(key ?? pairs.rsa.privateKey, { crit: { odd: true } });
  };
  return {
    issuerUrl,
    issuerPort: port,
    subject,
    asked,
    keys: { rsa: pairs.rsa.privateKey, retired: pairs.retired.privateKey, ec: pairs.ec.privateKey },
    publicPem: await exportSPKI(pairs.rsa.publicKey),
    privateJwk: { ...publics.rsa, ...(await exportJWK(pairs.rsa.privateKey)) },
    mint: (audience) => sign(audience),
    sign,
    show: (...names) => (jwks = { keys: names.map((name) => publics[name]) }),
    alter: (document, keys) => {
      discovery = { ...discovery, ...document };
      jwks = keys ?? jwks;
    },
    close: () => shut(server),
  };
}

async function published(key: CryptoKey, kid: KeyName, alg: string): Promise<JWK> {
  return { ...(await exportJWK(key)), kid, alg, use: "sig" };
}

function withoutUndefined<T extends Readonly<Record<string, unknown>>>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}
