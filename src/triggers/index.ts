/** The door of the triggers: what starts runs without anyone asking, and what tells others of runs. */
export { type DeliveryEntry } from "./entries.ts";
export {
  createPostedNotes,
  dropOldPosted,
  eraseEvents,
  eraseHooks,
  eraseMessages,
  eraseOrigins,
  eraseSchedules,
  type EraseTriggersDeps,
} from "./erasing.ts";
export { WiredEventsObject } from "./events/events-object.ts";
export type { EventsPorts, EventsRpc, EventView, Heard, PostAnswer } from "./events/events-port.ts";
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
  type Expressions,
  type HookRules,
  type Judged,
  type JudgePorts,
  MAX_BODY_BYTES,
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
export type { EndpointQueueView, EndpointRpc, Pinged, ReplayAnswer, Which } from "./outgoing/endpoint-rpc.ts";
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
export { type Health, type Judgement, type Next, type Tried } from "./outgoing/retrying.ts";
export { type SigningKey, signMessage } from "./outgoing/signing.ts";
export {
  type Maker,
  StartHeldBack,
  type Starter,
  type Target,
  type TriggeredOutcome,
  type TriggeredStart,
} from "./start-port.ts";
export { type Bucket, type Rate } from "./rate.ts";
export type { ListedSchedule } from "./schedule-list-store.ts";
export { WiredScheduleObject } from "./schedule-object.ts";
export type { ScheduledStart, SchedulePorts, StartOutcome } from "./schedule-ports.ts";
export type {
  LoggedTick,
  ScheduleErrorCode,
  ScheduleRpc,
  ScheduleView,
  ScheduleWish,
  WishRefusal,
} from "./schedule-rpc.ts";
export { createSchedules, scheduleListIn, type Schedules } from "./schedules.ts";
export type { Overlap } from "./schedule-state.ts";
export type { Timing } from "./schedule-timing.ts";
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
