/** A run that can go on no more, shown with what its first row still tells. */

import type { Row } from "../driver/index.ts";
import type { Fact, Failure, FactOf, Json } from "../kernel/index.ts";
import type { JournalStore } from "./journal-store.ts";
import type { Meta } from "./meta.ts";
import type { EventsPage, EventView, ExportBatch, ExportPlace, RunView } from "./rpc.ts";

/** Why a sealed run ended: its journal does not fold, or its turns kept failing. */
export function sealedFailure(reason: string): Failure {
  return {
    code: "run_unreadable",
    message: `The run was ended because it could not go on: ${reason}`,
    hint: "What it did until then stands in its events. Start another run, and report this one.",
    retryable: false,
  };
}

/** `seq` counts that the run was sealed like a fact: who has seen the last one has not seen this. */
export function sealedView(meta: Meta, first: Row | null, last: Row | null): RunView {
  const sealed = meta.sealed ?? { at: 0, reason: "unknown" };
  const seq = last === null ? 1 : last.seq + last.facts.length;
  const started = first?.facts.find((fact): fact is FactOf<"run_started"> => fact.t === "run_started");
  return {
    id: meta.id,
    tenant: meta.tenant,
    workflow: started?.run.workflow ?? "",
    version: started?.run.version ?? "",
    user: started?.run.user ?? null,
    started_by: started?.run.startedBy ?? "",
    tags: started?.run.tags ?? [],
    status: "failed",
    paused: false,
    open: started?.run.open ?? false,
    closed: true,
    generation: 1,
    revision: 1,
    seq,
    started_at: started?.at ?? sealed.at,
    ended_at: sealed.at,
    deadline_at: started?.deadlineAt ?? sealed.at,
    output: null,
    failure: sealedFailure(sealed.reason),
    steps: [],
  };
}

/** What can be shown of any fact without knowing the run's state: no values, for those could be sensitive. */
const SHOWN = ["step", "item", "role", "attempt", "outcome", "failure", "why", "status", "by"] as const;

/** @param rows those that hold the facts after `after`, at least as many as asked for */
export function sealedEvents(rows: readonly Row[], after: number, limit: number): EventsPage {
  const events: EventView[] = rows
    .flatMap((row) =>
      row.facts.map((fact, i) => ({ seq: row.seq + i, at: fact.at, type: fact.t, data: dataOf(fact) })),
    )
    .filter((event) => event.seq > after);
  const page = events.slice(0, limit);
  return { events: page, next: page.at(-1)?.seq ?? after, ended: page.length === events.length };
}

const SEALED_BATCH = 1_000;

/** As `exportBatch`, without a state: of each fact what `sealedEvents` shows. It ends at the first row that cannot be read. */
export function sealedBatch(
  journal: Pick<JournalStore, "after">,
  from: ExportPlace | null,
  through: number,
): ExportBatch {
  const after = (from?.row ?? 1) - 1;
  const { events, next } = sealedEvents(rowsAfter(journal, after), after, SEALED_BATCH);
  const lines = events.map(({ seq, at, type, data }) =>
    JSON.stringify({ type: "fact", seq, fact: { t: type, at, ...(data as object), redacted: true } }),
  );
  return {
    text: lines.map((line) => `${line}\n`).join(""),
    next: events.length < SEALED_BATCH ? null : { row: next + 1, line: 0 },
    through,
    ...{ facts: lines.length, values: 0, withheld: lines.length },
  };
}

/** One by one, as far as they open. */
function rowsAfter(journal: Pick<JournalStore, "after">, after: number): Row[] {
  const rows: Row[] = [];
  let at = after;
  while (rows.length < SEALED_BATCH) {
    try {
      const [row] = journal.after(at, 1);
      if (row === undefined || row.facts.length === 0) break;
      rows.push(row);
      const last = row.seq + row.facts.length - 1;
      if (last <= at) break;
      at = last;
    } catch {
      break;
    }
  }
  return rows;
}

function dataOf(fact: Fact): Json {
  const fields: Readonly<Record<string, unknown>> = { ...fact };
  return Object.fromEntries(
    SHOWN.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])),
  ) as Json;
}
