/** What the system tells of a process. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface ProcessInfo {
  readonly command: string;
  readonly parent: number;
  /** It has ended, and only its number is left, because nobody has waited for it. */
  readonly dead: boolean;
}

/** Null where there is no such process, or the system does not tell. */
export function lookAt(pid: number): ProcessInfo | null {
  try {
    // proc_pid_stat(5): "pid (command) state parent ..."; a small Linux image has that, but no `ps`.
    const found =
      process.platform === "linux"
        ? /\((?<command>.*)\) (?<state>\S) (?<parent>\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))
        : /^\s*(?<parent>\d+)\s+(?<state>\S)\S*\s+(?<command>\S+)/.exec(
            execFileSync("ps", ["-o", "ppid=,stat=,comm=", "-p", String(pid)], { encoding: "utf8" }),
          );
    const { command, parent, state } = found?.groups ?? {};
    if (command === undefined || parent === undefined) return null;
    return { command, parent: Number(parent), dead: state === "Z" || state === "X" };
  } catch {
    return null;
  }
}

/** Whether a process of that number is running, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: there is one, of somebody else.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return lookAt(pid)?.dead !== true;
}
