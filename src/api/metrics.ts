/**
 * Numbers of tenants' runs, for the operator's monitoring.
 *
 * Owns: which tenants one answer speaks of, what their directories' numbers are called, keeping an answer for some seconds.
 * Does not own: the numbers (src/directory/totals.ts), how they are written (src/observe/prometheus.ts).
 *
 * - G1 one answer asks a bounded number of objects: who has more tenants divides them into parts, and scrapes each.
 * - G2 which part a tenant is in follows from its id alone, so that no series moves when another tenant comes.
 * - G3 a directory that does not answer is said to be away, and takes no other tenant's numbers with it.
 */
import type { Directory, ShardMetrics } from "../directory/index.ts";
import { STEP_BOUNDS_MS } from "../kernel/index.ts";
import type { Family, HistogramSample, Sample } from "../observe/index.ts";
import { crc32, type Logger } from "../platform/index.ts";

/** Tenants of one answer, and calls to objects for it. */
const MAX_TENANTS = 100;
const MAX_CALLS = 500;
const ASKED_AT_ONCE = 20;
/** Ids of tenants that are read to find those of a part. */
const MAX_IDS = 20_000;
/** Two who scrape cost as much as one. */
const KEPT_MS = 5_000;
const MAX_KEPT = 100;

/** Statuses of runs that go on, and ends of runs. */
const STATUSES = ["queued", "running", "waiting", "compensating"] as const;
const ENDS = ["succeeded", "failed", "cancelled"] as const;
const PARKED = ["approval", "connection"] as const;

export type Asked = { readonly tenant: string } | { readonly part: number; readonly parts: number };

