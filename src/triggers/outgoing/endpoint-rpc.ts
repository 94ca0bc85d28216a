/**
 * What doors can ask of the queue of an endpoint, over RPC. Every call says whose and which it is; a mismatch is answered as if
 * nothing were here. Plain data, which only gains optional fields.
 */
import type { EndpointMessage } from "./events.ts";
import type { Attempt, Logged } from "./queue-store.ts";

export interface Which {
  readonly tenant: string;
  readonly endpoint: string;
}

export interface EndpointQueueView {
  readonly pending: number;
  readonly failed: number;
  readonly failingSince: number | null;
  /** When the next try is. */
  readonly nextAt: number | null;
}

export interface Pinged {
  readonly message: string;
  readonly delivered: boolean;
  readonly attempt: Attempt;
}

export type EraseMessages = { readonly user: string } | { readonly run: string };

export type ReplayAnswer =
  | { readonly ok: true; readonly messages: number }
  /** `not_kept`: its body is not there (any more). */
  | { readonly ok: false; readonly code: "not_found" | "not_kept" | "disabled" | "queue_full" };

export interface EndpointRpc {
  /** Resolves once the message is kept, or nobody wants it. The same id again changes nothing. */
  enqueue(which: Which, message: EndpointMessage): Promise<void>;
  view(which: Which): Promise<EndpointQueueView>;
  /** The newest first. */
  log(which: Which, limit: number): Promise<readonly Logged[]>;
  replay(which: Which, message: string): Promise<ReplayAnswer>;
  /** All that failed and happened since then. */
  replayFailed(which: Which, since: number): Promise<ReplayAnswer>;
  /** Messages of the user's runs, or of one run, tell only how it went. One that is under way goes as it is. */
  erase(which: Which, whose: EraseMessages): Promise<void>;
  /** One try now, whatever else waits. Null: there is no such endpoint. */
  ping(which: Which): Promise<Pinged | null>;
  /** The endpoint is about to be deleted: what is kept here goes once it is, also if nobody says so. */
  closing(which: Which): Promise<void>;
  /** The endpoint is other than it was, or gone. */
  changed(which: Which): Promise<void>;
}
