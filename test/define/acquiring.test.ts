/** How a call comes by the connections that it names, before it begins (A1 to A4). */
import type { LeaseAnswer } from "../../src/platform/index.ts";
import { describe, expect, it } from "vitest";
import type { PolicyVerdict, UseRequest } from "../../src/actions/index.ts";
import { type AcquireDeps, authorOf, createAcquire, type RoleUse } from "../../src/compose-acquire.ts";
import type { Wanted } from "../../src/driver/index.ts";
import type { Json, Need, StepDef } from "../../src/kernel/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import { HOST, keeper, needOf, OLD, ready, roleReady } from "./lending.ts";
import { call, RUN, stepDef } from "./support.ts";

const URL_ = `https://${HOST}/calendar/v3/events`;
const http = (auth: Json): Json => ({ method: "GET", url: URL_, auth });

interface Scene {
  readonly with?: Json;
  readonly def?: Partial<StepDef>;
  readonly parked?: Need;
  readonly bound?: Readonly<Record<string, Json>>;
  readonly answer?: (use: UseRequest) => LeaseAnswer | Error;
  readonly role?: (use: RoleUse) => LeaseAnswer | Error;
  readonly verdict?: PolicyVerdict;
}

function acquire(scene: Scene) {
  const asked: UseRequest[] = [];
  const roles: RoleUse[] = [];
  const lines: string[] = [];
  const heard: (string | undefined)[] = [];
  const deps: AcquireDeps = {
    async use(request) {
      asked.push(request);
      const answer = scene.answer?.(request) ?? ready(keeper().lease);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    async policy(_, { connection, cloudRole }) {
      heard.push(connection ?? cloudRole);
      return scene.verdict ?? { kind: "allowed", approval: false };
    },
    async useRole(request) {
      roles.push(request);
      const answer = scene.role?.(request) ?? roleReady();
      if (answer instanceof Error) throw answer;
      return answer;
    },
    isCode: () => false,
    log: createLogger("debug", (_, line) => void lines.push(line)),
  };
  const { signal: _signal, sent: _sent, lease: _lease, ...rest } = call();
  const { bound = {} } = scene;
  const wanted = {
    ...rest,
    def: stepDef(scene.def ?? {}),
    action: scene.def?.action ?? "http",
    with: scene.with ?? null,
    bound: (name: string) => bound[name] ?? null,
    parked: scene.parked ?? null,
  } as unknown as Wanted;
  return { acquired: createAcquire(deps)(wanted), asked, roles, lines, heard };
}

const code = (...connections: Json[]): Scene => ({ def: { action: "code", connections } });

describe("a call that names no connection", () => {
  it("is not held up: it is told so at once, and nobody is asked (A1)", () => {
    for (const scene of [
      { with: { method: "GET", url: URL_ } },
      { with: http({ bearer: "SKYLINE_TOKEN" }) },
      { with: null },
      { def: { action: "run" }, with: { workflow: "other" } },
      code(),
    ]) {
      const { acquired, asked, heard } = acquire(scene);
      expect([acquired, asked, heard]).toEqual([null, [], []]);
    }
  });
});

describe("a call that names a connection", () => {
  it("is lent it, pins what it means, and leaves in the journal which it was, without its token", async () => {
    const { acquired, asked, heard } = acquire({ with: http({ connection: "google", scopes: ["mail"] }) });
    const got = await acquired;
    expect(got).toMatchObject({
      kind: "ready",
      bound: [{ name: "google", to: { connection: "conn_1", epoch: 1 } }],
      about: [{ connection: "conn_1", integration: "google", account: "default", version: 1 }],
    });
    expect(JSON.stringify(got)).not.toContain(OLD);
    expect(asked).toEqual([
      {
        ...{
          tenant: "default",
          run: "run_test",
          user: null,
          workflow: "t",
          pinned: null,
          stepTimeoutMs: 1_000,
        },
        reference: { connection: "google", scopes: ["mail"] },
      },
    ]);
    expect(heard).toEqual(["google"]);
  });

  it("is asked for as the run has pinned it, under the name with its account", async () => {
    const bound = { google: "one", "google/work": "two" };
    const { acquired, asked } = acquire({ ...code({ connection: "google", account: "work" }), bound });
    await acquired;
    expect(asked.map(({ pinned }) => pinned)).toEqual(["two"]);
  });

  it("is lent nothing where the policies do not let its request through (A2)", async () => {
    for (const verdict of [{ kind: "denied", message: "No." }, { kind: "unavailable" }] as const) {
      const { acquired, asked } = acquire({ with: http({ connection: "google" }), verdict });
      expect([await acquired, asked]).toEqual([{ kind: "ready", lease: null }, []]);
    }
  });

  it("waits where it is not at hand: for what a person has to do, before what time mends", async () => {
    const answer = ({ reference }: UseRequest): LeaseAnswer => ({
      kind: "needs",
      need: needOf(reference.connection === "google" ? "unavailable" : "missing"),
    });
    const { acquired } = acquire({ ...code({ connection: "google" }, { connection: "slack" }), answer });
    expect(await acquired).toMatchObject({ kind: "needs", need: { reason: "missing" } });
  });

  it("fails where one of them can never be had", async () => {
    const answer = ({ reference }: UseRequest): LeaseAnswer =>
      reference.connection === "slack"
        ? { kind: "cannot", code: "connection_ambiguous", message: "Two.", hint: "Name one." }
        : { kind: "needs", need: needOf("missing") };
    const { acquired } = acquire({ ...code({ connection: "google" }, { connection: "slack" }), answer });
    expect(await acquired).toMatchObject({ kind: "cannot", failure: { code: "connection_ambiguous" } });
  });

  it("waits for time where nobody answers, and goes on in a fresh event where this one's calls are used up", async () => {
    const away = acquire({ with: http({ connection: "google" }), answer: () => new Error(`no ${OLD}`) });
    expect(await away.acquired).toMatchObject({
      kind: "needs",
      need: { integration: "google", reason: "unavailable" },
    });
    const full = () => new Error("Too many subrequests.");
    const hop = acquire({ with: http({ connection: "google" }), answer: full });
    expect(await hop.acquired).toEqual({ kind: "hop" });
  });
});

describe("a step whose token a service has refused", () => {
  const refused = needOf("scope_missing", { refused: true, version: 7, scopes: ["mail"] });
  const scene: Scene = { with: http({ connection: "google" }), parked: refused };

  it("says which grant that was, and waits for the same as before while it is that one (A4)", async () => {
    const { acquired, asked } = acquire({
      ...scene,
      answer: () => ({ kind: "needs", need: needOf("rejected") }),
    });
    expect(await acquired).toMatchObject({
      kind: "needs",
      need: { reason: "scope_missing", scopes: ["mail"], version: 7 },
    });
    expect(asked[0]?.refused).toBe(7);
  });

  it("waits for something else where that is what is lacking now", async () => {
    const { acquired } = acquire({ ...scene, answer: () => ({ kind: "needs", need: needOf("revoked") }) });
    expect(await acquired).toMatchObject({ kind: "needs", need: { reason: "revoked" } });
  });

  it("is not called before it is there, also if it is a function that has not said what it uses", async () => {
    const { acquired, asked } = acquire({ ...code(), parked: refused });
    expect(await acquired).toMatchObject({ kind: "ready" });
    expect(asked.map(({ reference, refused: version }) => [reference.connection, version])).toEqual([
      ["google", 7],
    ]);
    expect(acquire({ ...code(), parked: needOf("missing", { integration: "" }) }).acquired).toBeNull();
  });

  it("does not say so of another connection", async () => {
    const { acquired, asked } = acquire({ ...scene, with: http({ connection: "slack" }) });
    await acquired;
    expect(asked[0]?.refused).toBeUndefined();
  });
});

describe("in whose name a connection is asked for (A3)", () => {
  const of = (more: object, def: Partial<StepDef>, isCode: boolean): string =>
    authorOf(call({ run: { ...RUN, workflow: "book-trip", ...more }, def: stepDef(def) }), () => isCode);
  const data = { with: { method: "GET" } };

  it.each([
    ["a function of a workflow in TypeScript", {}, {}, true, "book-trip"],
    ["one of an open run", { open: true }, {}, true, "book-trip"],
    ["data in a run of such a workflow", {}, data, true, "inline"],
    ["data in an open run of such a workflow", { open: true }, data, true, "inline"],
    ["data that grew in one, after the build has lost it", {}, { ...data, grown: true }, false, "inline"],
    ["a step of a stored plan", {}, data, false, "book-trip"],
    ["a step of a stored plan that takes more steps", { open: true }, data, false, "inline"],
    ["an inline plan", { workflow: "inline" }, data, false, "inline"],
  ] as const)("%s", (_, run, def, isCode, expected) => {
    expect(of(run, def, isCode)).toBe(expected);
  });
});
