/**
 * What becomes of a grant: it comes, it is confirmed or not, it is taken back.
 *
 * - J4 while a new grant waits for its confirmation, the old one is as it was.
 * - J5 a grant of another account takes the place only where somebody asked for that; runs that began with the old one do not
 *      go on with it by themselves (the epoch). An account that cannot be told is not the same one: where the old one is
 *      known it needs the same word, and everywhere it has another epoch unless who hands it over vouches for it.
 * - J6 what is taken back gives no token from that moment on, whatever the provider says.
 * - J9 a confirmation that comes again is answered as it was, and does nothing.
 * - J8 what is taken back of one account is told to the provider also if another account takes the place before that is done.
 *      A new consent of the same account ends it: to tell would end that, too.
 *      So does one that waits for its confirmation, until that is decided (revoking.ts).
 * - J10 a grant whose place another account takes because somebody asked for that leaves, and the provider is told of it.
 * - J11 so is it of a consent that is refused on its arrival for its account.
 * - J7 every new pair has a version of its own, also after a grant was shredded: an old sealed text never opens again.
 */
import type { After } from "./after.ts";
import {
  type Account,
  type ConnectionRecord,
  type Grant,
  type KeptIntegration,
  type Pair,
  type PendingGrant,
  sameAccount,
  type Slot,
} from "./grant.ts";
import { addLeaving, leavePending } from "./leaving.ts";
import type { ConnectionWiring } from "./ports.ts";
import type { GrantAnswer, GrantRequest, IntegrationCopy } from "./rpc.ts";
import { openPair, pairPlace, pendingPlace, sealPair, secretPlace } from "./sealing.ts";
import type { ConnectionStore, Leaving } from "./store.ts";

/** Grants that wait for a confirmation, at a time. */
const MAX_PENDING = 4;

/** A grant on its way in. */
interface Incoming {
  readonly grant: Omit<Grant, "version" | "sealed">;
  readonly pair: Pair;
  readonly integration: KeptIntegration;
  readonly workflows: readonly string[] | null;
  readonly replaceAccount: boolean;
  readonly sameAccount: boolean;
  readonly by: string;
  readonly session: string | null;
}

export class Granting {
  readonly #wiring: ConnectionWiring;
  readonly #store: ConnectionStore;
  readonly #after: After;

  constructor(wiring: ConnectionWiring, store: ConnectionStore, after: After) {
    this.#wiring = wiring;
    this.#store = store;
    this.#after = after;
  }

  async grant(request: GrantRequest): Promise<GrantAnswer> {
    const answer = await this.#taken(request);
    if (answer.kind === "account_mismatch") await this.#turnedAway(request);
    return answer;
  }

