/** The door of identity: what a cloud role is, and for whom identity tokens speak. */

export type { Subject } from "./role.ts";

// Exchanges: identity tokens for credentials of clouds.
export { type CredentialWiring, WiredCredentialObject } from "./credential-object.ts";
export type { CredentialAnswer, CredentialRequest, CredentialRpc } from "./credential-rpc.ts";
export { createCredentials, type Credentials, type CredentialsDeps } from "./credentials.ts";
export { exchangeFor, type ExchangePorts, type Who } from "./exchange.ts";
export { wantedLifeMs } from "./needed-life.ts";
export { leaseOf, type Lending } from "./lending.ts";
export { mintingHost } from "./minting-hosts.ts";
