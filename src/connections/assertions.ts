/**
 * Signs what stands for a client's secret (RFC 7523): a client assertion, or a grant of its own. The key is part of the
 * integration's secret, in the clear only while this runs.
 */
import { importJWK, importPKCS8, type JWK, SignJWT } from "jose";
import * as z from "zod";
import type { OpenIntegration } from "./ports.ts";
import {
  type Bound,
  type Client,
  clientAssertionClaims,
  type ConsentProvider,
  type HttpRequest,
  jwtBearerClaims,
  jwtBearerRequest,
  type MachineProvider,
} from "./providers/index.ts";

/** Asymmetric ones only: a shared secret has other ways. */
export const ASSERTION_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
const MAX_KEY_CHARS = 16_384;

function build() {
  return z.strictObject({
    /** PKCS#8 in PEM, or a private JWK as text. */
    key: z.string().min(1).max(MAX_KEY_CHARS),
    alg: z.enum(ASSERTION_ALGORITHMS).default("RS256"),
    kid: z.string().min(1).max(256).exactOptional(),
    /** Of a grant of its own: who signs, for whom, and to whom. */
    issuer: z.string().min(1).max(512).exactOptional(),
    subject: z.string().min(1).max(512).exactOptional(),
    audience: z.string().min(1).max(512).exactOptional(),
  });
}
let schema: ReturnType<typeof build> | undefined;

/** What the secret of an integration holds that signs. */
export type SigningSecret = z.output<ReturnType<typeof build>>;

/** Null: it is not one, or its key cannot be read. Nothing of it is said. */
export async function readSigningSecret(secret: string): Promise<SigningSecret | null> {
  try {
    const parsed = (schema ??= build()).parse(JSON.parse(secret));
    await importKey(parsed);
    return parsed;
  } catch {
    return null;
  }
}

interface At {
  readonly now: number;
  readonly jti: string;
}

/** For `private_key_jwt`. */
export async function signClientAssertion(
  provider: Bound<ConsentProvider> | Bound<MachineProvider>,
  clientId: string,
  secret: string,
  at: At,
): Promise<string> {
  return sign(await read(secret), clientAssertionClaims(provider, clientId, at));
}

/** The request for a JWT bearer grant. */
export async function signedBearerRequest(
  provider: Bound<MachineProvider>,
  client: Client,
  { secret, clientId }: Pick<OpenIntegration, "secret" | "clientId">,
  scopes: readonly string[],
  at: At,
): Promise<HttpRequest> {
  const signing = await read(secret ?? "");
  const { issuer = clientId, subject = issuer, audience } = signing;
  const who = { issuer, subject, scopes, ...(audience === undefined ? {} : { audience }) };
  const assertion = await sign(signing, jwtBearerClaims(provider, who, at));
  return jwtBearerRequest(provider, client, { assertion, scopes });
}

async function read(secret: string): Promise<SigningSecret> {
  const signing = await readSigningSecret(secret);
  if (signing === null) throw new TypeError("The integration has no key to sign with.");
  return signing;
}

async function sign(
  signing: SigningSecret,
  claims: Readonly<Record<string, string | number>>,
): Promise<string> {
  const { alg, kid } = signing;
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg, typ: "JWT", ...(kid === undefined ? {} : { kid }) })
    .sign(await importKey(signing));
}

async function importKey({ key, alg }: SigningSecret): ReturnType<typeof importPKCS8> {
  if (!key.trimStart().startsWith("{")) return importPKCS8(key, alg);
  const jwk = JSON.parse(key) as JWK;
  const imported = await importJWK(jwk, alg);
  if (imported instanceof Uint8Array || imported.type !== "private")
    throw new TypeError("This is no private key.");
  return imported;
}
