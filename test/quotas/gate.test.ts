import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLogger } from "../../src/platform/index.ts";
import { type Book, decide, EMPTY_BOOK } from "../../src/quotas/book.ts";
import { createGate, type Gate } from "../../src/quotas/gate.ts";
import { quotasOf } from "../../src/quotas/limits.ts";
import type { Ask, Lease } from "../../src/quotas/quota-rpc.ts";

const ANSWER_MS = 40;

interface World {
  readonly gate: Gate;
  readonly asked: Ask[];
  readonly lines: string[];
}

/** One isolate, before an object that answers after ANSWER_MS; the first `lost` questions are never answered. */
function world(set: Readonly<Record<string, number>>, lost = 0): World {
  const quotas = quotasOf(set);
  const asked: Ask[] = [];
  const lines: string[] = [];
  let book: Book = EMPTY_BOOK;
  const ask = async (_: string, one: Ask): Promise<Lease> => {
    asked.push(one);
    if (asked.length <= lost) return new Promise<Lease>(() => {});
    const decided = decide(book, quotas, one, Date.now());
    book = decided.book;
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    return decided.lease;
  };
  const elsewhere = async (): Promise<never> => Promise.reject(new Error("nobody looks"));
  const gate = createGate({
    object: () => ({ ask, view: elsewhere }),
    defer: (work) => void work,
    log: createLogger("debug", (_, line) => lines.push(line)),
    now: () => Date.now(),
  });
  return { gate, asked, lines };
}

async function all<T>(answers: readonly Promise<T>[], ms: number): Promise<T[]> {
  await vi.advanceTimersByTimeAsync(ms);
  return Promise.all(answers);
}

const many = <T>(count: number, make: () => Promise<T>): Promise<T>[] => Array.from({ length: count }, make);

describe("an isolate to which many come at once", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("asks the object for all starts together, and every answer is the object's", async () => {
    const { gate, asked, lines } = world({});
    const answers = await all(
      many(200, () => gate.start("acme")),
      1_000,
    );
    expect(answers.filter(({ kind }) => kind === "admitted")).toHaveLength(200);
    // 8, 16, 32, 64, 128.
    expect(asked.map(({ want }) => want)).toEqual([8, 16, 32, 64, 128]);
    expect(lines).toEqual([]);
  });

  it("asks once more for what it refuses, however many it refuses", async () => {
    const { gate, asked, lines } = world({ starts_per_minute: 4 });
    const answers = await all(
      many(200, () => gate.start("acme")),
      1_000,
    );
    expect(answers.filter(({ kind }) => kind === "admitted")).toHaveLength(4);
    expect(answers.filter(({ kind }) => kind === "refused")).toHaveLength(196);
    expect(asked).toHaveLength(5);
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual(["quota.refused"]);
  });

  it("of requests lets through what it may owe and what it was lent, with few questions", async () => {
    const { gate, asked } = world({ requests_per_second: 1, request_burst: 10 });
    const answers = await all(
      many(200, () => gate.request("acme")),
      1_000,
    );
    expect(answers.filter((refusal) => refusal === null).length).toBeLessThanOrEqual(10 + 8 + 1);
    expect(answers.filter((refusal) => refusal?.quota === "requests_per_second").length).toBeGreaterThan(0);
    expect(asked.length).toBeLessThan(8);
  });

  it("does not wait for a question whose request has ended: another one asks after half a second", async () => {
    const { gate, asked } = world({}, 1);
    const first = gate.start("acme");
    const others = await all(
      many(8, () => gate.start("acme")),
      1_000,
    );
    expect(others.map(({ kind }) => kind)).toEqual(Array.from({ length: 8 }, () => "admitted"));
    expect(asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(5_000);
    expect((await first).kind).toBe("unavailable");
  });
});
