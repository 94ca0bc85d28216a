/** What a fact does to the unit that it names. Pure; the tables of moves say what the status becomes. */

import type { Fact, FactOf, SettledBy } from "./facts.ts";
import { refusalOf } from "./needs.ts";
import { moveUnit, newUnit, type Child, type Unit, type UnitRef } from "./units.ts";

/** Facts that change a unit. */
export type UnitFactRecord = Exclude<Extract<Fact, UnitRef>, { readonly t: "resolved" | "used" }>;

/** What a fact does to the unit that it names. */
export function applied(unit: Unit, fact: UnitFactRecord): Unit {
  const status = moveUnit(unit.status, fact.t) ?? unit.status;
  switch (fact.t) {
    case "ready":
      return {
        ...unit,
        status,
        digest: fact.digest,
        readyAt: fact.at,
        wakeAt: null,
        ...(fact.newKey === true ? freshKey(unit) : {}),
      };
    case "expanded":
      return {
        ...unit,
        status,
        list: fact.list,
        startedAt: fact.at,
        readyAt: fact.at,
        items: unit.items ?? Array.from({ length: fact.count }, () => newItem(unit)),
      };
    case "started":
      return {
        ...unit,
        status,
        attempt: fact.attempt,
        version: fact.version,
        tries: unit.tries + 1,
        startedAt: unit.startedAt ?? fact.at,
        keySince: unit.keySince ?? fact.at,
        attemptAt: fact.at,
        repeatedSince: unit.repeatedSince ?? fact.at,
        deadline: fact.deadline,
        wakeAt: null,
      };
    case "succeeded":
      return {
        ...ended(unit, fact),
        status,
        outcome: fact.fallback?.outcome ?? "done",
        failure: fact.fallback?.failure ?? null,
        output: fact.output,
        maybe: false,
      };
    case "failed":
      return { ...ended(unit, fact), status, outcome: fact.outcome, failure: fact.failure };
    case "retrying":
      return {
        ...unit,
        status,
        deadline: null,
        wakeAt: fact.wakeAt,
        spentMs: spentMs(unit, fact.at) + Math.max(0, fact.wakeAt - fact.at),
        failure: fact.failure,
        maybe: fact.maybe,
        maybeBefore: fact.maybe && unit.maybeBefore,
        listening: false,
        strikes: unit.strikes + (fact.strike === true ? 1 : 0),
        verify: overtaken(unit.verify, fact.by),
        parked: null,
      };
    case "unknown":
      return {
        ...unit,
        status,
        deadline: fact.limitAt,
        wakeAt: null,
        spentMs: spentMs(unit, fact.at),
        failure: fact.failure,
        maybe: true,
        listening: fact.listening === true,
        parked: null,
        last: fact.last === true,
        verify:
          fact.verifyAt === undefined
            ? overtaken(unit.verify)
            : { ...newUnit(0, unit.verify?.attempt ?? 0), wakeAt: fact.verifyAt },
      };
    case "waiting":
      return {
        ...unit,
        status,
        startedAt: unit.startedAt ?? fact.at,
        readyAt: fact.at,
        wakeAt: fact.wakeAt ?? null,
        deadline: fact.limitAt ?? null,
      };
    case "asked":
      return {
        ...unit,
        status,
        startedAt: unit.startedAt ?? fact.at,
        // Of a call, the moment for which its parameters were filled in: they are filled in again for the same.
        readyAt: fact.at,
        wakeAt: null,
        deadline: fact.limitAt,
        approval: {
          id: fact.id,
          askedAt: fact.at,
          limitAt: fact.limitAt,
          digest: fact.digest ?? null,
          about: fact.about ?? null,
          text: fact.text ?? null,
          decided: null,
        },
      };
    case "decided":
      return decided(unit, fact);
    case "delegated":
      return delegated({ ...unit, status }, fact);
    case "child_ended":
      return unit.child === null
        ? unit
        : { ...unit, status, wakeAt: fact.at, child: { ...unit.child, told: true } };
    case "recalled":
      return unit.child === null ? unit : { ...unit, status, child: { ...unit.child, recalled: fact.mode } };
    case "iterated":
      // A new round has a new key, so nothing of the old one's attempts counts any more (K6).
      return {
        ...unit,
        status,
        listening: false,
        verify: overtaken(unit.verify),
        output: fact.output,
        iteration: unit.iteration + 1,
        tries: 0,
        maybe: false,
        maybeBefore: false,
        digest: null,
        keySince: null,
        readyAt: null,
        spentMs: 0,
        deadline: null,
        wakeAt: fact.wakeAt,
        parked: null,
        refusals: null,
      };
    case "parked":
      return parked({ ...unit, status }, fact);
    case "unparked":
      return {
        ...unit,
        status,
        wakeAt: fact.at,
        parked: unit.parked === null ? null : { ...unit.parked, looks: 0 },
      };
    case "giving_up":
      return { ...unit, status, givingUp: fact.failure };
    case "skipped":
      return { ...ended(unit, fact), status, outcome: unit.maybe ? "unknown" : "not_done" };
    case "cancelled":
      return { ...ended(unit, fact), status, outcome: fact.outcome };
    case "late":
      return fact.over === true ? unheard(unit, fact) : unit;
    case "reset":
      return resetUnit(unit, fact);
  }
}

