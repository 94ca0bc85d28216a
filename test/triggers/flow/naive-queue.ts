/** The rules of a queue in their plainest form, over lists that are looked through from end to end: what the real one must agree with. */
import type { Ask } from "../../../src/triggers/flow/flow-rules.ts";
import { keysOf, type Keys, type Settings, settingsOf } from "../../../src/triggers/flow/place.ts";

export interface NaiveRun {
  readonly run: string;
  readonly generation: number;
  readonly at: number;
  readonly keys: Keys;
  readonly priority: number;
  order: number;
  firstAt: number;
  stage: "quiet" | "queued" | "admitted" | "superseded";
  dueAt: number;
  by: string | null;
}

export class NaiveQueue {
  now = 0;
  settings: Settings | null = null;
  runs: NaiveRun[] = [];
  starts: { key: string; at: number }[] = [];
  readonly #gone = new Map<string, number>();
  #order = 0;

  enqueue({ run, generation, at, place }: Ask, now: number): { admitted: boolean; full: boolean } {
    this.wake(now);
    const known = this.runs.find((one) => one.run === run);
    if (known !== undefined && known.generation >= generation)
      return { admitted: known.generation === generation && known.stage === "admitted", full: false };
    if ((this.#gone.get(run) ?? 0) >= generation) return { admitted: false, full: false };
    this.runs = this.runs.filter((one) => one.run !== run);
    this.settings = settingsOf(place);
    if (this.settings.rate === null) this.starts = [];
    this.#start();
    this.#order += 1;
    const comes: NaiveRun = {
      ...{ run, generation, at, keys: keysOf(place), priority: place.priority, order: this.#order },
      ...{ firstAt: now, stage: "queued", dueAt: 0, by: null },
    };
    const { debounce } = place;
    const there = this.runs.find(
      ({ stage, keys }) =>
        debounce !== undefined && keys.debounce === debounce.key && (stage === "quiet" || stage === "queued"),
    );
    this.runs.push(comes);
    if (debounce !== undefined) {
      if (there !== undefined && (there.at > at || (there.at === at && there.run > run)))
        Object.assign(comes, { stage: "superseded", by: there.run });
      else {
        if (there !== undefined) {
          comes.order = there.order;
          comes.firstAt = there.firstAt;
          Object.assign(there, { stage: "superseded", by: run });
        }
        comes.dueAt = Math.min(now + debounce.forMs, comes.firstAt + debounce.maxMs);
        comes.stage = comes.dueAt > now ? "quiet" : "queued";
      }
    }
    this.#start();
    const waiting = this.runs.filter(({ stage }) => stage === "quiet" || stage === "queued").length;
    const waits = comes.stage === "quiet" || comes.stage === "queued";
    if (!waits || waiting <= place.maxQueued || there !== undefined)
      return { admitted: comes.stage === "admitted", full: false };
    this.runs = this.runs.filter((one) => one !== comes);
    return { admitted: false, full: true };
  }

  release(run: string, generation: number, now: number): void {
    this.wake(now);
    const known = this.runs.find((one) => one.run === run);
    if (known !== undefined && known.generation > generation) return;
    this.runs = this.runs.filter((one) => one.run !== run);
    this.#gone.set(run, generation);
    this.#start();
  }

  wake(now: number): void {
    this.now = now;
    for (const one of this.runs)
      if (one.stage === "quiet" && one.dueAt <= now) Object.assign(one, { stage: "queued", dueAt: 0 });
    this.#start();
  }

  /** Who is not known to have ended may come again under the same generation. */
  die(): void {
    this.#gone.clear();
  }

  held(index: number, key: string): number {
    return this.runs.filter(({ stage, keys }) => stage === "admitted" && keys.concurrency[index] === key)
      .length;
  }

  inOrder(): NaiveRun[] {
    return this.runs
      .filter(({ stage }) => stage === "queued")
      .sort((a, b) => b.priority - a.priority || a.order - b.order);
  }

  canStart({ keys }: NaiveRun): boolean {
    const { settings, now } = this;
    const rate = settings?.rate ?? null;
    return (
      keys.concurrency.every(
        (key, index) => this.held(index, key) < (settings?.concurrency[index] ?? Number.POSITIVE_INFINITY),
      ) &&
      (keys.rate === null ||
        rate === null ||
        this.starts.filter(({ key, at }) => key === keys.rate && at > now - rate.perMs).length < rate.limit)
    );
  }

  #start(): void {
    for (;;) {
      const next = this.inOrder().find((one) => this.canStart(one));
      if (next === undefined) return;
      next.stage = "admitted";
      if (next.keys.rate !== null && this.settings?.rate !== null)
        this.starts.push({ key: next.keys.rate, at: this.now });
    }
  }
}
