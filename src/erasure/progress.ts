/** What an erasure knows of itself. PERSISTED CONTRACT: stands in D1 as JSON, and only gains optional fields. */
import type { Untold } from "../connections/index.ts";

/**
 * What is looked at, one after the other. First what could bring more, then what there is; what is told of runs last, as ending
 * them tells something.
 */
export const STAGES = [
  "keys",
  "hooks",
  "schedules",
  "connections",
  "events",
  "runs",
  "messages",
  "callers",
] as const;
export type Stage = (typeof STAGES)[number];

export interface Progress {
  readonly stage: Stage;
  /** Behind what this look goes on; "": from the beginning. */
  readonly after: string;
  /** This look has found something, or something is still to come. */
  readonly found: boolean;
  /** What the last look that found something waited for. */
  readonly waits?: Waits;
}

/** How many were told to end, and have not yet. */
export interface Waits {
  readonly runs: number;
  readonly connections: number;
}

export interface ErasureReport {
  readonly keys: number;
  readonly hooks: readonly string[];
  readonly schedules: readonly string[];
  readonly connections: number;
  readonly runs: number;
  /** Runs that could not be read, and were deleted, or were gone already. */
  readonly runs_deleted: number;
  readonly callers: number;
  readonly provider_not_told: readonly Untold[];
}

export const NOTHING_YET: ErasureReport = {
  ...{ keys: 0, hooks: [], schedules: [], connections: 0, runs: 0, runs_deleted: 0, callers: 0 },
  provider_not_told: [],
};

export const BEGINNING: Progress = { stage: "keys", after: "", found: false };

export function stageAfter(stage: Stage): Stage | null {
  return STAGES[STAGES.indexOf(stage) + 1] ?? null;
}

export interface Erasure {
  readonly id: string;
  readonly tenant: string;
  /** Null: it is done. */
  readonly user: string | null;
  readonly status: "running" | "done";
  readonly progress: Progress;
  readonly report: ErasureReport;
  readonly begunAt: number;
  readonly begunBy: string;
  readonly cleanSince: number | null;
  readonly doneAt: number | null;
}
