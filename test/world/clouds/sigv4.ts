/**
 * Signature version 4 as a service checks it: the signature is made again by AWS's own signer with the secret that the token
 * service issued. Independent of what the product signs with.
 *
 * Canonical path and query are built here from what came over the wire, as
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html says: of S3 each byte of the
 * decoded path is encoded once; of other services the signer normalises and encodes twice.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { CloudRequest } from "./front.ts";
import type { Session, Sessions } from "./aws-sessions.ts";

const MAX_SKEW_MS = 15 * 60 * 1000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/([^/,\s]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
const UNSIGNED = "UNSIGNED-PAYLOAD";

export type SignatureFault =
  | "missing"
  | "malformed"
  | "scope"
  | "unsigned_header"
  | "no_hash"
  | "hash"
  | "key"
  | "token"
  | "skewed"
  | "expired"
  | "signature";

export type Signed =
  | { readonly ok: true; readonly session: Session }
  | { readonly ok: false; readonly fault: SignatureFault };

export interface SignedFor {
  readonly service: "s3" | "sts";
  readonly region: string;
  /** Milliseconds since 1970 by the clock of the service. */
  readonly now: number;
}

const no = (fault: SignatureFault): Signed => ({ ok: false, fault });

export async function checkSignature(
  request: CloudRequest,
  sessions: Sessions,
  { service, region, now }: SignedFor,
): Promise<Signed> {
  const { headers } = request;
  if (headers.authorization === undefined) return no("missing");
  const parts = AUTHORIZATION.exec(headers.authorization);
  if (parts === null) return no("malformed");
  const [, accessKeyId = "", day = "", scopeRegion, scopeService, signedHeaders = "", signature = ""] = parts;
  const date = readDate(headers["x-amz-date"]);
  if (date === null) return no("malformed");
  if (scopeRegion !== region || scopeService !== service || dayOf(date) !== day) return no("scope");
  const signedNames = signedHeaders.split(";");
  const mustSign = ["host", ...Object.keys(headers).filter((name) => name.startsWith("x-amz-"))];
  if (!mustSign.every((name) => signedNames.includes(name))) return no("unsigned_header");
  const stated = headers["x-amz-content-sha256"];
  if (service === "s3" && stated === undefined) return no("no_hash");
  if (stated !== undefined && stated !== UNSIGNED && stated !== sha256(request.bytes)) return no("hash");
  const session = sessions.get(accessKeyId);
  if (session === undefined) return no("key");
  if (headers["x-amz-security-token"] !== session.sessionToken) return no("token");
  if (Math.abs(now - date.getTime()) > MAX_SKEW_MS) return no("skewed");
  if (session.expiresAt <= now) return no("expired");
  const right = await signatureOf(request, session, { service, region, date, signedNames });
  return timingSafeEqual(Buffer.from(right), Buffer.from(signature))
    ? { ok: true, session }
    : no("signature");
}

async function signatureOf(
  request: CloudRequest,
  session: Session,
  {
    service,
    region,
    date,
    signedNames,
  }: { service: string; region: string; date: Date; signedNames: string[] },
): Promise<string> {
  const [{ SignatureV4 }, { Sha256 }] = await Promise.all([
    import("@smithy/signature-v4"),
    import("@aws-crypto/sha256-js"),
  ]);
  const signer = new SignatureV4({
    credentials: session,
    region,
    service,
    sha256: Sha256,
    uriEscapePath: service !== "s3",
    applyChecksum: false,
  });
  const path = request.target.split("?")[0] ?? "/";
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: "https:",
      hostname: request.host,
      path: service === "s3" ? encodedOnce(path) : path,
      query: queryOf(request.url),
      headers: Object.fromEntries(signedNames.map((name) => [name, headerOf(request, name)])),
      body: request.bytes,
    },
    { signingDate: date, signableHeaders: new Set(signedNames) },
  );
  return /Signature=([0-9a-f]{64})$/.exec(signed.headers["authorization"] ?? "")?.[1] ?? "0".repeat(64);
}

function headerOf(request: CloudRequest, name: string): string {
  if (name === "host") return request.host;
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function queryOf(url: URL): Record<string, string[]> {
  const query: Record<string, string[]> = {};
  for (const [name, value] of url.searchParams) (query[name] ??= []).push(value);
  return query;
}

/** RFC 3986: all but unreserved characters, and `/` between segments. */
function encodedOnce(path: string): string {
  return path
    .split("/")
    .map((segment) =>
      encodeURIComponent(decodeURIComponent(segment)).replaceAll(
        /[!'()*]/g,
        (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    )
    .join("/");
}

function readDate(text: string | string[] | undefined): Date | null {
  const parts = typeof text === "string" ? /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) : null;
  if (parts === null) return null;
  const [, year, month, day, hour, minute, second] = parts;
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10).replaceAll("-", "");
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
