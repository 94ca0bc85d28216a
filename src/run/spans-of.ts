/**
 * The spans of a run, from its journal. A run is a trace: one span for each of its generations, and under it one for each
 * attempt and for each wait of a step. Pure, and the same facts give the same spans, so that one which is told twice is the same.
 */

import type { Row } from "../driver/index.ts";
import {
  moveUnit,
  unitName,
  stepOf,
  type Fact,
  type Json,
  type RunState,
  type UnitFact,
} from "../kernel/index.ts";
import { parseTraceparent, spanIdOf, traceIdOf, type Span, type SpanSink } from "../platform/index.ts";
import type { Followed } from "./follower.ts";

/** Spans that have begun and not ended. PERSISTED CONTRACT (in the mark of the run). */
interface Open {
  readonly generation: number;
  /** When the generation began. */
  readonly at: number;
  /** By unit: what it is doing, since when, and the attempt, or the number of the fact that began a wait. */
  readonly units: Readonly<Record<string, OpenSpan>>;
}

type OpenSpan = readonly [doing: Doing, at: number, number: number];
type Attributes = Span["attributes"];

type Doing = "attempt" | "queue" | "wait" | "sleep" | "approval" | "connection" | "child" | "check";

/** Stands for the run among its units: nothing of it is named so. */
const WHOLE = "";
/** More that are open at the same moment are left out: the mark is read and written whole. */
const MAX_OPEN = 500;
/** Spans per generation have no bound of their own but the journal's. */
const NOT_SAMPLED: readonly Span[] = [];

/** Tells who collects traces. */
export function followSpans(sink: SpanSink): Followed {
  return {
    name: "spans",
    tells: tellsOfSpan,
    async tell(state, rows, from, open) {
      const told = spansOf(state, rows, from, open);
      if (told.spans.length > 0) await sink.write(told.spans);
      return told.open;
    },
  };
}

/** Whether a span begins or ends with the fact. */
function tellsOfSpan(fact: Fact): boolean {
  return fact.t === "run_started" || fact.t === "redriven" || fact.t === "ended" || beginning(fact) !== null;
}

/**
 * The spans that end with facts from number `from` on.
 * @param open what the call before this left open; null: nothing
 */
export function spansOf(
  state: RunState,
  rows: readonly Row[],
  from: number,
  open: Json,
): { readonly spans: readonly Span[]; readonly open: Json } {
  const telling = new Telling(state, open as unknown as Open | null);
  for (const row of rows)
    row.facts.forEach((fact, i) => {
      if (row.seq + i >= from) telling.take(fact, row.seq + i);
    });
  return { spans: telling.sampled ? telling.spans : NOT_SAMPLED, open: telling.open as unknown as Json };
}

class Telling {
  readonly spans: Span[] = [];
  readonly #state: RunState;
  readonly #traceId: string;
  readonly #parent: string | null;
  readonly sampled: boolean;
  #generation: number;
  #at: number;
  readonly #units: Map<string, OpenSpan>;
  /** No generation is under way: what comes now is of none. */
  #over: boolean;

  constructor(state: RunState, open: Open | null) {
    this.#state = state;
    const { traceparent, id } = state.run;
    const parent = traceparent === null ? null : parseTraceparent(traceparent);
    this.#traceId = parent?.traceId ?? traceIdOf(id);
    this.#parent = parent?.spanId ?? null;
    this.sampled = parent?.sampled ?? true;
    this.#over = open === null;
    this.#generation = open?.generation ?? state.generation;
    this.#at = open?.at ?? state.startedAt;
    this.#units = new Map(Object.entries(open?.units ?? {}));
  }