/** What it did under the last key, it may still have done. */
function freshKey({ gen, maybe }: Unit): Pick<Unit, "gen" | "keySince" | "child" | "maybeBefore"> {
  return { gen: gen + 1, keySince: null, child: null, maybeBefore: maybe };
}

/** What was approved is ready; what was denied fails by the next fact. */
function decided(unit: Unit, { as, by, via, note, at, newKey }: FactOf<"decided">): Unit {
  const { approval } = unit;
  if (approval === null) return unit;
  const decision = {
    as,
    by,
    at,
    ...(via === undefined ? {} : { via }),
    ...(note === undefined ? {} : { note }),
  };
  return {
    ...unit,
    deadline: null,
    approval: { ...approval, decided: decision },
    ...(as === "approved" && approval.digest !== null ? { digest: approval.digest } : {}),
    ...(newKey === true ? freshKey(unit) : {}),
  };
}

/** It happened, and what is awaited now is the child: attempts from here on only look, and count for nothing. */
function delegated(unit: Unit, fact: FactOf<"delegated">): Unit {
  const { run, generation, limitAt } = fact;
  const known = unit.child?.run === run && unit.child.generation === generation ? unit.child : null;
  const child: Child = {
    run,
    generation,
    limitAt,
    looks: (known?.looks ?? 0) + 1,
    told: false,
    recalled: known?.recalled ?? null,
    ended: fact.ended === true,
  };
  return {
    ...unit,
    child,
    deadline: limitAt,
    wakeAt: fact.wakeAt,
    tries: 0,
    spentMs: 0,
    maybe: false,
    parked: null,
  };
}

/** The attempt in which it parked is as good as never made: it is not counted, and leaves what was known as it was. */
function parked(unit: Unit, fact: FactOf<"parked">): Unit {
  const { need, since, limitAt, wakeAt, looks, attempt } = fact;
  const refusals = unit.refusals ?? [];
  const refusal = refusalOf(need);
  return {
    ...unit,
    deadline: limitAt,
    wakeAt,
    tries: attempt === undefined ? unit.tries : Math.max(0, unit.tries - 1),
    maybe: unit.maybe || fact.maybe === true,
    parked: { need, since, limitAt, looks },
    refusals: refusal !== null && !refusals.includes(refusal) ? [...refusals, refusal] : unit.refusals,
  };
}

function ended(unit: Unit, { at, by }: { readonly at: number; readonly by?: SettledBy }): Unit {
  return {
    ...unit,
    endedAt: at,
    deadline: null,
    wakeAt: null,
    listening: false,
    verify: overtaken(unit.verify, by),
    parked: null,
    refusals: null,
    ...(unit.child === null ? {} : { child: { ...unit.child, ended: true } }),
  };
}

/** Nothing more is to come of the last attempt. A check that waits to ask again asks then. */
function unheard(unit: Unit, { verifyAt }: FactOf<"late">): Unit {
  const { verify } = unit;
  const waits = verify?.status === "waiting" && verifyAt !== undefined;
  return { ...unit, listening: false, ...(waits ? { verify: { ...verify, wakeAt: verifyAt } } : {}) };
}

/** A check that nobody waits for any more: its answer settled the unit, or somebody was faster. */
function overtaken(verify: Unit | null, by?: SettledBy): Unit | null {
  if (verify === null) return null;
  const over = newUnit(verify.gen, verify.attempt);
  return { ...over, status: "cancelled", outcome: "not_done", answered: by === "verify" };
}

/**
 * Time that counts against `maxElapsed`: attempts while they ran, and the waits between them. What comes on top does
 * not count: time paused, queued for a slot, or unknown.
 */
export function spentMs(unit: Unit, now: number): number {
  const running = unit.status === "running" && unit.attemptAt !== null ? now - unit.attemptAt : 0;
  return unit.spentMs + Math.max(0, running);
}

/** Where an earlier list had items, keys and numbers of attempts count on from those, also of undoings and checks. */
function newItem({ gen, attempt }: Unit): Unit {
  const item = newUnit(gen, attempt);
  return gen === 0
    ? item
    : { ...item, undo: newUnit(gen, attempt), verify: overtaken(newUnit(gen, attempt)) };
}

function withRoles(unit: Unit): Unit[] {
  return [unit, ...(unit.undo === null ? [] : [unit.undo]), ...(unit.verify === null ? [] : [unit.verify])];
}

/**
 * A unit that a redrive runs again. Attempt numbers count on (K7). With the same key the digest stays, so that the
 * same payload is asked for (K6). A `forEach` keeps its list and its items, which are reset one by one; with a new
 * key it begins from its list, which may be another one, and its items have keys that none had before.
 */
function resetUnit(unit: Unit, { newKey, maybe }: FactOf<"reset">): Unit {
  const dropped = newKey ? (unit.items ?? []).flatMap(withRoles) : [];
  const attempt = Math.max(unit.attempt, ...dropped.map((one) => one.attempt));
  const gen = Math.max(unit.gen, ...dropped.map((one) => one.gen));
  const fresh = newUnit(gen + (newKey ? 1 : 0), attempt);
  return {
    ...fresh,
    maybe: maybe === true,
    maybeBefore: newKey && maybe === true,
    verify: overtaken(unit.verify),
    undo: unit.undo,
    ...(newKey
      ? {}
      : {
          digest: unit.digest,
          keySince: maybe === true ? unit.keySince : null,
          list: unit.list,
          items: unit.items,
          child: unit.child,
        }),
  };
}
