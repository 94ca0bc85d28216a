/** Wires what is counted: to who scrapes it, and to a data set of Analytics Engine where one is bound. */
import { selectTenantsAt } from "./access/index.ts";
import { places } from "./compose-objects.ts";
import { createMetrics, type Metrics } from "./api/index.ts";
import type { Directory, Measured, SweepPorts } from "./directory/index.ts";
import type { Logger } from "./platform/index.ts";

/** One per isolate. */
export function composeMetrics(env: Env, directory: Directory, log: Logger): Metrics {
  return createMetrics({
    ...{ directory, log, now: () => Date.now() },
    tenants: async (offset, limit) => {
      const tenants = await selectTenantsAt(env.DB, offset, limit);
      for (const { id, place } of tenants) places.know(id, place);
      return tenants.map(({ id }) => id);
    },
  });
}

/** Nothing where no data set is bound. What a place means is written in docs/operations.md, and never changes. */
export function measureOf({ METRICS: dataset }: Env, log: Logger): Pick<SweepPorts, "measure"> {
  if (dataset === undefined) return {};
  const measure = (measured: Measured): void => {
    try {
      dataset.writeDataPoint(pointOf(measured));
    } catch (error) {
      log.warn("metrics.point_not_written", { tenant: measured.tenant, error });
    }
  };
  return { measure };
}

function pointOf(measured: Measured): AnalyticsEngineDataPoint {
  const { tenant } = measured;
  if (measured.kind === "event")
    return { indexes: [tenant], blobs: ["event", measured.event, measured.reason], doubles: [1] };
  const { workflow, status, failure, durationMs, done } = measured;
  const of = (key: string): number => done[key] ?? 0;
  return {
    indexes: [tenant],
    blobs: ["run", workflow, status, failure ?? ""],
    doubles: [
      durationMs === null ? 0 : 1,
      durationMs ?? 0,
      ...["attempts", "retries", "unknowns", "steps", "step_ms"].map(of),
    ],
  };
}

/** Counts what belongs to no run. Best effort: what is not taken is lost, and is in the log. */
export function counterOf(
  directory: Directory,
  log: Logger,
  defer: (work: Promise<void>) => void,
): (tenant: string, event: string, reason: string) => void {
  return (tenant, event, reason) => {
    const told = directory.count(tenant, event, reason).catch((error: unknown) => {
      log.warn("metrics.event_not_counted", { tenant, counted: event, reason, error });
    });
    defer(told);
  };
}
