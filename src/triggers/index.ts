/** The door of the triggers: what starts runs without anyone asking, and what tells others of runs. */
export { type DeliveryEntry, entryOf } from "./entries.ts";
export { type ExpressionCheck, type Hook, type HookDraft, type HookFlaw } from "./hooks/hook.ts";
export { hookRecords } from "./hooks/hook-records.ts";
export { type Asking, createHooks, type HookRefusal, type Hooks, type HooksDeps } from "./hooks/hooks.ts";
export { dropEndedSecrets, type SecretView } from "./hooks/hooks-store.ts";
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
export type {
  DisabledReason,
  Endpoint,
  EndpointDraft,
  EndpointKey,
  KeyKind,
  Setting,
} from "./outgoing/endpoint.ts";
export { WiredEndpointObject } from "./outgoing/endpoint-object.ts";
export type { EndpointPorts, Posted } from "./outgoing/endpoint-ports.ts";
export { endpointRecords } from "./outgoing/endpoint-records.ts";
export type { EndpointRpc, Pinged, QueueView, ReplayAnswer, Which } from "./outgoing/endpoint-rpc.ts";
export {
  createEndpoints,
  type EndpointAsking,
  type EndpointRefusal,
  type Endpoints,
  type EndpointsDeps,
  type Judged as JudgedEndpoint,
  type MadeKey,
  type WithKeys,
} from "./outgoing/endpoints.ts";
export { dropEndedKeys, selectWanting } from "./outgoing/endpoints-store.ts";
export type { EndpointMessage, EventType, RunEvent } from "./outgoing/events.ts";
export { createEndpointListener, type EndpointListener } from "./outgoing/listener.ts";
export type { Attempt, Logged } from "./outgoing/queue-store.ts";
export { type SigningKey, signMessage } from "./outgoing/signing.ts";
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
