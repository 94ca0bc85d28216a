/** Whether this machine has what the start needs, so that what is missing is said before anything is started. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { complain, fine, type Outcome } from "./complaint.ts";

const MIN_NODE_MAJOR = 24;
const PROBE_TIMEOUT_MS = 20_000;
const INSTALL = "Run `npm ci` in the project's folder, then `npm start`.";

export interface Tools {
  /** Script of wrangler, to be run by this Node. */
  readonly wrangler: string;
}

/** @param root the project's folder */
export function findTools(root: string, nodeVersion = process.versions.node): Outcome<Tools> {
  if (Number(nodeVersion.split(".")[0]) < MIN_NODE_MAJOR) {
    return complain(
      `This is Node ${nodeVersion}; Showcaller needs ${MIN_NODE_MAJOR} or newer.`,
      "Run `npm ci`, then `npm start`: npm brings the right Node along, whatever the machine has.",
    );
  }
  const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
  if (!existsSync(wrangler)) return complain("wrangler is not installed.", INSTALL);
  const workerd = join(root, "node_modules/workerd/bin/workerd");
  if (!existsSync(workerd)) return complain("workerd, the Workers runtime, is not installed.", INSTALL);
  // It is a program for one platform: a folder copied from another machine, or a C library too old, shows only here.
  const probe = spawnSync(workerd, ["--version"], { encoding: "utf8", timeout: PROBE_TIMEOUT_MS });
  if (probe.status === 0) return fine({ wrangler });
  const reason = (probe.error?.message ?? probe.stderr).trim().split("\n")[0] ?? "";
  return complain(
    `workerd, the Workers runtime, does not run on this machine${reason === "" ? "" : `: ${reason}`}.`,
    "Run `npm ci` on this very machine. If that does not help: it needs a recent Linux with glibc, or macOS.",
  );
}
