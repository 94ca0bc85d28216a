/**
 * `npm run deploy`: checks, migrates, deploys, and asks how it is. Owns the exit code; deploy-run.ts has the order of things.
 * Asks nothing, so that it runs in a build as well.
 *
 * Exit codes: 0 done, and the deployment is well; 1 something is wrong, and it is said what; 2 the command line.
 */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { fine, refuse, type Outcome } from "./complaint.ts";
import { begin, refused } from "./deploy-command.ts";
import { realHealth } from "./deploy-health.ts";
import { runDeploy } from "./deploy-run.ts";
import { DEPLOY_HELP, parseDeploy } from "./setup-options.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const SHOWN_LINES = 20;

const given = parseDeploy(process.argv.slice(2), process.env);
const ready = begin(ROOT, given, DEPLOY_HELP);
if (ready !== null) {
  const { options, run } = ready;
  const rootKey = process.env["ROOT_API_KEY"];
  const done = await runDeploy(options, {
    ...{ root: ROOT, run, say: (text) => console.log(text), types: async () => types() },
    health: realHealth(rootKey === "" ? undefined : rootKey),
    unattended: (process.env["WORKERS_CI"] ?? process.env["CI"] ?? "") !== "",
  });
  if (!done.ok) process.exitCode = refused(done.complaint);
  else if (done.value === null) console.log("\nA dry run: nothing was changed, and no account was asked.");
  else {
    const { address, issuer, version } = done.value;
    console.log(`
address     ${address}
issuer      ${issuer}
version     ${version}

Next, with the root key: a tenant (\`default\` is there) and its first key.

  API=${address}
  curl -sH "Authorization: Bearer $ROOT_API_KEY" -H 'Content-Type: application/json' \\
    $API/v1/tenants -d '{"id": "acme"}'
  curl -sH "Authorization: Bearer $ROOT_API_KEY" -H 'Content-Type: application/json' \\
    $API/v1/tenants/acme/keys -d '{"name": "first admin key"}'`);
  }
}

function types(): Outcome<null> {
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const ran = spawnSync(process.execPath, [tsc, "-p", ROOT, "--noEmit"], { cwd: ROOT, encoding: "utf8" });
  if (ran.status === 0) return fine(null);
  const said = `${ran.stdout}${ran.stderr}${ran.error?.message ?? ""}`
    .trimEnd()
    .split("\n")
    .slice(0, SHOWN_LINES);
  return refuse(
    "types_not_clean",
    `The types of the Worker are not clean.\n${said.map((line) => `  | ${line}`).join("\n")}`,
    "Mend what it says; nothing was changed.",
  );
}
