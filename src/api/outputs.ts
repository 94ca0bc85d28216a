/**
 * What a key sees of a run. Without `outputs:read`: all but what steps gave. Not only of steps that use a credential: what
 * they read reaches the outputs of others, and of the run. Without `runs:read`, where it starts or changes a run: which
 * one it is. Whatever else it is told, it could ask for again and again by sending the same again.
 */
import { type KeyIdentity, may } from "../access/index.ts";
import type { Json } from "../kernel/index.ts";
import type { EventView, OutputView, RunView, StepView, UnitView } from "../run/index.ts";

const REDACTED: OutputView = { redacted: true };
/** Fields of events that hold outputs, or what becomes one. */
const OUTPUT_FIELDS: ReadonlySet<string> = new Set(["output", "list", "payload", "text"]);

export interface Sight {
  readonly run: (view: RunView) => RunView;
  readonly step: (view: StepView) => StepView;
  readonly event: (event: EventView) => EventView;
}

const WHOLE: Sight = { run: (view) => view, step: (view) => view, event: (event) => event };

const WITHOUT_OUTPUTS: Sight = {
  run: (view) => ({ ...hideOutput(view), steps: view.steps.map(hideStep) }),
  step: hideStep,
  event: (event) => ({ ...event, data: hideFields(event.data) }),
};

export function sightOf(identity: KeyIdentity): Sight {
  return may(identity, "outputs:read") ? WHOLE : WITHOUT_OUTPUTS;
}

export function seesRuns(identity: KeyIdentity): boolean {
  return may(identity, "runs:read");
}

function hideStep(step: StepView): StepView {
  const { items } = step;
  return { ...hideOutput(step), ...(items === undefined ? {} : { items: items.map(hideOutput<UnitView>) }) };
}

function hideOutput<T extends { readonly output: OutputView | null }>(view: T): T {
  return view.output === null ? view : { ...view, output: REDACTED };
}

function hideFields(data: Json): Json {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return data;
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, OUTPUT_FIELDS.has(key) ? { redacted: true } : value]),
  );
}
