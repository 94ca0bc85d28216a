/** The driver: turns (decide, append, perform) over ports. It knows no platform. */

export {
  DEFAULT_LIMITS,
  RunDriver,
  UnreadableJournal,
  type DriverLimits,
  type Outcome,
  type ResolveAsJson,
} from "./driver.ts";
export type {
  Acquired,
  AlarmPort,
  Call,
  ClockPort,
  Evaluated,
  EvaluatePort,
  Filled,
  JournalPort,
  Loaded,
  Performed,
  Ports,
  Row,
  Taking,
  Wanted,
} from "./ports.ts";
export type { Scope, StepView } from "./scope.ts";
