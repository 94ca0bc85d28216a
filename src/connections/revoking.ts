/**
 * Tells the provider that a grant is over, for a day at the longest; then the tokens are shredded. RFC 7009: the refresh token
 * first, an answer for an unknown token is a success, 503 with Retry-After is tried again.
 */
import type { ConnectionRecord } from "./grant.ts";
import type { ConnectionWiring, OpenIntegration } from "./ports.ts";
import type { RevocationReport } from "./rpc.ts";
import { openPair, pairPlace, secretPlace } from "./sealing.ts";
import type { ConnectionStore } from "./store.ts";

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

  constructor(store: ConnectionStore, wiring: ConnectionWiring) {
    this.#store = store;
    this.#wiring = wiring;
  }

  async drain(changed: Changed): Promise<void> {
    const revoking = this.#store.get("revoking");
    const now = this.#wiring.now();
    if (revoking === undefined || revoking.retryAt === null || revoking.retryAt > now) return;
    const { report } = revoking;
    if (report.outcome !== "pending") return this.#finish(report, changed);
    const told = await this.#tell();
    const after = this.#store.get("revoking");
    // A new consent came meanwhile: there is nothing to take back any more.
    if (after === undefined || after.since !== revoking.since) return;
    const tries = report.tries + 1;
    if (told.kind !== "later") return this.#finish({ outcome: told.kind, at: now, tries }, changed);
    if (now - revoking.since >= GIVE_UP_MS)
      return this.#finish({ outcome: "gave_up", at: now, tries }, changed);
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(report.tries, 16));
    const retryAt = now + Math.max(wait, told.retryAfterMs ?? 0);
    this.#store.put("revoking", { ...revoking, retryAt, report: { ...report, at: now, tries } });
  }

  async #tell(): ReturnType<ConnectionWiring["provider"]["revoke"]> {
    const opened = await this.#open();
    return opened === null
      ? { kind: "later" }
      : this.#wiring.provider.revoke(opened.integration, opened.pair);
  }

  async #open(): Promise<{
    integration: OpenIntegration;
    pair: { accessToken: string; refreshToken: string | null };
  } | null> {
    const { vault } = this.#wiring;
    const kept = this.#store.get("slot");
    const record = this.#store.get("record");
    const integration = this.#store.get("integration");
    if (
      kept === undefined ||
      integration === undefined ||
      record === undefined ||
      record.grant.sealed === null
    )
      return null;
    const { slot, id } = kept;
    const pair = await openPair(vault, pairPlace(slot, id, record.grant.version), record.grant.sealed);
    const secret =
      integration.sealedSecret === null
        ? null
        : await vault.open(secretPlace(slot, id, integration.version), integration.sealedSecret);
    if (!pair.ok || secret?.ok === false) return null;
    const { provider, clientId } = integration;
    return { integration: { provider, clientId, secret: secret?.value ?? null }, pair: pair.value };
  }

  /** Shreds: the sealed text goes, and with it the key that opened it. */
  #finish(report: RevocationReport, changed: Changed): void {
    const record = this.#store.get("record");
    const revoking = this.#store.get("revoking");
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
    changed("connection.disconnected", by, { revocation: report.outcome, tries: report.tries });
  }
}
