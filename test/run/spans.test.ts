/** A run is a trace: each attempt has one span, however the journal is cut into batches, and ids that are computed. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { traceparentOf } from "../../src/actions/index.ts";
import type { Row } from "../../src/driver/index.ts";
import { type Fact, type Json, refOf, type RunState, unitName } from "../../src/kernel/index.ts";
import { parseTraceparent, type Span } from "../../src/platform/index.ts";
import { followSpans } from "../../src/run/spans-of.ts";
import { call, ends, MINUTE, retry, SECOND } from "../kernel/support/build.ts";
import { Play, RUN, START } from "../kernel/support/play.ts";
import { graphs } from "../kernel/support/random-graph.ts";
import { moves, Walk } from "../kernel/support/walk.ts";

/** What a collector gets if the journal is told in batches that begin at these facts. */
async function told(state: RunState, facts: readonly Fact[], cuts: readonly number[] = []): Promise<Span[]> {
  const spans: Span[] = [];
  const followed = followSpans({ write: async (more) => void spans.push(...more) });
  let open: Json = null;
  const bounds = [...new Set([0, ...cuts.filter((cut) => cut < facts.length), facts.length])].toSorted(
    (a, b) => a - b,
  );
  for (const [i, begin] of bounds.slice(0, -1).entries()) {
    const row: Row = { seq: begin + 1, at: 0, facts: facts.slice(begin, bounds[i + 1]), values: [] };
    open = await followed.tell(state, [row], begin + 1, JSON.parse(JSON.stringify(open)) as Json);
  }
  if (state.phase === "ended") expect(open).toBeNull();
  return spans;
}

describe("the spans of a run", () => {
  test("are the same however it is cut into batches, each attempt once, within that of the run", async () => {
    await fc.assert(
      fc.asyncProperty(
        graphs,
        fc.array(moves, { minLength: 20, maxLength: 60 }),
        fc.array(fc.nat({ max: 120 }), { maxLength: 8 }),
        async (graph, plan, cuts) => {
          const walk = new Walk(graph, false);
          for (const move of plan) walk.play(move);
          for (let round = 0; walk.state.phase !== "ended" && round < 5_000; round++) walk.wake();
          const { state, facts } = walk;
          const whole = await told(state, facts);
          expect(await told(state, facts, cuts)).toEqual(whole);
          const ids = whole.map(({ spanId }) => spanId);
          expect(new Set(ids).size).toBe(ids.length);
          let generation = 1;
          const attempts = facts.flatMap((fact) => {
            if (fact.t === "redriven") generation = fact.generation;
            if (fact.t !== "started") return [];
            const unit = refOf(fact.step, fact.item, fact.role);
            return [
              parseTraceparent(traceparentOf({ run: RUN, unit, generation, attempt: fact.attempt }))?.spanId,
            ];
          });
          expect(
            whole
              .filter((span) => "showcaller.attempt" in span.attributes)
              .map(({ spanId }) => spanId)
              .toSorted(),
          ).toEqual(attempts.map(String).toSorted());
          const roots = whole.filter(({ name }) => name.startsWith("run "));
          expect(roots).toHaveLength(facts.filter(({ t }) => t === "ended").length);
          for (const span of whole) {
            expect(span.endAt).toBeGreaterThanOrEqual(span.startAt);
            if (!roots.includes(span)) expect(roots.map(({ spanId }) => spanId)).toContain(span.parentSpanId);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test("tell of waits as well as of work, with how each ended, and of nothing that the run holds", async () => {
    const play = new Play([call("pay", "keyed", { approval: { limitMs: MINUTE } })]);
    play.prepare("pay");
    play.now += 5 * SECOND;
    play.take(play.decide("pay", "approved"));
    play.attempt("pay", ends.cannot());
    const spans = await told(play.state, play.facts);
    expect(
      spans.map(({ name, error, startAt, endAt }) => [name, error, startAt - START, endAt - START]),
    ).toEqual([
      ["approval pay", null, 0, 5_000],
      ["pay", "http_422", 5_000, 5_000],
      [`run ${RUN.workflow}`, "http_422", 0, 5_000],
    ]);
    expect(unitName(refOf("pay"))).toBe("pay");
    expect(JSON.stringify(spans)).not.toContain("What the service said");
  });

  test("tell how long a run waited in a queue before it worked", async () => {
    const play = new Play([call("a")], { run: { flow: { limitMs: MINUTE, place: null } } });
    play.now += 5 * SECOND;
    play.take({ t: "admit", generation: 1 });
    play.attempt("a");
    play.finish();
    const spans = await told(play.state, play.facts);
    expect(spans.map(({ name, startAt, endAt }) => [name, startAt - START, endAt - START])).toEqual([
      ["queue", 0, 5_000],
      ["a", 5_000, 5_000],
      [`run ${RUN.workflow}`, 0, 5_000],
    ]);
  });

  test("end with what became of the attempt, not with the credential that it had used", async () => {
    const play = new Play([call("a", "safe", { retry: retry({ attempts: 2 }) })]);
    play.attempt("a", ends.refused());
    play.wake();
    play.attempt("a");
    play.finish();
    const facts = play.facts.flatMap((fact): Fact[] =>
      fact.t === "retrying" || (fact.t === "succeeded" && fact.step === "a")
        ? [{ t: "used", at: fact.at, step: "a", attempt: 1, as: "refused", credentials: [] }, fact]
        : [fact],
    );
    expect(facts.filter(({ t }) => t === "used")).toHaveLength(2);
    const spans = await told(play.state, facts);
    expect(spans.map(({ attributes }) => attributes["showcaller.outcome"] ?? "run")).toEqual([
      ...["retrying", "succeeded", "run"],
    ]);
  });

  test("belong to the trace of whoever started it, unless that one is not sampled", async () => {
    const begun = (flags: string) => {
      const traceparent = `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-${flags}`;
      const play = new Play([call("a")], { run: { traceparent } });
      play.attempt("a");
      play.finish();
      return told(play.state, play.facts);
    };
    expect((await begun("01")).at(-1)).toMatchObject({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      parentSpanId: "b7ad6b7169203331",
    });
    expect(await begun("00")).toEqual([]);
  });
});
