/**
 * Runs the world as a process of its own:
 *
 *   node test/world/main.ts [--port HOST=PORT]... [--token HOST=TOKEN]... [--state FILE] [--seed N] [--faults JSON|@FILE]
 *
 * Prints one JSON line, `{"ready":true,"pid","names","tokens","login"}`, once all services listen. Ends on SIGTERM, SIGINT,
 * when a piped standard input closes, or when the process that started it is gone.
 */
import { fstatSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseFaultRules, startWorld, type FaultRule, type WorldOptions } from "./index.ts";

const PARENT_CHECK_MS = 500;

function readOptions(): WorldOptions {
  const { values } = parseArgs({
    options: {
      port: { type: "string", multiple: true, default: [] },
      token: { type: "string", multiple: true, default: [] },
      state: { type: "string" },
      seed: { type: "string" },
      faults: { type: "string" },
    },
  });
  const ports = Object.fromEntries(
    pairs("--port", values.port).map(([host, port]) => [host, wholeNumber("--port", port)]),
  );
  return {
    ports,
    tokens: Object.fromEntries(pairs("--token", values.token)),
    ...(values.state === undefined ? {} : { stateFile: values.state }),
    ...(values.seed === undefined ? {} : { seed: wholeNumber("--seed", values.seed) }),
    ...(values.faults === undefined ? {} : { faults: readFaults(values.faults) }),
  };
}

function pairs(option: string, texts: readonly string[]): [string, string][] {
  return texts.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) throw new TypeError(`${option} takes HOST=VALUE, not ${JSON.stringify(text)}`);
    return [text.slice(0, at), text.slice(at + 1)];
  });
}

function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,10}$/.test(text))
    throw new TypeError(`${option} takes a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

function readFaults(text: string): FaultRule[] {
  const input = parseFaultRules(
    JSON.parse(text.startsWith("@") ? readFileSync(text.slice(1), "utf8") : text),
  );
  if (input.kind === "rules") return input.rules;
  throw new TypeError(
    `--faults: ${input.errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; ")}`,
  );
}

/** Calls `end` when whoever started this process no longer wants it. A terminal or /dev/null as input says nothing. */
function watchParent(end: () => void): void {
  const input = fstatSync(0);
  if (input.isFIFO() || input.isSocket()) {
    process.stdin.once("end", end).once("close", end).once("error", end).resume();
  }
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end();
  }, PARENT_CHECK_MS).unref();
}

try {
  const world = await startWorld(readOptions());
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    void world.close().then(() => process.exit(0));
  };
  process.once("SIGTERM", end).once("SIGINT", end);
  watchParent(end);
  console.log(
    JSON.stringify({
      ready: true,
      pid: process.pid,
      names: world.names,
      tokens: world.tokens,
      login: world.login.client,
    }),
  );
} catch (error) {
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
  console.error(`${error instanceof Error ? error.message : String(error)}${cause}`);
  process.exit(1);
}
