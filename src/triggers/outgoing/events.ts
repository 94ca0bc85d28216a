/**
 * What a tenant's systems are told of a run: which facts are events, and what stands in their messages. Pure.
 *
 * - N1 a message holds ids and states, never what a step gave or was given, and no link: what it is about is read with an API key.
 * - N2 of a confidential run no message of a failure is told, only its code.
 * - N3 the id of a message follows from the run and the fact, so that every copy of it has the same.
 */
import {
  ERASED_MESSAGE,
  type Fact,
  type Failure,
  type Json,
  type RunState,
  statusOf,
  type UnitRef,
  waitsForTime,
} from "../../kernel/index.ts";
import { REDACTED } from "../../platform/index.ts";

/** Types of events that an endpoint can ask for. Stable: receivers switch on them. */
export const EVENT_TYPES = [
  "run.ended",
  "connection.required",
  "approval.required",
  "outcome.unknown",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** The type of what an endpoint is sent to try it. */
export const PING_TYPE = "endpoint.ping";

const MAX_MESSAGE_CHARS = 2_000;

/** PERSISTED CONTRACT: stands in outboxes of runs. */
export interface RunEvent {
  readonly type: EventType;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly data: Readonly<Record<string, Json>>;
}

/** A message as endpoints take it. */
export interface EndpointMessage {
  readonly id: string;
  readonly type: string;
  readonly at: number;
  /** What is signed and sent, the same at every try. */
  readonly body: string;
}

export function isEventType(text: string): text is EventType {
  return EVENT_TYPES.some((type) => type === text);
}

/**
 * The event that a fact is; null: it is none.
 * @param after the run once the fact is so
 */
export function eventOf(fact: Fact, after: RunState, confidential: boolean): RunEvent | null {
  switch (fact.t) {
    case "ended": {
      const failure = fact.status === "succeeded" ? null : failureOf(fact.failure, confidential);
      return event("run.ended", fact.at, after, {
        ...{ started_at: after.startedAt, ended_at: fact.at, failure },
      });
    }
    case "parked": {
      const { need, since, limitAt } = fact;
      // Looking again and finding the same is no event, and neither is what passes by itself.
      if (need.kind !== "connection" || since !== fact.at || waitsForTime(need.reason)) return null;
      const { integration, account = null, reason, scopes = [] } = need;
      return event("connection.required", fact.at, after, {
        ...unitOf(fact),
        connection: { integration, account, reason, scopes },
        limit_at: limitAt,
      });
    }
    case "asked":
      return event("approval.required", fact.at, after, {
        ...unitOf(fact),
        approval: fact.id,
        about: fact.digest === undefined ? "wait" : "call",
        limit_at: fact.limitAt,
      });
    case "unknown":
      return event("outcome.unknown", fact.at, after, {
        ...unitOf(fact),
        failure: failureOf(fact.failure, confidential),
        // The step looks by itself then: only after that a person is needed.
        verify_at: fact.verifyAt ?? null,
        limit_at: fact.limitAt,
      });
    default:
      return null;
  }
}

/** N3. `version` is the number of the fact in its run. */
export function messageOf(run: string, version: number, { type, at, data }: RunEvent): EndpointMessage {
  return {
    // No full stop: the specification forbids it.
    id: `msg_${run}_${version}_${type.replace(".", "-")}`,
    ...{ type, at, body: bodyOf(type, at, data) },
  };
}

/** The body that the specification asks for. */
export function bodyOf(type: string, at: number, data: Readonly<Record<string, Json>>): string {
  return JSON.stringify({ type, timestamp: new Date(at).toISOString(), data });
}

/** Of a message whose run is erased: ids, states and times. Names of steps may have come as data. */
const KEPT = [
  ...["run", "generation", "parent", "workflow", "workflow_version", "status"],
  ...["started_at", "ended_at", "limit_at", "verify_at", "item", "role", "about"],
];

/** The body of a message once the data of its run are erased. */
export function erasedBody(body: string): string {
  const { data, ...message } = JSON.parse(body) as { readonly data: Readonly<Record<string, Json>> };
  const kept = KEPT.flatMap((name) => (data[name] === undefined ? [] : [[name, data[name]] as const]));
  const failure =
    data["failure"] === undefined
      ? {}
      : {
          failure:
            data["failure"] === null ? null : { code: codeOf(data["failure"]), message: ERASED_MESSAGE },
        };
  return JSON.stringify({
    ...message,
    data: { ...Object.fromEntries(kept), ...failure, user: null, tags: [], erased: true },
  });
}

function codeOf(failure: Json): Json {
  return typeof failure === "object" && failure !== null && "code" in failure ? (failure.code ?? null) : null;
}

function event(type: EventType, at: number, after: RunState, more: RunEvent["data"]): RunEvent {
  const { id, workflow, version, user, tags, parent } = after.run;
  return {
    ...{ type, at },
    data: {
      run: id,
      generation: after.generation,
      // Children are told of as any run is: this tells them apart.
      parent: parent?.run ?? null,
      workflow,
      workflow_version: version,
      status: statusOf(after),
      user,
      tags,
      ...more,
    },
  };
}

function unitOf({ step, item, role }: UnitRef): Record<string, Json> {
  return { step, item: item ?? null, role: role ?? null };
}

/** N2. */
function failureOf({ code, message, step, retryable }: Failure, confidential: boolean): Json {
  return {
    code,
    message: confidential ? REDACTED : message.slice(0, MAX_MESSAGE_CHARS),
    step: step ?? null,
    retryable,
  };
}
