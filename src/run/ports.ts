/** What a run needs from the rest of the house. The composition root wires it; a run never imports secrets code. */

import type { Acquired, Call, EvaluatePort, Performed, Wanted } from "../driver/index.ts";
import type { Logger, UseSink } from "../platform/index.ts";
import type { Listener } from "./outbox.ts";
import type { ReportPort } from "./reports.ts";

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
  /** Where runs are listed; missing: nowhere. */
  readonly directory?: ReportPort;
  /** The audit of credentials that attempts were lent; missing: there is none. */
  readonly uses?: UseSink;
  readonly log: Logger;
  /** The Worker's version: a death between two versions is a deploy, not a strike. */
  readonly version: string;
  /** How long a run is kept after its end. */
  readonly retentionMs: number;
  /** Outside calls per platform event; fewer on a free plan. */
  readonly callsPerEvent: number;
}
