/** The one way out, as the deployment's variables say. */
import { createEgress, type Egress, parseDevelopmentHosts } from "./platform/index.ts";

export function ownHostsOf(env: Env): readonly string[] {
  return (env.OWN_HOSTS ?? "").split(",").filter((host) => host !== "");
}

export function egressOf(env: Env): Egress {
  return createEgress({
    ownHosts: ownHostsOf(env),
    developmentHosts: parseDevelopmentHosts(env.DEV_HOSTS),
  });
}
