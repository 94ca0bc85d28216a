/** The world on loopback, once for all tests on workerd. Vitest starts it before the tests and closes it after them. */

import type { TestProject } from "vitest/node";
import { startWorld } from "../world/index.ts";

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

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const world = await startWorld();
  project.provide("world", { names: world.names, tokens: world.tokens });
  return () => world.close();
}
