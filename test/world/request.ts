/** What a request says, and whether it deserves to be served. Nothing here changes the world. */
import { createHash } from "node:crypto";
import { checkFields, isRecord } from "./fields.ts";
import { findRoute, problem, MAX_BODY_BYTES, type Answer, type Body, type IncomingMessage } from "./http.ts";
import { parseKey } from "./keys.ts";
import type { ApiService, ServiceRoute } from "./service.ts";
import type { Tokens } from "./tokens.ts";

const MAX_REFERENCE_CHARS = 255;

export interface Said {
  method: string;
  /** Path and query as they came. */
  path: string;
  url: URL;
  key: string | null;
  /** There is a key header, but it is not a key. */
  badKey: boolean;
  reference: string | null;
  digest: string | null;
  attempt: string | null;
  traceparent: string | null;
  authorization: string | undefined;
  contentType: string;
  body: Body;
  /** The body read as its content type says; undefined if there is none or it can not be read so. */
  parsed: unknown;
}

export type Checked =
  | { kind: "fit"; route: ServiceRoute; params: Record<string, string>; body: Record<string, unknown> }
  | { kind: "refused"; answer: Answer };

export function readRequest(host: string, req: IncomingMessage, body: Body): Said {
  const path = req.url ?? "/";
  const contentType = (req.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  const parsed = body.kind === "read" ? parse(contentType, body.bytes) : undefined;
  const keyHeader = header(req, "idempotency-key");
  const key = keyHeader === null ? null : parseKey(keyHeader);
  return {
    method: req.method ?? "GET",
    path,
    url: new URL(path, `https://${host}`),
    key,
    badKey: keyHeader !== null && key === null,
    reference: referenceOf(header(req, "x-reference"), parsed),
    digest: body.kind === "read" ? createHash("sha256").update(body.bytes).digest("hex") : null,
    attempt: header(req, "x-attempt"),
    traceparent: header(req, "traceparent"),
    authorization: req.headers.authorization,
    contentType,
    body,
    parsed,
  };
}

/** Checks a request in the order in which a careful service does: path, token, size, key, body. */
export function checkRequest(service: ApiService, tokens: Tokens, said: Said): Checked {
  const found = findRoute(service.routes, said.method, said.url.pathname);
  if (found.kind === "missing") return { kind: "refused", answer: found.answer };
  const { route, params } = found;
  const answer =
    (service.open === true
      ? null
      : tokens.refusal(service.host, said.authorization, scopeFor(service, said.method))) ??
    keyRefusal(route, said) ??
    bodyRefusal(route, said);
  if (answer !== null) return { kind: "refused", answer };
  return { kind: "fit", route, params, body: isRecord(said.parsed) ? said.parsed : {} };
}

function scopeFor({ scopes }: ApiService, method: string): string | null {
  return scopes === undefined ? null : method === "GET" ? scopes.read : scopes.write;
}

function keyRefusal(route: ServiceRoute, said: Said): Answer | null {
  if (said.badKey)
    return problem(
      400,
      "idempotency_key_malformed",
      "Idempotency-Key must be a string of 1 to 255 visible characters.",
    );
  if (route.needsKey === true && said.key === null)
    return problem(400, "idempotency_key_missing", "This path needs an Idempotency-Key.");
  return null;
}

function bodyRefusal(route: ServiceRoute, said: Said): Answer | null {
  if (said.body.kind !== "read") {
    const answer = problem(413, "body_too_large", `A body may have ${MAX_BODY_BYTES} bytes.`);
    return { ...answer, headers: { ...answer.headers, connection: "close" } };
  }
  if (route.fields === undefined) return null;
  const wanted = route.accepts === "form" ? "application/x-www-form-urlencoded" : "application/json";
  if (said.body.bytes.length > 0 && said.contentType !== wanted)
    return problem(415, "unsupported_media_type", `Send ${wanted}.`);
  const body = said.body.bytes.length === 0 ? {} : said.parsed;
  if (!isRecord(body)) return problem(400, "malformed_body", "The body must be one object.");
  const errors = checkFields(route.fields, body);
  return errors.length === 0
    ? null
    : problem(422, "invalid_body", "The body does not fit; see errors.", { errors });
}

function parse(contentType: string, bytes: Buffer): unknown {
  if (contentType === "application/x-www-form-urlencoded")
    return Object.fromEntries(new URLSearchParams(bytes.toString()));
  if (contentType !== "application/json") return undefined;
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function referenceOf(fromHeader: string | null, parsed: unknown): string | null {
  const fromBody = isRecord(parsed) ? parsed["reference"] : undefined;
  const reference = fromHeader ?? (typeof fromBody === "string" ? fromBody : "");
  return reference === "" ? null : reference.slice(0, MAX_REFERENCE_CHARS);
}

function header(req: IncomingMessage, name: string): string | null {
  const value = req.headers[name];
  return typeof value === "string" ? value : null;
}
