/** Commands of callers, as the driver takes them. */

import type { Outcome, RunDriver } from "../driver/index.ts";
import { fitPayload } from "../define/index.ts";
import {
  refOf,
  type Json,
  type RunInfo,
  type RunState,
  type StepDef,
  type UnitRef,
} from "../kernel/index.ts";
import { canonicalJson } from "../platform/index.ts";
import type { Answer, Command, UnitAddress } from "./rpc.ts";

/** What the driver says to a command, or that its payload is not what a step waits for. */
type Commanded =
  | Outcome
  | { readonly ok: false; readonly refusal: Omit<Extract<Answer<never>, { ok: false }>, "ok"> };

export function commandDriver(driver: RunDriver, command: Command, state: RunState): Commanded {
  switch (command.t) {
    case "cancel":
    case "pause":
    case "resume":
      return driver.command(command);
    case "append": {
      const { policies, steps, ...append } = command;
      return driver.command({ ...append, steps: boundSteps(steps, policies ?? [], state.run) });
    }
    case "close":
      return driver.command({ t: "close" });
    case "signal": {
      const { id, name } = command;
      const fitted = fitPayload(state, name, command.payload);
      if (fitted.ok) return driver.signal(id, name, fitted.payload);
      const [first] = fitted.errors;
      const message = `${first?.pointer ?? "/payload"}: ${first?.detail ?? "It does not fit."}`;
      return { ok: false, refusal: { code: "invalid_payload", message, details: fitted.errors } };
    }
    case "resolve":
      return driver.resolve(unitRef(command.unit), command.as, command.by);
    case "redrive":
      return driver.redrive(
        command.by,
        command.resolve.map(({ unit, as }) => ({ unit: unitRef(unit), as })),
      );
  }
}

/** What a step sends is judged by the run's policies, and by its appender's where those are others. */
function boundSteps(steps: readonly StepDef[], policies: readonly Json[], run: RunInfo): readonly StepDef[] {
  if (policies.length === 0 || canonicalJson(policies) === canonicalJson(run.policies ?? [])) return steps;
  return steps.map((step) => (step.kind === "call" ? { ...step, policies } : step));
}

/** Only for whoever started the run, or an administrator of runs. */
export function isForStarter(command: Command): boolean {
  return command.t === "append" || command.t === "signal" || command.t === "close";
}

function unitRef(address: UnitAddress): UnitRef {
  return refOf(address.step, address.item, address.undo === true ? "undo" : undefined);
}
