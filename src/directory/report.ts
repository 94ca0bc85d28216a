/** What a directory knows of runs: reports, and what lists show of them. Plain data, which only gains optional fields. */

/** How a run stands, by its own word. Written by the run room; the composition root brings them together. */
export interface Report {
  readonly tenant: string;
  readonly id: string;
  /** Of two reports the one with the higher version is the newer; of the same, the one with the later lease. */
  readonly version: number;
  readonly workflow: string;
  readonly workflowVersion: string;
  readonly user: string | null;
  readonly startedBy: string;
  readonly tags: readonly string[];
  readonly parent: string | null;
  readonly status: string;
  readonly paused: boolean;
  readonly generation: number;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** When the next report comes at the latest; null: the run has ended. */
  readonly leaseAt: number | null;
  /** Of a run that has ended: when it deletes itself, as far as it knows. Missing: that was not told. */
  readonly keptUntil?: number;
  /** What the run has done so far, in numbers that never fall. Missing: it cannot say. */
  readonly tally?: Readonly<Record<string, number>>;
  /** What some step of it waits for: `approval`, `connection`. */
  readonly parked?: readonly string[];
  /** Since when a message of its outbox waits that nobody takes. */
  readonly untoldSince?: number;
  /** When it said so. */
  readonly saidAt?: number;
}

/** One run in a list. */
export interface Listed {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly user: string | null;
  readonly started_by: string;
  readonly status: string;
  readonly paused: boolean;
  readonly tags: readonly string[];
  readonly parent: string | null;
  readonly generation: number;
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** Number of the last event that the directory knows of. */
  readonly seq: number;
}

export function listed(report: Report): Listed {
  const { id, workflow, user, status, paused, tags, parent, generation, failure } = report;
  return {
    ...{ id, workflow, user, status, paused, tags, parent, generation, failure },
    version: report.workflowVersion,
    started_by: report.startedBy,
    started_at: report.startedAt,
    ended_at: report.endedAt,
    seq: report.version,
  };
}

/** Where a run stands in every list: newest start first, then by id, backwards. */
export interface Place {
  readonly startedAt: number;
  readonly id: string;
}

/** Negative where `a` comes first. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.startedAt !== b.startedAt) return b.startedAt - a.startedAt;
  return a.id === b.id ? 0 : a.id > b.id ? -1 : 1;
}

/** Whether a report tells more than what is known. */
export function isNewer(
  report: Pick<Report, "version" | "leaseAt">,
  known: Pick<Report, "version" | "leaseAt">,
): boolean {
  if (report.version !== known.version) return report.version > known.version;
  return (report.leaseAt ?? Infinity) > (known.leaseAt ?? Infinity);
}

/** Whether a report that is not newer says later whether messages of the run wait. Their time is none of the run's own. */
export function isLater(report: Report, known: Report): boolean {
  return (
    report.version === known.version &&
    report.leaseAt === known.leaseAt &&
    (report.saidAt ?? 0) > (known.saidAt ?? 0) &&
    report.untoldSince !== known.untoldSince
  );
}
