/**
 * The one refresher of a connection.
 *
 * N1 single flight: whoever wants a new token while one is fetched waits for that one.
 * N2 that a refresh token is sent is on disk before it is sent, and the new pair is on disk before anybody uses it.
 * N3 nothing is sent that could not be kept: the vault is asked first whether it seals.
 * N4 only the provider's own word that the grant is over kills a connection, and only if the grant is still the one that was
 *    asked about.
 */
import type { Logger } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import type { ConnectionRecord, Pair, Slot, Trouble } from "./grant.ts";
import { keepLate } from "./leaving.ts";
import type { Renewed, RenewOutcome, ProviderPort } from "./ports.ts";
import { backOffMs, deathOf, type Renewal } from "./refresh-rules.ts";
import { openPair, pairPlace, sealPair, secretPlace } from "./sealing.ts";
import type { ConnectionStore } from "./store.ts";

/** What a provider that does not say how long it will not answer is left alone for, where its owner must help. */
const MISCONFIGURED_REST_MS = 60_000;
/** Times that a pair which was fetched is tried to be kept before it is given up. */
const KEEPING_TRIES = 5;

export type RenewResult =
  | { readonly kind: "renewed" }
  | { readonly kind: "dead" }
  /** It rests until the record's `retryAt`. */
  | { readonly kind: "failed" }
  /** The grant is not what it was when it was asked about: look again. */
  | { readonly kind: "moved" };

export interface RenewingParts {
  readonly store: ConnectionStore;
  readonly vault: Vault;
  readonly provider: ProviderPort;
  readonly log: Logger;
  readonly now: () => number;
  /** What must follow a change: the mirror, the audit, the alarm. */
  readonly changed: (what: "renewed" | "died" | "failed", detail: Readonly<Record<string, string>>) => void;
}

export class Renewing {
  readonly #parts: RenewingParts;
  #flight: Promise<RenewResult> | null = null;

  constructor(parts: RenewingParts) {
    this.#parts = parts;
  }

