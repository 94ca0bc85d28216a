/**
 * `npm run setup`: prepares a deployment. Owns the terminal and the exit code; setup-run.ts has the order of things.
 *
 * Exit codes: 0 done; 1 refused, and it is said why; 2 the command line.
 */
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { begin, refused } from "./deploy-command.ts";
import { SETUP_HELP, parseSetup } from "./setup-options.ts";
import { runSetup, type SetupPorts } from "./setup-run.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** Of a person who answers what cannot be. */
const TRIES = 5;

const given = parseSetup(process.argv.slice(2), process.env);
const ready = begin(ROOT, given, SETUP_HELP);
if (ready !== null) {
  const { options, run } = ready;
  const seen = process.stdout.isTTY;
  const done = await runSetup(options, {
    ...{ root: ROOT, run, seen, now: () => new Date(), say: (text) => console.log(text) },
    ask: !options.yes && seen && process.stdin.isTTY ? askPerson : null,
  });
  if (done.ok)
    console.log(`\nNext: npm run deploy${options.env === "production" ? "" : ` -- --env ${options.env}`}`);
  else process.exitCode = refused(done.complaint);
}

async function askPerson(
  ...[question, proposed, fits]: Parameters<NonNullable<SetupPorts["ask"]>>
): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    for (let tried = 0; tried < TRIES; tried += 1) {
      const answer = (
        await terminal.question(`${question}${proposed === "" ? "" : ` [${proposed}]`}: `)
      ).trim();
      const taken = answer === "" ? proposed : answer;
      if (fits(taken)) return taken;
      console.log("That cannot be.");
    }
    return proposed;
  } finally {
    terminal.close();
  }
}
