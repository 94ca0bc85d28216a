/**
 * What can be asked of the events of a name, and what they need from the rest of the house. Plain data in both directions; shapes
 * only gain optional fields. The composition root wires the ports.
 */
import type { Json } from "../../kernel/index.ts";
import type { Logger, Result, RunSource } from "../../platform/index.ts";
import type { Maker, Starter } from "../start-port.ts";

/** An event as it is posted. PERSISTED CONTRACT: only gains optional fields. */
export interface Posted {
  readonly id: string;
  readonly data: Json;
  /** On whose behalf its runs act; null: the tenant. */
  readonly user: string | null;
  readonly tags: readonly string[];
  readonly maker: Maker;
  /** The poster is bound to this user: the event is theirs alone, and reaches nobody else's runs. Null: it is the tenant's. */
  readonly only: string | null;
  readonly traceparent: string | null;
}

/** A step that waits for an event. */
export interface Waiting {
  readonly run: string;
  readonly step: string;
  readonly since: number;
}

export interface NewWaiting extends Waiting {
  readonly until: number;
  readonly user: string | null;
  readonly fields: readonly string[];
  readonly digest: string;
}

export type EraseEvents = { readonly user: string } | { readonly run: string };

/** A workflow that an event may start. */
export interface Subscriber {
  readonly workflow: string;
  readonly version?: string;
  readonly subscription: { readonly filter?: string; readonly input?: Json };
  /** Of a stored plan: those that whoever stored it stood under. Missing: none. */
  readonly policies?: readonly Json[];
}

export interface EventView {
  readonly id: string;
  readonly name: string;
  readonly received_at: number;
  readonly user: string | null;
  readonly tags: readonly string[];
  /** `dispatching`: something of it is still tried. */
  readonly status: "dispatching" | "done";
  readonly runs: readonly { readonly workflow: string; readonly run: string }[];
  readonly resumed: readonly { readonly run: string; readonly step: string }[];
  readonly refused: readonly {
    readonly workflow?: string;
    readonly run?: string;
    readonly step?: string;
    readonly code: string;
    readonly message: string;
  }[];
  /** Workflows whose filter does not want it. */
  readonly filtered: readonly string[];
}

export type PostAnswer =
  | { readonly kind: "taken"; readonly receivedAt: number; readonly duplicate: boolean }
  /** There is one of this id with other content. */
  | { readonly kind: "mismatch" }
  | { readonly kind: "full"; readonly why: "under_way" | "kept"; readonly retryAfterMs: number };

export interface EventsRpc {
  /** Resolves once the event is stored. */
  post(tenant: string, posted: Posted): Promise<PostAnswer>;
  /** @param only as in `Posted`. Null: there is none, or it is not kept any more */
  view(tenant: string, only: string | null, id: string): Promise<EventView | null>;
  /** The newest first. @param only null: everybody's */
  recent(tenant: string, only: string | null, limit: number): Promise<readonly EventView[]>;
  /** Idempotent. Rejects while no more can wait. */
  listen(tenant: string, waiting: NewWaiting): Promise<void>;
  forget(tenant: string, waiting: Waiting): Promise<void>;
  /** Takes away what is kept of a user, or of one run: events on their behalf with all that follows from them, and waits. */
  erase(tenant: string, whose: EraseEvents): Promise<void>;
}

/**
 * What became of an event that was told to a run.
 * - `resumed`: its step has taken it, now or before
 * - `over`: the step does not wait (any more)
 * - `past`: the run had it before the step waited, which waits on
 * - `refused`: it does not fit what the step takes, which waits on
 */
export type Heard =
  | { readonly kind: "resumed" | "over" | "past" }
  | { readonly kind: "refused"; readonly code: string; readonly message: string };

/** A port that rejects, or does not answer in time, is asked again later. */
export interface EventsPorts extends Starter {
  readonly subscribers: (tenant: string, event: string) => Promise<readonly Subscriber[]>;
  /** Whether the poster may still act: its key was not revoked and has not expired. */
  readonly makerStands: (tenant: string, maker: Maker) => Promise<boolean>;
  /** Whether an earlier try has begun the run, which may have ended or been deleted since. */
  readonly wasStarted: (tenant: string, run: string, bodyDigest: string) => Promise<boolean>;
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly hear: (
    tenant: string,
    waiting: Waiting,
    event: {
      readonly name: string;
      readonly key: string;
      readonly data: Json;
      /** It reaches no other user's run. */
      readonly only: string | null;
    },
  ) => Promise<Heard>;
  /** Expressions over `event`. A fault says what is wrong in words, and quotes no value. */
  readonly expressions: {
    condition(text: string, event: Json): Result<boolean, string>;
    filled(template: Json, event: Json): Result<Json, string>;
  };
  readonly log: Logger;
  readonly now: () => number;
}
