import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// A lint rule that checks nothing is green too. So a copy of the house is built from files that are bad on purpose, the
// project's own configuration runs over it once, and every file must be reported for exactly what is wrong with it.

const REPOSITORY = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** docs/architecture.md, rooms: whose doors a room may use. Written out again here, so that the two must agree. */
const MAY_IMPORT: Readonly<Record<string, string>> = {
  kernel: "",
  driver: "kernel",
  platform: "kernel",
  actions: "kernel platform",
  define: "kernel actions",
  vault: "platform",
  connections: "kernel platform vault",
  identity: "kernel platform vault",
  access: "platform vault",
  run: "kernel driver platform define actions",
  directory: "kernel platform",
  observe: "kernel platform",
  triggers: "kernel platform vault",
  api: "kernel driver platform actions define vault connections identity access run directory observe triggers erasure quotas",
  quotas: "platform",
  erasure: "platform access connections run directory triggers",
  workflows: "define",
  cli: "",
};
const ROOMS = Object.keys(MAY_IMPORT);

const BOUNDARY = "eslint(no-restricted-imports)";
const GLOBAL = "eslint(no-restricted-globals)";

/** One file of the bad house: its text, and the only rules that may and must report it (none: it is fine). */
interface Case {
  readonly path: string;
  readonly text: string;
  readonly rules: readonly string[];
}

const allowed = (from: string, to: string) => MAY_IMPORT[from]!.split(" ").includes(to);

/** Every way to name another module. Doors export `door` and a type `Door`. */
const IMPORT_FORMS: Readonly<Record<string, (specifier: string) => string>> = {
  value: (specifier) => `import { door } from "${specifier}";\nexport const used = door;\n`,
  type: (specifier) => `import type { Door } from "${specifier}";\nexport type Used = Door;\n`,
  reexport: (specifier) => `export { door } from "${specifier}";\n`,
  all: (specifier) => `export * from "${specifier}";\n`,
  dynamic: (specifier) => `export const used = await import("${specifier}");\n`,
};

function* doorCases(): Generator<Case> {
  for (const from of ROOMS) {
    for (const to of ROOMS) {
      if (from === to) continue;
      const rules = allowed(from, to) ? [] : [BOUNDARY];
      for (const [form, text] of Object.entries(IMPORT_FORMS)) {
        yield { path: `src/${from}/${form}-${to}.ts`, text: text(`../${to}/index.ts`), rules };
        yield { path: `src/${from}/inner/${form}-${to}.ts`, text: text(`../../${to}/index.ts`), rules };
      }
      const behind = IMPORT_FORMS["value"]!;
      yield { path: `src/${from}/behind-${to}.ts`, text: behind(`../${to}/hidden.ts`), rules: [BOUNDARY] };
      yield {
        path: `src/${from}/inner/behind-${to}.ts`,
        text: behind(`../../${to}/hidden.ts`),
        rules: [BOUNDARY],
      };
    }
  }
}

function* ownRoomCases(): Generator<Case> {
  const text = IMPORT_FORMS["value"]!;
  for (const room of ROOMS) {
    yield { path: `src/${room}/own-file.ts`, text: text("./hidden.ts"), rules: [] };
    yield { path: `src/${room}/own-folder.ts`, text: text("./other/hidden.ts"), rules: [] };
    yield { path: `src/${room}/inner/own-parent.ts`, text: text("../hidden.ts"), rules: [] };
    yield { path: `src/${room}/inner/own-sibling.ts`, text: text("../other/hidden.ts"), rules: [] };
    yield { path: `src/${room}/detour.ts`, text: text(`./other/../hidden.ts`), rules: [BOUNDARY] };
    yield { path: `src/${room}/root.ts`, text: text("../worker.ts"), rules: [BOUNDARY] };
    yield { path: `src/${room}/tests.ts`, text: text("../../test/helper.ts"), rules: [BOUNDARY] };
    yield { path: `src/${room}/inner/tests.ts`, text: text("../../../test/helper.ts"), rules: [BOUNDARY] };
  }
  yield { path: "src/worker-doors.ts", text: text("./run/index.ts"), rules: [] };
  yield { path: "src/worker-behind.ts", text: text("./run/hidden.ts"), rules: [BOUNDARY] };
  yield { path: "src/worker-tests.ts", text: text("../test/helper.ts"), rules: [BOUNDARY] };
}

