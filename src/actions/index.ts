/** The door of the actions: what a step can do. */

export { aboutCall } from "./about.ts";
export { actionNamed, type Action, type ActionFilled, type ActionName } from "./catalog.ts";
export { type CodeTools } from "./code.ts";
export { Fatal, Grown, Refused, RetryAfter } from "./code-errors.ts";
export { digestOf } from "./digest.ts";
export { durationSchema, toMs, type Duration } from "./durations.ts";
export { failSchema, type FailParameters } from "./fail.ts";
export { describe, failure } from "./failures.ts";
export {
  httpTemplateSchema,
  METHODS,
  READING_METHODS,
  type BodyForm,
  type HttpParameters,
  type Method,
} from "./http-schema.ts";
export { examine, explain, findingsOf, meantBy, type Finding } from "./issues.ts";
export { toJson, type AsJson } from "./json.ts";
export { lazy } from "./lazy.ts";
export {
  bindingName,
  isCloudRef,
  Lent,
  notLent,
  type CloudRef,
  type ConnectionRef,
  type LentRef,
} from "./lease.ts";
export type { AwsCredentials, BearerCredentials, HeldCredentials } from "./held-credentials.ts";
export type { CodeFetch } from "./lending-fetch.ts";
export { performAction } from "./perform.ts";
export { carriedBy, isConnectionRef } from "./authorization.ts";
export { permitOf } from "./permit.ts";
export { didYouMean, nearest } from "./nearest.ts";
export type {
  ActionCall,
  ActionResult,
  ActionScope,
  AnswerCheck,
  AuthCheck,
  AuthRefusal,
  ChildrenPort,
  ChildState,
  BearerRef,
  Carried,
  CodePort,
  Credential,
  CredentialPort,
  CredentialRef,
  HoldingPolicyPort,
  LendPort,
  PolicyCall,
  PolicyPort,
  PolicyVerdict,
  StepFunction,
  StepOutcome,
  Surroundings,
  UsePort,
  UseRequest,
} from "./ports.ts";
export { retryAfterMs } from "./retry-after.ts";
export { CHILD_KEY_TTL_MS, runTemplateSchema } from "./run.ts";
export { parseAuthCheck, parseServiceTokens } from "./service-tokens.ts";
export { sleepTemplateSchema, type SleepParameters } from "./sleep.ts";
export { transformSchema, type TransformParameters } from "./transform.ts";
export { viewOf, type ScopeView } from "./view.ts";
export { kindOfWait, waitTemplateSchema, type WaitParameters } from "./wait.ts";
export { holdsSecret, redactShapes } from "../platform/index.ts";
export { traceparentOf } from "./trace.ts";
