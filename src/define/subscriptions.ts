/**
 * Subscriptions: which events start runs of a workflow, and with which input. Data in plans and in workflows in TypeScript alike,
 * so that what an event started can be said again after a deploy. Pure.
 */

import * as z from "zod";
import { examine, findingsOf, lazy, type Finding } from "../actions/index.ts";
import { EVENT_PATTERN, type Json } from "../kernel/index.ts";
import { isLoose, shown } from "./places.ts";
import { createValueExpressions, type TextFault } from "./value-expressions.ts";

/** Of one workflow. */
export const MAX_SUBSCRIPTIONS = 16;
/** Of a subscription as JSON: each is kept with every event that is under way. */
const MAX_TEMPLATE_CHARS = 8_192;
const MAX_FILTER_CHARS = 2_000;

/** PERSISTED CONTRACT: stands in D1, and in the objects of events. Only gains optional fields. */
export interface Subscription {
  /** Name of the event. */
  readonly event: string;
  /** An expression over `event`: false, and there is no run. Missing: there always is. */
  readonly filter?: string;
  /** The input of the run; texts may hold expressions over `event`. Missing: the event's data. */
  readonly input?: Json;
}

/** The workflow, as what an event would start. */
export interface Subscriber {
  readonly workflow: string;
  /** Of a stored plan: the one that subscribes. Of the deployment's own: missing, the newest. */
  readonly version?: string;
  readonly subscription: Subscription;
  /** Of a stored plan: those that whoever stored it last stood under. Missing: none. */
  readonly policies?: readonly Json[];
}

function build() {
  return z
    .array(
      z.strictObject({
        event: z
          .string()
          .regex(EVENT_PATTERN, "An event's name matches [a-z0-9][a-z0-9._-]{0,63}.")
          .meta({ description: "Name of the event." }),
        filter: z
          .string()
          .min(1)
          .max(MAX_FILTER_CHARS)
          .meta({ description: "An expression over `event`; false: this event starts no run." })
          .exactOptional(),
        input: z
          .json()
          .meta({
            description:
              "The input of the run; texts may hold expressions over `event`. Default: the event's `data`.",
          })
          .exactOptional(),
      }),
    )
    .max(MAX_SUBSCRIPTIONS);
}

export const subscriptionsSchema = lazy(build);

/** Filters and inputs of subscriptions. They see the event as `event`, and nothing else. */
export const eventExpressions = lazy(() => createValueExpressions("event"));

/**
 * What is wrong with subscriptions beyond their form.
 * @param at pointer to them
 */
export function checkSubscriptions(given: unknown, at: string): Finding[] {
  if (!Array.isArray(given)) return [];
  const names = given.map((one: unknown) => (isLoose(one) ? one["event"] : undefined));
  return given.slice(0, MAX_SUBSCRIPTIONS).flatMap((one: unknown, index): Finding[] => {
    if (!isLoose(one)) return [];
    const { event, filter, input } = one;
    const here = `${at}/${index}`;
    const findings: Finding[] = [];
    if (typeof event === "string" && names.indexOf(event) < index)
      findings.push({
        pointer: `${here}/event`,
        code: "duplicate_subscription",
        detail: `The workflow subscribes to ${event} already: one run is made of one event. Join the filters with \`||\`.`,
      });
    if (typeof filter === "string") findings.push(...filterFindings(filter, `${here}/filter`));
    if (input !== undefined) findings.push(...inputFindings(input as Json, `${here}/input`));
    return findings;
  });
}

/** Of workflows in TypeScript, which no door has looked at. */
export function subscriptionLints(given: unknown): Finding[] {
  if (given === undefined) return [];
  const fitted = examine(subscriptionsSchema(), given);
  const form = fitted.success ? [] : findingsOf(fitted.error);
  return [
    ...form.map((one) => ({ ...one, pointer: `/on${one.pointer}` })),
    ...checkSubscriptions(given, "/on"),
  ];
}

function filterFindings(filter: string, pointer: string): Finding[] {
  if (filter.trimStart().startsWith("${{"))
    return [
      {
        pointer,
        code: "expression_wrapped",
        detail: "Here the whole text is an expression: leave `${{ }}` away.",
        expression: shown(filter),
        offset: 0,
      },
    ];
  return eventExpressions()
    .check(filter)
    .map((fault) => finding(fault, pointer, filter));
}

function inputFindings(input: Json, pointer: string): Finding[] {
  if (JSON.stringify(input).length > MAX_TEMPLATE_CHARS)
    return [
      {
        pointer,
        code: "invalid",
        detail: `The input of a subscription has at most ${MAX_TEMPLATE_CHARS} characters as JSON: what is large comes with the event.`,
      },
    ];
  return eventExpressions()
    .checkTemplate(input)
    .map((fault) => finding(fault, pointer, null));
}

function finding({ pointer, detail, code, offset }: TextFault, at: string, text: string | null): Finding {
  return {
    pointer: at + pointer,
    code,
    detail,
    offset,
    ...(text === null ? {} : { expression: shown(text) }),
    ...(code === "unknown_name" ? { allowed: ["event"] } : {}),
  };
}
