/**
 * `api.bench.example`: almost nothing, as fast as it can be. Any method on `/report` or `/echo` counts one
 * arrival for the `id` of its query (or, for a POST without one, of its JSON body). No token, no ledger, no faults.
 */
import { readBody, send, type IncomingMessage, type ServerResponse } from "./http.ts";
import type { RawService } from "./service.ts";

const OK = JSON.stringify({ ok: true });
const HEADERS = { "content-type": "application/json", "content-length": OK.length };
const MAX_ID_CHARS = 255;

export const BENCH: RawService = {
  name: "bench",
  host: "api.bench.example",
  listener:
    ({ referee }) =>
    (req, res) => {
      const url = new URL(req.url ?? "/", "http://api.bench.example");
      if (url.pathname !== "/report" && url.pathname !== "/echo") return send(res, { status: 404 });
      const id = url.searchParams.get("id");
      if (id !== null || req.method !== "POST") {
        req.resume();
        if (id !== null) referee.reports.arrived(id.slice(0, MAX_ID_CHARS));
        return answer(res);
      }
      void idInBody(req).then((found) => {
        if (found !== null) referee.reports.arrived(found.slice(0, MAX_ID_CHARS));
        answer(res);
      });
    },
};

function answer(res: ServerResponse): void {
  res.writeHead(200, HEADERS);
  res.end(OK);
}

async function idInBody(req: IncomingMessage): Promise<string | null> {
  const body = await readBody(req);
  if (body.kind !== "read") return null;
  try {
    const parsed: unknown = JSON.parse(body.bytes.toString());
    const id = typeof parsed === "object" && parsed !== null && "id" in parsed ? parsed.id : null;
    return typeof id === "string" ? id : null;
  } catch {
    return null;
  }
}
