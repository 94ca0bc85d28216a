/** Whether the credentials that a plan names would be given to it: service tokens and connections alike. It lends nothing. */
import {
  type AuthCheck,
  type AuthRefusal,
  didYouMean,
  isConnectionRef,
  nearest,
  parseAuthCheck,
} from "./actions/index.ts";
import { plainRef } from "./compose-acquire.ts";
import type { Connections } from "./connections/index.ts";

/** As many integrations are looked through for one that was meant. */
const MAX_NAMES = 100;
const MAX_TOLD = 20;

/**
 * @param serviceTokens the secret. Where it does not fit no run gets on, and says why; a plan is not held up by it
 * @param connections asked only where a plan names a connection
 */
export function createAuthCheck(
  serviceTokens: string | undefined,
  connections: () => Pick<Connections, "refusalOf" | "integrations">,
): AuthCheck {
  const tokens = parseAuthCheck(serviceTokens);
  return async (auth, host, asker) => {
    if (!isConnectionRef(auth)) return tokens.ok ? tokens.value(auth, host) : undefined;
    const room = connections();
    const refusal = await room.refusalOf(plainRef(auth), host, asker);
    if (refusal?.code !== "unknown_integration") return refusal;
    const known = await room.integrations(asker.tenant, { after: "", limit: MAX_NAMES });
    const names = known.map(({ name }) => name);
    return meant(refusal, auth.connection, names, asker.seesIntegrations === true);
  };
}

/** @param all whether all names are told where none is near */
function meant(refusal: AuthRefusal, word: string, names: readonly string[], all: boolean): AuthRefusal {
  const name = nearest(word, names);
  if (name !== null) return { ...refusal, detail: refusal.detail + didYouMean(word, names), allowed: [name] };
  return all && names.length > 0 ? { ...refusal, allowed: names.slice(0, MAX_TOLD) } : refusal;
}
