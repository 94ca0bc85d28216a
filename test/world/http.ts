/**
 * The small part of HTTP that every service of the world shares: reading a bounded body, plain answers,
 * problem documents, route tables. Knows nothing of tokens, keys, faults or the referee.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";

/** Larger bodies are answered with 413. */
export const MAX_BODY_BYTES = 1024 * 1024;

/** Longer than clients keep idle connections, so that it is the client that closes them. */
const KEEP_ALIVE_MS = 65_000;

/** An answer as data. Without `body` nothing is sent; a string or bytes are sent as they are, anything else as JSON. */
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

export interface Route<Call> {
  method: string;
  /** Segments that begin with a colon match any one segment: `/bookings/:id`. */
  path: string;
  handle: (call: Call) => Answer | Promise<Answer>;
}

export type Found<R> =
  | { kind: "found"; route: R; params: Record<string, string> }
  | { kind: "missing"; answer: Answer };

export type Body = { kind: "read"; bytes: Buffer } | { kind: "too_large" } | { kind: "gone" };

/** Milliseconds since the epoch with sub-millisecond resolution, never running backwards within one process. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** RFC 9457 problem document. `code` is stable; `extra` are extension members. */
export function problem(
  status: number,
  code: string,
  detail: string,
  extra: Record<string, unknown> = {},
): Answer {
  return {
    status,
    headers: { "content-type": "application/problem+json" },
    body: {
      type: `https://referee.example/problems/${code}`,
      title: code.replaceAll("_", " "),
      status,
      code,
      detail,
      ...extra,
    },
  };
}

/** The exact bytes of an answer's body. */
export function encode(answer: Answer): Buffer {
  if (answer.body === undefined) return Buffer.alloc(0);
  if (answer.body instanceof Uint8Array) return Buffer.from(answer.body);
  return Buffer.from(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body));
}

/** Sends an answer whole. Does nothing if the client has gone away. */
export function send(res: ServerResponse, answer: Answer): void {
  if (res.destroyed) return;
  const bytes = encode(answer);
  const headers: Record<string, string | number> = { "content-type": "application/json", ...answer.headers };
  if (answer.body === undefined) delete headers["content-type"];
  // RFC 9110 section 8.6: no Content-Length in a 204.
  if (answer.status !== 204) headers["content-length"] = bytes.length;
  res.writeHead(answer.status, headers);
  res.end(bytes);
}

/** Reads a request's body up to {@link MAX_BODY_BYTES}. What comes after the limit is thrown away unread. */
export function readBody(req: IncomingMessage): Promise<Body> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    req.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      else resolve({ kind: "too_large" });
    });
    req.on("end", () => resolve({ kind: "read", bytes: Buffer.concat(chunks) }));
    req.on("error", () => resolve({ kind: "gone" }));
    req.on("close", () => resolve({ kind: "gone" }));
  });
}

/** Finds the route of a request, or the 404 or 405 that it deserves. */
export function findRoute<R extends { method: string; path: string }>(
  routes: readonly R[],
  method: string,
  path: string,
): Found<R> {
  const allowed: string[] = [];
  for (const route of routes) {
    const params = matchPath(route.path, path);
    if (params === null) continue;
    if (route.method === method) return { kind: "found", route, params };
    allowed.push(route.method);
  }
  if (allowed.length === 0)
    return { kind: "missing", answer: problem(404, "no_such_path", `There is nothing at ${path}.`) };
  const answer = problem(405, "method_not_allowed", `${path} takes ${allowed.join(", ")}.`);
  return {
    kind: "missing",
    answer: { ...answer, headers: { ...answer.headers, allow: allowed.join(", ") } },
  };
}

function matchPath(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [index, segment] of wanted.entries()) {
    const value = given[index] ?? "";
    if (segment.startsWith(":") && value !== "") params[segment.slice(1)] = safeDecode(value);
    else if (segment !== value) return null;
  }
  return params;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Opens a server on loopback; port 0 takes any free one. Fails with the platform's error if the port is taken. */
export async function listen(
  port: number,
  listener: RequestListener,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ keepAlive: true, keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, listener);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a numeric port");
  return { server, port: address.port };
}

/** Ends a server at once, open connections included. */
export async function shut(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

export type { IncomingMessage, RequestListener, Server, ServerResponse };
