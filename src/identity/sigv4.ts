/**
 * Signs requests for AWS, with the signer of aws4fetch. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
 *
 * - G1 service and region are always given: nothing is guessed from a host.
 * - G2 the body's hash is signed, for S3 as well: it is at hand, and what AWS does is then what the step sent, whoever
 *      stands in between. Buckets may ask for that, too.
 * - G3 every header of the step is signed, but for those that change on the way: `content-type` is, which the signer would
 *      leave out by itself.
 * - G4 what services read in two ways is refused before it is sent (`signingFlaw`): signed one way, it could mean the other.
 */
import { AwsV4Signer } from "aws4fetch";
import { sha256Hex } from "../platform/index.ts";
import type { CloudCredential } from "./role.ts";

export type AwsCredential = Extract<CloudCredential, { kind: "aws" }>;

export interface Signing {
  readonly credential: AwsCredential;
  readonly service: string;
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Of signing keys, whose names hold the secret itself: it lives as long as the lease of the credential, and no longer. */
  readonly cache: Map<string, ArrayBuffer>;
}

/** What is added on the way, or by the platform. Those of AWS's own signer, and what the transport may change. */
const UNSIGNED = new Set([
  "accept-encoding",
  "authorization",
  "cache-control",
  "connection",
  "content-length",
  "expect",
  "from",
  "host",
  "keep-alive",
  "max-forwards",
  "pragma",
  "referer",
  "te",
  "trailer",
  "traceparent",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-amzn-trace-id",
]);
/** The signature's own: a step's do not count. */
const OWN = new Set(["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"]);
/** Those whose paths are the names of objects: they are encoded once. */
const ENCODED_ONCE = /^s3(?:$|-|express|vectors$)/;

/** The headers to add to exactly this request. Names in lower case. */
export async function signAws(
  request: {
    readonly method: string;
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array | string | undefined;
  },
  { credential, service, region, now, cache }: Signing,
): Promise<Readonly<Record<string, string>>> {
  const { accessKeyId, secretAccessKey, sessionToken } = credential;
  const kept = Object.entries(request.headers).filter(([name]) => {
    const lower = name.toLowerCase();
    return !UNSIGNED.has(lower) && !OWN.has(lower);
  });
  const hash = await sha256Hex(request.body ?? "");
  const signed = await new AwsV4Signer({
    ...{ accessKeyId, secretAccessKey, sessionToken, service, region, cache },
    method: request.method,
    url: request.url,
    headers: [...kept, ["x-amz-content-sha256", hash]],
    datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    allHeaders: true,
    singleEncode: service !== "s3" && ENCODED_ONCE.test(service),
  }).sign();
  return Object.fromEntries([...OWN].map((name) => [name, signed.headers.get(name) ?? ""]));
}

/** Why a request to this URL cannot be signed without doubt about what it means; null: it can. */
export function signingFlaw(url: URL, service: string): string | null {
  const ofObjects = ENCODED_ONCE.test(service);
  if (ofObjects) {
    if (decoded(url.pathname) === null) return "its path is not encoded as UTF-8";
    if (url.pathname.includes("+"))
      return "a + in the name of an object is read in two ways: write %2B for the character, %20 for a space";
  }
  const names = new Set<string>();
  for (const part of url.search.slice(1).split("&")) {
    if (part === "") continue;
    const [name = ""] = part.split("=");
    if (name === "") return "a query parameter has no name";
    const plain = decoded(part.replaceAll("+", " ")) === null ? null : decoded(name.replaceAll("+", " "));
    if (plain === null) return "its query is not encoded as UTF-8";
    if (ofObjects && names.has(plain)) return "a query parameter is given twice";
    names.add(plain);
  }
  return null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