function* packageCases(): Generator<Case> {
  for (const room of ROOMS) {
    const hostless = room === "kernel" || room === "driver";
    const withoutRuntime = hostless || ["actions", "define", "workflows"].includes(room);
    const zod = `import * as z from "zod";\nexport const schema = z.string();\n`;
    const runtime = `import { env } from "cloudflare:workers";\nexport const used = env;\n`;
    const node = `import { sep } from "node:path";\nexport const used = sep;\n`;
    yield { path: `src/${room}/package.ts`, text: zod, rules: hostless ? [BOUNDARY] : [] };
    yield { path: `src/${room}/runtime.ts`, text: runtime, rules: withoutRuntime ? [BOUNDARY] : [] };
    yield { path: `src/${room}/node.ts`, text: node, rules: room === "cli" ? [] : [BOUNDARY] };
  }
}

const HOST_EXPRESSIONS: Readonly<Record<string, string>> = {
  "date-now": "Date.now()",
  "date-new": "new Date(0)",
  "date-parse": 'Date.parse("2026-01-01")',
  performance: "performance.now()",
  fetch: 'fetch("https://a.example")',
  response: "new Response()",
  crypto: "crypto.randomUUID()",
  timeout: "setTimeout(() => undefined, 1)",
  interval: "setInterval(() => undefined, 1)",
  microtask: "queueMicrotask(() => undefined)",
  "global-this": "globalThis",
  self: "self",
  console: "console",
  process: "process",
  caches: "caches",
  "weak-ref": "new WeakRef({})",
};

function* purityCases(): Generator<Case> {
  for (const room of ["kernel", "driver"]) {
    for (const [name, expression] of Object.entries(HOST_EXPRESSIONS)) {
      // Types of the host are not known here, so only the rule under test may be asked about these lines.
      const text = `export const used = () => ${expression};\n`;
      yield { path: `src/${room}/pure-${name}.ts`, text, rules: [GLOBAL] };
      yield { path: `src/${room}/inner/pure-${name}.ts`, text, rules: [GLOBAL] };
    }
    const rules = ["eslint(no-restricted-properties)"];
    yield { path: `src/${room}/pure-random.ts`, text: "export const used = Math.random();\n", rules };
    yield { path: `src/${room}/pure-random-taken.ts`, text: "export const { random } = Math;\n", rules };
    yield { path: `src/${room}/pure-math.ts`, text: "export const used = Math.max(1, 2);\n", rules: [] };
  }
  yield { path: "src/platform/host.ts", text: "export const used = () => Date.now();\n", rules: [] };
}

function* habitCases(): Generator<Case> {
  const work = "export async function work(): Promise<void> {\n  await Promise.resolve();\n}\n";
  const bad = (name: string, rule: string, text: string): Case => ({
    path: `src/run/habit-${name}.ts`,
    text,
    rules: [rule],
  });
  yield bad("floating", "typescript(no-floating-promises)", `${work}work();\n`);
  yield bad("misused", "typescript(no-misused-promises)", `${work}export const list = [1].filter(work);\n`);
  yield bad("any", "typescript(no-explicit-any)", "export type Loose = any;\n");
  yield bad(
    "inline",
    "typescript(consistent-type-imports)",
    'export type Hidden = import("./hidden.ts").Door;\n',
  );
  yield bad("ignore", "typescript(ban-ts-comment)", "// @ts-ignore\nexport const one = 1;\n");
  yield bad(
    "bang",
    "typescript(no-non-null-assertion)",
    "export const first = (list: string[]) => list[0]!;\n",
  );
  yield bad("throw", "typescript(only-throw-error)", 'export const fail = () => {\n  throw "text";\n};\n');
  yield bad("json", "typescript(no-unsafe-assignment)", 'export const value = JSON.parse("1");\n');
  yield bad("console", "eslint(no-console)", 'export const say = () => console.log("x");\n');
  yield bad("equal", "eslint(eqeqeq)", "export const same = (a: string, b: string) => a == b;\n");
  yield bad(
    "switch",
    "typescript(switch-exhaustiveness-check)",
    'export function f(kind: "a" | "b"): void {\n  switch (kind) {\n    case "a":\n  }\n}\n',
  );
  const round = (other: string) =>
    `import { one } from "./habit-${other}.ts";\nexport const two = () => one;\nexport const one = 1;\n`;
  yield {
    path: "src/run/habit-cycle-a.ts",
    text: round("cycle-b").replace("one }", "one as other }").replace("=> one", "=> other"),
    rules: ["import(no-cycle)"],
  };
  yield {
    path: "src/run/habit-cycle-b.ts",
    text: round("cycle-a").replace("one }", "one as other }").replace("=> one", "=> other"),
    rules: ["import(no-cycle)"],
  };
}

