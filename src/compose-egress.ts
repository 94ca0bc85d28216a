/** The one way out, as the deployment's variables say. */
import { browserAddress, createEgress, type Egress, parseDevelopmentHosts } from "./platform/index.ts";

/** Those that the operator names, and the one where browsers find this deployment. */
export function ownHostsOf(env: Pick<Env, "OWN_HOSTS" | "PUBLIC_ORIGIN">): readonly string[] {
  const named = (env.OWN_HOSTS ?? "").split(",").filter((host) => host !== "");
  const found = URL.parse(env.PUBLIC_ORIGIN ?? "")?.hostname ?? "";
  return found === "" || named.includes(found) ? named : [...named, found];
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
