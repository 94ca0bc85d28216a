/** What a service of the world is: data. Adding one means adding a value of {@link Service} to a list. */
import type { Deed } from "./deeds.ts";
import type { Fields } from "./fields.ts";
import type { RequestListener, Route } from "./http.ts";
import type { Referee } from "./referee.ts";

/** What a route's handler knows of a request, and what it may do. Token, key and body have been checked. */
export interface Call {
  params: Record<string, string>;
  query: URLSearchParams;
  body: Record<string, unknown>;
  key: string | null;
  reference: string | null;
  /** Makes something happen: `kind` is what, `prefix` begins its id. */
  make: (kind: string, prefix: string, data: Record<string, unknown>) => Deed;
  /** Undoes a deed. */
  undo: (deed: Deed) => void;
  find: (kind: string, id: string) => Deed | undefined;
  /** Deeds of this service, oldest first; `reference` also matches the idempotency key. */
  list: (filter: { kind: string; reference?: string; standing?: boolean }) => Deed[];
}

export interface ServiceRoute extends Route<Call> {
  /** Fields of the body; a route with fields takes a body. */
  fields?: Fields;
  /** How the body comes; JSON if not said otherwise. */
  accepts?: "json" | "form";
  /** Without an `Idempotency-Key` the answer is 400. */
  needsKey?: boolean;
}

/** A service whose requests are checked, counted and spoiled by the world. */
export interface ApiService {
  name: string;
  /** The https name, without port, by which the product knows it. */
  host: string;
  /** Served without a token. */
  open?: boolean;
  /** Takes access tokens of the login server, too: with the first scope for GET, with the second for all else. */
  scopes?: { read: string; write: string };
  routes: readonly ServiceRoute[];
}

/** A service that brings its own server code; nothing is checked, counted or spoiled for it. */
export interface RawService {
  name: string;
  host: string;
  listener: (surroundings: Surroundings) => RequestListener;
}

export type Service = ApiService | RawService;

export interface Surroundings {
  referee: Referee;
  /** Host to loopback port, complete once the world has started. */
  names: Readonly<Record<string, number>>;
}
