/** What can be asked of the queue of a workflow, over RPC; and what the queue needs from the rest of the house. */
import type { Json } from "../../kernel/index.ts";
import type { Logger } from "../../platform/index.ts";
import type { Standing, Told } from "./flow-rules.ts";
import type { Settings } from "./place.ts";

export interface QueueView {
  /** Those who wait for a slot or for their rate. */
  readonly queued: number;
  /** Those in their quiet time. */
  readonly quiet: number;
  /** Those who hold slots. */
  readonly admitted: number;
  /** In force: those of the start that came last. Null: none ever came. */
  readonly settings: Settings | null;
  /** The first of those who wait, in the order of the queue; then those in their quiet time. */
  readonly first: readonly Standing[];
}

/** Every call may come twice, and late. A call of another tenant is answered as if nothing were here. */
export interface FlowRpc {
  /** Rejects if this build cannot read the place. */
  enqueue(
    tenant: string,
    ask: { readonly run: string; readonly generation: number; readonly at: number; readonly place: Json },
  ): Promise<Told>;
  /** The run has ended, in that generation. */
  release(tenant: string, run: string, generation: number): Promise<void>;
  /** Null: it does not wait here. */
  standing(tenant: string, run: string): Promise<Standing | null>;
  view(tenant: string, first: number): Promise<QueueView>;
  /** Nothing of a run that has ended is kept: neither its entry, nor the digests that its place is of. */
  erase(tenant: string, run: string, place: Json): Promise<void>;
}

/** A run, as far as its queue speaks with it. A rejection is tried again. */
export interface RunOfQueue {
  admitted(tenant: string, how: { readonly generation: number }): Promise<Said>;
  superseded(tenant: string, how: { readonly generation: number; readonly by: string }): Promise<Said>;
  /** How it stands; null: there is no such run any more. */
  poke(tenant: string): Promise<{
    readonly status: string;
    readonly generation: number;
    readonly endedAt: number | null;
  } | null>;
}

export type Said = { readonly ok: true } | { readonly ok: false; readonly code: string };

export interface FlowPorts {
  /** The object of a run; a fresh stub each time. */
  readonly runOf: (tenant: string, run: string) => RunOfQueue;
  readonly log: Logger;
  readonly now: () => number;
}
