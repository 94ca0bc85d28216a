/**
 * The backend of the demo's tenant: the address to which browsers come back after a consent. One user is logged in at it, and
 * it says so to the API: in the mode `confirm` nothing uses what was granted before that.
 */
import { createServer } from "node:http";
import { once } from "node:events";
import type { Outcome } from "./complaint.ts";
import type { Running } from "./processes.ts";

const PATH = "/connected";

export interface Backend extends Running {
  /** Registered with the integration. */
  readonly returnTo: string;
}

/** @param confirm tells the API that the logged-in user came back with the code of a session */
export async function startBackend(
  confirm: (session: string, code: string) => Promise<Outcome<unknown>>,
): Promise<Backend> {
  const server = createServer((request, answer) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://127.0.0.1");
    const [session, code] = [searchParams.get("session"), searchParams.get("code")];
    const isOurs = pathname === PATH && request.method === "GET" && session !== null && code !== null;
    const said = isOurs ? confirm(session, code) : null;
    void (said ?? Promise.resolve(null)).then((outcome) => {
      const status = outcome === null ? 404 : outcome.ok ? 200 : 409;
      answer.writeHead(status, {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
      });
      answer.end(page(status === 200 ? "Connected" : status === 404 ? "Nothing here" : "Not connected"));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a numeric port");
  const ended = once(server, "close").then(() => undefined);
  return {
    returnTo: `http://127.0.0.1:${address.port}${PATH}`,
    ended,
    end: async () => {
      server.close();
      server.closeAllConnections();
      await ended;
    },
  };
}

function page(title: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title}</title></head>
<body><main><h1>${title}</h1><p>The terminal tells how it goes on. You can close this window.</p></main></body></html>
`;
}
