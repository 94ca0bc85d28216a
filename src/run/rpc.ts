/**
 * What other objects and doors can ask of a run, over RPC. Every call carries the caller's tenant; a mismatch is
 * `not_found`. Plain data in both directions: after a deploy, old and new code talk to each other for minutes, so
 * shapes only ever gain optional fields.
 */

import type {
  ApprovalDecision,
  CancelMode,
  Fact,
  Graph,
  ConnectionChange,
  Json,
  CloudReason,
  NeedReason,
  Outcome,
  RefusalCode,
  RunFailure,
  RunInfo,
  RunStatus,
  StepDef,
  Tally,
  UnitStatus,
  Failure,
} from "../kernel/index.ts";
import type { EraseRun, EraseRunAnswer } from "./erasing.ts";
import type { Explanation } from "./explain/explanation.ts";

export interface StartRequest {
  readonly tenant: string;
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
  readonly user: string | null;
  /** `key:<id>`, `hook:<name>`, `schedule:<name>`, `run:<id>`. */
  readonly startedBy: string;
  readonly open: boolean;
  readonly tags: readonly string[];
  readonly traceparent: string | null;
  /** Digest of the canonical body: the same key with another body is refused with `idempotency_mismatch`. */
  readonly bodyDigest: string;
  /** The policies that its starter stands under; pinned, for good. Missing: none. */
  readonly policies?: readonly Json[];
  /** Of a child: the unit that it is the child of. */
  readonly parent?: RunInfo["parent"];
  readonly origins?: readonly string[];
  /** It waits in the queue of its workflow before it works. Missing: there is none. */
  readonly flow?: RunInfo["flow"];
  /** All that the run stores has to be sealed, whatever its graph says: of a child, as its parent's is. */
  readonly confidential?: true;
}

/** What the directory is told of a run: how it stands, never its data. */
export interface RunReport {
  readonly tenant: string;
  readonly id: string;
  /** Number of the run's last fact. */
  readonly version: number;
  readonly workflow: string;
  readonly workflowVersion: string;
  readonly user: string | null;
  readonly startedBy: string;
  readonly tags: readonly string[];
  /** The run that started this one, or null. */
  readonly parent: string | null;
  readonly status: RunStatus;
  readonly paused: boolean;
  readonly generation: number;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** When the next report comes at the latest; null: the run has ended. */
  readonly leaseAt: number | null;
  /** Of a run that has ended: when it deletes itself, as far as it knows. */
  readonly keptUntil?: number;
  /** What it has done so far, in numbers. Missing: a build that did not count says so, or one that cannot read the run. */
  readonly tally?: Tally;
  /** What some step of it waits for. Missing: nothing. */
  readonly parked?: readonly ParkedFor[];
  /** Since when a message of its outbox waits that nobody has taken for long. Missing: none does. */
  readonly untoldSince?: number;
  /** When it said so. Of two reports with the same version and the same lease the later one counts. */
  readonly saidAt?: number;
}

/** What a run is parked for: a person's decision, or a credential. */
export type ParkedFor = "approval" | "connection";

export interface StartedRun {
  readonly created: boolean;
  readonly view: RunView;
  /** For the directory; missing where the run's own word is enough. */
  readonly report?: RunReport;
}

/** `unavailable`: the run cannot go on just now, and is tried again by itself. */
export type RunErrorCode =
  | RefusalCode
  | "not_found"
  | "idempotency_mismatch"
  | "run_deleted"
  | "run_erased"
  | "user_being_erased"
  | "invalid_payload"
  | "unavailable";

export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly code: RunErrorCode;
      readonly message: string;
      readonly details?: readonly {
        readonly pointer: string;
        readonly code?: string;
        readonly detail: string;
      }[];
    };

/** An output as shown: inline while small; else its size, and `GET .../steps/{step}` gives it whole. */
export type OutputView = { readonly value: Json } | { readonly bytes: number } | { readonly redacted: true };

/** What a step that is parked waits for. */
export type UnitWait = ConnectionWait | CloudWait;

/** The credential of a cloud role that cannot be had just now. Nobody is asked for it: time alone mends it. */
export interface CloudWait {
  readonly kind: "cloud";
  /** Its name. */
  readonly role: string;
  readonly reason: CloudReason;
  readonly detail: string | null;
  readonly since: number;
  readonly limit_at: number;
  /** When it looks again by itself. */
  readonly retry_at: number | null;
}

