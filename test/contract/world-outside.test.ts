/** The world as other programs meet it: the referee over HTTP, the state file, the process. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startWorld, type World } from "../world/index.ts";
import { AIRLINE, ask, book, send } from "./world-client.ts";

const REFEREE = "referee.example";
const MAIN = new URL("../world/main.ts", import.meta.url).pathname;

let folder: string;
let stateFile: string;
let world: World | null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "showcaller-world-"));
  stateFile = join(folder, "world.jsonl");
  world = null;
});

afterEach(async () => {
  await world?.close();
  rmSync(folder, { recursive: true });
});

describe("the referee over HTTP", () => {
  test("tells counts, deeds, duplicates, open requests and whether something happened", async () => {
    world = await startWorld();
    await book(world, { reference: "run-1" });
    await book(world, { reference: "run-1" });
    expect((await ask(world, REFEREE, "GET", "/counts")).body).toMatchObject({ made: 2, duplicates: 1 });
    expect(
      (await ask(world, REFEREE, "GET", "/deeds?service=airline&kind=booking&reference=run-1&standing=true"))
        .body,
    ).toMatchObject({ items: [{ id: "bk_1" }, { id: "bk_2" }] });
    expect((await ask(world, REFEREE, "GET", "/deeds?standing=false")).body).toEqual({ items: [] });
    expect((await ask(world, REFEREE, "GET", "/duplicates")).body).toMatchObject({
      items: [{ first: "bk_1", second: "bk_2" }],
    });
    expect((await ask(world, REFEREE, "GET", "/happened/run-1?service=airline")).body).toMatchObject({
      happened: true,
    });
    expect((await ask(world, REFEREE, "GET", "/happened/run-2")).body).toMatchObject({
      happened: false,
      deeds: [],
    });
    expect((await ask(world, REFEREE, "GET", "/names")).body).toEqual(world.names);
    expect((await ask(world, REFEREE, "GET", "/open")).status).toBe(200);
  });

  test("a reader of the ledger can wait for the next change", async () => {
    world = await startWorld();
    const waiting = ask(world, REFEREE, "GET", "/ledger?since=0&wait=5000");
    await book(world);
    expect((await waiting).body).toMatchObject({ entries: [{ seq: 1, service: "airline" }], more: false });
  });

  test("a benchmark can wait for report number N", async () => {
    world = await startWorld();
    const waiting = ask(world, REFEREE, "GET", "/reports/run-1?count=2&wait=5000");
    for (let turn = 0; turn < 2; turn += 1)
      await send(world, "api.bench.example", "POST", "/report?id=run-1");
    expect((await waiting).body).toMatchObject({
      reached: true,
      id: "run-1",
      count: 2,
      at: expect.any(Number) as number,
    });
    expect((await ask(world, REFEREE, "GET", "/reports/run-1?count=3")).body).toEqual({
      reached: false,
      id: "run-1",
      count: 2,
    });
  });

  test("faults are set, added, listed and cleared", async () => {
    world = await startWorld();
    const rule = { service: "airline", fault: { kind: "status", status: 503 } };
    expect((await ask(world, REFEREE, "PUT", "/faults", { body: [rule] })).status).toBe(200);
    expect(
      (await ask(world, REFEREE, "POST", "/faults", { body: { ...rule, times: 3 } })).body,
    ).toMatchObject({ items: [{ left: 1 }, { left: 3 }] });
    expect((await book(world)).status).toBe(503);
    expect((await ask(world, REFEREE, "DELETE", "/faults")).status).toBe(204);
    expect((await book(world)).status).toBe(201);
  });

  test("rules that are no rules are refused whole, with a pointer to each mistake", async () => {
    world = await startWorld();
    const body = [
      { fault: { kind: "slow" } },
      { fault: { kind: "reset" }, tmies: 2 },
      { fault: { kind: "explode" } },
      { fault: { kind: "reset" } },
    ];
    const got = await ask(world, REFEREE, "PUT", "/faults", { body });
    expect(got).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/0/fault/ms" }, { pointer: "/1/tmies" }, { pointer: "/2/fault/kind" }] },
    });
    expect(world.faultBook.list()).toEqual([]);
  });

  test("a reset forgets all, keys can be forgotten alone, a reload needs a file", async () => {
    world = await startWorld();
    await book(world, { key: "k1" });
    expect((await ask(world, REFEREE, "POST", "/forget-keys")).status).toBe(204);
    expect((await book(world, { key: "k1" })).headers.get("idempotent-replayed")).toBeNull();
    expect((await ask(world, REFEREE, "POST", "/reload")).status).toBe(409);
    expect((await ask(world, REFEREE, "POST", "/reset")).status).toBe(204);
    expect(world.referee.counts().made).toBe(0);
  });
});

describe("the state file", () => {
  test("a world that is started again remembers deeds, keys, tokens and numbering", async () => {
    world = await startWorld({ stateFile });
    const { tokens } = world;
    const first = await book(world, { key: "k1", reference: "run-1" });
    await ask(world, AIRLINE, "DELETE", "/bookings/bk_1");
    await book(world, { key: "k2" });
    await world.close();

    world = await startWorld({ stateFile });
    expect(world.tokens).toEqual(tokens);
    expect(world.referee.counts()).toMatchObject({ requests: 3, open: 0, made: 2, undone: 1, standing: 1 });
    expect(await book(world, { key: "k1", reference: "run-1" })).toMatchObject({
      status: 201,
      body: first.body,
    });
    expect(await book(world, { key: "k3" })).toMatchObject({ body: { id: "bk_3" } });
  });

  test("a reload folds to the same state, and what was open is lost", async () => {
    world = await startWorld({ stateFile, faults: [{ key: "slow", fault: { kind: "slow", ms: 600_000 } }] });
    const { referee } = world;
    await book(world, { key: "k1" });
    const cutOff = book(world, { key: "slow" }).catch(() => "cut off");
    await referee.until(() => referee.counts().faults === 1 && referee.counts().open === 1, 5_000);
    const before = referee.counts();
    expect((await ask(world, REFEREE, "POST", "/reload")).status).toBe(204);
    expect(await cutOff).toBe("cut off");
    expect(referee.counts()).toEqual({ ...before, open: 0, atWork: 0, lost: before.lost + 1 });
    expect((await book(world, { key: "k1" })).headers.get("idempotent-replayed")).toBe("true");
  });

  test("a line that was cut off by a kill is dropped", async () => {
    world = await startWorld({ stateFile });
    await book(world, { key: "k1" });
    await world.close();
    appendFileSync(stateFile, '{"t":"made","deed":{"id":"bk');
    world = await startWorld({ stateFile });
    expect(world.referee.counts().made).toBe(1);
    await book(world, { key: "k2" });
    await world.close();
    world = await startWorld({ stateFile });
    expect(world.referee.counts().made).toBe(2);
  });

  test("a reset is remembered too", async () => {
    world = await startWorld({ stateFile });
    await book(world, { key: "k1" });
    world.referee.reset();
    await world.close();
    world = await startWorld({ stateFile });
    expect(world.referee.counts().made).toBe(0);
    expect(await book(world, { key: "k1" })).toMatchObject({ status: 201, body: { id: "bk_2" } });
  });
});

describe("starting and ending", () => {
  test("a taken port fails the start, names the host, and leaves nothing running", async () => {
    world = await startWorld();
    const taken = world.names["api.mail.example"] ?? 0;
    const second = await startWorld();
    const free = second.names[AIRLINE] ?? 0;
    await second.close();

    const ports = { [AIRLINE]: free, "api.mail.example": taken };
    await expect(startWorld({ ports })).rejects.toThrow(
      `api.mail.example could not listen on 127.0.0.1:${taken}`,
    );
    const third = await startWorld({ ports: { [AIRLINE]: free } });
    expect(third.names[AIRLINE]).toBe(free);
    await third.close();
  });

  test("close ends requests that are never answered", async () => {
    world = await startWorld({ faults: [{ fault: { kind: "accept_then_timeout" } }] });
    const asked = book(world).catch(() => "cut off");
    const { referee } = world;
    await referee.until(() => referee.counts().made === 1, 5_000);
    await world.close();
    expect(await asked).toBe("cut off");
  });

  test("a service of one's own is one more value in the list", async () => {
    const echo = {
      name: "echo",
      host: "echo.example",
      routes: [
        {
          method: "GET",
          path: "/:word",
          handle: ({ params }: { params: Record<string, string> }) => ({ status: 200, body: params }),
        },
      ],
    };
    world = await startWorld({ services: [echo] });
    expect(await ask(world, "echo.example", "GET", "/hello")).toMatchObject({
      status: 200,
      body: { word: "hello" },
    });
    expect((await ask(world, "echo.example", "GET", "/hello", { token: null })).status).toBe(401);
  });
});

describe("the process", () => {
  async function run(args: string[]): Promise<{
    child: ChildProcess;
    ready: { names: Record<string, number>; tokens: Record<string, string> };
  }> {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    return {
      child,
      ready: JSON.parse(line) as { names: Record<string, number>; tokens: Record<string, string> },
    };
  }

  test("prints its names and tokens, and ends when its standard input closes", async () => {
    const { child, ready } = await run(["--token", `${AIRLINE}=secret`, "--state", stateFile]);
    expect(ready).toMatchObject({ ready: true, pid: child.pid, tokens: { [AIRLINE]: "secret" } });
    const response = await fetch(`http://127.0.0.1:${ready.names[AIRLINE]}/bookings`, {
      headers: { authorization: "Bearer secret" },
    });
    expect(response.status).toBe(200);
    child.stdin?.end();
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("takes faults and a port, and ends on SIGTERM with code 0", async () => {
    const faults = JSON.stringify({ fault: { kind: "status", status: 503 } });
    const { child, ready } = await run(["--faults", faults, "--port", "api.mail.example=0", "--seed", "3"]);
    const response = await fetch(`http://127.0.0.1:${ready.names[AIRLINE]}/bookings`, {
      headers: { authorization: `Bearer ${ready.tokens[AIRLINE]}` },
    });
    expect(response.status).toBe(503);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("a taken port ends it with code 1 and a message", async () => {
    world = await startWorld();
    const child = spawn(process.execPath, [MAIN, "--port", `${AIRLINE}=${world.names[AIRLINE]}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const messages: string[] = [];
    child.stderr.on("data", (chunk: Buffer) => messages.push(chunk.toString()));
    expect(await once(child, "close")).toEqual([1, null]);
    expect(messages.join("")).toContain(`${AIRLINE} could not listen`);
  });
});
