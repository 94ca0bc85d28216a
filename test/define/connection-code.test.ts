/** What a function does with connections: those that it declared, those that it did not, and how it waits for them. */
import type { LeaseAnswer } from "../../src/platform/index.ts";
import { describe, expect, it } from "vitest";
import {
  Lent,
  performAction,
  type ActionCall,
  type ActionResult,
  type CodeTools,
  type LendPort,
} from "../../src/actions/index.ts";
import { connection } from "../../src/define/index.ts";
import type { Effect } from "../../src/kernel/index.ts";
import type { EgressRequest, EgressResult } from "../../src/platform/index.ts";
import { always, FRESH, GOOGLE, HOST, keeper, needOf, OLD, ready, type Keeper } from "./lending.ts";
import { answered, call, outside } from "./support.ts";

const URL_ = `https://${HOST}/calendar/v3/events`;
const google = connection("google");

type Run = (tools: CodeTools) => unknown;

function perform(
  run: Run,
  answer: (request: EgressRequest) => EgressResult,
  { lend, ...more }: Partial<ActionCall> & { readonly lend?: LendPort } = {},
) {
  const made = outside(answer, { step: () => run });
  const surroundings = lend === undefined ? made : { ...made, lend };
  return {
    result: performAction(call({ action: "code", ...more }), surroundings),
    requests: made.requests,
    lines: made.lines,
  };
}

const token = ({ headers }: EgressRequest): string | undefined => headers?.["authorization"];
const withoutUses = ({ credentials: _credentials, ...end }: ActionResult) => end;
const fine = () => answered(200, { ok: true });
const refusing = (request: EgressRequest) =>
  request.url === URL_ && token(request) !== `Bearer ${FRESH}` ? answered(401) : answered(200, { ok: true });

