/**
 * Erasing a run: what the object keeps of it, and where else something of it stands.
 *
 * Owns: the order of it. Does not own: what stays of a fact (kernel), how rows are rewritten (journal-store.ts), who asks for it
 * and sees to the other places (the erasure that walks).
 *
 * - Z1 only what has ended is scrubbed: a run that goes on is cancelled first, and asked again later.
 * - Z2 all rows are rewritten in one transaction, together with the end of all that is still to be told and of the key: a death
 *      in the middle leaves the run as it was.
 * - Z3 the life that knew the data is over with that: nothing of its memory is written or answered any more.
 * - Z4 what cannot be read (sealed, or its key has not opened for days) is deleted. Not sooner: a keyring that lacks a key for an
 *      hour would take runs that go on, and what is kept of them in other places would not be known any more.
 */

import { INLINE_NAME } from "../define/index.ts";
import type { Row } from "../driver/index.ts";
import { createScrub, type Fact, type RunState } from "../kernel/index.ts";
import { hasSchema } from "../platform/index.ts";
import { isLockedForGood } from "./failing.ts";
import { forgetFollowed } from "./follower.ts";
import type { JournalStore } from "./journal-store.ts";
import type { Life } from "./life.ts";
import type { Meta } from "./meta.ts";
import { OUTBOX_SCHEMA } from "./schema.ts";

/** Where else something of a run may stand. */
export interface RunPlaces {
  /** Ids of connections that it asked for, or was lent. */
  readonly connections: readonly string[];
  /** Names of events that steps of it wait for. */
  readonly events: readonly string[];
  /** Its queue: the workflow, and the place in it with the digests of its keys. */
  readonly workflow: string;
  readonly queued: boolean;
  readonly place: unknown;
  /** As in `RunInfo`: the hook or event that started it may keep what came. */
  readonly startedBy: string;
}

export interface EraseRun {
  /** The user whose runs are erased; null: this run alone is, whoever's it is, once it has ended. */
  readonly user: string | null;
  /** As in `startedBy`: who asks. */
  readonly by: string;
  /** The places of the run were seen to: what is left of it can go. */
  readonly seen: boolean;
}

/**
 * - `erased`: nothing of its data is here, now or before
 * - `places`: nothing was changed; these have to be seen to first
 * - `later`: it goes on, and was told to end; or cannot be reached just now
 * - `not_ended`: the same of a run that nobody may end for this
 * - `gone`: there is no run here (any more)
 * - `not_theirs`: it is another user's
 */
export type EraseRunAnswer =
  | { readonly kind: "erased" | "later" | "not_ended" | "gone" | "not_theirs" }
  | { readonly kind: "places"; readonly places: RunPlaces };

/** What is needed of the object that the run is in. */
export interface ErasingHost {
  readonly storage: DurableObjectStorage;
  readonly current: () => Promise<Life | null | "failing">;
  readonly meta: () => Meta | null;
  /** In the transaction of the caller. */
  readonly putMeta: (meta: Meta) => void;
  /** The life is over, the key of its texts is gone, and the next one knows what is there now. */
  readonly renew: (meta: Meta, before: Meta) => void;
  /** Deletes the run as its retention would. */
  readonly expire: (meta: Meta) => Promise<void>;
  readonly deliver: (life: Life) => Promise<void>;
}

export async function eraseRun(host: ErasingHost, tenant: string, how: EraseRun): Promise<EraseRunAnswer> {
  const meta = host.meta();
  if (meta === null || meta.tenant !== tenant || meta.deletedUntil !== undefined) return { kind: "gone" };
  if (meta.erased !== undefined) return { kind: "erased" };
  const life = await host.current();
  const now = host.meta() ?? meta;
  if (life === "failing" && !isLockedForGood(now, Date.now())) return { kind: "later" };
  if (life === null || life === "failing") {
    // Z4. Whose it is was said where it is listed.
    await host.expire(now);
    return { kind: "gone" };
  }
  const { driver, journal } = life;
  const { state } = driver;
  if (state === null) return { kind: "gone" };
  if (how.user !== null && state.run.user !== how.user) return { kind: "not_theirs" };
  if (state.phase !== "ended") {
    if (how.user === null) return { kind: "not_ended" };
    // Z1. That it is ending already is no trouble.
    driver.command({ t: "cancel", mode: "immediate", by: how.by });
    if (driver.state?.phase !== "ended") return { kind: "later" };
  }
  if (!how.seen) return { kind: "places", places: placesOf(driver.state ?? state, journal, driver.seq) };
  // What others must know is told once more; what they do not take now goes with the rest.
  await host.deliver(life);
  // It may have been redriven meanwhile.
  if (driver.state?.phase !== "ended" || host.meta()?.erased !== undefined) return { kind: "later" };
  scrub(host, host.meta() ?? now, life);
  return { kind: "erased" };
}

function scrub(host: ErasingHost, meta: Meta, { journal, driver }: Life): void {
  const { storage } = host;
  const { tenant, id } = meta;
  const keepNames = driver.state?.run.workflow !== INLINE_NAME;
  const erased: Meta = { tenant, id, bodyDigest: "", erased: Date.now() };
  storage.transactionSync(() => {
    journal.rewrite(createScrub({ keepNames }));
    if (hasSchema(storage, OUTBOX_SCHEMA)) storage.sql.exec("DELETE FROM outbox");
    forgetFollowed(storage);
    host.putMeta(erased);
  });
  // Z3.
  driver.stop();
  host.renew(erased, meta);
}

/** Rows of the journal per reading. */
const ROWS = 100;
const CONNECTION_ID = /\bconn_[0-9a-z]{26}\b/g;

function placesOf(state: RunState, journal: JournalStore, last: number): RunPlaces {
  const { run, graph } = state;
  const connections = new Set<string>();
  for (let after = 0; after < last;) {
    const rows = journal.after(after, ROWS);
    for (const fact of rows.flatMap((row: Row) => row.facts))
      for (const id of connectionsIn(fact)) connections.add(id);
    const next = rows.at(-1);
    if (next === undefined) break;
    after = next.seq + next.facts.length - 1;
  }
  return {
    connections: [...connections],
    events: [...new Set(graph.steps.flatMap(({ event }) => (event === undefined ? [] : [event])))],
    workflow: run.workflow,
    queued: run.flow !== undefined,
    place: run.flow?.place ?? null,
    startedBy: run.startedBy,
  };
}

function connectionsIn(fact: Fact): readonly string[] {
  const about =
    fact.t === "parked"
      ? fact.need
      : fact.t === "bound"
        ? fact.to
        : fact.t === "started" || fact.t === "used"
          ? (fact.credentials ?? null)
          : null;
  return about === null ? [] : (JSON.stringify(about).match(CONNECTION_ID) ?? []);
}
