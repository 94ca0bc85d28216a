/**
 * Events as server-sent events (HTML standard, section 9.2). The body is written here, from batches that the run gives by
 * RPC: what is left of an open stream is not held back until the object's writes are durable, an answer to RPC is.
 *
 * - E1 an event is sent only after the run has it on disk, and in order.
 * - E2 whoever reads slowly asks for less: nothing is fetched before the reader wants it.
 * - E3 a stream ends after the run's end, when its reader may no longer see the run, or at a limit; the reader then comes
 *   back with the id of the last event and misses nothing.
 */
import type { Result } from "../platform/index.ts";
import type { EventsPage, EventView } from "../run/index.ts";

/** How long a reader hears nothing at most: below the idle timeout of common proxies. */
export const KEEP_ALIVE_MS = 15_000;
export const STREAM_TYPE = "text/event-stream";
export const STREAM_HEADERS = {
  "content-type": STREAM_TYPE,
  "cache-control": "no-cache, no-transform",
  vary: "authorization, accept",
  "x-accel-buffering": "no",
} as const;
/** Told to readers: how long to wait before they come back. */
const RETRY_MS = 1_000;
const BATCH_EVENTS = 100;
/** A request may make 1,000 calls to objects on the smallest plan. */
export const MAX_BATCHES = 900;

export interface EventSource {
  events(options: {
    readonly after: number;
    readonly limit: number;
    readonly waitMs: number;
  }): Promise<Result<EventsPage, unknown>>;
  /** What the reader may see of an event. */
  show(event: EventView): EventView;
  /** Whether the reader may still see the run: a key may be revoked while its stream is open. */
  mayGoOn(): Promise<boolean>;
  /** A failure of the platform: the stream ends, and the reader comes back. */
  failed(error: unknown): void;
}

/** @param first the events to begin with, already fetched: whatever fails before the first byte is a plain answer */
export function eventStream(source: EventSource, first: EventsPage): ReadableStream<Uint8Array> {
  let page: EventsPage | null = first;
  let after = first.next;
  let batches = 0;
  const next = async (): Promise<EventsPage | null> => {
    batches += 1;
    if (batches > MAX_BATCHES || !(await source.mayGoOn())) return null;
    const answer = await source.events({ after, limit: BATCH_EVENTS, waitMs: KEEP_ALIVE_MS });
    return answer.ok ? answer.value : null;
  };
  return streamOf({
    async next() {
      const current = page ?? (await next());
      page = null;
      if (current === null) return null;
      after = current.next;
      return {
        text: current.events.map((event) => formatEvent(source.show(event))).join(""),
        last: current.ended,
      };
    },
    failed: (error) => {
      source.failed(error);
    },
  });
}

/** What a stream is written from, batch by batch. */
export interface Batches {
  /** Null: the stream ends here. */
  next(): Promise<{ readonly text: string; readonly last: boolean } | null>;
  /** A failure of the platform: the stream ends, and the reader comes back. */
  failed(error: unknown): void;
}

export function streamOf(batches: Batches): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
      },
      async pull(controller) {
        try {
          const batch = await batches.next();
          if (batch === null) {
            controller.close();
            return;
          }
          // The first batch may be empty: then the next pull waits for one.
          controller.enqueue(encoder.encode(batch.text === "" ? ":\n\n" : batch.text));
          if (batch.last) controller.close();
        } catch (error) {
          batches.failed(error);
          controller.close();
        }
      },
    },
    { highWaterMark: 0 },
  );
}

export function formatEvent(event: EventView): string {
  // JSON.stringify writes no line breaks, so one data line is enough.
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
