/**
 * A random walk through the life of one run: a small model of the world that answers, is silent, dies, asks for the
 * impossible, and moves the clock in both directions. Every input goes through the laws; the state passes through JSON
 * after every fact, so that whatever holds here holds from every snapshot (K8).
 */

import * as fc from "fast-check";
import {
  boundTo,
  decide,
  due,
  evolve,
  evolveAll,
  fromSnapshot,
  hasChild,
  illegal,
  isQueued,
  CLOUD_REASONS,
  NEED_REASONS,
  nextWake,
  refOf,
  stepOf,
  toSnapshot,
  unitName,
  unitOf,
  type AttemptEnd,
  type Child,
  type Decision,
  type Fact,
  type FailureCode,
  type Graph,
  type Input,
  type Job,
  type Binding,
  type Need,
  type NeedReason,
  type Prepared,
  type ResolveAs,
  type RunState,
  type Snapshot,
  type StepDef,
  type UnitRef,
} from "../../../src/kernel/index.ts";
import { cloudNeed, DAY, ends, HOUR, MINUTE, need, SECOND } from "./build.ts";
import type { Coverage } from "./coverage.ts";
import { attempting, LawBroken, Laws, sameState, unitsOf, type Named } from "./laws.ts";
import { RUN, START } from "./play.ts";
import { grown, growths, SIGNALS, type Growth } from "./random-graph.ts";

const MOVES = {
  work: 40,
  answer: 26,
  clock: 16,
  abandon: 1,
  dawdle: 6,
  stale: 4,
  crash: 3,
  strike: 2,
  pause: 1,
  resume: 6,
  cancel: 1,
  signal: 4,
  decide: 8,
  told: 6,
  hold: 5,
  changed: 5,
  rebind: 1,
  resolve: 4,
  redrive: 5,
  append: 2,
  close: 1,
  admit: 8,
  turn_away: 1,
  output: 1,
  nonsense: 3,
} as const;

type Kind = keyof typeof MOVES;

export interface Move {
  readonly kind: Kind;
  /** Choices, whatever the move makes of them. */
  readonly a: number;
  readonly b: number;
  readonly growth: Growth | null;
}

const choice = fc.nat({ max: 999 });

export const moves: fc.Arbitrary<Move> = fc.record({
  kind: fc.oneof(
    ...(Object.entries(MOVES) as [Kind, number][]).map(([kind, weight]) => ({
      weight,
      arbitrary: fc.constant(kind),
    })),
  ),
  a: choice,
  b: choice,
  growth: fc.option(growths, { freq: 2 }),
});

const BINDINGS: readonly (string | undefined)[] = ["google", "google/work", "constructor"];
const ACCOUNTS = ["work", "home"] as const;
const REASONS = Object.keys(NEED_REASONS) as NeedReason[];

function needOf(a: number, b: number): Need {
  const times = {
    limitMs: [MINUTE, HOUR, Number.NaN][b % 3] ?? HOUR,
    recheckMs: [SECOND, 0][a % 2] ?? SECOND,
  };
  if (a % 5 === 4) return cloudNeed(CLOUD_REASONS[b % CLOUD_REASONS.length], times);
  return need(REASONS[a % REASONS.length], {
    limitMs: [MINUTE, HOUR, DAY, Number.NaN][b % 4] ?? DAY,
    recheckMs: [SECOND, MINUTE, HOUR, 0][a % 4] ?? MINUTE,
    ...(b % 3 === 0 ? { account: ACCOUNTS[b % 2] ?? "work" } : {}),
    ...(b % 5 === 0 ? { connection: "conn_1", detail: "look" } : {}),
    ...(a % 2 === 0 ? { refused: true } : {}),
    ...(b % 7 === 0 ? { scopes: ["calendar"] } : {}),
  });
}

const CODES: readonly FailureCode[] = ["http_500", "http_429", "http_422", "network"];

export class Walk {
  now = START;
  state: RunState;
  readonly facts: Fact[] = [];
  readonly #laws = new Laws();
  readonly #coverage: Coverage | null;
  #signals = 0;
  #growths = 0;

