/** One of the threads of the simulator: runs the seeds that it is given, and says what came of them. */

import { parentPort } from "node:worker_threads";
import { RunDriver } from "../../src/driver/index.ts";
import { Coverage, type Counts } from "./coverage.ts";
import { simulate } from "./simulate.ts";
import type { Verdict } from "./verdict.ts";

export interface Finding {
  readonly seed: number;
  readonly verdict: Verdict;
  readonly what: string;
}

/** What came of some seeds. */
export interface Batch {
  readonly runs: number;
  readonly steps: number;
  readonly crashes: number;
  readonly counts: Counts;
  readonly findings: readonly Finding[];
}

export async function runSeeds(seeds: readonly number[]): Promise<Batch> {
  const coverage = new Coverage();
  const findings: Finding[] = [];
  let steps = 0;
  let crashes = 0;
  for (const seed of seeds) {
    try {
      const result = await simulate(seed, RunDriver);
      coverage.add(result.counts);
      steps += result.steps;
      crashes += result.crashes;
      if (result.finding !== null) findings.push({ seed, ...result.finding });
    } catch (error) {
      findings.push({ seed, verdict: "broken", what: `the simulator threw: ${(error as Error).stack}` });
    }
  }
  return { runs: seeds.length, steps, crashes, counts: coverage.counts, findings };
}

parentPort?.on("message", (seeds: readonly number[]) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads of Node have no origin
  void runSeeds(seeds).then((batch) => parentPort?.postMessage(batch));
});
