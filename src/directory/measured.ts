/** What a directory has counted, as one point of data: for who evaluates it elsewhere. Plain data. */
import type { Report } from "./report.ts";
import type { Delta } from "./totals.ts";

export type Measured =
  | {
      /** A run has done more than was known of it: it went on, rests, or has ended. */
      readonly kind: "run";
      readonly tenant: string;
      readonly workflow: string;
      readonly status: string;
      readonly failure: string | null;
      /** How long it took, of one that has ended with this report. */
      readonly durationMs: number | null;
      readonly done: Delta["done"];
    }
  | { readonly kind: "event"; readonly tenant: string; readonly event: string; readonly reason: string };

/** Null: there is nothing to note. */
export function measuredOf(report: Report, known: Report | null, { done }: Delta): Measured | null {
  const { tenant, workflow, status, endedAt, startedAt } = report;
  const ends = endedAt !== null && (known?.endedAt ?? null) === null;
  if (!ends && Object.keys(done).every((key) => key === "started")) return null;
  const durationMs = ends ? endedAt - startedAt : null;
  return { kind: "run", tenant, workflow, status, failure: report.failure?.code ?? null, durationMs, done };
}
