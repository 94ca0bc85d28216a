/** Workflows that only tests need: each shows one behaviour of the engine against the world. */

import * as z from "zod";
import type { CodeTools } from "../../src/actions/index.ts";
import { cloud, connection, Fatal, grow, workflow, type Definition } from "../../src/define/index.ts";
import { cloudWorkflows } from "./cloud-workflows.ts";
import { flowWorkflows } from "./flow-work.ts";

const AIRLINE = "https://api.skyline.example";
const auth = { bearer: "SKYLINE_TOKEN" } as const;
const trip = { from: "VIE", to: "LIS", date: "2026-12-01", traveller: "Ada" };
/** Books a flight; the reference tells the referee for which run. */
const booking = {
  method: "POST",
  url: `${AIRLINE}/bookings`,
  auth,
  headers: ({ run }: { readonly run: { readonly id: string } }) => ({ "x-reference": run.id }),
  json: trip,
} as const;

/** One booking with a key; the reference tells the referee which. */
const keyed = workflow("t-keyed", { version: "1" })
  .step("book", {
    effect: "keyed",
    timeout: "30s",
    retry: { attempts: 4, initial: "50ms", jitter: "none" },
    http: booking,
  })
  .output(({ steps }) => steps.book.output.status);

/** One booking that must not be repeated, and a look whether it happened. */
const once = workflow("t-once", { version: "1" })
  .step("book", {
    effect: "once",
    timeout: "2s",
    http: booking,
    verify: {
      after: "100ms",
      http: {
        method: "GET",
        url: ({ run }) => `${AIRLINE}/bookings?reference=${run.id}`,
        auth,
        answer: z.object({ total: z.number() }),
      },
      happened: ({ body }) =>
        body === null
          ? { happened: null }
          : body.total > 0
            ? { happened: true, output: { status: 201, headers: {}, body: null } }
            : { happened: false },
    },
  })
  .output(({ steps }) => steps.book.output.status);

/** The same without a verify: only a late answer or a person can tell. */
const onceBlind = workflow("t-once-blind", { version: "1" })
  .step("book", {
    effect: "once",
    timeout: "2s",
    http: booking,
  })
  .output(({ steps }) => steps.book.output.status);

const read = workflow("t-read", { version: "1", input: z.object({ path: z.string() }) })
  .step("get", {
    timeout: "2s",
    retry: { attempts: 2, initial: "20ms", jitter: "none" },
    http: {
      method: "GET",
      url: ({ input }) => `${AIRLINE}${input.path}`,
      auth,
      headers: ({ run }) => ({ "x-reference": run.id }),
    },
  })
  .output(({ steps }) => steps.get.output);

/** As `t-read`, but not to be repeated by itself: what a bad answer means for something that happened. */
const put = workflow("t-post", { version: "1" })
  .step("book", {
    effect: "keyed",
    timeout: "2s",
    retry: { attempts: 2, initial: "20ms", jitter: "none" },
    http: { ...booking, answer: z.object({ id: z.string() }) },
  })
  .output(({ steps }) => steps.book.output.status);

/** A call that takes longer than any client waits, and then tells the bench that the run went on. */
const slow = workflow("t-slow", { version: "1" })
  .step("call", {
    effect: "keyed",
    timeout: "150s",
    retry: { attempts: 1 },
    http: booking,
  })
  .step("report", {
    needs: ["call"],
    http: { method: "GET", url: ({ run }) => `https://api.bench.example/report?id=${run.id}` },
  })
  .output(({ steps }) => steps.call.output.status);

const sleeper = workflow("t-sleep", { version: "1", input: z.object({ ms: z.number() }) })
  .step("nap", { sleep: ({ input }) => input.ms })
  .step("after", { needs: ["nap"], transform: () => "awake" })
  .output(({ steps }) => steps.after.output);

const waiter = workflow("t-wait", { version: "1" })
  .step("ask", { wait: { signal: "go", timeout: "1h" } })
  .step("echo", { needs: ["ask"], transform: ({ steps }) => ({ heard: steps.ask.output }) })
  .output(({ steps }) => steps.echo.output);

/** A person decides, and the decision is the output. */
const approved = workflow("t-approval", { version: "1", input: z.object({ price: z.number() }) })
  .step("ok", { wait: { approval: ({ input }) => `Pay ${input.price} <b>now</b>?`, timeout: "1h" } })
  .output(({ steps }) => steps.ok.output);

