/**
 * Tells the provider that the connection's own grant is over, for a day at the longest; then the tokens are shredded.
 *
 * - R2 it is not told while a consent of what may be the same account waits here for its confirmation: that would end it, too.
 *      Once it is thrown away, both are told.
 * - R1 it is told only when it is known that no other connection lives on the account; that is asked until it is known.
 */
import { type ConnectionRecord, sameAccount } from "./grant.ts";
import type { ConnectionWiring } from "./ports.ts";
import { retryMs } from "./retry.ts";
import type { RevocationReport } from "./rpc.ts";
import { pairPlace } from "./sealing.ts";
import type { ConnectionStore, Revoking as RevokingDue } from "./store.ts";
import { GIVE_UP_MS, nextTelling, tellProvider } from "./telling.ts";

type Changed = (
  action: string,
  actor: string,
  detail: Readonly<Record<string, string | number | boolean>>,
) => void;

export class Revoking {
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  readonly #settled: () => Promise<void>;
  readonly #changed: Changed;

  /** @param settled resolves when no refresh is in flight: what it brings is what the provider must be told of */
  constructor(
    store: ConnectionStore,
    wiring: ConnectionWiring,
    settled: () => Promise<void>,
    changed: Changed,
  ) {
    this.#store = store;
    this.#wiring = wiring;
    this.#settled = settled;
    this.#changed = changed;
  }

  async drain(): Promise<void> {
    if (!this.#isDue(this.#store.get("revoking"))) return;
    await this.#settled();
    const revoking = this.#store.get("revoking");
    if (revoking === undefined || !this.#isDue(revoking)) return;
    const record = this.#store.get("record");
    const kept = this.#store.get("slot");
    if (kept === undefined || record?.standing.status !== "revoking") {
      this.#store.remove("revoking");
      return;
    }
    if (revoking.asked !== undefined) {
      await this.ask();
      const decided = this.#store.get("revoking");
      if (decided?.asked === undefined && this.#isDue(decided)) return this.drain();
      return;
    }
    const { report, since } = revoking;
    if (report.outcome !== "pending") return this.#finish(report);
    const until = this.#waitingUntil(record, since);
    if (until !== null) {
      this.#store.put("revoking", { ...revoking, retryAt: until });
      return;
    }
    const { version, sealed } = record.grant;
    const place = pairPlace(kept.slot, kept.id, version);
    const integration = this.#store.get("integration");
    const told = await tellProvider(this.#wiring, kept, { place, sealed, integration });
    const after = this.#store.get("revoking");
    // A new consent came meanwhile: there is nothing to take back any more, or it is told by itself.
    if (after === undefined || after.since !== since) return;
    const now = this.#wiring.now();
    const tries = report.tries + 1;
    if (told.kind !== "later") return this.#finish({ outcome: told.kind, at: now, tries });
    const retryAt = nextTelling({ since, tries: report.tries }, told, now);
    if (retryAt === null) return this.#finish({ outcome: "gave_up", at: now, tries });
    this.#store.put("revoking", { ...after, retryAt, report: { ...report, at: now, tries } });
  }

  /** R1. Never throws. */
  async ask(): Promise<void> {
    const [kept, record] = [this.#store.get("slot"), this.#store.get("record")];
    const revoking = this.#store.get("revoking");
    if (kept === undefined || record === undefined || revoking?.asked === undefined) return;
    const { since } = revoking;
    const granted = { id: kept.id, slot: kept.slot, account: record.grant.account, since };
    const found = await this.#wiring.siblings(granted).catch((error: unknown) => {
      this.#wiring.log.warn("connection.siblings_not_asked", { connection: kept.id, error });
      return "undecided" as const;
    });
    const after = this.#store.get("revoking");
    if (after?.since !== since || after.asked === undefined) return;
    const now = this.#wiring.now();
    const { asked, ...decided } = after;
    if (found === "none") this.#store.put("revoking", decided);
    else if (found === "living")
      this.#store.put("revoking", {
        ...decided,
        report: { outcome: "kept_for_siblings", at: now, tries: 0 },
      });
    else if (now - since >= GIVE_UP_MS)
      this.#store.put("revoking", { ...decided, report: { outcome: "gave_up", at: now, tries: 0 } });
    else this.#store.put("revoking", { ...after, asked: asked + 1, retryAt: now + retryMs(asked) });
  }

  /** R2. When that is decided at the latest; null: nothing waits, or the time for telling is over. */
  #waitingUntil({ grant }: ConnectionRecord, since: number): number | null {
    const now = this.#wiring.now();
    const times = (this.#store.get("pending") ?? [])
      .filter((one) => one.until > now && sameAccount(one.grant.account, grant.account) !== false)
      .map(({ until }) => until);
    const until = Math.min(Math.max(...times), since + GIVE_UP_MS);
    return until > now ? until : null;
  }

  #isDue(revoking: RevokingDue | undefined): boolean {
    return revoking !== undefined && revoking.retryAt !== null && revoking.retryAt <= this.#wiring.now();
  }

  /** Shreds: the sealed text goes, and with it the key that opened it. */
  #finish(report: RevocationReport): void {
    const record = this.#store.get("record");
    const revoking = this.#store.get("revoking");
    const told = { revocation: report.outcome, tries: report.tries };
    if (record === undefined || revoking === undefined || record.standing.status !== "revoking") return;
    const { by } = record.standing;
    const at = this.#wiring.now();
    const shredded: ConnectionRecord = {
      ...record,
      standing: { status: "disconnected", at, by },
      grant: { ...record.grant, sealed: null, scopes: [], extra: {} },
      sending: null,
    };
    this.#store.together(() => {
      this.#store.put("record", shredded);
      this.#store.put("revoking", { ...revoking, retryAt: null, report });
      this.#store.remove("integration");
    });
    this.#changed("connection.disconnected", by, told);
  }
}
