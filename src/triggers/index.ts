/** The door of the triggers: what starts runs without anyone asking, and what tells others of runs. */
export { WiredFlowObject } from "./flow/flow-object.ts";
export type { FlowPorts, FlowRpc, QueueView } from "./flow/flow-rpc.ts";
export type { Standing } from "./flow/flow-rules.ts";
export { type DeliveryEntry } from "./entries.ts";
export type { Delivered, DeliveringRefusal } from "./hooks/delivering.ts";
export { createHookDesk, type HookDesk } from "./hooks/desk.ts";
export { type ExpressionCheck, type Hook, type HookDraft, type HookFlaw } from "./hooks/hook.ts";
export { type HookWiring, WiredHookObject } from "./hooks/hook-object.ts";
export { hookRecords } from "./hooks/hook-records.ts";
export type { HookRpc, LoggedDelivery } from "./hooks/hook-rpc.ts";
export { type Asking, createHooks, type HookRefusal, type Hooks, type HooksDeps } from "./hooks/hooks.ts";
export { dropEndedSecrets, type SecretView } from "./hooks/hooks-store.ts";
export type { KnownHook } from "./hooks/receiving.ts";
export {
  type Expressions,
  type HookRules,
  type Judged,
  type JudgePorts,
  MAX_BODY_BYTES,
  type Told,
} from "./judging.ts";
export { type Health, type Judgement, type Next, type Tried } from "./outgoing/retrying.ts";
export { type SigningKey, signMessage } from "./outgoing/signing.ts";
export type { Maker, Starter, Target, TriggeredOutcome, TriggeredStart } from "./start-port.ts";
export { type Bucket, type Rate } from "./rate.ts";
export {
  type Arrival,
  type Draft,
  type Handshake,
  type SchemeFault,
  type SchemeName,
  type SchemeSettings,
  type Secret,
} from "./schemes/scheme.ts";
export { newStandardKey, publicTextOf } from "./schemes/standard-keys.ts";
export { type Genuine, makeDelivery } from "./schemes/verify.ts";