/** Steps that take no time, one after the other. */
function chain(name: string, length: number): Definition {
  let flow = workflow(name, { version: "1" }).step("s0", { effect: "safe", run: () => 0 });
  for (let i = 1; i < length; i++) {
    // The names are made here, so the compiler cannot know them; each is given as the one name that it knows.
    flow = flow.step(`s${i}` as "s0x", {
      needs: [`s${i - 1}` as "s0"],
      effect: "safe",
      run: () => i,
    }) as unknown as typeof flow;
  }
  return flow;
}

const large = workflow("t-large", {
  version: "1",
  input: z.object({ bytes: z.number(), effect: z.enum(["safe", "once"]) }),
})
  .step("safe", {
    when: ({ input }) => input.effect === "safe",
    effect: "safe",
    retry: { attempts: 1 },
    run: ({ input }) => "x".repeat(input.bytes),
  })
  .step("once", {
    when: ({ input }) => input.effect === "once",
    effect: "once",
    run: ({ input }) => "x".repeat(input.bytes),
  })
  .output(() => null);

const fatal = workflow("t-fatal", { version: "1" })
  .step("no", {
    effect: "safe",
    run: () => {
      throw new Fatal("it cannot be done", { reason: "by_design" });
    },
  })
  .onFailure("tell", { effect: "safe", run: ({ failure }) => failure.code })
  .output(() => null);

/** Goes where its input says: what an agent can make of a workflow that takes an address. */
const anywhere = z.object({ url: z.string() });
const sends = workflow("t-send", { version: "1", input: anywhere })
  .step("send", {
    effect: "once",
    retry: { attempts: 2, initial: "20ms", jitter: "none" },
    http: {
      method: "POST",
      url: ({ input }) => input.url,
      headers: ({ run }) => ({ "x-reference": run.id }),
      json: { mail: "what only Ada should know" },
    },
  })
  .output(({ steps }) => steps.send.output.status);

const fetches = workflow("t-fetch", { version: "1", input: anywhere })
  .step("fetch", {
    effect: "once",
    retry: { attempts: 2, initial: "20ms", jitter: "none" },
    run: async ({ input, run, fetch }) => {
      const answer = await fetch(input.url, {
        method: "POST",
        headers: { "x-reference": run.id },
        body: "what only Ada should know",
      });
      return answer.status;
    },
  })
  .output(({ steps }) => steps.fetch.output);

/** Waits for a word, and then calls. */
const later = workflow("t-later", { version: "1" })
  .step("ask", { wait: { signal: "go", timeout: "1h" } })
  .step("send", { needs: ["ask"], http: booking, effect: "once" })
  .output(({ steps }) => steps.send.output.status);
/** Runs of their own for a part of the work: one that sleeps, one that waits, one that fails, one that asks. */
const parentSleep = workflow("t-parent-sleep", { version: "1", input: z.object({ ms: z.number() }) })
  .step("sub", { child: { workflow: sleeper, input: ({ input }) => ({ ms: input.ms }), tags: ["sub"] } })
  .output(({ steps }) => ({ said: steps.sub.output }));
const parentWait = workflow("t-parent-wait", { version: "1" })
  .step("sub", { child: { workflow: waiter, timeout: "2h" } })
  .output(({ steps }) => steps.sub.output);
const parentFatal = workflow("t-parent-fatal", { version: "1" }).step("sub", {
  child: { workflow: "t-fatal" },
});
const parentAsks = workflow("t-parent-asks", { version: "1" }).step("sub", {
  child: { workflow: approved, input: { price: 1 } },
});
const parentEach = workflow("t-parent-each", { version: "1" })
  .step("sub", {
    forEach: { list: () => [1, 2, 3], concurrency: 2 },
    child: { workflow: sleeper, input: ({ item }) => ({ ms: item }) },
  })
  .output(({ steps }) => steps.sub.output);
/** Runs that start runs that start runs. */
const nest = workflow("t-nest", { version: "1" }).step("sub", { child: { workflow: "t-nest" } });
/** Two items that are done, and then undone: the first one cannot be. */
const eachUndone = workflow("t-each-undone", { version: "1" })
  .step("make", {
    forEach: { list: () => [1, 2] },
    effect: "idempotent",
    run: ({ item }) => item,
    compensate: {
      effect: "idempotent",
      run: ({ item }) => {
        if (item === 1) throw new Fatal("It stays.");
      },
    },
  })
  .step("lose", { needs: ["make"], fail: { message: "Lost.", reason: "lost" } });

const agenda = connection("agenda");

type Entering = Pick<CodeTools, "fetch" | "expectOk"> & {
  readonly key: string;
  readonly run: { readonly id: string };
};

/** Enters three days in the calendar of whom it acts for: by functions, one of which says beforehand what it needs. */
const enter =
  (day: string) =>
  async ({ fetch, expectOk, key, run }: Entering) => {
    const answer = await fetch("https://api.calendar.example/events", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key, "x-reference": run.id },
      body: JSON.stringify({ day, title: "lent" }),
      auth: agenda,
    });
    return (await expectOk(answer)).status;
  };
