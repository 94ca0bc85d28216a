/** Checks of request bodies, as small data: a record of field rules, each of which complains or is content. */

/** Says what is wrong with a value, or null. */
export type FieldRule = (value: unknown) => string | null;
export type Fields = Record<string, FieldRule>;

export interface FieldError {
  /** JSON Pointer (RFC 6901) into the body. */
  pointer: string;
  detail: string;
}

const MAX_TEXT_CHARS = 500;

export function text(maxChars = MAX_TEXT_CHARS): FieldRule {
  return (value) =>
    typeof value === "string" && value.length > 0 && value.length <= maxChars
      ? null
      : `must be a text of 1 to ${maxChars} characters`;
}

export function day(): FieldRule {
  return (value) => (isDay(value) ? null : "must be a day as YYYY-MM-DD");
}

export function whole(min: number, max: number): FieldRule {
  return (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
      ? null
      : `must be a whole number from ${min} to ${max}`;
}

export function oneOf(...allowed: readonly string[]): FieldRule {
  return (value) => (allowed.some((one) => one === value) ? null : `must be one of ${allowed.join(", ")}`);
}

export function flag(): FieldRule {
  return (value) => (typeof value === "boolean" ? null : "must be true or false");
}

export function fraction(): FieldRule {
  return (value) =>
    typeof value === "number" && value >= 0 && value <= 1 ? null : "must be a number from 0 to 1";
}

export function optional(rule: FieldRule): FieldRule {
  return (value) => (value === undefined ? null : rule(value));
}

/** All that is wrong with a body. Unknown fields are let through, as most services do. */
export function checkFields(fields: Fields, body: Record<string, unknown>): FieldError[] {
  return Object.entries(fields).flatMap(([name, rule]) => {
    const detail = rule(body[name]);
    return detail === null ? [] : [{ pointer: `/${name}`, detail }];
  });
}

/** The known fields that are there. */
export function pickFields(fields: Fields, body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(fields).flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])),
  );
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDay(value: unknown): boolean {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d$/.test(value)) return false;
  const date = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}
