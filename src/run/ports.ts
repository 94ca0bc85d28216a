/** What a run needs from the rest of the house. The composition root wires it; a run never imports secrets code. */

import type { Acquired, Call, EvaluatePort, Performed, Wanted } from "../driver/index.ts";
import type { Json } from "../kernel/index.ts";
import type { Logger, Result, SpanSink, UseSink } from "../platform/index.ts";
import type { Listener } from "./outbox.ts";
import type { ReportPort } from "./reports.ts";

/** Keys of confidential runs, one each. The run's object keeps its key, sealed; whoever answers here keeps which keys there are. */
export interface RunKeys {
  /** A fresh key of 32 bytes, and the same sealed. Rejects while nothing can be sealed. */
  make(tenant: string, run: string): Promise<{ readonly key: Uint8Array; readonly sealed: string }>;
  /** `passes`: the key may open later (a keyring that is not the right one here); else it was changed, or is another run's. */
  open(
    tenant: string,
    run: string,
    sealed: string,
  ): Promise<Result<Uint8Array, { readonly passes: boolean; readonly message: string }>>;
  /** Whether the key is sealed as a new one would be. */
  isCurrent(sealed: string): boolean;
  /** The same key sealed as a new one would be. Rejects if it cannot be just now, or does not open. */
  renew(tenant: string, run: string, sealed: string): Promise<string>;
  /** To be told once a renewed key is kept: from then on it counts where it is. */
  renewed(tenant: string, run: string, sealed: string): Promise<void>;
  /** The run and its key are gone. */
  forget(tenant: string, run: string): Promise<void>;
}

/** The queue of a workflow, where runs wait until they may work. Every call may be made again, and may be lost. */
export interface FlowPort {
  /**
   * The run waits from `at` on. Told until it was taken, and now and then again. An earlier generation of the run holds nothing
   * any more.
   * `admitted`: it may go on at once, and is not told by `RunRpc.admitted`. `full`: there is no place for it, it ends.
   * A rejection is tried again.
   */
  enqueue(queued: Queued): Promise<{ readonly admitted: boolean; readonly full?: boolean }>;
  /** This generation waits no more, and holds no slot; a later one may. Told until it was taken. */
  release(tenant: string, workflow: string, run: string, generation: number): Promise<void>;
}

export interface Queued {
  readonly tenant: string;
  readonly workflow: string;
  readonly run: string;
  readonly generation: number;
  readonly at: number;
  readonly place: Json;
}

/** How long runs are kept after their end. */
export interface RetentionPort {
  /** Where nothing else is known. */
  readonly defaultMs: number;
  /** Of the tenant's runs, as it is now; null: that cannot be known just now. At least a day. Never rejects. */
  readonly of: (tenant: string) => Promise<number | null>;
}

export interface RunWiring {
  /** Conditions, lists, parameters, outputs: by the workflows of this build. */
  readonly evaluate: EvaluatePort;
  /**
   * The credential of a call that is due, or null where it needs none. Missing: no call of this house does. It has to be
   * answered within a minute, and never asks anything that a run would have to know of.
   */
  readonly acquire?: (wanted: Wanted) => Promise<Acquired> | null;
  /** One attempt, through egress, with its credential. */
  perform(call: Call): Promise<Performed>;
  /** Who learns of a run by its outbox. */
  readonly listeners: readonly Listener[];
  readonly keys: RunKeys;
  /** Where runs are listed; missing: nowhere. */
  readonly directory?: ReportPort;
  /** Where runs with `flow` wait. Missing: they are admitted at once. */
  readonly flow?: FlowPort;
  /** Whether the data of a user are being erased: then nothing is started for them. Never rejects. Missing: nobody's are. */
  readonly isErasing?: (tenant: string, user: string) => Promise<boolean>;
  /** The audit of credentials that attempts were lent; missing: there is none. */
  readonly uses?: UseSink;
  /** Who collects traces; missing: nobody does. */
  readonly spans?: SpanSink;
  readonly log: Logger;
  /** The Worker's version: a death between two versions is a deploy, not a strike. */
  readonly version: string;
  readonly retention: RetentionPort;
  /** Outside calls per platform event; fewer on a free plan. */
  readonly callsPerEvent: number;
}
