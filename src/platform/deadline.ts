/**
 * A time limit joined with the caller's own signal.
 *
 * Not `AbortSignal.timeout`: its timer cannot be taken back, and a timer that is left behind keeps a Durable Object from
 * hibernating (and billed) until it fires.
 */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Why the signal is aborted; null while it is not. */
  reason(): "timeout" | "aborted" | null;
  /** Takes the timer back. Must be called when the work is over. */
  stop(): void;
}

export function startDeadline(timeoutMs: number, outer?: AbortSignal): Deadline {
  const controller = new AbortController();
  let reason: "timeout" | "aborted" | null = null;
  const end = (why: "timeout" | "aborted"): void => {
    if (reason !== null) return;
    reason = why;
    controller.abort();
  };
  const onAbort = (): void => end("aborted");
  const timer = setTimeout(() => end("timeout"), timeoutMs);
  if (outer?.aborted) onAbort();
  else outer?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    reason: () => reason,
    stop() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", onAbort);
    },
  };
}

/** What work gives if that is soon enough; else this rejects, and the work goes on unheard. Work that throws at once rejects. */
export async function inTime<T>(work: () => Promise<T>, timeoutMs: number): Promise<T> {
  const deadline = startDeadline(timeoutMs);
  const late = new Promise<never>((_, reject) => {
    deadline.signal.addEventListener("abort", () => {
      reject(new Error(`There was no answer within ${timeoutMs} ms.`));
    });
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    deadline.stop();
  }
}
