/**
 * Tells runs that wait to look again.
 *
 * - K1 at least once: a run is crossed off when it was told, and only as it stood when it was told. One that asked again
 *      meanwhile, and was told to wait, waits for the next change.
 * - K2 those that cannot be told hold nobody up: the others are told first.
 */
import { crashPoint } from "../platform/index.ts";
import type { ConnectionWiring } from "./ports.ts";
import { retryMs } from "./retry.ts";
import type { ConnectionStore } from "./store.ts";

const AT_ONCE = 50;
/** In one event of the platform, which bounds the calls of one. */
const PER_EVENT = 500;

export class Waking {
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;

  constructor(store: ConnectionStore, wiring: ConnectionWiring) {
    this.#store = store;
    this.#wiring = wiring;
  }

  /** All that wait now. */
  all(): void {
    this.#store.put("waking", { at: this.#wiring.now(), tries: 0, upTo: this.#store.lastWaiter() });
  }

  async drain(): Promise<void> {
    const due = this.#store.get("waking");
    const kept = this.#store.get("slot");
    const now = this.#wiring.now();
    if (due === undefined || kept === undefined || due.at > now) return;
    const { integration, account, tenant } = kept.slot;
    const change = { integration, account, connection: kept.id };
    let { last, failed } = due.round ?? { last: 0, failed: 0 };
    for (let told = 0; told < PER_EVENT; told += AT_ONCE) {
      const waiters = this.#store.waiters(last, due.upTo, AT_ONCE);
      if (waiters.length === 0) return this.#passed(due.upTo, failed, kept.id);
      const calls = await Promise.allSettled(
        waiters.map(async ({ run }) => this.#wiring.wake(tenant, run, change)),
      );
      if (CRASH_POINTS) crashPoint("crash-point:waiters-woken");
      // K1.
      for (const [i, { seq }] of waiters.entries()) {
        if (calls[i]?.status === "fulfilled") this.#store.removeWaiter(seq);
        else failed += 1;
      }
      last = waiters.at(-1)?.seq ?? due.upTo;
    }
    const still = this.#store.get("waking");
    if (still?.upTo === due.upTo) this.#store.put("waking", { ...still, round: { last, failed } });
  }

  /** All were tried: those that are left are tried again later. A change that came meanwhile is due at once, for all. */
  #passed(upTo: number, failed: number, connection: string): void {
    const due = this.#store.get("waking");
    if (due === undefined || due.upTo !== upTo) return;
    if (failed === 0) {
      this.#store.remove("waking");
      return;
    }
    this.#wiring.log.warn("connection.wake_failed", { connection, failed });
    const { tries } = due;
    this.#store.put("waking", { at: this.#wiring.now() + retryMs(tries), tries: tries + 1, upTo });
  }
}
