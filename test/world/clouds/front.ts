/**
 * One request at a cloud, from arrival to its end, as at any service of the world (exchange.ts): in the ledger, spoiled by
 * fault rules, at work until it is done. Clouds check their own callers and answer in their own forms.
 *
 * - F1 arrival is in the ledger before anything is decided;
 * - F2 a fault that lets a request happen lets the exchange or the deed happen: a lost answer has issued a credential.
 */
import type { FaultBook } from "../faults.ts";
import { problem, readBody, send, type Answer, type IncomingMessage, type ServerResponse } from "../http.ts";
import { deliver, pause, stopBefore } from "../misbehave.ts";
import type { Referee } from "../referee.ts";
import { readRequest } from "../request.ts";
import type { RawService } from "../service.ts";
import { CLOUD_HOSTS, type CloudName } from "./names.ts";

export interface CloudRequest {
  readonly method: string;
  /** Under the https name of the service. */
  readonly url: URL;
  /** Path and query as they came. */
  readonly target: string;
  /** The name that the client knows the service by, which is what a signature covers. */
  readonly host: string;
  readonly headers: IncomingMessage["headers"];
  readonly contentType: string;
  readonly bytes: Buffer;
  /** The body as a form; empty if it is none. */
  readonly form: URLSearchParams;
  /** The body as JSON; undefined if it is none. */
  readonly json: unknown;
  readonly reference: string | null;
  readonly key: string | null;
  readonly seq: number;
  readonly referee: Referee;
}

export type CloudHandler = (request: CloudRequest) => Answer | Promise<Answer>;

/** A service that is served as all clouds are. */
export function cloudService(name: CloudName, faults: FaultBook, handle: CloudHandler): RawService {
  const host = CLOUD_HOSTS[name];
  return {
    name,
    host,
    listener:
      ({ referee }) =>
      (req, res) => {
        serve(name, host, faults, referee, handle, req, res).catch((error: unknown) => {
          console.error(`world: ${name} failed`, error);
          if (res.headersSent) res.destroy();
          else send(res, problem(500, "world_bug", "The world itself has failed; see its standard error."));
        });
      },
  };
}

async function serve(
  service: CloudName,
  host: string,
  faults: FaultBook,
  referee: Referee,
  handle: CloudHandler,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const body = await readBody(req);
  const { life } = referee;
  const said = readRequest(host, req, body);
  const { method, path, key, reference, digest, attempt, traceparent, url } = said;
  const arrival = { service, method, path, key, reference, digest, attempt, traceparent };
  const seq = referee.arrive(arrival);
  if (body.kind === "gone") return referee.end(seq, { answer: "lost", status: null });
  const working = referee.startWork(arrival);
  res.once("close", () => {
    if (life.aborted) return;
    const status = res.headersSent ? res.statusCode : null;
    referee.end(seq, { answer: res.writableFinished ? "delivered" : "lost", status });
  });
  try {
    if (body.kind === "too_large")
      return send(res, problem(413, "body_too_large", "That is more than a cloud of this world reads."));
    const place = { service, host, method, path: url.pathname, route: url.pathname, reference, key };
    const fault = faults.take(place);
    if (fault !== null) {
      referee.note(seq, { fault: fault.kind });
      if (stopBefore(res, host, fault)) return;
    }
    if (fault?.kind === "slow" && !(await pause(fault.ms, life))) return void res.destroy();
    const answer = await handle({
      method,
      url,
      target: path,
      host: forwardedHost(req) ?? host,
      headers: req.headers,
      contentType: said.contentType,
      bytes: body.bytes,
      form: new URLSearchParams(
        said.contentType === "application/x-www-form-urlencoded" ? body.bytes.toString() : "",
      ),
      json: said.contentType === "application/json" ? said.parsed : undefined,
      reference,
      key,
      seq,
      referee,
    });
    if (fault?.kind === "late" && !(await pause(fault.ms, life))) return void res.destroy();
    await deliver(res, host, answer, fault, life);
  } finally {
    working.end();
  }
}

/** As the product's development builds say it; else what stands in Host, which may be the port itself. */
function forwardedHost(req: IncomingMessage): string | undefined {
  const forwarded = req.headers["x-forwarded-host"];
  return typeof forwarded === "string" ? forwarded : req.headers.host;
}
