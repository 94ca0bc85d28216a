import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { COLUMNS, layOut, row, wrap } from "../../src/cli/layout.ts";
import { createPaint } from "../../src/cli/paint.ts";
import { createSorter } from "../../src/cli/performance.ts";
import { createStoryteller, type Line, type RunEvent } from "../../src/cli/story.ts";
import { FACT_TYPES, NEED_REASONS } from "../../src/kernel/index.ts";

const PLAIN = createPaint({ isTTY: false, env: {} });

/** A journal as the API gave it, one event a line. */
function journal(name: string): RunEvent[] {
  const text = readFileSync(join(import.meta.dirname, "journals", `${name}.jsonl`), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as RunEvent);
}

function tell(events: readonly RunEvent[]): Line[] {
  const { tell: teller } = createStoryteller({
    isKeyed: (step) => step === "flight" || step === "hotel",
    retryAfter: (step, status) => (step === "hotel" && status === 429 ? 2 : null),
  });
  return events.flatMap((event) => teller(event) ?? []);
}

function event(type: string, data: Record<string, unknown> = {}, at = 1_000): RunEvent {
  return { seq: 1, at, type, data: { unit: "flight", step: "flight", ...data } };
}

describe("the story of a run", () => {
  it("tells attempts, waits, Retry-After, the same key, a consent that is gone and the end of a booked trip, in order", () => {
    const told = tell(journal("book-trip")).map(
      ({ who, what }) => `${who}: ${what.replace(/[\d.]+ m?s/g, "T")}`,
    );
    expect(told).toEqual([
      "calendar: attempt 1",
      "calendar: 503; again in T",
      "calendar: attempt 2",
      "calendar: done in T",
      "flight: attempt 1",
      "hotel: attempt 1",
      "flight: 503, unclear; same key again in T",
      "hotel: 429, Retry-After: 2; same key again in T",
      "flight: attempt 2",
      "flight: connection lost, unclear; same key again in T",
      "flight: attempt 3",
      expect.stringMatching(/^flight: done in T: bk_\d+$/),
      "hotel: attempt 2",
      expect.stringMatching(/^hotel: done in T: rs_\d+$/),
      "entry: attempt 1",
      "entry: waits for a consent: it was taken back",
      "entry: what it waited for may be there: it looks again",
      "entry: attempt 2",
      expect.stringMatching(/^entry: done in T: ev_\d+$/),
      "confirmation: attempt 1",
      expect.stringMatching(/^confirmation: done in T: ms_\d+$/),
      "run: succeeded",
    ]);
  });

  it("tells how a lost trip is undone, and how an unknown outcome is found out", () => {
    const told = tell(journal("book-trip-undone")).map(({ who, what }) => `${who}: ${what}`);
    expect(told).toContain("run: undoing what was done, in reverse order");
    expect(told).toContain("flight (undo): attempt 2");
    expect(told).toContain("confirmation: cancelled: the run no longer wants it");
    expect(told).toContainEqual(
      expect.stringMatching(/^voicemail: outcome unknown: .*not repeated blindly$/),
    );
    expect(told).toContainEqual(
      expect.stringMatching(/^voicemail: done in \d+ ms, as its check found: cl_\d+$/),
    );
    expect(told.at(-1)).toBe("run: failed");
  });

  it("says that undoing begins only where something is undone", () => {
    const what = (events: RunEvent[]) => tell(events).map((line) => line.what);
    const began = event("undoing", { unit: undefined });
    expect(what([began, event("handling"), event("ended", { status: "failed" })])).toEqual([
      "the steps for a failed run begin",
      "failed",
    ]);
    const undo = { unit: "flight/undo", role: "undo" };
    expect(what([began, event("ready", undo), event("started", { ...undo, attempt: 1 })])).toEqual([
      "undoing what was done, in reverse order",
      "attempt 1",
    ]);
  });

  it("has a word or silence for every type of fact, and never an exception, whatever is missing in it", () => {
    for (const type of [...FACT_TYPES, "a_fact_of_a_newer_server"]) {
      const [line] = tell([{ seq: 1, at: 1, type, data: {} }]);
      expect(line?.what).not.toBe("");
    }
  });

  it("says of every need that there is why the step waits", () => {
    const told = Object.keys(NEED_REASONS).map(
      (reason) => tell([event("parked", { need: { reason } })])[0]?.what,
    );
    expect(new Set(told).size).toBe(told.length);
    for (const what of told) expect(what).toMatch(/^waits(?: for a \w+)?: /);
  });

  it("says when nobody knows whether a failed step happened", () => {
    const failure = { code: "timeout", message: "No answer." };
    expect(tell([event("failed", { failure, outcome: "unknown" })])[0]?.what).toBe(
      "failed: No answer (whether it happened is not known)",
    );
    expect(tell([event("failed", { failure, outcome: "not_done" })])[0]?.what).toBe("failed: No answer");
  });

  it("promises the same key only for keyed steps, and not for their undoing", () => {
    const data = { failure: { code: "network" }, wake_at: 1_500, maybe: true };
    expect(tell([event("retrying", data)])[0]?.what).toBe(
      "connection lost, unclear; same key again in 0.5 s",
    );
    expect(tell([event("retrying", { ...data, step: "mail", unit: "mail" })])[0]?.what).toBe(
      "connection lost, unclear; again in 0.5 s",
    );
    expect(tell([event("retrying", { ...data, unit: "flight/undo", role: "undo" })])[0]?.what).toBe(
      "connection lost, unclear; again in 0.5 s",
    );
  });
});

