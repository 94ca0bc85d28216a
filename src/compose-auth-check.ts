/** Whether the credentials that a plan names would be given to it: service tokens, connections and cloud roles. It lends nothing. */
import {
  type AuthCheck,
  type AuthRefusal,
  didYouMean,
  isCloudRef,
  isConnectionRef,
  nearest,
  parseAuthCheck,
} from "./actions/index.ts";
import { plainRef } from "./compose-acquire.ts";
import type { Connections } from "./connections/index.ts";
import type { Subject } from "./identity/index.ts";

/** As many integrations, or roles, are looked through for one that was meant. */
const MAX_NAMES = 100;
const MAX_TOLD = 20;

/** Of the identity room. */
export interface RoleCheck {
  /** A page of the tenant's roles, by their names. */
  roles(
    tenant: string,
    page: { readonly after: string; readonly limit: number },
  ): Promise<readonly { readonly name: string }[]>;
  /** Why a role would not be lent for a request to this host by a step of this timeout. */
  refusalOf(
    role: string,
    host: string,
    asker: { readonly tenant: string; readonly subject: Subject; readonly stepTimeoutMs: number },
  ): Promise<AuthRefusal | undefined>;
}

/**
 * @param serviceTokens the secret. Where it does not fit no run gets on, and says why; a plan is not held up by it
 * @param connections asked only where a plan names a connection
 * @param roles asked only where a plan names a cloud role
 */
export function createAuthCheck(
  serviceTokens: string | undefined,
  connections: () => Pick<Connections, "refusalOf" | "integrations">,
  roles: () => RoleCheck,
): AuthCheck {
  const tokens = parseAuthCheck(serviceTokens);
  return async (auth, host, asker, stepTimeoutMs) => {
    if (isCloudRef(auth)) {
      const { tenant, plan } = asker;
      const subject: Subject = plan === null ? { kind: "inline", name: null } : { kind: "plan", name: plan };
      const refusal = await roles().refusalOf(auth.cloud, host, { tenant, subject, stepTimeoutMs });
      if (refusal?.code !== "unknown_cloud_role") return refusal;
      const known = await roles().roles(tenant, { after: "", limit: MAX_NAMES });
      const names = known.map(({ name }) => name);
      return meant(refusal, auth.cloud, names, false);
    }
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
