/** The address of a request, as it is sent: what stands in `url`, and `query` behind it. */

import type { HttpParameters } from "./http-schema.ts";

export function addressOf({ url: text, query }: Pick<HttpParameters, "url" | "query">): string {
  const url = query === undefined ? null : URL.parse(text);
  if (url === null) return text;
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null) url.searchParams.append(name, String(one));
  }
  return url.href;
}
