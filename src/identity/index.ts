/** The door of the identity room: workflows have an identity of their own, and clouds give them credentials for it. */

// The issuer: keys, identity tokens, what verifiers read.
export { createIssuer, type Issuer, type IssuerDeps, parseEnvironment, parseIssuerOrigin } from "./issuer.ts";
export type { IssuerWiring } from "./issuer-keeping.ts";
export { selectIssuer, writeIssuer } from "./issuer-mirror.ts";
export { WiredIssuerObject } from "./issuer-object.ts";
export type { IssuerRefusal, IssuerRpc, Published, PublishedAnswer, SignAnswer } from "./issuer-rpc.ts";
export { createMinter, type Minted, type Minter, type MinterDeps, type MintRequest } from "./minter.ts";
export { goesAt, type SigningKey, signsFrom } from "./signing-keys.ts";
export { claimFlaw, issuerUrl, MAX_CLAIMS, subjectText, tagFlaw, TTL_S } from "./token.ts";
