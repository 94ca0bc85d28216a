/** What the queue of a workflow keeps of each run. PERSISTED CONTRACT: entries only gain optional fields. */
import type { Keys, Settings } from "./place.ts";

/**
 * - `quiet`: it waits whether another of its debounce key comes
 * - `queued`: it waits for a slot, or for its rate
 * - `admitted`: it holds its slots
 * - `superseded`: another took its place, and it has not been told yet
 */
export const STAGES = ["quiet", "queued", "admitted", "superseded"] as const;
export type Stage = (typeof STAGES)[number];

export interface Entry {
  readonly run: string;
  readonly generation: number;
  readonly keys: Keys;
  readonly priority: number;
  /** When the run began to wait, by its own clock: of two with one debounce key the later one stays. */
  readonly at: number;
  /** Of arrival; who supersedes another takes over its order. */
  readonly order: number;
  /** When it came; once admitted: when that was. */
  readonly since: number;
  /** When the first of those came that it took the place of. */
  readonly firstAt: number;
  readonly stage: Stage;
  /** When its quiet time ends; once admitted: when its lease does. */
  readonly dueAt: number;
  /** Whether the run knows that it is admitted. */
  readonly told: boolean;
  /** Who superseded it. */
  readonly by: string | null;
}

export interface RateState {
  readonly key: string;
  /** When runs of the key started within the period, the oldest first. */
  readonly stamps: readonly number[];
}

/** What survives a death. */
export interface Kept {
  readonly settings: Settings | null;
  readonly entries: readonly Entry[];
  readonly rates: readonly RateState[];
}

/** What has to be written after an input. Null: it is gone. */
export interface Changes {
  readonly settings: Settings | null;
  readonly entries: ReadonlyMap<string, Entry | null>;
  readonly rates: ReadonlyMap<string, RateState | null>;
}

/** What a run has to be told or asked. */
export type Errand = { readonly run: string; readonly generation: number } & (
  | { readonly t: "admit" }
  | { readonly t: "supersede"; readonly by: string }
  /** Its lease is over: whether it still lives. */
  | { readonly t: "look" }
);

/** `gone`: there is no such run any more, or it has ended. `waits`: it does not know of its admission. */
export type ErrandOutcome = "done" | "waits" | "gone" | "failed";
