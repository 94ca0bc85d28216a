/** What an author writes for one step. The builder infers every type parameter from the object itself. */

import type * as z from "zod";
import type {
  BodyForm,
  CodeTools,
  CredentialRef,
  Duration,
  FailParameters,
  Grown,
  Method,
} from "../actions/index.ts";
import type { Effect, FailureCode, Json } from "../kernel/index.ts";
import type { Declared } from "./connections.ts";

type Awaitable<T> = T | Promise<T>;

/** A value, or a function that makes it from what can be seen. It must be pure: no clock, no chance, no calls. */
export type Fill<Scope, T> = T | ((scope: Scope) => T);

/** What can be sent as JSON. */
export type JsonInput =
  | null
  | boolean
  | number
  | string
  | readonly JsonInput[]
  | { readonly [key: string]: JsonInput | undefined };

type Scalar = string | number | boolean | null;

/** The output of an `http` step. */
export interface HttpAnswer<Body = Json> {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
}

/** One request. Everything but the method can be a function of what the step sees. */
export interface HttpSpec<Scope, M extends Method, Body> {
  readonly method: M;
  readonly url: Fill<Scope, string>;
  readonly query?: Fill<Scope, Readonly<Record<string, Scalar | readonly Scalar[] | undefined>>>;
  readonly headers?: Fill<Scope, Readonly<Record<string, string>>>;
  readonly json?: Fill<Scope, JsonInput>;
  readonly form?: Fill<Scope, Readonly<Record<string, Scalar | undefined>>>;
  readonly text?: Fill<Scope, string>;
  /**
   * The credential by reference: `{ bearer: "NAME" }`, a service token of this deployment, a `connection(...)`, or a
   * `cloud(...)` role.
   */
  readonly auth?: CredentialRef;
  /** Statuses that count as success: numbers, or ranges like `"200-299"` (the default). */
  readonly success?: readonly (number | `${number}-${number}`)[];
  /** This service answers 503 only where it did nothing. */
  readonly refused?: readonly 503[];
  readonly keep?: { readonly headers?: readonly string[]; readonly body?: BodyForm };
  /** Header for the key of a `keyed` step. Default: `Idempotency-Key`. */
  readonly idempotencyHeader?: string;
  /** What the body of a success looks like; another one fails the step with `output_invalid`. */
  readonly answer?: z.ZodType<Body>;
}

/** Every field has a default; the page on retries has them. */
export interface RetrySpec {
  /** Attempts in all, the first included (5). */
  readonly attempts?: number;
  /** Wait before the second attempt (1 s). */
  readonly initial?: Duration;
  /** By which each further wait grows (2). */
  readonly factor?: number;
  /** The longest wait (5 min). */
  readonly cap?: Duration;
  readonly jitter?: "full" | "equal" | "none";
  /** From the first attempt to the start of the last (1 h). */
  readonly maxElapsed?: Duration;
  /** Only these failures are retried. */
  readonly only?: readonly FailureCode[];
  /** These failures are not retried. */
  readonly never?: readonly FailureCode[];
}

interface Attempts {
  readonly retry?: RetrySpec;
  /** Of one attempt (60 s, at most 10 min). */
  readonly timeout?: Duration;
}

/** What only functions say: an `http` step names its connection or cloud role in `auth`. */
interface Lends {
  /**
   * Connections, and `cloud(...)` roles, that are there before the function runs: without them the step waits, and nothing
   * has been sent.
   */
  readonly connections?: Declared;
}

/** What a `verify` says: it happened, and this is the step's output; it did not; it cannot tell. */
export type Happened<Output> =
  | { readonly happened: true; readonly output: Output }
  | { readonly happened: false | null };

type SafeMethod = "GET" | "HEAD" | "OPTIONS";

interface VerifyBase extends Attempts {
  /** Wait before it asks, so that what was sent had time to land (5 s). */
  readonly after?: Duration;
}

export interface VerifyByHttp<Scope, Output, Body> extends VerifyBase {
  readonly http: HttpSpec<Scope, SafeMethod, Body>;
  /** Reads the answer. 404 and 410 are answers too, without a body. */
  readonly happened: (answer: HttpAnswer<Body | null>, scope: Scope) => Happened<Output>;
  readonly run?: never;
}

export interface VerifyByCode<Scope, Output> extends VerifyBase, Lends {
  readonly run: (context: Scope & CodeTools) => Awaitable<Happened<Output>>;
  readonly http?: never;
  readonly happened?: never;
}

interface UndoByHttp<Scope> extends Attempts {
  readonly http: HttpSpec<Scope, Method, unknown>;
  /** Default: by the method. */
  readonly effect?: Effect;
  readonly run?: never;
}

interface UndoByCode<Scope> extends Attempts, Lends {
  readonly effect: Exclude<Effect, "keyed">;
  readonly run: (context: Scope & CodeTools) => Awaitable<unknown>;
  readonly http?: never;
}

