/**
 * Notices that npm is gone. npm hands signals on, but it can be killed in a way that it cannot notice; and between npm and
 * this process there may be a shell that outlives it.
 */
import { execFile } from "node:child_process";
import { isAlive } from "./lock.ts";

const LOOK_MS = 500;

/** Calls `gone` once npm has ended; never where this process was not started by npm. */
export function watchNpm(gone: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  let npm = parent;
  execFile("ps", ["-o", "ppid=,comm=", "-p", String(parent)], (_error, output) => {
    const [, grandparent, command = ""] = /^\s*(\d+)\s+(\S+)/.exec(output) ?? [];
    if (/(?:^|[/-])\w*sh$/.test(command)) npm = Number(grandparent);
  });
  setInterval(() => {
    if (process.ppid !== parent || !isAlive(npm)) gone();
  }, LOOK_MS).unref();
}