/** A connection that is not at hand. How a person gets to make or renew it is for the door to add. */
export interface ConnectionWait {
  readonly kind: "connection";
  /** Null: nobody could say which. */
  readonly integration: string | null;
  readonly account: string | null;
  /** Its id, where it is known. */
  readonly connection: string | null;
  readonly reason: NeedReason;
  /** Of `scope_missing`: which. */
  readonly scopes: readonly string[];
  readonly detail: string | null;
  readonly since: number;
  readonly limit_at: number;
  /** When it looks again by itself. */
  readonly retry_at: number | null;
}

export interface UnitView {
  readonly status: UnitStatus;
  readonly outcome: Outcome | null;
  readonly undone: boolean;
  readonly attempts: number;
  readonly started_at: number | null;
  readonly ended_at: number | null;
  /** When the next attempt starts, a sleep ends or the next round begins. */
  readonly next_at: number | null;
  /** When the attempt in flight, the wait or the unknown outcome reaches its limit. */
  readonly deadline_at: number | null;
  readonly output: OutputView | null;
  readonly failure: Failure | null;
  /** The approval that it waits for. */
  readonly awaits_approval?: string;
  /** What it is parked for. */
  readonly waiting_for?: UnitWait;
  /** The run that it started. */
  readonly child?: string;
  /** The asking whether it happened (`verify`), once it was wanted. */
  readonly check?: { readonly status: UnitStatus; readonly failure: Failure | null };
  /** Its undoing, once it is wanted. */
  readonly compensation?: {
    readonly status: UnitStatus;
    readonly failure: Failure | null;
    readonly waiting_for?: UnitWait;
  };
}

export interface StepView extends UnitView {
  readonly name: string;
  readonly action: string;
  readonly effect: string;
  readonly part: "main" | "on_failure";
  readonly needs: readonly string[];
  readonly items?: readonly UnitView[];
  readonly waits_for?: string;
  readonly waits_for_event?: string;
  /** Ids of signals that came before the step and do not fit its schema: they are kept, and the step waits on. */
  readonly misfits?: readonly string[];
}

export interface RunView {
  readonly id: string;
  readonly tenant: string;
  readonly workflow: string;
  readonly version: string;
  readonly user: string | null;
  readonly started_by: string;
  /** Of a child: the step or item of the run that started it. */
  readonly parent?: { readonly run: string; readonly unit: string };
  readonly tags: readonly string[];
  /** `paused` is a flag beside the status. */
  readonly status: RunStatus;
  readonly paused: boolean;
  readonly open: boolean;
  readonly closed: boolean;
  readonly generation: number;
  readonly revision: number;
  /** Number of the last fact: the ETag is `"r-<seq>"`. */
  readonly seq: number;
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly deadline_at: number;
  /** Of a run that has ended: when it is deleted, as its tenant's retention was when it was last read. */
  readonly deleted_at?: number;
  /** While it is `queued`: since when, and until when it may be. Its place is for the door to add. */
  readonly queued?: { readonly since: number; readonly limit_at: number };
  readonly output: OutputView | null;
  readonly failure: RunFailure | Failure | null;
  /** Its data were erased: what is left is how it went. */
  readonly erased?: true;
  readonly steps: readonly StepView[];
}

/** A decision that was asked for. All of it is the engine's word, but for `text`, which is the author's. */
export interface ApprovalView {
  readonly id: string;
  readonly run: string;
  readonly workflow: string;
  readonly version: string;
  readonly user: string | null;
  readonly started_by: string;
  readonly step: string;
  readonly item: number | null;
  readonly action: string;
  readonly effect: string;
  /** Of a request that is held back. */
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  /** With its `?`, without what looks like a secret; null: there is none, or the step is sensitive. Not to be trusted. */
  readonly query: string | null;
  /** Of the filled-in parameters that an approval releases. */
  readonly digest: string | null;
  /** What the author of the workflow wrote, filled in with what the run has seen: not to be trusted. */
  readonly text: string | null;
  /** `closed`: it expired, or the step ended otherwise. */
  readonly status: "pending" | ApprovalDecision | "closed";
  readonly asked_at: number;
  readonly expires_at: number;
  readonly decided: {
    readonly by: string;
    /** The key that vouches for `by`, where it was decided by a link. */
    readonly via: string | null;
    readonly at: number;
    readonly note: string | null;
  } | null;
}

/** An approval's id, and the unit that can be read from it. */
export interface ApprovalAddress {
  readonly id: string;
  readonly step: string;
  readonly item?: number;
}

export interface Decide {
  readonly as: ApprovalDecision;
  /** `key:<id>`, `identity:<as the backend said>`, `bearer_link`. */
  readonly by: string;
  /** The key that made the link. */
  readonly via?: string;
  /** All who made the key that decides or made the link, directly or not. */
  readonly behind?: readonly string[];
  readonly note?: string;
}

