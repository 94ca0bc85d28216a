/**
 * Makes links of the chains: what was written of the audit becomes what cannot be changed unnoticed.
 *
 * Owns the order of reads and writes. Does not own the form of a link (audit-chain.ts), nor who writes entries: these do not
 * know of the chain, so it costs them nothing.
 *
 * - S1 a range of entries can be closed: D1 has one writer, so `seq` is given out in the order of commits, and what commits
 *   after an entry was read has a higher one. The link is written only if the range still holds as many as were read.
 * - S2 a use is covered once it is final: its attempt has ended, or said nothing for a week. From then on nothing changes it.
 * - S3 of two sealers one wins: the number of a link is unique, and follows the last. Who loses has written nothing.
 * - S4 what a link covers, the marks on uses, and the link are one transaction: death leaves all or nothing, and an answer
 *   that is lost is found written by the next one.
 * - S5 what has had its time is dropped only after a link says so: the link is authentic, so whoever finds rows missing can tell.
 */
import { integer, type Logger, type Row } from "../platform/index.ts";
import { type AuditLink, entryLine, hashLines, signLink, useLine } from "./audit-chain.ts";
import { insertLink, MAX_COVERED, type Open, selectLast, selectOpen } from "./audit-links-store.ts";
import { DEFAULT_RETENTION, type Retention } from "./retention.ts";

const DAY_MS = 24 * 60 * 60_000;

export interface SealingDeps {
  readonly db: D1Database;
  readonly serverKey: () => Promise<CryptoKey>;
  /** Null: it cannot be known just now, and nothing is dropped. */
  readonly retention: (tenant: string) => Promise<Retention | null>;
  readonly log: Logger;
  readonly now: () => number;
}

/** What goes, goes with the end of a day, so that this is written down once a day. */
export function today(now: number): number {
  return now - (now % DAY_MS);
}

export type Sealed =
  | {
      readonly kind: "made";
      readonly link: AuditLink;
      /** Nothing more was there to cover. */ readonly all: boolean;
    }
  /** There is nothing that a new link would say. */
  | { readonly kind: "nothing" }
  /** Another made a link at the same moment. */
  | { readonly kind: "lost" };

/** Makes the next link of a chain, if there is anything for it. Two calls of the database, and one more where another was first. */
export async function sealNext(deps: SealingDeps, tenant: string | null): Promise<Sealed> {
  const { db, serverKey, retention, now } = deps;
  const at = now();
  const kept = tenant === null ? DEFAULT_RETENTION : await retention(tenant);
  const days = kept?.auditDays ?? null;
  const before = {
    entries: days === null ? null : today(at) - days * DAY_MS,
    uses: kept === null ? 0 : today(at) - kept.usesDays * DAY_MS,
  };
  const open = await selectOpen(db, tenant ?? "", at, before);
  const old = days === null ? null : open.old;
  if (open.entries.length === 0 && open.uses.length === 0 && old === null && open.oldUses === null)
    return { kind: "nothing" };
  const link = await signLink(await serverKey(), {
    ...(await bodyOf(tenant, at, open)),
    dropped: old?.number ?? open.last?.dropped ?? 0,
    dropped_through: old?.through ?? open.last?.dropped_through ?? 0,
    uses_dropped: open.oldUses ?? open.last?.uses_dropped ?? 0,
  });
  try {
    await insertLink(db, link, open.uses, old === null ? null : days);
  } catch (error) {
    // S3, S4: another's, or ours, whose answer was lost.
    const last = await selectLast(db, tenant ?? "");
    if (last === null || last.number < link.number) throw error;
    return { kind: "lost" };
  }
  return { kind: "made", link, all: open.entries.length < MAX_COVERED && open.uses.length < MAX_COVERED };
}

async function bodyOf(
  tenant: string | null,
  at: number,
  { last, entries, uses }: Open,
): Promise<Omit<Parameters<typeof signLink>[1], "dropped" | "dropped_through" | "uses_dropped">> {
  const after = last?.through ?? 0;
  const newest = entries.at(-1);
  return {
    ...{ type: "link", v: 1, tenant, number: (last?.number ?? 0) + 1, after },
    through: newest === undefined ? after : integer(newest, "seq"),
    entries: entries.length,
    entries_sha256: await hashLines(entries.map(entryLine)),
    entries_until: latest(entries),
    uses: uses.length,
    uses_sha256: await hashLines(uses.map(useLine)),
    uses_until: latest(uses),
    ...{ at, previous: last?.hash ?? "" },
  };
}

function latest(rows: readonly Row[]): number | null {
  return rows.length === 0 ? null : Math.max(...rows.map((row) => integer(row, "at")));
}

/** Makes links until nothing is left to cover, at most so many. */
export async function sealAll(deps: SealingDeps, tenant: string | null, most: number): Promise<void> {
  for (let made = 0; made < most; made++) {
    const sealed = await sealNext(deps, tenant);
    if (sealed.kind === "nothing" || (sealed.kind === "made" && sealed.all)) return;
  }
}
