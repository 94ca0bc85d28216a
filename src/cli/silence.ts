/**
 * Watches whether the server still answers. That its processes are there says nothing: when both of its runtimes die at
 * once, wrangler starts others, listens on, and never answers again.
 */
import { setTimeout as pause } from "node:timers/promises";

/** Each question is a line in the server's log. */
const ASK_EVERY_MS = 10_000;
const ASK_AGAIN_MS = 1_000;
const PATIENCE_MS = 5_000;
/** One is the machine at other work, or a breakpoint. */
const MISSES = 3;

/** Settles once the server has not answered some times in a row; never once `unwanted` is aborted. */
export function silenceOf(url: string, unwanted: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    watch(url, unwanted).then(resolve, () => {
      // Nobody wants to know any more.
    });
  });
}

/** Rejects once `unwanted` is aborted. */
async function watch(url: string, unwanted: AbortSignal): Promise<void> {
  for (let misses = 0; misses < MISSES;) {
    await pause(misses === 0 ? ASK_EVERY_MS : ASK_AGAIN_MS, undefined, { signal: unwanted, ref: false });
    misses = (await answers(url, unwanted)) ? 0 : misses + 1;
  }
}

async function answers(url: string, unwanted: AbortSignal): Promise<boolean> {
  try {
    const signal = AbortSignal.any([unwanted, AbortSignal.timeout(PATIENCE_MS)]);
    const answer = await fetch(`${url}/healthz`, { signal });
    await answer.arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
