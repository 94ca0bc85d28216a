/** Lines that fit into 80 columns, whatever the text in them. Pure. */
import type { Paint } from "./paint.ts";
import type { Line } from "./story.ts";

export const COLUMNS = 80;
const TIME_COLUMNS = 9;
const WHO_COLUMNS = 18;
const GAP = "  ";

/** `   1.23 s  flight              done in 21 ms`; what is too long goes on in the next line. */
export function layOut({ at, who, what, colour }: Line, startedAt: number, paint: Paint): string {
  const time = `${(Math.max(0, at - startedAt) / 1000).toFixed(2)} s`.padStart(TIME_COLUMNS);
  const margin = TIME_COLUMNS + GAP.length + WHO_COLUMNS;
  return wrap(plain(what), COLUMNS - margin)
    .map((part, i) => {
      const before =
        i === 0
          ? `${paint("dim", time)}${GAP}${clip(plain(who), WHO_COLUMNS - 1).padEnd(WHO_COLUMNS)}`
          : " ".repeat(margin);
      return before + (colour === undefined ? part : paint(colour, part));
    })
    .join("\n");
}

/** `  name      text`, for lists. */
export function row(name: string, text: string, colour: (part: string) => string = (part) => part): string {
  const parts = wrap(text, COLUMNS - 14);
  return parts.map((part, i) => `  ${(i === 0 ? name : "").padEnd(11)} ${colour(part)}`).join("\n");
}

/** Breaks at spaces; a word that is longer than a line is broken in itself. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((long) => chunks(long, columns))) {
    if (line === "") line = word;
    else if (line.length + 1 + word.length <= columns) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

function chunks(word: string, columns: number): string[] {
  const parts: string[] = [];
  for (let at = 0; at < word.length || at === 0; at += columns) parts.push(word.slice(at, at + columns));
  return parts;
}

function clip(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;
}

/** What a service says must not move the cursor or write lines of its own. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ");
}