export interface MetricsPorts {
  readonly directory: Directory;
  /** Ids of tenants in a stable order. */
  readonly tenants: (offset: number, limit: number) => Promise<readonly string[]>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Metrics {
  /** Rejects where the list of tenants cannot be had. */
  families(asked: Asked): Promise<readonly Family[]>;
}

/** One per isolate. */
export function createMetrics(ports: MetricsPorts): Metrics {
  const kept = new Map<string, { readonly at: number; readonly families: readonly Family[] }>();
  return {
    async families(asked) {
      const key = JSON.stringify(asked);
      const known = kept.get(key);
      if (known !== undefined && ports.now() - known.at < KEPT_MS) return known.families;
      const families = await gather(ports, asked);
      if (kept.size >= MAX_KEPT) kept.clear();
      kept.set(key, { at: ports.now(), families });
      return families;
    },
  };
}

interface OfTenant {
  readonly tenant: string;
  /** Null: its directory does not answer. */
  readonly shards: readonly ShardMetrics[] | null;
}

async function gather(ports: MetricsPorts, asked: Asked): Promise<readonly Family[]> {
  const { ids, left } = await whom(ports, asked);
  const told: OfTenant[] = [];
  for (let i = 0; i < ids.length; i += ASKED_AT_ONCE)
    told.push(...(await Promise.all(ids.slice(i, i + ASKED_AT_ONCE).map((id) => ask(ports, id)))));
  return familiesOf(told, left, ports.now());
}

/** G1, G2. `left`: tenants of the part for which there was no room. */
async function whom(
  { tenants, directory }: MetricsPorts,
  asked: Asked,
): Promise<{ readonly ids: readonly string[]; readonly left: number }> {
  if ("tenant" in asked) return { ids: [asked.tenant], left: 0 };
  const most = Math.max(1, Math.min(MAX_TENANTS, Math.floor(MAX_CALLS / directory.shards)));
  const all = await tenants(0, MAX_IDS);
  const ids = all.filter((id) => crc32(id) % asked.parts === asked.part);
  return { ids: ids.slice(0, most), left: Math.max(0, ids.length - most) };
}

/** G3. */
async function ask({ directory, log }: MetricsPorts, tenant: string): Promise<OfTenant> {
  try {
    return { tenant, shards: await directory.metrics(tenant) };
  } catch (error) {
    log.warn("metrics.directory_away", { tenant, error });
    return { tenant, shards: null };
  }
}

interface OfWorkflow {
  readonly labels: { readonly tenant: string; readonly workflow: string };
  readonly done: Readonly<Record<string, number>>;
  readonly now: Readonly<Record<string, number>>;
}

function familiesOf(told: readonly OfTenant[], left: number, now: number): Family[] {
  const known = told.flatMap(({ tenant, shards }) => (shards === null ? [] : [{ tenant, shards }]));
  const flows = known.flatMap(({ tenant, shards }) => workflowsOf(tenant, shards));
  const each = (value: (of: OfWorkflow) => number): Sample[] =>
    flows.map((of) => ({ labels: of.labels, value: value(of) }));
  const eachOf = (
    label: string,
    names: readonly string[],
    value: (of: OfWorkflow, name: string) => number,
  ): Sample[] =>
    flows.flatMap((of) =>
      names.map((name) => ({ labels: { ...of.labels, [label]: name }, value: value(of, name) })),
    );
  const perTenant = (value: (shards: readonly ShardMetrics[]) => number): Sample[] =>
    known.map(({ tenant, shards }) => ({ labels: { tenant }, value: value(shards) }));
  const events = (event: string): Sample[] => known.flatMap((of) => eventsOf(of.tenant, of.shards, event));
  return [
    {
      ...{ name: "showcaller_runs", type: "gauge" },
      help: "Runs that go on, by how they stand.",
      samples: eachOf("status", STATUSES, ({ now: stand }, name) => stand[name] ?? 0),
    },
    {
      ...{ name: "showcaller_runs_paused", type: "gauge" },
      help: "Of these, those that somebody has paused.",
      samples: each(({ now: stand }) => stand["paused"] ?? 0),
    },
    {
      ...{ name: "showcaller_runs_parked", type: "gauge" },
      help: "Of these, those in which a step waits for a person's decision, or for a credential.",
      samples: eachOf("awaits", PARKED, ({ now: stand }, name) => stand[`parked:${name}`] ?? 0),
    },
    {
      ...{ name: "showcaller_runs_started", type: "counter" },
      help: "Runs that were started.",
      samples: each(({ done }) => done["started"] ?? 0),
    },
    {
      ...{ name: "showcaller_run_ends", type: "counter" },
      help: "Ends of runs, by how they ended. A run that is redriven can end again.",
      samples: eachOf("status", ENDS, ({ done }, name) => done[name] ?? 0),
    },
    {
      ...{ name: "showcaller_attempts", type: "counter" },
      help: "Attempts of steps, of undoing and of checking.",
      samples: each(({ done }) => done["attempts"] ?? 0),
    },
    {
      ...{ name: "showcaller_retries", type: "counter" },
      help: "Attempts that failed and are made again.",
      samples: each(({ done }) => done["retries"] ?? 0),
    },
    {
      ...{ name: "showcaller_unknown_outcomes", type: "counter" },
      help: "Attempts of which nobody knew whether they had happened.",
      samples: each(({ done }) => done["unknowns"] ?? 0),
    },
    {
      ...{ name: "showcaller_step_duration_seconds", type: "histogram", unit: "seconds" },
      help: "How long steps and items took from when they were due until they succeeded or failed, waits included.",
      bounds: STEP_BOUNDS_MS.map((ms) => ms / 1_000),
      samples: flows.map(({ labels, done }): HistogramSample => ({
        labels,
        counts: [...STEP_BOUNDS_MS, Infinity].map((_, i) => done[`le${i}`] ?? 0),
        sum: (done["step_ms"] ?? 0) / 1_000,
      })),
    },
    {
      ...{ name: "showcaller_refresh_failures", type: "counter" },
      help: "Tokens of connections that could not be renewed, by what that meant.",
      samples: events("refresh_failed"),
    },
    {
      ...{ name: "showcaller_exchange_failures", type: "counter" },
      help: "Credentials of cloud roles that were not given, by what that meant.",
      samples: events("exchange_failed"),
    },
    {
      ...{ name: "showcaller_leases_overdue", type: "gauge" },
      help: "Runs that should have reported by now, at most 10000 of each directory object.",
      samples: perTenant((shards) => sum(shards, ({ overdue }) => overdue)),
    },
    {
      ...{ name: "showcaller_outbox_stuck_runs", type: "gauge" },
      help: "Runs with a message that nobody takes, for 5 minutes or longer.",
      samples: perTenant((shards) => sum(shards, ({ untold }) => untold.runs)),
    },
    {
      ...{ name: "showcaller_outbox_age_seconds", type: "gauge", unit: "seconds" },
      help: "How long the oldest of these messages has waited; 0 where there is none.",
      samples: perTenant((shards) => Math.max(...shards.map(({ untold }) => ageOf(untold.since, now)))),
    },
    {
      ...{ name: "showcaller_directory_up", type: "gauge" },
      help: "Whether the directory of the tenant answered. Where it did not, its numbers are missing here.",
      samples: told.map(({ tenant, shards }) => ({ labels: { tenant }, value: shards === null ? 0 : 1 })),
    },
    {
      ...{ name: "showcaller_tenants_left_out", type: "gauge" },
      help: "Tenants of this part for which there was no room in this answer: divide them into more parts.",
      samples: [{ labels: {}, value: left }],
    },
  ];
}

function workflowsOf(tenant: string, shards: readonly ShardMetrics[]): OfWorkflow[] {
  const sums = new Map<string, { done: Record<string, number>; now: Record<string, number> }>();
  for (const { workflow, done, now } of shards.flatMap((shard) => shard.workflows)) {
    const of = sums.get(workflow) ?? { done: {}, now: {} };
    for (const [key, n] of Object.entries(done)) of.done[key] = (of.done[key] ?? 0) + n;
    for (const [key, n] of Object.entries(now)) of.now[key] = (of.now[key] ?? 0) + n;
    sums.set(workflow, of);
  }
  return [...sums].map(([workflow, of]) => ({ labels: { tenant, workflow }, ...of }));
}

function eventsOf(tenant: string, shards: readonly ShardMetrics[], event: string): Sample[] {
  const prefix = `${event}:`;
  return shards.flatMap(({ events }) =>
    Object.entries(events)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => ({ labels: { tenant, reason: key.slice(prefix.length) }, value })),
  );
}

function sum(shards: readonly ShardMetrics[], of: (shard: ShardMetrics) => number): number {
  return shards.reduce((all, shard) => all + of(shard), 0);
}

function ageOf(since: number | null, now: number): number {
  return since === null ? 0 : Math.max(0, now - since) / 1_000;
}
