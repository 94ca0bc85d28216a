/**
 * Deeds: what really happened. A booking made, a message sent, a call placed, a charge taken.
 * The services use this as their database, so what they answer and what the referee counts cannot differ.
 *
 * D1 a deed is never removed; undoing it sets `undoneAt`, once;
 * D2 a deed is a duplicate if, at the moment it happened, another deed of the same service and kind
 *    stood with the same reference or the same idempotency key. Undoing one later does not take that back;
 *    doing it again after it was undone is no duplicate.
 */

/** Beyond it the services answer 507. */
export const MAX_DEEDS = 200_000;

export interface Deed {
  id: string;
  service: string;
  /** `booking`, `message`, `call`, ... */
  kind: string;
  /** The client's name for the business effect: header `X-Reference` or body field `reference`. */
  reference: string | null;
  key: string | null;
  at: number;
  /** The ledger entry that did it. */
  seq: number;
  undoneAt: number | null;
  data: Record<string, unknown>;
}

export interface Duplicate {
  service: string;
  kind: string;
  reference: string | null;
  /** The deed that stood, and the one that came on top. */
  first: string;
  second: string;
  /** At least one of the two carried an idempotency key. */
  keyed: boolean;
}

export interface DeedFilter {
  service?: string;
  kind?: string;
  /** Matches the reference or the key. */
  reference?: string;
  key?: string;
  /** true: not undone; false: undone. */
  standing?: boolean;
}

export interface DeedTotals {
  made: number;
  undone: number;
  standing: number;
  duplicates: number;
  /** Deeds without reference and key: whether they happened twice cannot be told. */
  nameless: number;
}

export class Deeds {
  readonly #deeds = new Map<string, Deed>();
  /** By reference and by key: the deeds that carry it. */
  readonly #named = new Map<string, Deed[]>();
  readonly #duplicates: Duplicate[] = [];
  readonly #totals = { made: 0, undone: 0, nameless: 0 };

  get full(): boolean {
    return this.#deeds.size >= MAX_DEEDS;
  }

  get totals(): DeedTotals {
    const { made, undone, nameless } = this.#totals;
    return { made, undone, standing: made - undone, duplicates: this.#duplicates.length, nameless };
  }

  made(deed: Deed): void {
    const names = new Set([deed.reference, deed.key].filter((name) => name !== null));
    const standing = [...names].flatMap((name) => this.#named.get(name) ?? []);
    const first = standing.find((other) => other.undoneAt === null && sameEffect(other, deed));
    if (first !== undefined) {
      this.#duplicates.push({
        service: deed.service,
        kind: deed.kind,
        reference: deed.reference ?? first.reference,
        first: first.id,
        second: deed.id,
        keyed: first.key !== null || deed.key !== null,
      });
    }
    for (const name of names) {
      const others = this.#named.get(name);
      if (others === undefined) this.#named.set(name, [deed]);
      else others.push(deed);
    }
    this.#deeds.set(idOf(deed.service, deed.id), deed);
    this.#totals.made += 1;
    if (names.size === 0) this.#totals.nameless += 1;
  }

  undone(service: string, id: string, at: number): void {
    const deed = this.#deeds.get(idOf(service, id));
    if (deed === undefined || deed.undoneAt !== null) return;
    deed.undoneAt = at;
    this.#totals.undone += 1;
  }

  get(service: string, id: string): Deed | undefined {
    return this.#deeds.get(idOf(service, id));
  }

  /** Oldest first. */
  list(filter: DeedFilter = {}): Deed[] {
    const name = filter.reference ?? filter.key;
    const pool = name === undefined ? [...this.#deeds.values()] : (this.#named.get(name) ?? []);
    return pool.filter(
      (deed) =>
        (filter.service === undefined || deed.service === filter.service) &&
        (filter.kind === undefined || deed.kind === filter.kind) &&
        (filter.key === undefined || deed.key === filter.key) &&
        (filter.standing === undefined || (deed.undoneAt === null) === filter.standing),
    );
  }

  duplicates(): Duplicate[] {
    return [...this.#duplicates];
  }
}

function idOf(service: string, id: string): string {
  return `${service} ${id}`;
}

function sameEffect(one: Deed, other: Deed): boolean {
  if (one.service !== other.service || one.kind !== other.kind) return false;
  return (
    (one.reference !== null && one.reference === other.reference) ||
    (one.key !== null && one.key === other.key)
  );
}
