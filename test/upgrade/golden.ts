/**
 * Adds golden data of this version: what the stories leave in the database and in every class of object, once each has begun.
 *
 *   npm run golden                 of today's code: before a release, and when a test asks for it
 *   npm run golden -- --baseline   of the commit in test/replay/BASELINE
 *
 * It never changes what is there: data that today's code does not read as it should is a bug of the code.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TODAY } from "./baseline.ts";
import type { Golden } from "../replay/stored.ts";
import { dumpState } from "./dump.ts";
import { makeBuilds, Stage } from "./stage.ts";
import { DOOR_STORIES } from "./stories-doors.ts";
import { RUN_STORIES } from "./stories-runs.ts";
import type { Kept } from "./story.ts";

const DUMPS = join(TODAY.directory, "test/replay/dumps");

{
  const { values } = parseArgs({ options: { baseline: { type: "boolean", default: false } } });
  const side = values.baseline ? "old" : "new";
  const builds = await makeBuilds();
  const stage = await Stage.set(builds);
  try {
    const life = await stage.live({ worker: side, objects: side }, side);
    await stage.trust(life, true);
    const stories: Record<string, Kept> = {};
    for (const story of [...RUN_STORIES, ...DOOR_STORIES])
      stories[story.name] = await story.begin(stage.teller);
    await life.end();
    const { version } = JSON.parse(
      readFileSync(
        join(values.baseline ? builds.baseline.directory : TODAY.directory, "package.json"),
        "utf8",
      ),
    ) as { version: string };
    const migration = readdirSync(builds.migrations[side]).toSorted().at(-1) ?? "";
    const names = ["0", "main", "up-flow", "up-schedule", "up.happened"];
    const golden: Golden = {
      ...{ v: 1, version, migration, at: Date.now(), key: stage.teller.key, stories },
      ...dumpState(stage.state, "default", names),
    };
    mkdirSync(DUMPS, { recursive: true });
    const file = join(DUMPS, `${version}-${migration.slice(0, 4)}.json`);
    // `wx`: fails where the file is there. One row a line: readable in a diff, and small.
    writeFileSync(file, `${text(golden)}\n`, { flag: "wx" });
    console.log(`${file}: ${golden.objects.length} objects, ${golden.database.length} tables`);
  } finally {
    await stage.close();
    await builds.remove();
  }
}

function text(golden: Golden): string {
  const { database, objects, ...head } = golden;
  const lines = (all: readonly unknown[]): string => all.map((one) => JSON.stringify(one)).join(",\n");
  return `${JSON.stringify(head).slice(0, -1)},\n"database": [\n${lines(database)}\n],\n"objects": [\n${lines(objects)}\n]}`;
}
