/** What a service's word on the token makes of an attempt. */

import { keptHeaders, type EgressResult } from "../platform/index.ts";
import { failure, httpFailure } from "./failures.ts";
import { saidIn } from "./http-answer.ts";
import type { Consequence } from "./lease.ts";
import type { ActionResult } from "./ports.ts";
import { retryAfterMs } from "./retry-after.ts";

/** What is looked at in an answer. */
export interface Said {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * The end of an attempt whose answer says something about its connection.
 * @param judged what the answer means by its status alone
 */
export function consequent(
  consequence: Exclude<Consequence, { readonly kind: "again" }>,
  said: Said,
  judged: ActionResult,
  { host, now }: { readonly host: string; readonly now: number },
): ActionResult {
  switch (consequence.kind) {
    case "needs":
    case "cannot":
      return consequence;
    case "later":
      return spokenEnd(consequence, said, { host, now });
    case "refused":
      // A status that says so itself is judged as any other.
      return said.status >= 400 ? judged : spokenEnd(consequence, said, { host, now });
  }
}

/** The service did nothing, and says so beside its status. */
export function spokenEnd(
  consequence: Extract<Consequence, { readonly kind: "later" | "refused" }>,
  said: Said,
  { host, now }: { readonly host: string; readonly now: number },
): Extract<ActionResult, { readonly kind: "refused" | "cannot" }> {
  if (consequence.kind === "refused") {
    const hint =
      "Its message has the service's own word: correct the request, or what the account may do there.";
    return { kind: "cannot", failure: refusal(said, host, hint, false) };
  }
  const waitMs = consequence.waitMs ?? retryAfterMs(said.headers, now);
  const seed =
    said.status >= 400
      ? httpFailure(said.status, host, wordsOf(said), true)
      : refusal(said, host, "It asks to come back later: send less at a time.", true);
  return { kind: "refused", failure: seed, ...(waitMs === null ? {} : { retryAfterMs: waitMs }) };
}

/** Status and headers were told, whatever became of its body; null: nothing came. */
export function saidBy(result: EgressResult): Said | null {
  if (result.kind === "answered") return result;
  const answer = result.kind === "failed" ? result.answer : null;
  return answer === null ? null : { ...answer, body: new Uint8Array() };
}

/** The answer without the headers that only the connection is read from. */
export function withoutExtra(
  result: EgressResult,
  kept: readonly string[] | undefined,
  extra: readonly string[],
): EgressResult {
  if (extra.length === 0 || result.kind === "blocked") return result;
  const only = (headers: Readonly<Record<string, string>>) => keptHeaders(new Headers(headers), kept);
  if (result.kind === "answered") return { ...result, headers: only(result.headers) };
  const { answer } = result;
  return answer === null ? result : { ...result, answer: { ...answer, headers: only(answer.headers) } };
}

function refusal(said: Said, host: string, hint: string, retryable: boolean): ReturnType<typeof failure> {
  const words = wordsOf(said);
  const message = `${host} answered ${said.status}, and refused in the answer${words === null ? "." : `: ${words}`}`;
  return failure("service_refused", message, hint, { retryable, status: said.status });
}

function wordsOf({ body, headers }: Said): string | null {
  return saidIn(body, headers["content-type"]);
}
