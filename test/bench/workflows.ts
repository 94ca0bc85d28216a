/** The chains as workflows of the product. */
import * as z from "zod";
import { workflow, type Definition } from "../../src/define/index.ts";
import {
  BENCH_HOST,
  CHAINS,
  DELIVERED,
  ECHO,
  NOTHING,
  reportPath,
  workflowName,
  type Chain,
} from "./shapes.ts";

export const chains: readonly Definition[] = CHAINS.map(chain);

/** What a delivery starts: one step that does nothing. */
export const delivered: Definition = workflow(DELIVERED, {
  version: "1",
  input: z.object({ repository: z.string(), commit: z.string() }),
}).step("s0", { effect: "safe", run: () => NOTHING });

function chain({ kind, steps }: Pick<Chain, "kind" | "steps">): Definition {
  let made = begin(workflowName({ kind, steps }));
  for (let i = 0; i < steps - 1; i++) {
    const needs = i === 0 ? [] : [name(i - 1)];
    made =
      kind === "nothing"
        ? made.step(name(i), { needs, effect: "safe", run: () => NOTHING })
        : made.step(name(i), { needs, http: { method: "GET", url: `https://${BENCH_HOST}${ECHO}` } });
  }
  return made.step("report", {
    needs: steps === 1 ? [] : [name(steps - 2)],
    effect: "idempotent",
    run: async ({ input, fetch }: Context) => {
      const answer = await fetch(`https://${BENCH_HOST}${reportPath(input.report)}`);
      await answer.text();
      return NOTHING;
    },
  });
}

function name(i: number): string {
  return `s${i}`;
}

/** A chain is built in a loop, so the names of its steps are not known to the compiler. */
interface Chainable extends Definition {
  step(name: string, spec: Does): Chainable;
}

interface Does {
  readonly needs: readonly string[];
  readonly effect?: "safe" | "idempotent";
  readonly http?: { readonly method: "GET"; readonly url: string };
  readonly run?: (context: Context) => unknown;
}

interface Context {
  readonly input: { readonly report: string };
  readonly fetch: (url: string) => Promise<Response>;
}

function begin(name_: string): Chainable {
  // The builder's own type knows the names of all steps, here they are made up at run time.
  return workflow(name_, { version: "1", input: z.object({ report: z.string() }) }) as unknown as Chainable;
}
