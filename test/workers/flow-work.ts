/** Work that counts itself: who is at work is known by the steps, whatever the engine believes. */
import { workflow, type Definition } from "../../src/define/index.ts";

/** At most so many runs of the test workflows work at a time. */
export const AT_A_TIME = 5;

/** By workflow, as names are of one test each. */
class Work {
  /** Runs whose first step has begun and whose last has not ended: also while their object is dead. */
  readonly inside = new Set<string>();
  readonly done = new Set<string>();
  /** In the order in which they began. */
  readonly begun: string[] = [];
  most = 0;
  /** Until it is opened nobody leaves. */
  isOpen = true;

  enter(run: string): void {
    if (this.done.has(run) || this.inside.has(run)) return;
    this.inside.add(run);
    this.begun.push(run);
    this.most = Math.max(this.most, this.inside.size);
  }

  leave(run: string): void {
    this.inside.delete(run);
    this.done.add(run);
  }
}

const works = new Map<string, Work>();

export function workOf(name: string): Work {
  const work = works.get(name) ?? new Work();
  works.set(name, work);
  return work;
}

const safe = { effect: "safe", retry: { attempts: 50, initial: "5ms", factor: 1 } } as const;

/** Enters, works for some milliseconds and until the door is open, and leaves. */
function working(name: string, options: Parameters<typeof workflow>[1]): Definition {
  return workflow(name, options)
    .step("enter", { ...safe, run: ({ run }) => workOf(name).enter(run.id) })
    .step("work", {
      ...safe,
      needs: ["enter"],
      run: async () => {
        do await scheduler.wait(Math.random() * 10);
        while (!workOf(name).isOpen);
      },
    })
    .step("leave", { ...safe, needs: ["work"], run: ({ run }) => workOf(name).leave(run.id) })
    .output(() => null);
}

export const flowWorkflows: readonly Definition[] = [
  working("t-five", { version: "1", flow: { concurrency: { limit: AT_A_TIME } } }),
  working("t-one-each", {
    version: "1",
    flow: { concurrency: { limit: 1, key: "input.customer" }, priority: "input.urgent ? 10 : 0" },
  }),
  working("t-metered", { version: "1", flow: { concurrency: { limit: 1 } } }),
  working("t-unmetered", { version: "1" }),
  working("t-rated", { version: "1", flow: { rate: { limit: 1, per: "1h", key: "run.user" } } }),
  working("t-narrow", { version: "1", flow: { concurrency: { limit: 1 }, queue: { limit: 1 } } }),
];
