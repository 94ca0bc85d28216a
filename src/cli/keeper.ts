/**
 * Runs a command and all that it starts as one process group, and ends the group when whoever started the keeper is gone,
 * however that came about. wrangler starts a shim, a second Node, a bundler and two workerds: killed from above, some stay.
 *
 *   node keeper.ts COMMAND ARGUMENT...      started with an IPC channel, as the leader of a process group
 *
 * Tells its parent `KeeperMessage`s. Ends by killing the whole group, itself included.
 */
import { spawn } from "node:child_process";

/** How long the group may take to end by itself. */
const GRACE_MS = 2_000;

export type KeeperMessage =
  /** What the command said on its own IPC channel. */
  | { readonly kind: "said"; readonly message: unknown }
  /** The command has ended by itself. */
  | { readonly kind: "exited"; readonly code: number };

const [command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
let ending = false;

function killGroup(signal: NodeJS.Signals): void {
  process.kill(-process.pid, signal);
}

/** Asks the group to end; what does not is killed. */
function end(): void {
  if (ending) return;
  ending = true;
  setTimeout(killGroup, GRACE_MS, "SIGKILL");
  // The keeper gets it too, and is already ending.
  killGroup("SIGTERM");
}

function tell(message: KeeperMessage, then: () => void): void {
  if (process.connected) process.send?.(message, then);
  else then();
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
process.on("disconnect", end);
child.on("message", (message) => {
  tell({ kind: "said", message }, () => {});
});
child.on("error", (error) => {
  console.error(error.message);
  tell({ kind: "exited", code: 127 }, () => killGroup("SIGKILL"));
});
child.on("exit", (code) => {
  if (ending) killGroup("SIGKILL");
  else tell({ kind: "exited", code: code ?? 1 }, () => killGroup("SIGKILL"));
});