const agendaDays = workflow("t-agenda", { version: "1" })
  .step("first", { effect: "keyed", connections: [agenda], run: enter("2026-12-01") })
  .step("go", { needs: ["first"], wait: { signal: "go", timeout: "7d" } })
  .step("second", { needs: ["go"], effect: "keyed", run: enter("2026-12-02") })
  .step("on", { needs: ["second"], wait: { signal: "on", timeout: "7d" } })
  .step("third", { needs: ["on"], effect: "keyed", run: enter("2026-12-03") })
  .output(({ steps }) => [steps.first.output, steps.second.output, steps.third.output]);

/** Holds the credential of a cloud role, and gives away all of it that it can. */
const cloudHolds = workflow("t-cloud-holds", { version: "1" })
  .step("hold", {
    effect: "safe",
    run: async ({ credentials, log }) => {
      const held = await credentials(cloud("holds"));
      if (held.kind !== "bearer") throw new Fatal("another kind");
      const { kind, token } = held;
      log(`with ${token}`, { token });
      return { kind, held, coded: btoa(token), spelt: encodeURIComponent(token), chars: token.length };
    },
  })
  .output(({ steps }) => steps.hold.output);

/** Is given what nobody else may know, though it does not say so of itself. */
const toldSecret = workflow("t-told-secret", { version: "1", input: z.object({ passed: z.string() }) })
  .step("echo", { effect: "safe", run: ({ input }) => `${input.passed}-echoed` })
  .output(({ steps }) => steps.echo.output);
/** Has something sensitive everywhere where a run can have it, and waits in the middle. */
const secretive = workflow("t-secretive", {
  version: "1",
  input: z.object({ word: z.string(), list: z.array(z.string()) }),
  sensitive: ["input", "output"],
})
  .step("own", { effect: "safe", sensitive: true, run: ({ input }) => ({ own: `${input.word}-own` }) })
  .step("each", { effect: "safe", forEach: ({ input }) => input.list, run: ({ item }) => `${item}-each` })
  .step("big", { effect: "safe", run: ({ input }) => Array.from({ length: 4_000 }, () => input.word) })
  .step("gate", { needs: ["own", "each", "big"], wait: { signal: "go", timeout: "1h" } })
  .step("sub", {
    needs: ["gate"],
    child: { workflow: toldSecret, input: ({ input }) => ({ passed: `${input.word}-passed` }) },
  })
  .output(({ input, steps }) => ({
    word: input.word,
    own: steps.own.output,
    each: steps.each.output,
    big: steps.big.output.every((one) => one === input.word) && steps.big.output.length,
    heard: steps.gate.output,
    sub: steps.sub.output,
  }));
/** Says in its failure what it was given. */
const secretFails = workflow("t-secret-fails", {
  version: "1",
  input: z.object({ word: z.string() }),
  sensitive: ["input"],
}).step("no", {
  effect: "safe",
  run: ({ input }) => {
    throw new Fatal(`There is no ${input.word}.`);
  },
});
/** What it does next is known only when it runs, and is sensitive then. */
const secretGrows = workflow("t-secret-grows", { version: "1" })
  .step("plan", {
    effect: "safe",
    run: () => grow({ known: true }, { late: { action: "wait", with: { signal: "go" }, sensitive: true } }),
  })
  .output(() => "grown");

/** Starts by an event, and waits for another one of its own order. */
const onEvent = workflow("t-on-event", {
  version: "1",
  input: z.object({ order: z.string() }),
  on: [
    {
      event: "order.placed",
      filter: "event.data.total > 0",
      input: { order: "${{ event.data.order }}" },
    },
  ],
})
  .step("paid", {
    wait: { event: "order.paid", where: ({ input }) => ({ order: input.order }), timeout: "1h" },
  })
  .output(({ steps }) => steps.paid.output);

export const testWorkflows: readonly Definition[] = [
  ...flowWorkflows,
  agendaDays,
  cloudHolds,
  keyed,
  once,
  onceBlind,
  read,
  put,
  slow,
  sleeper,
  waiter,
  approved,
  chain("t-chain-4", 4),
  chain("t-chain-100", 100),
  large,
  fatal,
  sends,
  fetches,
  later,
  parentSleep,
  parentWait,
  parentFatal,
  parentAsks,
  parentEach,
  nest,
  eachUndone,
  toldSecret,
  secretive,
  secretFails,
  secretGrows,
  onEvent,
  ...cloudWorkflows,
];
