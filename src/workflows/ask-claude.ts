import * as z from "zod";
import { cloud, workflow } from "../define/index.ts";

/**
 * Asks a model of Anthropic, with no API key: the workflow's own identity is exchanged for a token that ends within the
 * hour. The role `anthropic` names the federation rule and `api.anthropic.com`.
 */
export const askClaude = workflow("ask-claude", {
  version: "1",
  description: "Asks a model of Anthropic one question, with a token for the workflow's own identity.",
  input: () =>
    z.strictObject({
      question: z.string().min(1).max(100_000),
      model: z.string().min(1).default("claude-sonnet-4-5"),
      max_tokens: z.int().min(1).max(8_192).default(1_024),
    }),
})
  // A question changes nothing: what is asked twice costs twice, and does no other harm, so the step says that it is `safe`.
  .step("answer", {
    effect: "safe",
    timeout: "3m",
    retry: { attempts: 3, initial: "2s" },
    http: {
      method: "POST",
      url: "https://api.anthropic.com/v1/messages",
      auth: cloud("anthropic"),
      headers: { "anthropic-version": "2023-06-01" },
      json: ({ input }) => ({
        model: input.model,
        max_tokens: input.max_tokens,
        messages: [{ role: "user", content: input.question }],
      }),
      answer: z.looseObject({
        content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
        stop_reason: z.string().nullable(),
        usage: z.looseObject({ input_tokens: z.int(), output_tokens: z.int() }),
      }),
    },
  })
  .output(({ steps }) => {
    const { content, stop_reason: stopped, usage } = steps.answer.output.body;
    return {
      text: content.map(({ text }) => text ?? "").join(""),
      stopped,
      tokens: usage.input_tokens + usage.output_tokens,
    };
  });
