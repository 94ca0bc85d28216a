import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { localConfig, secretsFile } from "../../src/cli/local-config.ts";
import { takeLock } from "../../src/cli/lock.ts";
import { HELP, parseOptions } from "../../src/cli/options.ts";
import { checkPort } from "../../src/cli/ports.ts";
import { isAlive, lookAt } from "../../src/cli/process-table.ts";
import { readEvents } from "../../src/cli/sse.ts";
import { openState, parseSecrets } from "../../src/cli/state.ts";
import { findTools } from "../../src/cli/tools.ts";
import { formatEvent } from "../../src/api/sse.ts";
import { parseKeyring } from "../../src/vault/keyring.ts";

const ROOT = join(import.meta.dirname, "../..");
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "showcaller-start-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the command line", () => {
  it("has a default for everything", () => {
    expect(parseOptions([])).toEqual({
      ok: true,
      value: {
        help: false,
        once: false,
        fail: false,
        browser: false,
        port: 8787,
        workflow: "book-trip",
        state: ".wrangler/start",
        hosts: {},
      },
    });
  });

  it("takes hosts of one's own, by name and port", () => {
    const parsed = parseOptions(["--host", "api.weather.example=9000", "--host=a.b.example=65535"]);
    expect(parsed.ok && parsed.value.hosts).toEqual({ "api.weather.example": 9_000, "a.b.example": 65_535 });
  });

  it("says what to write where npm took an option for itself, and only there", () => {
    const env = { npm_lifecycle_event: "start", npm_config_fail: "true", npm_config_once: "" };
    const taken = parseOptions([], env);
    expect(taken.ok ? "" : taken.complaint.todo).toBe("Write: npm start -- --fail");
    const words = parseOptions(["process-order"], { ...env, npm_config_workflow: "true" });
    expect(words.ok ? "" : words.complaint.todo).toBe("Write: npm start -- --fail --workflow ...");
    expect(parseOptions([], { ...env, npm_lifecycle_event: "test" }).ok).toBe(true);
    expect(parseOptions([], { npm_lifecycle_event: "start" }).ok).toBe(true);
  });

  it("refuses what it does not know, and says where the options are told", () => {
    for (const args of [
      ["--prot", "1"],
      ["trip"],
      ["--port"],
      ["--port", "abc"],
      ["--port", "65536"],
      ["--workflow", "x"],
      ["--state", ""],
      ["--host", "api.weather.example"],
      ["--host", "api.weather.example=0"],
      ["--host", "api.weather.example=65536"],
      ["--host", "localhost=9000"],
      ["--host", "API.weather.example=9000"],
      ["--host", "127.0.0.1=9000"],
      ["--host", "https://api.weather.example=9000"],
    ]) {
      const parsed = parseOptions(args);
      expect({ args, ...parsed }).toMatchObject({
        ok: false,
        complaint: { todo: expect.stringContaining("--help") },
      });
    }
  });

  it("tells every option in its help, within 80 columns", () => {
    for (const option of [
      "--once",
      "--fail",
      "--browser",
      "--workflow",
      "--port",
      "--host",
      "--state",
      "--help",
    ])
      expect(HELP).toContain(option);
    for (const line of HELP.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });
});

