/** The stand-in as a program: what stands at node_modules/wrangler/bin/wrangler.js of a project under test imports this. */
import { readFileSync, writeFileSync } from "node:fs";
import { StandIn } from "./stand-in.ts";

/** @param folder of the account */
export function main(folder: string): void {
  const { exitCode, stdout, stderr, report } = new StandIn(folder).answer(
    process.argv.slice(2),
    readFileSync(0, "utf8"),
  );
  const path = process.env["WRANGLER_OUTPUT_FILE_PATH"];
  if (report !== "" && path !== undefined) writeFileSync(path, report);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = exitCode;
}
