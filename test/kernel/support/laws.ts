/**
 * The invariants K1 to K11, checked against every input, decision and fact of a run. Written against what the design
 * says, with its own reading of joins, order and keys, so that the kernel is not measured by itself.
 */

import {
  due,
  keyOf,
  nextDeadline,
  nextWake,
  refOf,
  sameJson,
  stepOf,
  toSnapshot,
  unitName,
  unitOf,
  type Decision,
  type Fact,
  type Input,
  type RunState,
  type StepDef,
  type Unit,
  type UnitRef,
} from "../../../src/kernel/index.ts";

export class LawBroken extends Error {}

function law(holds: boolean, what: string): asserts holds {
  if (!holds) throw new LawBroken(what);
}

const TERMINAL = new Set(["succeeded", "failed", "skipped", "cancelled"]);

export interface Named {
  readonly ref: UnitRef;
  readonly unit: Unit;
  readonly def: StepDef;
}

/** Every unit of a run: steps, items, undoings, checks. */
export function unitsOf(state: RunState): Named[] {
  return state.graph.steps.flatMap((def, i): Named[] => {
    const whole = state.units[i];
    if (whole === undefined) return [];
    const parts: Named[] = [
      { ref: refOf(def.name), unit: whole, def },
      ...(whole.items ?? []).map((unit, item) => ({ ref: refOf(def.name, item), unit, def })),
    ];
    return parts.flatMap((part): Named[] => {
      const { step, item } = part.ref;
      const { verify, undo } = part.unit;
      return [
        part,
        ...(verify === null ? [] : [{ ref: refOf(step, item, "verify"), unit: verify, def }]),
        ...(undo === null ? [] : [{ ref: refOf(step, item, "undo"), unit: undo, def }]),
      ];
    });
  });
}

/** Units that make attempts of their own: a `forEach` as a whole does not. */
export function attempting(state: RunState): Named[] {
  return unitsOf(state).filter(({ unit }) => unit.items === null);
}

/** The join rules as the design words them. */
function joinSays(state: RunState, def: StepDef): "run" | "skip" | "later" {
  const needs = def.needs.map((name) => stepOf(state, name)?.unit.status ?? "pending");
  const settled = needs.filter((status) => TERMINAL.has(status));
  const well = needs.filter((status) => status === "succeeded");
  if (def.join === "all") {
    if (well.length === needs.length) return "run";
    return settled.some((status) => status !== "succeeded") ? "skip" : "later";
  }
  if (settled.length < needs.length) return "later";
  if (def.join === "settled" || needs.length === 0) return "run";
  return well.length > 0 ? "run" : "skip";
}

interface Sent {
  readonly unit: string;
  readonly digest: string | null;
  /** An attempt under this key may have happened, and nobody who knows has said otherwise since. */
  maybe: boolean;
}

export class Laws {
  /** Every idempotency key that was sent, and for what (K5, K6). */
  readonly #sent = new Map<string, Sent>();
  /** What was asked last of each unit in this generation, and whether it was approved. */
  #asked = new Map<string, { readonly digest: string | undefined; approved: boolean }>();

