/**
 * `npm run mutants [-- --only NAME]`: applies each mutant of `list.ts` alone to a copy of the sources, and asks the
 * kernel tests and the simulator. Last line: JSON. Exit code 1 if one survives, or does not apply exactly once.
 *
 * The working tree is never touched. The unchanged copy must pass first: else nothing that fails proves anything.
 */

import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MUTANTS, type Mutant } from "./list.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
/** What the two tiers need. */
const COPIED = [
  "src",
  "test/kernel",
  "test/driver",
  "test/replay",
  "test/sim",
  "package.json",
  "tsconfig.base.json",
];
/** The simulator finds most within a few hundred; rare ones need more. */
const SEEDS = 1_500;
const TIMEOUT_MS = 180_000;

type Tier = Mutant["first"];
type Verdict = "killed" | "survived" | "does not apply";

const TIERS: Readonly<Record<Tier, readonly string[]>> = {
  kernel: [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--config",
    "vitest.mutants.ts",
    "--bail",
    "1",
    "--reporter",
    "dot",
  ],
  simulator: ["test/sim/main.ts", "--seeds", String(SEEDS), "--json", "--bail", "--threads", "1"],
};

/** The tests of kernel and driver alone: the project's own configuration also starts what only other tiers need. */
const CONFIG = `export default { define: { CRASH_POINTS: "false", DEVELOPMENT: "false" }, test: { include: ["test/{kernel,driver,replay}/**/*.test.ts"], maxWorkers: 1 } };`;

const { values: options } = parseArgs({ options: { only: { type: "string" } } });
const wanted = MUTANTS.filter(({ name }) => options.only === undefined || name === options.only);
const folder = await mkdtemp(join(tmpdir(), "showcaller-mutants-"));
try {
  process.exitCode = await main();
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function main(): Promise<number> {
  const benches = await Promise.all(
    Array.from({ length: Math.max(1, availableParallelism()) }, (_, i) => bench(i)),
  );
  const [first] = benches;
  for (const tier of Object.keys(TIERS) as Tier[])
    if (first === undefined || (await fails(first, tier)))
      throw new Error(`The unchanged sources do not pass: ${tier}.`);
  const queue = [...wanted];
  const verdicts: Verdict[] = [];
  await Promise.all(
    benches.map(async (at) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const { verdict, by } = await judge(at, mutant);
        verdicts.push(verdict);
        console.log(`${verdict.padEnd(14)} ${mutant.name.padEnd(28)} ${by ?? mutant.why}`);
      }
    }),
  );
  const killed = verdicts.filter((verdict) => verdict === "killed").length;
  console.log(JSON.stringify({ mutants: wanted.length, killed }));
  return killed === wanted.length && wanted.length > 0 ? 0 : 1;
}

/** A copy of the sources, in which one mutant at a time lives. */
async function bench(number: number): Promise<string> {
  const at = join(folder, String(number));
  for (const path of COPIED) await cp(join(REPOSITORY, path), join(at, path), { recursive: true });
  await symlink(join(REPOSITORY, "node_modules"), join(at, "node_modules"));
  await writeFile(join(at, "vitest.mutants.ts"), CONFIG);
  return at;
}

async function judge(at: string, mutant: Mutant): Promise<{ verdict: Verdict; by?: Tier }> {
  const file = join(at, mutant.file);
  const source = await readFile(file, "utf8");
  if (source.split(mutant.find).length !== 2) return { verdict: "does not apply" };
  await writeFile(
    file,
    source.replace(mutant.find, () => mutant.replace),
  );
  try {
    const tiers: Tier[] = mutant.first === "kernel" ? ["kernel", "simulator"] : ["simulator", "kernel"];
    for (const tier of tiers) if (await fails(at, tier)) return { verdict: "killed", by: tier };
    return { verdict: "survived" };
  } finally {
    await writeFile(file, source);
  }
}

/** Whether the tests of a tier find something wrong. A mutant that never comes to an end is found, too. */
function fails(at: string, tier: Tier): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...TIERS[tier]], {
      cwd: at,
      stdio: "ignore",
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      resolve(code !== 0);
    });
  });
}
