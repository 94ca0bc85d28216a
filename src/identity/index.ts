/** The door of the identity room: workflows have an identity of their own, and clouds give them credentials for it. */

// The issuer: keys, identity tokens, what verifiers read.
export {
  createIssuer,
  type Issuer,
  type IssuerDeps,
  type IssuerKey,
  parseEnvironment,
  parseIssuerOrigin,
} from "./issuer.ts";
export type { IssuerWiring } from "./issuer-keeping.ts";
export { selectIssuer, writeIssuer } from "./issuer-mirror.ts";
export { WiredIssuerObject } from "./issuer-object.ts";
export type { IssuerRefusal, IssuerRpc, Published, PublishedAnswer, SignAnswer } from "./issuer-rpc.ts";

// Cloud roles: who may exchange that identity where.
export { createIdentity, type Identity, type RoleRefusal, type RoleTrial, type RoleTrust } from "./room.ts";
export type { RoleAsker, RoleReferenceRefusal } from "./referring.ts";
export type { IdentityDeps } from "./ports.ts";
export type { RoleFlaw, RoleRequest } from "./roles.ts";
export type { RoleUse } from "./using.ts";
export type { AwsTarget, CloudRole, RoleTarget, Subject } from "./role.ts";
export type { Minted, Minter, MintRequest } from "./minter.ts";
export { issuerUrl } from "./token.ts";

// Exchanges: identity tokens for credentials of clouds.
export { type CredentialWiring, WiredCredentialObject } from "./credential-object.ts";
export type { CredentialAnswer, CredentialRequest, CredentialRpc } from "./credential-rpc.ts";
export { createCredentials, type Credentials, type CredentialsDeps } from "./credentials.ts";
export type { Who } from "./exchange.ts";
