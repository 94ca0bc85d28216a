/** Whether a step that names a connection could ever be lent it: said of plans before they run. Pure; who runs asks again. */
import { missingScopes } from "./grant.ts";
import type { Integration } from "./integrations.ts";
import { type Bound, mayReceive } from "./providers/index.ts";
import { hostOfAnswer } from "./providers/token-answer.ts";
import type { ConnectionReference } from "./use.ts";

/** Why not. */
export interface ReferenceRefusal {
  /** JSON Pointer from the reference. */
  readonly at: string;
  readonly code:
    | "unknown_integration"
    | "connection_without_user"
    | "connection_not_for_host"
    | "scope_not_allowed"
    | "scopes_not_taken";
  readonly detail: string;
  readonly allowed?: readonly string[];
}

/** @param user whom the run acts for; null: nobody; undefined: that is not known yet */
export function refusalOfReference(
  { connection: name, scopes }: ConnectionReference,
  known: Integration | null,
  host: string,
  user: string | null | undefined,
): ReferenceRefusal | undefined {
  if (known === null)
    return {
      at: "/connection",
      code: "unknown_integration",
      detail: `There is no integration named "${name}".`,
    };
  if (known.owner === "user" && user === null)
    return {
      at: "/connection",
      code: "connection_without_user",
      detail: `Connections of ${name} belong to end users, and the run acts for none: start it with a \`user\`.`,
    };
  // Fixed and checked when the integration was made.
  const provider = known.fixed.provider as Bound;
  if (!reaches(provider, host))
    return {
      at: "/connection",
      code: "connection_not_for_host",
      detail: `The tokens of ${name} are not sent to ${host}.`,
      allowed: provider.hosts,
    };
  if (scopes === undefined) return undefined;
  if (known.kind === "api_key" || known.kind === "basic")
    return { at: "/scopes", code: "scopes_not_taken", detail: `What ${name} lends has no scopes.` };
  const { scopesAllowed } = known.settings;
  if (scopesAllowed === null) return undefined;
  const outside = missingScopes({ scopes: scopesAllowed }, scopes);
  return outside.length === 0
    ? undefined
    : {
        at: "/scopes",
        code: "scope_not_allowed",
        detail: `${name} asks nobody for ${outside.join(", ")}.`,
        allowed: scopesAllowed,
      };
}

/** Whether the token may go there at all; of which path, and of which connection, is asked when it is sent. */
function reaches(provider: Bound, host: string): boolean {
  const url = `https://${host}/`;
  if (mayReceive(provider, {}, url).ok) return true;
  return hostOfAnswer(provider, url) !== null;
}
