/** `npm run deliver` as a process: what it sends, and what it says of it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { verifyDelivery } from "../../src/triggers/schemes/verify.ts";
import { arrivalOf } from "../triggers/deliveries.ts";

const DELIVER = join(import.meta.dirname, "../../src/cli/deliver.ts");
const SECRET = "a-secret-of-this-test";

const came: { readonly request: IncomingMessage; readonly body: string }[] = [];
let status = 202;
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => {
    body += chunk.toString();
  });
  request.on("end", () => {
    came.push({ request, body });
    response.writeHead(status).end();
  });
});
let url = "";

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/default/github`;
});
afterAll(() => {
  server.close();
});

async function deliver(args: readonly string[], secret: string | null = SECRET, input = "") {
  const { HOOK_SECRET: _, ...env } = process.env;
  const child = spawn(process.execPath, [DELIVER, ...args], {
    env: secret === null ? env : { ...env, HOOK_SECRET: secret },
  });
  child.stdin.end(input);
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  const [code] = (await once(child, "close")) as [number];
  return { code, said };
}

it("sends what GitHub would, with its signature, and says what was answered, but never the secret", async () => {
  const body = '{"ref":"refs/heads/main"}';
  const done = await deliver(["github", url, "--id", "d-1", "--file", "-"], SECRET, body);
  const one = came.at(-1);
  const headers = Object.fromEntries(
    Object.entries(one?.request.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  const read = await verifyDelivery(
    { scheme: "github" },
    arrivalOf(headers, one?.body ?? ""),
    [{ id: "s", text: SECRET }],
    Date.now(),
  );
  expect(read).toMatchObject({
    ok: true,
    value: { id: "d-1", event: "push", payload: { ref: "refs/heads/main" } },
  });
  expect(done.code).toBe(0);
  expect(done.said).toMatch(/x-hub-signature-256: sha256=[0-9a-f]{64}\n[\s\S]*\n202\n$/);
  expect(done.said).not.toContain(SECRET);
});

it("ends with 1 where it was not taken, and where nobody is there", async () => {
  status = 404;
  expect((await deliver(["github", url])).code).toBe(1);
  expect((await deliver(["github", "http://127.0.0.1:1/hooks/default/github"])).code).toBe(1);
});

it("ends with 2 for a command line that it does not understand, and sends nothing", async () => {
  const before = came.length;
  const wrong = [
    [],
    ["gitlab", url],
    ["github"],
    ["github", "no address"],
    ["github", url, "more"],
    ["github", url, "--body", "{}", "--file", "-"],
    // What would not be sent is no wish that is passed over: these stand in the body.
    ["stripe", url, "--id", "evt_1"],
    ["stripe", url, "--event", "charge.succeeded"],
    ["slack", url, "--id", "Ev1"],
    ["standard", url, "--event", "push"],
  ];
  for (const args of wrong) expect([args, (await deliver(args)).code]).toEqual([args, 2]);
  expect((await deliver(["github", url], null)).code).toBe(2);
  expect((await deliver(["github", url, "--stray"])).code).toBe(2);
  expect(came).toHaveLength(before);
});
