/**
 * A game day: what can go wrong goes wrong, with 500 runs in every state, against the real local runtime.
 *
 *   npm run gameday -- [--seed S] [--runs N (500)] [--keep: leave the state on disk]
 *   npm run gameday -- --play NAME        one of the runbooks (docs/runbooks.md), played through
 *
 * Last line: JSON (verdict.ts). Exit code 1 if a fault is not 0, if a run has not ended, or if it was no game day: a state
 * in which no run stood, a database that did not fail, keys that did not move.
 */
import { parseArgs } from "node:util";
import { gameday } from "./gameday.ts";
import { setStage } from "./stage.ts";
import { FAULTS, type Result } from "./verdict.ts";

const ALL_RUNS = 500;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: String(ALL_RUNS) },
    keep: { type: "boolean", default: false },
    play: { type: "string" },
  },
});
const seed = Number(values.seed);
const scale = Number(values.runs) / ALL_RUNS;
const stage = await setStage({ seed, withOld: true });
try {
  const result = await gameday(stage, { seed, scale });
  const faults = result as unknown as Result;
  const isFaultless = FAULTS.every((field) => faults[field] === 0);
  const isReal =
    result["states"] === result["statesWanted"] &&
    [
      "databaseFailures",
      "databaseLostAnswers",
      "recordsMoved",
      "ticks",
      "deliveries",
      "notNow",
      "refreshes",
    ].every((field) => Number(result[field]) > 0);
  console.log(JSON.stringify(result));
  process.exitCode = isFaultless && isReal && faults.ended === faults.runs ? 0 : 1;
} finally {
  await stage.close(values.keep);
}
