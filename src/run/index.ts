/** The run room: the object that holds one run, and what others can ask of it. */

export { type AdmitStart, createChildren, type FamilyParts, type PermitChild } from "./children.ts";
export { type Explanation, type Reason, type Remedy } from "./explain/explanation.ts";
export type { EraseRun, EraseRunAnswer, RunPlaces } from "./erasing.ts";
export { createFamily } from "./family.ts";
export { createHearing, type Hearer, type HearingPort, type NewHearer } from "./hearing.ts";
export { WiredRunObject } from "./object.ts";
export type { Listener, Message } from "./outbox.ts";
export type { FlowPort, Queued, RunWiring } from "./ports.ts";
export type { ReportPort } from "./reports.ts";
export type {
  Answer,
  ApprovalAddress,
  ApprovalView,
  Command,
  CloudWait,
  ConnectionWait,
  Decide,
  EventsPage,
  EventView,
  ExportBatch,
  ExportPlace,
  ExportStart,
  GraphPart,
  OutputView,
  ResolveRequest,
  RunErrorCode,
  RunReport,
  RunRpc,
  RunView,
  StartedRun,
  StartRequest,
  StepView,
  UnitAddress,
  UnitView,
  UnitWait,
  Viewer,
} from "./rpc.ts";