  /** Before and after one fact. */
  fact(before: RunState, fact: Fact, after: RunState): void {
    this.#terminal(before, fact, after);
    this.#growth(before, fact, after);
    for (const [name, to] of Object.entries(before.bound ?? {}))
      law(
        sameJson(after.bound?.[name], to) ||
          (fact.t === "bound" && fact.name === name && fact.by !== undefined),
        `N3: ${name} means something else, and nobody said so`,
      );
    if (fact.t === "redriven") this.#asked = new Map();
    this.#queue(before, fact, after);
    if (!("step" in fact)) return;
    const unit = unitOf(before, fact);
    const def = stepOf(before, fact.step)?.def;
    law(def !== undefined, `${fact.t} for a step that is not there`);
    const looks = fact.t === "started" && unit !== null && childOf(unit) !== null;
    const begins =
      !looks && ["ready", "expanded", "started", "waiting", "asked", "giving_up"].includes(fact.t);
    if (begins && fact.role !== "undo")
      law((before.queuedUntil ?? null) === null, `U1: ${fact.t} of ${unitName(fact)} before it was admitted`);
    if (begins && fact.t !== "giving_up")
      law(before.pausedSince === null, `${fact.t} of ${unitName(fact)} while paused`);
    if (begins && fact.role === undefined && fact.item === undefined) {
      law(joinSays(before, def) === "run", `K2: ${fact.t} of ${fact.step} before its join was met`);
      law(
        fact.t === "giving_up" || before.phase === (def.part === "main" ? "forward" : "handling"),
        `${fact.t} of ${fact.step} while ${before.phase}`,
      );
    }
    if (fact.t === "skipped" && fact.why === "needs")
      law(joinSays(before, def) === "skip", `${fact.step} skipped although its join may be met`);
    if (looks) law(before.pausedSince === null, `${unitName(fact)} looks after its child while paused`);
    const leaves = unit !== null && unitOf(after, fact)?.child?.ended === true ? childOf(unit) : null;
    if (leaves !== null && fact.t !== "delegated")
      law(
        leaves.recalled !== null || (fact.t === "succeeded" && fact.attempt !== undefined),
        `${unitName(fact)} leaves a child that goes on, by ${fact.t}`,
      );
    if (fact.role === "undo" && (fact.t === "ready" || fact.t === "started")) this.#order(before, fact);
    this.#approval(before, fact, def);
    if (fact.t === "started") this.#started(before, fact, unit);
    if (fact.t === "parked") this.#parked(unit, fact, unitOf(after, fact));
    if (fact.t === "unparked")
      law(
        unit?.status === "waiting" && unit.parked !== null,
        `${unitName(fact)} is woken, and was not parked`,
      );
    if (fact.t === "resolved") this.#cleared(before, fact);
    if ((fact.t === "retrying" || fact.t === "failed") && fact.by === "verify")
      law(unit?.listening === false, `K5: a check says no of ${unitName(fact)} while its attempt is open`);
  }

