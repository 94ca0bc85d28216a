/** Every state has an explanation, with a limit, and with calls that are taken. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decide,
  isTerminal,
  parseApprovalId,
  parseUnitName,
  refOf,
  RUN_STATUSES,
  UNIT_STATUSES,
  unitName,
  type Input,
  type Json,
  type ResolveAs,
  type RunState,
} from "../../src/kernel/index.ts";
import { explainRun } from "../../src/run/explain/explain.ts";
import { REASON_CODES, type Explanation, type Remedy } from "../../src/run/explain/explanation.ts";
import { unitsOf } from "../kernel/support/laws.ts";
import { graphs } from "../kernel/support/random-graph.ts";
import { moves, Walk } from "../kernel/support/walk.ts";
import { call, ends, HOUR, performance, retry, verify, wait } from "../kernel/support/build.ts";
import { Play } from "../kernel/support/play.ts";

/** The same each time: what it reaches is asserted. */
const CORPUS = { seed: 1, numRuns: 700 } as const;
const TIMEOUT_MS = 120_000;

const STATUSES = [...RUN_STATUSES, "paused"] as const;

/**
 * Combinations of a run's and a unit's status that no run can be in: once it has ended nothing is at work, a
 * run with something at work is not waiting, and one in which nothing is at work is not running.
 */
function isImpossible(run: (typeof STATUSES)[number], unit: (typeof UNIT_STATUSES)[number]): boolean {
  const ended = run === "succeeded" || run === "failed" || run === "cancelled";
  if (ended) return !isTerminal(unit) && unit !== "pending";
  // What is done anew is pending until the run is admitted.
  if (run === "queued") return ["running", "backing_off", "waiting", "unknown", "skipped"].includes(unit);
  return false;
}

/** The call as the kernel takes it; null: a look at something, which is always taken. */
function inputOf(state: RunState, { method, path, body = {} }: Remedy): Input | null {
  if (method === "GET") return null;
  const fields = body as { readonly [key: string]: Json };
  const by = "key:somebody-else";
  const [, approval] = /^\/v1\/approvals\/([^/]+)$/.exec(path) ?? [];
  if (approval !== undefined) {
    const found = parseApprovalId(approval);
    if (found === null) throw new Error(path);
    const as = fields["decision"] === "approved" ? "approved" : "denied";
    return { t: "decide", unit: found.unit, id: approval, as, by };
  }
  const [, id, verb, name, last] =
    /^\/v1\/runs\/([^/]+)\/([a-z]+)(?:\/([^/]+))?(?:\/([a-z]+))?$/.exec(path) ?? [];
  expect(id).toBe(state.run.id);
  switch (`${verb ?? ""}${last === undefined ? "" : ` ${last}`}`) {
    case "cancel":
      return { t: "cancel", mode: fields["mode"] === "graceful" ? "graceful" : "immediate", by };
    case "resume":
      return { t: "resume", by };
    case "close":
      return { t: "close" };
    case "signals":
      return { t: "signal", id: "fresh", name: name ?? "", payload: { v: null } };
    case "steps resolve": {
      const { item, undo, ...as } = fields;
      const ref = refOf(
        name ?? "",
        typeof item === "number" ? item : undefined,
        undo === true ? "undo" : undefined,
      );
      return { t: "resolve", unit: ref, as: answerOf(as), by };
    }
    case "redrive": {
      const said = Object.entries((fields["resolve"] ?? {}) as Record<string, Record<string, Json>>);
      const resolve = said.map(([unit, as]) => {
        const undo = unit.endsWith("/undo");
        const ref = parseUnitName(undo ? unit.slice(0, -"/undo".length) : unit);
        if (ref === null) throw new Error(unit);
        return { unit: undo ? refOf(ref.step, ref.item, "undo") : ref, as: answerOf(as) };
      });
      return { t: "redrive", by, resolve };
    }
    default:
      throw new Error(`nothing is known of ${path}`);
  }
}

