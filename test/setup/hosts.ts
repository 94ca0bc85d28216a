/** The hosts of an account, as the internet finds them. */
import type { StandIn } from "./stand-in.ts";

/** A host answers if a version that runs is reached by it. */
export function hostsOf(account: StandIn): (url: string, init: RequestInit) => Promise<Response> {
  return async (url) => {
    const { hostname, pathname } = new URL(url);
    const { workers, subdomain } = account.read();
    const there = Object.entries(workers).some(([name, { versions }]) => {
      const last = versions.at(-1);
      return (
        last !== undefined &&
        ((last.workersDev && hostname === `${name}.${subdomain}.workers.dev`) ||
          last.domains.includes(hostname))
      );
    });
    if (!there) throw new TypeError("fetch failed");
    if (pathname === "/healthz") return Response.json({ status: "ok" });
    return Response.json({ status: "ok", checks: [{ name: "database", ok: true, detail: "Migrated." }] });
  };
}