  get open(): Open | null {
    return this.#over
      ? null
      : { generation: this.#generation, at: this.#at, units: Object.fromEntries(this.#units) };
  }

  take(fact: Fact, seq: number): void {
    if (fact.t === "run_started") this.#begin(1, fact.at, seq);
    else if (fact.t === "redriven") this.#begin(fact.generation, fact.at, seq);
    else if (fact.t === "admitted") this.#admitted(fact.at);
    else if (fact.t === "ended") this.#end(fact);
    else if ("step" in fact && !this.#over) this.#unit(fact, seq);
  }

  #begin(generation: number, at: number, seq: number): void {
    this.#over = false;
    this.#generation = generation;
    this.#at = at;
    if (this.#state.run.flow !== undefined) this.#units.set(WHOLE, ["queue", at, seq]);
  }

  #admitted(at: number): void {
    const waited = this.#units.get(WHOLE);
    this.#units.delete(WHOLE);
    if (waited !== undefined) this.#push(WHOLE, waited, { at, outcome: "admitted", error: null, action: {} });
  }

  #unit(fact: Extract<Fact, { readonly step: string }>, seq: number): void {
    const unit = unitName(fact);
    const doing = this.#units.get(unit);
    const begins = beginning(fact);
    if (doing !== undefined && (begins !== null || ends(doing[0], fact))) {
      this.#units.delete(unit);
      const error = "failure" in fact ? fact.failure.code : null;
      this.#push(unit, doing, {
        at: fact.at,
        outcome: fact.t,
        error,
        action: actionOf(this.#state, fact.step),
      });
    }
    if (begins !== null && this.#units.size < MAX_OPEN)
      this.#units.set(unit, [begins, fact.at, fact.t === "started" ? fact.attempt : seq]);
  }

  #push(
    unit: string,
    [doing, startAt, number]: OpenSpan,
    how: {
      readonly at: number;
      readonly outcome: string;
      readonly error: string | null;
      readonly action: Attributes;
    },
  ): void {
    const { run } = this.#state;
    const named = `g${this.#generation}.${unit}`;
    this.spans.push({
      traceId: this.#traceId,
      // That of an attempt stands in the `traceparent` of what it sent.
      spanId: spanIdOf(run.id, doing === "attempt" ? named : `${named}.${doing}`, number),
      parentSpanId: this.#root(),
      name: doing === "attempt" ? unit : `${doing} ${unit}`.trimEnd(),
      startAt,
      // A clock may go back.
      endAt: Math.max(startAt, how.at),
      error: how.error,
      attributes: {
        "showcaller.run": run.id,
        ...(unit === WHOLE ? {} : { "showcaller.unit": unit }),
        "showcaller.generation": this.#generation,
        "showcaller.outcome": how.outcome,
        ...(doing === "attempt" ? { "showcaller.attempt": number, ...how.action } : {}),
      },
    });
  }

  #end(fact: Extract<Fact, { readonly t: "ended" }>): void {
    // What is open now was stopped with the run.
    for (const [unit, doing] of this.#units)
      this.#push(unit, doing, { at: fact.at, outcome: "stopped", error: null, action: {} });
    this.#units.clear();
    const { run } = this.#state;
    this.spans.push({
      traceId: this.#traceId,
      spanId: this.#root(),
      parentSpanId: this.#parent,
      name: `run ${run.workflow}`,
      startAt: this.#at,
      endAt: Math.max(this.#at, fact.at),
      error: fact.status === "succeeded" ? null : fact.failure.code,
      attributes: {
        "showcaller.run": run.id,
        "showcaller.tenant": run.tenant,
        "showcaller.workflow": run.workflow,
        "showcaller.workflow.version": run.version,
        "showcaller.started_by": run.startedBy,
        "showcaller.generation": this.#generation,
        "showcaller.status": fact.status,
        ...(run.parent === undefined ? {} : { "showcaller.parent": run.parent.run }),
      },
    });
    this.#over = true;
  }

  #root(): string {
    return spanIdOf(this.#state.run.id, `g${this.#generation}`, 0);
  }
}

/** What begins with a fact; null: nothing, or it is no matter of spans. */
function beginning(fact: Fact): Doing | null {
  switch (fact.t) {
    case "started":
      return "attempt";
    case "waiting":
      return fact.limitAt === undefined ? "sleep" : "wait";
    case "asked":
      return "approval";
    case "parked":
      return "connection";
    case "delegated":
      return fact.ended === true ? null : "child";
    case "unknown":
      return "check";
    default:
      return null;
  }
}

/** Whether what a unit is doing ends with a fact about it: an attempt with what takes it out of `running`, a wait likewise. */
function ends(doing: Doing, fact: Fact): boolean {
  const status = doing === "attempt" ? "running" : doing === "check" ? "unknown" : "waiting";
  if (fact.t === "decided" || fact.t === "unparked") return doing !== "attempt";
  // What is no move of a unit (that it used a credential) ends nothing.
  const next = moveUnit(status, fact.t as UnitFact);
  return next !== null && next !== status;
}

function actionOf(state: RunState, step: string): Attributes {
  const def = stepOf(state, step)?.def;
  return def === undefined ? {} : { "showcaller.action": def.action, "showcaller.effect": def.effect };
}
