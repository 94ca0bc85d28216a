/**
 * What of a fact is withheld from whom, where facts leave as they are (`exporting.ts`): what the API would not show them either.
 * What is withheld is said to be, in its place.
 */
import type { Fact, Json, RunState, StepDef, Value } from "../kernel/index.ts";
import { isSensitive, withoutQuery } from "./view.ts";

/** What the reader may see. */
export interface Hiding {
  /** What steps and runs gave and were given (`outputs:read`). */
  readonly outputs: boolean;
  /** Also what is marked as sensitive (`outputs:reveal`). */
  readonly reveal: boolean;
}

export interface ShownFact {
  readonly fact: Readonly<Record<string, unknown>>;
  /** Values that it shows. */
  readonly values: readonly Value[];
  readonly withheld: boolean;
}

const REDACTED: Json = { redacted: true };
const VALUE_FIELDS = ["input", "output", "list", "payload"] as const;

export function shownFact(fact: Fact, state: RunState, hiding: Hiding): ShownFact {
  const isWhole = hiding.outputs && hiding.reveal;
  const hidden = !hiding.outputs || (!hiding.reveal && isHeldBack(fact, state));
  const shown: Record<string, unknown> = { ...fact };
  const values: Value[] = [];
  for (const name of VALUE_FIELDS) {
    if (shown[name] === undefined) continue;
    if (hidden) shown[name] = REDACTED;
    else values.push(shown[name] as Value);
  }
  if (!isWhole) withhold(shown, fact, hidden, hiding);
  const withheld = !isWhole && JSON.stringify(shown) !== JSON.stringify(fact);
  return { fact: shown, values, withheld };
}

/** What holds, or becomes, a value other than in a field for one. */
function withhold(shown: Record<string, unknown>, fact: Fact, hidden: boolean, hiding: Hiding): void {
  switch (fact.t) {
    case "run_started": {
      const { steps, output, ...graph } = fact.graph;
      const isSecret = !hiding.outputs || (!hiding.reveal && graph.sensitive?.includes("output") === true);
      shown["graph"] = {
        ...graph,
        ...(output === undefined ? {} : { output: isSecret ? REDACTED : output }),
        steps: steps.map((step) => shownStep(step, hiding)),
      };
      // Its place in a queue holds digests of what it was given, which may be few enough to be tried one by one.
      const { flow, ...run } = fact.run;
      if (flow !== undefined) shown["run"] = { ...run, flow: { limitMs: flow.limitMs, place: REDACTED } };
      return;
    }
    case "grew":
      shown["steps"] = fact.steps.map((step) => shownStep(step, hiding));
      return;
    case "asked":
      if (fact.text !== undefined && hidden) shown["text"] = REDACTED;
      if (fact.about !== undefined) shown["about"] = withoutQuery(fact.about);
      return;
    case "waiting":
      if (fact.hears !== undefined && hidden) shown["hears"] = REDACTED;
      return;
    default:
  }
}

/** A step's parameters and conditions are its author's words, and may hold what its output would. */
function shownStep(step: StepDef, { outputs, reveal }: Hiding): object {
  if (outputs && (reveal || step.sensitive !== true)) return step;
  const { name, kind, action, effect, part, needs, join, sensitive } = step;
  return {
    ...{ name, kind, action, effect, part, needs, join },
    ...(sensitive === undefined ? {} : { sensitive }),
    redacted: true,
  };
}

/** A payload that one step takes as sensitive is so wherever it goes. */
function isHeldBack(fact: Fact, state: RunState): boolean {
  if (fact.t === "run_started") return fact.graph.sensitive?.includes("input") === true;
  if (isSensitive(fact, state)) return true;
  if (fact.t !== "succeeded" || fact.signal === undefined) return false;
  const index = state.signalIds.indexOf(fact.signal);
  const name = state.signalNames?.[index];
  return state.graph.steps.some(
    (def) => def.sensitive === true && (name === undefined || def.signal === name),
  );
}
