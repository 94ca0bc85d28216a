/** Forms of our own pages: reading what was sent, and telling whether it was sent from one of them. */
import { readBounded } from "./body.ts";

/** A few fields that people fill in, and a few that they do not see. */
const MAX_FORM_BYTES = 8_192;

/**
 * Whether a browser says that one of our own pages sent this. A referrer policy of `no-referrer` makes browsers send
 * `Origin: null`, so `Sec-Fetch-Site` is what mostly counts; what sends neither is no browser that we trust with a form.
 * It takes a form token beside it: this says nothing of programs.
 */
export function isSameOrigin(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const own = new URL(request.url).origin;
  if (site !== null)
    return site === "same-origin" && (origin === null || origin === "null" || origin === own);
  return origin === own;
}

/** The fields of a form; none if it is not one, or has more than 8 KiB. */
export async function readForm(request: Request): Promise<URLSearchParams> {
  const type = request.headers.get("content-type") ?? "";
  if (!type.startsWith("application/x-www-form-urlencoded") || request.body === null)
    return new URLSearchParams();
  const read = await readBounded(request.body, MAX_FORM_BYTES);
  return new URLSearchParams(read.kind === "complete" ? new TextDecoder().decode(read.bytes) : "");
}
