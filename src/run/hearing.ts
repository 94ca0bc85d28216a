/**
 * What steps that wait for events of the tenant tell where those are kept: that they hear one, from when on, and that they
 * do not any more. By the outbox, so that it comes at least once, in order, and only of runs that have such a step.
 */

import {
  hasSignal,
  signalOfEvent,
  stepOf,
  unitOf,
  type Fact,
  type Json,
  type RunState,
} from "../kernel/index.ts";
import type { Listener } from "./outbox.ts";

/** A step that waits. `since` tells its waits apart: a redriven step waits anew. */
export interface Hearer {
  readonly run: string;
  readonly step: string;
  readonly since: number;
}

export interface NewHearer extends Hearer {
  /** It waits no longer than this. */
  readonly until: number;
  /** The user of its run. */
  readonly user: string | null;
  /** What an event's data must hold: these fields, with values of this digest. */
  readonly fields: readonly string[];
  readonly digest: string;
}

/** Where the events of a name are kept. Both are idempotent; a rejection is tried again. */
export interface HearingPort {
  listen(tenant: string, event: string, hearer: NewHearer): Promise<void>;
  forget(tenant: string, event: string, hearer: Hearer): Promise<void>;
}

/** PERSISTED CONTRACT: stands in outboxes. */
type Telling =
  | ({ readonly t: "hears"; readonly event: string } & Omit<NewHearer, "run">)
  | ({ readonly t: "over"; readonly event: string } & Omit<Hearer, "run">);

export function createHearing(port: HearingPort): Listener {
  return {
    name: "events",
    message: tellingOf,
    async deliver({ tenant, run, body }) {
      const { t, event, ...hearer } = body as Telling;
      if (t === "hears") await port.listen(tenant, event, { run, ...(hearer as Omit<NewHearer, "run">) });
      else await port.forget(tenant, event, { run, ...hearer });
    },
  };
}

function tellingOf(fact: Fact, after: RunState): Telling | null {
  switch (fact.t) {
    case "waiting": {
      const heard = fact.hears === undefined ? null : hearsOf(fact.hears);
      if (heard === null || fact.limitAt === undefined) return null;
      const { step, at: since, limitAt: until } = fact;
      return { t: "hears", step, since, until, user: after.run.user, ...heard };
    }
    case "succeeded":
    case "failed":
    case "cancelled": {
      // Of what it heard, it was told from there.
      if (fact.t === "succeeded" && fact.by === "signal") return null;
      const event = stepOf(after, fact.step)?.def.event;
      const since = unitOf(after, fact)?.readyAt ?? null;
      return event === undefined || since === null ? null : { t: "over", event, step: fact.step, since };
    }
    default:
      return null;
  }
}

function hearsOf(hears: Json): Pick<Extract<Telling, { t: "hears" }>, "event" | "fields" | "digest"> | null {
  if (typeof hears !== "object" || hears === null || !("event" in hears)) return null;
  const { event, fields, digest } = hears;
  if (typeof event !== "string" || typeof digest !== "string" || !Array.isArray(fields)) return null;
  return { event, digest, fields: fields.map(String) };
}

/**
 * How a step stands to an event that is meant for one wait of it.
 * - `waits`: it is that wait
 * - `resumed`: it has taken the event
 * - `past`: it waits, but the run had taken the event before that began: to hear it again would be to hear it twice
 * - `over`: that wait is over
 */
export type Standing = "waits" | "resumed" | "past" | "over";

/** @param id of the event, as of a signal */
export function standingTo(state: RunState, { step, since }: Omit<Hearer, "run">, id: string): Standing {
  const found = stepOf(state, step);
  const waits =
    found?.def.event !== undefined && found.unit.status === "waiting" && found.unit.readyAt === since;
  if (hasSignal(state, signalOfEvent(step), id)) return waits ? "past" : "resumed";
  if (!waits) return "over";
  // By the clock of the run, whatever that of the events says.
  const taken = state.graph.steps.some((def, index) => {
    const { event, signal } = def;
    const endedAt = state.units[index]?.endedAt ?? null;
    return (
      event !== undefined &&
      signal !== undefined &&
      endedAt !== null &&
      endedAt <= since &&
      hasSignal(state, signal, id)
    );
  });
  return taken ? "past" : "waits";
}
