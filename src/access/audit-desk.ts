/** What is done with the chains of the audit: they are sealed by the cron trigger, exported, verified. */
import { type AuditLink, type ChainHead, entryLine, useLine } from "./audit-chain.ts";
import {
  deleteDropped,
  selectCovered,
  selectLast,
  selectLinks,
  selectOpenChains,
} from "./audit-links-store.ts";
import { sealAll, type SealingDeps, today } from "./audit-sealing.ts";
import { verifyChain, type Verification, type VerifyRequest } from "./audit-verifying.ts";

/** Of one answer: at most 20,000 lines beside. */
const LINKS_PER_EXPORT = 20;
/** Made before an export begins: at most 10,000 entries. */
const SEALED_PER_EXPORT = 20;
/** Calls of the database for one chain in one tick: of three links, and the tenant's settings. */
const CALLS_PER_CHAIN = 10;
const LINKS_PER_CHAIN = 3;
/** Calls that every tick makes. */
const CALLS_PER_TICK = 2;

export interface ExportPage {
  /** The lines of each link in turn, the link last. */
  readonly links: AsyncIterable<readonly string[]>;
}

export interface AuditDesk {
  /** Seals what is open, of as many chains as the calls allow, and takes away what has had its time. */
  sweep(calls: number): Promise<void>;
  /** Null: the deployment's own chain. Seals first what is open. */
  export(tenant: string | null, after: number): Promise<ExportPage>;
  verify(tenant: string | null, request: VerifyRequest): Promise<Verification>;
}

export function createAuditDesk(deps: SealingDeps): AuditDesk {
  const { db, serverKey, log, now } = deps;
  return {
    async sweep(calls) {
      const at = now();
      const many = Math.floor((calls - CALLS_PER_TICK) / CALLS_PER_CHAIN);
      // Where calls are few: one link of one chain.
      const most = many < 1 ? 1 : LINKS_PER_CHAIN;
      for (const chain of await selectOpenChains(db, at, today(at), Math.max(1, many)))
        try {
          await sealAll(deps, chain === "" ? null : chain, most);
        } catch (error) {
          // One that somebody has tampered with keeps no other from its links.
          log.error("audit.chain_not_sealed", { tenant: chain === "" ? null : chain, error });
        }
      await deleteDropped(db);
    },

    async export(tenant, after) {
      await sealAll(deps, tenant, SEALED_PER_EXPORT);
      const links = await selectLinks(db, tenant ?? "", after + 1, LINKS_PER_EXPORT);
      const last = await selectLast(db, tenant ?? "");
      return { links: linesOf(db, links, last) };
    },

    verify: async (tenant, request) => verifyChain({ db, key: await serverKey() }, tenant, request),
  };
}

/** What is not kept any more is not told, though some of it may still be there. */
async function* linesOf(
  db: D1Database,
  links: readonly AuditLink[],
  last: AuditLink | null,
): AsyncGenerator<readonly string[]> {
  const { dropped = 0, uses_dropped: usesDropped = 0 } = last ?? {};
  for (const link of links) {
    const isGone = link.number <= Math.min(dropped, usesDropped);
    const rows = isGone ? { entries: [], uses: [] } : await selectCovered(db, link);
    yield [
      ...(link.number > dropped ? rows.entries.map(entryLine) : []),
      ...(link.number > usesDropped ? rows.uses.map(useLine) : []),
      JSON.stringify(link),
    ];
  }
  const end = links.at(-1) ?? last;
  const head: ChainHead | null =
    last === null ? null : { number: last.number, hash: last.hash, mac: last.mac };
  const next = end !== null && last !== null && end.number < last.number ? end.number : null;
  yield [JSON.stringify({ type: "end", next, head })];
}
