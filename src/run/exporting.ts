/**
 * A run as it leaves the house: every fact of its journal, and every value that a fact refers to, as lines of JSON (NDJSON).
 * docs/data.md tells the format, `showcaller.run/1`.
 *
 * Owns: what a line is, and how much one batch holds. Does not own: what of a fact is withheld (`withholding.ts`), the first and
 * the last line of an export, which the door writes.
 *
 * X1 an export ends at the fact that was the last one when it began: a journal only grows, so all batches together are the run at
 *    one moment, whatever happens meanwhile.
 * X2 a batch ends with the line that fills it: no answer of the object grows with the run, nor with one turn of it.
 * X3 a value is written once, behind the facts of the row that keeps it, and only if a fact of that row shows it. So what is
 *    withheld of facts is withheld of values, too.
 * X4 where nothing is withheld, folding the facts gives the state that the object has.
 */
import type { Row } from "../driver/index.ts";
import type { RunState, Value } from "../kernel/index.ts";
import type { JournalStore } from "./journal-store.ts";
import type { ExportBatch, ExportPlace } from "./rpc.ts";
import { shownFact, type Hiding } from "./withholding.ts";

/** UTF-16 units of one batch, but for its last line: a value has 1 MiB at most, the facts of one turn as a rule less. */
const BATCH_CHARS = 1_048_576;

export interface ExportSource {
  readonly journal: Pick<JournalStore, "after" | "value">;
  /** At the end of the journal: it says what is sensitive. */
  readonly state: RunState;
  readonly hiding: Hiding;
}

/** A line, read when its turn comes: of the values of one row all but those of this batch stay on disk. */
interface Line {
  readonly kind: "fact" | "value";
  readonly withheld: boolean;
  readonly text: () => string;
}

/**
 * @param from where the batch before ended; null: at the first fact
 * @param through number of the last fact that belongs to the export (X1)
 */
export function exportBatch(source: ExportSource, from: ExportPlace | null, through: number): ExportBatch {
  const count = { facts: 0, values: 0, withheld: 0 };
  const texts: string[] = [];
  let chars = 0;
  let { row: seq, line: skip } = from ?? { row: 1, line: 0 };
  const batch = (next: ExportPlace | null): ExportBatch => ({
    text: texts.join(""),
    next,
    through,
    ...count,
  });
  while (seq <= through) {
    const [row] = source.journal.after(seq - 1, 1);
    if (row === undefined) break;
    const lines = linesOf(source, row);
    for (let i = skip; i < lines.length; i++) {
      const line = lines[i];
      if (line === undefined) continue;
      if (chars >= BATCH_CHARS) return batch({ row: seq, line: i });
      const text = `${line.text()}\n`;
      texts.push(text);
      chars += text.length;
      count[line.kind === "fact" ? "facts" : "values"] += 1;
      if (line.withheld) count.withheld += 1;
    }
    skip = 0;
    seq = row.seq + row.facts.length;
  }
  return batch(null);
}

function linesOf({ journal, state, hiding }: ExportSource, row: Row): Line[] {
  const shown = row.facts.map((fact) => shownFact(fact, state, hiding));
  const facts = shown.map(({ fact, withheld }, i): Line => {
    const text = (): string => JSON.stringify({ type: "fact", seq: row.seq + i, fact });
    return { kind: "fact", withheld, text };
  });
  const values = refsIn(
    row.seq,
    shown.flatMap((one) => one.values),
  ).map(([slot, bytes]): Line => {
    const head = JSON.stringify({ type: "value", ref: [row.seq, slot], bytes }).slice(0, -1);
    return { kind: "value", withheld: false, text: () => `${head},"value":${journal.value(row.seq, slot)}}` };
  });
  return [...facts, ...values];
}

/** The slots of a row that values refer to, in order, each once. */
function refsIn(seq: number, values: readonly Value[]): [slot: number, bytes: number][] {
  const slots = new Map<number, number>();
  const look = (value: Value | null): void => {
    if (value === null || "v" in value) return;
    if ("list" in value) for (const item of value.list) look(item);
    else if (value.ref[0] === seq) slots.set(value.ref[1], value.bytes);
  };
  for (const value of values) look(value);
  return [...slots].toSorted(([a], [b]) => a - b);
}
