/**
 * A game day: what can go wrong goes wrong, with 500 runs in every state, against the real local runtime.
 *
 *   npm run gameday -- [--seed S] [--runs N (500)] [--keep: leave the state on disk]
 *   npm run gameday -- --play NAME        one of the runbooks (docs/runbooks.md), or all, played through
 *
 * Last line: JSON (verdict.ts). Exit code 1 if a fault is not 0, if a run has not ended, or if it was no game day: a state
 * in which no run stood, a database that did not fail, keys that did not move.
 */
import { parseArgs } from "node:util";
import { gameday } from "./gameday.ts";
import { PLAYS } from "./plays/index.ts";
import { setStage, type Stage } from "./stage.ts";
import { FAULTS, secretsIn, type Result } from "./verdict.ts";

const ALL_RUNS = 500;
/** What must have come about for it to have been a game day. */
const REAL = [
  "databaseFailures",
  "databaseLostAnswers",
  "recordsMoved",
  "ticks",
  "deliveries",
  "notNow",
  "refreshes",
  "killsInFlight",
  "unknown",
] as const;

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
const { play: named } = values;
const names = named === "all" ? Object.keys(PLAYS) : named === undefined ? [] : [named];
for (const name of names) {
  const play = PLAYS[name];
  if (play === undefined) throw new TypeError(`--play takes all or one of ${Object.keys(PLAYS).join(", ")}.`);
  await on(async (stage) => {
    const began = Date.now();
    const seen = await play(stage);
    const secretsInLogs = secretsIn(stage, (line) => {
      console.error(line);
    });
    const seconds = Math.round((Date.now() - began) / 1_000);
    console.log(JSON.stringify({ play: name, ...seen, secretsInLogs, seconds }));
    if (secretsInLogs > 0) process.exitCode = 1;
  });
}
if (named === undefined)
  await on(async (stage) => {
    const result = await gameday(stage, { seed, scale });
    const faults = result as unknown as Result;
    const isFaultless = FAULTS.every((field) => faults[field] === 0);
    const isReal =
      result["states"] === result["statesWanted"] && REAL.every((field) => Number(result[field]) > 0);
    console.log(JSON.stringify(result));
    process.exitCode = isFaultless && isReal && faults.ended === faults.runs ? 0 : 1;
  });

async function on(work: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = await setStage({ seed, withOld: named === undefined || named === "wrong-deploy" });
  try {
    await work(stage);
  } finally {
    await stage.close(values.keep);
  }
}
