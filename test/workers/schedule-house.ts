/** The surroundings of schedule objects in tests: a clock, runs and makers that do what a test says. */
import { createLogger, importHmacKey, runIdOf } from "../../src/platform/index.ts";
import type { ListedSchedule } from "../../src/triggers/schedule-list-store.ts";
import type { ScheduledStart, SchedulePorts } from "../../src/triggers/schedule-ports.ts";

/** Later than any real time, so that no alarm fires but by the tests' own hand. */
const BEGINNING = Date.UTC(2200, 0, 1);

/** What becomes of the next call to a run. */
export type StartFate = "ok" | "lost before" | "lost after" | "dies before" | "dies after" | "refused";

export class ScheduleHouse {
  now = BEGINNING;
  /** By id, with how often its start was asked for. */
  readonly runs = new Map<string, { readonly start: ScheduledStart; asked: number; isLive: boolean }>();
  readonly cancelled: string[] = [];
  readonly fates: StartFate[] = [];
  /** Actors whose keys were revoked. */
  readonly revoked = new Set<string>();
  readonly lines: string[] = [];
  /** What the schedules have said of themselves, by name. */
  readonly list = new Map<string, ListedSchedule>();
  listIsAway = false;
  listIsFull = false;
  /** Chance gives the fates once the list is empty. */
  nextFate: () => StartFate = () => "ok";

  later(ms: number): void {
    this.now += ms;
  }

  endAll(): void {
    for (const run of this.runs.values()) run.isLive = false;
  }

  ports(ctx: DurableObjectState): SchedulePorts {
    const die = async (): Promise<never> => {
      ctx.abort("killed by a test");
      return new Promise<never>(() => {});
    };
    return {
      now: () => this.now,
      log: createLogger("debug", (_, line) => this.lines.push(line)),
      runIdOf: async (source) => runIdOf(await importHmacKey(new Uint8Array(32).fill(9)), source),
      wasStarted: async ({ run, bodyDigest }) => {
        const there = this.runs.get(run);
        if (there !== undefined && there.start.bodyDigest !== bodyDigest) throw new Error("another body");
        return there !== undefined;
      },
      start: async (start) => {
        // As the platform does: a call leaves when what was written before it is on disk.
        await ctx.storage.sync();
        const fate = this.fates.shift() ?? this.nextFate();
        if (fate === "dies before") return die();
        if (fate === "lost before") throw new Error("Network connection lost.");
        const there = this.runs.get(start.run);
        if (there !== undefined) {
          there.asked += 1;
          if (there.start.bodyDigest !== start.bodyDigest) throw new Error("another body");
        } else if (fate === "refused") return { kind: "refused", code: "unknown_workflow", message: "Gone." };
        else this.runs.set(start.run, { start, asked: 1, isLive: true });
        if (fate === "dies after") return die();
        if (fate === "lost after") throw new Error("Network connection lost.");
        return { kind: "started" };
      },
      isLive: async (_tenant, run) => this.runs.get(run)?.isLive === true,
      cancel: async (_tenant, run) => {
        this.cancelled.push(run);
        const there = this.runs.get(run);
        if (there !== undefined) there.isLive = false;
      },
      makerStands: async (_tenant, { actor }) => !this.revoked.has(actor),
      list: {
        put: async (line) => {
          if (this.listIsAway) throw new Error("The list is away.");
          if (this.listIsFull) return false;
          this.list.set(line.name, line);
          return true;
        },
        remove: async (_tenant, name) => {
          if (this.listIsAway) throw new Error("The list is away.");
          this.list.delete(name);
        },
      },
    };
  }
}

/** In which the schedule objects live whose life begins from now on; null: in the Worker's own, with a clock that can be set ahead. */
export const scheduleHouses = {
  current: null as ScheduleHouse | null,
  aheadMs: 0,
  now: (): number => Date.now() + scheduleHouses.aheadMs,
};