  /** @param queued it has to wait until it is admitted */
  constructor(graph: Graph, open: boolean, coverage: Coverage | null = null, queued = false) {
    this.#coverage = coverage;
    const flow = queued ? { flow: { limitMs: HOUR, place: null } } : {};
    const input: Input = { t: "start", run: { ...RUN, open, ...flow }, graph, input: { v: null } };
    const early = decide(null, { t: "tick" }, this.now, 0);
    if (coverage !== null) coverage.input({ t: "tick" }, early);
    const decision = decide(null, input, this.now, 0);
    if (!decision.ok) throw new LawBroken(`a random graph was refused: ${JSON.stringify(decision.refusal)}`);
    coverage?.input(input, decision);
    const [first, ...rest] = decision.facts;
    if (first === undefined) throw new LawBroken("a start without facts");
    coverage?.fact(null, first);
    this.state = through(first, null);
    this.facts.push(first);
    for (const fact of rest) this.#fold(fact);
  }

  /** K9: nothing throws, every fact is legal. */
  send(input: Input, random = 0.5): Decision {
    const before = this.state;
    const decision = decide(before, input, this.now, random);
    this.#coverage?.input(input, decision);
    if (decision.ok) for (const fact of decision.facts) this.#fold(fact);
    this.#laws.input(before, input, decision, this.state, this.now);
    return decision;
  }

