/** Commands of callers, as the driver takes them. */

import type { Outcome, RunDriver } from "../driver/index.ts";
import { refOf, type UnitRef } from "../kernel/index.ts";
import type { Command, UnitAddress } from "./rpc.ts";

export function commandDriver(driver: RunDriver, command: Command): Outcome {
  switch (command.t) {
    case "cancel":
    case "pause":
    case "resume":
    case "append":
      return driver.command(command);
    case "close":
      return driver.command({ t: "close" });
    case "signal":
      return driver.signal(command.id, command.name, command.payload);
    case "resolve":
      return driver.resolve(unitRef(command.unit), command.as, command.by);
    case "redrive":
      return driver.redrive(
        command.by,
        command.resolve.map(({ unit, as }) => ({ unit: unitRef(unit), as })),
      );
  }
}

/** Only for whoever started the run, or an administrator of runs. */
export function isForStarter(command: Command): boolean {
  return command.t === "append" || command.t === "signal" || command.t === "close";
}

function unitRef(address: UnitAddress): UnitRef {
  return refOf(address.step, address.item, address.undo === true ? "undo" : undefined);
}
