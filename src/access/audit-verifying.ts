/**
 * Walks a chain in bounded steps, from its first link or from where the step before came to, and says the first place where
 * what stands in the database is not what was sealed.
 */
import {
  type AuditLink,
  type ChainBreak,
  type ChainHead,
  entryLine,
  flawOf,
  flawOfLines,
  flawWithin,
  isOurs,
  type BreakCode,
  useLine,
} from "./audit-chain.ts";
import {
  countUncovered,
  selectCovered,
  selectLast,
  selectLinks,
  type Uncovered,
} from "./audit-links-store.ts";

export interface Verification {
  /** The last link that was found in order; 0: none. */
  readonly verifiedTo: number;
  /** In this step. */
  readonly links: number;
  readonly entries: number;
  readonly uses: number;
  /** Of these links: rows that had their time, as a later link says. */
  readonly dropped: { readonly entries: number; readonly uses: number };
  /** The last link; null: there is none yet. */
  readonly head: ChainHead | null;
  /** Written since the last link: nothing shows yet whether it was changed. */
  readonly open: Omit<Uncovered, "strayed">;
  readonly broken: ChainBreak | null;
  /** False: call again with `after`: `verifiedTo`. */
  readonly complete: boolean;
}

export interface VerifyRequest {
  /** The link to which a step before came: its own text is looked at again, what it covers is not. */
  readonly after: number;
  /** A head that was given out before: the chain must still have it. */
  readonly head?: ChainHead;
  /** Links per step. */
  readonly most: number;
}

export async function verifyChain(
  { db, key }: { readonly db: D1Database; readonly key: CryptoKey },
  tenant: string | null,
  { after, head, most }: VerifyRequest,
): Promise<Verification> {
  const chain = tenant ?? "";
  const last = await selectLast(db, chain);
  const { strayed, ...open } = await countUncovered(db, chain, last);
  const counts = { links: 0, entries: 0, uses: 0, dropped: { entries: 0, uses: 0 } };
  const ends = (verifiedTo: number, broken: ChainBreak | null, complete: boolean): Verification => ({
    ...{ verifiedTo, ...counts, open, broken, complete },
    head: last === null ? null : { number: last.number, hash: last.hash, mac: last.mac },
  });
  const breaks = (verifiedTo: number, code: BreakCode, at: Pick<AuditLink, "number" | "after" | "through">) =>
    ends(verifiedTo, { link: at.number, code, after: at.after, through: at.through }, true);

  if (head !== undefined) {
    const code = await flawOfHead(db, key, tenant, head);
    if (code !== null) return breaks(0, code, { number: head.number, after: 0, through: 0 });
  }
  // What the last link says is dropped counts for all before it.
  const lastFlaw = last === null ? null : await flawWithin(key, last);
  if (last !== null && lastFlaw !== null) return breaks(0, lastFlaw, last);
  const [base = null] = after === 0 ? [] : await selectLinks(db, chain, after, 1);
  if (after > 0) {
    const flaw = base?.number === after ? await flawWithin(key, base) : "link_missing";
    if (flaw !== null) return breaks(0, flaw, { number: after, after: 0, through: 0 });
  }

  let before = base;
  const links = await selectLinks(db, chain, after + 1, most);
  for (const link of links) {
    const flaw = (await flawOf(key, link, before)) ?? (await flawOfRows(db, link, last ?? link, counts));
    const missing = flaw === "link_missing" ? { ...link, number: (before?.number ?? 0) + 1 } : link;
    if (flaw !== null) return breaks(before?.number ?? 0, flaw, missing);
    counts.links += 1;
    before = link;
  }
  const complete = links.length < most;
  if (complete && strayed.uses + strayed.entries > 0) {
    const code = strayed.uses > 0 ? "uses_added" : "entries_added";
    return breaks(before?.number ?? 0, code, last ?? { number: 0, after: 0, through: 0 });
  }
  return ends(before?.number ?? 0, null, complete);
}

/** Counts what was found in order. */
async function flawOfRows(
  db: D1Database,
  link: AuditLink,
  last: AuditLink,
  counts: { entries: number; uses: number; readonly dropped: { entries: number; uses: number } },
): Promise<BreakCode | null> {
  const rows = await selectCovered(db, link);
  if (link.number <= last.dropped) counts.dropped.entries += link.entries;
  else {
    const flaw = await flawOfLines("entries", link, rows.entries.map(entryLine));
    if (flaw !== null) return flaw;
    counts.entries += link.entries;
  }
  if (link.number <= last.uses_dropped) counts.dropped.uses += link.uses;
  else {
    const flaw = await flawOfLines("uses", link, rows.uses.map(useLine));
    if (flaw !== null) return flaw;
    counts.uses += link.uses;
  }
  return null;
}

async function flawOfHead(
  db: D1Database,
  key: CryptoKey,
  tenant: string | null,
  head: ChainHead,
): Promise<BreakCode | null> {
  if (!(await isOurs(key, { tenant, number: head.number }, head))) return "head_forged";
  const [found] = await selectLinks(db, tenant ?? "", head.number, 1);
  if (found === undefined || found.number !== head.number) return "head_missing";
  return found.hash === head.hash ? null : "head_changed";
}