describe("the state folder", () => {
  it("makes secrets once, for its owner only, and keeps itself out of git", () => {
    const path = join(folder, "state");
    const first = openState(path);
    const second = openState(path);
    if (!first.ok || !second.ok) throw new Error("the state folder could not be opened");
    expect([first.value.fresh, second.value.fresh]).toEqual([true, false]);
    expect(second.value.secrets).toEqual(first.value.secrets);
    expect(Buffer.from(first.value.secrets.serverKey, "base64url")).toHaveLength(32);
    expect(first.value.secrets.rootKey).not.toBe(first.value.secrets.serverKey);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(path, "secrets.json")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(path, ".gitignore"), "utf8")).toBe("*\n");
  });

  it("keeps the API key for the next start", () => {
    const first = openState(folder);
    if (!first.ok) throw new Error("the state folder could not be opened");
    first.value.keepApiKey("sck_1");
    const second = openState(folder);
    expect(second.ok && second.value.secrets).toEqual({ ...first.value.secrets, apiKey: "sck_1" });
    expect(statSync(join(folder, "secrets.json")).mode & 0o777).toBe(0o600);
  });

  it("makes a keyring that the vault reads, once, also for a folder of an earlier version", () => {
    writeFileSync(join(folder, "secrets.json"), '{"serverKey":"a","rootKey":"b","apiKey":"sck_1"}');
    const first = openState(folder);
    const second = openState(folder);
    if (!first.ok || !second.ok) throw new Error("the state folder could not be opened");
    expect(first.value.secrets).toMatchObject({ serverKey: "a", rootKey: "b", apiKey: "sck_1" });
    expect(parseKeyring(first.value.secrets.keyring).ok).toBe(true);
    expect(second.value.secrets).toEqual(first.value.secrets);
  });

  it("complains about damaged secrets instead of replacing them", () => {
    writeFileSync(join(folder, "secrets.json"), "{");
    expect(openState(folder).ok).toBe(false);
    expect(readFileSync(join(folder, "secrets.json"), "utf8")).toBe("{");
    expect(parseSecrets('{"serverKey":"a"}')).toBeNull();
  });

  it("complains where a folder cannot be", () => {
    writeFileSync(join(folder, "file"), "");
    const file = openState(join(folder, "file"));
    expect(file.ok ? "" : `${file.complaint.what} ${file.complaint.todo}`).toMatch(
      /file is a file.*delete it/,
    );
    expect(openState(join(folder, "file", "below")).ok).toBe(false);
  });
});

describe("the lock", () => {
  it("lets one start in, tells the other where the first one is, and opens again", () => {
    const path = join(folder, "running.json");
    const first = takeLock(path);
    if (!first.ok) throw new Error("the lock was taken");
    first.value.announce("http://127.0.0.1:1234");
    const second = takeLock(path);
    expect(second.ok ? "" : second.complaint.what).toContain("http://127.0.0.1:1234");
    first.value.release();
    const third = takeLock(path);
    expect(third.ok && third.value.inherited).toBe(false);
  });

  it("takes over from a start that is dead", () => {
    const path = join(folder, "running.json");
    // No process has a number that high: Linux ends at 4,194,304, others earlier.
    writeFileSync(path, '{"pid":99999999,"url":null}');
    const lock = takeLock(path);
    expect(lock.ok && lock.value.inherited).toBe(true);
  });

  it("takes over a file that says nothing", () => {
    writeFileSync(join(folder, "running.json"), "");
    expect(takeLock(join(folder, "running.json")).ok).toBe(true);
  });
});

