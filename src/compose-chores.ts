/** What the cron trigger does, and how it divides the calls of one tick among its chores. */
import type { Logger } from "./platform/index.ts";

/** What each may use of the calls of one tick. */
const PARTS = {
  ...{ vault: 0.25, connections: 0.2, issuers: 0.05, schedules: 0.05 },
  ...{ erasures: 0.1, audit: 0.05 },
} as const;
/** Each tick also asks the database so many times. */
const QUERIES = 5;

export type Shares = Readonly<Record<keyof typeof PARTS | "visits", number>>;

/** @param calls outside calls per event of the platform; `visits`: what is left for looking after runs */
export function sharesOf(calls: number): Shares {
  const share = (part: keyof typeof PARTS): number => Math.floor(calls * PARTS[part]);
  const vault = share("vault");
  const connections = share("connections");
  const issuers = share("issuers");
  const schedules = share("schedules");
  const erasures = share("erasures");
  const audit = share("audit");
  const visits = calls - vault - connections - issuers - schedules - erasures - audit - QUERIES;
  return { vault, connections, issuers, schedules, erasures, audit, visits };
}

/** One after the other, each for itself: what one cannot do just now stops no other. Rejects in the end if one could not. */
export async function doChores(
  chores: Readonly<Record<string, () => Promise<unknown>>>,
  log: Logger,
): Promise<void> {
  const failed: unknown[] = [];
  for (const [chore, run] of Object.entries(chores))
    try {
      await run();
    } catch (error) {
      log.error("chore_failed", { chore, error });
      failed.push(error);
    }
  if (failed.length > 0) throw new AggregateError(failed, "Some chores could not be done.");
}
