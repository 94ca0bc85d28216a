/**
 * What the world writes down: one JSON object per line, appended before the answer leaves.
 * Owns the file and its format. Does not own the meaning of a line: the referee folds them.
 *
 * PERSISTED CONTRACT, version 1.
 * L1 a line is written whole by one call, so a kill can only cut the last line;
 * L2 a cut last line is dropped when the file is read, and removed before the next append.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Answer } from "./http.ts";
import type { Deed } from "./deeds.ts";
import type { Arrival, Ending, Note } from "./ledger.ts";

export type Line =
  | { t: "head"; tokens: Record<string, string>; lastSeq: number; lastDeed: number }
  | { t: "arrived"; arrival: Arrival }
  | { t: "noted"; seq: number; note: Note }
  | { t: "ended"; seq: number; ending: Ending }
  | { t: "made"; number: number; deed: Deed }
  | { t: "undone"; service: string; id: string; seq: number; at: number }
  | { t: "kept"; scope: string; digest: string; answer: Answer; at: number }
  | { t: "forgot" };

export class StateFile {
  readonly #fd: number;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, "a+");
  }

  append(line: Line): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`);
  }

  read(): Line[] {
    const bytes = readFileSync(this.#path);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    if (whole < bytes.length) ftruncateSync(this.#fd, whole);
    const lines: Line[] = [];
    for (const text of bytes.toString("utf8", 0, whole).split("\n")) {
      // The file is ours alone (see the contract above), so its lines are trusted to have our shape.
      if (text !== "") lines.push(JSON.parse(text) as Line);
    }
    return lines;
  }

  clear(): void {
    ftruncateSync(this.#fd, 0);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
