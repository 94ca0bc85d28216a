/** Calls to an object that wait for it to move on: long polls and live feeds. Memory only; a lost life loses its callers too. */

/** Callers poll again after this; below the 60 s that clients commonly allow. */
export const MAX_WATCH_MS = 60_000;

export class Watchers {
  readonly #waiting = new Set<() => void>();

  /** Resolves once `done` is true after a change, or after `ms`. */
  async until(done: () => boolean, ms: number): Promise<void> {
    if (done() || ms <= 0) return;
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (done()) finish();
      };
      const timer = setTimeout(
        () => {
          finish();
        },
        Math.min(ms, MAX_WATCH_MS),
      );
      const finish = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
    });
  }

  /** To be called after every change. */
  notify(): void {
    for (const check of this.#waiting) check();
  }
}
