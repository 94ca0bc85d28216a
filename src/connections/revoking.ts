/**
 * Tells the provider that a grant is over, for a day at the longest; then the tokens are shredded. RFC 7009: the refresh token
 * first, an answer for an unknown token is a success, 503 with Retry-After is tried again.
 */
import type { ConnectionRecord } from "./grant.ts";
import type { ConnectionWiring, OpenIntegration } from "./ports.ts";
import type { RevocationReport } from "./rpc.ts";
import { openPair, pairPlace, secretPlace } from "./sealing.ts";
import type { ConnectionStore, Revoking as RevokingDue } from "./store.ts";

const GIVE_UP_MS = 24 * 60 * 60_000;
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60 * 60_000;

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
    if (revoking.kept === undefined && this.#store.get("record")?.standing.status !== "revoking") {
      this.#store.remove("revoking");
      return;
    }
    const { report, since } = revoking;
    if (report.outcome !== "pending") return this.#finish(report);
    const told = await this.#tell(revoking);
    const after = this.#store.get("revoking");
    // A new consent came meanwhile: there is nothing to take back any more.
    if (after === undefined || after.since !== since) return;
    const now = this.#wiring.now();
    const tries = report.tries + 1;
    if (told.kind !== "later") return this.#finish({ outcome: told.kind, at: now, tries });
    if (now - since >= GIVE_UP_MS) return this.#finish({ outcome: "gave_up", at: now, tries });
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(report.tries, 16));
    const retryAt = Math.min(now + Math.max(wait, told.retryAfterMs ?? 0), since + GIVE_UP_MS);
    this.#store.put("revoking", { ...after, retryAt, report: { ...report, at: now, tries } });
  }

  #isDue(revoking: RevokingDue | undefined): boolean {
    return revoking !== undefined && revoking.retryAt !== null && revoking.retryAt <= this.#wiring.now();
  }

  async #tell(revoking: RevokingDue): ReturnType<ConnectionWiring["provider"]["revoke"]> {
    try {
      const opened = await this.#open(revoking);
      if (opened === null) return { kind: "later" };
      return await this.#wiring.provider.revoke(opened.integration, opened.pair);
    } catch (error) {
      this.#wiring.log.error("connection.not_revoked", { connection: this.#store.get("slot")?.id, error });
      return { kind: "later" };
    }
  }

  async #open({ kept: of }: RevokingDue): Promise<{
    integration: OpenIntegration;
    pair: { accessToken: string; refreshToken: string | null };
  } | null> {
    const { vault } = this.#wiring;
    const kept = this.#store.get("slot");
    const grant = of ?? this.#store.get("record")?.grant;
    const integration = of?.integration ?? this.#store.get("integration");
    if (kept === undefined || integration === undefined || grant === undefined || grant.sealed === null)
      return null;
    const { slot, id } = kept;
    const pair = await openPair(vault, pairPlace(slot, id, grant.version), grant.sealed);
    const secret =
      integration.sealedSecret === null
        ? null
        : await vault.open(secretPlace(slot, id, integration.version), integration.sealedSecret);
    if (!pair.ok || secret?.ok === false) return null;
    const { provider, clientId } = integration;
    return { integration: { provider, clientId, secret: secret?.value ?? null }, pair: pair.value };
  }

  /** Shreds: the sealed text goes, and with it the key that opened it. */
  #finish(report: RevocationReport): void {
    const record = this.#store.get("record");
    const revoking = this.#store.get("revoking");
    const told = { revocation: report.outcome, tries: report.tries };
    if (revoking?.kept !== undefined) {
      this.#store.remove("revoking");
      this.#changed("connection.disconnected", revoking.kept.by, told);
      return;
    }
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
