/** What the builder knows: the types that an author sees. Nothing here runs. */
import * as z from "zod";
import type { Json } from "../../src/kernel/index.ts";
import {
  cloud,
  connection,
  grow,
  workflow,
  type Approved,
  type HttpAnswer,
  type InputOf,
  type OutputOfRun,
} from "../../src/define/index.ts";
import { same } from "./equal.ts";

const Booking = z.object({ id: z.string(), price: z.number() });
type Booking = z.infer<typeof Booking>;

const base = workflow("w", {
  version: "1",
  input: z.object({ day: z.string(), ids: z.array(z.number()).default([]) }),
})
  .step("a", { http: { method: "GET", url: "https://a.example/", answer: Booking } })
  .step("b", { needs: ["a"], effect: "safe", run: async () => ({ n: 1 }) })
  .step("c", { needs: ["a"], effect: "safe", run: () => "text" });

// The input is what the schema parsed, defaults filled in.
same<InputOf<typeof base>, { day: string; ids: number[] }>("same");

// Under `all`, everything on the way has surely succeeded.
base.step("all", {
  needs: ["b"],
  transform: ({ steps }) => {
    same<typeof steps.b.output, { n: number }>("same");
    same<typeof steps.a.output, HttpAnswer<Booking>>("same");
    same<keyof typeof steps, "a" | "b">("same");
    return null;
  },
});

// Under `any` and `settled`, nothing has.
base.step("any", {
  needs: ["b", "c"],
  join: "any",
  transform: ({ steps }) => {
    same<typeof steps.b.output, { n: number } | null>("same");
    same<typeof steps.a.output, HttpAnswer<Booking> | null>("same");
    // The status tells, and narrows.
    return steps.b.status === "succeeded" ? steps.b.output.n : 0;
  },
});
base.step("settled", {
  needs: ["b"],
  join: "settled",
  transform: ({ steps }) => {
    same<typeof steps.b.output, { n: number } | null>("same");
    return null;
  },
});

// What was only seen through another join stays uncertain further down; the join itself does not.
base.step("merge", { needs: ["b", "c"], join: "any", transform: () => 1 }).step("after", {
  needs: ["merge"],
  transform: ({ steps }) => {
    same<typeof steps.merge.output, number>("same");
    same<typeof steps.b.output, { n: number } | null>("same");
    same<typeof steps.a.output, HttpAnswer<Booking> | null>("same");
    return null;
  },
});

// A need that has a condition was not skipped, if a step under `all` runs.
base.step("maybe", { when: ({ input }) => input.day !== "", transform: () => 1 }).step("next", {
  needs: ["maybe"],
  transform: ({ steps }) => {
    same<typeof steps.maybe.output, number>("same");
    return null;
  },
});

// A fallback joins the output.
base.step("weak", { effect: "safe", run: () => 1, onFailure: { fallback: "none" } }).step("next", {
  needs: ["weak"],
  transform: ({ steps }) => {
    same<typeof steps.weak.output, string | number>("same");
    return null;
  },
});

// The run's output: sure of what always runs and would have failed the run.
const outputs = base
  .step("cond", { when: () => true, transform: () => 1 })
  .step("behind", { needs: ["cond"], transform: () => 1 })
  .step("tolerated", { transform: () => 1, onFailure: "continue" })
  .step("rescued", { transform: () => 1, onFailure: { fallback: "x" } })
  .step("merge", { needs: ["cond", "rescued"], join: "any", transform: () => true })
  .step("late", { needs: ["cond"], join: "settled", transform: () => true })
  .output(({ steps }) => ({
    b: steps.b.output,
    cond: steps.cond.output,
    behind: steps.behind.output,
    tolerated: steps.tolerated.output,
    rescued: steps.rescued.output,
    merge: steps.merge.output,
    late: steps.late.output,
  }));
same<
  OutputOfRun<typeof outputs>,
  {
    b: { n: number };
    cond: number | null;
    behind: number | null;
    tolerated: number | null;
    rescued: string | number;
    merge: boolean;
    late: boolean;
  }
>("same");

// In an open workflow a step's failure does not fail the run.
workflow("open", { version: "1", open: true })
  .step("a", { transform: () => 1 })
  .output(({ steps }) => {
    same<typeof steps.a.output, number | null>("same");
    return null;
  });

// Lists: the item has its type, the output is a list; an item that was allowed to fail is null.
base
  .step("each", {
    forEach: ({ input }) => input.ids,
    effect: "safe",
    run: async ({ item, index }) => {
      same<typeof item, number>("same");
      return { id: item, index };
    },
  })
  .step("some", {
    forEach: { list: () => ["x"], tolerate: 2, concurrency: 3 },
    transform: ({ item }) => item.length,
  })
  .step("next", {
    needs: ["each", "some"],
    transform: ({ steps }) => {
      same<typeof steps.each.output, readonly { id: number; index: number }[]>("same");
      same<typeof steps.some.output, readonly (number | null)[]>("same");
      return null;
    },
  });

// Outputs of actions.
base
  .step("post", { effect: "keyed", http: { method: "POST", url: "https://a.example/" } })
  .step("nap", { sleep: "5m" })
  .step("go", { wait: { signal: "go", timeout: "2h" } })
  .step("paid", { wait: { event: "order.paid", where: ({ input }) => ({ day: input.day }), timeout: "2h" } })
  .step("nothing", { effect: "once", run: () => {} })
  .step("more", {
    effect: "idempotent",
    run: () => grow({ n: 1 }, { next: { action: "sleep", with: { for: "1s" } } }),
  })
  .step("next", {
    needs: ["post", "nap", "go", "paid", "nothing", "more"],
    transform: ({ steps }) => {
      same<typeof steps.post.output, HttpAnswer>("same");
      same<typeof steps.nap.output, null>("same");
      same<typeof steps.go.output, Json>("same");
      same<typeof steps.paid.output, Json>("same");
      same<typeof steps.nothing.output, null>("same");
      same<typeof steps.more.output, { n: number }>("same");
      return null;
    },
  });

