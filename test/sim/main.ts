/**
 * The seeded simulator: `npm run simulate -- --seeds N [--from SEED] [--seed SEED] [--json] [--bail] [--threads N]`.
 *
 * Runs the seeds of `corpus.json` (each found something once), then N from `--from`, each a run of the production driver in a
 * simulated world. `--seed` runs one and shows all that happens; `--bail` stops at the first finding. Last line: JSON. Exit code 1 if a run was lost, hung or
 * did something twice, if an invariant broke, or if something was never exercised (judged from COVERAGE_SEEDS seeds on).
 */

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { RunDriver } from "../../src/driver/index.ts";
import { Coverage, FAULTS, missing, SITES, TRANSITIONS } from "./coverage.ts";
import { simulate } from "./simulate.ts";
import { VERDICTS } from "./verdict.ts";
import type { Batch, Finding } from "./worker.ts";

/** Fewer seeds than this come by rare places by chance only: what they miss is shown, and not judged. */
const COVERAGE_SEEDS = 5_000;
/** Seeds that a thread is given at a time. */
const BATCH_SEEDS = 25;
/** Findings that are shown. */
const MAX_SHOWN = 20;

/** A seed that is always run first, and the bugs that it has found: of the past, and kept as mutants. */
interface CorpusSeed {
  readonly seed: number;
  readonly found: readonly string[];
}

const { values: options } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    json: { type: "boolean", default: false },
    bail: { type: "boolean", default: false },
    threads: { type: "string", default: `${availableParallelism()}` },
  },
});

process.exitCode =
  options.seed === undefined ? await runAll() : await runOne(numberOf(options.seed, "--seed"));

async function runOne(seed: number): Promise<number> {
  const result = await simulate(seed, RunDriver, (line) => {
    if (!options.json) console.log(line);
  });
  const { counts: _counts, ...shown } = result;
  console.log(JSON.stringify(shown));
  return result.finding === null ? 0 : 1;
}

async function runAll(): Promise<number> {
  const started = performance.now();
  const corpus = (
    JSON.parse(readFileSync(join(import.meta.dirname, "corpus.json"), "utf8")) as CorpusSeed[]
  ).map(({ seed }) => seed);
  const from = numberOf(options.from, "--from");
  const fresh = Array.from({ length: numberOf(options.seeds, "--seeds") }, (_, i) => from + i);
  const seeds = [...corpus, ...fresh.filter((seed) => !corpus.includes(seed))];
  const coverage = new Coverage();
  const findings: Finding[] = [];
  let steps = 0;
  let crashes = 0;
  let runs = 0;
  for await (const batch of inThreads(seeds)) {
    coverage.add(batch.counts);
    findings.push(...batch.findings);
    steps += batch.steps;
    crashes += batch.crashes;
    runs += batch.runs;
    if (options.bail && findings.length > 0) break;
  }
  const lists = { transitions: TRANSITIONS, faults: FAULTS, sites: SITES } as const;
  const left = (Object.keys(lists) as (keyof typeof lists)[]).flatMap((part) =>
    missing(lists[part], coverage.counts[part]).map((name) => `${part}: ${name}`),
  );
  if (!options.json) show(findings, left, runs);
  const covered = (part: keyof typeof lists): Record<string, number> => ({
    [`${part}Covered`]: lists[part].length - missing(lists[part], coverage.counts[part]).length,
    [`${part}Total`]: lists[part].length,
  });
  console.log(
    JSON.stringify({
      seeds: seeds.length,
      runs,
      stepsPerRun: mean(steps, runs),
      crashesPerRun: mean(crashes, runs),
      ...Object.fromEntries(
        VERDICTS.map((verdict) => [verdict, findings.filter((found) => found.verdict === verdict).length]),
      ),
      ...covered("transitions"),
      ...covered("faults"),
      ...covered("sites"),
      seconds: Math.round((performance.now() - started) / 1_000),
      failingSeeds: findings.slice(0, MAX_SHOWN).map(({ seed }) => seed),
    }),
  );
  return findings.length > 0 || (left.length > 0 && runs >= COVERAGE_SEEDS) ? 1 : 0;
}

function show(findings: readonly Finding[], left: readonly string[], runs: number): void {
  for (const { seed, verdict, what } of findings.slice(0, MAX_SHOWN))
    console.log(`${verdict}, seed ${seed}: ${what}\n  npm run simulate -- --seed ${seed}`);
  if (left.length === 0) return;
  console.log(`Never exercised${runs >= COVERAGE_SEEDS ? "" : ` (judged from ${COVERAGE_SEEDS} seeds on)`}:`);
  for (const name of left) console.log(`  ${name}`);
}

/** Results in whatever order they come: sums do not depend on it. */
async function* inThreads(seeds: readonly number[]): AsyncGenerator<Batch> {
  const batches: (readonly number[])[] = [];
  for (let i = 0; i < seeds.length; i += BATCH_SEEDS) batches.push(seeds.slice(i, i + BATCH_SEEDS));
  const threads = Math.min(numberOf(options.threads, "--threads"), batches.length);
  const done: Batch[] = [];
  let left = batches.length;
  let wake = (): void => {};
  let failed: Error | null = null;
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(join(import.meta.dirname, "worker.ts"));
    const next = (): void => {
      const batch = batches.shift();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads of Node have no origin
      if (batch !== undefined) worker.postMessage(batch);
    };
    worker.on("message", (batch: Batch) => {
      done.push(batch);
      next();
      wake();
    });
    worker.on("error", (error: Error) => {
      failed = error;
      wake();
    });
    next();
    return worker;
  });
  try {
    while (left > 0) {
      const batch = done.shift();
      if (batch !== undefined) {
        left--;
        yield batch;
      } else if (failed !== null) throw failed as Error;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function mean(sum: number, count: number): number {
  return Math.round((100 * sum) / Math.max(1, count)) / 100;
}

function numberOf(text: string, option: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new TypeError(`${option} takes a whole number, not ${text}`);
  return value;
}