  async #taken(request: GrantRequest): Promise<GrantAnswer> {
    const { slot, id, pair, pending, account, replaceAccount, workflows, by } = request;
    const { sameAccount: vouched = false } = request;
    const refusal = this.#refusalOf(account, replaceAccount);
    if (refusal !== null) return refusal;
    const integration = await this.#kept(slot.tenant, id, request.integration);
    const grant = {
      ...request.times,
      scopes: request.scopes,
      account,
      identityLevel: request.identityLevel,
      grantedAt: this.#wiring.now(),
      extra: request.extra,
    };
    if (pending === null) {
      this.#store.put("slot", { slot, id });
      const how = { replaceAccount, sameAccount: vouched, by, session: null };
      return this.#activate({ grant, pair, integration, workflows, ...how });
    }
    const sealed = await sealPair(this.#wiring.vault, pendingPlace(slot, id, pending.session), pair);
    const waiting: PendingGrant = {
      ...pending,
      grant: { ...grant, version: 0, sealed },
      integration,
      workflows,
      replaceAccount,
    };
    this.#store.together(() => {
      this.#store.put("slot", { slot, id });
      const all = this.#store.get("pending") ?? [];
      const others = all.filter(
        ({ session, until }) => session !== pending.session && until > grant.grantedAt,
      );
      const left = others.slice(1 - MAX_PENDING);
      this.#store.put("pending", [...left, waiting]);
      this.#leave(
        all.filter((one) => one.session !== pending.session && !left.includes(one)),
        "system",
      );
    });
    this.#after.changed("connection.pending", by, { session: pending.session });
    return { kind: "pending" };
  }

  /** @param current the integration as it is now: it may have changed since the grant came, and may be for fewer workflows */
  async confirm(session: string, by: string, current: IntegrationCopy): Promise<GrantAnswer> {
    const kept = this.#store.get("slot");
    const pending = this.#pending().find((one) => one.session === session);
    if (kept === undefined || pending === undefined || pending.grant.sealed === null)
      return this.#confirmedBefore(session);
    const { grant, replaceAccount } = pending;
    const refusal = this.#refusalOf(grant.account, replaceAccount);
    if (refusal !== null) {
      this.discard(session, by);
      return refusal;
    }
    const place = pendingPlace(kept.slot, kept.id, session);
    const opened = await openPair(this.#wiring.vault, place, pending.grant.sealed);
    if (!opened.ok) throw new Error(`A pending grant does not open: ${opened.error.code}`);
    const how = { replaceAccount, sameAccount: false, by, session };
    const { integration, workflows } = await this.#asOfNow(kept, pending, current);
    return this.#activate({ grant, pair: opened.value, integration, workflows, ...how });
  }

  discard(session: string, by = `connect_session:${session}`): void {
    const all = this.#store.get("pending") ?? [];
    const gone = all.filter((one) => one.session === session);
    this.#store.together(() => {
      this.#store.put(
        "pending",
        all.filter((one) => one.session !== session),
      );
      this.#leave(gone, by);
    });
    // The keys of what is left are counted.
    this.#after.mirror();
  }

  /** J11. Never throws: that it was refused is answered in any case. */
  async #turnedAway({ slot, id, session, ...request }: GrantRequest): Promise<void> {
    // What nobody consented to has another owner, who goes on using it.
    if (session === undefined) return;
    const { account, pair, by } = request;
    try {
      const integration = await this.#kept(slot.tenant, id, request.integration);
      const sealed = await sealPair(this.#wiring.vault, pendingPlace(slot, id, session), pair);
      const now = this.#wiring.now();
      const due = { since: now, retryAt: now, tries: 0 };
      addLeaving(this.#store, {
        ...{ of: { kind: "pending", session }, by, account, sealed, integration },
        ...due,
      });
      // It tells, and its keys are counted.
      this.#after.mirror();
    } catch (error) {
      this.#wiring.log.error("connection.refused_not_kept", { connection: id, error });
    }
  }

  /** What will never be confirmed: the provider is told. */
  #leave(gone: readonly PendingGrant[], by: string): void {
    leavePending(this.#store, gone, { by, now: this.#wiring.now() });
  }

  /** A service says that the grant is gone. */
  died(version: number): void {
    const record = this.#store.get("record");
    if (record?.grant.version !== version || record.standing.status !== "active") return;
    const standing = { status: "dead", reason: "revoked", at: this.#wiring.now() } as const;
    this.#store.put("record", { ...record, standing });
    this.#after.changed("connection.died", "system", { reason: "revoked", told_by: "service" });
  }

  async updateIntegration(copy: IntegrationCopy): Promise<boolean> {
    const kept = this.#store.get("slot");
    const before = this.#store.get("integration");
    if (kept === undefined || before === undefined || before.version >= copy.version) return false;
    // Where tokens go was fixed when the integration was made.
    const changed = { ...copy, provider: before.provider, clientId: before.clientId };
    const integration = await this.#kept(kept.slot.tenant, kept.id, changed);
    // Taken back meanwhile, or told of a newer one.
    const now = this.#store.get("integration");
    if (now === undefined || now.version >= copy.version) return false;
    const record = this.#store.get("record");
    this.#store.together(() => {
      this.#store.put("integration", integration);
      if (copy.workflows !== undefined) this.#store.put("workflows", copy.workflows);
      // What failed for its sake may be tried again.
      if (record !== undefined) this.#store.put("record", { ...record, failures: 0, retryAt: 0 });
    });
    this.#after.changed("connection.integration_updated", "system", {});
    this.#after.wake();
    return true;
  }

  /** J6. */
  disconnect(by: string): void {
    const record = this.#store.get("record");
    const { status } = record?.standing ?? { status: "disconnected" };
    // Also where nothing is active: what waits for a confirmation must not come to life afterwards.
    const waiting = this.#store.get("pending") ?? [];
    if (waiting.length > 0) {
      this.#store.together(() => {
        this.#store.put("pending", []);
        this.#leave(waiting, by);
      });
      this.#after.mirror();
    }
    if (record === undefined || status === "revoking" || status === "disconnected") return;
    const at = this.#wiring.now();
    this.#store.together(() => {
      this.#store.put("record", { ...record, standing: { status: "revoking", at, by } });
      this.#store.put("revoking", {
        since: at,
        retryAt: at,
        asked: 0,
        report: { outcome: "pending", at, tries: 0 },
      });
    });
    this.#after.changed("connection.disconnect", by, {});
    // What they wait for is another thing now.
    this.#after.wake();
  }

  async #activate(incoming: Incoming): Promise<GrantAnswer> {
    const own = this.#store.get("slot");
    if (own === undefined) return { kind: "not_found" };
    const { slot, id } = own;
    // J7. A refresh of the old grant may land while this is sealed: then it is sealed once more.
    for (;;) {
      const before = this.#store.get("record");
      const version = (before?.grant.version ?? 0) + 1;
      const sealed = await sealPair(this.#wiring.vault, pairPlace(slot, id, version), incoming.pair);
      const { session } = incoming;
      // J6. Discarded or taken back meanwhile, or confirmed by another call.
      if (session !== null && !this.#pending().some((one) => one.session === session))
        return this.#confirmedBefore(session);
      if (this.#store.get("record")?.grant.version !== before?.grant.version) continue;
      const { account } = incoming.grant;
      const refusal = this.#refusalOf(account, incoming.replaceAccount);
      if (refusal !== null) return refusal;
      const same = before === undefined ? null : sameAccount(before.grant.account, account);
      const vouched = same === null && incoming.sameAccount && !isOver(before);
      const replaced = before !== undefined && same !== true && !vouched;
      const epoch = (before?.epoch ?? 1) + (replaced ? 1 : 0);
      // J8, J10. Where nobody can tell, it may be the same one.
      const left = same === false ? this.#leftBehind(incoming.by) : null;
      // What was known of it stays known.
      const kept =
        vouched && account.id === null ? { ...account, id: before?.grant.account.id ?? null } : account;
      const next = { ...incoming.grant, account: kept, version, consent: version, sealed };
      this.#put(own, incoming, next, { epoch, replaced });
      if (left !== null) addLeaving(this.#store, left);
      // Whoever consents anew may have mended it; where not, the next answer says so again.
      this.#store.remove("limited");
      const { by } = incoming;
      this.#after.changed("connection.grant", by, { replaced, ...(session === null ? {} : { session }) });
      this.#after.wake();
      return { kind: "active", epoch, replaced };
    }
  }

  #put(
    own: { readonly slot: Slot; readonly id: string },
    { integration, workflows, session }: Incoming,
    grant: Grant,
    { epoch, replaced }: { readonly epoch: number; readonly replaced: boolean },
  ): void {
    const record: ConnectionRecord = {
      standing: { status: "active" },
      grant,
      epoch,
      ...(session === null ? {} : { confirmed: { session, replaced } }),
      sending: null,
      failures: 0,
      retryAt: 0,
    };
    this.#store.together(() => {
      // It may have been forgotten since: there was nothing else yet.
      this.#store.put("slot", own);
      this.#store.put("record", record);
      // Its secret may have been changed while the grant was on its way.
      const known = this.#store.get("integration");
      if (known === undefined || known.version <= integration.version) {
        this.#store.put("integration", integration);
        // The same of the workflows that may use it: they may be fewer by now.
        if (workflows === null) this.#store.remove("workflows");
        else this.#store.put("workflows", workflows);
      }
      this.#store.remove("revoking");
      if (session !== null)
        this.#store.put(
          "pending",
          this.#pending().filter((one) => one.session !== session),
        );
    });
  }

  /** J9. Whatever became of the grant afterwards, until the next one. */
  #confirmedBefore(session: string): GrantAnswer {
    const record = this.#store.get("record");
    if (record?.confirmed?.session !== session) return { kind: "not_found" };
    return { kind: "active", epoch: record.epoch, replaced: record.confirmed.replaced };
  }

  /** What the provider is to be told of when another account takes the place. @param by who brings that */
  #leftBehind(by: string): Leaving | null {
    const [record, integration] = [this.#store.get("record"), this.#store.get("integration")];
    if (record === undefined || record.grant.sealed === null || integration === undefined) return null;
    const { sealed, version, account } = record.grant;
    const grant = { of: { kind: "pair", version }, account, sealed, integration } as const;
    const { standing } = record;
    // J10.
    if (standing.status === "active") {
      const now = this.#wiring.now();
      return { ...grant, by, since: now, retryAt: now, tries: 0 };
    }
    // J8.
    const revoking = this.#store.get("revoking");
    if (standing.status !== "revoking" || revoking?.report.outcome !== "pending") return null;
    const { since, report, retryAt } = revoking;
    return { ...grant, by: standing.by, since, retryAt: retryAt ?? since, tries: report.tries };
  }

  /** J5. */
  #refusalOf(account: Account, replaceAccount: boolean): GrantAnswer | null {
    const before = this.#store.get("record");
    if (before === undefined || replaceAccount || isOver(before)) return null;
    const known = before.grant.account;
    if (sameAccount(known, account) === false) return { kind: "account_mismatch" };
    return known.id !== null && account.id === null ? { kind: "identity_unverified" } : null;
  }

  #pending(): readonly PendingGrant[] {
    const now = this.#wiring.now();
    return (this.#store.get("pending") ?? []).filter(({ until }) => until > now);
  }

  /** What a grant that waited is used with: the newer of what it came with and what is so now. Where tokens go was fixed then. */
  async #asOfNow(
    { slot, id }: { readonly slot: Slot; readonly id: string },
    { integration, workflows }: PendingGrant,
    current: IntegrationCopy,
  ): Promise<Pick<Incoming, "integration" | "workflows">> {
    if (current.version <= integration.version) return { integration, workflows };
    const { provider, clientId } = integration;
    const changed = { ...current, provider, clientId };
    return {
      integration: await this.#kept(slot.tenant, id, changed),
      workflows: current.workflows ?? workflows,
    };
  }

  async #kept(tenant: string, id: string, copy: IntegrationCopy): Promise<KeptIntegration> {
    const { name, version, provider, clientId, secret } = copy;
    const place = secretPlace({ tenant }, id, version);
    const sealedSecret = secret === null ? null : await this.#wiring.vault.seal(place, secret);
    return { name, version, provider, clientId, sealedSecret };
  }
}

/** Taken back: what comes then is a new beginning. */
function isOver(record: ConnectionRecord | undefined): boolean {
  const status = record?.standing.status;
  return status === "disconnected" || status === "revoking";
}