  /** U1, U4 */
  #queue(before: RunState, fact: Fact, after: RunState): void {
    const { flow } = before.run;
    const until = before.queuedUntil ?? null;
    if (fact.t === "redriven")
      law(
        (after.queuedUntil ?? null) === (flow === undefined ? null : fact.at + flow.limitMs),
        "U1: a redriven run does not wait as it must",
      );
    else if (fact.t === "admitted") {
      law(until !== null && before.phase === "forward", "U1: admitted, and did not wait");
      law(after.queuedUntil === null, "U1: admitted, and waits on");
      law(after.deadlineAt === fact.at + before.graph.deadlineMs, "U4: the time in the queue counts");
    } else law((after.queuedUntil ?? null) === until, `U1: ${fact.t} moved the run in its queue`);
    if (until === null) return;
    law(!(fact.t === "ended" && fact.status === "succeeded"), "U1: a run that was not admitted succeeded");
    law(!(fact.t === "closed" && fact.by === "idle"), "U4: a run that was not admitted is idle");
  }

  /** Before and after one input. */
  input(before: RunState, input: Input, decision: Decision, after: RunState, now: number): void {
    if (input.t === "ended") this.#ended(before, input, decision);
    if (input.t === "prepared" || input.t === "begin" || input.t === "hold")
      this.#onlyDue(before, input, decision, now);
    if (!decision.ok) return;
    if (input.t === "hold")
      law(
        decision.facts.every((fact) => fact.t !== "started" && fact.t !== "unknown"),
        `an acquire in flight made ${unitName(input.unit)} unknown, or an attempt`,
      );
    for (const { unit, ref } of attempting(after))
      if (unit.status === "waiting" && unit.parked !== null)
        law(
          Number.isFinite(unit.deadline) && Number.isFinite(unit.wakeAt),
          `N2: ${unitName(ref)} is parked, and looks at nothing by itself`,
        );
    if (input.t === "redrive") this.#anew(before, decision.facts);
    for (const { unit, ref, def } of unitsOf(after)) {
      if (unit.status === "running" && unit.items === null)
        law(unit.deadline !== null && Number.isFinite(unit.deadline), `K4: ${unitName(ref)} has no deadline`);
      if (unit.items !== null && def.forEach !== undefined) {
        const running = unit.items.filter(
          (item) => item.status === "running" || (childOf(item) !== null && item.status === "waiting"),
        ).length;
        law(running <= def.forEach.concurrency, `${unitName(ref)} has ${running} items in flight`);
      }
    }
    this.#wakes(after, now);
    for (const def of after.graph.steps) {
      const waits = stepOf(after, def.name)?.unit.status === "pending";
      const turn = after.phase === (def.part === "main" ? "forward" : "handling");
      law(
        !(waits && turn && joinSays(after, def) === "skip"),
        `${def.name} can never run, and is not skipped`,
      );
    }
    if (before.phase !== "ended" && after.phase === "ended") this.#end(after);
    if (input.t === "tick" && after.phase !== "ended" && due(after, now).length === 0) {
      const wake = nextWake(after, now);
      law(wake !== null && wake > now, `busy: nothing is due at ${now}, and the next wake is ${wake}`);
    }
  }

  /** A redrive keeps no result that was made from what it does anew, and does nothing twice that stands. */
  #anew(before: RunState, facts: readonly Fact[]): void {
    const anew = new Set(
      facts.flatMap((fact) => (fact.t === "reset" && fact.role === undefined ? [fact.step] : [])),
    );
    const shifted = new Set(anew);
    for (const def of before.graph.steps) {
      if (def.part !== "main" || !def.needs.some((need) => shifted.has(need))) continue;
      shifted.add(def.name);
      law(
        def.effect !== "safe" || anew.has(def.name),
        `${def.name} keeps what was made from what is done anew`,
      );
    }
    const answered = new Set(facts.flatMap((fact) => (fact.t === "resolved" ? [unitName(fact)] : [])));
    for (const { ref, unit, def } of attempting(before)) {
      const stands = unit.status === "succeeded" && unit.outcome === "done" && !unit.undone;
      if (ref.role !== undefined || def.part !== "main" || def.effect === "safe" || !stands) continue;
      if (answered.has(`${unitName(ref)}/undo`) || answered.has(unitName(ref))) continue;
      const again = facts.some((fact) => fact.t === "reset" && unitName(fact) === unitName(ref));
      law(!again, `${unitName(ref)} stands, and is done again`);
    }
  }

  /** What `due` lists is taken, and nothing else is. */
  #onlyDue(
    before: RunState,
    input: Extract<Input, { t: "prepared" | "begin" | "hold" }>,
    decision: Decision,
    now: number,
  ): void {
    const listed = due(before, now).some((job) => {
      if (job.kind === "output" || unitName(job.unit) !== unitName(input.unit)) return false;
      if (input.t === "prepared") return job.kind === "prepare";
      return job.kind === "attempt" && job.attempt === input.attempt;
    });
    const unit = unitOf(before, input.unit);
    // Looking after a child needs no credential; and what is pinned is not replaced by whoever begins.
    if (input.t === "hold" && unit !== null && childOf(unit) !== null) return;
    if (input.t === "begin" && input.bound !== undefined && !decision.ok) {
      for (const { name, to } of input.bound) {
        const pinned = before.bound?.[name];
        if (pinned !== undefined && !sameJson(pinned, to)) return;
      }
    }
    law(
      listed === decision.ok,
      `${input.t} of ${unitName(input.unit)}: listed ${listed}, taken ${decision.ok}`,
    );
  }

  /** What somebody must approve is not begun before, and nothing but what was approved is. */
  #approval(before: RunState, fact: Extract<Fact, UnitRef>, def: StepDef): void {
    const name = unitName(fact);
    const asked = this.#asked.get(name);
    if (fact.t === "asked") {
      this.#asked.set(name, { digest: fact.digest, approved: false });
    } else if (fact.t === "decided") {
      law(asked?.approved === false, `${name} was decided and not asked about, or is decided twice`);
      const actors = [before.run.startedBy, ...(before.extendedBy ?? [])];
      law(!actors.includes(fact.by), `${fact.by} decides about its own run`);
      asked.approved = fact.as === "approved";
    } else if (fact.t === "started" && fact.role === undefined && def.approval !== undefined) {
      law(asked?.approved === true, `${name} began without an approval`);
      law(asked.digest === unitOf(before, fact)?.digest, `${name} sends another payload than was approved`);
    } else if (fact.t === "succeeded" && def.kind === "approval" && fact.by !== "fallback") {
      law(asked?.approved === true, `${name} succeeded without an approval`);
    }
  }

  /** K1 */
  #terminal(before: RunState, fact: Fact, after: RunState): void {
    if (before.phase === "ended")
      law(
        fact.t === "redriven" || fact.t === "late",
        `K1: ${fact.t} after the end of generation ${before.generation}`,
      );
    if (fact.t === "reset" || fact.t === "redriven") return;
    for (const { ref, unit } of unitsOf(before)) {
      // A check that was overtaken makes room for the next one.
      if (!TERMINAL.has(unit.status) || ref.role === "verify") continue;
      const then = unitOf(after, ref);
      law(
        then?.status === unit.status && then.outcome === unit.outcome && sameJson(then.output, unit.output),
        `K1: ${unitName(ref)} was ${unit.status}, and ${fact.t} made it ${then?.status ?? "nothing"}`,
      );
    }
  }

  /** K11 */
  #growth(before: RunState, fact: Fact, after: RunState): void {
    const steps = before.graph.steps.length;
    if (fact.t !== "grew") {
      law(after.revision === before.revision && after.graph.steps.length === steps, "K11: grew unasked");
      return;
    }
    law(after.revision === before.revision + 1, "K11: the revision did not rise");
    law(
      before.graph.steps.every(
        (step, i) => sameJson(after.graph.steps[i], step) && sameJson(after.units[i], before.units[i]),
      ),
      "K11: growth changed what was there",
    );
    after.graph.steps.forEach((step, i) => {
      for (const need of step.needs) law((after.indexOf.get(need) ?? i) < i, "K11: a cycle");
    });
  }

  /** K5, K6 */
  #started(before: RunState, fact: Extract<Fact, { t: "started" }>, unit: Unit | null): void {
    law(unit !== null, `K6: ${unitName(fact)} began before it was ready`);
    const key = keyOf(before.run.id, fact, unit);
    const name = `${unitName(fact)} r${unit.iteration} g${unit.gen}`;
    const sent = this.#sent.get(key);
    if (sent !== undefined) {
      law(sent.unit === name, `K6: ${sent.unit} and ${name} share the key ${key}`);
      // A check is safe and sends no key: each asks anew.
      law(
        fact.role === "verify" || sent.digest === unit.digest,
        `K6: ${name} sent two payloads under one key`,
      );
      const def = stepOf(before, fact.step)?.def;
      const effect =
        fact.role === "undo" ? def?.compensate?.effect : fact.role === undefined ? def?.effect : "safe";
      law(!(effect === "once" && sent.maybe), `K5: ${name} began again although it may have happened`);
    }
    this.#sent.set(key, { unit: name, digest: unit.digest, maybe: true });
    law(unit.attempt + 1 === fact.attempt, `K7: ${name} began attempt ${fact.attempt} after ${unit.attempt}`);
  }

  /** N1, N4 */
  #parked(before: Unit | null, fact: Extract<Fact, { t: "parked" }>, after: Unit | null): void {
    const name = unitName(fact);
    law(before !== null && after !== null, `${name} parks before it is ready`);
    const counted = before.tries - (fact.attempt === undefined ? 0 : 1);
    law(after.tries === counted, `N1: the park of ${name} counts as an attempt`);
    const maybe = before.maybe || fact.maybe === true;
    law(after.maybe === maybe, `N1: the park of ${name} changes its maybe`);
    for (const key of ["attempt", "gen", "digest", "keySince", "spentMs", "strikes", "outcome"] as const)
      law(after[key] === before[key], `N1: the park of ${name} changes its ${key}`);
    law(
      fact.attempt !== undefined || before.status !== "running",
      `${name} parks while its attempt runs, and does not say so`,
    );
    if (fact.need.kind === "cloud") return;
    const { reason, scopes = [], refused } = fact.need;
    const missed = reason === "scope_missing" ? [reason, ...scopes.toSorted()].join(" ") : reason;
    law(
      refused !== true || before.refusals?.includes(missed) !== true,
      `N4: ${name} is refused again, and asks again`,
    );
  }

  #cleared(before: RunState, ref: UnitRef): void {
    const unit = unitOf(before, ref);
    const sent = unit === null ? undefined : this.#sent.get(keyOf(before.run.id, ref, unit));
    if (sent !== undefined) sent.maybe = false;
  }

  /** K7; and what the outside said of an attempt: refused means that it did not happen (K5). */
  #ended(before: RunState, input: Extract<Input, { t: "ended" }>, decision: Decision): void {
    const unit = unitOf(before, input.unit);
    if (unit === null || !decision.ok) {
      law(!decision.ok, `K7: an end was taken for ${unitName(input.unit)}, which is not there`);
      return;
    }
    const current = unit.attempt === input.attempt && before.generation === input.generation;
    const counts = current && (unit.status === "running" || (unit.status === "unknown" && unit.listening));
    if (!counts || unit.items !== null) {
      law(
        decision.facts.every((fact) => fact.t === "late" || fact.t === "used"),
        `K7: the end of attempt ${input.attempt} of ${unitName(input.unit)} was applied`,
      );
      return;
    }
    const clears = input.end.kind === "needs" && input.end.maybe !== true;
    if (input.end.kind === "refused" || input.end.kind === "cannot" || clears)
      this.#cleared(before, input.unit);
    const denied =
      input.unit.role === "verify" && input.end.kind === "success" && input.end.happened === false;
    if (denied) this.#cleared(before, refOf(input.unit.step, input.unit.item));
  }

  /** K3 */
  #wakes(state: RunState, now: number): void {
    const wake = nextWake(state);
    if (state.phase === "ended") {
      law(wake === null && due(state, now).length === 0, "an ended run wants to go on");
      return;
    }
    law(wake !== null && Number.isFinite(wake), `K3: the next wake is ${wake}`);
    const deadline = nextDeadline(state);
    law(Number.isFinite(deadline), `K3: the next deadline is ${deadline}`);
    const queued = state.phase === "forward" ? (state.queuedUntil ?? null) : null;
    if (queued !== null) {
      law(due(state, now).length === 0, "U1: work is due before the run was admitted");
      law(
        deadline === queued && queued <= state.deadlineAt,
        "U2: the alarm does not stand at the queue's limit",
      );
    }
    const limit = state.phase === "forward" ? state.deadlineAt : state.budgetAt;
    law(limit !== null && deadline <= limit, "K3: the alarm may stand past the end of the phase");
    const skipping = nextWake(state, now);
    law(skipping !== null && wake <= skipping && skipping <= deadline, "K3: a wake later than a deadline");
    for (const { unit, ref } of attempting(state)) {
      if (TERMINAL.has(unit.status) || unit.deadline === null) continue;
      law(deadline <= unit.deadline, `K3: the alarm may stand past the deadline of ${unitName(ref)}`);
    }
    if (state.pausedSince !== null) law(due(state, now).length === 0, "work is due while paused");
  }

  /** K10: everything downstream is undone, or could not be, before its ancestors are. */
  #order(before: RunState, fact: UnitRef): void {
    const owner = unitOf(before, refOf(fact.step, fact.item));
    law(owner?.outcome === "done" || owner?.outcome === "unknown", `K10: ${fact.step} has nothing to undo`);
    const later = new Set([fact.step]);
    for (const def of before.graph.steps) {
      if (!def.needs.some((need) => later.has(need))) continue;
      later.add(def.name);
    }
    for (const { ref, unit, def } of attempting(before)) {
      if (ref.role !== undefined || ref.step === fact.step || !later.has(ref.step)) continue;
      // The items of a `forEach` that gives up are undone before anything that needs it has begun.
      const untouched = before.phase === "forward" && unit.status === "pending";
      law(
        untouched || TERMINAL.has(unit.status),
        `K10: ${fact.step} undone before ${unitName(ref)} was settled`,
      );
      law(!stillToUndo(def, unit), `K10: ${fact.step} undone before ${unitName(ref)}`);
    }
  }

  /** K10: what was done and not undone is listed, with its reason, and nothing else is. */
  #end(state: RunState): void {
    for (const { ref, unit } of unitsOf(state)) {
      // Nothing called for the `onFailure` steps, or for the undoing of an earlier generation once more.
      const uncalled = unit.status === "pending" && (state.status === "succeeded" || ref.role === "undo");
      law(uncalled || TERMINAL.has(unit.status), `K1: ${unitName(ref)} is ${unit.status} at the end`);
      law(childOf(unit) === null, `${unitName(ref)} still waits for a child at the end`);
    }
    if (state.status === "succeeded") return;
    const { failure } = state;
    law(failure !== null, "a lost run has no failure");
    const main = attempting(state).filter(({ ref, def }) => ref.role === undefined && def.part === "main");
    const standing = main.filter(
      ({ unit, def }) =>
        !unit.undone && (unit.outcome === "done" || unit.outcome === "unknown") && def.effect !== "safe",
    );
    const listed = failure.left_behind.map((left) => unitName(refOf(left.step, left.item)));
    law(
      same(
        listed,
        standing.map(({ ref }) => unitName(ref)),
      ),
      `K10: left_behind lists ${listed.join()}, standing are ${standing.map(({ ref }) => unitName(ref)).join()}`,
    );
    const undone = failure.undone.map((one) => unitName(refOf(one.step, one.item)));
    law(
      same(
        undone,
        main.filter(({ unit }) => unit.undone).map(({ ref }) => unitName(ref)),
      ),
      "K10: what was undone is not what is listed",
    );
    for (const left of failure.left_behind) {
      const { def } = standing.find(({ ref }) => ref.step === left.step) ?? {};
      const knows = def?.compensate !== undefined;
      law(
        knows === (left.reason === "compensation_failed" || left.reason === "budget_exceeded"),
        `K10: ${left.step} left behind as ${left.reason}`,
      );
    }
  }
}

/** The child that a unit waits for. */
function childOf(unit: Unit): Unit["child"] {
  return unit.child === null || unit.child.ended ? null : unit.child;
}

function stillToUndo(def: StepDef, unit: Unit): boolean {
  if (def.compensate === undefined || unit.undone) return false;
  if (unit.outcome !== "done" && unit.outcome !== "unknown") return false;
  return unit.undo === null || !TERMINAL.has(unit.undo.status);
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join() === b.toSorted().join();
}

/** K8: two states are the same. Derived parts are compared too. */
export function sameState(a: RunState, b: RunState): boolean {
  return (
    JSON.stringify(toSnapshot(a)) === JSON.stringify(toSnapshot(b)) &&
    JSON.stringify([...a.indexOf]) === JSON.stringify([...b.indexOf]) &&
    JSON.stringify(a.dependents) === JSON.stringify(b.dependents)
  );
}
