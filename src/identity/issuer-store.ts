/**
 * What an issuer object keeps on its disk. Owns the names of its entries and their shapes, which are a PERSISTED CONTRACT: they
 * only gain optional fields. All calls are synchronous: what is read and written together is of one moment.
 *
 * - R1 every change raises the revision, and is due to be told to the database in the same write.
 * - R2 the private half of a key that does not sign any more is not kept.
 */
import type { SigningKey } from "./signing-keys.ts";

export interface KeptKey extends SigningKey {
  /** The private half, sealed for its own place; null: shredded. */
  readonly sealed: string | null;
}

export interface KeptIssuer {
  readonly tenant: string;
  readonly revision: number;
  /** How many keys there ever were. */
  readonly made: number;
  readonly keys: readonly KeptKey[];
  /** When the database is told, and how often that has failed; null: it knows. */
  readonly mirror: { readonly at: number; readonly tries: number } | null;
}

/** What anybody may see of a key: named one by one, so that nothing else comes along. */
export function publicPart(key: KeptKey): SigningKey {
  const { kid, n, e, number, state, aheadMs, madeAt, publishedAt, activeAt, retiredAt } = key;
  return { kid, n, e, number, state, aheadMs, madeAt, publishedAt, activeAt, retiredAt };
}

const ENTRY = "issuer";

export class IssuerStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  get(): KeptIssuer | undefined {
    return this.#storage.kv.get<KeptIssuer>(ENTRY);
  }

  put(issuer: KeptIssuer): void {
    this.#storage.kv.put(ENTRY, issuer);
  }

  /** R1, R2. The very same list of keys: nothing changes. */
  change(
    now: number,
    work: (issuer: KeptIssuer) => readonly KeptKey[],
    more: Partial<Pick<KeptIssuer, "made">> = {},
  ): void {
    const before = this.get();
    if (before === undefined) return;
    const keys = work(before);
    if (keys === before.keys) return;
    this.put({
      ...before,
      revision: before.revision + 1,
      ...more,
      keys: keys.map((key) => (key.state === "retired" ? { ...key, sealed: null } : key)),
      mirror: { at: now, tries: 0 },
    });
  }
}
