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
