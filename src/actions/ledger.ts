/**
 * What one attempt was lent, and where each credential was sent: for the journal, and through it for the audit.
 *
 * Owns: the record of one attempt. Does not own: the leases, or who reads it. What is told of a credential is opaque here,
 * and never the credential.
 *
 * - E1 what `acquire` gave stands first, in its order, whether it was sent or not: so it can be told by its place from when
 *   the attempt began. What the function found on its first use stands behind it.
 */

import type { Json } from "../kernel/index.ts";
import type { Lease } from "../platform/index.ts";

/** Hosts that are named of one credential; of more, how many there are. */
export const MAX_HOSTS = 8;

export interface LedgerEntry {
  /** Of the newest that was sent: a renewal has another version. */
  about: Lease["about"];
  readonly hosts: Set<string>;
}

export class Ledger {
  readonly #entries: { readonly lease: Lease; readonly entry: LedgerEntry }[];

  /** @param lent what `acquire` gave, in its order */
  constructor(lent: readonly Lease[]) {
    this.#entries = lent.map((lease) => ({ lease, entry: newEntry(lease) }));
  }

  /** The entry of a lease, which may come in the middle of the attempt. */
  of(lease: Lease): LedgerEntry {
    const found = this.#entries.find((one) => one.lease === lease);
    if (found !== undefined) return found.entry;
    const entry = newEntry(lease);
    this.#entries.push({ lease, entry });
    return entry;
  }

  /** For the end of the attempt: nothing where nothing was lent. */
  get told(): { readonly credentials?: Json } {
    if (this.#entries.length === 0) return {};
    return { credentials: this.#entries.map(({ entry }) => plain(entry)) };
  }
}

function newEntry({ about }: Lease): LedgerEntry {
  return { about, hosts: new Set() };
}

function plain({ about, hosts }: LedgerEntry): Json {
  const named = [...hosts].slice(0, MAX_HOSTS);
  const more = hosts.size - named.length;
  return { ...about, hosts: named, ...(more > 0 ? { more_hosts: more } : {}) };
}