describe("fetch with a connection that the step has declared", () => {
  it("carries the token, which no header of the function can replace", async () => {
    const { result, requests } = perform(
      async ({ fetch }) => {
        const headers = { Authorization: "Bearer mine", Accept: "text/plain" };
        return (await fetch(URL_, { auth: google, headers })).json();
      },
      fine,
      { lease: keeper().lent },
    );
    expect(await result).toMatchObject({ kind: "success", output: { ok: true } });
    expect(requests[0]?.headers).toMatchObject({
      authorization: `Bearer ${OLD}`,
      accept: "text/plain",
      "x-api-version": "3",
    });
  });

  it("goes to the hosts of the integration only", async () => {
    const { result, requests } = perform(
      async ({ fetch }) => fetch("https://evil.example/", { auth: google }),
      fine,
      { lease: keeper().lent },
    );
    expect(await result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
    expect(requests).toEqual([]);
  });

  it("loses the token in redirects to where it may not go, and does not get it back", async () => {
    const places = ["https://evil.example/", `https://${HOST}/token`, `https://${HOST}.evil.example/`];
    for (const place of places) {
      const { result, requests } = perform(
        async ({ fetch }) => (await fetch(URL_, { auth: google })).json(),
        fine,
        { effect: "safe", lease: keeper().lent },
      );
      expect(await result).toMatchObject({ kind: "success" });
      const carries = (url: string) => requests[0]?.carriesTo?.(new URL(url));
      expect([carries(`https://${HOST}/calendar/v4`), carries(place), carries(URL_)]).toEqual([
        true,
        false,
        false,
      ]);
    }
  });

  it("renews a refused token once, for requests side by side, and sends their bodies again", async () => {
    const kept = keeper();
    const { result, requests } = perform(
      async ({ fetch }) => {
        const send = async (body: string) =>
          (await fetch(URL_, { method: "POST", body, auth: google })).status;
        return Promise.all([send("a"), send("b")]);
      },
      refusing,
      { lease: kept.lent, effect: "once" },
    );
    expect(await result).toMatchObject({ kind: "success", output: [200, 200] });
    expect(kept.told).toEqual(["renew"]);
    const bodies = requests.map(({ body }) => new TextDecoder().decode(body as Uint8Array));
    expect(bodies.toSorted()).toEqual(["a", "a", "b", "b"]);
  });

  it("is not sent again with a token that is for other hosts", async () => {
    const kept = keeper(undefined, ready({ ...keeper().lease, refusalFor: () => "It is not sent there." }));
    const send = async ({ fetch }: CodeTools) => fetch(URL_, { method: "POST", body: "a", auth: google });
    const { result, requests } = perform(send, refusing, { lease: kept.lent, effect: "once" });
    expect(await result).toMatchObject({ failure: { code: "egress_blocked" } });
    expect(requests).toHaveLength(1);
  });

  it("takes every token out of what the function returns, throws and logs", async () => {
    const leak = async ({ fetch, log }: CodeTools) => {
      await fetch(URL_, { auth: google });
      log(`old ${OLD}`, { fresh: FRESH });
      throw new Error(`${OLD} ${FRESH}`);
    };
    const { result, lines } = perform(leak, refusing, { lease: keeper().lent });
    const text = JSON.stringify(await result) + lines.join("");
    expect(text).toContain("step_threw");
    for (const secret of [OLD, FRESH]) expect(text).not.toContain(secret);
  });
});

describe("a connection that the service does not take", () => {
  const lost = keeper(({ status }) => (status === 403 ? { is: "token_dead" } : undefined));
  /** Sends something else first, or not, and then what is refused. */
  const after =
    (first: "nothing" | "GET" | "POST"): Run =>
    async ({ fetch }) => {
      if (first !== "nothing") await fetch("https://other.example/", { method: first });
      await fetch(URL_, { method: "POST", auth: google });
    };
  const dead = (request: EgressRequest) => answered(request.url === URL_ ? 403 : 200);
  const end = (effect: Effect, first: "nothing" | "GET" | "POST", kept: Keeper = lost) =>
    perform(after(first), dead, { lease: kept.lent, effect }).result;

  it("parks the step, whatever its effect, where nothing else may have changed anything", async () => {
    const need = needOf("revoked", { refused: true, version: 1 });
    for (const effect of ["safe", "idempotent", "keyed", "once"] as const)
      for (const first of ["nothing", "GET"] as const)
        expect(withoutUses(await end(effect, first))).toEqual({ kind: "needs", need });
  });

  it("parks a step that may be repeated after it has sent something, and says that this may have happened", async () => {
    expect(await end("safe", "POST")).toMatchObject({ kind: "needs" });
    for (const effect of ["idempotent", "keyed"] as const)
      expect(await end(effect, "POST")).toMatchObject({ kind: "needs", maybe: true });
  });

  it("leaves a once step that has sent something unknown", async () => {
    expect(await end("once", "POST")).toMatchObject({
      kind: "unclear",
      failure: { code: "connection_required" },
    });
  });

  it("can be caught by the function", async () => {
    const { result } = perform(
      async ({ fetch }) => {
        const answer = await fetch(URL_, { auth: google }).catch(() => null);
        return answer === null;
      },
      dead,
      { lease: lost.lent },
    );
    expect(await result).toMatchObject({ kind: "success", output: true });
  });
});

describe("what is told of the credentials of an attempt", () => {
  const about = (version: number, hosts: readonly string[]) => ({
    ...{ connection: "conn_1", integration: "google", account: "default", version },
    hosts,
  });
  const told = async (run: Run, more: Parameters<typeof perform>[2]) =>
    (await perform(run, refusing, more).result).credentials;

  it("is which it was lent, with the version that was sent last, and to which hosts", async () => {
    const run: Run = async ({ fetch }) => {
      await fetch("https://other.example/");
      await fetch(URL_, { auth: google });
    };
    expect(await told(run, { lease: keeper().lent })).toEqual([about(2, [HOST])]);
  });

  it("names one that was never sent, and hosts that were asked before the function threw", async () => {
    expect(await told(() => null, { lease: keeper().lent })).toEqual([about(1, [])]);
    const throws: Run = async ({ fetch }) => {
      await fetch(URL_, { auth: google });
      throw new Error("no");
    };
    expect(await told(throws, { lease: keeper().lent })).toEqual([about(2, [HOST])]);
    const blocked: Run = async ({ fetch }) => fetch("https://evil.example/", { auth: google });
    expect(await told(blocked, { lease: keeper().lent })).toEqual([about(1, [])]);
  });

  it("has one that the step did not declare behind those that it did", async () => {
    const other = keeper();
    const lend: LendPort = async () =>
      ready({ ...other.lease, about: { ...other.lease.about, connection: "conn_2" } });
    const run: Run = async ({ fetch }) => fetch(URL_, { auth: connection("google", { account: "work" }) });
    expect(await told(run, { lease: keeper().lent, lend })).toEqual([
      about(1, []),
      { ...about(2, [HOST]), connection: "conn_1" },
    ]);
    expect(await told(run, { lend })).toMatchObject([{ hosts: [HOST] }]);
  });

  it("names eight hosts, and how many more there were", async () => {
    const kept = keeper();
    const hosts = Array.from({ length: 10 }, (_, i) => `h${i}.example`);
    const wide = new Lent([[GOOGLE, { ...kept.lease, refusalFor: () => null, read: () => undefined }]]);
    const run: Run = async ({ fetch }) => {
      for (const host of [...hosts, ...hosts]) await fetch(`https://${host}/`, { auth: google });
    };
    expect(await told(run, { lease: wide })).toEqual([{ ...about(1, hosts.slice(0, 8)), more_hosts: 2 }]);
  });

  it("is nothing where nothing was lent", async () => {
    expect(await told(async ({ fetch }) => fetch("https://other.example/"), {})).toBeUndefined();
  });
});

describe("an API's error in an answer of 200", () => {
  const slack = (finding: Parameters<typeof always>[0]) => keeper(always(finding)).lent;
  const body = () => answered(200, { ok: false, error: "channel_not_found" });

  it("is seen by the function, and judged by `expectOk`", async () => {
    const seen = perform(async ({ fetch }) => (await fetch(URL_, { auth: google })).json(), body, {
      lease: slack({ is: "refused" }),
    });
    expect(await seen.result).toMatchObject({ kind: "success", output: { ok: false } });
    const ask = async ({ fetch, expectOk }: CodeTools) =>
      (await expectOk(await fetch(URL_, { method: "POST", auth: google }))).json();
    for (const [finding, expected] of [
      [{ is: "refused" }, { kind: "cannot", failure: { code: "service_refused" } }],
      [
        { is: "rate_limited", waitMs: 5_000 },
        { kind: "refused", failure: { code: "service_refused" }, retryAfterMs: 5_000 },
      ],
    ] as const) {
      const judged = perform(ask, body, { lease: slack(finding), effect: "once" });
      expect(await judged.result).toMatchObject(expected);
    }
  });

  it("leaves unclear what the function has sent before it", async () => {
    const twice = async ({ fetch, expectOk }: CodeTools) => {
      await fetch("https://other.example/", { method: "POST" });
      await expectOk(await fetch(URL_, { method: "POST", auth: google }));
    };
    const { result } = perform(twice, body, { lease: slack({ is: "refused" }), effect: "once" });
    expect(await result).toMatchObject({ kind: "unclear", failure: { code: "service_refused" } });
  });
});

describe("fetch with a connection that the step has not declared", () => {
  const use: Run = async ({ fetch }) => (await fetch(URL_, { auth: google })).status;
  const lend =
    (answer: LeaseAnswer): LendPort =>
    async () =>
      answer;

  it("asks for it once in the attempt, and pins what it meant", async () => {
    let asked = 0;
    const { result } = perform(
      async ({ fetch }) => {
        await fetch(URL_, { auth: google });
        return (await fetch(URL_, { auth: connection("google") })).status;
      },
      fine,
      {
        lend: async () => {
          asked += 1;
          return ready(keeper().lease);
        },
      },
    );
    expect(await result).toMatchObject({
      kind: "success",
      bound: [{ name: "google", to: { connection: "conn_1" } }],
    });
    expect(asked).toBe(1);
  });

  it("parks where it is not there, and fails where it never can be", async () => {
    const parked = perform(use, fine, { lend: lend({ kind: "needs", need: needOf("missing") }) });
    expect(await parked.result).toEqual({ kind: "needs", need: needOf("missing") });
    expect(parked.requests).toEqual([]);
    const never = {
      kind: "cannot",
      code: "connection_ambiguous",
      message: "Two.",
      hint: "Name one.",
    } as const;
    expect(await perform(use, fine, { lend: lend(never) }).result).toMatchObject({
      kind: "cannot",
      failure: { code: "connection_ambiguous" },
    });
  });

  it("asks for nothing where the policies do not let the request through", async () => {
    const asked: string[] = [];
    const made = outside(fine, { step: () => use });
    const result = await performAction(call({ action: "code" }), {
      ...made,
      policy: async (_, { connection: name }) => {
        asked.push(`policy ${name}`);
        return { kind: "denied", message: "No." };
      },
      lend: async () => {
        asked.push("lend");
        return ready(keeper().lease);
      },
    });
    expect(result).toMatchObject({ kind: "cannot", failure: { code: "policy_denied" } });
    expect(asked).toEqual(["policy google"]);
  });
});
