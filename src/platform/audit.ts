/** What the audit keeps, and the port through which rooms write it. */

export interface AuditEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Null where no tenant is concerned. */
  readonly tenant: string | null;
  /** `root`, `key:<id>`, or another identity in the same form. */
  readonly actor: string;
  /** What was asked for: `tenant.create`, `key.revoke`. */
  readonly action: string;
  /** What it was asked for on: an id, "" where there is none. */
  readonly target: string;
  readonly outcome: "granted" | "refused";
  /** Small and without secrets. */
  readonly detail: Readonly<Record<string, string | number | boolean | null>>;
}

/** Writes an entry before what it tells of takes effect: if this rejects, the caller does not go on. */
export interface AuditSink {
  write(entry: AuditEntry): Promise<void>;
}