// Compensation and verify see the step's own output and key.
base.step("book", {
  needs: ["a"],
  effect: "keyed",
  run: async ({ key }) => ({ id: key }),
  verify: { run: async ({ stepKey }) => ({ happened: true, output: { id: stepKey } }) },
  compensate: {
    effect: "keyed",
    run: async ({ own, key, stepKey, failure }) => {
      same<typeof own, { id: string } | null>("same");
      return [key, stepKey, failure?.code ?? null];
    },
  },
});
base.step("book", {
  http: { method: "POST", url: "https://a.example/", answer: Booking },
  verify: {
    after: "10s",
    http: { method: "GET", url: ({ stepKey }) => stepKey, answer: z.array(Booking) },
    happened: ({ status, headers, body }) => {
      same<typeof body, Booking[] | null>("same");
      const [found] = body ?? [];
      return found === undefined
        ? { happened: null }
        : { happened: true, output: { status, headers, body: found } };
    },
  },
  compensate: { http: { method: "DELETE", url: ({ own }) => `https://a.example/${own?.body.id}` } },
});

// A repeat reads the output of a round.
base.step("poll", {
  http: { method: "GET", url: "https://a.example/", answer: z.object({ done: z.boolean() }) },
  repeat: {
    every: "2s",
    max: 10,
    within: "1h",
    until: (output, { iteration }) => output.body.done || iteration > 3,
  },
});

// What runs when all is lost sees why, and every step, none of them for sure.
base
  .onFailure("tell", {
    effect: "once",
    run: ({ failure, steps, input }) => {
      same<typeof steps.b.output, { n: number } | null>("same");
      return `${input.day}: ${failure.message} ${failure.hint}`;
    },
  })
  .onFailure("log", {
    needs: ["tell"],
    transform: ({ steps }) => {
      same<typeof steps.tell.output, string>("same");
      same<typeof steps.a.output, HttpAnswer<Booking> | null>("same");
      return null;
    },
  });

// An approval gives who decided; its text may be made of what is seen.
base
  .step("ok", {
    needs: ["a"],
    wait: { approval: ({ steps }) => `Pay ${steps.a.output.body.price}?`, timeout: "2d" },
  })
  .step("fixed", { wait: { approval: "Go on?" } })
  .step("after", {
    needs: ["ok", "fixed"],
    transform: ({ steps }) => {
      same<typeof steps.ok.output, Approved>("same");
      same<typeof steps.fixed.output, Approved>("same");
      return steps.ok.output.by;
    },
  });

// A child that is given as a workflow takes its input and gives its output; by name alone, both are any JSON.
const child = workflow("child", { version: "3", input: z.object({ n: z.number() }) })
  .step("a", { transform: ({ input }) => input.n })
  .output(({ steps }) => ({ twice: steps.a.output * 2 }));
base
  .step("typed", {
    child: { workflow: child, input: ({ input }) => ({ n: input.ids.length }), timeout: "2d" },
  })
  .step("each", {
    forEach: ({ input }) => input.ids,
    child: { workflow: child, input: ({ item }) => ({ n: item }) },
    compensate: { effect: "idempotent", run: ({ own }) => own?.twice ?? 0 },
  })
  .step("named", { child: { workflow: "other", version: "1", input: { any: ["thing"] }, tags: ["t"] } })
  .step("after", {
    needs: ["typed", "each", "named"],
    transform: ({ steps }) => {
      same<typeof steps.typed.output, { twice: number }>("same");
      same<typeof steps.each.output, readonly { twice: number }[]>("same");
      same<typeof steps.named.output, Json>("same");
      return null;
    },
  });

// Connections: of an `http` step in its `auth`, of a function by name or reference, of a workflow up front.
workflow("connected", { version: "1", connections: { google: { scopes: ["calendar"] }, slack: {} } })
  .step("read", { http: { method: "GET", url: "https://a.example/", auth: connection("google") } })
  .step("write", {
    effect: "once",
    connections: ["google", connection("slack", { account: "work", scopes: ["chat:write"] })],
    run: async ({ fetch }) => {
      const answer = await fetch("https://a.example/", { auth: connection("google") });
      same<typeof answer, Response>("same");
      return answer.status;
    },
    verify: { connections: ["google"], run: () => ({ happened: null }) },
    compensate: { effect: "idempotent", connections: ["slack"], run: () => null },
  });

// Cloud roles: of an `http` step in its `auth`, of a function by reference; the credential itself, of either kind.
workflow("federated", { version: "1" })
  .step("store", { http: { method: "PUT", url: "https://a.example/", auth: cloud("writer"), json: {} } })
  .step("copy", {
    effect: "idempotent",
    connections: ["google", cloud("writer")],
    run: async ({ fetch, credentials }) => {
      const answer = await fetch("https://a.example/", { method: "PUT", body: "x", auth: cloud("writer") });
      same<typeof answer, Response>("same");
      const held = await credentials(cloud("writer"));
      same<typeof held.expiresAt, number>("same");
      if (held.kind === "bearer") return held.token;
      same<
        typeof held,
        {
          readonly kind: "aws";
          readonly accessKeyId: string;
          readonly secretAccessKey: string;
          readonly sessionToken: string;
          readonly expiresAt: number;
        }
      >("same");
      return answer.status;
    },
    verify: { connections: [cloud("writer")], run: () => ({ happened: null }) },
    compensate: {
      http: { method: "DELETE", url: "https://a.example/", auth: cloud("writer") },
    },
  });
