/** Reads the JSON body of a request, or says exactly why it cannot be read. */
import { escapePointer, type Json } from "../kernel/index.ts";
import { err, ok, readBounded, type Result } from "../platform/index.ts";
import { findJsonLoss } from "./json-loss.ts";
import { findJsonFault, lineAndColumn } from "./json-scan.ts";
import { problem, problemAt, type Problem } from "./problems.ts";

export const MAX_BODY_BYTES = 1_048_576;
/** Deeper than any plan or input has use for, and shallow enough for every recursive reader behind the door. */
export const MAX_JSON_DEPTH = 64;

/** `application/json` or any `+json`; a charset, if there is one, is UTF-8 (RFC 8259 section 8.1). */
const JSON_TYPE = /^\s*application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?$/i;

/** Undefined: there is no body. */
export async function readJsonBody(request: Request): Promise<Result<Json | undefined, Problem>> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) return err(tooLarge());
  const body = await readBounded(request.body, MAX_BODY_BYTES);
  if (body.kind === "too_large") return err(tooLarge());
  if (body.bytes.byteLength === 0) return ok(undefined);
  const refusal = refuseType(request.headers);
  return refusal === null ? parseJson(body.bytes) : err(refusal);
}

function refuseType(headers: Headers): Problem | null {
  const accepts = { accept: "application/json" };
  if (!JSON_TYPE.test(headers.get("content-type") ?? "")) {
    return problem("unsupported_media_type", "The body's Content-Type is not application/json in UTF-8.", {
      headers: accepts,
    });
  }
  const encoding = headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (encoding === "identity") return null;
  return problem("unsupported_media_type", "The body has a Content-Encoding; none is taken.", {
    headers: { ...accepts, "accept-encoding": "identity" },
  });
}

function parseJson(bytes: Uint8Array): Result<Json, Problem> {
  let text: string;
  try {
    // A byte order mark may be ignored, RFC 8259 section 8.1.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return err(problem("malformed_json", "The body is not UTF-8."));
  }
  const fault = findJsonFault(text, MAX_JSON_DEPTH);
  if (fault !== null) {
    const place = `at position ${fault.position} (${lineAndColumn(text, fault.position)})`;
    const detail = {
      unexpected: `The body is not JSON: unexpected character ${place}.`,
      end: `The body is not JSON: it ends too early, ${place}.`,
      too_deep: `The body nests deeper than ${MAX_JSON_DEPTH} levels ${place}.`,
    }[fault.what];
    return err(problem("malformed_json", detail));
  }
  const value = JSON.parse(text) as Json;
  const flaw = findFlaw(value, "") ?? findLoss(text);
  return flaw === null
    ? ok(value)
    : err(problemAt("invalid_request", { pointer: flaw.pointer }, flaw.detail));
}

interface Flaw {
  readonly pointer: string;
  readonly detail: string;
}

/** What is JSON, but could not be hashed, checked and stored as it came. */
function findFlaw(value: Json, pointer: string): Flaw | null {
  // Only an escape can smuggle half of a surrogate pair past the decoder.
  if (typeof value === "string" && !value.isWellFormed())
    return { pointer, detail: "The text holds half of a surrogate pair." };
  if (typeof value === "number" && !Number.isFinite(value))
    return { pointer, detail: "The number is too large: at most about 1.8e308 can be kept." };
  if (typeof value !== "object" || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    if (!key.isWellFormed()) return { pointer, detail: "A name holds half of a surrogate pair." };
    // Checking by a schema would drop it without a word.
    if (key === "__proto__") return { pointer, detail: "`__proto__` cannot be the name of a field." };
    const found = findFlaw(member, `${pointer}/${escapePointer(key)}`);
    if (found !== null) return found;
  }
  return null;
}

/** What would make one request of two different bodies. */
function findLoss(text: string): Flaw | null {
  const loss = findJsonLoss(text);
  if (loss === null) return null;
  const detail = {
    duplicate: "The object has this name twice.",
    rounded: "The integer is beyond 2^53, so it cannot be kept exactly. Send it as a text.",
  }[loss.what];
  return { pointer: loss.pointer, detail };
}

function tooLarge(): Problem {
  return problem("body_too_large", `The body is larger than ${MAX_BODY_BYTES} bytes.`);
}
