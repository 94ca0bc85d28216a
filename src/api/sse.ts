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
  return streamOf({
    first,
    more: MAX_BATCHES,
    mayGoOn: async () => source.mayGoOn(),
    next: async ({ next: after }) => {
      const answer = await source.events({ after, limit: BATCH_EVENTS, waitMs: KEEP_ALIVE_MS });
      return answer.ok ? answer.value : null;
    },
    text: ({ events }) => events.map((event) => formatEvent(source.show(event))).join(""),
    isLast: ({ ended }) => ended,
    failed: (error) => {
      source.failed(error);
    },
  });
}

/** What a stream is written from, batch by batch. */
export interface Batches<B> {
  readonly first: B;
  /** Batches after the first, at most. */
  readonly more: number;
  /** Whether the reader may still see them: a key may be revoked while its stream is open. */
  mayGoOn(): Promise<boolean>;
  /** What comes after a batch; null: the stream ends here. */
  next(after: B): Promise<B | null>;
  text(batch: B): string;
  isLast(batch: B): boolean;
  /** A failure of the platform: the stream ends, and the reader comes back. */
  failed(error: unknown): void;
}

export function streamOf<B>(batches: Batches<B>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let written: B | null = null;
  let { more } = batches;
  const next = async (): Promise<B | null> => {
    if (written === null) return batches.first;
    more -= 1;
    return more < 0 || !(await batches.mayGoOn()) ? null : batches.next(written);
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
      },
      async pull(controller) {
        try {
          written = await next();
          if (written === null) {
            controller.close();
            return;
          }
          // The first batch may be empty: then the next pull waits for one.
          const text = batches.text(written);
          controller.enqueue(encoder.encode(text === "" ? ":\n\n" : text));
          if (batches.isLast(written)) controller.close();
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
