/**
 * The keys of confidential runs: makes them, opens them, and knows which there are. Each stands sealed in the object of its
 * run, the only copy; a row says under which key of the vault, for counting and for finding it.
 *
 * - N1 a row is there before its key is kept, so that no key is missed in the counts; a row whose run kept no key, or was
 *   deleted, is taken away when keys are moved.
 * - N2 a row says the new key of the vault only once the run's object has kept the key that is sealed under it.
 */
import {
  base64url,
  err,
  fromBase64,
  integer,
  type Logger,
  ok,
  type Result,
  type Row,
  text,
} from "../platform/index.ts";
import type { Place } from "./envelope.ts";
import { VaultError, type VaultFaultCode } from "./faults.ts";
import type { SealedRecords } from "./operations.ts";
import type { Vault } from "./vault.ts";

/** What the texts of a run are sealed under: 256 bits, for XChaCha20-Poly1305. */
const KEY_BYTES = 32;
/** A run that begins keeps its key within moments after its row is there; until then nobody takes the row for left over. */
const BEGINS_WITHIN_MS = 10 * 60_000;

export interface RunKeysDeps {
  readonly db: D1Database;
  /** Throws where there is no keyring that can be read. */
  readonly vault: () => Vault;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface RunKeyFault {
  /** It may open later: another keyring is here, or none that can be read. Else it was changed, or is another run's. */
  readonly passes: boolean;
  readonly message: string;
}

/** PERSISTED CONTRACT: places are part of what is sealed. */
function placeOf(tenant: string, run: string): Place {
  return { purpose: "run", tenant, record: run, field: "key", version: 1 };
}

export function createRunKeys({ db, vault, now }: RunKeysDeps) {
  /** N1, N2. */
  const note = async (tenant: string, run: string, kid: string): Promise<void> => {
    await db
      .prepare(
        `INSERT INTO run_keys (tenant, run, kid, made_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (tenant, run) DO UPDATE SET kid = excluded.kid`,
      )
      .bind(tenant, run, kid, now())
      .run();
  };
  return {
    /** Rejects while nothing can be sealed, or the row cannot be written. */
    async make(tenant: string, run: string): Promise<{ readonly key: Uint8Array; readonly sealed: string }> {
      const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
      const sealed = await vault().seal(placeOf(tenant, run), base64url(key));
      await note(tenant, run, vault().active);
      return { key, sealed };
    },
    async open(tenant: string, run: string, sealed: string): Promise<Result<Uint8Array, RunKeyFault>> {
      const opened = await openIn(vault, placeOf(tenant, run), sealed);
      if (!opened.ok) return opened;
      const key = fromBase64(opened.value);
      return key?.length === KEY_BYTES ? ok(key) : err({ passes: false, message: "It is no key of a run." });
    },
    isCurrent(sealed: string): boolean {
      const known = vault();
      return known.kidOf(sealed) === known.active;
    },
    async renew(tenant: string, run: string, sealed: string): Promise<string> {
      const renewed = await vault().rewrap(placeOf(tenant, run), sealed);
      if (!renewed.ok) throw new VaultError("unavailable", renewed.error.message);
      return renewed.value;
    },
    async renewed(tenant: string, run: string, sealed: string): Promise<void> {
      const kid = vault().kidOf(sealed);
      if (kid !== null) await note(tenant, run, kid);
    },
    async forget(tenant: string, run: string): Promise<void> {
      await db.prepare("DELETE FROM run_keys WHERE tenant = ? AND run = ?").bind(tenant, run).run();
    },
  };
}

async function openIn(
  vault: () => Vault,
  place: Place,
  sealed: string,
): Promise<Result<string, RunKeyFault>> {
  try {
    const opened = await vault().open(place, sealed);
    return opened.ok ? opened : err({ passes: passes(opened.error.code), message: opened.error.message });
  } catch {
    return err({ passes: true, message: "The keyring here cannot be read." });
  }
}

function passes(code: VaultFaultCode): boolean {
  return code === "unknown_key";
}

export interface RunKeyRecordsDeps extends Pick<RunKeysDeps, "db" | "now"> {
  /** Asks the object of a run to seal its key anew; false: it has none, or there is no such run. */
  readonly renew: (tenant: string, run: string) => Promise<boolean>;
  readonly log: Logger;
}

/** For counting and moving. Only the objects of runs write their keys; the rows follow. */
export function runKeyRecords({ db, renew, log, now }: RunKeyRecordsDeps): SealedRecords {
  // Goes on behind what could not be moved, and begins anew at the end.
  let after = "";
  return {
    kind: "runs",
    async countByKid() {
      const { results } = await db.prepare("SELECT kid, count(*) AS n FROM run_keys GROUP BY kid").all<Row>();
      return Object.fromEntries(results.map((row) => [text(row, "kid"), integer(row, "n")]));
    },
    async rewrapSome(vault, limit) {
      const { results } = await db
        .prepare(
          `SELECT tenant, run, tenant || ':' || run AS place FROM run_keys
           WHERE kid <> ? AND tenant || ':' || run > ? ORDER BY place LIMIT ?`,
        )
        .bind(vault.active, after, limit)
        .all<Row>();
      after = results.length < limit ? "" : text(results.at(-1) ?? {}, "place");
      const asked = await Promise.allSettled(
        results.map(async (row) => renew(text(row, "tenant"), text(row, "run"))),
      );
      const failed = asked.filter(({ status }) => status === "rejected").length;
      if (failed > 0) log.warn("run_keys.not_moved", { failed });
      const places = (of: boolean): string =>
        JSON.stringify(
          results.flatMap((row, i) => {
            const answer = asked[i];
            return answer?.status === "fulfilled" && answer.value === of ? [text(row, "place")] : [];
          }),
        );
      // An object may have another keyring than whoever asks it: what its row says counts.
      const [moved] = await db.batch<Row>([
        db
          .prepare(
            `SELECT count(*) AS n FROM run_keys
             WHERE tenant || ':' || run IN (SELECT value FROM json_each(?)) AND kid = ?`,
          )
          .bind(places(true), vault.active),
        db
          .prepare(
            `DELETE FROM run_keys
             WHERE tenant || ':' || run IN (SELECT value FROM json_each(?)) AND made_at < ?`,
          )
          .bind(places(false), now() - BEGINS_WITHIN_MS),
      ]);
      const [row] = moved?.results ?? [];
      return row === undefined ? 0 : integer(row, "n");
    },
  };
}
