/**
 * What an operator does with keys: sees what is under which, moves records under the active one, and gives one up.
 * Owns the order of these. Records belong to the rooms that keep them, and join by `SealedRecords`.
 *
 * - O1 a key is dropped only if no record is under it, none can come to be, and the audit says so first.
 * - O2 a sweep that cannot write under the active key writes nothing.
 */
import { type AuditSink, err, type Logger, ok, type Result } from "../platform/index.ts";
import { VaultError } from "./faults.ts";
import { COARSE_MS, FRESH_MS, type KeyCheck, type Proof } from "./key-check.ts";
import { isKid, type Keyring } from "./keyring.ts";
import { markDropped, selectKeys, unmarkDropped } from "./keys-store.ts";
import type { Vault } from "./vault.ts";

/** Records of one kind that hold sealed texts: how a room joins in. */
export interface SealedRecords {
  /** `connections`, `integrations`: for people, unique. */
  readonly kind: string;
  /**
   * How many records have a text under each key, those that were derived under it included. A record that stands in two places
   * (an object, and its row in D1) is under the old key for as long as one of them is.
   */
  countByKid(): Promise<Readonly<Record<string, number>>>;
  /**
   * Moves at most `limit` records under the active key of the vault, with at most `limit` + 2 outside calls; answers how many.
   * A record that changes meanwhile is left to its writer. One that does not open is logged and passed over, so that it never
   * stops those behind it; it stays in the counts.
   */
  rewrapSome(vault: Vault, limit: number): Promise<number>;
}

export interface VaultKey {
  readonly kid: string;
  readonly active: boolean;
  /** Whether the keyring of the isolate that answers has it. */
  readonly inKeyring: boolean;
  /** Null: not here, so nobody can tell. */
  readonly proof: Proof | null;
  /** When a deployed isolate first had it. Milliseconds since 1970, as the others. */
  readonly addedAt: number | null;
  readonly sealedAt: number | null;
  readonly droppedAt: number | null;
  readonly records: Readonly<Record<string, number>>;
  /** Why it cannot be dropped now; null: it can, or it is. */
  readonly inUse: string | null;
}

export interface DropRefusal {
  readonly code: "not_found" | "key_in_use" | "wrong_keyring" | "unavailable";
  readonly message: string;
  readonly records: Readonly<Record<string, number>>;
}

export interface Swept {
  readonly active: string;
  readonly rewrapped: Readonly<Record<string, number>>;
  /** Records that are not under the active key yet, by kind. */
  readonly left: Readonly<Record<string, number>>;
}

export interface VaultOperations {
  /** Names of the keys of the keyring here. */
  readonly kids: readonly string[];
  keys(): Promise<readonly VaultKey[]>;
  /** Moves at most `limit` records in all. Throws a VaultError: nothing was written. */
  rewrap(limit: number): Promise<Swept>;
  /** Gives a key up: from then on nothing is sealed under it. Answers since when; again for one that is dropped already. */
  drop(kid: string, actor: string): Promise<Result<number, DropRefusal>>;
  /** What the cron trigger does, with at most `calls` outside calls. Never throws. */
  tick(calls: number): Promise<void>;
}

export interface OperationsDeps {
  readonly db: D1Database;
  readonly keyring: Keyring;
  readonly check: KeyCheck;
  readonly vault: Vault;
  readonly records: readonly SealedRecords[];
  readonly audit: AuditSink;
  readonly log: Logger;
  readonly now: () => number;
}

/**
 * A key that sealed something so lately may do so again: an isolate that has an old keyring goes on for FRESH_MS before it
 * asks, its record is coarse, and what it sealed may still be on its way into its row.
 */
export const QUIET_MS = 5 * (FRESH_MS + COARSE_MS);
/** Calls of a sweep beside one for each record: proving the key twice, and for each kind those that `rewrapSome` may add. */
const CALLS_TO_SEAL = 2;
const CALLS_PER_KIND = 2;

