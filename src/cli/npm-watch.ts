/**
 * Notices that npm is gone. npm hands signals on, but it can be killed in a way that it cannot notice; and between npm and
 * this process there may be a shell that outlives it.
 */
import { lookAt } from "./process-table.ts";

const LOOK_MS = 1_000;

/** Calls `gone` once npm has ended; never where this process was not started by npm. */
export function watchNpm(gone: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const shell = lookAt(parent);
  const hasShell = shell !== null && /(?:^|[/-])\w*sh$/.test(shell.command);
  // Asked is who the parent is, not whether npm lives: a dead process that nobody has waited for still has its number.
  setInterval(() => {
    if (process.ppid !== parent || (hasShell && lookAt(parent)?.parent !== shell.parent)) gone();
  }, LOOK_MS).unref();
}
