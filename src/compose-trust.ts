/** What takes tokens of other issuers in the place of API keys, as the deployment's variables say. */
import { audienceOf, createKeySource, createSeenCache, type TrustDeps } from "./access/index.ts";
import { egressOf, ownHostsOf } from "./compose-egress.ts";
import { checkUrl, type Logger } from "./platform/index.ts";

/** @param origin where this deployment is found; null: it does not know, so no token can be for it */
export function composeTrust(env: Env, origin: string | null, log: Logger): TrustDeps | null {
  if (origin === null) return null;
  const ownHosts = ownHostsOf(env);
  return {
    origin,
    keys: createKeySource({ egress: egressOf(env), log, now: () => Date.now() }),
    known: createSeenCache(),
    noted: createSeenCache(),
    isAddress: (url) => checkUrl(url, { ownHosts }).ok,
  };
}

/** For whom tokens must be that a tenant's API takes; null: none is taken. */
export function audiencesOf(origin: string | null): (tenant: string) => string | null {
  return (tenant) => (origin === null ? null : audienceOf(origin, tenant));
}
