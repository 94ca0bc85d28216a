/**
 * The issuer object: one SQLite Durable Object per tenant, the only place where the tenant's private keys are in the clear.
 *
 * Owns: what can be asked of an issuer, and signing.
 * Does not own: how keys live (signing-keys.ts), how they are made and published (issuer-keeping.ts), what is kept
 * (issuer-store.ts), what a token says (token.ts).
 *
 * - J1 a call carries its tenant; a mismatch is answered as if nothing were here. An object that was only asked what it has
 *      published writes nothing.
 * - J2 it signs what an identity token of its tenant says, and nothing else.
 * - J3 no answer and no line of the log holds a private key, or a text that it is sealed in.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint } from "../platform/index.ts";
import { IssuerKeeping, type IssuerWiring } from "./issuer-keeping.ts";
import { privatePlace } from "./issuer-mirror.ts";
import type { IssuerRefusal, IssuerRpc, Published, PublishedAnswer, SignAnswer } from "./issuer-rpc.ts";
import { IssuerStore, type KeptKey, publicPart } from "./issuer-store.ts";
import { importPrivate, signJwt } from "./signing.ts";
import { activeKey, advanced, canRotate, EMERGENCY_AHEAD_MS, goesAt, signsFrom } from "./signing-keys.ts";
import { MAX_TTL_S, type WorkloadClaims } from "./token.ts";

const RETRY_MS = 1_000;
/** How far the clock of whoever made the claims may be ahead of ours. Seconds. */
const SKEW_S = 60;

export abstract class WiredIssuerObject extends DurableObject<Env> implements IssuerRpc {
  readonly #wiring: IssuerWiring;
  readonly #store: IssuerStore;
  readonly #keeping: IssuerKeeping;
  /** Keys that were opened, by kid. */
  readonly #opened = new Map<string, CryptoKey>();
  /** What changes keys, one after the other. */
  #changing: Promise<unknown> = Promise.resolve();
  /** What the alarm is known to be set to; undefined: not known. */
  #armed: number | null | undefined;

