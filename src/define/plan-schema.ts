/** A plan: a workflow as JSON. Published as JSON Schema, so descriptions speak to those who write plans. */

import * as z from "zod";
import { durationSchema, lazy } from "../actions/index.ts";
import { NAME_PATTERN, SENSITIVE } from "../kernel/index.ts";
import { flowSchema } from "./flow-schema.ts";
import { stepSchema } from "./step-input.ts";
import { subscriptionsSchema } from "./subscriptions.ts";

/** A plan as JSON: as much as an agent writes, and little enough to be compiled with every start. */
export const MAX_PLAN_CHARS = 262_144;
export const MAX_PLAN_STEPS = 500;
const MAX_DESCRIPTION_CHARS = 1_000;

const name = () => z.string().regex(NAME_PATTERN, "A name matches [a-z0-9][a-z0-9_-]{0,63}.");

function build() {
  return z.strictObject({
    name: name()
      .meta({
        description: "Name of the workflow. An inline plan needs none; a stored one has that of its address.",
      })
      .exactOptional(),
    description: z
      .string()
      .min(1)
      .max(MAX_DESCRIPTION_CHARS)
      .meta({ description: "What it does, in a sentence." })
      .exactOptional(),
    input: z
      .record(z.string(), z.json())
      .meta({
        description: "JSON Schema (2020-12, a subset) of the run's input. Without it any input is taken.",
      })
      .exactOptional(),
    steps: z.record(name(), stepSchema()).meta({ description: "Steps by name." }),
    onFailure: z
      .record(name(), stepSchema())
      .meta({
        description:
          "Steps for a run that is lost, after everything that can be taken back was. They see `failure` and every step.",
      })
      .exactOptional(),
    output: z
      .json()
      .meta({
        description:
          "What the run answers; texts may hold expressions. Default: the outputs of the last steps.",
      })
      .exactOptional(),
    deadline: durationSchema()
      .meta({ description: "The forward part of a run ends here (30 d)." })
      .exactOptional(),
    undoBudget: durationSchema()
      .meta({ description: "Time for taking back what was done (24 h)." })
      .exactOptional(),
    idleLimit: durationSchema()
      .meta({ description: "An open run to which nobody appends closes itself after this (24 h)." })
      .exactOptional(),
    sensitive: z
      .array(z.enum(SENSITIVE))
      .max(SENSITIVE.length)
      .meta({
        description:
          "What of a run nobody who looks at it sees but with `outputs:reveal`: its input, its output. All that the run stores is sealed.",
      })
      .exactOptional(),
    flow: flowSchema()
      .meta({
        description:
          "How many runs work at a time, how often one begins, which of many is enough, who goes first. Of stored plans.",
      })
      .exactOptional(),
    on: subscriptionsSchema()
      .meta({ description: "Events (`POST /v1/events`) that start a run, once the plan is stored." })
      .exactOptional(),
    open: z.boolean().meta({ description: "Runs stay open for steps that are appended." }).exactOptional(),
  });
}

export const planSchema = lazy(build);
export type Plan = z.output<ReturnType<typeof build>>;

/** The parts of a plan but its steps, which are checked one by one. */
export const frameSchema = lazy(() =>
  build().extend({ steps: z.unknown(), onFailure: z.unknown().exactOptional() }),
);

/** JSON Schema of plans, for programs and for agents. */
export const planJsonSchema = lazy((): Readonly<Record<string, unknown>> => {
  const schema = z.toJSONSchema(planSchema(), { target: "draft-2020-12", io: "input", reused: "ref" });
  return { ...schema, title: "Showcaller plan" };
});
