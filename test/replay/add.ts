/**
 * Adds a golden journal: `node test/replay/add.ts NAME [FACTS.json]`, from a file of facts or from the scenario of that
 * name. It never changes one that is there: a journal that no longer folds as it did is a bug of the code, not of the
 * journal.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { toSnapshot, type Fact } from "../../src/kernel/index.ts";
import { fold, JOURNALS, viewOf, type Golden } from "./golden.ts";
import { SCENARIOS } from "./scenarios.ts";

const [, , name, file] = argv;
const scenario = name === undefined ? undefined : SCENARIOS[name];
if (name === undefined || (file === undefined && scenario === undefined)) {
  console.error(
    `usage: node test/replay/add.ts NAME [FACTS.json]\nscenarios: ${Object.keys(SCENARIOS).join(", ")}`,
  );
  process.exit(2);
}
const facts =
  file === undefined
    ? (scenario?.().facts ?? [])
    : (JSON.parse(readFileSync(file, "utf8")) as readonly Fact[]);
const after = Math.ceil(facts.length / 2);
const golden: Golden = {
  v: 1,
  title: name,
  facts,
  snapshot: { after, state: toSnapshot(fold(null, facts.slice(0, after))) },
  view: viewOf(fold(null, facts)),
};
// `wx`: fails where the file is there.
writeFileSync(join(JOURNALS, `${name}.json`), `${JSON.stringify(golden, null, 1)}\n`, { flag: "wx" });
console.log(`${name}: ${facts.length} facts`);
