/** A badly behaved service on loopback for the egress tests. Vitest starts it before the tests and stops it after them. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createGzip } from "node:zlib";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    readonly loopbackPort: number;
  }
}

const CHUNK = Buffer.alloc(65_536);
const HUGE_BYTES = 200 * 1024 * 1024;

/** Answers of `/huge` whose connection the client closed before the end: `/huge-cut` waits for one and tells its size. */
const cut: number[] = [];
const waiting: ((bytes: number) => void)[] = [];

function noteCut(bytes: number): void {
  const waiter = waiting.shift();
  if (waiter === undefined) cut.push(bytes);
  else waiter(bytes);
}

async function firstCut(): Promise<number> {
  return cut.shift() ?? new Promise((resolve) => waiting.push(resolve));
}

async function huge(response: ServerResponse, gzip: boolean): Promise<void> {
  response.writeHead(200, gzip ? { "content-encoding": "gzip" } : {});
  const sink = gzip ? createGzip() : response;
  if (sink !== response) sink.pipe(response);
  let bytes = 0;
  const closed = new AbortController();
  response.on("close", () => {
    closed.abort();
    if (!response.writableFinished) noteCut(bytes);
  });
  while (bytes < HUGE_BYTES && !response.destroyed) {
    bytes += CHUNK.byteLength;
    if (!sink.write(CHUNK)) await once(sink, "drain", { signal: closed.signal }).catch(() => undefined);
  }
  sink.end();
}

/**
 * Says two lengths, which only a bad service does: `Content-Length: 10`, and chunks without end. The chunks are what counts
 * (RFC 9112, section 6.3).
 */
async function twoLengths(response: ServerResponse): Promise<void> {
  const { socket } = response;
  if (socket === null) return;
  let bytes = 0;
  const closed = new AbortController();
  socket.on("close", () => {
    closed.abort();
    if (bytes < HUGE_BYTES) noteCut(bytes);
  });
  socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\ntransfer-encoding: chunked\r\n\r\n");
  const chunk = Buffer.concat([Buffer.from("10000\r\n"), CHUNK, Buffer.from("\r\n")]);
  while (bytes < HUGE_BYTES && !socket.destroyed) {
    bytes += CHUNK.byteLength;
    if (!socket.write(chunk)) await once(socket, "drain", { signal: closed.signal }).catch(() => undefined);
  }
  socket.end("0\r\n\r\n");
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, {
    "content-type": "application/json",
    "set-cookie": "sid=1",
    "x-internal": "no",
    etag: '"1"',
  });
  response.end(JSON.stringify(body));
}

async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  json(response, {
    method: request.method,
    headers: request.headers,
    body: Buffer.concat(chunks).toString(),
  });
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://loopback");
  switch (url.pathname) {
    case "/echo":
      return echo(request, response);
    case "/redirect":
      response.writeHead(Number(url.searchParams.get("status") ?? 302), {
        location: url.searchParams.get("to") ?? "",
      });
      return void response.end("moved");
    case "/two-lengths":
      return twoLengths(response);
    case "/count": {
      const left = Number(url.searchParams.get("left"));
      if (left === 0) return json(response, { arrived: true });
      response.writeHead(302, { location: `/count?left=${left - 1}` });
      return void response.end();
    }
    case "/huge":
      return huge(response, url.searchParams.has("gzip"));
    case "/huge-cut":
      return json(response, { bytes: await firstCut() });
    case "/exactly":
      return void response.end(Buffer.alloc(Number(url.searchParams.get("bytes"))));
    case "/silent":
      return;
    case "/stalls":
      response.writeHead(503, { "retry-after": "7" });
      return void response.write("the rest never comes");
    case "/cut":
      response.writeHead(200, { "content-length": "1000" });
      return void response.write("short", () => response.destroy());
    case "/drop":
      return void response.destroy();
    default:
      response.writeHead(Number(url.searchParams.get("status") ?? 404));
      return void response.end();
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  project.provide("loopbackPort", address.port);
  return async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
}
