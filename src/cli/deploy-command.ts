/** What the commands `setup` and `deploy` have in common: how they begin, and how they say that something is wrong. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Complaint, Outcome } from "./complaint.ts";
import { COLUMNS, wrap } from "./layout.ts";
import { createPaint } from "./paint.ts";
import { createWrangler, type RunWrangler } from "./wrangler.ts";

const EXIT_WRONG = 1;
const EXIT_USAGE = 2;

/** Null: everything is said, and the exit code is set. */
export function begin<T extends { readonly help: boolean }>(
  root: string,
  given: Outcome<T>,
  help: string,
): { readonly options: T; readonly run: RunWrangler } | null {
  if (!given.ok) {
    refused(given.complaint);
    process.exitCode = EXIT_USAGE;
    return null;
  }
  if (given.value.help) {
    console.log(help);
    return null;
  }
  const script = join(root, "node_modules/wrangler/bin/wrangler.js");
  if (!existsSync(script)) {
    process.exitCode = refused({
      code: "not_installed",
      what: "wrangler is not installed.",
      todo: "Run: npm ci",
    });
    return null;
  }
  return { options: given.value, run: createWrangler(root, script, process.env) };
}

/** Says it, and is the exit code for it. */
export function refused({ code, what, todo }: Complaint): number {
  const paint = createPaint({ isTTY: process.stderr.isTTY, env: process.env });
  const [head = "", ...said] = what.split("\n");
  const lines = [...wrap(code === undefined ? head : `${code}: ${head}`, COLUMNS), ...said];
  console.error(`${paint("red", lines.join("\n"))}\n${wrap(todo, COLUMNS).join("\n")}`);
  return EXIT_WRONG;
}
