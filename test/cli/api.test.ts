import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { createApi, isGoodKey, type Api } from "../../src/cli/api.ts";

const PATIENCE = { answerMs: 50, streamMs: 50, idleMs: 50, brokenMs: 0, retryMs: 1 };

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function apiAt(listener: RequestListener, patience = PATIENCE): Promise<Api> {
  server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return createApi(`http://127.0.0.1:${port}`, "sck_test", patience);
}

async function read(api: Api): Promise<number[]> {
  const seen: number[] = [];
  for await (const { seq } of api.follow("run_1")) seen.push(seq);
  return seen;
}

const event = (seq: number, type: string): string =>
  `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify({ seq, at: seq, type, data: {} })}\n\n`;

it("a server that never answers is complained about, and not waited for", async () => {
  const api = await apiAt(() => {});
  const run = await api.getRun("run_1");
  expect(run.ok ? "" : run.complaint.what).toContain("did not answer within 0.05 s");
  expect(await isGoodKey(api.url, "sck_test", PATIENCE)).toMatchObject({ complaint: { silent: true } });
  await expect(read(api)).rejects.toThrow("nothing came for 0.05 s");
});

it("a stream that falls silent in the middle is given up", async () => {
  const api = await apiAt(
    (request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      // Who comes back for more hears nothing at all.
      if (request.headers["last-event-id"] === "0") response.write(event(1, "started"));
    },
    { ...PATIENCE, streamMs: 30_000 },
  );
  await expect(read(api)).rejects.toThrow("nothing came for 0.05 s");
});

it("a stream that was cut goes on where it stood, and only its last event ends it", async () => {
  const api = await apiAt(
    (request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const last = Number(request.headers["last-event-id"]);
      response.end(last === 2 ? event(3, "ended") : event(last + 1, "started"));
    },
    { ...PATIENCE, streamMs: 30_000, idleMs: 30_000, brokenMs: 30_000 },
  );
  expect(await read(api)).toEqual([1, 2, 3]);
});
