/** What a function does with cloud roles: by `fetch`, and with the credential itself. */
import { describe, expect, it } from "vitest";
import { Fatal, Lent, performAction, type ActionCall, type CodeTools } from "../../src/actions/index.ts";
import { cloud } from "../../src/define/index.ts";
import type { EgressRequest, EgressResult, LeaseAnswer } from "../../src/platform/index.ts";
import { cloudNeed } from "../kernel/support/build.ts";
import { ROLE_SECRET, roleLease, roleReady, STORE, WRITER } from "./lending.ts";
import { answered, call, outside } from "./support.ts";

const URL_ = `https://${STORE}/in_1.json`;
const writer = cloud("writer");
const SESSION = "session-token-of-ASIA-1";

interface Scene extends Partial<ActionCall> {
  readonly lend?: LeaseAnswer;
  readonly denied?: true;
}

function perform(
  run: (tools: CodeTools) => unknown,
  answer: (request: EgressRequest) => EgressResult,
  { lend, denied, ...more }: Scene = {},
) {
  const made = outside(answer, { step: () => run });
  const result = performAction(call({ action: "code", effect: "once", ...more }), {
    ...made,
    ...(lend === undefined ? {} : { lend: async () => lend }),
    ...(denied === undefined ? {} : { holdingPolicy: async () => ({ kind: "denied", message: "No." }) }),
  });
  return { result, requests: made.requests, lines: made.lines };
}

const lent = { lease: new Lent([[WRITER, roleLease()]]) };
const fine = () => answered(200, { ok: true });

describe("fetch with a cloud role", () => {
  it("hands on what signs the request, and follows no redirect by itself", async () => {
    const { result, requests } = perform(
      async ({ fetch }) => (await fetch(URL_, { method: "PUT", body: "x", auth: writer })).status,
      fine,
      lent,
    );
    expect(await result).toMatchObject({
      ...{ kind: "success", output: 200 },
      credentials: [{ role: "writer", hosts: ["invoices.s3.eu-central-1.amazonaws.com"] }],
    });
    const [sent] = requests;
    const headers = { "content-type": "text/plain" };
    expect(await sent?.sign?.({ method: "PUT", url: URL_, headers, body: "x" })).toMatchObject({
      "x-amz-security-token": SESSION,
    });
  });

  it("finds a role on first use, and pins it", async () => {
    const { result } = perform(async ({ fetch }) => (await fetch(URL_, { auth: writer })).status, fine, {
      lend: roleReady(),
    });
    expect(await result).toMatchObject({
      kind: "success",
      output: 200,
      credentials: [{ role: "writer" }],
      bound: [{ name: "cloud:writer", to: { role: "role_1" } }],
    });
  });

  it.each<[string, LeaseAnswer, object]>([
    ["waits for what time mends", { kind: "needs", need: cloudNeed() }, { kind: "needs", need: cloudNeed() }],
    [
      "is refused what is not for it",
      { kind: "cannot", code: "cloud_role_refused", message: "Not for it.", hint: "Ask." },
      { kind: "cannot", failure: { code: "cloud_role_refused" } },
    ],
  ])("%s", async (_, lend, expected) => {
    const { result, requests } = perform(async ({ fetch }) => fetch(URL_, { auth: writer }), fine, { lend });
    expect(await result).toMatchObject(expected);
    expect(requests).toEqual([]);
  });

  it("of a `once` step that has sent something, and is refused in vain, leaves open what happened", async () => {
    const { result } = perform(
      async ({ fetch }) => {
        await fetch("https://other.example/", { method: "POST" });
        return fetch(URL_, { auth: writer });
      },
      fine,
      { lend: { kind: "needs", need: cloudNeed() } },
    );
    expect(await result).toMatchObject({ kind: "unclear", failure: { code: "cloud_unavailable" } });
  });
});

describe("the credential itself", () => {
  it("is given to the function, and taken out of what it returns, throws and logs", async () => {
    const shown = ({ credentials, log }: CodeTools) =>
      credentials(writer).then((aws) => {
        if (aws.kind !== "aws") throw new Fatal("another kind");
        log(`with ${aws.secretAccessKey}`, { token: aws.sessionToken });
        return aws;
      });
    const returned = perform(
      async (tools) => ({ aws: await shown(tools), coded: btoa(ROLE_SECRET) }),
      fine,
      lent,
    );
    const end = await returned.result;
    expect(end).toMatchObject({
      kind: "success",
      output: { aws: { kind: "aws", expiresAt: 1_800_000_000_000 } },
    });
    const thrown = perform(
      async (tools) => {
        const aws = await shown(tools);
        throw new Fatal(`no ${aws.sessionToken} ${encodeURIComponent(aws.secretAccessKey)}`);
      },
      fine,
      lent,
    );
    const text = JSON.stringify([end, await thrown.result, returned.lines, thrown.lines]);
    for (const secret of [ROLE_SECRET, btoa(ROLE_SECRET), encodeURIComponent(ROLE_SECRET), SESSION])
      expect(text).not.toContain(secret);
  });

  it("of a role with a bearer is its token", async () => {
    const { sign: _sign, ...lease } = roleLease();
    const raw = { token: "sk-ant-oat01-0123456789" };
    const bearer = { ...lease, raw, secrets: [raw.token] };
    let seen: unknown;
    const { result } = perform(
      async ({ credentials }) => {
        seen = await credentials(writer);
      },
      fine,
      { lease: new Lent([[WRITER, bearer]]) },
    );
    await result;
    expect(seen).toEqual({ kind: "bearer", ...raw, expiresAt: 1_800_000_000_000 });
  });

  it("makes what the function does from then on something that may have happened", async () => {
    const throws = async (): Promise<never> => {
      throw new Error("the library failed");
    };
    const held = perform(async ({ credentials }) => credentials(writer).then(throws), fine, lent);
    expect(await held.result).toMatchObject({ kind: "unclear", failure: { code: "step_threw" } });
    expect(await perform(throws, fine, lent).result).toMatchObject({ kind: "refused" });
  });

  it("is kept from a function by a policy, before anybody is asked for it", async () => {
    const { result } = perform(async ({ credentials }) => credentials(writer), fine, {
      denied: true,
      lend: { kind: "cannot", code: "cloud_role_unknown", message: "None.", hint: "Make it." },
    });
    expect(await result).toMatchObject({ kind: "cannot", failure: { code: "policy_denied" } });
  });

  it("is kept where a role does not give it out", async () => {
    const { raw: _raw, ...lease } = roleLease();
    const { result } = perform(async ({ credentials }) => credentials(writer), fine, {
      lease: new Lent([[WRITER, lease]]),
    });
    expect(await result).toMatchObject({ kind: "cannot", failure: { code: "cloud_role_refused" } });
  });
});
