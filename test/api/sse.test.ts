import { describe, expect, test } from "vitest";
import { type EventSource, eventStream, formatEvent, KEEP_ALIVE_MS } from "../../src/api/sse.ts";
import { err, ok, type Result } from "../../src/platform/index.ts";
import type { EventsPage, EventView } from "../../src/run/index.ts";

const event = (seq: number): EventView => ({ seq, at: seq, type: "started", data: { step: "a\nb" } });
const page = (seqs: readonly number[], after: number, ended = false): EventsPage => ({
  events: seqs.map(event),
  next: seqs.at(-1) ?? after,
  ended,
});

/** A run that gives these pages in turn, and what was asked of it. */
function source(pages: readonly (EventsPage | Error | "refused")[], more: Partial<EventSource> = {}) {
  const asked: { readonly after: number; readonly waitMs: number }[] = [];
  const failures: unknown[] = [];
  const given: EventSource = {
    events: async ({ after, waitMs }): Promise<Result<EventsPage, unknown>> => {
      asked.push({ after, waitMs });
      const next = pages[asked.length - 1] ?? page([], after);
      if (next instanceof Error) throw next;
      return next === "refused" ? err(null) : ok(next);
    },
    show: (one) => one,
    mayGoOn: async () => true,
    failed: (error) => void failures.push(error),
    ...more,
  };
  return { given, asked, failures };
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new Response(stream).text();
}

const HELLO = "retry: 1000\n\n";

describe("a stream of events", () => {
  test("writes number, type and data, and one line of data whatever it holds", () => {
    expect(formatEvent(event(7))).toBe(
      'id: 7\nevent: started\ndata: {"seq":7,"at":7,"type":"started","data":{"step":"a\\nb"}}\n\n',
    );
  });

  test("asks from where it stands, and ends after the run's end", async () => {
    const { given, asked } = source([page([3], 2), page([4, 5], 3, true)]);
    const text = await textOf(eventStream(given, page([1, 2], 0)));
    expect(text).toBe(HELLO + [1, 2, 3, 4, 5].map((seq) => formatEvent(event(seq))).join(""));
    expect(asked).toEqual([
      { after: 2, waitMs: KEEP_ALIVE_MS },
      { after: 3, waitMs: KEEP_ALIVE_MS },
    ]);
  });

  test("says something when nothing comes, so that no proxy cuts it off", async () => {
    const { given } = source([page([], 1), page([], 1), page([2], 1, true)]);
    const text = await textOf(eventStream(given, page([1], 0)));
    expect(text).toBe(`${HELLO}${formatEvent(event(1))}:\n\n:\n\n${formatEvent(event(2))}`);
  });

  test("ends when its reader may no longer see the run, before the next batch is asked for", async () => {
    let allowed = 1;
    const { given, asked } = source([page([2], 1)], { mayGoOn: async () => allowed-- > 0 });
    const text = await textOf(eventStream(given, page([1], 0)));
    expect(text).toBe(HELLO + formatEvent(event(1)) + formatEvent(event(2)));
    expect(asked).toHaveLength(1);
  });

  test("ends whole, and is told of, when the run is lost in the middle: the reader comes back", async () => {
    const lost = new Error("Network connection lost.");
    const broken = source([lost]);
    expect(await textOf(eventStream(broken.given, page([1], 0)))).toBe(HELLO + formatEvent(event(1)));
    expect(broken.failures).toEqual([lost]);
    const gone = source(["refused"]);
    expect(await textOf(eventStream(gone.given, page([1], 0)))).toBe(HELLO + formatEvent(event(1)));
  });

  test("asks for nothing before its reader wants it", async () => {
    const { given, asked } = source([]);
    const reader = eventStream(given, page([1], 0)).getReader();
    await reader.read();
    await reader.read();
    expect(asked).toHaveLength(0);
    await reader.cancel();
    expect(asked).toHaveLength(0);
  });

  test("ends before one request has made too many calls", async () => {
    const { given, asked } = source([]);
    const text = await textOf(eventStream(given, page([], 0)));
    expect(text.endsWith(":\n\n")).toBe(true);
    expect(asked.length).toBeLessThan(1_000);
  });
});
