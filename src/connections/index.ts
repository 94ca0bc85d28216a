/** The door of the connections room: users lend their accounts, and can take them back. */
export type { ConfirmRefusal, ConnectDeps } from "./connecting.ts";
export { type ConnectPages, type ConnectPagesDeps, createConnectPages } from "./connect-app.ts";
export type { DeathReason, IdentityLevel, Owner, Slot } from "./grant.ts";
export type {
  CustomProvider,
  Flaw,
  IntegrationRequest,
  WantedSecret,
  WantedSettings,
} from "./integrating.ts";
export type { ConnectMode, Integration, IntegrationSettings } from "./integrations.ts";
export type { Lent, LendRefusal } from "./lending.ts";
export {
  type ConnectionFilter,
  type ConnectionUse,
  type ListedConnection,
  writeMirrored,
  type Audited,
} from "./listing.ts";
export type { MadeSession, SessionRefusal, SessionRequest } from "./making-sessions.ts";
export type { IntegrationChange, ManageRefusal } from "./managing.ts";
export { WiredConnectionObject } from "./object.ts";
export type { ConnectionWiring } from "./ports.ts";
export { createProviderClient, type ProviderClient } from "./provider-client.ts";
export type { Bound, Provider } from "./providers/index.ts";
export type { MissingConnection } from "./requiring.ts";
export { type Connections, type ConnectionsDeps, createConnections } from "./room.ts";
export type { ConnectionRpc, ConnectionView, RevocationReport } from "./rpc.ts";
export type { ConnectSession } from "./sessions.ts";
export { type ConnectionReference, type Pinned, type Use } from "./use.ts";
export {
  eraseConnection,
  type EraseConnectionsDeps,
  eraseConnections,
  eraseGrantLinks,
  type Untold,
} from "./erasing.ts";
export { siblingsOf } from "./siblings.ts";
