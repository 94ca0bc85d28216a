/** What can be said of a call to whoever is asked to approve it: what the engine knows, without what it sends. */

import type { Json } from "../kernel/index.ts";
import { redactShapes } from "../platform/index.ts";
import { addressOf } from "./http-address.ts";
import { checkHttp } from "./http-schema.ts";

/** An address is shown to tell calls apart; what is cut off ends with `…`. */
const MAX_PATH_CHARS = 200;
const MAX_QUERY_CHARS = 1_000;

/** Method, host, path and query of a request, but for what looks like a secret; the action alone where its parameters are code. */
export function aboutCall(action: string, parameters: Json): Json {
  if (action !== "http" || typeof parameters !== "object" || parameters === null || !("url" in parameters))
    return { action };
  const { method = null, url } = parameters;
  const checked = checkHttp(parameters);
  const address = checked.ok ? addressOf(checked.parameters) : url;
  const target = typeof address === "string" ? URL.parse(address) : null;
  if (target === null) return { action, method };
  return {
    ...{ action, method, host: target.host, path: cut(target.pathname, MAX_PATH_CHARS) },
    // Redacted before it is cut: half a secret has no shape.
    ...(target.search === "" ? {} : { query: cut(redactShapes(target.search), MAX_QUERY_CHARS) }),
  };
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}
