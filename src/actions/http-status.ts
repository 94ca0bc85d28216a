/** What a status says about the world: the HTTP part of the effects table. Pure. */

/** The service did nothing: RFC 9110 (401, 421), RFC 8470 (425), RFC 6585 (429), and Cloudflare's own before an origin was reached. */
const REFUSED: ReadonlySet<number> = new Set([401, 421, 425, 429, 521, 523, 525, 526, 530]);

export type Meaning = "success" | "gone" | "refused" | "unclear" | "cannot";

export interface StatusContext {
  readonly method: string;
  /** The request carried an idempotency key. */
  readonly keyed: boolean;
  /** An earlier attempt may have happened. */
  readonly maybe: boolean;
  /** Statuses and ranges that count as success. */
  readonly success: readonly (number | string)[];
  /** Further statuses of which the step says that nothing happened. */
  readonly refused: readonly number[];
}

/** "Look there": the usual answer to a form that worked. 307 and 308 say that the request is still to be made. */
const LOOK_ELSEWHERE: ReadonlySet<number> = new Set([301, 302, 303]);
const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

const TWO_HUNDREDS = "200-299";
/** The default of `success`. */
export const SUCCESS: readonly (number | string)[] = [TWO_HUNDREDS];
/** For a `verify`, "there is no such thing" is an answer too. */
export const VERIFY_SUCCESS: readonly (number | string)[] = [TWO_HUNDREDS, 404, 410];

export function meaningOf(status: number, context: StatusContext): Meaning {
  if (context.success.some((one) => covers(one, status))) return "success";
  // What an earlier attempt may have removed is removed.
  if (context.maybe && context.method === "DELETE" && (status === 404 || status === 410)) return "gone";
  if (REFUSED.has(status) || context.refused.includes(status)) return "refused";
  // The first attempt with this key may still be at work.
  if (status === 409 && context.keyed) return "unclear";
  if (status === 408 || status >= 500) return "unclear";
  if (LOOK_ELSEWHERE.has(status) && !READING.has(context.method)) return "unclear";
  return "cannot";
}

function covers(one: number | string, status: number): boolean {
  if (typeof one === "number") return one === status;
  if (one === TWO_HUNDREDS) return status >= 200 && status <= 299;
  const [from, to] = one.split("-").map(Number);
  return from !== undefined && to !== undefined && status >= from && status <= to;
}
