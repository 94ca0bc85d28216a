/**
 * The version of Showcaller that was released last, as a build of its own: its commit stands in `test/replay/BASELINE`.
 *
 * - B1 what is built is exactly that commit, whatever stands in the working tree; only the packages are those of today.
 * - B2 nothing is left in the repository: no worktree, no branch; the sources stand in a folder that the caller removes.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "smol-toml";
import { build, REPOSITORY, type Build } from "../dev-server/index.ts";

const BASELINE_FILE = join(REPOSITORY, "test/replay/BASELINE");
const run = promisify(execFile);

export interface Sources {
  /** A whole tree of the product: `src`, `migrations`, `wrangler.toml`, `test`, with `node_modules` linked. */
  readonly directory: string;
}

export interface Baseline extends Sources {
  /** The full hash. */
  readonly commit: string;
  remove(): Promise<void>;
}

/** Today's code: the working tree. */
export const TODAY: Sources = { directory: REPOSITORY };

/** The full hash of the commit that was released last. */
export async function baselineCommit(): Promise<string> {
  const commit = (await readFile(BASELINE_FILE, "utf8")).trim();
  if (!/^[0-9a-f]{40}$/.test(commit)) throw new Error("test/replay/BASELINE holds no full commit hash.");
  return commit;
}

/**
 * Checks out the sources of the baseline, ready to be built and run: see `buildOf`.
 * Rejects, and says what to do, if this clone does not have the commit.
 */
export async function buildBaseline(): Promise<Baseline> {
  const commit = await baselineCommit();
  try {
    await run("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: REPOSITORY });
  } catch (error) {
    throw new Error(
      `This clone does not have the commit ${commit} that test/replay/BASELINE names. A shallow clone has the newest ones only: git fetch --unshallow`,
      { cause: error },
    );
  }
  const directory = await mkdtemp(join(tmpdir(), "showcaller-baseline-"));
  const remove = async (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    await extract(commit, directory);
    await symlink(join(REPOSITORY, "node_modules"), join(directory, "node_modules"), "dir");
  } catch (error) {
    await remove();
    throw error;
  }
  return { commit, directory, remove };
}

export interface BuildOptions {
  /** Of the Worker: storage on disk stands under it, so two builds with one name share it. */
  readonly name: string;
  /** The entry file, from the root of the sources. */
  readonly main?: string;
  /** Where configuration and bundle are written: one folder per build, as builds that share storage have one name. */
  readonly folder: string;
  readonly crashPoints?: boolean;
  /** Added to the configuration, over what stands in `wrangler.toml`. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/**
 * Bundles a tree for local work: its own `wrangler.toml`, with names mapped to loopback, and every value read from the file that
 * the server is given. The build is run by `startServer` of `test/dev-server`, its database is made by `migrateDatabase`.
 */
export async function buildOf(
  { directory }: Sources,
  { name, main = "src/worker.ts", folder, crashPoints = false, config: more = {} }: BuildOptions,
): Promise<Build> {
  const { secrets: _secrets, ...config } = parse(await readFile(join(directory, "wrangler.toml"), "utf8"));
  const databases = config["d1_databases"];
  if (!Array.isArray(databases)) throw new Error("wrangler.toml has no database");
  const file = join(folder, `${name}.json`);
  await writeFile(
    file,
    JSON.stringify({
      ...config,
      ...{ name, main: join(directory, main) },
      define: { CRASH_POINTS: String(crashPoints), DEVELOPMENT: "true" },
      d1_databases: databases.map((database) => ({
        ...(database as Record<string, unknown>),
        migrations_dir: join(directory, "migrations"),
      })),
      ...more,
    }),
  );
  return build(file, join(folder, `bundle-${name}`));
}

/** `git archive` and not a worktree: nothing of it is remembered in the repository. */
async function extract(commit: string, directory: string): Promise<void> {
  const archive = spawn("git", ["archive", "--format=tar", commit], {
    cwd: REPOSITORY,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const unpack = spawn("tar", ["-x", "-C", directory], { stdio: [archive.stdout, "inherit", "inherit"] });
  const codes = await Promise.all([once(archive, "exit"), once(unpack, "exit")]);
  if (codes.some(([code]) => code !== 0)) throw new Error(`The sources of ${commit} could not be unpacked.`);
}
