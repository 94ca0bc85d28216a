/**
 * `referee.example`: the referee, the faults and the controls of the login server and the clouds over HTTP, for programs outside
 * this process. Open to whoever reaches loopback; it answers with counts and names, never with tokens, but for
 * `/login/secrets` and `/clouds/secrets`.
 */
import { cloudRoutes } from "./clouds/control.ts";
import type { Clouds } from "./clouds/index.ts";
import { parseFaultRules } from "./fault-input.ts";
import type { FaultBook, FaultRule } from "./faults.ts";
import {
  findRoute,
  problem,
  readBody,
  send,
  type Answer,
  type IncomingMessage,
  type Route,
  type ServerResponse,
} from "./http.ts";
import type { DeedFilter } from "./deeds.ts";
import type { Login } from "./login.ts";
import { loginRoutes } from "./login-control.ts";
import type { Referee } from "./referee.ts";
import type { RawService, Surroundings } from "./service.ts";

/** The longest `wait` of a query. */
const MAX_WAIT_MS = 10 * 60 * 1000;

export interface Question {
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
}

export function controlService(faults: FaultBook, login: Login, clouds: Clouds): RawService {
  return {
    name: "referee",
    host: "referee.example",
    listener: (surroundings) => {
      const routes = [...controlRoutes(surroundings, faults), ...loginRoutes(login), ...cloudRoutes(clouds)];
      return (req, res) => {
        answer(routes, req, res).catch((error: unknown) => {
          console.error("world: the referee failed", error);
          send(res, problem(500, "world_bug", "The world itself has failed; see its standard error."));
        });
      };
    },
  };
}

async function answer(
  routes: readonly Route<Question>[],
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const body = await readBody(req);
  if (body.kind === "gone") return;
  if (body.kind === "too_large")
    return send(res, problem(413, "body_too_large", "That is more than the referee reads."));
  const url = new URL(req.url ?? "/", "http://referee.example");
  const found = findRoute(routes, req.method ?? "GET", url.pathname);
  if (found.kind === "missing") return send(res, found.answer);
  const parsed = parse(body.bytes);
  if (parsed === undefined) return send(res, problem(400, "malformed_body", "The body must be JSON."));
  send(res, await found.route.handle({ params: found.params, query: url.searchParams, body: parsed }));
}

function controlRoutes({ referee, names }: Surroundings, faults: FaultBook): Route<Question>[] {
  return [
    { method: "GET", path: "/names", handle: () => ok(names) },
    { method: "GET", path: "/counts", handle: () => ok(referee.counts()) },
    { method: "GET", path: "/ledger", handle: ({ query }) => ledger(referee, query) },
    { method: "GET", path: "/open", handle: () => ok({ items: referee.open() }) },
    { method: "GET", path: "/deeds", handle: ({ query }) => ok({ items: referee.deeds(filterOf(query)) }) },
    { method: "GET", path: "/duplicates", handle: () => ok({ items: referee.duplicates() }) },
    {
      method: "GET",
      path: "/happened/:reference",
      handle: ({ params, query }) =>
        ok(referee.happened(params["reference"] ?? "", query.get("service") ?? undefined)),
    },
    {
      method: "GET",
      path: "/reports/:id",
      handle: ({ params, query }) => report(referee, params["id"] ?? "", query),
    },
    { method: "GET", path: "/faults", handle: () => ok({ items: faults.list() }) },
    {
      method: "PUT",
      path: "/faults",
      handle: ({ body }) => changeFaults(faults, body, (rules) => faults.set(rules)),
    },
    {
      method: "POST",
      path: "/faults",
      handle: ({ body }) => changeFaults(faults, body, (rules) => faults.add(rules)),
    },
    {
      method: "DELETE",
      path: "/faults",
      handle: () => {
        faults.set([]);
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/forget-keys",
      handle: () => {
        referee.forgetKeys();
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/reset",
      handle: () => {
        faults.set([]);
        referee.reset();
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/reload",
      handle: () =>
        referee.reload()
          ? { status: 204 }
          : problem(409, "no_state_file", "The world was started without a state file."),
    },
  ];
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

async function ledger(referee: Referee, query: URLSearchParams): Promise<Answer> {
  const since = whole(query, "since", 0);
  await referee.until(() => referee.revision !== since, whole(query, "wait", 0));
  return ok(referee.ledger(since));
}

async function report(referee: Referee, id: string, query: URLSearchParams): Promise<Answer> {
  const count = Math.max(1, whole(query, "count", 1));
  const found = await referee.reports.wait(id, count, whole(query, "wait", 0));
  return ok(
    found === null
      ? { reached: false, id, count: referee.reports.get(id)?.count ?? 0 }
      : { reached: true, ...found },
  );
}

function filterOf(query: URLSearchParams): DeedFilter {
  const filter: DeedFilter = {};
  for (const name of ["service", "kind", "reference", "key"] as const) {
    const value = query.get(name);
    if (value !== null) filter[name] = value;
  }
  const standing = query.get("standing");
  if (standing !== null) filter.standing = standing === "true";
  return filter;
}

function changeFaults(faults: FaultBook, body: unknown, change: (rules: FaultRule[]) => void): Answer {
  const input = parseFaultRules(body);
  if (input.kind === "wrong")
    return problem(422, "invalid_body", "These are not fault rules; see errors.", { errors: input.errors });
  change(input.rules);
  return ok({ items: faults.list() });
}

/** A whole number of the query, from 0, at most ten minutes for waits. */
function whole(query: URLSearchParams, name: string, otherwise: number): number {
  const value = Number(query.get(name) ?? otherwise);
  const number = Number.isInteger(value) && value >= 0 ? value : otherwise;
  return name === "wait" ? Math.min(number, MAX_WAIT_MS) : number;
}

/** Undefined if it is not JSON; no body is null. */
function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return null;
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    return undefined;
  }
}
