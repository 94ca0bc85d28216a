/**
 * A list that stays in order: looked up, counted and changed by halving. What stands in it must not change its order while it
 * does. Up to some ten thousand members a change moves a piece of memory, which takes microseconds.
 */
export class SortedList<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  /** @param compare 0 for a member and itself alone */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  first(): T | undefined {
    return this.#items[0];
  }

  firstOnes(count: number): readonly T[] {
    return this.#items.slice(0, count);
  }

  add(item: T): void {
    this.#items.splice(this.#placeOf(item), 0, item);
  }

  /** Answers whether it was there. */
  remove(item: T): boolean {
    const place = this.rankOf(item);
    if (place === null) return false;
    this.#items.splice(place, 1);
    return true;
  }

  /** How many stand before it; null: it is not there. */
  rankOf(item: T): number | null {
    const place = this.#placeOf(item);
    const there = this.#items[place];
    return there !== undefined && this.#compare(there, item) === 0 ? place : null;
  }

  /** Where it stands, or would. */
  #placeOf(item: T): number {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = this.#items[middle];
      if (there !== undefined && this.#compare(there, item) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
