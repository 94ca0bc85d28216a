/** What the audit keeps, and the port through which rooms write it. */

import type { Json } from "../kernel/index.ts";

export interface AuditEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Null where no tenant is concerned. */
  readonly tenant: string | null;
  /** `root`, `key:<id>`, `user:<id>`, or another identity in the same form. Users and callers (`token:<id>`) are kept as pseudonyms. */
  readonly actor: string;
  /** What was asked for: `tenant.create`, `key.revoke`. */
  readonly action: string;
  /** What it was asked for on: an id, "" where there is none. */
  readonly target: string;
  readonly outcome: "granted" | "refused";
  /** Small and without secrets. An end user is named as a person, and nowhere else: what is kept holds a pseudonym. */
  readonly detail: Readonly<Record<string, string | number | boolean | null | AuditPerson>>;
}

/** An end user, by the tenant's own naming. */
export interface AuditPerson {
  readonly user: string;
}

export function isAuditPerson(value: AuditEntry["detail"][string]): value is AuditPerson {
  return typeof value === "object" && value !== null;
}

/** Writes an entry before what it tells of takes effect: if this rejects, the caller does not go on. */
export interface AuditSink {
  write(entry: AuditEntry): Promise<void>;
}

/** That a credential was lent to one attempt of a step. */
export interface CredentialUse {
  /** The same however often it is told: it names the run, the unit, the attempt, and which of its credentials. */
  readonly id: string;
  /** When the attempt began; of a credential that was found in its middle: when it ended. */
  readonly at: number;
  readonly tenant: string;
  readonly run: string;
  readonly workflow: string;
  /** The end user on whose behalf the run acts. */
  readonly user: string | null;
  /** The step, or its item, undoing or check. */
  readonly unit: string;
  readonly attempt: number;
  /** What can be told of it: opaque here, and never the credential. */
  readonly credential: Json;
  /** Null: the attempt goes on, or was lost with its object. */
  readonly ended: {
    /** Where it was sent; none: it was not. */
    readonly hosts: readonly string[];
    /** Beyond those that are named. */
    readonly moreHosts: number;
    /** The kind of the attempt's end. */
    readonly outcome: string;
  } | null;
}

/** Takes uses of one run, in order. They may come twice; a later one of the same id says how the attempt ended. */
export interface UseSink {
  write(uses: readonly CredentialUse[]): Promise<void>;
}
