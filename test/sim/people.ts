/**
 * Callers and operators: they start the run, signal, append, pause, resume, cancel, resolve, redrive, close; some twice,
 * some late, some again because they got no answer. They say the truth about what happened, and look before they say it.
 * After a while they stop, and the run has to end without them.
 */

import type { ResolveAsJson } from "../../src/driver/index.ts";
import {
  awaitsDecision,
  isTerminal,
  type Graph,
  type Json,
  type RunInfo,
  type RunState,
  type UnitRef,
} from "../../src/kernel/index.ts";
import type { Audit } from "./audit.ts";
import {
  append,
  cancel,
  close,
  decide,
  pause,
  rebind,
  redrive,
  resolve,
  resume,
  signal,
  unitsOf,
  type Command,
  type Seen,
} from "./commands.ts";
import type { Coverage } from "./coverage.ts";
import { SIGNALS, type Drawn } from "./graphs.ts";
import type { Host } from "./host.ts";
import { LAND_MS, MAX_GENERATIONS, ZOMBIE_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import { unitKey, type Referee } from "./referee.ts";
import type { Schedule } from "./schedule.ts";
import type { Swarm } from "./swarm.ts";
import type { Findings } from "./verdict.ts";

/** After this time nothing that was sent can still be on its way. */
const SURE_MS = LAND_MS + ZOMBIE_MS;

export interface PeopleParts {
  readonly host: Host;
  readonly schedule: Schedule;
  readonly random: Random;
  readonly referee: Referee;
  readonly coverage: Coverage;
  readonly findings: Findings;
  readonly drawn: Drawn;
  readonly flow: Pick<RunInfo, "flow">;
  readonly swarm: Swarm;
  readonly audit: Audit;
}

export class People {
  readonly #parts: PeopleParts;
  readonly run: RunInfo;
  readonly #input: Json;
  #signals = 0;
  /** The start was acknowledged: from here on the run may not be lost. */
  acknowledged = false;

  constructor(parts: PeopleParts) {
    const { random, drawn, flow } = parts;
    this.#parts = parts;
    this.run = {
      id: `run-${random.int(1, 999)}`,
      tenant: "default",
      workflow: "simulated",
      version: "1",
      user: null,
      startedBy: "key:caller",
      open: drawn.open,
      tags: [],
      traceparent: null,
      ...flow,
    };
    this.#input = { pad: "i".repeat(random.chance(0.8) ? 2_000 : 20) };
    this.#start(drawn.graph);
  }

  #start(graph: Graph): void {
    const { schedule, random, host } = this.#parts;
    const start = (): void => {
      host.command(
        "start",
        (driver) => driver.start(this.run, graph, this.#input),
        (outcome, rows) => {
          // A second start of the same run is answered like the first.
          const known = outcome?.ok === true || outcome?.refusal.code === "already_started";
          if (known) {
            this.#expectLeft("start", rows, (state) => state.run.id === this.run.id);
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
    for (let visits = random.int(2, 14); visits > 0; visits--)
      schedule.after(random.scale(1, longest), () => {
        this.#visit();
      });
  }

  #visit(): void {
    const { random, host } = this.#parts;
    const state = this.#durable();
    if (state === null) return;
    if (random.chance(0.4)) host.poke();
    const command = this.#choose(state);
    if (command !== null) this.#send(command);
  }

  #send(command: Command, again = 2): void {
    const { host, schedule, random, coverage, swarm } = this.#parts;
    host.command("command", command.run, (outcome, rows) => {
      if (outcome === null) {
        coverage.fault("caller got no answer");
        if (again > 0 && random.chance(0.7)) this.#later(command, again - 1);
      } else if (outcome.ok) {
        this.#expectLeft(command.name, rows, command.left);
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
    schedule.after(random.int(SURE_MS, 10_000), () => {
      const state = this.#durable();
      const command = state?.phase === "ended" ? this.#redrive(state) : null;
      if (command !== null) this.#send(command);
    });
  }

  #later(command: Command, again: number): void {
    this.#parts.schedule.after(this.#parts.random.scale(10, 5_000), () => {
      this.#send(command, again);
    });
  }

  /** The state on disk: what anybody can know. */
  #durable(): RunState | null {
    const { audit, host } = this.#parts;
    return audit.state(host.store.durableRows);
  }

  /** Of a command after which there were so many rows. */
  #expectLeft(name: string, rows: number, left: (state: RunState) => boolean): void {
    const { audit, host, findings } = this.#parts;
    const state = rows <= host.store.durableRows ? audit.state(rows) : null;
    findings.expect(state !== null && left(state), `${name} was acknowledged and left no trace`, "lost");
  }

  #choose(state: RunState): Command | null {
    const { random, swarm } = this.#parts;
    if (state.phase === "ended") return this.#redrive(state);
    const unknown = this.#resolve(state);
    if (unknown !== null && random.chance(0.6)) return unknown;
    if (state.pausedSince !== null && random.chance(0.6)) return resume;
    const asked = this.#decide(state);
    if (asked !== null && random.chance(0.6)) return asked;
    const accepted = this.#parts.host.credentials.accept(state.bound);
    if (accepted !== null) {
      this.#parts.coverage.fault("another connection accepted");
      return rebind(accepted.name, accepted.to);
    }
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
        return pause;
      case "resume":
        return resume;
      case "cancel":
        return cancel("graceful");
      case "abort":
        return cancel("immediate");
      case "append":
        return this.#append();
      case "close":
        return close;
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
    return signal(id, name, { pad: "s".repeat(random.pick([1, 1_500])) });
  }

  /** Mostly yes; now and then by somebody who may not, or once more about what was decided or has expired. */
  #decide(state: RunState): Command | null {
    const { random, coverage, schedule } = this.#parts;
    const asked = unitsOf(state).filter(({ unit }) => unit.approval !== null);
    const open = asked.filter(({ unit }) => awaitsDecision(unit));
    const from = open.length > 0 && random.chance(0.8) ? open : asked;
    if (from.length === 0) return null;
    const { ref, unit } = random.pick(from);
    const starter = random.chance(0.15);
    if (starter) coverage.fault("decided by whoever started the run");
    else if ((unit.approval?.decided ?? null) !== null) coverage.fault("decided twice");
    else if ((unit.approval?.limitAt ?? Infinity) < schedule.now) coverage.fault("decided too late");
    const by = starter ? this.run.startedBy : "key:approver";
    return decide(state, ref, random.chance(0.8) ? "approved" : "denied", by);
  }

  #append(): Command | null {
    const { drawn, random } = this.#parts;
    return drawn.batches.length === 0 ? null : append(random.pick(drawn.batches));
  }

  /** Somebody looks at the outside once nothing can be on its way any more, and says what is there. */
  #resolve(state: RunState): Command | null {
    const { random, schedule } = this.#parts;
    const sure = unitsOf(state).filter(({ def, unit, ref }) => {
      // The limit of an unknown outcome counts from when it became unknown.
      const since = (unit.deadline ?? Infinity) - def.unknownLimitMs;
      return unit.status === "unknown" && schedule.now - since > SURE_MS && !this.#goesOn(state, ref);
    });
    if (sure.length === 0) return null;
    const seen = random.pick(sure);
    return resolve(state, seen.ref, this.#truth(state, seen));
  }

  #redrive(state: RunState): Command | null {
    const { schedule, random } = this.#parts;
    if (state.generation >= MAX_GENERATIONS || (random.chance(0.3) && state.generation > 1)) return null;
    const atWork = unitsOf(state).some(({ ref }) => this.#goesOn(state, ref));
    const sure = schedule.now - (state.endedAt ?? 0) > SURE_MS && !atWork;
    // What is unknown must be answered, and so must a `once` step that happened and failed; others may be.
    const open = unitsOf(state).filter(({ def, ref, unit, kept }) => {
      if (def.part !== "main") return false;
      const failed =
        unit.outcome === "done" && unit.status !== "succeeded" && !kept && ref.role === undefined;
      return unit.outcome === "unknown" || (failed && (def.effect === "once" || random.chance(0.3)));
    });
    return redrive(state, sure ? open.map((seen) => ({ unit: seen.ref, as: this.#truth(state, seen) })) : []);
  }

  /** A child that has not ended may still do what is asked about. */
  #goesOn(state: RunState, ref: UnitRef): boolean {
    return ref.role === undefined && this.#parts.host.children.goesOn(unitKey(state.run.id, ref, state));
  }

  #truth(state: RunState, { def, ref }: Seen): ResolveAsJson {
    const { referee, random } = this.#parts;
    const key = unitKey(state.run.id, ref, state);
    // Of a `repeat`, what the rounds of an earlier generation did counts, too: its keys change, the step does not.
    // What is idempotent has no key: somebody who looks sees whether it is there.
    const done =
      def.effect === "idempotent"
        ? referee.everStands(key)
        : def.repeat !== undefined
          ? referee.everHappened(key)
          : referee.happened(key);
    const happened = ref.role === "undo" ? referee.wasUndone(key) : done;
    return happened ? { as: "succeeded", output: { found: true } } : { as: random.pick(["failed", "retry"]) };
  }
}
