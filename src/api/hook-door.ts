/**
 * `POST /hooks/{tenant}/{name}`: where services deliver. What becomes of a delivery is decided in the triggers room.
 *
 * - W1 the body is read as it is on the wire, and no further than the hook allows.
 * - W2 what is refused, and a hook that is not there, are answered as an address is at which there is nothing.
 */
import { formatTraceparent, isName, isTenantId, parseTraceparent } from "../platform/index.ts";
import type { ApiDeps } from "./ports.ts";
import { problem, type Problem } from "./problems.ts";
import { RETRY_AFTER_S } from "./replies.ts";

/** Null: as if there were nothing here (W2). */
export async function receiveDelivery(
  deps: ApiDeps,
  request: Request,
  { tenant = "", name = "" }: Readonly<Record<string, string>>,
): Promise<Response | Problem | null> {
  if (!isTenantId(tenant) || !isName(name)) return null;
  const trace = parseTraceparent(request.headers.get("traceparent") ?? "");
  const told = await deps.hooks().receive(tenant, name, {
    headers: request.headers,
    body: request.body,
    traceparent: trace === null ? null : formatTraceparent(trace),
  });
  switch (told.status) {
    case 404:
      return null;
    case 503:
      return problem("unavailable", "The delivery cannot be taken just now.", {
        headers: { "retry-after": String(RETRY_AFTER_S) },
      });
    case 429:
      return new Response(null, { status: 429, headers: { "retry-after": String(told.retryAfterS) } });
    case 202:
      return new Response(null, { status: 202 });
    case 200:
      return new Response(told.body, { status: 200, headers: { "content-type": told.contentType } });
  }
}
