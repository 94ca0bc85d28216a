/** Waiting that ends, and trying again less and less often. */
import { startDeadline } from "../platform/index.ts";

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10 * 60_000;

/** What work gives if that is soon enough; else this throws, and the work goes on unheard. */
export async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  const deadline = startDeadline(timeoutMs);
  const late = new Promise<never>((_, reject) => {
    deadline.signal.addEventListener("abort", () => {
      reject(new Error(`There was no answer within ${timeoutMs} ms.`));
    });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    deadline.stop();
  }
}

/** @param tries how many failed before */
export function retryMs(tries: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 16));
}
