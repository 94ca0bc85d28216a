/** The one way out, as the deployment's variables say. */
import { browserAddress, createEgress, type Egress, parseDevelopmentHosts } from "./platform/index.ts";

/** Those that the operator names, and those where browsers and verifiers find this deployment. */
export function ownHostsOf(
  env: Pick<Env, "OWN_HOSTS" | "PUBLIC_ORIGIN" | "ISSUER_ORIGIN">,
): readonly string[] {
  const named = (env.OWN_HOSTS ?? "").split(",");
  const found = [env.PUBLIC_ORIGIN, env.ISSUER_ORIGIN].map((one) => URL.parse(one ?? "")?.hostname ?? "");
  return [...new Set([...named, ...found])].filter((host) => host !== "");
}

export function egressOf(env: Env): Egress {
  return createEgress({
    ownHosts: ownHostsOf(env),
    developmentHosts: parseDevelopmentHosts(env.DEV_HOSTS),
  });
}

/** Where browsers are sent for an address of the outside. */
export function browserAddressOf(env: Env): (address: string) => string {
  return (address) => browserAddress(parseDevelopmentHosts(env.DEV_HOSTS), address);
}