describe("the process table", () => {
  it("knows who lives, and that a dead process nobody has waited for does not", async () => {
    expect(isAlive(process.pid)).toBe(true);
    expect(lookAt(process.pid)?.parent).toBe(process.ppid);
    // The shell becomes a program that waits for no children; that it has is told by what comes back from it.
    const child = spawn("sh", ["-c", "sleep 600 & echo $!; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const [chunk] = (await once(child.stdout, "data")) as [Buffer];
    const pid = Number(chunk.toString());
    child.stdin.write("there");
    await once(child.stdout, "data");
    process.kill(pid, "SIGKILL");
    await expect.poll(() => lookAt(pid)?.dead, { timeout: 10_000 }).toBe(true);
    expect(isAlive(pid)).toBe(false);
    child.stdin.end();
    await once(child, "close");
    expect(isAlive(pid)).toBe(false);
  });
});

describe("a port", () => {
  it("is refused while somebody listens on it, with another one named", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    const taken = await checkPort(port);
    expect(taken.ok ? "" : taken.complaint.what).toContain(`Port ${port}`);
    // With patience it is taken as soon as it is free.
    const patient = checkPort(port, 30_000);
    await new Promise((resolve) => server.close(resolve));
    expect((await patient).ok).toBe(true);
    expect((await checkPort(0)).ok).toBe(true);
  });
});

describe("the tools", () => {
  it("are there in this checkout", () => {
    expect(findTools(ROOT).ok).toBe(true);
  });

  it("are missed one by one, each with the command that brings it", () => {
    const bare = findTools(folder);
    expect(bare.ok ? "" : `${bare.complaint.what} ${bare.complaint.todo}`).toMatch(/wrangler.*npm ci/);
    const old = findTools(ROOT, "22.18.0");
    expect(old.ok ? "" : old.complaint.what).toContain("22.18.0");
  });
});

describe("the local configuration", () => {
  it("is the project's own, as a development build, with absolute paths and every name of a secret", () => {
    const config = localConfig(readFileSync(join(ROOT, "wrangler.toml"), "utf8"), ROOT);
    expect(config).toMatchObject({
      ok: true,
      value: {
        name: "showcaller",
        main: join(ROOT, "src/worker.ts"),
        define: { CRASH_POINTS: "false", DEVELOPMENT: "true" },
        d1_databases: [{ binding: "DB", migrations_dir: join(ROOT, "migrations") }],
        secrets: {
          required: ["SERVER_KEY", "KEYRING", "ROOT_API_KEY", "DEV_HOSTS", "SERVICE_TOKENS", "ISSUER_ORIGIN"],
        },
      },
    });
  });

  it("is refused where the project's is not TOML, or lacks what a start needs", () => {
    expect(localConfig("name = ", ROOT).ok).toBe(false);
    expect(localConfig('name = "showcaller"', ROOT).ok).toBe(false);
  });

  it("has secrets in a file in which no value can end early", () => {
    const vars = {
      ...{ SERVER_KEY: "a", KEYRING: '{"k":1}', ROOT_API_KEY: "b" },
      ...{ DEV_HOSTS: '{"x":1}', SERVICE_TOKENS: "{}", ISSUER_ORIGIN: "https://id.showcaller.test" },
    };
    expect(secretsFile(vars)).toBe(
      `SERVER_KEY='a'\nKEYRING='{"k":1}'\nROOT_API_KEY='b'\nDEV_HOSTS='{"x":1}'\nSERVICE_TOKENS='{}'\nISSUER_ORIGIN='https://id.showcaller.test'\n`,
    );
    expect(() => secretsFile({ ...vars, SERVER_KEY: "a'\nX='1" })).toThrow(TypeError);
  });
});

describe("an event stream", () => {
  async function read(chunks: readonly string[]) {
    const events = [];
    const bytes = chunks.map((chunk) => Buffer.from(chunk));
    for await (const event of readEvents(Readable.from(bytes, { objectMode: true }))) events.push(event);
    return events;
  }

  it("is read as the API writes it, wherever it is cut into pieces", async () => {
    const written = [
      { seq: 1, at: 2, type: "started", data: { step: "café" } },
      { seq: 2, at: 3, type: "ended", data: {} },
    ] as const;
    const text = `retry: 1000\n\n:\n\n${written.map(formatEvent).join("")}`;
    const whole = await read([text]);
    expect(whole.map(({ id, type, data }) => [id, type, JSON.parse(data)])).toEqual(
      written.map((event) => [String(event.seq), event.type, event]),
    );
    expect(await read(text.split(""))).toEqual(whole);
  });

  it("is read with every end of line that the standard has, and without its unfinished end", async () => {
    expect(await read(["data: a\r\ndata: b\r", "\n\r\n", "data: c\r\rdata: lost"])).toEqual([
      { id: "", type: "message", data: "a\nb" },
      { id: "", type: "message", data: "c" },
    ]);
  });
});
