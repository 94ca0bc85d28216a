/**
 * Whether a step gets the token, and if not, why.
 *
 * - J2 a run that is told to wait was put down as waiting in the same moment in which the standing was read: a grant that
 *      comes then wakes it.
 * - J3 what is dead, taken back or of another account gives no token, whatever the database says.
 */
import type { After } from "./after.ts";
import { consentOf, type ConnectionRecord, type Grant, missingScopes } from "./grant.ts";
import type { ConnectionWiring } from "./ports.ts";
import { chooseToken, type Renewal } from "./refresh-rules.ts";
import { renewalOf } from "./renewal.ts";
import { Renewing } from "./renewing.ts";
import type { AcquireAnswer, Ask, NeedAnswer, NeedReason } from "./rpc.ts";
import { openPair, pairPlace } from "./sealing.ts";
import type { ConnectionStore } from "./store.ts";

/** Looks at a grant until one finds it at rest: each may open it, or have it renewed. */
const MAX_LOOKS = 8;

export class Acquiring {
  readonly #wiring: ConnectionWiring;
  readonly #store: ConnectionStore;
  readonly #after: After;
  readonly #renewing: Renewing;
  /** The pair of this version, opened. */
  #opened: {
    readonly version: number;
    readonly accessToken: string;
    readonly hasRefreshToken: boolean;
  } | null = null;

  constructor(wiring: ConnectionWiring, store: ConnectionStore, after: After) {
    this.#wiring = wiring;
    this.#store = store;
    this.#after = after;
    this.#renewing = new Renewing({
      ...wiring,
      store,
      changed: (what, detail) => {
        after.changed(`connection.${what}`, "system", detail);
        if (what !== "renewed") this.#count(what);
      },
    });
  }

  #count(what: "died" | "failed"): void {
    const misconfigured = this.#store.get("record")?.trouble?.misconfigured === true;
    const reason = what === "died" ? "dead" : misconfigured ? "misconfigured" : "passing";
    const tenant = this.#store.get("slot")?.slot.tenant;
    if (tenant !== undefined) this.#wiring.refreshFailed?.(tenant, reason);
  }

  /** @param refusedVersion of a token that the service refuses: only another one helps */
  async acquire(ask: Ask, refusedVersion: number | null): Promise<AcquireAnswer> {
    let fresh = false;
    // J3. After anything that took time, all is looked at anew: it may have been taken back meanwhile.
    for (let look = 0; look < MAX_LOOKS; look++) {
      const record = this.#store.get("record");
      const refusal = this.#refusal(ask, record);
      if (refusal !== null) return refusal;
      if (record === undefined) break;
      const { version } = record.grant;
      if (this.#opened?.version !== version) {
        if (await this.#open(record)) continue;
        return needs("unavailable", version, { detail: "vault" });
      }
      const forced = refusedVersion === version;
      const answer = this.#choose(ask, record, { forced, fresh });
      if (answer === null) continue;
      if (answer.kind !== "renew") return answer;
      const result = await this.#renewing.renew(ask.slot, ask.id, answer.renewal);
      fresh = result.kind === "renewed";
      if (forced && fresh) this.#noteForced();
    }
    return needs("unavailable", null, { detail: "busy" });
  }

  /** F5. */
  #noteForced(): void {
    const record = this.#store.get("record");
    if (record !== undefined) this.#store.put("record", { ...record, forcedAt: this.#wiring.now() });
  }

  /** What was opened is known no more. */
  forget(): void {
    this.#opened = null;
  }

  /** Resolves when no refresh is in flight. */
  async settled(): Promise<void> {
    return this.#renewing.settled();
  }

  /** J2, J3. Why no token is given, whatever its life. */
  #refusal(ask: Ask, record: ConnectionRecord | undefined): AcquireAnswer | null {
    // Before anything is waited for: who may not use it must not be shown the way to it.
    const workflows = record === undefined ? ask.workflows : this.#store.get("workflows");
    if (workflows?.includes(ask.workflow) === false)
      return {
        kind: "refused",
        code: "not_for_workflow",
        message: `The connection is not for the workflow ${ask.workflow}.`,
      };
    if (record === undefined) return this.#waitsFor(ask, "missing", null);
    const { standing, grant, epoch } = record;
    if (standing.status === "dead") return this.#waitsFor(ask, standing.reason, grant);
    if (standing.status !== "active") return this.#waitsFor(ask, "missing", grant);
    if (ask.epoch !== undefined && ask.epoch !== epoch) return this.#waitsFor(ask, "replaced", grant);
    if (ask.refused === consentOf(grant)) return this.#waitsFor(ask, "rejected", grant);
    const scopes = missingScopes(grant, ask.scopes ?? []);
    if (scopes.length > 0) return this.#waitsFor(ask, "scope_missing", grant, scopes);
    const until = this.#store.get("limited") ?? 0;
    const now = this.#wiring.now();
    return until > now ? needs("rate_limited", grant.version, { retryAfterMs: until - now }) : null;
  }

  /** Null: look again. */
  #choose(
    ask: Ask,
    record: ConnectionRecord,
    { forced, fresh }: { readonly forced: boolean; readonly fresh: boolean },
  ): AcquireAnswer | { readonly kind: "renew"; readonly renewal: Renewal } | null {
    const { now } = this.#wiring;
    const { grant, trouble } = record;
    const integration = this.#store.get("integration");
    if (integration === undefined) return needs("misconfigured", grant.version, { detail: "integration" });
    const renewal = renewalOf(integration.provider);
    const hasRefreshToken = this.#opened?.hasRefreshToken ?? false;
    const { stepTimeoutMs } = ask;
    const choice = chooseToken(record, { renewal, hasRefreshToken, stepTimeoutMs, forced, fresh }, now());
    switch (choice.kind) {
      case "use":
        return this.#give(ask, record);
      case "wait":
        // It waits because one is in flight already: whoever comes late joins it.
        if (this.#renewing.isFlying()) return { kind: "renew", renewal };
        return needs(trouble?.misconfigured === true ? "misconfigured" : "unavailable", grant.version, {
          retryAfterMs: Math.max(0, choice.at - now()),
          ...(trouble === undefined ? {} : { detail: trouble.detail }),
        });
      case "refused":
        return this.#waitsFor(ask, "rejected", grant);
      case "ended":
        this.#store.put("record", { ...record, standing: { status: "dead", reason: "expired", at: now() } });
        this.#after.changed("connection.died", "system", { reason: "expired" });
        return null;
      case "renew":
        return { kind: "renew", renewal };
    }
  }

  #give(ask: Ask, { grant, epoch }: ConnectionRecord): AcquireAnswer | null {
    if (this.#opened?.version !== grant.version) return null;
    this.#after.used(ask.workflow);
    const { accessToken } = this.#opened;
    const { version, expiresAt, scopes, extra } = grant;
    const provider = this.#store.get("integration")?.provider;
    const consent = consentOf(grant);
    return { kind: "token", accessToken, version, consent, epoch, expiresAt, scopes, extra, provider };
  }

  /** J2. */
  #waitsFor(ask: Ask, reason: NeedReason, grant: Grant | null, scopes?: readonly string[]): NeedAnswer {
    this.#store.put("slot", { slot: ask.slot, id: ask.id });
    this.#store.addWaiter(ask.run, this.#wiring.now());
    this.#after.arm();
    return needs(reason, grant?.version ?? null, scopes === undefined ? {} : { scopes });
  }

  async #open({ grant }: ConnectionRecord): Promise<boolean> {
    if (this.#opened?.version === grant.version) return true;
    const kept = this.#store.get("slot");
    if (grant.sealed === null || kept === undefined) return false;
    const place = pairPlace(kept.slot, kept.id, grant.version);
    const opened = await openPair(this.#wiring.vault, place, grant.sealed);
    // Others may have opened a newer one meanwhile.
    if (opened.ok && (this.#opened?.version ?? 0) > grant.version) return true;
    if (!opened.ok) {
      this.#wiring.log.error("connection.not_opened", { connection: kept.id, code: opened.error.code });
      return false;
    }
    const { accessToken, refreshToken } = opened.value;
    this.#opened = { version: grant.version, accessToken, hasRefreshToken: refreshToken !== null };
    return true;
  }

  /** Uses the refresh token so that it does not end unused. */
  async keepAlive(): Promise<void> {
    const kept = this.#store.get("slot");
    const integration = this.#store.get("integration");
    if (kept === undefined || integration === undefined) return;
    await this.#renewing.renew(kept.slot, kept.id, renewalOf(integration.provider));
  }
}

function needs(
  reason: NeedReason,
  version: number | null,
  more: Pick<NeedAnswer, "scopes" | "retryAfterMs" | "detail"> = {},
): NeedAnswer {
  return { kind: "needs", reason, version, ...more };
}
