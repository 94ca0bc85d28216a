/**
 * The action `wait`: waits for a named message to the run, whose payload is the output; for an event of the tenant, whose data
 * are; or for a person's decision, which is the output if it is yes.
 */

import * as z from "zod";
import { EVENT_PATTERN, limits, NAME_PATTERN, type Json, type StepKind } from "../kernel/index.ts";
import { digestOf } from "./digest.ts";
import { durationSchema, durationTemplateSchema, toMs } from "./durations.ts";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { isThere } from "./issues.ts";
import { lazy } from "./lazy.ts";

/** Fields of an event that a wait compares. */
const MAX_FIELDS = 8;
const MAX_FIELD_CHARS = 128;

function build<T extends z.ZodType>(timeout: T) {
  return z
    .strictObject({
      signal: z
        .string()
        .regex(NAME_PATTERN, "A signal's name matches [a-z0-9][a-z0-9_-]{0,63}.")
        .meta({ description: "Name of the signal to wait for." })
        .exactOptional(),
      event: z
        .string()
        .regex(EVENT_PATTERN, "An event's name matches [a-z0-9][a-z0-9._-]{0,63}.")
        .meta({ description: "Instead of a signal: name of the event (`POST /v1/events`) to wait for." })
        .exactOptional(),
      where: z
        .record(z.string().min(1).max(MAX_FIELD_CHARS), z.json())
        .refine((fields) => Object.keys(fields).length <= MAX_FIELDS, {
          message: `At most ${MAX_FIELDS} fields are compared.`,
        })
        .meta({
          description:
            "What an event's data must hold: a field, or a JSON Pointer that begins with `/`, and its value. Without it any event of the name is taken.",
        })
        .exactOptional(),
      schema: z
        .record(z.string(), z.json())
        .meta({ description: "JSON Schema of the signal's payload: another one is refused when it is sent." })
        .exactOptional(),
      approval: z
        .string()
        .min(1)
        .max(limits.MAX_MESSAGE_CHARS)
        .meta({ description: "Instead of a signal: what a person is asked to approve, in your words." })
        .exactOptional(),
      timeout: timeout.exactOptional(),
    })
    .refine(
      ({ signal, event, approval }) =>
        [signal, event, approval].filter((one) => one !== undefined).length === 1,
      { message: "A wait is for one thing: `signal`, `event` or `approval`.", when: isThere },
    )
    .refine(({ approval, schema }) => approval === undefined || schema === undefined, {
      message: "Only a signal or an event has a payload.",
      path: ["schema"],
      when: isThere,
    })
    .refine(({ event, where }) => event !== undefined || where === undefined, {
      message: "Only an event has data that can be compared.",
      path: ["where"],
      when: isThere,
    });
}

export const waitSchema = lazy(() =>
  build(durationSchema().meta({ description: "How long to wait (7 days)." })),
);
/** The same, with expressions where they may stand. */
export const waitTemplateSchema = lazy(() => build(durationTemplateSchema()));
export type WaitParameters = z.output<ReturnType<typeof waitSchema>>;

export function fillWait(parameters: WaitParameters): Filling {
  const limitMs = parameters.timeout === undefined ? limits.WAIT_LIMIT_MS : toMs(parameters.timeout);
  const { approval, event, where = {} } = parameters;
  if (limitMs >= 1 && limitMs <= limits.MAX_WAIT_MS) {
    if (approval !== undefined) return { kind: "approval", limitMs, text: approval };
    if (event === undefined) return { kind: "signal", limitMs };
    const hears = hearing(event, where);
    if (hears !== null) return { kind: "signal", limitMs, hears };
    return {
      kind: "error",
      failure: failure(
        "template_failed",
        "A value of `wait.where` cannot be compared.",
        "Compare texts, numbers and other small values.",
      ),
    };
  }
  return {
    kind: "error",
    failure: failure(
      "template_failed",
      "The time to wait is no time of at most 365 days.",
      "Give `wait.timeout` a time of 1 ms to 365 days.",
    ),
  };
}

/**
 * Which events a step hears. PERSISTED CONTRACT: it stands in journals, and where events are kept. Of what they must hold only the
 * digest is told, of the values in the order of `fields`.
 */
export interface Hearing {
  readonly event: string;
  readonly fields: readonly string[];
  readonly digest: string;
}

/** Null: the values have no canonical form. */
function hearing(event: string, where: Readonly<Record<string, Json>>): (Hearing & Json) | null {
  const fields = Object.keys(where).toSorted();
  try {
    return { event, fields, digest: digestOf(fields.map((field) => where[field] ?? null)) };
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** Which of the two a wait is, by its parameters as they were written: an event comes as a signal. */
export function kindOfWait(parameters: object | null | undefined): StepKind {
  return parameters !== null && parameters !== undefined && "approval" in parameters ? "approval" : "signal";
}
