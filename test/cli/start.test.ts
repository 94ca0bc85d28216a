/**
 * `npm start` as a whole: real processes, a real server, the real world. What happened is counted from the world's own file,
 * and what is left running from the system's list of processes, not from what the start says of itself.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseSecrets } from "../../src/cli/state.ts";
import { Given } from "../dev-server/given.ts";
import { Referee } from "../world/index.ts";
import { run, START, type Started } from "./started.ts";

const TEST_TIMEOUT_MS = 90_000;
/** The keeper gives its group two seconds. */
const GONE_TIMEOUT_MS = 15_000;
const LOOK_MS = 50;

/** One state folder for all tests, in order: later starts go on from what earlier ones left. */
let state: string;

beforeAll(() => {
  state = mkdtempSync(join(tmpdir(), "showcaller-start-"));
});
afterAll(() => {
  rmSync(state, { recursive: true, force: true });
});

function start(...args: string[]): Started {
  return run(process.execPath, [START, "--port", "0", "--state", state, ...args]);
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly args: string;
}

function processes(): Process[] {
  return process.platform === "linux" ? processesOfLinux() : processesByPs();
}

/** As `ps` would tell, which a small Linux image does not have. */
function processesOfLinux(): Process[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, state_, parent] = /\) (\S) (\d+) /.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? [];
      const args = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      return state_ === "Z" ? [] : [{ pid: Number(name), parent: Number(parent), args }];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

function processesByPs(): Process[] {
  const options = { encoding: "utf8", maxBuffer: 16 * 1024 * 1024 } as const;
  return execFileSync("ps", ["-eo", "pid=,ppid=,args="], options)
    .split("\n")
    .flatMap((line) => {
      const [, pid, parent, args] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      return args === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), args }];
    });
}

/** A process and all that came from it. */
function familyOf(pid: number): Process[] {
  const all = processes();
  const family = all.filter((one) => one.pid === pid);
  for (const elder of family) family.push(...all.filter((one) => one.parent === elder.pid));
  return family;
}

function leftOf(family: readonly Process[]): Process[] {
  const now = processes();
  return family.filter((one) => now.some(({ pid, args }) => pid === one.pid && args === one.args));
}

async function untilGone(family: readonly Process[]): Promise<Process[]> {
  const until = Date.now() + GONE_TIMEOUT_MS;
  let left = leftOf(family);
  while (left.length > 0 && Date.now() < until) {
    await pause(LOOK_MS);
    left = leftOf(family);
  }
  return left;
}

/** What the world's own file says has happened, by service and kind. */
function counts(): Pick<ReturnType<Referee["counts"]>, "kinds" | "duplicates" | "absorbed"> {
  const referee = new Referee({ stateFile: join(state, "world.jsonl") });
  try {
    const { kinds, duplicates, absorbed } = referee.counts();
    return { kinds, duplicates, absorbed };
  } finally {
    referee.close();
  }
}

/** What stands in the state folder, and what the world, which runs, has issued. */
async function givenOut(): Promise<Given> {
  const variables = Object.fromEntries(
    readFileSync(join(state, ".dev.vars"), "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, name, value] = /^(\w+)='(.*)'$/.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value] as const];
      }),
  );
  const given = Given.of(variables);
  const { apiKey } = parseSecrets(readFileSync(join(state, "secrets.json"), "utf8")) ?? {};
  given.add("the admin key", apiKey);
  const names = JSON.parse(variables["DEV_HOSTS"] ?? "{}") as Readonly<Record<string, number>>;
  const issued = async (whose: string): Promise<readonly string[]> => {
    const answer = await fetch(`http://127.0.0.1:${names["referee.example"]}/${whose}/secrets`);
    return ((await answer.json()) as { readonly items: readonly string[] }).items;
  };
  const [login, clouds] = [await issued("login"), await issued("clouds")];
  given.addWorld({ login: { secrets: () => login }, clouds: { secrets: () => clouds } });
  return given;
}

