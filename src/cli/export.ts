/**
 * `npm run -s export -- --api URL --file FILE`: takes a tenant out, to a file. Called again with the same file it goes on where it was
 * cut off. The key comes from the environment, `SHOWCALLER_KEY`: arguments can be read by every user of the machine. Exit codes: 0
 * the file is whole; 1 it is not; 2 the command line.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { join } from "node:path";
import { asked, isUsage, saidBy } from "./answers.ts";
import { reasonOf } from "./complaint.ts";
import { nextOf, summaryOf } from "./export-file.ts";

const HELP = `SHOWCALLER_KEY=... npm run -s export -- --api URL --file FILE [--runs DIR]

Takes out what there is of the key's tenant. The key needs tenant:export; for
--runs also runs:read and outputs:read, and outputs:reveal for what is sensitive.

  --runs DIR   also each run with its journal, to DIR/<run>.ndjson`;

const PATIENCE_MS = 120_000;
const EXIT_USAGE = 2;

class Refused extends Error {
  readonly status: number;
  constructor(path: string, status: number, text: string) {
    super(saidBy(path, status, text));
    this.status = status;
  }
}

async function get(api: string, path: string, key: string): Promise<string> {
  const headers = { authorization: `Bearer ${key}` };
  const answer = await asked(api, path, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  const text = await answer.text();
  if (!answer.ok) throw new Refused(path, answer.status, text);
  return text;
}

async function takeOut(api: string, file: string, key: string): Promise<void> {
  const before = existsSync(file) ? readFileSync(file, "utf8") : "";
  const whole = nextOf(before);
  let { cursor } = whole;
  if (cursor === null) console.error(`${file} is whole already; a new export is another file.`);
  if (!existsSync(file)) writeFileSync(file, "", { mode: 0o600 });
  truncateSync(file, Buffer.byteLength(before.slice(0, whole.keep)));
  while (cursor !== null) {
    const page = await get(api, `/v1/export${cursor === "" ? "" : `?cursor=${cursor}`}`, key);
    const next = nextOf(page);
    if (next.keep !== page.length) throw new Error("An answer broke off. Run the command again: it goes on.");
    appendFileSync(file, page);
    cursor = next.cursor;
  }
}

/** Runs that are gone meanwhile are passed over, and counted. */
async function takeRuns(api: string, text: string, folder: string, key: string) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const count = { whole: 0, gone: 0 };
  for (const line of text.split("\n").slice(0, -1)) {
    const { type, data } = JSON.parse(line) as { type: string; data?: { id: string } };
    if (type !== "run" || data === undefined) continue;
    const file = join(folder, `${data.id}.ndjson`);
    if (existsSync(file)) {
      count.whole += 1;
      continue;
    }
    try {
      const run = await get(api, `/v1/runs/${data.id}/export`, key);
      const last = run.trimEnd().split("\n").at(-1) ?? "";
      if ((JSON.parse(last) as { type: string }).type !== "end") throw new Error(`${data.id} broke off.`);
      writeFileSync(file, run, { mode: 0o600 });
      count.whole += 1;
    } catch (error) {
      if (!(error instanceof Refused) || (error.status !== 404 && error.status !== 410)) throw error;
      count.gone += 1;
    }
  }
  return count;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { api: { type: "string" }, file: { type: "string" }, runs: { type: "string" } },
  });
  const { api, file, runs } = values;
  const key = process.env["SHOWCALLER_KEY"] ?? "";
  if (api === undefined || file === undefined || key === "") {
    const lacks = api === undefined ? "--api URL" : file === undefined ? "--file FILE" : "SHOWCALLER_KEY";
    console.error(`${lacks} is missing.\n\n${HELP}`);
    return EXIT_USAGE;
  }
  await takeOut(api, file, key);
  const text = readFileSync(file, "utf8");
  const whole = text.slice(0, nextOf(text).keep);
  const taken = runs === undefined ? {} : { runs: await takeRuns(api, whole, runs, key) };
  const summary = JSON.stringify({ ...summaryOf(whole), ...taken });
  appendFileSync(file, `${summary}\n`);
  console.error(summary);
  return 0;
}

if (process.argv.includes("--help")) console.log(HELP);
else
  process.exitCode = await main().catch((error: unknown) => {
    console.error(reasonOf(error));
    return isUsage(error) ? EXIT_USAGE : 1;
  });
