/** Virtual time: what happens next, and when. Nothing here waits. */

export interface Event {
  readonly at: number;
  readonly run: () => void | Promise<void>;
  cancelled: boolean;
}

interface Entry {
  readonly event: Event;
  readonly order: number;
}

/** A binary heap by time; at the same time, by the order in which things were scheduled. */
export class Schedule {
  readonly #heap: Entry[] = [];
  #order = 0;
  now: number;

  constructor(start: number) {
    this.now = start;
  }

  /** `ms` from now. */
  after(ms: number, run: Event["run"]): Event {
    return this.at(this.now + ms, run);
  }

  /** A time that has passed means now. */
  at(at: number, run: Event["run"]): Event {
    const event = { at: Math.max(at, this.now), run, cancelled: false };
    const entry = { event, order: this.#order++ };
    let i = this.#heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#before(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
    return event;
  }

  /** Takes the next event and moves the clock to it; null when nothing is left. */
  pop(): Event | null {
    for (;;) {
      const first = this.#heap[0];
      const last = this.#heap.pop();
      if (first === undefined || last === undefined) return null;
      if (this.#heap.length > 0) {
        this.#heap[0] = last;
        this.#sink();
      }
      if (first.event.cancelled) continue;
      this.now = first.event.at;
      return first.event;
    }
  }

  #sink(): void {
    let i = 0;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < this.#heap.length && this.#before(child, least)) least = child;
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #before(i: number, j: number): boolean {
    const a = this.#heap[i]!;
    const b = this.#heap[j]!;
    return a.event.at === b.event.at ? a.order < b.order : a.event.at < b.event.at;
  }

  #swap(i: number, j: number): void {
    [this.#heap[i], this.#heap[j]] = [this.#heap[j]!, this.#heap[i]!];
  }
}
