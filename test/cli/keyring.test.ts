import { spawn } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it, test } from "vitest";
import { newName } from "../../src/cli/keyring-edit.ts";
import { parseKeyring } from "../../src/vault/keyring.ts";
import { ringText } from "../vault/support.ts";

const SCRIPT = join(import.meta.dirname, "../../src/cli/keyring.ts");
const ROOT_KEY = "root-key-of-the-keyring-tests-0123";
const LETTERS = "abcdefghijklmnopqrstuvwxyz".split("");
const DAY_MS = 24 * 60 * 60_000;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(
  args: readonly string[],
  input = "",
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [SCRIPT, ...args], {
    env: { ...process.env, ROOT_API_KEY: "", ...env },
  });
  const read = async (stream: NodeJS.ReadableStream): Promise<string> => {
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += String(chunk);
    return text;
  };
  child.stdin.end(input);
  const exit = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [out, err, code] = await Promise.all([read(child.stdout), read(child.stderr), exit]);
  return { code, out, err };
}

/** A deployment that answers as the API does, and what it was asked. */
let server: Server | undefined;
const asked: string[] = [];

async function deployment(
  answer: (path: string) => readonly [status: number, body: unknown],
): Promise<string> {
  asked.length = 0;
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    const [status, body] = answer(request.url ?? "");
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  const listening = server;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}

function keyOf(kid: string, addedAt: number | null, check = "passed") {
  return { kid, in_keyring: true, check, added_at: addedAt };
}

afterEach(() => {
  server?.close();
  server = undefined;
});

const OLD = ringText("k1", { k1: 1 });
const BOTH = ringText("k1", { k1: 1, k2: 2 });
const SWITCHED = ringText("k2", { k1: 1, k2: 2 });

