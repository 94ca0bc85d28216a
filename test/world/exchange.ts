/**
 * One request at a service, from arrival to its end. Owns the order of things:
 *
 * X1 arrival is in the ledger before anything is decided;
 * X2 check, then fault, then key, then deed, then kept answer, then answer; nothing that a fault may break comes before the deed is written;
 * X3 once a request is served, what happens does not depend on whether its client still listens.
 */
import { deliver, pause, stopBefore } from "./misbehave.ts";
import type { Fault, FaultBook } from "./faults.ts";
import {
  problem,
  readBody,
  send,
  type Answer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "./http.ts";
import type { Referee } from "./referee.ts";
import { checkRequest, readRequest, type Said } from "./request.ts";
import type { ApiService, Call, ServiceRoute } from "./service.ts";
import type { Tokens } from "./tokens.ts";

export interface Desk {
  referee: Referee;
  faults: FaultBook;
  tokens: Tokens;
}

interface Exchange {
  seq: number;
  service: ApiService;
  route: ServiceRoute;
  said: Said;
  call: Call;
  fault: Fault | null;
  life: AbortSignal;
}

export function serve(service: ApiService, desk: Desk): RequestListener {
  return (req, res) => {
    exchange(service, desk, req, res).catch((error: unknown) => {
      // A bug of the world: say it loudly, and do not leave the client hanging.
      console.error(`world: ${service.name} failed`, error);
      if (res.headersSent) res.destroy();
      else send(res, problem(500, "world_bug", "The world itself has failed; see its standard error."));
    });
  };
}

async function exchange(
  service: ApiService,
  desk: Desk,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { referee } = desk;
  const body = await readBody(req);
  const life = referee.life;
  const said = readRequest(service.host, req, body);
  const { method, path, key, reference, digest, attempt, traceparent } = said;
  const arrival = { service: service.name, method, path, key, reference, digest, attempt, traceparent };
  const seq = referee.arrive(arrival);
  if (body.kind === "gone") return referee.end(seq, { answer: "lost", status: null });
  const working = referee.startWork(arrival);
  res.once("close", () => {
    if (life.aborted) return;
    const status = res.headersSent ? res.statusCode : null;
    referee.end(seq, { answer: res.writableFinished ? "delivered" : "lost", status });
  });
  try {
    await handle(service, desk, { seq, said, life }, res);
  } catch (error) {
    if (!life.aborted) throw error;
    res.destroy();
  } finally {
    working.end();
  }
}

async function handle(
  service: ApiService,
  desk: Desk,
  request: Pick<Exchange, "seq" | "said" | "life">,
  res: ServerResponse,
): Promise<void> {
  const { referee } = desk;
  const { seq, said, life } = request;
  const { method, key, reference, url } = said;
  const checked = checkRequest(service, desk.tokens, said);
  if (checked.kind === "refused") return send(res, checked.answer);
  if (referee.full) return send(res, problem(507, "world_full", "The world remembers no more; reset it."));
  const { route, params, body } = checked;
  const { name, host } = service;
  const fault = desk.faults.take({
    service: name,
    host,
    method,
    path: url.pathname,
    route: route.path,
    reference,
    key,
  });
  if (fault !== null) {
    referee.note(seq, { fault: fault.kind });
    if (stopBefore(res, host, fault)) return;
  }
  const hands = handsOf(service, referee, request);
  const call = { params, body, query: url.searchParams, key, reference, ...hands };
  const answer = await answerOnce(referee, { ...request, service, route, call, fault });
  if (answer === null) res.destroy();
  else await deliver(res, host, answer, fault, life);
}

/** The answer by way of the idempotency key, if there is one. Null if the world's life ended meanwhile. */
async function answerOnce(
  referee: Referee,
  { seq, service, route, said, call, fault, life }: Exchange,
): Promise<Answer | null> {
  if (said.key === null || said.method === "GET") return await work(route, call, fault, life);
  const scope = `${service.name} ${route.method} ${route.path} ${said.key}`;
  const digest = `${said.path} ${said.digest}`;
  const claim = referee.claimKey(scope, digest);
  switch (claim.kind) {
    case "busy":
      return problem(
        409,
        "idempotency_key_in_flight",
        "The first request with this key is still at work; try again later.",
      );
    case "other_body":
      return problem(
        422,
        "idempotency_key_reused",
        "This key was used with another request; one key means one payload.",
      );
    case "replay":
      referee.note(seq, { absorbed: true });
      return { ...claim.answer, headers: { ...claim.answer.headers, "idempotent-replayed": "true" } };
    case "first":
      try {
        return await work(route, call, fault, life, (answer) => {
          if (answer.status < 300) referee.keepAnswer(scope, digest, answer);
        });
      } finally {
        claim.release();
      }
  }
}

async function work(
  route: ServiceRoute,
  call: Call,
  fault: Fault | null,
  life: AbortSignal,
  keep?: (answer: Answer) => void,
): Promise<Answer | null> {
  if (fault?.kind === "slow" && !(await pause(fault.ms, life))) return null;
  const answer = await route.handle(call);
  if (life.aborted) return null;
  keep?.(answer);
  if (fault?.kind === "late" && !(await pause(fault.ms, life))) return null;
  return answer;
}

/** What a handler may do to the world, in the name of one request, and only as long as that world lasts. */
function handsOf(
  service: ApiService,
  referee: Referee,
  { seq, said, life }: Pick<Exchange, "seq" | "said" | "life">,
): Pick<Call, "make" | "undo" | "find" | "list"> {
  const { key, reference } = said;
  return {
    make: (kind, prefix, data) => {
      life.throwIfAborted();
      return referee.make({ service: service.name, kind, reference, key, seq, data }, prefix);
    },
    undo: (deed) => {
      life.throwIfAborted();
      referee.undo(seq, deed);
    },
    find: (kind, id) => {
      const deed = referee.deed(service.name, id);
      return deed?.kind === kind ? deed : undefined;
    },
    list: (filter) => referee.deeds({ service: service.name, ...filter }),
  };
}