function answerOf(as: Record<string, Json>): ResolveAs {
  const said = as["as"];
  if (said === "succeeded") return { as: said, output: { v: as["output"] ?? null } };
  if (said === "failed" || said === "retry") return { as: said };
  throw new Error(JSON.stringify(as));
}

function check(
  state: RunState,
  now: number,
  explained: Explanation | null,
): asserts explained is Explanation {
  if (explained === null) throw new Error("no explanation");
  expect(explained.summary).not.toBe("");
  const ended = state.phase === "ended";
  expect(explained.limit_at === null).toBe(ended);
  expect(explained.next_at === null).toBe(ended);
  for (const reason of explained.reasons) {
    expect(reason.sentence).toMatch(/^[A-Z].*[.!?)]$/s);
    expect(reason.sentence).not.toMatch(/undefined|null|NaN|not known yet/);
    const over =
      reason.unit === null ? ended : ["done", "skipped", "failed", "cancelled"].includes(reason.code);
    if (!over && !ended)
      expect({ reason, limit: reason.limit_at }).toMatchObject({ limit: expect.any(Number) });
    for (const remedy of reason.remedies) {
      const input = inputOf(state, remedy);
      const decision = input === null ? null : decide(state, input, now, 0.5);
      if (decision !== null && !decision.ok)
        throw new Error(`${remedy.path} ${JSON.stringify(remedy.body)}: ${decision.refusal.message}`);
    }
  }
}

/** A run that was undone for the most part, waits in its queue for the second time, and has kept what is over. */
function queuedAgain(): Play {
  const steps = [
    call("a", "keyed", { compensate: performance("keyed") }),
    call("seen", "once", { verify: verify() }),
    call("mails", "safe", { forEach: { list: null, concurrency: 2, tolerate: 1 } }),
    call("b", "safe", { needs: ["a", "seen", "mails"] }),
  ];
  const play = new Play(steps, { run: { flow: { limitMs: HOUR, place: null } } });
  play.take({ t: "admit", generation: 1 });
  play.attempt("a");
  play.prepare("mails", { kind: "list", list: { v: [1, 2] }, count: 2 });
  play.attempt("mails[0]", ends.cannot());
  play.attempt("mails[1]");
  play.attempt("seen", ends.unclear());
  play.wake();
  play.begin("seen/verify");
  const as = { as: "succeeded", output: { v: "seen" } } as const;
  play.take({ t: "resolve", unit: refOf("seen"), as, by: "ada" });
  play.attempt("b", ends.cannot());
  play.attempt("a/undo");
  play.take({ t: "redrive", by: "ada", resolve: [] });
  return play;
}

