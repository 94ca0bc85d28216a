/** The commands of an operator that a play makes: as they are typed, against the server or the state on disk. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Build, REPOSITORY } from "../dev-server/index.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
}

/** Runs `npm run <name> -- <args>`. @returns its exit code, and all that it said */
export async function command(
  name: "audit" | "backup" | "export",
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  return spawned(process.execPath, [join(REPOSITORY, `src/cli/${name}.ts`), ...args], env);
}

/** The verifier of docs/audit.md, which is not ours: it knows no more than that page says. */
export async function verifyByHand(exported: string, folder: string): Promise<Said> {
  const page = await readFile(join(REPOSITORY, "docs/audit.md"), "utf8");
  const [, source = ""] = /```python\n([^`]*)```/.exec(page) ?? [];
  const file = join(folder, "verify.py");
  await writeFile(file, source);
  return spawned("python3", [file], {}, exported);
}

/** The same build with another database, which is empty: as an operator who binds a new one. */
export async function withDatabase(built: Build, file: string, id: string): Promise<Build> {
  const config = JSON.parse(await readFile(built.config, "utf8")) as { d1_databases: object[] };
  const databases = config.d1_databases.map((one) => ({ ...one, database_id: id }));
  await writeFile(file, JSON.stringify({ ...config, d1_databases: databases }));
  return { ...built, config: file };
}

async function spawned(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input = "",
): Promise<Said> {
  const { promise, resolve } = Promise.withResolvers<Said>();
  const options = { cwd: REPOSITORY, env: { ...process.env, ...env }, maxBuffer: 1 << 28 };
  const child = execFile(program, args, options, (error, stdout, stderr) => {
    const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
    resolve({ code, out: stdout + stderr });
  });
  child.stdin?.end(input);
  return promise;
}
