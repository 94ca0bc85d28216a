/**
 * Providers: what tells one OAuth provider from another, as data, and the pure functions that read it. No I/O, no storage, no
 * clock, no keys: callers send the requests through egress, hold the secrets and sign.
 *
 * The way of a connection:
 * 1. `findProvider` and `bindProvider`, or `genericProvider` / `discoveredProvider`: a bound descriptor, stored with the integration.
 * 2. `scopesToAsk`, `authorizeUrl`; the browser comes back: `readCallback`.
 * 3. `exchangeRequest`, `readTokenAnswer`; who is it: `identityOfFlow`, the answer's `account`, `readIdToken`, or
 *    `identityRequest` and `readIdentityAnswer`; which sites: `resourcesRequest`, `readResources`.
 * 4. Each call: `mayReceive`, `presented`, and `readApiAnswer` of what came back. Later: `refreshRequest`, `revokeRequests`.
 */
export { type ApiFinding, type ApiHttpAnswer, readApiAnswer } from "./api-answer.ts";
export { type BindRefusal, bindProvider } from "./bind.ts";
export { type CallbackRefusal, readCallback } from "./callback.ts";
export { CATALOG, findProvider } from "./catalog/index.ts";
export type {
  Bound,
  ClientAuth,
  ConsentProvider,
  MachineProvider,
  Provider,
  Refresh,
  Revoke,
  StaticProvider,
} from "./descriptor.ts";
export {
  asksForConsent,
  discoveredProvider,
  discoveryUrl,
  GENERIC_KINDS,
  type GenericKind,
  genericProvider,
  type GenericRefusal,
  type GenericSettings,
} from "./generic.ts";
export { apiHosts, type HostRefusal, mayReceive, TOKEN_HOSTS } from "./hosts.ts";
export {
  type Account,
  type IdentityRefusal,
  identityOfFlow,
  readIdentityAnswer,
  readIdToken,
  readResources,
} from "./identity.ts";
export {
  authorizeUrl,
  type AuthorizeInput,
  basicValue,
  type Client,
  clientAssertionClaims,
  clientCredentialsRequest,
  exchangeRequest,
  type HttpRequest,
  identityRequest,
  jwtBearerClaims,
  jwtBearerRequest,
  presented,
  refreshRequest,
  resourcesRequest,
  revokeRequests,
} from "./requests.ts";
export { comparesScopes, joinScopes, missingScopes, scopesToAsk, splitScopes } from "./scopes.ts";
export {
  MAX_TOKEN_CHARS,
  readTokenAnswer,
  type TokenFailure,
  type TokenHttpAnswer,
  type TokenSuccess,
} from "./token-answer.ts";