  #fold(fact: Fact): void {
    const why = illegal(this.state, fact);
    if (why !== null) throw new LawBroken(`K9: illegal ${fact.t}: ${why}`);
    this.#coverage?.fact(this.state, fact);
    const next = through(fact, this.state);
    this.#laws.fact(this.state, fact, next);
    this.facts.push(fact);
    this.state = next;
  }

  /** K8: the fold from the start, without any snapshot, is the state that went through one after every fact. */
  checkFold(): void {
    const folded = evolveAll(null, this.facts);
    if (folded === null || !sameState(folded, this.state))
      throw new LawBroken("K8: the fold is not the state");
  }

  play(move: Move): void {
    switch (move.kind) {
      case "work":
        return this.#work(move);
      case "answer":
        return this.#answer(move);
      case "clock":
        return this.#clock(move);
      case "abandon":
        // The alarm is two days late.
        this.now += 2 * DAY;
        this.send({ t: "tick" });
        return;
      case "dawdle":
        return this.#dawdle();
      case "stale":
        return this.#stale(move);
      case "crash":
        for (const one of this.#running()) this.#lost(one, move.a % 2 === 0);
        return;
      case "strike": {
        // The same step kills the object again and again.
        const one = pick(this.#running(), move.a);
        if (one !== undefined) this.#lost(one, true);
        return;
      }
      case "pause":
        this.send({ t: "pause", by: "ada" });
        return;
      case "resume":
        return this.resume();
      case "cancel":
        this.send({ t: "cancel", mode: move.a % 2 === 0 ? "graceful" : "immediate", by: "ada" });
        return;
      case "signal":
        return this.#signal(move);
      case "decide":
        return this.#decide(move);
      case "told":
        return this.#told(move);
      case "hold":
        return this.#hold(move);
      case "changed":
        return this.#changed(move);
      case "rebind":
        this.send({
          t: "rebind",
          name: BINDINGS[move.a % 3] ?? "google",
          to: { epoch: move.b % 3 },
          by: "ada",
        });
        return;
      case "resolve": {
        const unknown = unitsOf(this.state).filter(({ unit }) => unit.status === "unknown");
        const one = pick(move.b % 5 === 0 ? unitsOf(this.state) : unknown, move.a);
        if (one !== undefined) this.send({ t: "resolve", unit: one.ref, as: resolution(move.b), by: "ada" });
        return;
      }
      case "redrive":
        return this.#redrive(move);
      case "append":
        return this.#append(move);
      case "close":
        this.send({ t: "close" });
        return;
      case "admit":
        this.send({ t: "admit", generation: this.#generationOr(move) });
        return;
      case "turn_away":
        this.send({
          t: "turn_away",
          generation: this.#generationOr(move),
          why: move.a % 2 === 0 ? { as: "full" } : { as: "superseded", by: "run_2" },
        });
        return;
      case "output":
        if (move.a % 2 === 0) this.send({ t: "output", result: { output: { v: 1 } } });
        else this.send({ t: "output", result: { failure: failure("template_failed") } });
        return;
      case "nonsense":
        return this.#nonsense(move);
    }
  }

  /** Mostly the one that the run is in. */
  #generationOr({ b }: Move): number {
    return this.state.generation - (b % 7 === 0 ? 1 : 0);
  }

  resume(): void {
    this.send({ t: "resume", by: "ada" });
  }

  /** As an alarm does that nobody attends to. */
  wake(): void {
    const at = nextWake(this.state, this.now);
    if (at === null) throw new LawBroken("K3: a run that has not ended has no next wake");
    this.now = Math.max(this.now, at);
    this.send({ t: "tick" });
  }

  /** One step on: what is due is done, what is in flight is mostly answered, else time passes. */
  goOn(choose: () => number): void {
    const [job] = due(this.state, this.now);
    if (job !== undefined) return this.do(job, choose());
    if (isQueued(this.state) && choose() % 4 > 0) {
      this.send({ t: "admit", generation: this.state.generation });
      return;
    }
    const [flight] = this.#running();
    const a = choose();
    if (flight !== undefined && a % 4 > 0) this.#end(flight.ref, a, null);
    else this.wake();
  }

  #running(): Named[] {
    return attempting(this.state).filter(({ unit }) => unit.status === "running");
  }

  /** A job that is due is never refused. */
  #work({ a, b, growth }: Move): void {
    const jobs = due(this.state, this.now);
    const job = pick(jobs, a);
    if (new Set(jobs.map(jobName)).size !== jobs.length) throw new LawBroken("a job is due twice");
    if (job !== undefined) this.do(job, b, growth);
  }

  do(job: Job, b: number, growth: Growth | null = null): void {
    const decision = this.send(this.#inputOf(job, b), (b % 100) / 100);
    if (!decision.ok || decision.facts.length === 0)
      throw new LawBroken(`${jobName(job)} was due, and refused`);
    // Most attempts are short: without this, walks would spend their moves on answers.
    if (job.kind === "attempt" && b % 3 === 0) this.#end(job.unit, b, growth);
  }

  #inputOf(job: Job, b: number): Input {
    switch (job.kind) {
      case "output":
        return b % 20 === 0
          ? { t: "output", result: { failure: failure("template_failed") } }
          : { t: "output", result: { output: { v: "over" } } };
      case "prepare":
        return { t: "prepared", unit: job.unit, prepared: this.#prepared(job.unit, b) };
      case "attempt":
        return b % 11 === 0 && !this.#looks(job.unit)
          ? { t: "hold", unit: job.unit, attempt: job.attempt, need: needOf(b, b) }
          : { t: "begin", unit: job.unit, attempt: job.attempt, version: "v1", ...this.#bound(b) };
    }
  }

  /** To look after a child needs no credential. */
  #looks(ref: UnitRef): boolean {
    const unit = unitOf(this.state, ref);
    return unit !== null && hasChild(unit);
  }

  /** What is pinned, or what is not yet. */
  #bound(b: number): { readonly bound?: readonly Binding[] } {
    const name = BINDINGS[b % 9];
    if (name === undefined) return {};
    const other = BINDINGS[(b + 1) % 9];
    const one = (of: string): Binding => ({ name: of, to: boundTo(this.state.bound, of) ?? { epoch: 0 } });
    return { bound: [one(name), ...(other === undefined || b % 2 === 0 ? [] : [one(other)])] };
  }

  /** What is due lacks its credential, or somebody says so of what is not due at all. */
  #hold({ a, b }: Move): void {
    const jobs = due(this.state, this.now).filter((job) => job.kind === "attempt");
    const job = pick(jobs, a);
    const stray = pick(unitsOf(this.state), a);
    if (job !== undefined && b % 9 > 0)
      this.send({ t: "hold", unit: job.unit, attempt: job.attempt, need: needOf(a, b) });
    else if (stray !== undefined)
      this.send({ t: "hold", unit: stray.ref, attempt: stray.unit.attempt + (a % 2), need: needOf(a, b) });
  }

  /** Early, late, twice; of what is waited for, or of something else. */
  #changed({ a, b }: Move): void {
    const integration = a % 4 === 0 ? "other" : "google";
    const more =
      b % 3 === 0 ? { account: ACCOUNTS[b % 2] ?? "work" } : b % 3 === 1 ? { connection: "conn_1" } : {};
    for (let times = b % 5 === 0 ? 2 : 1; times > 0; times--)
      this.send({ t: "connection_changed", integration, ...more });
  }

  #prepared(ref: UnitRef, b: number): Prepared {
    const def = stepOf(this.state, ref.step)?.def;
    if (b % 25 === 0) return { kind: "error", failure: failure("template_failed") };
    if (b % 60 === 1) return { kind: "timer", ms: Number.NaN };
    if (ref.item === undefined && ref.role === undefined && def !== undefined) {
      if (def.when !== undefined && b % 4 === 0) return { kind: "skip" };
      if (def.forEach !== undefined)
        return { kind: "list", list: { v: [] }, count: b % 60 === 2 ? 1_001 : b % 4 };
    }
    if (ref.role === undefined && def?.kind === "instant") return { kind: "done", output: { v: b } };
    if (ref.role === undefined && def?.kind === "timer") return { kind: "timer", ms: (b % 5) * MINUTE };
    if (ref.role === undefined && def?.kind === "signal")
      return { kind: "signal", limitMs: (b % 5) * MINUTE };
    if (ref.role === undefined && def?.kind === "approval")
      return { kind: "approval", limitMs: (b % 5) * MINUTE, text: "May it?" };
    return { kind: "call", digest: b % 7 === 0 ? "another" : "payload" };
  }

  #answer({ a, b, growth }: Move): void {
    const open = attempting(this.state).filter(
      ({ unit }) => unit.status === "running" || (unit.status === "unknown" && unit.listening),
    );
    const one = pick(open, a);
    if (one !== undefined) this.#end(one.ref, b, growth);
  }

  #end(ref: UnitRef, b: number, growth: Growth | null): void {
    const one = attempting(this.state).find((other) => unitName(other.ref) === unitName(ref));
    if (one === undefined) return;
    this.send(
      {
        t: "ended",
        generation: this.state.generation,
        unit: ref,
        attempt: one.unit.attempt,
        end: this.#howItEnds(one, b, growth),
      },
      (b % 100) / 100,
    );
  }

  /** It goes on, has failed, or has succeeded; in a new generation of its parent it has a new one as well. */
  #howAChildIs(child: Child | null, b: number): AttemptEnd {
    const generation = child === null ? 1 : child.generation + (child.ended ? 1 : 0);
    if (b % 3 === 0)
      return ends.childFailed(generation, (["not_done", "done", "unknown"] as const)[b % 5] ?? "done");
    return b % 4 === 0 ? ends.success("of the child") : ends.child(generation, (b % 7) * HOUR);
  }

  #howItEnds({ ref, def, unit }: Named, b: number, growth: Growth | null): AttemptEnd {
    if (ref.role === "verify" && b % 4 > 0) return ends.happened([true, false, null][b % 3] ?? null);
    if (ref.role === undefined && def.repeat !== undefined && b % 3 > 0) return ends.again();
    const code = CODES[b % CODES.length] ?? "network";
    const kind = b % 16;
    const delegates = ref.role === undefined && def.effect === "keyed" && def.repeat === undefined;
    const open = unit.child !== null && !unit.child.ended;
    if (delegates && (kind > 11 || (open && kind > 6))) return this.#howAChildIs(unit.child, b);
    if (kind < 3) return ends.unclear(code);
    if (kind < 5) return ends.refused(code, b % 4 === 0 ? 3 * SECOND : undefined);
    if (kind === 5) return ends.cannot(code);
    if (kind === 6) return ends.unusable();
    if (kind === 7 || (kind === 8 && unit.refusals !== null))
      return { kind: "needs", need: needOf(b >> 4, b), ...(b % 3 === 0 ? { maybe: true } : {}) };
    const grows = growth !== null && b % 4 === 0;
    return grows ? ends.success(b, this.#grown(growth)) : ends.success(b);
  }

  #grown(growth: Growth): StepDef[] {
    const main = this.state.graph.steps.filter((step) => step.part === "main").map((step) => step.name);
    return grown(growth, main, `g${this.#growths++}`);
  }

  #clock({ a, b }: Move): void {
    const wake = nextWake(this.state, this.now) ?? this.now;
    const jumps = [
      0,
      10,
      SECOND,
      MINUTE,
      wake - this.now,
      wake - this.now,
      wake - this.now,
      HOUR,
      -5 * SECOND,
    ];
    this.now += jumps[a % jumps.length] ?? 0;
    this.send({ t: "tick" }, (b % 100) / 100);
    const again = this.send({ t: "tick" });
    if (again.ok && again.facts.length > 0)
      throw new LawBroken("a second look at the same clock brought facts");
  }

  /** Time passes, and nobody looks at the clock: just when that is awkward, and long enough to be so. */
  #dawdle(): void {
    const waits = attempting(this.state).some(
      ({ unit }) => unit.maybe && (unit.status === "backing_off" || unit.status === "pending"),
    );
    if (waits) this.now += 5 * SECOND;
    if (this.state.phase !== "draining") return;
    this.now += DAY;
    this.send({ t: "tick" });
  }

  /** An answer of an attempt that is over, of a generation that is over, or of one that was never made. */
  #stale({ a, b }: Move): void {
    const one = pick(unitsOf(this.state), a);
    if (one === undefined) return;
    const attempt = Math.max(0, one.unit.attempt + (b % 4) - 2);
    const generation = this.state.generation - (b % 3 === 0 ? 1 : 0);
    const end = this.#howItEnds(one, b, null);
    this.send({ t: "ended", generation, unit: one.ref, attempt, end });
  }

  #lost({ ref, unit }: Named, strike: boolean): void {
    this.send({ t: "attempt_lost", unit: ref, attempt: unit.attempt, strike });
  }

  #signal({ a, b }: Move): void {
    const name = [...SIGNALS, "unheard"][a % 3] ?? "go";
    const old = b % 5 === 0 && this.#signals > 0;
    // Now and then a flood of them, to meet the limit.
    const times = b % 50 === 0 ? 65 : 1;
    for (let i = 0; i < times; i++) {
      const id = `s${old ? this.#signals : ++this.#signals}`;
      this.send({ t: "signal", id, name, payload: { v: id } });
    }
  }

  /** Mostly of what waits; sometimes twice, late, of an earlier asking, or by somebody who may not. */
  #decide({ a, b }: Move): void {
    const asked = unitsOf(this.state).filter(({ unit }) => unit.approval !== null);
    const waiting = asked.filter(({ unit }) => unit.status === "waiting");
    const one = pick(b % 5 === 0 || waiting.length === 0 ? asked : waiting, a);
    if (one === undefined) return;
    this.send({
      t: "decide",
      unit: one.ref,
      id: b % 9 === 0 ? "earlier" : (one.unit.approval?.id ?? ""),
      as: b % 4 === 0 ? "denied" : "approved",
      by: ["bob", "bob", "bob", RUN.startedBy, "ada"][b % 5] ?? "bob",
      ...(b % 3 === 0 ? { note: "because", via: "key_2" } : {}),
    });
  }

  /** Mostly of the child that is awaited; sometimes of an earlier generation, or of a run that is no child. */
  #told({ a, b }: Move): void {
    const open = unitsOf(this.state).filter(({ unit }) => unit.child !== null && !unit.child.ended);
    const one = pick(b % 6 === 0 || open.length === 0 ? unitsOf(this.state) : open, a);
    if (one === undefined) return;
    const { run = "run_2", generation = 1 } = one.unit.child ?? {};
    this.send({
      t: "child_ended",
      unit: one.ref,
      run: b % 9 === 0 ? "run_3" : run,
      generation: b % 7 === 0 ? generation - 1 : generation,
    });
  }

  /** As often as not with an answer for everything that must be answered. */
  #redrive({ a, b }: Move): void {
    const answer = a % 3 > 0;
    const refs = answer ? this.#mustBeResolved() : [];
    const stray = b % 7 === 0 ? [refOf("nothing")] : [];
    this.send({
      t: "redrive",
      by: "ada",
      resolve: [...refs, ...stray].map((unit, i) => ({ unit, as: resolution(b + i) })),
    });
  }

  #mustBeResolved(): UnitRef[] {
    const asked = this.send({ t: "redrive", by: "ada", resolve: [] });
    if (asked.ok || asked.refusal.code !== "resolve_first") return [];
    const names = (asked.refusal.details ?? []).map(({ pointer }) =>
      pointer.slice("/resolve/".length).replaceAll("~1", "/"),
    );
    return unitsOf(this.state)
      .map(({ ref }) => ref)
      .filter((ref) => names.includes(unitName(ref)));
  }

  #append({ a, b, growth }: Move): void {
    const there = this.state.graph.steps.filter((step) => step.part === "main").slice(0, 1);
    const fresh = growth === null ? [] : this.#grown(growth);
    const steps = [
      fresh,
      fresh,
      there,
      there.map((step) => ({ ...step, timeoutMs: 7 })),
      fresh.map((step) => ({ ...step, needs: ["nothing"] })),
    ][a % 5];
    this.send({
      t: "append",
      steps: steps ?? [],
      by: "ada",
      ...(b % 4 === 0 ? { ifRevision: b % 8 === 0 ? this.state.revision : 99 } : {}),
    });
  }

  /** Inputs that fit no state: other units, other attempts, a second start. */
  #nonsense({ a, b }: Move): void {
    const any = pick(unitsOf(this.state), a)?.ref ?? refOf("m0");
    const refs = [
      any,
      refOf("nothing"),
      refOf(any.step, 7),
      refOf(any.step, any.item, "undo"),
      refOf("m0", 0, "verify"),
    ];
    const unit = refs[b % refs.length] ?? any;
    const inputs: readonly Input[] = [
      { t: "prepared", unit, prepared: this.#prepared(unit, a) },
      { t: "prepared", unit, prepared: { kind: "skip" } },
      { t: "begin", unit, attempt: a % 4, version: "v2" },
      { t: "attempt_lost", unit, attempt: a % 4, strike: true },
      { t: "child_ended", unit, run: "run_2", generation: a % 3 },
      { t: "hold", unit, attempt: a % 4, need: needOf(a, a) },
      { t: "decide", unit, id: "nothing", as: "approved", by: "bob" },
      { t: "resolve", unit, as: resolution(a), by: "ada" },
      { t: "ended", generation: 1, unit, attempt: a % 4, end: ends.success() },
      { t: "start", run: RUN, graph: this.state.graph, input: { v: null } },
    ];
    const input = inputs[a % inputs.length];
    if (input !== undefined) this.send(input);
  }
}

function resolution(b: number): ResolveAs {
  return (
    ([{ as: "succeeded", output: { v: "said" } }, { as: "failed", note: "no" }, { as: "retry" }] as const)[
      b % 3
    ] ?? { as: "retry" }
  );
}

function failure(code: FailureCode) {
  return { code, message: code, hint: "look", retryable: false };
}

function jobName(job: Job): string {
  return job.kind === "output" ? "output" : `${job.kind} ${unitName(job.unit)}`;
}

function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % Math.max(1, from.length)];
}

/** The state after a fact, by way of JSON. */
function through(fact: Fact, state: RunState | null): RunState {
  const next = evolve(state, JSON.parse(JSON.stringify(fact)) as Fact);
  if (next === null) throw new LawBroken("a fact made no state");
  return fromSnapshot(JSON.parse(JSON.stringify(toSnapshot(next))) as Snapshot);
}
