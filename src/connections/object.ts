/**
 * The connection object: one SQLite Durable Object per slot, the only reader and writer of the slot's tokens.
 *
 * Owns: what can be asked of a connection.
 * Does not own: who gets a token (acquiring.ts), what a grant becomes (granting.ts), when a token is good enough
 * (refresh-rules.ts), refreshing (renewing.ts), what follows a change (after.ts), what is kept (grant.ts, store.ts).
 *
 * - J1 a call carries its tenant; a mismatch is answered as if nothing were here. An object that was only asked writes nothing
 *      but who waits.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint } from "../platform/index.ts";
import { Acquiring } from "./acquiring.ts";
import { After } from "./after.ts";
import { ownerText, type Slot } from "./grant.ts";
import { Granting } from "./granting.ts";
import type { ConnectionWiring } from "./ports.ts";
import type {
  AcquireAnswer,
  Ask,
  ConnectionRpc,
  ConnectionView,
  Finding,
  GrantAnswer,
  GrantRequest,
  IntegrationCopy,
} from "./rpc.ts";
import { rewrapTexts } from "./rewrapping.ts";
import { ConnectionStore } from "./store.ts";
import { viewOf } from "./view.ts";

/** What a provider that does not say how long is left alone for. */
const DEFAULT_LIMIT_MS = 60_000;
const MAX_LIMIT_MS = 24 * 60 * 60_000;

const NOT_FOUND = { kind: "refused", code: "not_found", message: "There is no such connection." } as const;

export abstract class WiredConnectionObject extends DurableObject<Env> implements ConnectionRpc {
  readonly #wiring: ConnectionWiring;
  readonly #store: ConnectionStore;
  readonly #after: After;
  readonly #acquiring: Acquiring;
  readonly #granting: Granting;
  /** What is done of what is due, one round after the other. */
  #working: Promise<void> = Promise.resolve();

  protected constructor(ctx: DurableObjectState, env: Env, wiring: ConnectionWiring) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    // Every line of the connection says whose it is.
    const [, tenant] = (ctx.id.name ?? "").split(":");
    const own = { ...wiring, log: wiring.log.with({ tenant }) };
    this.#wiring = own;
    this.#store = new ConnectionStore(ctx.storage);
    this.#after = new After(ctx, this.#store, own, async () => this.#acquiring.settled());
    this.#acquiring = new Acquiring(own, this.#store, this.#after);
    this.#granting = new Granting(own, this.#store, this.#after);
  }

  async acquire(ask: Ask): Promise<AcquireAnswer> {
    return this.#isFor(ask) ? this.#acquiring.acquire(ask, null) : NOT_FOUND;
  }

  async renew(ask: Ask, seenVersion: number): Promise<AcquireAnswer> {
    return this.#isFor(ask) ? this.#acquiring.acquire(ask, seenVersion) : NOT_FOUND;
  }

  async report(tenant: string, finding: Finding): Promise<void> {
    if (!this.#isOf(tenant)) return;
    const now = this.#wiring.now();
    if (finding.kind === "token_dead") return this.#granting.died(finding.version);
    const until = Math.min(finding.until > now ? finding.until : now + DEFAULT_LIMIT_MS, now + MAX_LIMIT_MS);
    if (until > (this.#store.get("limited") ?? 0)) this.#store.put("limited", until);
  }

  async grant(request: GrantRequest): Promise<GrantAnswer> {
    return this.#isFor(request) ? this.#granting.grant(request) : { kind: "not_found" };
  }

  async confirm(tenant: string, session: string, by: string, current: IntegrationCopy): Promise<GrantAnswer> {
    return this.#isOf(tenant) ? this.#granting.confirm(session, by, current) : { kind: "not_found" };
  }

  async discard(tenant: string, session: string): Promise<void> {
    if (this.#isOf(tenant)) this.#granting.discard(session);
  }

  async updateIntegration(tenant: string, copy: IntegrationCopy): Promise<boolean> {
    return this.#isOf(tenant) && this.#granting.updateIntegration(copy);
  }

  async disconnect(tenant: string, { by }: { readonly by: string }): Promise<ConnectionView | null> {
    if (!this.#isOf(tenant)) return null;
    this.#granting.disconnect(by);
    await this.#after.askSiblings();
    return this.view(tenant);
  }

  async view(tenant: string): Promise<ConnectionView | null> {
    return this.#isOf(tenant) ? viewOf(this.#store, this.#wiring) : null;
  }

  async rewrap(tenant: string): Promise<boolean> {
    if (!this.#isOf(tenant)) return false;
    const done = await rewrapTexts(this.#store, this.#wiring);
    this.#after.mirror();
    // The keys are counted by the listing.
    await this.#after.tellListing();
    return done;
  }

  async erase(
    tenant: string,
    { user, by }: { readonly user: string; readonly by: string },
  ): Promise<"erased" | "later" | "not_theirs"> {
    const kept = this.#store.get("slot");
    if (kept === undefined) return "erased";
    const { owner } = kept.slot;
    if (kept.slot.tenant !== tenant || owner.kind !== "user" || owner.user !== user) return "not_theirs";
    this.#granting.disconnect(by);
    await this.#after.askSiblings();
    await this.#work();
    await this.#acquiring.settled();
    if (!this.#store.isOver()) return "later";
    this.#acquiring.forget();
    await this.#after.forget();
    return "erased";
  }

  async poke(tenant: string): Promise<void> {
    if (this.#isOf(tenant)) await this.#work();
  }

  /** Never throws: the platform drops an alarm after six throws. */
  override async alarm(): Promise<void> {
    this.#after.fired();
    await this.#work();
  }

  async #work(): Promise<void> {
    this.#working = this.#working.then(async () => this.#round());
    return this.#working;
  }

  async #round(): Promise<void> {
    try {
      if (this.#after.keepAliveIsDue()) await this.#acquiring.keepAlive();
      await this.#after.drain();
      await this.#after.forgetVoid();
    } catch (error) {
      this.#after.failed(error);
    }
    this.#after.armAgain();
  }

  #isOf(tenant: string): boolean {
    return this.#store.get("slot")?.slot.tenant === tenant;
  }

  /** J1. The slot is fixed by the first who asks: the id was derived from it, so there is only one. */
  #isFor({ slot, id }: { readonly slot: Slot; readonly id: string }): boolean {
    const kept = this.#store.get("slot");
    return kept === undefined || (kept.id === id && textOf(kept.slot) === textOf(slot));
  }
}

function textOf({ tenant, integration, owner, account }: Slot): string {
  return JSON.stringify([tenant, integration, ownerText(owner), account]);
}
