/** RS256 on Web Cryptography: making keys, and signing with them. Keeps nothing. */
import { base64url, fromBase64 } from "../platform/index.ts";
import type { WorkloadClaims } from "./token.ts";

const RS256 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;
const MODULUS_BITS = 2_048;

export interface MadeKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  readonly n: string;
  readonly e: string;
  /** PKCS #8 in base64url. To be sealed at once, and kept nowhere else. */
  readonly privateText: string;
}

export async function makeKey(): Promise<MadeKey> {
  const made = (await crypto.subtle.generateKey(
    { ...RS256, modulusLength: MODULUS_BITS, publicExponent: new Uint8Array([1, 0, 1]) },
    true,
    ["sign", "verify"],
  )) as CryptoKeyPair;
  const { n, e } = (await crypto.subtle.exportKey("jwk", made.publicKey)) as JsonWebKey;
  if (n === undefined || e === undefined) throw new TypeError("The platform gave a key that is not of RSA.");
  const bytes = new Uint8Array((await crypto.subtle.exportKey("pkcs8", made.privateKey)) as ArrayBuffer);
  const privateText = base64url(bytes);
  bytes.fill(0);
  return { kid: await thumbprint(n, e), n, e, privateText };
}

/** RFC 7638 section 3.2: the required members, in this order. */
async function thumbprint(n: string, e: string): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify({ e, kty: "RSA", n }));
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", text)));
}

/** Nothing gets it out of the platform again. Throws a TypeError for what is not the text of a key. */
export async function importPrivate(privateText: string): Promise<CryptoKey> {
  const bytes = fromBase64(privateText);
  if (bytes === null) throw new TypeError("The text of a signing key is not base64url.");
  try {
    return await crypto.subtle.importKey("pkcs8", bytes, RS256, false, ["sign"]);
  } finally {
    bytes.fill(0);
  }
}

/** RFC 7515, compact. */
export async function signJwt(key: CryptoKey, kid: string, claims: WorkloadClaims): Promise<string> {
  const input = `${encoded({ alg: "RS256", typ: "JWT", kid })}.${encoded(claims)}`;
  const signature = await crypto.subtle.sign(RS256.name, key, new TextEncoder().encode(input));
  return `${input}.${base64url(new Uint8Array(signature))}`;
}

function encoded(value: unknown): string {
  return base64url(new TextEncoder().encode(JSON.stringify(value)));
}