describe("the layout", () => {
  it("keeps every line of both journals within 80 columns", () => {
    for (const name of ["book-trip", "book-trip-undone"]) {
      const lines = tell(journal(name)).flatMap((line) => layOut(line, line.at, PLAIN).split("\n"));
      expect(lines.length).toBeGreaterThan(10);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(COLUMNS);
    }
  });

  it("breaks a word that is longer than a line, and loses nothing of it", () => {
    const word = "x".repeat(200);
    const lines = row("result", word).split("\n");
    expect(lines.every((line) => line.length <= COLUMNS)).toBe(true);
    expect(lines.map((line) => line.slice(14)).join("")).toBe(word);
    expect(wrap("", 10)).toEqual([""]);
  });

  it("gives a service no way to move the cursor or to write lines of its own", () => {
    const line = layOut({ at: 0, who: "a\u001B[2J", what: "b\r\n\u001B[31mc\u2028d" }, 0, PLAIN);
    expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
  });

  it("shows times from the start of the run, never below zero", () => {
    expect(layOut({ at: 12_340, who: "a", what: "b" }, 11_000, PLAIN)).toBe("   1.34 s  a                 b");
    expect(layOut({ at: 1, who: "a", what: "b" }, 5, PLAIN)).toMatch(/^ {3}0\.00 s/);
  });
});

describe("colours", () => {
  it("are there on a terminal only, and not against NO_COLOR or a dumb terminal", () => {
    expect(createPaint({ isTTY: true, env: {} })("red", "x")).toBe("\u001B[31mx\u001B[39m");
    expect(createPaint({ isTTY: true, env: { NO_COLOR: "" } })("red", "x")).toBe("\u001B[31mx\u001B[39m");
    expect(createPaint({ isTTY: true, env: { NO_COLOR: "1" } })("red", "x")).toBe("x");
    expect(createPaint({ isTTY: true, env: { TERM: "dumb" } })("red", "x")).toBe("x");
    expect(createPaint({ isTTY: false, env: {} })("red", "x")).toBe("x");
  });
});

describe("two tales at once", () => {
  it("are printed in the order of their times, not in that of their arrival", () => {
    const printed: string[] = [];
    const { add, flush } = createSorter(({ what }) => printed.push(what));
    for (const [at, what] of [
      [3, "third"],
      [1, "first"],
      [2, "second"],
    ] as const)
      add({ at, who: "", what });
    expect(printed).toEqual([]);
    flush();
    expect(printed).toEqual(["first", "second", "third"]);
  });
});