describe("npm run keyring", () => {
  it("makes a keyring that the vault reads, another one each time, and says it once", async () => {
    const [one, two] = await Promise.all([run(["new"]), run(["new", "--kid", "first"])]);
    const parsed = parseKeyring(one.out.trim());
    expect(parsed).toMatchObject({ ok: true, value: { kids: [parsed.ok && parsed.value.active] } });
    expect(parseKeyring(two.out.trim())).toMatchObject({ ok: true, value: { active: "first" } });
    const [key = ""] = Object.values((JSON.parse(one.out) as { keys: Record<string, string> }).keys);
    expect(two.out).not.toContain(key);
    expect(one.err).toContain("wrangler secret put KEYRING");
    expect(one.out.split(key).length).toBe(2);
    expect(one.err).not.toContain(key);
  });

  it("adds a key that only opens, and leaves the others as they are", async () => {
    const { code, out, err } = await run(["add", "--kid", "k2"], OLD);
    expect(code).toBe(0);
    const { active, keys } = JSON.parse(out) as { active: string; keys: Record<string, string> };
    expect([active, Object.keys(keys)]).toEqual(["k1", ["k1", "k2"]]);
    expect(keys["k1"]).toBe((JSON.parse(OLD) as { keys: Record<string, string> }).keys["k1"]);
    expect(parseKeyring(out.trim()).ok).toBe(true);
    expect(err).toContain("activate k2");
    expect(err).not.toContain(keys["k2"]);
  });

  it("names a key by the day, and no two alike", () => {
    const at = new Date("2026-11-25T10:00:00Z");
    expect(newName({ keys: {} }, at)).toBe("k20261125");
    expect(newName({ keys: { k20261125: "" } }, at)).toBe("k20261125a");
    const all = Object.fromEntries(["", ...LETTERS].map((letter) => [`k20261125${letter}`, ""]));
    expect(newName({ keys: all }, at)).toMatch(/^k20261125[0-9a-f]{6}$/);
  });

  it("activates a key only once every object can have it, or as soon as it is told", async () => {
    let addedAt: number | null = Date.now() - DAY_MS / 2;
    const url = await deployment(() => [200, { active: "k1", data: [keyOf("k1", 1), keyOf("k2", addedAt)] }]);
    const env = { ROOT_API_KEY: ROOT_KEY };
    const early = await run(["activate", "k2", "--api", url], BOTH, env);
    expect([early.code, early.out]).toEqual([1, ""]);
    expect(early.err).toContain("Come back in 720 minutes");
    const told = await run(["activate", "k2", "--api", url, "--wait", "10"], BOTH, env);
    expect([told.code, told.out.trim()]).toEqual([0, SWITCHED]);
    addedAt = Date.now() - DAY_MS - 60_000;
    expect((await run(["activate", "k2", "--api", url], BOTH, env)).out.trim()).toBe(SWITCHED);
    expect(new Set(asked)).toEqual(new Set([`GET /v1/vault/keys Bearer ${ROOT_KEY}`]));
    addedAt = null;
    expect((await run(["activate", "k2", "--api", url], BOTH, env)).err).toContain("does not have the key");
  });

  it("activates no key that is another one there", async () => {
    const url = await deployment(() => [200, { active: "k1", data: [keyOf("k2", 1, "failed")] }]);
    const { code, out } = await run(["activate", "k2", "--api", url], BOTH, { ROOT_API_KEY: ROOT_KEY });
    expect([code, out]).toEqual([1, ""]);
  });

  it("drops a key only if the deployment says that nothing is under it", async () => {
    const problem = { code: "key_in_use", detail: "12 records are sealed under it.", hint: "Wait." };
    let answer: readonly [number, unknown] = [409, problem];
    const url = await deployment(() => answer);
    const env = { ROOT_API_KEY: ROOT_KEY };
    const refused = await run(["drop", "k1", "--api", url], SWITCHED, env);
    expect([refused.code, refused.out, refused.err]).toEqual([
      1,
      "",
      "key_in_use: 12 records are sealed under it.\nWait.\n",
    ]);
    answer = [200, { kid: "k1", dropped_at: 1, in_keyring: true }];
    const done = await run(["drop", "k1", "--api", url], SWITCHED, env);
    expect([done.code, done.out.trim()]).toEqual([0, ringText("k2", { k2: 2 })]);
    expect(asked.at(-1)).toBe(`POST /v1/vault/keys/k1/drop-check Bearer ${ROOT_KEY}`);
  });

  test.each<[string, readonly string[], string, number]>([
    ["no command", [], OLD, 2],
    ["an unknown command", ["make"], OLD, 2],
    ["no name where one is needed", ["drop"], OLD, 2],
    ["a keyring that is none", ["add"], "AQEBAQEB-not-json", 1],
    ["a keyring with a short key", ["add"], '{"active":"k1","keys":{"k1":"AQEBAQEB"}}', 1],
    ["a name that is there", ["add", "--kid", "k1"], OLD, 1],
    ["a name that is a word of the vault", ["add", "--kid", "active"], OLD, 1],
    ["a name in capitals", ["new", "--kid", "K1"], "", 1],
    ["the active key to drop", ["drop", "k1", "--unsafe-unasked"], OLD, 1],
    ["a key to activate that is not there", ["activate", "k9", "--unsafe-unasked"], OLD, 1],
    ["no deployment to ask whether to activate", ["activate", "k2"], BOTH, 1],
    ["no deployment to ask whether to drop", ["drop", "k1"], SWITCHED, 1],
    ["a deployment that is not there", ["drop", "k1", "--api", "http://127.0.0.1:1"], SWITCHED, 1],
  ])("refuses %s, and prints nothing of a key", async (_, args, input, code) => {
    const ended = await run(args, input, { ROOT_API_KEY: ROOT_KEY });
    expect([ended.code, ended.out]).toEqual([code, ""]);
    expect(ended.err).not.toContain("AQEBAQEB");
    expect(ended.err).not.toContain(ROOT_KEY);
  });

  it("does without asking what it is told to do without asking", async () => {
    const activated = await run(["activate", "k2", "--unsafe-unasked"], BOTH);
    expect(activated.out.trim()).toBe(SWITCHED);
    expect((await run(["drop", "k1", "--unsafe-unasked"], SWITCHED)).out.trim()).toBe(
      ringText("k2", { k2: 2 }),
    );
  });
});
