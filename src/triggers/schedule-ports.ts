/** What a schedule needs from the rest of the house. The composition root wires it. */

import type { Logger, RunSource } from "../platform/index.ts";
import type { ListedSchedule } from "./schedule-list-store.ts";
import type { Maker, Target } from "./start-port.ts";

/** What a schedule starts. PERSISTED CONTRACT: only gains optional fields. */
export interface ScheduleTarget extends Target {
  /** The end user on whose behalf its runs act; missing: the tenant. */
  readonly user?: string;
}

/** The tenant's list of its schedules. What fails here is told again when the sweeper asks. */
export interface ScheduleList {
  /** Adds the line, or replaces it. False: the tenant has as many schedules as it may have. */
  readonly put: (line: ListedSchedule) => Promise<boolean>;
  readonly remove: (tenant: string, name: string) => Promise<void>;
}

export interface ScheduledStart {
  readonly tenant: string;
  readonly schedule: string;
  readonly run: string;
  /** The time of the tick; of a start by hand, when it was asked for. */
  readonly tick: number;
  readonly byHand: boolean;
  readonly target: ScheduleTarget;
  readonly maker: Maker;
  /** The same at every try of one start. */
  readonly bodyDigest: string;
}

export type StartOutcome =
  | { readonly kind: "started" }
  /** It cannot be started, and trying again would not help. */
  | { readonly kind: "refused"; readonly code: string; readonly message: string };

/** A port that rejects, or does not answer in time, is asked again later. */
export interface SchedulePorts {
  readonly runIdOf: (source: RunSource) => Promise<string>;
  /** Whether an earlier try of this start has begun its run, which may have ended or been deleted since. */
  readonly wasStarted: (start: Pick<ScheduledStart, "tenant" | "run" | "bodyDigest">) => Promise<boolean>;
  /** Begins the run, unless it is there. Must not answer `refused` if it is. */
  readonly start: (start: ScheduledStart) => Promise<StartOutcome>;
  /** Whether the run has not ended. */
  readonly isLive: (tenant: string, run: string) => Promise<boolean>;
  /** Asks the run to stop; one that has ended needs nothing. */
  readonly cancel: (tenant: string, run: string, by: string) => Promise<void>;
  /** Whether the maker may still act: its key was not revoked and has not expired. */
  readonly makerStands: (tenant: string, maker: Maker) => Promise<boolean>;
  readonly list: ScheduleList;
  readonly log: Logger;
  readonly now: () => number;
}
