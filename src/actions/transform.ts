/** The action `transform`: computes a value in the turn itself. Nothing is called, so nothing is retried. */

import * as z from "zod";
import type { Filling } from "./filling.ts";
import { lazy } from "./lazy.ts";

export const transformSchema = lazy(() =>
  z.strictObject({ value: z.json().meta({ description: "Becomes the step's output." }) }),
);
export type TransformParameters = z.output<ReturnType<typeof transformSchema>>;

export function fillTransform(parameters: TransformParameters): Filling {
  return { kind: "done", output: parameters.value };
}
