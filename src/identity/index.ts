/** The door of identity: what a cloud role is, and for whom identity tokens speak. */

export type { Subject } from "./role.ts";

// Exchanges: identity tokens for credentials of clouds.
export { exchangeFor, type ExchangePorts, type Who } from "./exchange.ts";
