/**
 * Named zod schemas, and the pieces that many are made of. The door's checks, the OpenAPI document and the tests of the
 * answers all read them. Each is built when it is first needed: what is built at load time is startup CPU.
 */
import * as z from "zod";
import { type Json, NAME_PATTERN } from "../kernel/index.ts";

/** A schema with a name, under which the OpenAPI document refers to it. */
export interface Named<T = unknown> {
  readonly name: string;
  readonly schema: () => z.ZodType<T>;
}

export type BodyOf<N> = N extends Named<infer T> ? T : never;

export function named<T>(name: string, build: () => z.ZodType<T>): Named<T> {
  let built: z.ZodType<T> | undefined;
  return { name, schema: () => (built ??= build()) };
}

/** The text was parsed as JSON before, and zod has no type for JSON that is `{}` as a JSON Schema. */
export const json = (): z.ZodType<Json> => z.unknown() as z.ZodType<Json>;

export const nameSchema = (): z.ZodType<string> =>
  z
    .string()
    .regex(NAME_PATTERN, "A name has 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit.");

export const count = () => z.int().min(0);
export const time = () => z.int().min(0).describe("Milliseconds since 1970, UTC.");
export const nullable = <T extends z.ZodType>(schema: T) => z.union([schema, z.null()]);
export const nextCursor = () => z.union([z.string(), z.null()]).describe("Null: this was the last page.");
