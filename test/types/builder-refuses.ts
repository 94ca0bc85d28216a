/** What must not compile. Every line under a directive is a mistake that would otherwise show in production. */
import * as z from "zod";
import { cloud, connection, workflow } from "../../src/define/index.ts";

const w = workflow("w", { version: "1", input: z.object({ day: z.string() }) })
  .step("a", { http: { method: "GET", url: "https://a.example/", answer: z.object({ id: z.string() }) } })
  .step("b", { needs: ["a"], effect: "safe", run: async () => ({ n: 1 }) })
  .step("c", { transform: () => "text" });

// @ts-expect-error a workflow has a version
workflow("x", {});

// @ts-expect-error there is no step of this name, or it comes later
w.step("d", { needs: ["later"], transform: () => 1 });

// @ts-expect-error a step cannot need itself
w.step("d", { needs: ["d"], transform: () => 1 });

// @ts-expect-error there is a step of this name already
w.step("a", { transform: () => 1 });

// @ts-expect-error a step does something
w.step("d", { needs: ["a"] });

// @ts-expect-error a step does one thing
w.step("d", { effect: "safe", run: () => 1, http: { method: "GET", url: "https://a.example/" } });

// @ts-expect-error a function must say what repeating it means
w.step("d", { run: () => 1 });

// @ts-expect-error there is no such effect
w.step("d", { effect: "atomic", run: () => 1 });

// @ts-expect-error there is no such join
w.step("d", { needs: ["a"], join: "most", transform: () => 1 });

// @ts-expect-error there is no such field
w.step("d", { transform: () => 1, retries: 3 });

// @ts-expect-error only what calls the outside is tried again
w.step("d", { transform: () => 1, retry: { attempts: 3 } });

// @ts-expect-error a sleep cannot carry a key
w.step("d", { effect: "keyed", sleep: "1s" });

// @ts-expect-error there is no such unit of time
w.step("d", { sleep: "1 fortnight" });

// @ts-expect-error a method is written in capitals
w.step("d", { http: { method: "get", url: "https://a.example/" } });

// @ts-expect-error an address is needed
w.step("d", { http: { method: "GET" } });

// @ts-expect-error a credential is named, not given
w.step("d", { http: { method: "GET", url: "https://a.example/", auth: "secret" } });

// @ts-expect-error a wait names its signal
w.step("d", { wait: { timeout: "1h" } });

// @ts-expect-error a fallback stands under its name
w.step("d", { transform: () => 1, onFailure: "fallback" });

// What a step sees.

// @ts-expect-error c is not among what d needs
w.step("d", { needs: ["b"], transform: ({ steps }) => steps.c.output });

// @ts-expect-error the input has no such field
w.step("d", { transform: ({ input }) => input.month });

// @ts-expect-error the output of a is not of this shape
w.step("d", { needs: ["a"], transform: ({ steps }) => steps.a.output.body.name });

// @ts-expect-error under any, b may not have succeeded
w.step("d", { needs: ["b", "c"], join: "any", transform: ({ steps }) => steps.b.output.n });

// @ts-expect-error under settled, b may not have succeeded
w.step("d", { needs: ["b"], join: "settled", transform: ({ steps }) => steps.b.output.n });

w.step("m", { needs: ["b", "c"], join: "any", transform: () => 1 }).step("d", {
  needs: ["m"],
  // @ts-expect-error behind an any, a may not have succeeded
  transform: ({ steps }) => steps.a.output.body,
});

w.step("e", { forEach: { list: () => [1], tolerate: 1 }, transform: () => "x" }).step("d", {
  needs: ["e"],
  // @ts-expect-error an item that was allowed to fail has no output
  transform: ({ steps }) => steps.e.output[0]?.length ?? steps.e.output.map((one) => one.length),
});

w.step("e", { effect: "safe", run: () => 1, onFailure: { fallback: null } }).step("d", {
  needs: ["e"],
  // @ts-expect-error the fallback may stand in place of the output
  transform: ({ steps }) => steps.e.output + 1,
});

// @ts-expect-error a step with a condition may have been skipped
w.step("e", { when: () => true, transform: () => 1 }).output(({ steps }) => steps.e.output + 1);

// @ts-expect-error a step whose failure is tolerated may have failed
w.step("e", { transform: () => 1, onFailure: "continue" }).output(({ steps }) => steps.e.output + 1);

// @ts-expect-error without a forEach there is no item
w.step("d", { effect: "safe", run: ({ item }) => item.id });

// @ts-expect-error a condition is true or false
w.step("d", { when: () => "yes", transform: () => 1 });

// What it returns.

// @ts-expect-error a date is not JSON
w.step("d", { effect: "safe", run: () => ({ at: new Date() }) });

// @ts-expect-error a function is not JSON
w.step("d", { effect: "safe", run: async () => [() => 1] });

// @ts-expect-error a bigint is not JSON
w.step("d", { transform: () => 1n });

// @ts-expect-error the answer of a fetch is not JSON: return what is in it
w.step("d", { effect: "safe", run: ({ fetch }) => fetch("https://a.example/") });

// @ts-expect-error only functions of a `run` can wait for something
w.step("d", { transform: async () => 1 });

// Effects and what belongs to them.