  protected constructor(ctx: DurableObjectState, env: Env, wiring: IssuerWiring) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    this.#wiring = wiring;
    this.#store = new IssuerStore(ctx.storage);
    this.#keeping = new IssuerKeeping(this.#store, wiring);
  }

  async sign({
    tenant,
    claims,
  }: {
    readonly tenant: string;
    readonly claims: WorkloadClaims;
  }): Promise<SignAnswer> {
    if (!this.#isFor(tenant) || !this.#fits(tenant, claims))
      return refuse("claims_refused", "These are not the claims of an identity token of this tenant.");
    if (claims.iat > this.#wiring.now() / 1_000 + SKEW_S)
      return refuse("unavailable", "The clock of whoever asks is far ahead of the issuer's.", {
        retryAfterMs: RETRY_MS,
      });
    const ready = await this.#ready(tenant);
    if (ready !== null) return ready;
    const active = this.#active();
    if (active === undefined) return this.#notYet();
    const key = await this.#open(tenant, active);
    if (key === null)
      return refuse("unavailable", "The signing key cannot be opened just now.", { retryAfterMs: RETRY_MS });
    const jwt = await signJwt(key, active.kid, claims);
    // It may have been revoked meanwhile.
    if (this.#keys().every(({ kid }) => kid !== active.kid)) return this.#notYet();
    return { ok: true, jwt, kid: active.kid, exp: claims.exp };
  }

  async ensure(tenant: string): Promise<PublishedAnswer> {
    if (!this.#isFor(tenant)) return NOT_FOUND;
    const ready = await this.#ready(tenant);
    if (ready !== null) return ready;
    return this.#active() === undefined ? this.#notYet() : this.#answer();
  }

  async published(tenant: string): Promise<Published | null> {
    if (this.#store.get()?.tenant !== tenant) return null;
    if (this.#keeping.unsure) await this.#one(() => this.#compareIfUnsure(tenant));
    const kept = this.#store.get();
    if (kept === undefined) return null;
    const keys = advanced(kept.keys, this.#wiring.now());
    return { revision: kept.revision, keys: keys.map(publicPart) };
  }

  async rotate(tenant: string): Promise<PublishedAnswer> {
    if (!this.#isFor(tenant)) return NOT_FOUND;
    const isFirst = this.#store.get() === undefined;
    const ready = await this.#ready(tenant);
    if (ready !== null) return ready;
    if (this.#active() === undefined) return this.#notYet();
    if (isFirst) return this.#answer();
    return this.#one(async () => {
      const can = canRotate(this.#keys());
      if (can === "later") return this.#tooMany();
      if (can === "yes" && !(await this.#make(tenant)))
        return refuse("unavailable", "A key cannot be sealed just now.", { retryAfterMs: RETRY_MS });
      await this.#keeping.settle(tenant, { atOnce: true });
      return this.#answer();
    });
  }

  async revoke(tenant: string, kid: string): Promise<PublishedAnswer> {
    if (!this.#isFor(tenant)) return NOT_FOUND;
    return this.#one(async () => {
      const sure = await this.#compareIfUnsure(tenant);
      if (sure !== null) return sure;
      if (this.#keys().every((key) => key.kid !== kid)) return NOT_FOUND;
      this.#keeping.revoke(kid);
      this.#opened.delete(kid);
      await this.#keeping.settle(tenant, { atOnce: true });
      return this.#answer();
    });
  }

  async poke(tenant: string): Promise<void> {
    if (this.#store.get()?.tenant !== tenant) return;
    await this.#one(async () => {
      if ((await this.#keeping.compare(tenant)).ok) await this.#keeping.settle(tenant);
    });
  }

  async rewrap(tenant: string): Promise<boolean> {
    if (this.#store.get()?.tenant !== tenant) return false;
    return this.#one(async () => {
      if ((await this.#compareIfUnsure(tenant)) !== null) return false;
      const moved = new Map<string, string>();
      let all = true;
      for (const key of this.#keys()) {
        const next = key.sealed === null ? null : await this.#rewrapped(tenant, key, key.sealed);
        if (next !== null) moved.set(key.kid, next);
        else if (key.sealed !== null) all = false;
      }
      // Also where nothing was moved, the database is told: what it was told is sealed as well.
      this.#store.change(this.#wiring.now(), ({ keys }) =>
        keys.map((key) => ({ ...key, sealed: moved.get(key.kid) ?? key.sealed })),
      );
      await this.#keeping.settle(tenant, { atOnce: true });
      return all;
    });
  }

  /** Never throws: the platform drops an alarm after six throws. */
  override async alarm(): Promise<void> {
    this.#armed = null;
    const tenant = this.#store.get()?.tenant;
    if (tenant === undefined) return;
    await this.#one(async () => {
      if ((await this.#compareIfUnsure(tenant)) === null) await this.#keeping.settle(tenant);
    });
  }

  /** The keys are the last ones, those that are due sign, and there is one, or one is made. Null: so it is. */
  async #ready(tenant: string): Promise<IssuerRefusal | null> {
    if (!this.#keeping.unsure && this.#active() !== undefined) return null;
    return this.#one(async () => {
      const sure = await this.#compareIfUnsure(tenant);
      if (sure === null && this.#active() === undefined) await this.#keeping.settle(tenant, { atOnce: true });
      return sure;
    });
  }

  async #compareIfUnsure(tenant: string): Promise<IssuerRefusal | null> {
    if (!this.#keeping.unsure) return null;
    const compared = await this.#keeping.compare(tenant);
    return compared.ok ? null : refuse("unavailable", compared.error, { retryAfterMs: RETRY_MS });
  }

  #active(): KeptKey | undefined {
    this.#keeping.advance();
    this.#arm();
    return activeKey(this.#keys());
  }

  async #open(tenant: string, key: KeptKey): Promise<CryptoKey | null> {
    const known = this.#opened.get(key.kid);
    if (known !== undefined) return known;
    const { vault, log } = this.#wiring;
    if (key.sealed === null) return null;
    const text = await vault.open(privatePlace(tenant, key), key.sealed);
    if (!text.ok) {
      log.error("issuer.key_not_opened", { tenant, kid: key.kid, code: text.error.code });
      return null;
    }
    const opened = await importPrivate(text.value);
    // Of all that this object ever signed with, only the one that does now.
    this.#opened.clear();
    this.#opened.set(key.kid, opened);
    return opened;
  }

  async #make(tenant: string): Promise<boolean> {
    try {
      await this.#keeping.make(tenant, "rotation");
      return true;
    } catch (error) {
      this.#wiring.log.error("issuer.key_not_made", { tenant, error });
      return false;
    }
  }

  async #rewrapped(tenant: string, key: KeptKey, sealed: string): Promise<string | null> {
    const { vault, log } = this.#wiring;
    try {
      const next = await vault.rewrap(privatePlace(tenant, key), sealed);
      if (next.ok) return next.value;
      log.error("issuer.not_rewrapped", { tenant, kid: key.kid, code: next.error.code });
    } catch (error) {
      log.error("issuer.not_rewrapped", { tenant, kid: key.kid, error });
    }
    return null;
  }

  #keys(): readonly KeptKey[] {
    return this.#store.get()?.keys ?? [];
  }

  #answer(): PublishedAnswer {
    const kept = this.#store.get();
    if (kept === undefined) return NOT_FOUND;
    return { ok: true, published: { revision: kept.revision, keys: kept.keys.map(publicPart) } };
  }

  #notYet(): IssuerRefusal {
    const now = this.#wiring.now();
    const from = Math.min(...this.#keys().flatMap((key) => signsFrom(key) ?? []));
    // One that waits for its day is not what is waited for: a key for now is made and published as soon as that can be.
    const waitMs = Math.min(from - now, EMERGENCY_AHEAD_MS);
    return refuse("unavailable", "No key of the issuer has been published long enough to sign.", {
      retryAfterMs: Number.isFinite(from) ? Math.max(waitMs, RETRY_MS) : RETRY_MS,
    });
  }

  #tooMany(): IssuerRefusal {
    const goes = Math.min(...this.#keys().flatMap((key) => goesAt(key) ?? []));
    return refuse("too_many_keys", "Keys that signed lately must stay published first.", {
      retryAfterMs: Math.max(goes - this.#wiring.now(), RETRY_MS),
    });
  }

  /** J2. */
  #fits(tenant: string, claims: WorkloadClaims): boolean {
    const { iss, sub, iat, exp } = claims;
    const life = exp - iat;
    return (
      iss === this.#wiring.issuerOf(tenant) &&
      claims.tenant === tenant &&
      sub.startsWith(`tenant:${tenant}:`) &&
      life > 0 &&
      life <= MAX_TTL_S
    );
  }

  /** J1. The object is named after its tenant, so there is only one; whose it is, is fixed by the first key. */
  #isFor(tenant: string): boolean {
    return (this.#store.get()?.tenant ?? tenant) === tenant;
  }

  async #one<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      this.#arm();
    }
  }

  #arm(): void {
    const at = this.#keeping.dueAt();
    if (at === this.#armed || (at === null && this.#armed === undefined)) return;
    this.#armed = at;
    // Kept together with what was written; an alarm that is late is made up for by the sweep.
    this.ctx.waitUntil(at === null ? this.ctx.storage.deleteAlarm() : this.ctx.storage.setAlarm(at));
  }
}

const NOT_FOUND: IssuerRefusal = { ok: false, code: "not_found", message: "There is no such key." };

function refuse(
  code: IssuerRefusal["code"],
  message: string,
  more: Pick<IssuerRefusal, "retryAfterMs"> = {},
): IssuerRefusal {
  return { ok: false, code, message, ...more };
}
