/** Steps as JSON: what an open run takes through the API, and what a function returns with `grow`. */

import * as z from "zod";
import {
  durationSchema,
  failSchema,
  httpTemplateSchema,
  lazy,
  runTemplateSchema,
  sleepTemplateSchema,
  transformSchema,
  waitTemplateSchema,
} from "../actions/index.ts";
import { EFFECTS, FAILURE_CODES, JITTERS, JOINS, limits, NAME_PATTERN } from "../kernel/index.ts";

/** Of failures, in one policy: there are about 40, and `http_` with a status. */
const MAX_CODES = 100;
const NAME_RULE = "A name matches [a-z0-9][a-z0-9_-]{0,63}.";

const name = () => z.string().regex(NAME_PATTERN, NAME_RULE);

const failureCode = () =>
  z.union([z.enum(FAILURE_CODES), z.templateLiteral(["http_", z.int()])], {
    error: "Write the code of a failure, or `http_` and a status, like http_500.",
  });

const retry = () =>
  z
    .strictObject({
      attempts: z.int().min(1).max(limits.MAX_ATTEMPTS).meta({ description: "In all (5)." }).exactOptional(),
      initial: durationSchema().exactOptional(),
      factor: z.number().min(1).max(100).exactOptional(),
      cap: durationSchema().exactOptional(),
      jitter: z.enum(JITTERS).exactOptional(),
      maxElapsed: durationSchema().exactOptional(),
      only: z.array(failureCode()).max(MAX_CODES).exactOptional(),
      never: z.array(failureCode()).max(MAX_CODES).exactOptional(),
    })
    .meta({ description: "When and how often the step is tried again." });

const expression = (description: string) =>
  z
    .string()
    .min(1)
    .meta({ description: `${description} An expression, without \`\${{ }}\`.` });

const common = () => ({
  when: expression("Read once the join is met; false skips the step.").exactOptional(),
  needs: z
    .array(name())
    .max(limits.MAX_NEEDS)
    .meta({ description: "Names of the steps that must be settled first." })
    .exactOptional(),
  join: z.enum(JOINS).meta({ description: "`all` (default), `any` or `settled`." }).exactOptional(),
  onFailure: z
    .union([z.enum(["fail", "continue"]), z.strictObject({ fallback: z.json() })])
    .meta({ description: "`fail`, `continue` (default in an open run), or a fallback output." })
    .exactOptional(),
  sensitive: z
    .boolean()
    .meta({ description: "The output is redacted in the API; steps and keys with `outputs:reveal` see it." })
    .exactOptional(),
});

const forEach = () =>
  z
    .union([
      expression("The list."),
      z.strictObject({
        list: expression("The list."),
        concurrency: z
          .int()
          .min(1)
          .max(limits.MAX_ITEMS)
          .meta({ description: "Items in work side by side (6)." })
          .exactOptional(),
        tolerate: z
          .int()
          .min(0)
          .max(limits.MAX_ITEMS)
          .meta({ description: "Items that may fail (0)." })
          .exactOptional(),
      }),
    ])
    .meta({ description: "Does the step once for each element, which it sees as `item` and `index`." });

const repeat = () =>
  z
    .strictObject({
      until: expression("The repeat ends when this is true of a round's `output`."),
      every: durationSchema().meta({ description: "Wait between rounds." }),
      max: z
        .int()
        .min(1)
        .max(limits.MAX_ITERATIONS)
        .meta({ description: "Rounds at most (100)." })
        .exactOptional(),
      within: durationSchema().meta({ description: "Time at most (24 h)." }).exactOptional(),
    })
    .meta({ description: "Polls: does the step again until a condition holds." });

/** Steps that call nobody have nothing to repeat. */
const quiet = (action: string) => ({
  ...common(),
  effect: z
    .enum(EFFECTS)
    .refine((effect) => effect === "safe", {
      message: `The action ${action} calls nobody: it is safe, and cannot carry an idempotency key.`,
      params: { code: "keyed_not_carried", allowed: ["safe"] },
    })
    .exactOptional(),
});

const attempts = () => ({
  retry: retry().exactOptional(),
  timeout: durationSchema().exactOptional(),
});

const effect = () =>
  z.enum(EFFECTS).meta({
    description: "What repeating means. Default: by the method (RFC 9110); POST and PATCH are `once`.",
  });

const verify = () =>
  z
    .strictObject({
      action: z.literal("http"),
      with: httpTemplateSchema(),
      effect: z
        .literal("safe")
        .meta({ description: "For a POST that only asks; GET, HEAD and OPTIONS need not say it." })
        .exactOptional(),
      after: durationSchema().exactOptional(),
      happened: expression(
        "Of the answer, as `output`: true, false, null (cannot tell), or `{'happened': true, 'output': …}`.",
      ).exactOptional(),
      ...attempts(),
    })
    .meta({
      description:
        "Asks whether a step whose outcome is unknown happened. Without `happened`: 2xx it did, 404 or 410 it did not.",
    });

const compensate = () =>
  z
    .strictObject({
      action: z.literal("http"),
      with: httpTemplateSchema(),
      effect: effect().exactOptional(),
      keyTtl: durationSchema().exactOptional(),
      ...attempts(),
    })
    .meta({ description: "Takes back what the step did, when the run is lost." });

function build() {
  return z.discriminatedUnion("action", [
    z.strictObject({
      action: z.literal("http"),
      with: httpTemplateSchema(),
      ...common(),
      ...attempts(),
      effect: effect().exactOptional(),
      keyTtl: durationSchema().exactOptional(),
      unknownLimit: durationSchema().exactOptional(),
      forEach: forEach().exactOptional(),
      repeat: repeat().exactOptional(),
      verify: verify().exactOptional(),
      compensate: compensate().exactOptional(),
    }),
    z.strictObject({
      action: z.literal("run"),
      with: runTemplateSchema(),
      ...common(),
      ...attempts(),
      effect: z
        .enum(EFFECTS)
        .refine((given) => given === "keyed", {
          message: "A step that starts a run is keyed: whoever asks again finds the same child.",
          params: { code: "child_is_keyed", allowed: ["keyed"] },
        })
        .exactOptional(),
      forEach: forEach().exactOptional(),
      compensate: compensate().exactOptional(),
    }),
    z.strictObject({ action: z.literal("sleep"), with: sleepTemplateSchema(), ...quiet("sleep") }),
    z.strictObject({ action: z.literal("wait"), with: waitTemplateSchema(), ...quiet("wait") }),
    z.strictObject({
      action: z.literal("transform"),
      with: transformSchema(),
      ...quiet("transform"),
      forEach: forEach().exactOptional(),
    }),
    z.strictObject({ action: z.literal("fail"), with: failSchema(), ...quiet("fail") }),
  ]);
}

/** One step of a JSON plan. */
export const stepSchema = lazy(build);
export type StepInput = z.input<ReturnType<typeof build>>;

/** Fields of a step with this action. */
export function stepFields(action: unknown): readonly string[] {
  return Object.keys(stepSchema().options.find(({ shape }) => shape.action.value === action)?.shape ?? {});
}

/** Steps by name. */
export const stepsSchema = lazy(() => z.record(name(), stepSchema()).meta({ description: "Steps by name." }));
export type StepsInput = Readonly<Record<string, StepInput>>;
