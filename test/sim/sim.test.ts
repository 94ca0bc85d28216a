import { describe, expect, it } from "vitest";
import { RunDriver, type DriverLimits, type Ports } from "../../src/driver/index.ts";
import type { DriverClass } from "./life.ts";
import { simulate } from "./simulate.ts";
import type { Verdict } from "./verdict.ts";

/** What the first seeds find in a driver over ports that somebody has tampered with. */
async function findings(tamper: (ports: Ports) => Ports, seeds = 40): Promise<Set<Verdict>> {
  class Tampered extends RunDriver {
    constructor(ports: Ports, limits: DriverLimits) {
      super(tamper(ports), limits);
    }
  }
  const found = new Set<Verdict>();
  for (let seed = 1; seed <= seeds; seed++) {
    const { finding } = await simulate(seed, Tampered satisfies DriverClass);
    if (finding !== null) found.add(finding.verdict);
  }
  return found;
}

describe("the simulator", () => {
  it("gives the same journal and the same world for the same seed", async () => {
    for (const seed of [11, 12, 13]) {
      const first = await simulate(seed, RunDriver);
      expect(await simulate(seed, RunDriver)).toEqual(first);
    }
  });

  it("gives another journal for another seed", async () => {
    const digests = await Promise.all(
      [21, 22, 23, 24].map(async (seed) => (await simulate(seed, RunDriver)).digest),
    );
    expect(new Set(digests).size).toBe(digests.length);
  });

  it("says nothing about a driver that nobody has tampered with", async () => {
    expect(await findings((ports) => ports)).toEqual(new Set());
  });

  it("finds that everything is performed twice", async () => {
    const twice = (ports: Ports): Ports => ({
      ...ports,
      perform: (call) => {
        void ports.perform(call).catch(() => {});
        return ports.perform(call);
      },
    });
    expect(await findings(twice)).toContain("duplicated");
  });

  it("finds that a turn is appended only after its attempts have left", async () => {
    const late = (ports: Ports): Ports => ({
      ...ports,
      journal: {
        ...ports.journal,
        append: (...turn) => void ports.clock.after(50, () => ports.journal.append(...turn)),
      },
    });
    expect((await findings(late)).size).toBeGreaterThan(0);
  });

  it("finds that the alarm is never armed", async () => {
    const deaf = (ports: Ports): Ports => ({ ...ports, alarm: { ...ports.alarm, set: () => {} } });
    expect(await findings(deaf)).toContain("broken");
  });

  it("finds that a life begins without the last turn of the one before", async () => {
    const forgetful = (ports: Ports): Ports => ({
      ...ports,
      journal: {
        ...ports.journal,
        load: () => {
          const { snapshot, rows } = ports.journal.load();
          return { snapshot, rows: [...rows].slice(0, -1) };
        },
      },
    });
    expect((await findings(forgetful)).size).toBeGreaterThan(0);
  });

  it("finds that a refused append is passed over", async () => {
    const careless = (ports: Ports): Ports => ({
      ...ports,
      journal: {
        ...ports.journal,
        append: (...turn) => {
          try {
            ports.journal.append(...turn);
          } catch {
            // Passed over.
          }
        },
      },
    });
    expect((await findings(careless, 150)).size).toBeGreaterThan(0);
  });
});
