import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

// Measures the bundle exactly as `wrangler deploy` would upload it: its size, how long it takes to start, and that
// nothing of the crash tests is in it. Last line: JSON. Exit code 1 if something is over budget.
//
// The budget (budget.json) is raised only on purpose, in the commit that needs it. `startupMs` is the platform's own
// limit on CPU at startup; it is measured on this machine, so it says "far off" or "near", not the exact figure.

const REPOSITORY = join(import.meta.dirname, "../..");
const WRANGLER = join(REPOSITORY, "node_modules/wrangler/bin/wrangler.js");
const BYTES_PER_KIB = 1024;
const MICROSECONDS_PER_MS = 1000;

/** Every crash point's name starts with this, and stands behind `if (CRASH_POINTS)`. */
const CRASH_POINT_MARK = "crash-point:";

/** Stands behind `if (DEVELOPMENT)`: what maps names to loopback ports (src/platform/development.ts). */
const LOOPBACK_MARK = "http://127.0.0.1:";

interface Budget {
  readonly gzipKiB: number;
  readonly startupMs: number;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string } }[];
  readonly samples: readonly number[];
  /** Microseconds between one sample and the next. */
  readonly timeDeltas: readonly number[];
}

async function wrangler(...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [WRANGLER, ...args], { cwd: REPOSITORY });
}

async function bundle(folder: string, ...args: string[]): Promise<Buffer> {
  await wrangler("deploy", "--dry-run", "--outdir", folder, ...args);
  return await readFile(join(folder, "worker.js"));
}

async function startupMs(folder: string): Promise<number> {
  const file = join(folder, "startup.cpuprofile");
  await wrangler("check", "startup", "--outfile", file);
  const profile = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
  const idle = new Set(
    profile.nodes.filter((node) => node.callFrame.functionName === "(idle)").map((node) => node.id),
  );
  const busy = profile.timeDeltas.filter((_, index) => !idle.has(profile.samples[index] ?? 0));
  return busy.reduce((sum, microseconds) => sum + microseconds, 0) / MICROSECONDS_PER_MS;
}

const budget = JSON.parse(await readFile(join(import.meta.dirname, "budget.json"), "utf8")) as Budget;
const folder = await mkdtemp(join(tmpdir(), "showcaller-bundle-"));
const problems: string[] = [];
try {
  const deployed = await bundle(join(folder, "deployed"));
  const gzipKiB = gzipSync(deployed).length / BYTES_PER_KIB;
  if (gzipKiB > budget.gzipKiB) {
    problems.push(
      `The bundle has ${gzipKiB.toFixed(1)} KiB gzip, the budget is ${budget.gzipKiB} KiB. See test/bundle/budget.json.`,
    );
  }

  if (deployed.includes(CRASH_POINT_MARK))
    problems.push(`The deployed bundle holds a crash point ("${CRASH_POINT_MARK}").`);
  const crashable = await bundle(
    join(folder, "crashable"),
    "--define",
    "CRASH_POINTS:true",
    "--define",
    "DEVELOPMENT:true",
  );
  const crashPoints = new Set(crashable.toString().match(new RegExp(`${CRASH_POINT_MARK}[a-z0-9-]+`, "g")))
    .size;
  // Without this, a renamed mark would let the check above pass for ever.
  if (crashPoints === 0)
    problems.push(`A build with CRASH_POINTS:true holds no "${CRASH_POINT_MARK}": the check checks nothing.`);

  if (deployed.includes(LOOPBACK_MARK)) problems.push("The deployed bundle can reach loopback ports.");
  if (!crashable.includes(LOOPBACK_MARK))
    problems.push(`A build with DEVELOPMENT:true holds no "${LOOPBACK_MARK}": the check checks nothing.`);

  const startup = await startupMs(folder);
  if (startup > budget.startupMs)
    problems.push(`Startup took ${startup.toFixed(0)} ms of CPU, the limit is ${budget.startupMs} ms.`);

  for (const problem of problems) console.error(`bundle: ${problem}`);
  console.log(
    JSON.stringify({
      bundleKiB: Number((deployed.length / BYTES_PER_KIB).toFixed(1)),
      gzipKiB: Number(gzipKiB.toFixed(1)),
      budgetKiB: budget.gzipKiB,
      startupMs: Number(startup.toFixed(1)),
      crashPointsDeployed: deployed.includes(CRASH_POINT_MARK) ? 1 : 0,
      crashPointsInCrashBuild: crashPoints,
    }),
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = problems.length === 0 ? 0 : 1;
