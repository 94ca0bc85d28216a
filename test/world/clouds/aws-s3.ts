/**
 * An object store as S3 speaks, at path-style and virtual hosts: PUT, GET, HEAD, DELETE and LIST (version 2) of small objects.
 * Every request must be signed with credentials of the token service; what it may do, the role's and the session's policies say.
 */
import { randomUUID } from "node:crypto";
import type { Answer } from "../http.ts";
import { may, sessionArn, type Session } from "./aws-sessions.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { REGION } from "./names.ts";
import { deleteObject, listObjects, placeOf, putObject, readObject } from "./objects.ts";
import { checkSignature, type SignatureFault } from "./sigv4.ts";
import { element, xml } from "./xml.ts";

const SERVICE = "s3";
const NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
/** The world keeps objects in its ledger's file. */
const MAX_OBJECT_BYTES = 256 * 1024;
/** Beside what a world has registered. */
const BUCKETS = ["invoices"];

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const SIGNATURE_ERRORS: Readonly<Record<SignatureFault, readonly [status: number, code: string]>> = {
  missing: [403, "AccessDenied"],
  malformed: [400, "AuthorizationHeaderMalformed"],
  scope: [400, "AuthorizationHeaderMalformed"],
  unsigned_header: [403, "AccessDenied"],
  no_hash: [400, "InvalidRequest"],
  hash: [400, "XAmzContentSHA256Mismatch"],
  key: [403, "InvalidAccessKeyId"],
  token: [400, "InvalidToken"],
  skewed: [403, "RequestTimeTooSkewed"],
  expired: [400, "ExpiredToken"],
  signature: [403, "SignatureDoesNotMatch"],
};

type Place = NonNullable<ReturnType<typeof placeOf>>;

/** @param virtual the bucket of a virtual host; null where the path begins with it */
export async function s3(clouds: Clouds, virtual: string | null, request: CloudRequest): Promise<Answer> {
  const { book, sessions, trust } = clouds;
  const at = place(request, virtual);
  if (at === null) return refusal(request, 400, "InvalidURI", "Couldn't parse the specified URI.");
  const service = virtual === null ? "s3" : "s3-invoices";
  const armed = book.takeArmed(service);
  if (armed !== null)
    return refusal(request, armed === "SlowDown" ? 503 : 400, armed, "Asked for by a test.");
  const signedFor = { service: SERVICE, region: REGION, now: book.now(service) } as const;
  const signed = await checkSignature(request, sessions, signedFor);
  if (!signed.ok) {
    const [status, code] = SIGNATURE_ERRORS[signed.fault];
    return refusal(request, status, code, `The request's signature is refused: ${signed.fault}.`);
  }
  const buckets = [...BUCKETS, ...trust.list("aws_bucket").map(({ name }) => name)];
  if (!buckets.includes(at.bucket))
    return refusal(request, 404, "NoSuchBucket", "The specified bucket does not exist");
  return at.key === "" ? list(request, at.bucket, signed.session) : one(request, at, signed.session);
}

function one(request: CloudRequest, { bucket, key }: Place, session: Session): Answer {
  const action = {
    PUT: "s3:PutObject",
    GET: "s3:GetObject",
    HEAD: "s3:GetObject",
    DELETE: "s3:DeleteObject",
  }[request.method];
  if (action === undefined) return refusal(request, 405, "MethodNotAllowed", "Not for objects.");
  if (!may(session, { action, resource: `arn:aws:s3:::${bucket}/${key}` }))
    return denied(request, session, action, `arn:aws:s3:::${bucket}/${key}`);
  const name = `s3://${bucket}/${key}`;
  const stored = readObject(request, SERVICE, name);
  if (request.method === "PUT") return put(request, name, session);
  if (request.method === "DELETE") {
    if (stored !== null) deleteObject(request, stored);
    return { status: 204 };
  }
  if (stored === null) return refusal(request, 404, "NoSuchKey", "The specified key does not exist.");
  const headers = {
    "content-type": stored.type,
    etag: `"${stored.etag}"`,
    "last-modified": new Date(stored.deed.at).toUTCString(),
  };
  return { status: 200, headers, body: stored.bytes };
}

function put(request: CloudRequest, name: string, session: Session): Answer {
  if (request.bytes.length > MAX_OBJECT_BYTES)
    return refusal(request, 400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size");
  if (request.headers["if-none-match"] === "*" && readObject(request, SERVICE, name) !== null)
    return refusal(request, 412, "PreconditionFailed", "At least one of the pre-conditions did not hold");
  const by = { role: session.roleArn, session: sessionArn(session), subject: session.subject };
  const { etag } = putObject(request, SERVICE, name, by);
  return { status: 200, headers: { etag: `"${etag}"`, "x-amz-request-id": randomUUID() }, body: "" };
}

function list(request: CloudRequest, bucket: string, session: Session): Answer {
  const resource = `arn:aws:s3:::${bucket}`;
  if (request.method !== "GET" || request.url.searchParams.get("list-type") !== "2")
    return refusal(request, 501, "NotImplemented", "Of a bucket the world only lists, with list-type=2.");
  if (!may(session, { action: "s3:ListBucket", resource }))
    return denied(request, session, "s3:ListBucket", resource);
  const prefix = request.url.searchParams.get("prefix") ?? "";
  const found = listObjects(request, SERVICE, `s3://${bucket}/${prefix}`);
  const contents = found.map(({ deed, etag, bytes }) => ({
    Key: (deed.key ?? "").slice(`s3://${bucket}/`.length),
    LastModified: new Date(deed.at).toISOString(),
    ETag: `"${etag}"`,
    Size: bytes.length,
    StorageClass: "STANDARD",
  }));
  const result = {
    Name: bucket,
    Prefix: prefix,
    KeyCount: found.length,
    MaxKeys: 1000,
    IsTruncated: "false",
    Contents: contents,
  };
  return xml(200, element("ListBucketResult", result, NAMESPACE), { "content-type": "application/xml" });
}

function place(request: CloudRequest, virtual: string | null): Place | null {
  const path = request.target.split("?")[0] ?? "";
  return placeOf(virtual === null ? path : `/${virtual}${path}`);
}

function denied(request: CloudRequest, session: Session, action: string, resource: string): Answer {
  const who = sessionArn(session);
  return refusal(
    request,
    403,
    "AccessDenied",
    `User: ${who} is not authorized to perform: ${action} on resource: "${resource}" because no session policy or identity-based policy allows the ${action} action`,
  );
}

function refusal(request: CloudRequest, status: number, code: string, message: string): Answer {
  const error = { Code: code, Message: message, Resource: request.url.pathname, RequestId: randomUUID() };
  return xml(status, element("Error", error), { "content-type": "application/xml" });
}
