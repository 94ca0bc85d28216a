/** The world on loopback, once for all tests on workerd. Vitest starts it before the tests and closes it after them. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestProject } from "vitest/node";

const MAIN = new URL("../world/main.ts", import.meta.url).pathname;

/** Ports of the world's services by name, and the token of each. */
export interface ProvidedWorld {
  readonly names: Record<string, number>;
  readonly tokens: Record<string, string>;
}

declare module "vitest" {
  export interface ProvidedContext {
    readonly world: ProvidedWorld;
  }
}

/** A process of its own: that of the tests is busy with bundles for seconds at a time, and nobody would answer then. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [MAIN], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const [line] = (await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    ended.then(() => {
      throw new Error("The world ended before it was ready.");
    }),
  ])) as [string];
  const { names, tokens } = JSON.parse(line) as ProvidedWorld;
  project.provide("world", { names, tokens });
  return async () => {
    child.stdin.end();
    await ended;
  };
}