describe("whatever state a run is in", { timeout: TIMEOUT_MS }, () => {
  test("each of its steps has a sentence, a limit while it is not over, and calls that are taken", () => {
    const met = new Set<string>();
    const codes = new Set<string>();
    const look = ({ state, now }: { readonly state: RunState; readonly now: number }): void => {
      const whole = explainRun(state, now);
      check(state, now, whole);
      const run = whole.paused && state.phase !== "ended" ? "paused" : whole.status;
      const named = unitsOf(state);
      for (const { name } of state.graph.steps) {
        const explained = explainRun(state, now, name);
        check(state, now, explained);
        expect(explained.reasons.flatMap(({ unit }) => (unit === null ? [] : [unit]))).toEqual(
          named.flatMap(({ ref }) => (ref.step === name ? [unitName(ref)] : [])),
        );
        for (const { code } of explained.reasons) codes.add(code);
      }
      for (const { code } of whole.reasons) codes.add(code);
      for (const { unit } of named) met.add(`${run} ${unit.status}`);
    };
    const resting = new Play([call("a", "safe", { retry: retry({ attempts: 2 }) })]);
    resting.attempt("a", ends.unclear());
    resting.take({ t: "pause", by: "ada" });
    look(resting);
    const looking = new Play([call("a", "keyed")]);
    looking.attempt("a", ends.child());
    looking.wake();
    looking.begin("a");
    look(looking);
    const undoing = new Play([
      call("a", "keyed", { compensate: performance("keyed", { retry: retry({ attempts: 2 }) }) }),
      call("b", "safe", { needs: ["a"] }),
      call("c", "safe", { needs: ["b"] }),
    ]);
    undoing.attempt("a");
    undoing.attempt("b", ends.cannot());
    undoing.attempt("a/undo", ends.refused());
    look(undoing);
    undoing.wake();
    undoing.attempt("a/undo");
    look(undoing);
    for (const input of [
      { t: "turn_away", generation: 2, why: { as: "full" } },
      { t: "cancel", mode: "graceful", by: "ada" },
    ] as const) {
      const again = queuedAgain();
      look(again);
      again.take(input);
      look(again);
    }
    fc.assert(
      fc.property(
        graphs,
        fc.boolean(),
        fc.boolean(),
        fc.array(moves, { minLength: 20, maxLength: 50 }),
        (graph, open, queued, plan) => {
          const walk = new Walk(graph, open, null, queued);
          look(walk);
          for (const move of plan) {
            walk.play(move);
            look(walk);
          }
        },
      ),
      CORPUS,
    );
    const all = STATUSES.flatMap((run) =>
      UNIT_STATUSES.filter((unit) => !isImpossible(run, unit)).map((unit) => `${run} ${unit}`),
    );
    expect(all.filter((one) => !met.has(one))).toEqual([]);
    expect(REASON_CODES.filter((code) => !codes.has(code))).toEqual(["failing", "sealed"]);
  });
});

describe("the explanation of a run", () => {
  test("puts what somebody can do something about before what goes on by itself", () => {
    const play = new Play([call("a"), call("pay", "once")]);
    play.prepare("a");
    play.begin("a");
    play.attempt("pay", ends.unclear());
    const explained = explainRun(play.state, play.now);
    expect(explained?.reasons.map(({ unit, code }) => [unit, code])).toEqual([
      ["pay", "unknown"],
      ["a", "attempt"],
    ]);
    expect(explained?.summary).toContain("Nobody knows whether the step pay happened");
  });

  test("names what was not taken back, and asks about it where it is run again", () => {
    const play = new Play([
      call("pay", "once", { compensate: performance("once") }),
      call("after", "safe", { needs: ["pay"] }),
    ]);
    play.attempt("pay", ends.unclear());
    play.take({ t: "resolve", unit: refOf("pay"), as: { as: "failed" }, by: "ada" });
    const explained = explainRun(play.state, play.now);
    expect(explained).toMatchObject({ status: "failed", limit_at: null, next_at: null });
    expect(explained?.reasons[0]).toMatchObject({ code: "run_failed", remedies: [{ method: "POST" }] });
  });

  test("names the fields that an event has to fit, and not what they must be", () => {
    const parameters = { event: "paid", where: { order: "o-7", "/by/id": 3 } };
    const heard = wait("paid", "event:paid", { event: "paid", with: parameters });
    const play = new Play([heard]);
    play.prepare("paid", { kind: "signal", limitMs: HOUR });
    const explained = explainRun(play.state, play.now);
    expect(explained?.reasons[0]?.sentence).toContain("waits for the event paid in which order, /by/id fit.");
    expect(JSON.stringify(explained)).not.toContain("o-7");
  });

  test("of a step that the run does not have is none", () => {
    expect(explainRun(new Play([call("a")]).state, 0, "b")).toBeNull();
  });

  test("is short, and says how much it leaves out", () => {
    const many = Array.from({ length: 80 }, (_, i) => call(`s${i}`));
    const explained = explainRun(new Play(many).state, 0);
    expect(explained?.reasons).toHaveLength(50);
    expect(explained?.more).toBe(30);
  });
});