describe("npm start", { timeout: TEST_TIMEOUT_MS }, () => {
  it("books a trip once although services fail, and ends with 0 and nothing left running", async () => {
    const started = start("--once");
    await started.says("attempt 1");
    const family = familyOf(started.child.pid ?? 0);
    // This process, the world, the keeper, wrangler, its shim, and the runtime.
    expect(family.length).toBeGreaterThan(5);
    const secrets = parseSecrets(readFileSync(join(state, "secrets.json"), "utf8"));
    const tokens = readFileSync(join(state, ".dev.vars"), "utf8").match(/"token":"[^"]+"/g) ?? [];
    const values = [...Object.values(secrets ?? {}), ...tokens.map((token) => token.slice(9, -1))];
    expect(values.length).toBeGreaterThan(5);
    expect(values.filter((value) => processes().some(({ args }) => args.includes(value)))).toEqual([]);

    await started.endsWith(0);
    expect(leftOf(family)).toEqual([]);
    const told = started.output().replace(/\s+/g, " ");
    for (const words of [
      "the backend confirmed that it was ada",
      "ada takes the consent back, at the provider",
      "entry waits for a consent: it was taken back",
      "ada opens the run's link",
      "entry what it waited for may be there",
    ])
      expect(told).toContain(words);
    expect(counts()).toEqual({
      kinds: {
        "airline booking": { made: 1, standing: 1 },
        "hotel reservation": { made: 1, standing: 1 },
        "calendar event": { made: 1, standing: 1 },
        "mail message": { made: 1, standing: 1 },
      },
      duplicates: 0,
      absorbed: expect.toSatisfy((count) => Number(count) >= 1),
    });
    for (const name of ["secrets.json", ".dev.vars", "server.log"])
      expect([name, statSync(join(state, name)).mode & 0o777]).toEqual([name, 0o600]);
    const log = readFileSync(join(state, "server.log"), "utf8");
    expect(values.filter((value) => log.includes(value))).toEqual([]);
    expect(
      started
        .output()
        .split("\n")
        .filter((line) => line.length > 80),
    ).toEqual([]);
    expect(started.output()).not.toContain("\u001B");
  });

  it("undoes a trip that cannot be had, with the secrets and data of the start before", async () => {
    const before = readFileSync(join(state, "secrets.json"), "utf8");
    const started = start("--once", "--fail");
    await started.endsWith(0);
    expect(readFileSync(join(state, "secrets.json"), "utf8")).toBe(before);
    expect(counts()).toMatchObject({
      kinds: {
        "airline booking": { made: 2, standing: 1 },
        "hotel reservation": { made: 1, standing: 1 },
        "voice call": { made: 1, standing: 1 },
      },
      duplicates: 0,
    });
  });

  it("stays up, refuses a second start beside it, and ends with everything on Ctrl-C", async () => {
    const started = start();
    await started.says("Ctrl-C ends everything.");
    const family = familyOf(started.child.pid ?? 0);
    const [, url = ""] = /address\s+(http\S+)/.exec(started.output()) ?? [];
    const [, key = ""] = /(sck_\w+)/.exec(started.output()) ?? [];
    const answer = await fetch(`${url}/v1/workflows`, { headers: { authorization: `Bearer ${key}` } });
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
    // All that this start has made, shown, lent and borrowed until now.
    const given = await givenOut();
    given.add("the key on the terminal", key);
    expect(given.size).toBeGreaterThan(15);
    given.mustNotStandIn(readFileSync(join(state, "server.log"), "utf8").split("\n"));

    const second = start("--once");
    await second.endsWith(1);
    expect(second.output()).toContain(url);

    const other = mkdtempSync(join(tmpdir(), "showcaller-start-"));
    const third = run(process.execPath, [START, "--state", other, "--port", new URL(url).port, "--once"]);
    await third.endsWith(1);
    expect(third.output()).toContain(`Port ${new URL(url).port}`);
    rmSync(other, { recursive: true });

    started.child.kill("SIGINT");
    await started.endsWith(0);
    expect(leftOf(family)).toEqual([]);
  });

  it("ends with 1 and everything else when the server or the world ends by itself, and says which", async () => {
    for (const [part, words] of [
      ["test/world/main.ts", "The world of services has ended by itself."],
      ["src/cli/keeper.ts", "The server has ended by itself."],
    ] as const) {
      const started = start("--workflow", "process-order");
      await started.says("Ctrl-C ends everything.");
      const family = familyOf(started.child.pid ?? 0);
      const victim = family.find(({ args }) => args.includes(part));
      if (victim === undefined) throw new Error(`${part} does not run`);
      process.kill(victim.pid, "SIGKILL");
      await started.endsWith(1);
      expect(started.output()).toContain(words);
      expect(started.output()).toMatch(/\n {2}log /);
      expect(leftOf(family)).toEqual([]);
    }
  });

  it("ends everything when npm, which started it, is killed with -9 in the middle of a run", async () => {
    const started = run("npm", ["start", "--", "--port", "0", "--state", state]);
    await started.says("attempt 1");
    const family = familyOf(started.child.pid ?? 0);
    expect(family.length).toBeGreaterThan(6);
    started.child.kill("SIGKILL");
    expect(await untilGone(family)).toEqual([]);
  });

  it("ends everything when it is killed with -9 itself, and starts again after that", async () => {
    const started = start("--once");
    await started.says("attempt 1");
    const family = familyOf(started.child.pid ?? 0);
    started.child.kill("SIGKILL");
    expect(await untilGone(family)).toEqual([]);
    const again = start("--once", "--workflow", "process-order");
    await again.endsWith(0);
    // The runs that were cut off have gone on meanwhile, or will; nothing happens twice.
    expect(counts().duplicates).toBe(0);
  });

  it("says so and ends with 1 and with everything when its server is there and no longer answers", async () => {
    const started = start();
    await started.says("Ctrl-C ends everything.");
    const family = familyOf(started.child.pid ?? 0);
    const runtimes = family.filter(({ args }) => /workerd\S* serve /.test(args));
    expect(runtimes).toHaveLength(2);
    // As wrangler leaves it when both have died at once: something listens, and nothing answers.
    for (const { pid } of runtimes) process.kill(pid, "SIGSTOP");
    await started.endsWith(1);
    expect(started.output()).toContain("The server no longer answers.");
    expect(await untilGone(family)).toEqual([]);
  });

  it("breaks off with 143 on SIGTERM in the middle of a run", async () => {
    const started = start();
    await started.says("attempt 1");
    const family = familyOf(started.child.pid ?? 0);
    started.child.kill("SIGTERM");
    await started.endsWith(143);
    expect(leftOf(family)).toEqual([]);
  });
});

describe("what cannot start", () => {
  it("is told with the folder to delete, where what an earlier start left is damaged", async () => {
    const damaged = mkdtempSync(join(tmpdir(), "showcaller-start-"));
    writeFileSync(join(damaged, "world.jsonl"), "\u0000 no JSON\n");
    const started = run(process.execPath, [START, "--port", "0", "--state", damaged, "--once"]);
    await started.endsWith(1);
    expect(started.output().replace(/\s+/g, " ")).toContain(`delete the folder ${damaged}`);
    rmSync(damaged, { recursive: true });
  });

  it("is said with exit code 2 for the command line, and 1 for the rest", async () => {
    const wrong = run(process.execPath, [START, "--nonsense"]);
    await wrong.endsWith(2);
    const help = run(process.execPath, [START, "--help"]);
    await help.endsWith(0);
    expect(help.output()).toContain("--once");
  });
});