  /** N1. */
  renew(slot: Slot, id: string, renewal: Renewal): Promise<RenewResult> {
    this.#flight ??= this.#renew(slot, id, renewal).finally(() => {
      this.#flight = null;
    });
    return this.#flight;
  }

  isFlying(): boolean {
    return this.#flight !== null;
  }

  /** Resolves when none is in flight. */
  async settled(): Promise<void> {
    await this.#flight;
  }

  async #renew(slot: Slot, id: string, renewal: Renewal): Promise<RenewResult> {
    const { store, vault, provider, now, log } = this.#parts;
    const integration = store.get("integration");
    const before = store.get("record");
    if (integration === undefined || before === undefined || before.grant.sealed === null)
      return { kind: "moved" };
    const { version, sealed } = before.grant;
    let pair: Pair;
    let secret: string | null = null;
    try {
      // N3. What is sealed here is thrown away: that it could be is what counts, and it holds for longer than a refresh takes.
      await vault.seal(pairPlace(slot, id, version), "");
      const opened = await openPair(vault, pairPlace(slot, id, version), sealed);
      const openedSecret =
        integration.sealedSecret === null
          ? null
          : await vault.open(secretPlace(slot, id, integration.version), integration.sealedSecret);
      if (!opened.ok || openedSecret?.ok === false) {
        const fault = !opened.ok ? opened.error : openedSecret?.ok === false ? openedSecret.error : null;
        log.error("connection.not_opened", { connection: id, tenant: slot.tenant, code: fault?.code });
        return this.#passing({ version, wasLost: true }, { code: fault?.code ?? "vault", lost: false });
      }
      pair = opened.value;
      secret = openedSecret?.value ?? null;
    } catch (error) {
      log.error("connection.vault_away", { connection: id, tenant: slot.tenant, error });
      return this.#passing({ version, wasLost: true }, { code: "vault_unavailable", lost: false });
    }
    const current = store.get("record");
    if (current?.grant.version !== version || current.standing.status !== "active") return { kind: "moved" };
    if (renewal.kind !== "client" && pair.refreshToken === null) {
      // Nothing that could end.
      store.put("record", { ...current, grant: { ...current.grant, idleEndsAt: null } });
      return { kind: "moved" };
    }
    const wasLost = current.sending?.version === version;
    if (renewal.kind === "rotating" && !wasLost)
      store.put("record", { ...current, sending: { version, since: now() } });
    const outcome = await provider.renew(
      { provider: integration.provider, clientId: integration.clientId, secret },
      renewal.kind === "client" ? null : pair.refreshToken,
      current.grant.scopes,
    );
    return this.#landed(slot, id, { version, pair, wasLost }, outcome);
  }

  async #landed(
    slot: Slot,
    id: string,
    sent: { readonly version: number; readonly pair: Pair; readonly wasLost: boolean },
    outcome: RenewOutcome,
  ): Promise<RenewResult> {
    const { store, changed, now } = this.#parts;
    switch (outcome.kind) {
      case "renewed":
        return this.#keep(slot, id, sent, outcome.answer);
      case "terminal": {
        const record = store.get("record");
        // N4.
        if (record?.grant.version !== sent.version) return { kind: "moved" };
        if (record.standing.status !== "active") return { kind: "moved" };
        const reason = deathOf(record, sent.wasLost, now());
        store.put("record", { ...record, standing: { status: "dead", reason, at: now() }, sending: null });
        changed("died", { reason, code: outcome.code });
        return { kind: "dead" };
      }
      case "misconfigured": {
        const detail = outcome.description ?? outcome.code;
        this.#failed(sent.version, MISCONFIGURED_REST_MS, sent.wasLost, { misconfigured: true, detail });
        changed("failed", { code: outcome.code });
        return { kind: "failed" };
      }
      case "passing":
        return this.#passing(sent, outcome);
    }
  }

  #passing(
    { version, wasLost }: { readonly version: number; readonly wasLost: boolean },
    {
      code,
      lost,
      retryAfterMs,
    }: { readonly code: string; readonly lost: boolean; readonly retryAfterMs?: number },
  ): RenewResult {
    const record = this.#parts.store.get("record");
    const wait = backOffMs(record?.failures ?? 0, retryAfterMs);
    this.#failed(version, wait, lost || wasLost, { misconfigured: false, detail: code });
    this.#parts.changed("failed", { code });
    return { kind: "failed" };
  }

  /** @param lost whether some answer that tells what became of the refresh token is missing */
  #failed(version: number, restMs: number, lost: boolean, trouble: Trouble): void {
    const { store, now } = this.#parts;
    const record = store.get("record");
    if (record?.grant.version !== version) return;
    // What was answered was not done, so the refresh token is as good as before.
    store.put("record", {
      ...record,
      failures: record.failures + 1,
      retryAt: now() + restMs,
      sending: lost ? record.sending : null,
      trouble,
    });
  }

  /** N2. */
  async #keep(
    slot: Slot,
    id: string,
    sent: { readonly version: number; readonly pair: Pair; readonly wasLost: boolean },
    answer: Renewed,
  ): Promise<RenewResult> {
    const { store, changed, now } = this.#parts;
    const version = sent.version + 1;
    const pair: Pair = {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? sent.pair.refreshToken,
    };
    const sealed = await this.#sealed(slot, id, version, pair);
    // It was done, but cannot be kept: as if the answer had been lost.
    if (sealed === null) return this.#passing(sent, { code: "vault_unavailable", lost: true });
    const record = store.get("record");
    if (record?.grant.version !== sent.version || record.standing.status === "disconnected") {
      await this.#keepLate(slot, id, sent.version, pair);
      return { kind: "moved" };
    }
    store.put("record", renewed(record, { version, sealed, answer, now: now() }));
    changed("renewed", {});
    // Taken back in the meantime: the new pair is what the provider must be told of.
    return record.standing.status === "active" ? { kind: "renewed" } : { kind: "moved" };
  }

  /** Another grant has the place now: the provider is to be told of this pair, if of the one before. */
  async #keepLate(slot: Slot, id: string, version: number, pair: Pair): Promise<void> {
    const { store, vault, log } = this.#parts;
    try {
      await keepLate(store, vault, { slot, id, version }, pair);
    } catch (error) {
      log.error("connection.pair_not_sealed", { connection: id, tenant: slot.tenant, error });
    }
  }

  /** The provider has made the pair, so it is kept if there is any way. */
  async #sealed(slot: Slot, id: string, version: number, pair: Pair): Promise<string | null> {
    for (let tries = 1; ; tries++) {
      try {
        return await sealPair(this.#parts.vault, pairPlace(slot, id, version), pair);
      } catch (error) {
        this.#parts.log.error("connection.pair_not_sealed", {
          connection: id,
          tenant: slot.tenant,
          tries,
          error,
        });
        if (tries === KEEPING_TRIES) return null;
      }
    }
  }
}

function renewed(
  record: ConnectionRecord,
  { version, sealed, answer, now }: { version: number; sealed: string; answer: Renewed; now: number },
): ConnectionRecord {
  const { trouble: _, ...rest } = record;
  const { grant } = record;
  const idleMs = grant.idleEndsAt === null ? null : grant.idleEndsAt - grant.issuedAt;
  return {
    ...rest,
    sending: null,
    failures: 0,
    retryAt: 0,
    grant: {
      ...grant,
      version,
      sealed,
      issuedAt: now,
      expiresAt: answer.expiresAt ?? null,
      idleEndsAt: answer.refreshExpiresAt ?? (idleMs === null ? null : now + idleMs),
      endsAt: answer.hardExpiresAt ?? grant.endsAt,
      scopes: answer.scopes ?? grant.scopes,
      extra: { ...grant.extra, ...answer.extra },
    },
  };
}
