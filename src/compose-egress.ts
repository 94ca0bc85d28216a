/** The one way out, as the deployment's variables say. */
import { browserAddress, createEgress, type Egress, parseDevelopmentHosts } from "./platform/index.ts";

export function ownHostsOf(env: Env): readonly string[] {
  return (env.OWN_HOSTS ?? "").split(",").filter((host) => host !== "");
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
