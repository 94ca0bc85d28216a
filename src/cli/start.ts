/**
 * `npm start`: a local Showcaller beside a world of services that fail on purpose, and one run, shown as it happens.
 * Owns the order of things, the exit code, and that nothing is left running. `--help` tells the options.
 *
 * Exit codes: 0 the run ended as it should and the referee agrees (also when Ctrl-C ends what then stayed up);
 * 1 something is wrong, and it is said what; 2 the command line; 128 + n ended by signal n before the run was over.
 */
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { stripVTControlCharacters } from "node:util";
import { relative, resolve } from "node:path";
import type { Complaint, Outcome } from "./complaint.ts";
import { COLUMNS, row, wrap } from "./layout.ts";
import { takeLock } from "./lock.ts";
import { HELP, parseOptions, type StartOptions } from "./options.ts";
import { createPaint } from "./paint.ts";
import { checkPort } from "./ports.ts";
import type { Running } from "./processes.ts";
import { show, type Shown, type Stage } from "./show.ts";
import { watchNpm } from "./npm-watch.ts";
import { openState } from "./state.ts";
import { findTools } from "./tools.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** A server that lost its parent has ended by then (keeper.ts). */
const INHERITED_PATIENCE_MS = 5_000;
const LOG_LINES = 20;
const EXIT_WRONG = 1;
const EXIT_USAGE = 2;

const paint = createPaint({ isTTY: process.stdout.isTTY, env: process.env });

/** Settles when somebody wants this to end, with the signal's number. */
function untilUnwanted(): Promise<number> {
  return new Promise((resolve_) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => resolve_(constants.signals[signal]));
    watchNpm(() => resolve_(constants.signals.SIGHUP));
  });
}

async function start(options: StartOptions, unwanted: Promise<number>): Promise<number> {
  const tools = findTools(ROOT);
  if (!tools.ok) return refuse(tools.complaint);
  const state = openState(resolve(ROOT, options.state));
  if (!state.ok) return refuse(state.complaint);
  const lock = takeLock(state.value.path("running.json"));
  if (!lock.ok) return refuse(lock.complaint);
  const running: Running[] = [];
  const closing = new AbortController();
  const stage: Stage = {
    root: ROOT,
    tools: tools.value,
    state: state.value,
    options,
    paint,
    say: (text) => console.log(text),
    started: (process_) => running.unshift(process_),
    unwanted: closing.signal,
    announce: lock.value.announce,
  };
  try {
    const port = await checkPort(options.port, lock.value.inherited ? INHERITED_PATIENCE_MS : 0);
    if (!port.ok) return refuse(port.complaint);
    const ended = await Promise.race([show(stage), unwanted.then((signal) => ({ signal }))]);
    if ("signal" in ended) return 128 + ended.signal;
    if (!ended.ok) return refuse(ended.complaint);
    if (options.once) return ended.value.good ? 0 : EXIT_WRONG;
    return await stayUp(ended.value, unwanted);
  } finally {
    closing.abort();
    for (const process_ of running) await process_.end();
    lock.value.release();
  }
}

/** Until Ctrl-C, or until the server or the world ends by itself or falls silent. */
async function stayUp({ good, ended }: Shown, unwanted: Promise<number>): Promise<number> {
  const gone = await Promise.race([unwanted.then(() => null), ended]);
  if (gone !== null) return refuse(gone);
  return good ? 0 : EXIT_WRONG;
}

function refuse({ what, todo, log }: Complaint): number {
  const tail = log === undefined ? "" : tailOf(log);
  const parts = [paint("red", wrap(what, COLUMNS).join("\n")), wrap(todo, COLUMNS).join("\n")];
  console.error([...parts, ...(tail === "" ? [] : ["", tail])].join("\n"));
  return EXIT_WRONG;
}

function tailOf(log: string): string {
  try {
    const lines = stripVTControlCharacters(readFileSync(log, "utf8")).trimEnd().split("\n").slice(-LOG_LINES);
    return [row("log", relative(process.cwd(), log)), ...lines.map((line) => `  | ${line}`)].join("\n");
  } catch {
    return "";
  }
}

const unwanted = untilUnwanted();
const options: Outcome<StartOptions> = parseOptions(process.argv.slice(2), process.env);
if (!options.ok) {
  refuse(options.complaint);
  process.exitCode = EXIT_USAGE;
} else if (options.value.help) {
  console.log(HELP);
} else {
  process.exitCode = await start(options.value, unwanted);
}
process.exit();
