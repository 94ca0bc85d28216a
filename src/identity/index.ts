/** The door of the identity room: workflows have an identity of their own, and clouds give them credentials for it. */

// The issuer: keys, identity tokens, what verifiers read.
export { createMinter, type Minted, type Minter, type MinterDeps, type MintRequest } from "./minter.ts";
export { claimFlaw, issuerUrl, MAX_CLAIMS, subjectText, tagFlaw, TTL_S } from "./token.ts";
export type { IssuerRefusal, IssuerRpc, Published, PublishedAnswer, SignAnswer } from "./issuer-rpc.ts";
