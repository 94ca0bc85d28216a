/**
 * The processes beside this one: the server with its keeper, and the world.
 * Owns their starts, their ends and their logs. Does not own what is said to them.
 *
 * P1 each is in a process group of its own, so that Ctrl-C in the terminal reaches only this process, which ends them;
 * P2 each ends when this process is gone, whatever killed it: its channel to here closes (keeper.ts, test/world/main.ts);
 * P3 no secret is in the arguments of any.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { complain, fine, type Outcome } from "./complaint.ts";
import type { KeeperMessage } from "./keeper.ts";

const OWNER_ONLY_FILE = 0o600;
const READY_TIMEOUT_MS = 60_000;
/** Longer than the keeper waits before it kills. */
const END_TIMEOUT_MS = 4_000;
const GONE_TIMEOUT_MS = 1_000;
const LOOK_MS = 20;

export interface Running {
  /** Settles once the process has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** Ends it and all that it started. */
  readonly end: () => Promise<void>;
}

export interface Command {
  /** A script for this Node. */
  readonly script: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** File that gets what it prints. */
  readonly log: string;
}

export interface Kept extends Running {
  /** The first message of the command for which `pick` gives something. Null: it ended, or took too long. */
  readonly hear: <T>(pick: (message: unknown) => T | null) => Promise<T | null>;
  /** Exit code of a command that ended by itself, else null. */
  readonly exitCode: Promise<number | null>;
}

/** Starts a command under a keeper. */
export function keep(command: Command): Kept {
  const log = openSync(command.log, "w", OWNER_ONLY_FILE);
  const keeper = spawn(
    process.execPath,
    [join(import.meta.dirname, "keeper.ts"), process.execPath, command.script, ...command.args],
    {
      cwd: command.cwd,
      env: { ...process.env, ...command.env },
      stdio: ["ignore", log, log, "ipc"],
      detached: true,
    },
  );
  closeSync(log);
  let exitCode: number | null = null;
  const listeners = new Set<(message: unknown) => void>();
  keeper.on("message", (message: KeeperMessage) => {
    if (message.kind === "exited") exitCode = message.code;
    else for (const listener of listeners) listener(message.message);
  });
  const ended = endOf(keeper).then(async () => {
    // The keeper itself may have been killed; then nobody has ended its group yet.
    killGroup(keeper);
    await groupGone(keeper);
  });
  return {
    ended,
    exitCode: ended.then(() => exitCode),
    hear: (pick) =>
      within(READY_TIMEOUT_MS, (settle) => {
        listeners.add((message) => {
          const heard = pick(message);
          if (heard !== null) settle(heard);
        });
        void ended.then(() => settle(null));
      }),
    end: async () => {
      if (keeper.connected) keeper.disconnect();
      await endOrKill(keeper, ended);
    },
  };
}

export interface WorldProcess extends Running {
  /** DNS name to loopback port. */
  readonly names: Readonly<Record<string, number>>;
  /** DNS name to bearer token. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Our client at the login server. */
  readonly login: { readonly id: string; readonly secret: string };
}

export interface WorldOptions {
  /** The project's folder. */
  readonly root: string;
  /** What happened is kept here. */
  readonly stateFile: string;
  /** What to do if it does not start. */
  readonly todo: string;
  readonly log: string;
  /** Called as soon as there is something to end. */
  readonly started: (running: Running) => void;
}

export async function startWorld({
  root,
  stateFile,
  todo,
  log,
  started,
}: WorldOptions): Promise<Outcome<WorldProcess>> {
  const errors = openSync(log, "w", OWNER_ONLY_FILE);
  const child = spawn(process.execPath, [join(root, "test/world/main.ts"), "--state", stateFile], {
    cwd: root,
    stdio: ["pipe", "pipe", errors],
    detached: true,
  });
  closeSync(errors);
  const ended = endOf(child);
  const end = async (): Promise<void> => {
    child.stdin?.end();
    await endOrKill(child, ended);
  };
  started({ ended, end });
  const line = await within<string>(READY_TIMEOUT_MS, (settle) => {
    if (child.stdout !== null) createInterface({ input: child.stdout }).once("line", settle);
    void ended.then(() => settle(null));
  });
  const ready = line === null ? null : parseReady(line);
  if (ready !== null) return fine({ ...ready, ended, end });
  await end();
  return complain("The world of services did not start.", todo, log);
}

function parseReady(line: string): Pick<WorldProcess, "names" | "tokens" | "login"> | null {
  try {
    const { ready, names, tokens, login } = JSON.parse(line) as { ready?: boolean } & WorldProcess;
    return ready === true ? { names, tokens, login } : null;
  } catch {
    return null;
  }
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}

async function endOrKill(child: ChildProcess, ended: Promise<void>): Promise<void> {
  const timer = setTimeout(killGroup, END_TIMEOUT_MS, child);
  await ended;
  clearTimeout(timer);
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group is empty, as it should be.
  }
}

/** What was killed takes a moment to be gone; one that nobody collects is not waited for. */
async function groupGone({ pid }: ChildProcess): Promise<void> {
  if (pid === undefined) return;
  const until = Date.now() + GONE_TIMEOUT_MS;
  try {
    while (Date.now() < until) {
      process.kill(-pid, 0);
      await pause(LOOK_MS);
    }
  } catch {
    // There is no such group any more.
  }
}

/** Null when the time is up. */
function within<T>(timeoutMs: number, start: (settle: (value: T | null) => void) => void): Promise<T | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs, null);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
