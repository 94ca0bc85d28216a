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
export type { Minted, Minter, MintRequest } from "./minter.ts";
export { issuerUrl } from "./token.ts";
