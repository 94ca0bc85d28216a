/** Judges the answers that a step's function gets, as the action `http` judges its own. */

import { httpFailure } from "./failures.ts";
import { saidIn } from "./http-answer.ts";
import { meaningOf, SUCCESS } from "./http-status.ts";
import type { ActionCall, ActionResult } from "./ports.ts";
import { retryAfterMs } from "./retry-after.ts";

/** What one attempt of a function has sent so far. */
export class Trail {
  /** Requests by methods that may change something. */
  changes = 0;
  /** What each answer is the answer to. */
  readonly asked = new WeakMap<Response, { readonly host: string; readonly method: string }>();
}

/** Thrown by `expectOk`; if the function lets it through, it decides how the attempt ended. */
export class BadAnswer extends Error {
  override readonly name = "BadAnswer";
  readonly end: Exclude<
    ActionResult,
    { readonly kind: "success" | "hop" | "needs" | "child" | "child_failed" }
  >;

  constructor(end: BadAnswer["end"]) {
    super(end.failure.message);
    this.end = end;
  }
}

/** RFC 9110, section 9.2.1. */
export function isReading(method: string): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS";
}

export async function expectOk(
  answer: Response,
  also: readonly number[],
  call: ActionCall,
  now: number,
  trail: Trail,
): Promise<Response> {
  const { host, method } = trail.asked.get(answer) ?? { host: "The service", method: "" };
  const meaning = meaningOf(answer.status, {
    method,
    keyed: call.effect === "keyed",
    maybe: call.maybe,
    success: [...SUCCESS, ...also],
    refused: [],
  });
  if (meaning === "success" || meaning === "gone") return answer;
  const headers = Object.fromEntries(answer.headers);
  const said = saidIn(new Uint8Array(await answer.clone().arrayBuffer()), headers["content-type"]);
  const failure = httpFailure(answer.status, host, said, meaning !== "cannot");
  // That this request did nothing says nothing of an earlier one of the same attempt.
  const others = trail.changes - (isReading(method) ? 0 : 1);
  if (meaning === "cannot" && others <= 0) throw new BadAnswer({ kind: "cannot", failure });
  const wait = retryAfterMs(headers, now);
  throw new BadAnswer({
    kind: meaning === "refused" && others <= 0 ? "refused" : "unclear",
    failure,
    ...(wait === null ? {} : { retryAfterMs: wait }),
  });
}