interface UndoByKeyedCode<Scope> extends Attempts, Lends {
  readonly effect: "keyed";
  /** `key` is the compensation's own idempotency key, `stepKey` that of the step. */
  readonly run: (context: Scope & CodeTools & { readonly key: string }) => Awaitable<unknown>;
  readonly http?: never;
}

export type UndoSpec<Scope> = UndoByHttp<Scope> | UndoByCode<Scope> | UndoByKeyedCode<Scope>;

export interface RepeatSpec<Scope, Output> {
  /** The repeat ends when this is true of a round's output. */
  readonly until: (output: Output, scope: Scope) => boolean;
  /** Wait between rounds. */
  readonly every: Duration;
  /** Rounds at most (100). */
  readonly max?: number;
  /** Time at most (24 h). */
  readonly within?: Duration;
}

/** RFC 9110, section 9.2: the default effect of a method. */
export type EffectOf<E, M> = [E] extends [never]
  ? M extends SafeMethod
    ? "safe"
    : M extends "PUT" | "DELETE"
      ? "idempotent"
      : "once"
  : E;

/** What only steps that call the outside have. */
interface Calls<Scope, Verify, Undo, Output, VerifyBody> extends Attempts {
  /** How long the provider remembers the key of a `keyed` step (24 h). */
  readonly keyTtl?: Duration;
  /** How long an unknown outcome may stay so, before the run fails (72 h). */
  readonly unknownLimit?: Duration;
  /** Asks the service whether a step whose outcome is unknown happened. */
  readonly verify?: VerifyByHttp<Verify, Output, VerifyBody> | VerifyByCode<Verify, Output>;
  /** Takes back what the step did, when the run is lost. */
  readonly compensate?: UndoSpec<Undo>;
  /** Polls: performs the step again until a condition holds. */
  readonly repeat?: RepeatSpec<Scope, Output>;
}

/** What a step does: exactly one of these. */
interface Does {
  readonly run?: unknown;
  readonly http?: unknown;
  readonly sleep?: unknown;
  readonly wait?: unknown;
  readonly transform?: unknown;
  readonly fail?: unknown;
  readonly child?: unknown;
}
type Only<Name extends keyof Does> = { readonly [Other in Exclude<keyof Does, Name>]?: never };
type NoCall = {
  readonly [Field in "effect" | "retry" | "timeout" | "verify" | "compensate" | "repeat" | "keyTtl"]?: never;
};

export type ForEachSpec<Scope, Element, Tolerated> =
  | ((scope: Scope) => readonly Element[])
  | {
      readonly list: (scope: Scope) => readonly Element[];
      /** Items in work side by side (6). */
      readonly concurrency?: number;
      /** Items that may fail (0). */
      readonly tolerate?: Tolerated;
    };

type NoForEach = { readonly forEach?: never };

/** `Outer`: what is seen before there is an item. `Inner`: the same with the item. */
export type StepSpec<
  Outer,
  Inner,
  Verify,
  Undo,
  Needs,
  J,
  When,
  Element,
  Tolerated,
  OnFailure,
  R,
  E,
  M extends Method,
  B,
  G,
  VB,
  A = never,
  W = never,
> = {
  /** Names of the steps that must be settled first. */
  readonly needs?: Needs;
  /** When the step runs: if all of them succeeded (the default), if any did, or once all are settled. */
  readonly join?: J;
  /** Read once the join is met; false skips the step. */
  readonly when?: (scope: Outer) => When;
  /** What its failure means for the run: it fails (the default), it goes on, or goes on with this output. */
  readonly onFailure?: OnFailure;
  /** The output is redacted in the API; steps and keys with `outputs:reveal` see it. */
  readonly sensitive?: boolean;
} & (
  | ({
      /** What repeating an attempt means. A function must say so (see `Rules`): nobody can guess it. */
      readonly effect?: E;
      readonly run: (context: Inner & CodeTools) => Awaitable<R | Grown<R>>;
      readonly forEach?: ForEachSpec<Outer, Element, Tolerated>;
    } & Lends &
      Calls<Inner, Verify, Undo, NoInfer<OutputOf<R, M, B, G>>, VB> &
      Only<"run">)
  | ({
      /** Default: by the method. */
      readonly effect?: E;
      readonly http: HttpSpec<Inner, M, B>;
      readonly forEach?: ForEachSpec<Outer, Element, Tolerated>;
    } & Calls<Inner, Verify, Undo, NoInfer<OutputOf<R, M, B, G>>, VB> &
      Only<"http">)
  | ({
      /** Starts a run of another workflow, and waits for it; what that answers is the output. */
      readonly child: {
        /** The workflow itself, which types input and output, or its name. */
        readonly workflow: W;
        readonly version?: W extends string ? string : never;
        readonly input?: Fill<Inner, ChildInput<W>>;
        readonly tags?: Fill<Inner, readonly string[]>;
        /** How long to wait for its end (30 days). */
        readonly timeout?: Fill<Inner, Duration>;
      };
      readonly forEach?: ForEachSpec<Outer, Element, Tolerated>;
      readonly compensate?: UndoSpec<Undo>;
    } & Attempts &
      Only<"child"> & {
        readonly [Field in "effect" | "verify" | "repeat" | "keyTtl"]?: never;
      })
  | ({
      readonly transform: (scope: Inner) => R;
      readonly forEach?: ForEachSpec<Outer, Element, Tolerated>;
    } & Only<"transform"> &
      NoCall)
  | ({
      /** A time, or a moment (RFC 3339). */
      readonly sleep: Fill<Outer, Duration | { readonly until: string }>;
    } & Only<"sleep"> &
      NoCall &
      NoForEach)
  | ({
      /**
       * Waits for a named message, whose payload is the output; for an event, whose data are; or for an approval, which is the
       * output.
       */
      readonly wait:
        | {
            readonly signal: G;
            readonly event?: never;
            readonly approval?: never;
            readonly timeout?: Fill<Outer, Duration>;
          }
        | {
            /** Waits for an event of the tenant instead: the first of this name from now on. */
            readonly event: G;
            /** Of which its data hold these: fields, or JSON Pointers that begin with `/`. */
            readonly where?: Fill<Outer, Readonly<Record<string, JsonInput>>>;
            readonly signal?: never;
            readonly approval?: never;
            readonly timeout?: Fill<Outer, Duration>;
          }
        | {
            /** Waits for a person's decision instead. What is asked, in your words: they are shown as such. */
            readonly approval: Fill<Outer, A>;
            readonly signal?: never;
            readonly event?: never;
            readonly timeout?: Fill<Outer, Duration>;
          };
    } & Only<"wait"> &
      NoCall &
      NoForEach)
  | ({
      /** Ends the step with a message of its own. */
      readonly fail: Fill<Outer, string | FailParameters>;
    } & Only<"fail"> &
      NoCall &
      NoForEach)
);