/** One fact of the journal as shown: references to values are replaced by the value while small, or by its size. */
export interface EventView {
  readonly seq: number;
  readonly at: number;
  readonly type: Fact["t"];
  readonly data: Json;
}

export interface EventsPage {
  readonly events: readonly EventView[];
  /** Pass it as `after` to go on. */
  readonly next: number;
  /** The run has ended and there is nothing after this page. */
  readonly ended: boolean;
}

/** Where in the journal a batch of an export begins: a row, and which of its lines. */
export interface ExportPlace {
  readonly row: number;
  readonly line: number;
}

/** Some lines of an export (`exporting.ts`), each with its line feed. */
export interface ExportBatch {
  readonly text: string;
  /** Null: there is nothing after them. */
  readonly next: ExportPlace | null;
  /** Number of the last fact of the whole export. */
  readonly through: number;
  /** How many lines of each kind, and of how many of them something is withheld. */
  readonly facts: number;
  readonly values: number;
  readonly withheld: number;
}

/** How an export begins. */
export interface ExportStart {
  /** The run at that moment. */
  readonly view: RunView;
  /** False: its journal does not fold any more, and of each fact only what can be told without it is there. */
  readonly readable: boolean;
  readonly batch: ExportBatch;
}

export type ResolveRequest =
  | { readonly as: "succeeded"; readonly output: Json; readonly note?: string }
  | { readonly as: "failed"; readonly note?: string }
  | { readonly as: "retry"; readonly note?: string };

/** A unit by step, item and whether its compensation is meant. */
export interface UnitAddress {
  readonly step: string;
  readonly item?: number;
  readonly undo?: boolean;
}

/** `by` says who asks, as in `startedBy`. */
export type Command =
  | { readonly t: "cancel"; readonly mode: CancelMode; readonly by: string; readonly reason?: string }
  | { readonly t: "pause"; readonly by: string }
  | { readonly t: "resume"; readonly by: string }
  | {
      readonly t: "redrive";
      readonly by: string;
      readonly resolve: readonly { readonly unit: UnitAddress; readonly as: ResolveRequest }[];
    }
  | { readonly t: "resolve"; readonly unit: UnitAddress; readonly as: ResolveRequest; readonly by: string }
  | {
      readonly t: "signal";
      readonly id: string;
      readonly name: string;
      readonly payload: Json;
      readonly by: string;
    }
  | {
      readonly t: "append";
      readonly steps: readonly StepDef[];
      readonly ifRevision?: number;
      readonly by: string;
      /** The policies that the appender stands under. Missing: none. */
      readonly policies?: readonly Json[];
    }
  | { readonly t: "close"; readonly by: string };

/** What steps that are about to be appended would stand beside. */
export interface GraphPart {
  /** The named steps that there are, and what they need if that was asked for. */
  readonly steps: readonly StepDef[];
  /** Whether that is all of them: a part has a bound. */
  readonly whole: boolean;
  /** Names of the latest steps. */
  readonly names: readonly string[];
  readonly deadlineMs: number;
  readonly undoBudgetMs: number;
}

/** Who asks: a key bound to a user sees only runs of its user; append, signal and close ask for the run's own starter. */
export interface Viewer {
  readonly tenant: string;
  /** Only runs of this user; undefined: every run of the tenant. */
  readonly onlyUser?: string;
  /** Only runs started by this; checked by `command` for append, signal and close. */
  readonly onlyStartedBy?: string;
  /** Whether sensitive outputs are shown. */
  readonly reveal?: boolean;
}

