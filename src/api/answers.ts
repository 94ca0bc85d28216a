/** Answers that several routes describe alike. */
import type { AnswerSpec } from "./route.ts";
import { Run, RunOrReceipt } from "./answer-runs.ts";

export const RUN_ANSWER: AnswerSpec = {
  status: 200,
  description: "The run.",
  schema: Run,
  headers: ["ETag"],
};

/** Of what changes a run. */
export const CHANGED_RUN: AnswerSpec = { ...RUN_ANSWER, schema: RunOrReceipt };

export const LONG_RUNNING: readonly AnswerSpec[] = [
  {
    status: 200,
    description: "With `Prefer: wait`: the run, which is over.",
    schema: Run,
    headers: ["ETag", "Location", "Preference-Applied"],
  },
  {
    status: 202,
    description: "The run, which goes on. Ask again at `Location`.",
    schema: RunOrReceipt,
    headers: ["ETag", "Location", "Retry-After", "Preference-Applied"],
  },
];
