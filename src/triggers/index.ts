/** The door of the triggers: what starts runs without anyone asking, and what tells others of runs. */
export { type DeliveryEntry, entryOf } from "./entries.ts";
export { WiredFlowObject } from "./flow/flow-object.ts";
export type { FlowPorts, FlowRpc, QueueView } from "./flow/flow-rpc.ts";
export type { Standing } from "./flow/flow-rules.ts";
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
  answerOf,
  type Expressions,
  type HookRules,
  type Judged,
  judgeDelivery,
  type JudgePorts,
  MAX_BODY_BYTES,
  maySee,
  NOT_THERE,
  redeliveryKey,
  type Told,
} from "./judging.ts";
export {
  afterTry,
  type Health,
  type Judgement,
  type Next,
  nextTry,
  type Tried,
} from "./outgoing/retrying.ts";
export { rotateKeys, type SigningKey, signingKeys, signMessage } from "./outgoing/signing.ts";
export type { Maker, Starter, Target, TriggeredOutcome, TriggeredStart } from "./start-port.ts";
export { type Bucket, type Rate, takeToken } from "./rate.ts";
export {
  type Arrival,
  type Draft,
  type Handshake,
  SCHEME_NAMES,
  type SchemeFault,
  type SchemeName,
  type SchemeSettings,
  type Secret,
} from "./schemes/scheme.ts";
export { newStandardKey, publicTextOf } from "./schemes/standard-keys.ts";
export { type Genuine, makeDelivery, secretFlaw, settingsFlaw, verifyDelivery } from "./schemes/verify.ts";
