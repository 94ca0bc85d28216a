/** `ask-claude`: a model is asked with a token for the workflow's own identity. */
import { describe, expect, it } from "vitest";
import type { RoleUse } from "../../src/identity/using.ts";
import type { Json } from "../../src/kernel/index.ts";
import type { EgressRequest, EgressResult, Lease } from "../../src/platform/index.ts";
import { askClaude } from "../../src/workflows/ask-claude.ts";
import { roleLease, roleReady } from "./lending.ts";
import { NO_USE, runInMemory } from "./run-in-memory.ts";
import { answered, outside } from "./support.ts";

const ANTHROPIC = "api.anthropic.com";
const ANSWER = {
  content: [
    { type: "text", text: "Forty-" },
    { type: "text", text: "two." },
  ],
  ...{ stop_reason: "end_turn", usage: { input_tokens: 9, output_tokens: 3 } },
};
const token = (n: number): string => `sk-ant-oat01-token-${n}`;

/** As an Anthropic role lends: a bearer, and the header that says what it is. */
function bearer(n: number): Lease {
  const { sign: _sign, raw: _raw, ...lease } = roleLease(n);
  return {
    ...lease,
    about: {
      role: "anthropic",
      provider: "anthropic",
      subject: "tenant:default:code:ask-claude",
      version: 1,
    },
    headers: { authorization: `Bearer ${token(n)}` },
    defaults: { "anthropic-beta": "oauth-2025-04-20" },
    secrets: [token(n)],
    refusalFor: (url) => (new URL(url).hostname === ANTHROPIC ? null : "It is not sent there."),
    read: ({ status }) => (status === 401 ? { is: "token_refused" } : undefined),
    renew: async () => roleReady(bearer(n + 1)),
  };
}

async function ask(input: Json, answer: (request: EgressRequest) => EgressResult) {
  const uses: RoleUse[] = [];
  const world = outside(answer);
  const ended = await runInMemory(
    askClaude,
    input,
    { ...world, now: () => Date.now() },
    NO_USE,
    async (use) => {
      uses.push(use);
      return roleReady(bearer(1));
    },
  );
  return { ended, uses, requests: world.requests };
}

describe("ask-claude", () => {
  it("asks with a token of its own identity, and answers with the text", async () => {
    const { ended, uses, requests } = await ask({ question: "What is it?" }, () => answered(200, ANSWER));
    expect(ended).toMatchObject({
      status: "succeeded",
      output: { text: "Forty-two.", stopped: "end_turn", tokens: 12 },
    });
    expect(uses).toMatchObject([
      { role: "anthropic", subject: { kind: "code", name: "ask-claude" }, stepTimeoutMs: 180_000 },
    ]);
    const [{ url, method, headers, body } = expect.fail("nothing was sent")] = requests;
    expect([method, url]).toEqual(["POST", `https://${ANTHROPIC}/v1/messages`]);
    expect(headers).toMatchObject({
      authorization: `Bearer ${token(1)}`,
      "anthropic-beta": "oauth-2025-04-20",
      "anthropic-version": "2023-06-01",
    });
    expect(JSON.parse(String(body))).toMatchObject({ messages: [{ role: "user", content: "What is it?" }] });
    expect(ended.journal).not.toContain(token(1));
  });

  it("goes on with another token where the service refuses the first, in the same attempt", async () => {
    const { ended, requests } = await ask({ question: "Again?" }, ({ headers }) =>
      headers?.["authorization"] === `Bearer ${token(1)}` ? answered(401) : answered(200, ANSWER),
    );
    expect(ended.status).toBe("succeeded");
    expect(requests).toHaveLength(2);
    expect(ended.state.units[0]?.attempt).toBe(1);
  });

  it("fails where the answer is no message", async () => {
    const { ended } = await ask({ question: "?" }, () => answered(200, { content: "none" }));
    expect(ended.state.failure).toMatchObject({ code: "output_invalid", step: "answer" });
  });
});