/**
 * Rules that only hold once everything is inferred. They stand beside the spec, not in it: a conditional type in a
 * property would be resolved before the compiler has seen what the step returns. Where a rule is broken, the type that is
 * not met is the sentence that says why.
 */
export type Rules<E, M, R, W = never> = ([E] extends [never]
  ? { readonly run?: "Say what repeating the function means: effect is safe, idempotent, keyed or once." }
  : unknown) &
  ([W] extends [never] ? NothingToUndo<E, M> : unknown) &
  (EffectOf<E, M> extends "once"
    ? { readonly repeat?: "A once step cannot be repeated: make it safe, idempotent or keyed." }
    : unknown) &
  ([NotJson<R>] extends [never]
    ? unknown
    : {
        readonly run?: "What a step returns is kept as JSON: turn dates into text, leave functions out.";
        readonly transform?: "What a step returns is kept as JSON: turn dates into text, leave functions out.";
      });

/** A child is never safe: the rule is not for it. */
type NothingToUndo<E, M> =
  EffectOf<E, M> extends "safe"
    ? {
        readonly verify?: "A safe step can simply be tried again: it needs no verify.";
        readonly compensate?: "A safe step changes nothing: there is nothing to take back.";
      }
    : unknown;

type Typed<Input, Output> = { readonly types?: { readonly input: Input; readonly output: Output } };

/** What a child takes: the input as its steps see it, or any JSON where only its name is known. */
type ChildInput<W> = W extends Typed<infer Input, unknown> ? Input : JsonInput;

/** What one attempt gives: of an action by its kind, of a function what it returns. */
export type OutputOf<R, M, B, G, A = never, W = never> = [M] extends [never]
  ? [G] extends [never]
    ? [A] extends [never]
      ? [W] extends [never]
        ? R extends void | undefined
          ? null
          : R
        : W extends Typed<unknown, infer Output>
          ? Output
          : Json
      : Approved
    : Json
  : HttpAnswer<B>;

/** The output of a step that waited for an approval, and got it. A denial fails the step. */
export interface Approved {
  readonly decision: "approved";
  /** Who decided: `key:<id>`, `identity:<as the backend said>`, or `bearer_link`. */
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly note?: string;
}

/** What the whole step gives: a list for a `forEach` (null for an item that was allowed to fail), or the fallback. */
export type StepOutput<Output, Element, Tolerated, OnFailure> =
  | ([Element] extends [never] ? Output : readonly (Tolerated extends 0 ? Output : Output | null)[])
  | (OnFailure extends { readonly fallback: infer Fallback } ? Fallback : never);

/**
 * The parts of a type that JSON cannot hold; never if it can hold all of it. It looks six levels deep, because types may
 * hold themselves; what is deeper is found when the step runs.
 */
export type NotJson<T, Depth extends readonly 0[] = []> = 0 extends 1 & T
  ? never
  : Depth["length"] extends 6
    ? never
    : T extends Json | undefined | void
      ? never
      : T extends bigint | symbol | ((...args: never) => unknown)
        ? T
        : T extends readonly (infer Item)[]
          ? NotJson<Item, [...Depth, 0]>
          : T extends object
            ? { [Key in keyof T]-?: NotJson<T[Key], [...Depth, 0]> }[keyof T]
            : never;
