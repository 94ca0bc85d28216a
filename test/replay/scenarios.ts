/** Lives of runs from which golden journals were made. A journal, once made, stands by itself. */

import { limits } from "../../src/kernel/index.ts";
import {
  approval,
  call,
  DAY,
  ends,
  gated,
  HOUR,
  instant,
  MINUTE,
  need,
  performance,
  retry,
  SECOND,
  seed,
  sleep,
  verify,
  wait,
} from "../kernel/support/build.ts";
import { Play, ref } from "../kernel/support/play.ts";

const undo = { compensate: performance("idempotent", { retry: retry({ attempts: 2 }) }) };

export const SCENARIOS: Readonly<Record<string, () => Play>> = {
  "trip-booked": () => {
    const play = new Play([
      call("calendar"),
      wait("clash", "approve", { needs: ["calendar"], when: "busy" }),
      call("flight", "keyed", { needs: ["calendar", "clash"], join: "any", ...undo }),
      call("hotel", "keyed", { needs: ["calendar", "clash"], join: "any", ...undo }),
      instant("summary", { needs: ["flight", "hotel"] }),
      call("email", "keyed", { needs: ["summary"], sensitive: true }),
    ]);
    play.succeed("calendar");
    play.prepare("clash", { kind: "skip" });
    play.begin("flight");
    play.attempt("hotel", ends.refused("http_429", 3 * SECOND));
    play.end("flight", ends.unclear());
    play.wake();
    play.attempt("flight", ends.success({ id: "F1" }));
    play.wake();
    play.attempt("hotel", ends.success({ id: "H1" }));
    play.prepare("summary");
    play.succeed("email");
    play.finish({ booking: "F1" });
    return play;
  },

  "trip-undone": () => {
    const play = new Play([
      call("flight", "keyed", undo),
      call("hotel", "keyed", { needs: ["flight"], ...undo }),
      call("car", "once", { needs: ["flight"] }),
      call("email", "safe", { needs: ["hotel", "car"] }),
      call("voicemail", "once", { part: "on_failure" }),
    ]);
    play.succeed("flight");
    play.begin("car");
    play.attempt("hotel", ends.unusable("output_too_large"));
    play.end("car", ends.success());
    play.attempt("hotel/undo", ends.cannot("http_404"));
    play.attempt("flight/undo", ends.unclear());
    play.wake();
    play.attempt("flight/undo");
    play.attempt("voicemail");
    return play;
  },

  "outcome-unknown": () => {
    const play = new Play([
      call("late", "once"),
      call("checked", "once", { verify: verify() }),
      call("denied", "once", { verify: verify(), retry: retry({ attempts: 2 }) }),
      call("asked", "once", { verify: verify() }),
      call("given-up", "once", { unknownLimitMs: 2 * HOUR }),
    ]);
    for (const step of ["late", "checked", "denied", "asked", "given-up"]) play.begin(step);
    play.wake();
    play.end("late", ends.success("it was slow"), 1);
    play.wake();
    play.attempt("checked/verify", ends.happened(true, "found"));
    play.attempt("denied/verify", ends.happened(false));
    play.attempt("asked/verify", ends.happened(null));
    play.end("denied", ends.success("too late"), 1);
    play.wake();
    play.succeed("denied");
    play.take({ t: "resolve", unit: ref("asked"), as: { as: "failed", note: "not there" }, by: "ada" });
    play.wake();
    return play;
  },

  "asked-at-the-end": () => {
    const checked = { verify: verify(), retry: retry({ attempts: 2, initialMs: SECOND }) };
    const repeat = { until: "done", everyMs: 10 * SECOND, max: 3, withinMs: HOUR };
    const play = new Play([
      call("happened", "keyed", checked),
      call("denied", "idempotent", { ...checked, onFailure: "continue" }),
      call("round", "keyed", { repeat, verify: verify(), retry: retry({ attempts: 1 }) }),
      call("resting", "keyed", { ...checked, ...undo, retry: retry({ attempts: 9, initialMs: MINUTE }) }),
    ]);
    play.attempt("happened", ends.unclear());
    play.attempt("denied", ends.unclear());
    play.attempt("round", ends.unclear());
    play.wake();
    play.attempt("happened", ends.unclear());
    play.attempt("denied", ends.refused());
    play.pass(5 * SECOND);
    play.attempt("happened/verify", ends.happened(true, "found"));
    play.attempt("denied/verify", ends.happened(false));
    play.begin("round/verify");
    play.end("round/verify", { kind: "success", output: { v: "half" }, happened: true, again: true });
    play.attempt("resting", ends.unclear());
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.pass(5 * SECOND);
    play.attempt("resting/verify", ends.happened(true, "found"));
    play.succeed("resting/undo");
    return play;
  },

  "items-given-up": () => {
    const forEach = { list: "to", concurrency: 2, tolerate: 1 };
    const play = new Play([
      call("mails", "keyed", { forEach, ...undo, onFailure: "continue" }),
      call("last"),
    ]);
    play.prepare("mails", { kind: "list", list: { ref: [3, 0], bytes: 2_000 }, count: 4 });
    play.attempt("mails[0]", ends.success("sent"));
    play.begin("mails[1]");
    play.attempt("mails[2]", ends.cannot());
    play.begin("mails[3]");
    play.end("mails[1]", ends.cannot());
    play.end("mails[3]", ends.unclear());
    play.succeed("mails[0]/undo", "mails[3]/undo", "last");
    play.finish();
    return play;
  },

  polled: () => {
    const repeat = { until: "done", everyMs: 10 * SECOND, max: 3, withinMs: HOUR };
    const play = new Play([
      call("job", "keyed", { repeat, onFailure: { fallback: "unfinished" } }),
      sleep("nap"),
    ]);
    play.prepare("nap");
    for (let round = 0; round < 3; round++) {
      play.attempt("job", ends.again(round));
      play.wake();
    }
    play.pass(MINUTE);
    play.finish();
    return play;
  },

  "open-run": () => {
    const play = new Play([], { run: { open: true, user: "u_1", tags: ["demo"] } });
    play.take({ t: "signal", id: "early", name: "go", payload: { v: "early" } });
    play.take({ t: "append", steps: [call("look"), wait("go", "go", { needs: ["look"] })], by: "key_1" });
    play.attempt("look", ends.success("plan", [call("act", "once", { needs: ["go"] })]));
    play.prepare("go");
    play.attempt("act", ends.cannot());
    play.take({ t: "signal", id: "unheard", name: "more", payload: { v: "kept" } });
    play.take({ t: "pause", by: "key_1" });
    play.pass(limits.IDLE_LIMIT_MS);
    play.take({ t: "resume", by: "key_1" });
    play.finish("closed by itself");
    return play;
  },

  redriven: () => {
    const play = new Play([
      call("a", "keyed", undo),
      call("b", "once", { needs: ["a"] }),
      call("c", "keyed", { needs: ["b"], retry: retry({ attempts: 1 }) }),
      call("voicemail", "keyed", { part: "on_failure" }),
    ]);
    play.succeed("a", "b");
    play.attempt("c", ends.unclear());
    play.succeed("a/undo", "voicemail");
    play.pass(HOUR);
    play.take({ t: "redrive", by: "ada", resolve: [{ unit: ref("c"), as: { as: "retry" } }] });
    play.succeed("a", "c");
    play.finish("second time");
    return play;
  },

  "out-of-time": () => {
    const play = new Play(
      [call("a", "keyed", undo), call("b", "once", { needs: ["a"] }), sleep("c", { needs: ["a"] })],
      { graph: { deadlineMs: 2 * HOUR, undoBudgetMs: 2 * HOUR } },
    );
    play.succeed("a");
    play.prepare("c", { kind: "timer", ms: 3 * HOUR });
    play.take({ t: "pause", by: "ada" });
    play.pass(HOUR);
    play.take({ t: "resume", by: "ada" });
    play.pass(HOUR - SECOND);
    play.begin("b");
    play.pass(SECOND);
    play.begin("a/undo");
    play.lose("a/undo");
    play.pass(2 * HOUR);
    return play;
  },

  "object-killer": () => {
    const play = new Play([call("heavy", "keyed", { retry: retry({ attempts: 9 }) }), call("light")]);
    for (const strike of [true, false, true, true]) {
      play.begin("heavy");
      play.lose("heavy", strike);
      play.pass(MINUTE);
    }
    return play;
  },

  approved: () => {
    const play = new Play(
      [
        approval("budget"),
        gated("pay", "keyed", { needs: ["budget"], ...undo }),
        gated("mails", "keyed", {
          needs: ["pay"],
          forEach: { list: "to", concurrency: 2, tolerate: 1 },
        }),
        approval("last-word", { needs: ["mails"], onFailure: "continue" }),
      ],
      { run: { open: true } },
    );
    play.take({ t: "append", steps: [call("more")], by: "key_3" });
    play.prepare("budget");
    play.take(play.decide("budget", "approved", { note: "within the limit" }));
    play.prepare("pay", { kind: "call", digest: "d1", about: { method: "POST", host: "bank.example" } });
    play.take(play.decide("pay", "denied", { by: "identity:eve", via: "key_2", note: "wrong account" }));
    play.take({ t: "close" });
    play.succeed("more");
    play.take({ t: "output", result: { failure: seed("template_failed") } });
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.prepare("pay", { kind: "call", digest: "d2", about: { method: "POST", host: "bank.example" } });
    play.take(play.decide("pay"));
    play.attempt("pay");
    play.prepare("mails");
    for (const i of [0, 1, 2]) play.prepare(`mails[${i}]`);
    play.take(play.decide("mails[0]"));
    play.take(play.decide("mails[1]", "denied"));
    play.attempt("mails[0]");
    play.take({ t: "pause", by: "ada" });
    play.take(play.decide("mails[2]"));
    play.take({ t: "resume", by: "ada" });
    play.attempt("mails[2]");
    play.prepare("last-word");
    play.pass(2 * HOUR);
    play.finish("paid");
    return play;
  },

  delegated: () => {
    const play = new Play(
      [
        call("quick", "keyed", undo),
        call("flaky", "keyed", { needs: ["quick"], onFailure: "continue" }),
        call("each", "keyed", { needs: ["quick"], forEach: { list: "of", concurrency: 2, tolerate: 1 } }),
        call("long", "keyed", { needs: ["flaky", "each"], join: "settled" }),
      ],
      {
        run: {
          startedBy: "run:run_0",
          parent: { run: "run_0", unit: "sub[1]", depth: 2 },
          origins: ["key_1"],
          policies: [{ hosts: ["api.skyline.example"] }],
        },
      },
    );
    play.attempt("quick", ends.child());
    play.take(play.childEnded("quick"));
    play.attempt("quick", ends.success("of the child"));
    play.attempt("flaky", ends.child());
    play.wake();
    play.attempt("flaky", ends.childFailed(1, "done"));
    play.prepare("each", { kind: "list", list: { v: [1, 2, 3] }, count: 3 });
    play.attempt("each[0]", ends.child());
    play.attempt("each[1]", ends.child());
    play.take(play.childEnded("each[1]"));
    play.attempt("each[1]", ends.childFailed(1, "unknown"));
    play.take(play.childEnded("each[0]"));
    play.attempt("each[0]", ends.success());
    play.attempt("each[2]", ends.success());
    play.attempt("long", ends.child());
    play.wake();
    play.begin("long");
    play.take(play.childEnded("long"));
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.end("long", ends.child());
    play.attempt("long", ends.childFailed());
    play.succeed("quick/undo");
    play.take({ t: "redrive", by: "ada", resolve: [{ unit: ref("each[1]"), as: { as: "failed" } }] });
    play.begin("quick");
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.end("quick", ends.child(), play.unit("quick").attempt);
    return play;
  },

  parked: () => {
    const pin = { bound: [{ name: "google", to: { connection: "conn_1", epoch: 1 } }] };
    const play = new Play([
      call("read", "safe"),
      call("book", "once", { needs: ["read"], verify: verify(), ...undo }),
      call("mails", "keyed", { needs: ["book"], forEach: { list: null, concurrency: 2, tolerate: 0 } }),
      call("post", "once", { needs: ["mails"] }),
    ]);
    play.hold("read", need("missing"));
    play.wake();
    play.hold("read", need("missing"));
    play.changed({ connection: "conn_1" });
    play.take({ t: "begin", unit: ref("read"), attempt: 1, version: "v1", ...pin });
    play.end("read", ends.success());
    play.attempt("book", ends.needs("rejected", { refused: true }));
    play.pass(HOUR);
    play.attempt("book", ends.unclear());
    play.wake();
    play.hold("book/verify", need("unavailable", { limitMs: HOUR, recheckMs: SECOND }));
    play.wake();
    play.attempt("book/verify", ends.happened(true));
    play.prepare("mails");
    play.hold("mails[0]", need("replaced"));
    play.hold("mails[1]", need("rate_limited", { limitMs: HOUR, recheckMs: MINUTE }));
    play.attempt("mails[2]");
    play.take({ t: "rebind", name: "google", to: { connection: "conn_1", epoch: 2 }, by: "ada" });
    play.attempt("mails[0]");
    play.wake();
    play.attempt("mails[1]");
    play.attempt("post", ends.needs("scope_missing", { refused: true, scopes: ["mail"] }));
    play.changed();
    play.attempt("post", ends.needs("scope_missing", { refused: true, scopes: ["mail"] }));
    play.hold("book/undo", need("revoked"));
    play.pass(DAY);
    return play;
  },

  lent: () => {
    const about = { connection: "conn_1", integration: "google", account: "default", version: 3 };
    const play = new Play([call("a", "safe"), call("b", "once"), call("c", "safe")]);
    const lent = { version: "v1", credentials: [about] };
    const sent = { credentials: [{ ...about, hosts: ["www.googleapis.com"] }] };
    play.prepare("a");
    play.take({ t: "begin", unit: ref("a"), attempt: 1, ...lent });
    play.take({ t: "ended", generation: 1, unit: ref("a"), attempt: 1, end: ends.refused(), ...sent });
    play.wake();
    play.take({ t: "begin", unit: ref("a"), attempt: 2, ...lent });
    play.take({ t: "ended", generation: 1, unit: ref("a"), attempt: 2, end: ends.success(), ...sent });
    play.prepare("b");
    play.take({ t: "begin", unit: ref("b"), attempt: 1, ...lent });
    play.prepare("c");
    play.take({ t: "begin", unit: ref("c"), attempt: 1, ...lent });
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.take({ t: "ended", generation: 1, unit: ref("c"), attempt: 1, end: ends.success(), ...sent });
    return play;
  },

  queued: () => {
    const flow = { limitMs: HOUR, place: { v: 1, priority: 0 } };
    const steps = [call("a", "keyed", undo), wait("b", "go"), call("c", "safe", { needs: ["a", "b"] })];
    const play = new Play([...steps, call("tell", "safe", { part: "on_failure" })], { run: { flow } });
    play.take({ t: "signal", id: "s1", name: "go", payload: { v: "early" } });
    play.pass(MINUTE);
    play.take({ t: "admit", generation: 1 });
    play.attempt("a", ends.success());
    play.prepare("b", { kind: "signal", limitMs: HOUR });
    play.attempt("c", ends.cannot());
    play.attempt("a/undo", ends.cannot());
    play.attempt("tell");
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.take({ t: "pause", by: "ada" });
    play.pass(HOUR);
    play.attempt("a/undo", ends.success());
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.take({ t: "turn_away", generation: 3, why: { as: "superseded", by: "run_2" } });
    return play;
  },

  "cancelled-in-flight": () => {
    const play = new Play([call("a", "keyed"), call("b"), wait("c", "go"), call("d", "once")]);
    play.begin("a");
    play.attempt("b", ends.refused());
    play.prepare("c");
    play.begin("d");
    play.take({ t: "cancel", mode: "graceful", by: "ada", reason: "no longer needed" });
    play.end("a", ends.success());
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.end("d", ends.success(), 1);
    return play;
  },
};
