import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import type { Directory, Swept } from "../../src/directory/index.ts";
import { sweepAll, TICK_MS } from "../../src/directory/sweeper.ts";
import { createLogger } from "../../src/platform/index.ts";

const NONE: Swept = { asked: 0, gone: 0, failed: 0, dropped: 0, moved: 0 };

/** A house of tenants, and which directories were visited. */
function house(tenants: readonly string[], shards: number, visits: number) {
  const visited: string[] = [];
  const lines: string[] = [];
  const unused = async (): Promise<never> => {
    throw new Error("No test asks for this.");
  };
  const directory: Directory = {
    ...{
      shards,
      report: unused,
      page: unused,
      counts: unused,
      changes: unused,
      erase: unused,
      metrics: unused,
      count: unused,
      live: unused,
    },
    sweep: async (tenant, shard) => {
      visited.push(`${tenant}:${shard}`);
      if (tenant === "broken") throw new Error("away");
      return { ...NONE, asked: 2, gone: 1 };
    },
  };
  const ports = {
    directory,
    visits,
    countTenants: async () => tenants.length,
    tenants: async (offset: number, limit: number) => tenants.slice(offset, offset + limit),
    log: createLogger("error", (_, line) => lines.push(line)),
  };
  return { ports, visited, lines };
}

const many = Array.from({ length: 250 }, (_, i) => `t${i}`);

describe("the sweeper", () => {
  test("visits every shard of every tenant, one part of them in each tick, and no directory twice in a round", async () => {
    const { ports, visited } = house(many, 2, 100);
    for (let tick = 0; tick < 5; tick++) {
      const before = visited.length;
      await sweepAll(ports, tick * TICK_MS);
      expect(visited.length - before).toBeLessThanOrEqual(100);
    }
    expect(visited.toSorted()).toEqual(many.flatMap((tenant) => [`${tenant}:0`, `${tenant}:1`]).toSorted());
    await sweepAll(ports, 5 * TICK_MS);
    expect(visited[500]).toBe("t0:0");
  });

  test("goes on where a directory cannot be visited, and says which", async () => {
    const { ports, visited, lines } = house(["broken", "fine"], 1, 100);
    expect(await sweepAll(ports, 0)).toEqual({ ...NONE, asked: 2, gone: 1, visited: 1 });
    expect(visited).toEqual(["broken:0", "fine:0"]);
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
      "directory_not_swept",
    ]);
  });

  test("visits one tenant even where one tick may visit fewer directories than it has", async () => {
    const { ports, visited } = house(["a", "b"], 4, 2);
    await sweepAll(ports, TICK_MS);
    expect(visited).toEqual(["b:0", "b:1", "b:2", "b:3"]);
  });

  test("does nothing where there is no tenant", async () => {
    const { ports } = house([], 1, 10);
    expect(await sweepAll(ports, 0)).toEqual({ ...NONE, visited: 0 });
  });

  test("comes as often as it thinks: the cron trigger says the same", async () => {
    const text = await readFile(join(import.meta.dirname, "../../wrangler.toml"), "utf8");
    const { triggers } = parse(text) as { triggers: { crons: string[] } };
    expect(triggers.crons).toEqual([`*/${TICK_MS / 60_000} * * * *`]);
  });
});
