/** Judges the answers that a step's function gets, as the action `http` judges its own. */

import { spokenEnd, type Said } from "./consequences.ts";
import { httpFailure } from "./failures.ts";
import { saidIn } from "./http-answer.ts";
import { meaningOf, SUCCESS } from "./http-status.ts";
import type { Consequence } from "./lease.ts";
import type { ActionCall, ActionResult } from "./ports.ts";
import { retryAfterMs } from "./retry-after.ts";

/** What one attempt of a function has sent so far. */
export class Trail {
  /** Requests by methods that may change something. */
  changes = 0;
  /** What each answer is the answer to. */
  readonly asked = new WeakMap<
    Response,
    { readonly host: string; readonly method: string; readonly consequence?: Passed | undefined }
  >();
}

/** What a service says of the connection that a function may see as it is. */
export type Passed = Extract<Consequence, { readonly kind: "later" | "refused" }>;

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
  const { host, method, consequence } = trail.asked.get(answer) ?? { host: "The service", method: "" };
  const meaning = meaningOf(answer.status, {
    method,
    keyed: call.effect === "keyed",
    maybe: call.maybe,
    success: [...SUCCESS, ...also],
    refused: [],
  });
  const fine = meaning === "success" || meaning === "gone";
  if (fine && consequence === undefined) return answer;
  const headers = Object.fromEntries(answer.headers);
  const body = new Uint8Array(await answer.clone().arrayBuffer());
  if (consequence !== undefined && (fine || consequence.kind === "later"))
    throw new BadAnswer(
      spoken(
        consequence,
        { status: answer.status, headers, body },
        { host, now, others: othersOf(trail, method) },
      ),
    );
  const said = saidIn(body, headers["content-type"]);
  const failure = httpFailure(answer.status, host, said, meaning !== "cannot");
  // That this request did nothing says nothing of an earlier one of the same attempt.
  const others = othersOf(trail, method);
  if (meaning === "cannot" && others <= 0) throw new BadAnswer({ kind: "cannot", failure });
  const wait = retryAfterMs(headers, now);
  throw new BadAnswer({
    kind: meaning === "refused" && others <= 0 ? "refused" : "unclear",
    failure,
    ...(wait === null ? {} : { retryAfterMs: wait }),
  });
}

/** Requests of the attempt, beside this one, that may have changed something. */
function othersOf(trail: Trail, method: string): number {
  return trail.changes - (isReading(method) ? 0 : 1);
}

/** The service refused by its own word, whatever the status says. */
function spoken(
  consequence: Passed,
  said: Said,
  { host, now, others }: { readonly host: string; readonly now: number; readonly others: number },
): BadAnswer["end"] {
  const end = spokenEnd(consequence, said, { host, now });
  return others <= 0 ? end : { ...end, kind: "unclear" };
}