export function createVaultOperations(deps: OperationsDeps): VaultOperations {
  const { db, keyring, check, vault, records, audit, log, now } = deps;
  const { active } = keyring;

  async function counts(): Promise<ReadonlyMap<string, Readonly<Record<string, number>>>> {
    const byKid = new Map<string, Record<string, number>>();
    for (const one of records) {
      for (const [kid, n] of Object.entries(await one.countByKid())) {
        if (n > 0) byKid.set(kid, { ...byKid.get(kid), [one.kind]: n });
      }
    }
    return byKid;
  }

  /** Why a key cannot be dropped, as far as its record and the counts tell. Null: it can. */
  function inUse(
    kid: string,
    sealedAt: number | null,
    under: Readonly<Record<string, number>>,
  ): string | null {
    if (kid === active) return "It is the active key.";
    const total = sum(under);
    if (total > 0) return `${total} ${total === 1 ? "record is" : "records are"} sealed under it.`;
    if (sealedAt !== null && now() - sealedAt < QUIET_MS)
      return `Something was sealed under it in the last ${QUIET_MS / 60_000} minutes: not every isolate has the new keyring yet.`;
    return null;
  }

  async function sweep(limit: number): Promise<Record<string, number>> {
    // O2. Also where there is nothing to move, a wrong keyring is found here.
    await check.admit(keyring, active);
    const rewrapped: Record<string, number> = {};
    let room = limit;
    for (const one of records) {
      if (room <= 0) break;
      const moved = await one.rewrapSome(vault, room);
      if (moved > 0) rewrapped[one.kind] = moved;
      room -= moved;
    }
    return rewrapped;
  }

  return {
    kids: keyring.kids,
    async keys() {
      const proofs = new Map<string, Proof>();
      for (const kid of keyring.kids) proofs.set(kid, await check.prove(keyring, kid));
      const known = new Map((await selectKeys(db)).map((record) => [record.kid, record]));
      const under = await counts();
      const kids = new Set([...known.keys(), ...keyring.kids, ...under.keys()]);
      return [...kids].map((kid) => {
        const record = known.get(kid);
        const mine = under.get(kid) ?? {};
        return {
          kid,
          active: kid === active,
          inKeyring: keyring.kids.includes(kid),
          proof: proofs.get(kid) ?? null,
          addedAt: record?.createdAt ?? null,
          sealedAt: record?.sealedAt ?? null,
          droppedAt: record?.droppedAt ?? null,
          records: mine,
          inUse: inUse(kid, record?.sealedAt ?? null, mine),
        };
      });
    },

    async rewrap(limit) {
      const rewrapped = await sweep(limit);
      const left: Record<string, number> = {};
      for (const [kid, mine] of await counts()) {
        if (kid === active) continue;
        for (const [kind, n] of Object.entries(mine)) left[kind] = (left[kind] ?? 0) + n;
      }
      return { active, rewrapped, left };
    },

    async drop(kid, actor) {
      if (!isKid(kid))
        return err({ code: "not_found", message: "This is not the name of a key.", records: {} });
      const entry = { at: now(), tenant: null, actor, action: "vault.drop", target: kid } as const;
      const refuse = async (
        code: DropRefusal["code"],
        message: string,
        mine: Readonly<Record<string, number>> = {},
      ): Promise<Result<number, DropRefusal>> => {
        await audit.write({ ...entry, outcome: "refused", detail: { code, records: sum(mine) } });
        return err({ code, message, records: mine });
      };
      // Who has the wrong keyring does not know which key is the active one, either.
      const proof = await check.prove(keyring, active);
      if (proof !== "passed") {
        const code = proof === "failed" ? "wrong_keyring" : "unavailable";
        return refuse(code, `The active key "${active}" could not be proved to be the right one.`);
      }
      const record = (await selectKeys(db)).find((one) => one.kid === kid);
      if (record === undefined) return refuse("not_found", "No such key was ever known here.");
      const mine = (await counts()).get(kid) ?? {};
      const reason = inUse(kid, record.sealedAt, mine);
      if (reason !== null) return refuse("key_in_use", reason, mine);
      if (record.droppedAt !== null) return ok(record.droppedAt);
      // O1.
      const { at } = entry;
      await audit.write({ ...entry, outcome: "granted", detail: {} });
      if (!(await markDropped(db, kid, at, at - QUIET_MS)))
        return refuse("key_in_use", "Something was sealed under it at this very moment.");
      // What was written between the count and the mark.
      const after = (await counts()).get(kid) ?? {};
      if (sum(after) === 0) return ok(at);
      await unmarkDropped(db, kid, at);
      return refuse("key_in_use", inUse(kid, record.sealedAt, after) ?? "It is in use.", after);
    },

    async tick(calls) {
      for (const kid of keyring.kids) await check.prove(keyring, kid);
      const limit = calls - keyring.kids.length - CALLS_TO_SEAL - records.length * CALLS_PER_KIND;
      if (limit <= 0 || records.length === 0) return;
      try {
        const rewrapped = await sweep(limit);
        if (sum(rewrapped) > 0) log.info("vault.rewrapped", { active, ...rewrapped });
      } catch (error) {
        if (error instanceof VaultError && error.code === "wrong_keyring") return;
        log.error("vault.not_rewrapped", { error });
      }
    },
  };
}

function sum(counted: Readonly<Record<string, number>>): number {
  return Object.values(counted).reduce((total, n) => total + n, 0);
}
