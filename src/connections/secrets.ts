/** What must not come back of a credential: all that it is made of. */
import { fromBase64 } from "../platform/index.ts";
import type { Bound } from "./providers/index.ts";

/** Shorter ones cannot be told from other texts, so they could not be kept out of outputs and logs. */
export const MIN_SECRET_CHARS = 8;
/** Of a name: what is shorter is looked for in vain, and hides nothing. */
const MIN_PART_CHARS = 6;

/** The token; of `basic` also what the pair was made of: some services take a key in the place of the name. */
export function secretsOf({ kind }: Bound, token: string): readonly string[] {
  const bytes = kind === "basic" ? fromBase64(token) : null;
  if (bytes === null) return [token];
  const pair = new TextDecoder().decode(bytes);
  const colon = pair.indexOf(":");
  const parts = [pair.slice(0, colon), pair.slice(colon + 1)];
  return [token, ...parts.filter((part) => part.length >= MIN_PART_CHARS)];
}