export interface RunRpc {
  /** The run that the same start began before, `created: false`; null: there is none here. */
  startedBefore(tenant: string, bodyDigest: string): Promise<Answer<StartedRun> | null>;
  /** Idempotent: the same id and body again gives the same run, `created: false`. */
  start(request: StartRequest): Promise<Answer<StartedRun>>;
  /**
   * The run as it stands. With `waitMs`: once it is terminal, or has facts after `afterSeq`, or has nothing to do (with `orIdle`:
   * an open run whose steps are all settled), or the time is up (at most 60 s).
   */
  view(
    viewer: Viewer,
    options?: { readonly waitMs?: number; readonly afterSeq?: number; readonly orIdle?: boolean },
  ): Promise<Answer<RunView>>;
  /** One step with its whole output (or that of one item). */
  step(viewer: Viewer, name: string, item?: number): Promise<Answer<StepView>>;
  /**
   * Why the run stands where it stands, and what can be done about it; with `step`, of that step and all that belongs to it.
   * Also answers for a run that cannot go on just now, if the caller may see every run of the tenant.
   */
  explain(viewer: Viewer, step?: string): Promise<Answer<Explanation>>;
  /** Facts after `after`, oldest first, at most `limit`; with `waitMs` it waits for the first one. */
  events(
    viewer: Viewer,
    options: { readonly after: number; readonly limit: number; readonly waitMs?: number },
  ): Promise<Answer<EventsPage>>;
  /** The first lines of an export: the run as it stands now (`exporting.ts`). @param outputs whether outputs are shown */
  exportStart(viewer: Viewer, outputs: boolean): Promise<Answer<ExportStart>>;
  /** The lines that follow, from where a batch ended. */
  exportMore(
    viewer: Viewer,
    outputs: boolean,
    at: { readonly from: ExportPlace; readonly through: number },
  ): Promise<Answer<ExportBatch>>;
  command(viewer: Viewer, command: Command): Promise<Answer<RunView>>;
  /** For whoever may append: a part of the graph, by names of steps; `deeply`: also what those need. */
  graphPart(
    viewer: Viewer,
    wanted: { readonly names: readonly string[]; readonly deeply: boolean },
  ): Promise<Answer<GraphPart>>;
  /** What waits for a decision. */
  approvals(viewer: Viewer): Promise<Answer<readonly ApprovalView[]>>;
  approval(viewer: Viewer, address: ApprovalAddress): Promise<Answer<ApprovalView>>;
  /** The first decision counts; a later one is answered with what was decided, `applied: false`. */
  decide(
    viewer: Viewer,
    address: ApprovalAddress,
    decide: Decide,
  ): Promise<Answer<{ readonly applied: boolean; readonly approval: ApprovalView }>>;
  /** A child of this run has ended. `not_due`: tell it again, the run does not know the child yet. */
  childEnded(
    viewer: Viewer,
    child: { readonly unit: string; readonly run: string; readonly generation: number },
  ): Promise<Answer<null>>;
  /**
   * An event that a step waited for since then: taken once, under its id. `over`: that wait is over, or never was; `past`: the run
   * had taken the event before that wait began. Told at least once; `invalid_payload`: it does not fit the step, which waits on.
   */
  hear(
    tenant: string,
    heard: {
      readonly step: string;
      readonly since: number;
      readonly id: string;
      readonly payload: Json;
      readonly by: string;
      /** It reaches no other user's run. */
      readonly onlyUser?: string;
    },
  ): Promise<Answer<"resumed" | "past" | "over">>;
  /** A connection has changed: whatever of the run may wait for it looks again. Told at least once; twice is harmless. */
  connectionChanged(tenant: string, change: ConnectionChange): Promise<Answer<null>>;
  /** A person says that the run goes on with what the name means now. */
  rebind(
    viewer: Viewer,
    how: { readonly name: string; readonly to: Json; readonly by: string },
  ): Promise<Answer<RunView>>;
  /** Nobody waits for this run any more: it is cancelled, if it is still in that generation. */
  recall(
    viewer: Viewer,
    how: { readonly generation: number; readonly mode: CancelMode; readonly by: string },
  ): Promise<Answer<null>>;
  /** Asked of the run at the top before one below it is started. False: there are as many below it as there may be. */
  admit(viewer: Viewer, descendant: string): Promise<Answer<boolean>>;
  /**
   * The queue lets this generation work. Idempotent. What is refused with `not_found`, `run_deleted`, `run_ended` or `not_queued`
   * waits no more and holds no slot: the queue forgets it. Anything else, and a rejection: tell it again.
   */
  admitted(tenant: string, how: { readonly generation: number }): Promise<Answer<null>>;
  /** The run `by` has taken the place of this generation: it ends as cancelled. As `admitted`; one that works already is `not_queued`. */
  superseded(
    tenant: string,
    how: { readonly generation: number; readonly by: string },
  ): Promise<Answer<null>>;
  /** Whether `actor` may make a link by which somebody else decides. `behind`: as in `Decide`. */
  mayLink(
    viewer: Viewer,
    address: ApprovalAddress,
    actor: string,
    behind?: readonly string[],
  ): Promise<Answer<ApprovalView>>;
  /**
   * Somebody from outside thinks that the alarm was lost: the run sets it anew and does what is due. Answers how the run
   * stands, for the directory; null: there is no such run, or not any more.
   */
  poke(tenant: string): Promise<RunReport | null>;
  /** The run tells the directory how it stands, now. Answers whether there is a run. For the operator: of any tenant. */
  relist(): Promise<boolean>;
  /**
   * The key of a confidential run is sealed as a new one would be, from now on. Answers whether there is a key. Rejects if it
   * cannot be just now.
   */
  renewKey(tenant: string): Promise<boolean>;
  /** Nothing of the run's data stays. Idempotent; rejects where it cannot be just now. */
  erase(tenant: string, how: EraseRun): Promise<EraseRunAnswer>;
}