// @ts-expect-error a once step cannot be repeated
w.step("d", { effect: "once", run: () => 1, repeat: { every: "1s", until: () => true } });

w.step("d", {
  http: { method: "POST", url: "https://a.example/" },
  // @ts-expect-error POST is once unless the step says otherwise
  repeat: { every: "1s", until: () => true },
});

// @ts-expect-error a safe step needs no verify
w.step("d", { effect: "safe", run: () => 1, verify: { run: () => ({ happened: null }) } });

w.step("d", {
  http: { method: "GET", url: "https://a.example/" },
  // @ts-expect-error GET changes nothing, so there is nothing to take back
  compensate: { effect: "safe", run: () => 1 },
});

// @ts-expect-error a compensation says what repeating it means
w.step("d", { effect: "once", run: () => 1, compensate: { run: () => 1 } });

// @ts-expect-error only a keyed compensation has a key of its own
w.step("d", { effect: "once", run: () => 1, compensate: { effect: "once", run: ({ key }) => key } });

w.step("d", {
  effect: "once",
  run: () => ({ id: 1 }),
  // @ts-expect-error it is not known whether the step happened, so its output may be missing
  compensate: { effect: "once", run: ({ own }) => own.id },
});

// @ts-expect-error what a verify found is the output of the step
w.step("d", { effect: "once", run: () => 1, verify: { run: () => ({ happened: true, output: "text" }) } });

// @ts-expect-error that it happened without an output is not enough
w.step("d", { effect: "once", run: () => 1, verify: { run: () => ({ happened: true }) } });

w.step("d", {
  effect: "once",
  run: () => 1,
  // @ts-expect-error a verify only looks
  verify: { http: { method: "POST", url: "https://a.example/" }, happened: () => ({ happened: null }) },
});

// @ts-expect-error the answer of a verify has to be read
w.step("d", { effect: "once", run: () => 1, verify: { http: { method: "GET", url: "https://a.example/" } } });

// @ts-expect-error only calls can be repeated
w.step("d", { transform: () => 1, repeat: { every: "1s", until: () => true } });

// @ts-expect-error a sleep has no items
w.step("d", { forEach: () => [1], sleep: "1s" });

// @ts-expect-error a wait is for a signal or for an approval
w.step("d", { wait: { signal: "go", approval: "Go on?" } });
// @ts-expect-error a wait is for a signal or for an event
w.step("d", { wait: { signal: "go", event: "go" } });
// @ts-expect-error only an event has data that can be compared
w.step("d", { wait: { signal: "go", where: { order: 1 } } });
// @ts-expect-error the workflow's input has no such field
w.step("d", { wait: { event: "paid", where: ({ input }) => ({ order: input.nothing }) } });

// @ts-expect-error what is asked is a text
w.step("d", { wait: { approval: () => 1 } });

const child = workflow("child", { version: "1", input: z.object({ n: z.number() }) }).output(() => 1);

// @ts-expect-error the input is that of the child
w.step("d", { child: { workflow: child, input: { n: "1" } } });

// @ts-expect-error a workflow that is given as such has its version
w.step("d", { child: { workflow: child, version: "2", input: { n: 1 } } });

// @ts-expect-error a step that starts a run is keyed, and nothing else
w.step("d", { effect: "safe", child: { workflow: child, input: { n: 1 } } });

// @ts-expect-error one thing in a step
w.step("d", { child: { workflow: child, input: { n: 1 } }, transform: () => 1 });

// The end of a lost run.

// @ts-expect-error an onFailure step cannot need a step of the workflow; it sees them all anyway
w.onFailure("d", { needs: ["a"], transform: () => 1 });

// @ts-expect-error nothing is taken back of what runs at the very end
w.onFailure("d", { effect: "once", run: () => 1, compensate: { effect: "safe", run: () => 1 } });

// @ts-expect-error in a lost run no step has surely succeeded
w.onFailure("d", { transform: ({ steps }) => steps.b.output.n });

// @ts-expect-error the name is taken by a step of the workflow
w.onFailure("a", { transform: () => 1 });

// @ts-expect-error only onFailure steps see a failure
w.step("d", { transform: ({ failure }) => failure });

// @ts-expect-error after its output a workflow is complete
w.output(() => 1).step("d", { transform: () => 1 });

// Connections.

// @ts-expect-error an http step names its connection in `auth`
w.step("d", { connections: ["google"], http: { method: "GET", url: "https://a.example/" } });

// @ts-expect-error what calls nobody needs no connection
w.step("d", { connections: ["google"], transform: () => 1 });

// @ts-expect-error a credential is one of a service token, a connection and a cloud role
w.step("d", { http: { method: "GET", url: "https://a.example/", auth: { token: "T" } } });

// @ts-expect-error a cloud role is named by a text
w.step("d", { http: { method: "GET", url: "https://a.example/", auth: cloud(1) } });

// @ts-expect-error the tokens of users are not given out
w.step("d", { effect: "safe", run: ({ credentials }) => credentials(connection("google")) });

// @ts-expect-error a declared role is a reference: names are of integrations
w.step("d", { effect: "safe", connections: [{ role: "writer" }], run: () => 1 });

// @ts-expect-error scopes are a list
w.step("d", { effect: "safe", connections: [{ connection: "google", scopes: "mail" }], run: () => 1 });
