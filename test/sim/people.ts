/**
 * Callers and operators: they start the run, signal, append, pause, resume, cancel, resolve, redrive, close; some twice,
 * some late, some again because they got no answer. They say the truth about what happened, and look before they say it.
 * After a while they stop, and the run has to end without them.
 */

import type { Outcome, ResolveAsJson, RunDriver } from "../../src/driver/index.ts";
import {
  isTerminal,
  refOf,
  stepOf,
  unitOf,
  type Graph,
  type Json,
  type RunInfo,
  type RunState,
  type UnitRef,
} from "../../src/kernel/index.ts";
import type { Coverage } from "./coverage.ts";
import { SIGNALS, type Drawn } from "./graphs.ts";
import type { Host } from "./host.ts";
import { LAND_MS, MAX_GENERATIONS, ZOMBIE_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import { unitKey, type Referee } from "./referee.ts";
import type { Schedule } from "./schedule.ts";
import type { Swarm } from "./swarm.ts";
import type { Findings } from "./verdict.ts";

/** A command, and what must be there once it was acknowledged. */
interface Command {
  readonly name: string;
  readonly run: (driver: RunDriver) => Outcome;
  readonly left: (state: RunState) => boolean;
}

export interface PeopleParts {
  readonly host: Host;
  readonly schedule: Schedule;
  readonly random: Random;
  readonly referee: Referee;
  readonly coverage: Coverage;
  readonly findings: Findings;
  readonly drawn: Drawn;
  readonly swarm: Swarm;
  /** The state on disk: what anybody can know. */
  readonly durable: () => RunState | null;
}

const WHO = "key:operator";

export class People {
  readonly #parts: PeopleParts;
  readonly run: RunInfo;
  readonly #input: Json;
  #visits: number;
  #signals = 0;
  #pending = 0;
  /** The start was acknowledged: from here on the run may not be lost. */
  acknowledged = false;
  /** Nobody will come any more. */
  get gone(): boolean {
    return this.#visits === 0 && this.#pending === 0;
  }

  constructor(parts: PeopleParts) {
    const { random, drawn } = parts;
    this.#parts = parts;
    this.run = {
      id: `run-${random.int(1, 999)}`,
      tenant: "default",
      workflow: "simulated",
      version: "1",
      user: null,
      startedBy: WHO,
      open: drawn.open,
      tags: [],
      traceparent: null,
    };
    this.#input = { pad: "i".repeat(random.chance(0.8) ? 2_000 : 20) };
    this.#visits = random.int(2, 14);
    this.#start(drawn.graph);
  }

  #start(graph: Graph): void {
    const { schedule, random, host } = this.#parts;
    const start = (): void => {
      host.command(
        "start",
        (driver) => driver.start(this.run, graph, this.#input),
        (outcome) => {
          // A second start of the same run is answered like the first.
          const known = outcome?.ok === true || outcome?.refusal.code === "already_started";
          if (known) {
            this.#expectLeft("start", (state) => state.run.id === this.run.id);
            if (!this.acknowledged) this.#plan();
            this.acknowledged = true;
          } else if (outcome === null) {
            this.#parts.coverage.fault("caller got no answer");
            schedule.after(random.scale(10, 2_000), start);
          } else this.#parts.findings.find("broken", `the start was refused: ${outcome.refusal.message}`);
        },
      );
    };
    schedule.after(0, start);
    if (random.chance(0.2)) schedule.after(random.scale(1, 5_000), start);
  }

  /** Visits are spread so that the first come while the run is busy and the last when it has long been waiting. */
  #plan(): void {
    const { schedule, random, swarm } = this.#parts;
    const longest = random.chance(swarm.haste / 2) ? 20_000 : random.scale(2_000, 12 * 60 * 60_000);
    const visits = this.#visits;
    for (let i = 0; i < visits; i++)
      schedule.after(random.scale(1, longest), () => {
        this.#visits--;
        this.#visit();
      });
  }

  #visit(): void {
    const { random, host } = this.#parts;
    const state = this.#parts.durable();
    if (state === null) return;
    if (random.chance(0.4)) host.poke();
    const command = this.#choose(state);
    if (command !== null) this.#send(command);
  }

  #send(command: Command, again = 2): void {
    const { host, schedule, random, coverage, swarm } = this.#parts;
    this.#pending++;
    host.command("command", command.run, (outcome) => {
      this.#pending--;
      if (outcome === null) {
        coverage.fault("caller got no answer");
        if (again > 0 && random.chance(0.7)) this.#later(command, again - 1);
      } else if (outcome.ok) {
        this.#expectLeft(command.name, command.left);
        // Some change their mind at once, while answers of what they stopped are still on their way.
        if (command.name === "cancel immediate" && random.chance(swarm.haste)) this.#comeBack();
      } else coverage.fault("command refused");
    });
    if (random.chance(0.15) && again === 2) {
      coverage.fault("command sent twice");
      schedule.after(random.scale(1, 20_000), () => {
        this.#send(command, 0);
      });
    }
  }

  #comeBack(): void {
    const { schedule, random } = this.#parts;
    this.#pending++;
    schedule.after(random.int(LAND_MS + ZOMBIE_MS, 10_000), () => {
      this.#pending--;
      const state = this.#parts.durable();
      const command = state?.phase === "ended" ? this.#redrive(state) : null;
      if (command !== null) this.#send(command);
    });
  }

  #later(command: Command, again: number): void {
    this.#pending++;
    this.#parts.schedule.after(this.#parts.random.scale(10, 5_000), () => {
      this.#pending--;
      this.#send(command, again);
    });
  }

  #expectLeft(name: string, left: (state: RunState) => boolean): void {
    const state = this.#parts.durable();
    this.#parts.findings.expect(
      state !== null && left(state),
      `${name} was acknowledged and left no trace`,
      "lost",
    );
  }

  #choose(state: RunState): Command | null {
    const { random, swarm } = this.#parts;
    if (state.phase === "ended") return this.#redrive(state);
    const unknown = this.#unknown(state);
    if (unknown !== null && random.chance(0.6)) return unknown;
    if (state.pausedSince !== null && random.chance(0.6)) return resume();
    const atWork = state.units.some((unit) => unit.status === "running");
    if (atWork && random.chance(swarm.haste / 3)) return cancel("immediate");
    switch (
      random.weighted({
        signal: 5,
        pause: 2,
        resume: 1,
        cancel: 1,
        abort: 1,
        append: 4,
        close: 1,
        nothing: 3,
      })
    ) {
      case "signal":
        return this.#signal(state);
      case "pause":
        return pause();
      case "resume":
        return resume();
      case "cancel":
        return cancel("graceful");
      case "abort":
        return cancel("immediate");
      case "append":
        return this.#append();
      case "close":
        return {
          name: "close",
          run: (driver) => driver.command({ t: "close" }),
          left: (now) => now.closed || now.phase !== "forward",
        };
      case "nothing":
        return null;
    }
  }

  #signal(state: RunState): Command {
    const { random } = this.#parts;
    const waiting = state.graph.steps.filter(
      (def, i) => def.kind === "signal" && !isTerminal(state.units[i]?.status ?? "skipped"),
    );
    const name =
      waiting.length > 0 && random.chance(0.8)
        ? (random.pick(waiting).signal ?? "none")
        : random.pick([...SIGNALS, "nobody"]);
    const id = `signal-${random.chance(0.1) ? this.#signals : ++this.#signals}`;
    const payload = { pad: "s".repeat(random.pick([1, 1_500])) };
    return {
      name: `signal ${id}`,
      run: (driver) => driver.signal(id, name, payload),
      left: (now) => now.signalIds.includes(id),
    };
  }

  #append(): Command | null {
    const { drawn, random } = this.#parts;
    if (drawn.batches.length === 0) return null;
    const steps = random.pick(drawn.batches);
    return {
      name: "append",
      run: (driver) => driver.command({ t: "append", steps, by: WHO }),
      left: (now) => steps.every((step) => now.indexOf.has(step.name)),
    };
  }

  /** Somebody looks at the outside once nothing can be on its way any more, and says what is there. */
  #unknown(state: RunState): Command | null {
    const { random, schedule } = this.#parts;
    const sure = LAND_MS + ZOMBIE_MS;
    const refs = unitsOf(state).filter(
      ({ status, endsAt }) => status === "unknown" && schedule.now - endsAt > sure,
    );
    if (refs.length === 0) return null;
    const { ref } = random.pick(refs);
    const as = this.#truth(state, ref, random.pick(["failed", "retry"]));
    // A caller who tries again says again what was true when it first asked; by then it may be about another attempt.
    const attempt = unitOf(state, ref)?.attempt;
    return {
      name: `resolve ${JSON.stringify(ref)}`,
      run: (driver) =>
        driver.state !== null && unitOf(driver.state, ref)?.attempt === attempt
          ? driver.resolve(ref, as, WHO)
          : { ok: false, refusal: { code: "not_unknown", message: "the caller looked again and left it" } },
      left: () => true,
    };
  }

  #truth(state: RunState, ref: UnitRef, no: "failed" | "retry"): ResolveAsJson {
    const { referee } = this.#parts;
    const key = unitKey(state.run.id, ref, state);
    const def = stepOf(state, ref.step)?.def;
    // Of a `repeat`, what the rounds of an earlier generation did counts, too: its keys change, the step does not.
    // What is idempotent has no key: somebody who looks sees whether it is there.
    const done =
      def?.effect === "idempotent"
        ? referee.everStands(key)
        : def?.repeat !== undefined
          ? referee.everHappened(key)
          : referee.happened(key);
    const happened = ref.role === "undo" ? referee.wasUndone(key) : done;
    return happened ? { as: "succeeded", output: { found: true } } : { as: no };
  }

  #redrive(state: RunState): Command | null {
    const { schedule, random } = this.#parts;
    if (state.generation >= MAX_GENERATIONS || (random.chance(0.3) && state.generation > 1)) return null;
    const sure = schedule.now - (state.endedAt ?? 0) > LAND_MS + ZOMBIE_MS;
    const open = unitsOf(state).filter(
      ({ ref, outcome }) => outcome === "unknown" && stepOf(state, ref.step)?.def.part === "main",
    );
    const asked = sure
      ? open.map(({ ref }) => ({ unit: ref, as: this.#truth(state, ref, random.pick(["failed", "retry"])) }))
      : [];
    const generation = state.generation;
    return {
      name: "redrive",
      run: (driver) =>
        driver.state?.generation === generation
          ? driver.redrive(WHO, asked)
          : {
              ok: false,
              refusal: { code: "already_ending", message: "the caller saw that it was redriven" },
            },
      left: (now) => now.generation > generation,
    };
  }
}

function pause(): Command {
  return {
    name: "pause",
    run: (driver) => driver.command({ t: "pause", by: WHO }),
    // It may have been resumed within the same millisecond.
    left: () => true,
  };
}

function resume(): Command {
  return { name: "resume", run: (driver) => driver.command({ t: "resume", by: WHO }), left: () => true };
}

function cancel(mode: "graceful" | "immediate"): Command {
  return {
    name: `cancel ${mode}`,
    run: (driver) => driver.command({ t: "cancel", mode, by: WHO }),
    left: (now) => now.lost !== null || now.generation > 1,
  };
}

interface Seen {
  readonly ref: UnitRef;
  readonly status: string;
  readonly outcome: string | null;
  /** When what is known about it can have been sent last. */
  readonly endsAt: number;
}

/** Steps, items and undoings, as a person sees them. */
function unitsOf(state: RunState): Seen[] {
  return state.graph.steps.flatMap((def, index) => {
    const unit = state.units[index];
    if (unit === undefined) return [];
    const parts =
      unit.items === null
        ? [{ ref: refOf(def.name), unit }]
        : unit.items.map((item, i) => ({ ref: refOf(def.name, i), unit: item }));
    return parts.flatMap(({ ref, unit: part }) => {
      if (part.undone) return [];
      const own = {
        ref,
        status: part.status,
        outcome: part.outcome,
        endsAt: sinceOf(part, def.unknownLimitMs),
      };
      const undo = part.undo;
      return undo === null
        ? [own]
        : [
            own,
            {
              ref: refOf(ref.step, ref.item, "undo"),
              status: undo.status,
              outcome: undo.outcome,
              endsAt: sinceOf(undo, def.unknownLimitMs),
            },
          ];
    });
  });
}

/** An unknown unit's limit counts from when it became unknown. */
function sinceOf(unit: { readonly deadline: number | null }, unknownLimitMs: number): number {
  return (unit.deadline ?? 0) - unknownLimitMs;
}
