/** What an action needs from its surroundings, and what it answers. The driver's `Call` fits `ActionCall` as it is. */

import type {
  AttemptEnd,
  Binding,
  Effect,
  Failure,
  FailureSeed,
  Json,
  RunFailure,
  RunInfo,
  StepDef,
  UnitRef,
  UnitStatus,
} from "../kernel/index.ts";
import type { Egress, LeaseAnswer, Logger } from "../platform/index.ts";
import type { CloudRef, ConnectionRef, LentRef } from "./lease.ts";
import type { RunParameters } from "./run.ts";

/** A step as others see it. The output of one that did not succeed is null. */
export interface StepOutcome {
  readonly status: UnitStatus;
  readonly output: Json;
  readonly failure: Failure | null;
  readonly attempts: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}

/** What a unit can see of its run. Values are loaded when they are asked for. */
export interface ActionScope {
  readonly input: () => Json;
  readonly step: (name: string) => StepOutcome | null;
  /** Names that `step` answers. */
  readonly visible: () => readonly string[];
  /** Main steps that nothing needs, but for sensitive ones: the default output of a run. */
  readonly leaves: () => readonly string[];
  readonly item: () => Json;
  /** -1 where there is no item. */
  readonly index: number;
  readonly own: () => Json;
  readonly iteration: number;
  /** The step's idempotency key; for a compensation or verify: that of the step that it belongs to. */
  readonly key: string;
  readonly failure: Failure | null;
  readonly run: { readonly id: string; readonly user: string | null; readonly now: number };
}

/** One attempt, ready to be performed. */
export interface ActionCall {
  readonly run: RunInfo;
  readonly generation: number;
  readonly unit: UnitRef;
  readonly attempt: number;
  readonly def: StepDef;
  /** Name of the action. */
  readonly action: string;
  readonly effect: Effect;
  /** Filled in; null for TypeScript functions. */
  readonly with: Json;
  /** Idempotency key of a `keyed` unit, else null. */
  readonly key: string | null;
  readonly timeoutMs: number;
  /** An earlier attempt may have happened. */
  readonly maybe: boolean;
  /** The child run of the unit; one that has not `ended` is only to be looked after. */
  readonly child: { readonly run: string; readonly generation: number; readonly ended: boolean } | null;
  /** Who made the run what it is. */
  readonly makers: readonly string[];
  readonly scope: ActionScope;
  /** What the run has pinned under a name, or null. */
  readonly bound?: (name: string) => Json;
  /** What `acquire` gave for the attempt; absent where it needs nothing. */
  readonly lease?: unknown;
  /** What the run stores is sealed: so must be what a run stores that it starts. */
  readonly confidential?: true;
  readonly signal: AbortSignal;
  /** Called just before something leaves for the outside. */
  readonly sent: () => void;
}

/**
 * How an attempt ended. `bound`: what names of connections were found to mean in the middle of it. `credentials`: what it was
 * lent, and where that was sent (`Lent.uses`).
 */
export type ActionResult = ActionEnd & { readonly bound?: readonly Binding[]; readonly credentials?: Json };

type ActionEnd =
  | { readonly kind: "success"; readonly output: Json; readonly more?: readonly StepDef[] }
  | Exclude<AttemptEnd, { readonly kind: "success" }>
  /** A per-event limit of the platform was met before anything was sent: go on in a fresh event. */
  | { readonly kind: "hop" };

/** The name of a service token of this deployment, sent as a bearer token. */
export interface BearerRef {
  readonly bearer: string;
}

/** A credential by reference: a service token of this deployment, a connection of whom the run acts for, or a cloud role. */
export type CredentialRef = BearerRef | ConnectionRef | CloudRef;

export type Credential =
  | {
      readonly ok: true;
      readonly header: string;
      readonly value: string;
      /** What must not come back in an output or an error. */
      readonly secrets: readonly string[];
    }
  | { readonly ok: false; readonly failure: FailureSeed };

/** What a run asks of the connections room for one reference. */
export interface UseRequest {
  readonly tenant: string;
  readonly run: string;
  readonly user: string | null;
  readonly workflow: string;
  readonly reference: {
    readonly connection: string;
    readonly account?: string;
    readonly scopes?: readonly string[];
  };
  /** What the run has pinned under the name of the reference, or null. */
  readonly pinned: Json;
  readonly stepTimeoutMs: number;
  /** Version of the grant that a service refused to this step. */
  readonly refused?: number;
}
export type UsePort = (use: UseRequest) => Promise<LeaseAnswer>;

/** Lends what an attempt did not say that it needs, in the middle of it. */
export type LendPort = (call: ActionCall, reference: LentRef) => Promise<LeaseAnswer>;

