/** The door of definitions: writing workflows, and what the engine needs of them. */

// For authors.
export {
  Fatal,
  Refused,
  RetryAfter,
  type CodeFetch,
  type CodeTools,
  type Duration,
} from "../actions/index.ts";
export { grow, workflow, type Workflow } from "./builder.ts";
export { cloud, connection } from "./connections.ts";
export type { Definition, InputOf, OutputOfRun, WorkflowOptions } from "./definition.ts";
export type {
  HandlerScope,
  NotSucceeded,
  OutputScope,
  Settled,
  StepScope,
  Succeeded,
  UndoScope,
  VerifyScope,
} from "./scope-types.ts";
export type { FlowSpec } from "./flow-schema.ts";
export type { Approved, Fill, Happened, HttpAnswer, RetrySpec } from "./spec-types.ts";

// For the engine.
export { checkAuth } from "./check-auth.ts";
export { checkChildren } from "./check-children.ts";
export { connectionsOf, lentTo, referenceTo } from "./connections.ts";
export { compile, type Compiled } from "./compile.ts";
export { compilePlan, type CompiledPlan, type PlanCompilation } from "./compile-plan.ts";
export {
  BESIDE_NOTHING,
  compileSteps,
  namedOutside,
  type Beside,
  type CompiledSteps,
} from "./compile-steps.ts";
export { literal } from "./expressions/index.ts";
export { viewFlow, type FlowView, type PlannedFlow } from "./flow.ts";
export { notFollowing } from "./following.ts";
export { planJsonSchema, planSchema } from "./plan-schema.ts";
export {
  adviceOn,
  requestsOf,
  summarise,
  type Judge,
  type PlanDigest,
  type PlannedRequest,
} from "./plan-summary.ts";
export { createPlansStore, type PlanRecord } from "./plans-store.ts";
export { createStoredPlans, type StoredPlans } from "./stored-plans.ts";
export { createEvaluator, type Evaluated, type Evaluator, type Filled, type Found } from "./evaluator.ts";
export type { ParsedInput } from "./input.ts";
export { createCode, createRegistry, INLINE_NAME, type Registered, type Registry } from "./registry.ts";
export { stepsSchema, type StepInput, type StepsInput } from "./step-input.ts";
export { eventExpressions, type Subscriber, type Subscription } from "./subscriptions.ts";
export {
  findStartable,
  startableOf,
  type FoundStartable,
  type Startable,
  type StartableSources,
} from "./startable.ts";
export { fitPayload, type FittedPayload } from "./signal-schema.ts";
export { createValueExpressions, type TextFault, type ValueExpressions } from "./value-expressions.ts";
