/** A run that can go on no more, shown with what its first row still tells. */

import type { Row } from "../driver/index.ts";
import type { Fact, Failure, FactOf, Json } from "../kernel/index.ts";
import { createJournalStore, type JournalStore } from "./journal-store.ts";
import type { Meta } from "./meta.ts";
import type { EventsPage, EventView, RunView } from "./rpc.ts";

/** Why a sealed run ended: its journal does not fold, or its turns kept failing. */
export function sealedFailure(reason: string): Failure {
  return {
    code: "run_unreadable",
    message: `The run was ended because it could not go on: ${reason}`,
    hint: "What it did until then stands in its events. Start another run, and report this one.",
    retryable: false,
  };
}

/** What is left of a sealed run, from its object's storage; null where this is not one. */
export function readSealed(
  storage: DurableObjectStorage,
  meta: Meta | null,
): { readonly view: RunView; readonly journal: JournalStore } | null {
  if (meta?.sealed === undefined) return null;
  const journal = createJournalStore(storage, () => null);
  const [first] = journal.after(0, 1);
  const [last] = journal.after(Number.MAX_SAFE_INTEGER - 1, 1);
  return {
    view: sealedView(meta, first?.facts ?? [], last === undefined ? 0 : last.seq + last.facts.length - 1),
    journal,
  };
}

/** @param facts the facts of the first row, or none if even that is unreadable */
function sealedView(meta: Meta, facts: readonly Fact[], seq: number): RunView {
  const sealed = meta.sealed ?? { at: 0, reason: "unknown" };
  const started = facts.find((fact): fact is FactOf<"run_started"> => fact.t === "run_started");
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

function dataOf(fact: Fact): Json {
  const fields: Readonly<Record<string, unknown>> = { ...fact };
  return Object.fromEntries(
    SHOWN.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])),
  ) as Json;
}
