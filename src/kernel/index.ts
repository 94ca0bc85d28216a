/** The kernel: the state machine of a run, pure. It imports nothing; `now`, random numbers and ids are arguments. */

export { decide } from "./decide.ts";
export { awaitsDecision, due, nextDeadline, nextWake, performanceOf, type Job } from "./due.ts";
export { evolve, evolveAll, illegal } from "./evolve.ts";
export {
  FACT_TYPES,
  type ApprovalDecision,
  type CancelMode,
  type Fact,
  type FactOf,
  type Resolution,
  type RunInfo,
} from "./facts.ts";
export {
  FAILURE_CODES,
  type Failure,
  type FailureCode,
  type LeftBehind,
  type RunFailure,
} from "./failures.ts";
export {
  EFFECTS,
  JOINS,
  SENSITIVE,
  type Effect,
  type Graph,
  type Join,
  type OnStepFailure,
  type Performance,
  type Sensitive,
  type StepDef,
  type StepKind,
  type Verify,
} from "./graph.ts";
export {
  INPUT_TYPES,
  REFUSAL_CODES,
  type AttemptEnd,
  type Decision,
  type FailureSeed,
  type Input,
  type Prepared,
  type Refusal,
  type RefusalCode,
  type ResolveAs,
  type TurnedAway,
} from "./inputs.ts";
export * as limits from "./limits.ts";
export {
  checkGraph,
  checkSteps,
  escapePointer,
  EVENT_PATTERN,
  LINT_CODES,
  NAME_PATTERN,
  orderSteps,
  signalOfEvent,
  type Lint,
  type LintCode,
} from "./lints.ts";
export {
  boundTo,
  CLOUD_REASONS,
  NEED_REASONS,
  waitsForTime,
  type ConnectionChange,
  type Binding,
  type CloudNeed,
  type CloudReason,
  type ConnectionNeed,
  type Need,
  type NeedReason,
} from "./needs.ts";
export { DEFAULT_RETRY, delayMs, JITTERS, resolveRetry, type RetryPolicy } from "./policy.ts";
export { createScrub, ERASED_MESSAGE } from "./scrub.ts";
export { fromSnapshot, toSnapshot, unreadable, type Snapshot } from "./snapshot.ts";
export {
  RUN_MOVES,
  hasSignal,
  RUN_STATUSES,
  isIdle,
  isQueued,
  statusOf,
  stepOf,
  unitOf,
  type Phase,
  type RunState,
  type RunStatus,
} from "./state.ts";
export { STEP_BOUNDS_MS, type Tally } from "./tally.ts";
export { unresolved } from "./redrive.ts";
export { makersOf, mayDecide } from "./approvals.ts";
export {
  approvalIdOf,
  hasChild,
  isParked,
  isTerminal,
  keyOf,
  moveUnit,
  parseApprovalId,
  parseUnitName,
  refOf,
  UNIT_MOVES,
  UNIT_STATUSES,
  unitName,
  type Approval,
  type Child,
  type Outcome,
  type Parked,
  type Unit,
  type UnitFact,
  type UnitRef,
  type UnitStatus,
} from "./units.ts";
export { NULL_VALUE, sameJson, type Json, type Value } from "./values.ts";
