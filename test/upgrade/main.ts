/**
 * Upgrades, rolls back and mixes two builds of the Worker, today's and the one that was released last, on one storage and one
 * database, while stories go on: every answer is right or a clear "not now", and no run is lost.
 *
 *   npm run upgrade -- [--only TEXT]
 *
 * Last line: JSON. Exit code 1 if one of the faults in it is not 0.
 */
import { parseArgs } from "node:util";
import { BINDINGS, type Binding, type Mix, type Side } from "./mixed.ts";
import { makeBuilds, Stage, type Builds } from "./stage.ts";
import { DOOR_STORIES } from "./stories-doors.ts";
import { RUN_STORIES } from "./stories-runs.ts";
import type { Kept, Story } from "./story.ts";

const OLD: Mix = { worker: "old", objects: "old" };
const NEW: Mix = { worker: "new", objects: "new" };
/** Requests are answered by the new build at once; objects go on with the old one for minutes. */
const WORKER_FIRST: Mix = { worker: "new", objects: "old" };
const OBJECTS_FIRST: Mix = { worker: "old", objects: "new" };
/** Objects are replaced one by one, in no order. */
const classes = (first: Side, other: Side) => (binding: Binding) =>
  BINDINGS.indexOf(binding) % 2 === 0 ? first : other;
const EVEN: Mix = { worker: "new", objects: classes("new", "old") };
const ODD: Mix = { worker: "old", objects: classes("old", "new") };

/** A mix for each part of the stories. */
const SCENARIOS: Readonly<Record<string, readonly [Mix, Mix, Mix]>> = {
  "upgrade, Worker first": [OLD, WORKER_FIRST, NEW],
  "upgrade, objects first": [OLD, OBJECTS_FIRST, NEW],
  "upgrade, class by class": [OLD, EVEN, NEW],
  "upgrade, the other classes": [OLD, ODD, NEW],
  "mixed all the time, Worker first": [WORKER_FIRST, WORKER_FIRST, WORKER_FIRST],
  "mixed all the time, objects first": [OBJECTS_FIRST, OBJECTS_FIRST, OBJECTS_FIRST],
  "rollback of what the new build began": [NEW, NEW, OLD],
  "rollback, Worker first": [NEW, OBJECTS_FIRST, OLD],
  "rollback, objects first": [NEW, WORKER_FIRST, OLD],
  "rollback and upgrade again": [OLD, NEW, OLD],
};

const STORIES: readonly Story[] = [...RUN_STORIES, ...DOOR_STORIES];

interface Result {
  scenarios: number;
  stories: number;
  lives: number;
  runs: number;
  answers: number;
  notNow: number;
  /** An answer, or an end, that is not right. */
  wrong: number;
  /** A run that was begun and is not found. */
  lost: number;
  /** Runs that are not in the directory's list. */
  unlisted: number;
  /** Effects that the referee saw twice. */
  duplicated: number;
  /** Scenarios in which no endpoint was told anything. */
  unheard: number;
  /** Secrets that stand in what a server said. */
  secretsInLogs: number;
}

const FAULTS = [
  "wrong",
  "lost",
  "unlisted",
  "duplicated",
  "unheard",
  "secretsInLogs",
] as const satisfies (keyof Result)[];

/** One deployment through its three lives. */
async function play(name: string, mixes: readonly Mix[], builds: Builds, result: Result): Promise<void> {
  const stage = await Stage.set(builds);
  const kept = new Map<Story, Kept>();
  const wrong = new Set<Story>();
  const fault = (what: string): void => {
    result.wrong += 1;
    console.error(`${name}: ${what}`);
  };
  try {
    for (const [part, mix] of mixes.entries()) {
      // Once the new build has been there, the database has its migrations, also for the old one.
      const isOld = mixes.slice(0, part + 1).every((one) => one === OLD);
      const life = await stage.live(mix, isOld ? "old" : "new");
      result.lives += 1;
      try {
        await stage.trust(life, part === 0);
        await Promise.all(
          STORIES.filter((story) => !wrong.has(story)).map(async (story) => {
            try {
              kept.set(story, await tell(story, part, stage, kept.get(story) ?? {}));
            } catch (error) {
              wrong.add(story);
              fault(`the story of "${story.name}", part ${part + 1}: ${String(error)}`);
            }
          }),
        );
        if (part === mixes.length - 1) await check(stage, result, fault);
      } finally {
        await life.end();
      }
    }
    result.stories += STORIES.length;
    result.duplicated += stage.world.referee.duplicates().length;
    if (stage.told === 0) result.unheard += 1;
    result.secretsInLogs += stage.secretsInLog((line) => console.error(`${name}: ${line}`));
    result.answers += stage.teller.counts.answers;
    result.notNow += stage.teller.counts.notNow;
    const { answers, notNow } = stage.teller.counts;
    console.error(`${name}: ${answers} answers, ${notNow} "not now", ${wrong.size} stories wrong`);
    if (wrong.size > 0 && values.log) console.error(stage.log.join("").slice(-20_000));
  } finally {
    await stage.close();
  }
}

async function tell(story: Story, part: number, { teller }: Stage, kept: Kept): Promise<Kept> {
  if (part === 0) return story.begin(teller);
  if (part === 1) return story.middle(teller, kept);
  await story.end(teller, kept);
  return kept;
}

/** Every run that was begun is there and over, and in the list. */
async function check({ teller }: Stage, result: Result, fault: (what: string) => void): Promise<void> {
  result.runs += teller.runs.size;
  const left = new Map<string, string>();
  for (const id of teller.runs) {
    const run = await teller.ask<{ status?: string }>("GET", `/v1/runs/${id}`, { expect: [200, 404] });
    if (run.status === undefined || Number(run.status) === 404) result.lost += 1;
    else left.set(id, run.status);
  }
  const find = async (): Promise<Set<string>> => {
    const found = new Set<string>();
    for (let cursor = ""; ;) {
      const page = await teller.ask<{ data: { id: string; status: string }[]; next_cursor: string | null }>(
        "GET",
        `/v1/runs?limit=100${cursor}`,
      );
      for (const { id, status } of page.data) if (left.get(id) === status) found.add(id);
      if (page.next_cursor === null) return found;
      cursor = `&cursor=${page.next_cursor}`;
    }
  };
  try {
    await teller.until("the list has every run as it ended", find, (found) => found.size === left.size);
  } catch (error) {
    result.unlisted += 1;
    fault(String(error));
  }
}

const { values } = parseArgs({ options: { only: { type: "string" }, log: { type: "boolean" } } });
const builds = await makeBuilds();
const result: Result = {
  ...{ scenarios: 0, stories: 0, lives: 0, runs: 0, answers: 0, notNow: 0 },
  ...{ wrong: 0, lost: 0, unlisted: 0, duplicated: 0, unheard: 0, secretsInLogs: 0 },
};
const began = Date.now();
try {
  for (const [name, mixes] of Object.entries(SCENARIOS)) {
    if (!name.includes(values.only ?? "")) continue;
    await play(name, mixes, builds, result);
    result.scenarios += 1;
  }
} finally {
  await builds.remove();
}
const seconds = Math.round((Date.now() - began) / 1_000);
console.log(JSON.stringify({ ...result, seconds, baseline: builds.baseline.commit }));
process.exitCode = result.scenarios > 0 && FAULTS.every((field) => result[field] === 0) ? 0 : 1;
