/** What can be said of a call to whoever is asked to approve it: what the engine knows, without what it sends. */

import type { Json } from "../kernel/index.ts";

/** A path is shown to tell calls apart, not to be read out. */
const MAX_PATH_CHARS = 200;

/** Method, host and path of a request; the action alone where its parameters are code. The query is left out. */
export function aboutCall(action: string, parameters: Json): Json {
  if (action !== "http" || typeof parameters !== "object" || parameters === null || !("url" in parameters))
    return { action };
  const { method = null, url } = parameters;
  const target = typeof url === "string" ? URL.parse(url) : null;
  if (target === null) return { action, method };
  return { action, method, host: target.host, path: target.pathname.slice(0, MAX_PATH_CHARS) };
}
