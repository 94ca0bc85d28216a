/** What stops a command: a value, so that every way it can fail is in its types. */

export interface Complaint {
  /** What happened, in a sentence. */
  readonly what: string;
  /** What to do next. */
  readonly todo: string;
  /** A file whose last lines tell more. */
  readonly log?: string;
  /** Nothing was answered in time: asking something else would take as long. */
  readonly silent?: true;
  /** Of the API's answer; of the set-up and the deploy, their own: stable. */
  readonly code?: string;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly complaint: Complaint };

export function fine<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function complain(what: string, todo: string, log?: string): { ok: false; complaint: Complaint } {
  return { ok: false, complaint: { what, todo, ...(log === undefined ? {} : { log }) } };
}

export type Refusal = { readonly ok: false; readonly complaint: Complaint };

/** With a stable code, by which programs and docs/deploy.md know it. */
export function refuse(code: string, what: string, todo: string): Refusal {
  return { ok: false, complaint: { what, todo, code } };
}

/** The platform's own words for an error, for the end of a sentence. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
