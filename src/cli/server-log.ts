/**
 * What the server says in its log that a person at the terminal has to know: a saved file that cannot be built, one that
 * took effect, a runtime that crashed. Owns the reading of the file while it grows. Does not own the file, nor where the
 * lines are shown.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { StringDecoder } from "node:string_decoder";
import type { Colour } from "./paint.ts";

/** A line for the terminal. */
export interface Notice {
  readonly what: string;
  readonly colour: Colour;
}

const LOOK_MS = 200;
const CHUNK_BYTES = 64 * 1024;
/** A longer line is not one of those that we look for. */
const MAX_LINE_CHARS = 16 * 1024;

const MEND = "Requests wait until the file is mended and saved.";

/** Takes the log line by line, as wrangler writes it, and gives what is worth a line on the terminal. Pure but for its own state. */
export function createLogReader(): (line: string) => Notice | null {
  /** Of a build that failed: what was said of it so far. Null: nothing is being read. */
  let failure: string | null = null;
  return (raw) => {
    const line = stripVTControlCharacters(raw)
      .replaceAll(/\p{Cc}/gu, " ")
      .trim();
    if (line.includes("Build failed")) {
      failure = "";
      return null;
    }
    if (failure !== null) {
      const [, message] = /^✘ \[ERROR\] (.+)$/.exec(line) ?? [];
      if (message !== undefined) {
        failure = message;
        return null;
      }
      // Behind a message stands its place, as `    src/workflows/mine.ts:12:3:`, if it has one.
      if (failure === "" || line === "") return null;
      const [, place] = /^(?:\.\.\/)*(\S.*:\d+:\d+):$/.exec(line) ?? [];
      const what = `Build failed: ${failure}${place === undefined ? "" : ` (${place})`}. ${MEND}`;
      failure = null;
      return { what, colour: "red" };
    }
    const [, uncaught] = /^✘ \[ERROR\] service core:user:\S+: Uncaught (.+)$/.exec(line) ?? [];
    if (uncaught !== undefined)
      return { what: `The saved code does not start: ${uncaught}. The server may end by it.`, colour: "red" };
    if (line.includes("Workers runtime crashed"))
      return { what: "The Workers runtime crashed, and is started again.", colour: "red" };
    if (line.endsWith("updated and ready")) return { what: "updated and ready", colour: "green" };
    return null;
  };
}

/**
 * Reads a file as it grows, from its beginning, and calls `line` with each complete line.
 * @returns ends the reading, after a last look
 */
export function followFile(path: string, line: (text: string) => void): () => void {
  const decoder = new StringDecoder("utf8");
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let offset = 0;
  let pending = "";
  const look = (): void => {
    let file: number;
    try {
      file = openSync(path, "r");
    } catch {
      // It is not there yet, or no longer: then there is nothing to tell.
      return;
    }
    try {
      for (let read = readSync(file, buffer, 0, CHUNK_BYTES, offset); read > 0;) {
        offset += read;
        const lines = (pending + decoder.write(buffer.subarray(0, read))).split("\n");
        pending = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
        lines.forEach(line);
        read = readSync(file, buffer, 0, CHUNK_BYTES, offset);
      }
    } finally {
      closeSync(file);
    }
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    look();
  };
}
