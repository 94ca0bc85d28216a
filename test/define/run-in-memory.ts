/** A run driven by the production driver, evaluator and actions, with its journal in memory, against the world. */
import { performAction, type Surroundings, type UsePort } from "../../src/actions/index.ts";
import { createAcquire, type UseRolePort } from "../../src/compose-acquire.ts";
import { notConfigured } from "../../src/identity/using.ts";
import {
  createEvaluator,
  createCode,
  type CompiledPlan,
  type Definition,
  createRegistry,
  type Registry,
} from "../../src/define/index.ts";
import { RunDriver, type Row } from "../../src/driver/index.ts";
import type { Graph, Json, RunState } from "../../src/kernel/index.ts";
import { RUN } from "./support.ts";

export interface Ended {
  readonly state: RunState;
  readonly status: RunState["status"];
  readonly output: Json;
  /** The journal as text: what is in it, and what must not be. */
  readonly journal: string;
  readonly rows: readonly Row[];
  /** Status by step. */
  readonly steps: Readonly<Record<string, string>>;
}

/** As `runInMemory`, for a plan: nothing of it is registered. */
export function runPlanInMemory(
  plan: CompiledPlan,
  input: Json,
  surroundings: Omit<Surroundings, "code">,
  use: UsePort = NO_USE,
  useRole: UseRolePort = async () => notConfigured(),
): Promise<Ended> {
  const parsed = plan.parseInput(input);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed));
  const what = { name: plan.name ?? "inline", version: "1", graph: plan.graph, input: parsed.value };
  return drive(createRegistry([]), what, surroundings, use, useRole);
}

/** Starts a run and waits for its end; vitest's own limit ends a wait in vain. */
export function runInMemory(
  definition: Definition,
  input: Json,
  surroundings: Omit<Surroundings, "code">,
  use: UsePort = NO_USE,
  useRole: UseRolePort = async () => notConfigured(),
): Promise<Ended> {
  const registry = createRegistry([definition]);
  const registered = registry.list()[0];
  const parsed = registered?.parseInput(input);
  if (registered === undefined || parsed?.ok !== true) throw new Error(JSON.stringify(parsed));
  const { name, version } = registered;
  const what = { name, version, graph: registered.graph(), input: parsed.value };
  return drive(registry, what, surroundings, use, useRole);
}

interface Driven {
  readonly name: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
}

export const NO_USE: UsePort = async () => {
  throw new Error("there are no connections here");
};

function drive(
  registry: Registry,
  what: Driven,
  surroundings: Omit<Surroundings, "code">,
  use: UsePort,
  useRole: UseRolePort,
): Promise<Ended> {
  const rows: Row[] = [];
  const all = { ...surroundings, code: createCode(registry) };
  return new Promise((resolve, reject) => {
    const driver = new RunDriver({
      journal: {
        load: () => ({ snapshot: null, rows: [] }),
        append: (row) => void rows.push(row),
        value: (seq, slot) => rows.find((row) => row.seq === seq)?.values[slot] ?? "null",
      },
      alarm: { armedAt: () => null, set: () => {}, others: () => null },
      clock: {
        now: () => Date.now(),
        after: (ms, wake) => {
          const timer = setTimeout(wake, ms);
          return () => clearTimeout(timer);
        },
      },
      evaluate: createEvaluator(registry),
      random: () => Math.random(),
      perform: (call) => performAction(call, all),
      acquire: createAcquire({
        ...{ use, useRole, policy: surroundings.policy, log: surroundings.log },
        isCode: (name, version) => registry.get(name, version) !== null,
      }),
      background: (work) => void work.catch(reject),
      giveUp: (reason, cause) => reject(new Error(reason, { cause })),
      turned: (state) => {
        if (state.phase !== "ended") return;
        const steps = state.graph.steps.map((step, i) => [step.name, state.units[i]?.status ?? ""]);
        resolve({
          state,
          status: state.status,
          output: state.output === null ? null : driver.read(state.output),
          journal: JSON.stringify(rows),
          rows,
          steps: Object.fromEntries(steps),
        });
      },
      version: "v1",
    });
    driver.load();
    const id = `run_${Math.random().toString(36).slice(2)}`;
    const run = { ...RUN, id, workflow: what.name, version: what.version };
    const started = driver.start(run, what.graph, what.input);
    if (!started.ok) reject(new Error(JSON.stringify(started)));
  });
}
