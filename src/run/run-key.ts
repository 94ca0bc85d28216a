/**
 * The key of a confidential run: how it comes, opens, follows the keyring and goes.
 *
 * Owns: the texts that the key seals, and the entry of `meta` that keeps it. Does not own: how it is sealed (the wiring's
 * keys), what is sealed under it (texts.ts), when a life begins (lives.ts).
 *
 * - Y1 a confidential run writes nothing before its key is kept, and begins no life without it.
 * - Y2 a key that does not open just now (another keyring) is no failed life: nothing of the run is written, and it is tried
 *   again, less and less often.
 * - Y3 a run has one key for good: it is sealed anew, never replaced.
 */

import type { RunDriver } from "../driver/index.ts";
import { UnreadableText } from "./cipher.ts";
import type { Meta } from "./meta.ts";
import type { RunKeys, RunWiring } from "./ports.ts";
import type { Answer } from "./rpc.ts";
import { Texts } from "./texts.ts";

export type MadeKey = Awaited<ReturnType<RunKeys["make"]>>;
type Who = Pick<Meta, "tenant" | "id">;
type Refused = Extract<Answer<never>, { ok: false }>;

const KEYLESS: Refused = {
  ok: false,
  code: "unavailable",
  message:
    "What is marked as sensitive cannot be sealed just now. Nothing was done: send the same again later.",
};

/** Y2. It passes, as `classifyFault` reads it. */
class KeyNotAtHand extends Error {
  override readonly name = "KeyNotAtHand";
  readonly retryable = true;
}

/** What is needed of the object that the run is in. */
export interface KeyHost {
  readonly meta: () => Meta | null;
  readonly keepMeta: (meta: Meta) => void;
  /** Keeps the object alive until the work has ended. */
  readonly background: (work: Promise<void>) => void;
}

export class RunKey {
  readonly #wiring: Pick<RunWiring, "keys" | "log">;
  readonly #host: KeyHost;
  #texts = new Texts();

  constructor(wiring: Pick<RunWiring, "keys" | "log">, host: KeyHost) {
    this.#wiring = wiring;
    this.#host = host;
  }

  get texts(): Texts {
    return this.#texts;
  }

  /** A key for a run that is about to become confidential, or why there is none. */
  async make({ tenant, id }: Who): Promise<MadeKey | Refused> {
    try {
      return await this.#wiring.keys.make(tenant, id);
    } catch (error) {
      this.#wiring.log.error("run_key_not_made", { run: id, error });
      return KEYLESS;
    }
  }

  /** @param from number of the first fact that will be written under the key */
  use(meta: Meta, { key, sealed }: MadeKey, from: number): void {
    this.#host.keepMeta({ ...meta, key: { sealed, from } });
    this.#texts.unlock(key, meta, from);
  }

  /** The run becomes confidential, if it is not: what it writes from now on is sealed. Rejects while no key can be made. */
  async conceal(driver: RunDriver): Promise<void> {
    const meta = this.#host.meta();
    if (meta === null || this.#texts.confidential) return;
    const made = await this.#wiring.keys.make(meta.tenant, meta.id);
    // Somebody else may have been faster (Y3), and the run may have gone on.
    const now = this.#host.meta();
    if (now !== null && !this.#texts.confidential) this.use(now, made, driver.seq + 1);
  }

  /** The same for a caller: null, or why nothing sensitive can be taken. */
  async concealed(driver: RunDriver): Promise<Refused | null> {
    try {
      await this.conceal(driver);
      return null;
    } catch (error) {
      this.#wiring.log.error("run_key_not_made", { run: this.#host.meta()?.id, error });
      return KEYLESS;
    }
  }

  /** Y1. Throws what passes (Y2), or `UnreadableText`. */
  async open(meta: Meta): Promise<void> {
    const { tenant, id, key } = meta;
    if (key === undefined || this.#texts.confidential) return;
    const { keys, log } = this.#wiring;
    const opened = await keys.open(tenant, id, key.sealed);
    if (!opened.ok) {
      const { passes, message } = opened.error;
      log.error("run_key_not_opened", { run: id, passes, reason: message });
      if (passes && meta.lockedSince === undefined)
        this.#host.keepMeta({ ...(this.#host.meta() ?? meta), lockedSince: Date.now() });
      throw passes
        ? new KeyNotAtHand(message)
        : new UnreadableText(`the key of the run does not open: ${message}`);
    }
    this.#texts.unlock(opened.value, { tenant, id }, key.from);
    if (meta.lockedSince !== undefined) {
      const { lockedSince: _since, ...unlocked } = this.#host.meta() ?? meta;
      this.#host.keepMeta(unlocked);
    }
    if (!keys.isCurrent(key.sealed)) this.#renewInBackground({ tenant, id });
  }

  /** For a run that is over for good: without its key less of it is shown. */
  async openIfItCan(meta: Meta): Promise<void> {
    try {
      await this.open(meta);
    } catch {
      // It was logged.
    }
  }

  /** Seals the key as a new one would be. False: there is none here. */
  async renew(tenant: string): Promise<boolean> {
    const meta = this.#host.meta();
    if (meta === null || meta.tenant !== tenant || meta.key === undefined) return false;
    const { keys } = this.#wiring;
    const before = meta.key.sealed;
    const sealed = await keys.renew(tenant, meta.id, before);
    // Whoever else renewed it meanwhile did the same; and the run may have been deleted.
    const now = this.#host.meta();
    if (now?.key === undefined) return false;
    if (now.key.sealed === before && sealed !== before)
      this.#host.keepMeta({ ...now, key: { ...now.key, sealed } });
    await keys.renewed(tenant, meta.id, this.#host.meta()?.key?.sealed ?? sealed);
    return true;
  }

  /** The run is gone, or never began. That it is forgotten elsewhere may fail: what is left is found when keys are renewed. */
  drop({ tenant, id }: Who): void {
    const { keys, log } = this.#wiring;
    this.#texts = new Texts();
    const forgotten = keys.forget(tenant, id).catch((error: unknown) => {
      log.warn("run_key_not_forgotten", { run: id, error });
    });
    this.#host.background(forgotten);
  }

  /** A run that goes on wakes once a day at least, so its key follows the keyring by itself. */
  #renewInBackground({ tenant, id }: Who): void {
    const renewed = this.renew(tenant).then(
      () => {},
      (error: unknown) => {
        this.#wiring.log.warn("run_key_not_renewed", { run: id, error });
      },
    );
    this.#host.background(renewed);
  }
}
