/** PERSISTED CONTRACT. What an object knows of itself beside the journal: one entry of its key-value part. */

const META_KEY = "meta";

export interface Meta {
  readonly tenant: string;
  readonly id: string;
  /** Digest of the body that started the run: the same key with another body is another request. */
  readonly bodyDigest: string;
  /**
   * Of a confidential run: the key of its texts, sealed by the vault, and the number of the first fact that was written
   * under it. The only copy: without it nothing of the run opens.
   */
  readonly key?: { readonly sealed: string; readonly from: number };
  /** Since when the key does not open under the keyring that is here; gone once it does. */
  readonly lockedSince?: number;
  /** Lives that failed, one after the other (`failing.ts`); this and the next two are gone with the first that works. */
  readonly failedLives?: number;
  /** When the first of them failed. */
  readonly failingSince?: number;
  /** When the last of them failed. */
  readonly failedAt?: number;
  /** Set on a run whose lives have failed for days: it is over, and says so. */
  readonly sealed?: { readonly at: number; readonly reason: string };
  /** When the data of the run were erased; what is left tells how it went. */
  readonly erased?: number;
  /** Set when the run was deleted after its retention: its id stays taken until then. */
  readonly deletedUntil?: number;
}

export function readMeta(storage: DurableObjectStorage): Meta | null {
  return storage.kv.get<Meta>(META_KEY) ?? null;
}

export function writeMeta(storage: DurableObjectStorage, meta: Meta): void {
  storage.kv.put(META_KEY, meta);
}