const CASES = [...doorCases(), ...ownRoomCases(), ...packageCases(), ...purityCases(), ...habitCases()];

interface Report {
  readonly number_of_files: number;
  readonly diagnostics: readonly {
    readonly code?: string;
    readonly filename: string;
    readonly message: string;
  }[];
}

async function write(house: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(house, path)), { recursive: true });
  await writeFile(join(house, path), text);
}

async function build(house: string): Promise<void> {
  await symlink(join(REPOSITORY, "node_modules"), join(house, "node_modules"));
  for (const file of ["oxlint.config.ts", "package.json", "tsconfig.base.json"])
    await cp(join(REPOSITORY, file), join(house, file));
  const config = {
    extends: "./tsconfig.base.json",
    compilerOptions: { types: ["node", "@cloudflare/workers-types"] },
    include: ["src", "test"],
  };
  await write(house, "tsconfig.json", JSON.stringify(config));
  const door = "export const door = 1;\nexport type Door = string;\n";
  for (const room of ROOMS) {
    for (const file of ["index.ts", "hidden.ts", "other/hidden.ts"])
      await write(house, `src/${room}/${file}`, door);
  }
  await write(house, "src/worker.ts", door);
  await write(house, "test/helper.ts", door);
  for (const { path, text } of CASES) await write(house, path, text);
}

async function lint(house: string): Promise<Report> {
  // oxlint exits with 1 when it has found something, which is what this house is for.
  const settled = await run("oxlint", ["-f", "json", "src"], {
    cwd: house,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: `${join(REPOSITORY, "node_modules/.bin")}:${process.env["PATH"]}` },
  }).catch((error: { stdout: string }) => error);
  return JSON.parse(settled.stdout);
}

describe("the lint configuration", () => {
  let house: string;
  let report: Report;
  const found = new Map<string, Set<string>>();

  beforeAll(async () => {
    house = await mkdtemp(join(tmpdir(), "showcaller-lint-"));
    await build(house);
    report = await lint(house);
    for (const { filename, code } of report.diagnostics) {
      const codes = found.get(filename) ?? new Set();
      found.set(filename, codes.add(code ?? "(no code)"));
    }
  }, 60_000);

  afterAll(() => rm(house, { recursive: true, force: true }));

  const wrong = (cases: readonly Case[]) =>
    cases
      .map(({ path, rules }) => ({ path, expected: [...rules], found: [...(found.get(path) ?? [])].sort() }))
      .filter(({ expected, found: codes }) => expected.join() !== codes.join());

  it("reads every file of the bad house", () => {
    expect(report.number_of_files).toBeGreaterThanOrEqual(CASES.length);
    console.log(
      `lint: ${CASES.length} bad and good files checked, ${CASES.filter(({ rules }) => rules.length > 0).length} of them bad`,
    );
  });

  it("lets a room import the doors of the rooms it may use, and nothing else of the house", () => {
    expect(wrong([...doorCases()])).toEqual([]);
  });

  it("lets a room import all of itself, by the shortest path, but neither the root nor the tests", () => {
    expect(wrong([...ownRoomCases()])).toEqual([]);
  });

  it("keeps packages out of kernel and driver, the runtime out of five rooms, and Node out of the Worker", () => {
    expect(wrong([...packageCases()])).toEqual([]);
  });

  it("keeps clock, chance, network, timers and every other global of a host out of kernel and driver", () => {
    expect(wrong([...purityCases()])).toEqual([]);
  });

  it("refuses floating promises, any, silenced type errors and the other bad habits", () => {
    expect(wrong([...habitCases()])).toEqual([]);
  });

  it("knows every folder of src as a room", async () => {
    const entries = await readdir(join(REPOSITORY, "src"), { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    expect(folders.filter((folder) => !ROOMS.includes(folder))).toEqual([]);
  });
});