/** Resolves a reference for one request to one host, once per attempt. A credential is given to its own hosts only. */
export type CredentialPort = (reference: BearerRef, host: string, call: ActionCall) => Promise<Credential>;

/** Why a credential would not be given. */
export interface AuthRefusal {
  /** JSON Pointer from `auth` to what names it. */
  readonly at: string;
  /** One of the codes of plans. */
  readonly code: string;
  readonly detail: string;
  /** What could be named there instead. */
  readonly allowed?: readonly string[];
}

/**
 * Asked of each `auth` of a plan before it runs: whether it would be given for a request to this host, as far as is known
 * already. It lends nothing; whoever does asks again.
 */
export type AuthCheck = (
  auth: CredentialRef,
  host: string,
  asker: {
    readonly tenant: string;
    /** Null: nobody; undefined: whom the run will act for is not known yet. */
    readonly user: string | null | undefined;
    /** Whether they may be told the names of what is there. */
    readonly seesIntegrations?: boolean;
    /** The name under which the steps are kept, and speak for themselves; null: they come as JSON with a request. */
    readonly plan: string | null;
  },
  /** Of the step that names it: milliseconds. */
  stepTimeoutMs: number,
) => Promise<AuthRefusal | undefined>;

/** What the policies of a run say to one request. */
export type PolicyVerdict =
  | { readonly kind: "allowed"; readonly approval: boolean }
  | { readonly kind: "denied"; readonly message: string }
  /** They cannot be known just now. */
  | { readonly kind: "unavailable" };

/** Asks the policies of the run, as they are now, about one request before it is sent. */
export type PolicyPort = (
  call: PolicyCall,
  request: {
    readonly url: URL;
    readonly method: string;
  } & Carried,
) => Promise<PolicyVerdict>;

/** Whose credential goes along with a request; none of them: nobody's that a policy has a rule for. */
export interface Carried {
  /** Name of the integration. */
  readonly connection?: string | undefined;
  /** Name of the cloud role. */
  readonly cloudRole?: string | undefined;
}

/** Asks the policies of the run whether a function may be given the credential of a cloud role itself. */
export type HoldingPolicyPort = (call: PolicyCall, role: string) => Promise<PolicyVerdict>;

/** What of a call the policies are asked about. */
export type PolicyCall = Pick<ActionCall, "run" | "def" | "unit" | "action" | "with">;

/** A step written as a function, with its types erased. */
export type StepFunction = (context: never) => unknown;

/** Whether the body of an answer is what the author declared, and what of it is kept. */
export type AnswerCheck = (
  body: Json,
) => { readonly ok: true; readonly body: Json } | { readonly ok: false; readonly message: string };

/** What this build's code holds for the steps of a run, by workflow, version, step and role. */
export interface CodePort {
  /** The function of a `code` step; null if this build has none. */
  step(call: ActionCall): StepFunction | null;
  /** The declared shape of an `http` answer; null if there is none. */
  answer(call: ActionCall): AnswerCheck | null;
  /** Turns the steps that a function returned with `grow` into definitions. */
  growth(
    steps: unknown,
    call: ActionCall,
  ):
    | { readonly ok: true; readonly steps: readonly StepDef[] }
    | { readonly ok: false; readonly message: string };
}

/** How a child run stands. */
export type ChildState =
  | { readonly kind: "running"; readonly run: string; readonly generation: number }
  | { readonly kind: "succeeded"; readonly output: Json }
  | {
      readonly kind: "failed";
      readonly run: string;
      readonly generation: number;
      readonly failure: Failure | RunFailure;
    }
  /** It is still undoing what it did in a generation whose end was counted. */
  | { readonly kind: "ending"; readonly run: string }
  | {
      readonly kind: "refused";
      readonly code: "child_failed" | "child_too_deep" | "child_limit" | "policy_denied";
      readonly message: string;
    }
  /** Whether it may be started cannot be known just now. */
  | { readonly kind: "unavailable"; readonly message: string; readonly retryAfterMs?: number };

export interface ChildrenPort {
  /** Starts the child of the unit, or finds it: one key, one child. */
  start(call: ActionCall, key: string, wanted: RunParameters): Promise<ChildState>;
  look(call: ActionCall, run: string): Promise<ChildState>;
}

/** Everything that performing needs. The composition of a run wires it once. */
export interface Surroundings {
  readonly egress: Egress;
  readonly credential: CredentialPort;
  readonly lend: LendPort;
  readonly code: CodePort;
  readonly children: ChildrenPort;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly policy: PolicyPort;
  readonly holdingPolicy: HoldingPolicyPort;
}
