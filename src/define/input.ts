/** The input of a workflow's runs: checked once, when a run starts. */

import * as z from "zod";
import { findingsOf, toJson, type Finding } from "../actions/index.ts";
import type { Json } from "../kernel/index.ts";
import type { Definition } from "./definition.ts";

export type ParsedInput =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly errors: readonly Finding[] };

function schemaOf(definition: Definition): z.ZodType | null {
  const { input } = definition.options;
  return input === undefined ? null : typeof input === "function" ? input() : input;
}

/**
 * The input as the workflow's schema parsed it, defaults filled in.
 * @param at pointer to the input in the document that the caller read, for the errors
 */
export function parseInput(definition: Definition, json: Json, at = "/input"): ParsedInput {
  const schema = schemaOf(definition);
  if (schema === null) return { ok: true, value: json };
  const parsed = schema.safeParse(json);
  if (!parsed.success) return { ok: false, errors: findingsOf(parsed.error, at) };
  const value = toJson(parsed.data);
  return value.ok
    ? { ok: true, value: value.value }
    : { ok: false, errors: [{ pointer: at, code: "invalid", detail: value.message }] };
}

/** JSON Schema 2020-12 of what callers send; `{}` for a workflow that takes any input. */
export function inputSchema(definition: Definition): Readonly<Record<string, unknown>> {
  const schema = schemaOf(definition);
  if (schema === null) return {};
  return z.toJSONSchema(schema, { target: "draft-2020-12", io: "input", unrepresentable: "any" });
}
