/** Workflows in TypeScript that use cloud roles: what they send, and where to, is for tests to say. */
import * as z from "zod";
import { cloud, type Definition, workflow } from "../../src/define/index.ts";

const BUCKET = "https://invoices.s3.eu-central-1.amazonaws.com";
const retry = { attempts: 1 } as const;

/** Stores an object under the run's id, waits for a word, and stores another one. */
const puts = workflow("t-cloud-put", { version: "1" })
  .step("first", {
    effect: "idempotent",
    retry,
    http: {
      method: "PUT",
      url: ({ run }) => `${BUCKET}/${run.id}/first.json`,
      auth: cloud("writer"),
      headers: ({ run }) => ({ "x-reference": run.id }),
      json: { stored: 1 },
    },
  })
  .step("go", { needs: ["first"], wait: { signal: "go", timeout: "1h" } })
  .step("second", {
    needs: ["go"],
    effect: "idempotent",
    retry,
    http: {
      method: "PUT",
      url: ({ run }) => `${BUCKET}/${run.id}/second.json`,
      auth: cloud("writer"),
      headers: ({ run }) => ({ "x-reference": run.id }),
      json: { stored: 2 },
    },
  })
  .output(({ steps }) => steps.second.output.status);

/** A function that sends with a role's credential wherever its input says. */
const sends = workflow("t-cloud-send", {
  version: "1",
  input: () =>
    z.object({
      url: z.string(),
      role: z.string().default("writer"),
      /** Names what is sent, for the referee. */
      reference: z.string().optional(),
    }),
})
  .step("send", {
    effect: "idempotent",
    retry,
    run: async ({ input, run, fetch }) => {
      const answer = await fetch(input.url, {
        method: "PUT",
        headers: { "x-reference": input.reference ?? run.id },
        body: "{}",
        auth: cloud(input.role),
      });
      return { status: answer.status, body: await answer.text() };
    },
  })
  .output(({ steps }) => steps.send.output);

export const cloudWorkflows: readonly Definition[] = [puts, sends];
