/** How a call comes by the connections that it names, before it begins (A1 to A4). */
import type { LeaseAnswer } from "../../src/platform/index.ts";
import { describe, expect, it } from "vitest";
import { bindingName, type PolicyVerdict, type UseRequest } from "../../src/actions/index.ts";
import {
  type AcquireDeps,
  authorOf,
  createAcquire,
  subjectOf,
  type UseRolePort,
} from "../../src/compose-acquire.ts";
import type { Wanted } from "../../src/driver/index.ts";
import { notConfigured, type RoleUse } from "../../src/identity/using.ts";
import type { Json, Need, StepDef, UnitRef } from "../../src/kernel/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import { cloudNeed } from "../kernel/support/build.ts";
import { HOST, keeper, needOf, OLD, ready, ROLE_SECRET, roleReady, STORE, WRITER } from "./lending.ts";
import { call, RUN, stepDef } from "./support.ts";

const URL_ = `https://${HOST}/calendar/v3/events`;
const http = (auth: Json): Json => ({ method: "GET", url: URL_, auth });

interface Scene {
  readonly with?: Json;
  readonly def?: Partial<StepDef>;
  readonly parked?: Need;
  readonly bound?: Readonly<Record<string, Json>>;
  readonly answer?: (use: UseRequest) => LeaseAnswer | Error;
  readonly role?: ((use: RoleUse) => LeaseAnswer | Error) | undefined;
  readonly verdict?: PolicyVerdict;
  readonly useRole?: UseRolePort;
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
      if (scene.useRole !== undefined) return scene.useRole(request);
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

describe("a call that names a cloud role", () => {
  const store = (more: object = {}): Json => ({
    ...{ method: "PUT", url: `https://${STORE}/in_1.json`, auth: WRITER, ...more },
  });

  it("is lent it for whom it speaks, pins the role, and leaves in the journal which it was, without its secrets", async () => {
    const { acquired, asked, roles, heard } = acquire({ with: store() });
    const got = await acquired;
    expect(roles).toEqual([
      {
        ...{ tenant: "default", run: RUN.id, workflowVersion: "1", role: "writer", stepTimeoutMs: 1_000 },
        ...{ pinned: null, subject: { kind: "code", name: "t" } },
      },
    ]);
    expect([asked, heard]).toEqual([[], ["writer"]]);
    expect(got).toMatchObject({
      kind: "ready",
      bound: [{ name: "cloud:writer", to: { role: "role_1" } }],
      about: [{ role: "writer", provider: "aws", subject: "tenant:acme:code:bill", version: 1 }],
    });
    expect(JSON.stringify({ ...got, lease: null })).not.toContain(ROLE_SECRET);
  });

  it("is asked with what the run has pinned, which no connection of that name can be", async () => {
    const bound = { "cloud:writer": { role: "role_1" }, "cloud/writer": { connection: "conn_1" } };
    const { acquired, roles } = acquire({ with: store(), bound });
    await acquired;
    expect(roles[0]?.pinned).toEqual({ role: "role_1" });
    expect(bindingName(WRITER)).not.toBe(bindingName({ connection: "cloud", account: "writer" }));
  });

  it("waits for what time mends, is told what is not, and goes on in a fresh event", async () => {
    const need = cloudNeed("propagating");
    expect(await acquire({ with: store(), role: () => ({ kind: "needs", need }) }).acquired).toEqual({
      kind: "needs",
      need,
    });
    const cannot = await acquire({
      with: store(),
      role: () => ({ kind: "cannot", code: "cloud_role_replaced", message: "Another.", hint: "Start." }),
    }).acquired;
    expect(cannot).toMatchObject({ kind: "cannot", failure: { code: "cloud_role_replaced" } });
    const away = acquire({ with: store(), role: () => new Error(`no ${ROLE_SECRET}`) });
    expect(await away.acquired).toMatchObject({
      kind: "needs",
      need: { kind: "cloud", role: "writer", reason: "unavailable" },
    });
    const full = acquire({ with: store(), role: () => new Error("Too many subrequests.") });
    expect(await full.acquired).toEqual({ kind: "hop" });
  });

  it("is lent nothing for what the policies do not let through (A2)", async () => {
    const verdict = { kind: "denied", message: "No." } as const;
    const { acquired, roles } = acquire({ with: store(), verdict });
    expect(await acquired).toEqual({ kind: "ready", lease: null });
    expect(roles).toEqual([]);
  });

  it("is called only once it is there, if it is a function that was found to use it", async () => {
    const { acquired, roles } = acquire({ ...code(), parked: cloudNeed() });
    expect(await acquired).toMatchObject({ kind: "ready" });
    expect(roles.map(({ role }) => role)).toEqual(["writer"]);
  });

  it("has what a person has to do told first, where it lacks a connection as well", async () => {
    const { acquired } = acquire({
      ...code({ cloud: "writer" }, { connection: "google" }),
      role: () => ({ kind: "needs", need: cloudNeed() }),
      answer: () => ({ kind: "needs", need: needOf("missing") }),
    });
    expect(await acquired).toMatchObject({ kind: "needs", need: { kind: "connection", reason: "missing" } });
  });

  it("is refused where the deployment has no issuer", async () => {
    const { acquired } = acquire({ with: store(), role: undefined, useRole: async () => notConfigured() });
    expect(await acquired).toMatchObject({ kind: "cannot", failure: { code: "identity_not_configured" } });
  });
});

describe("for whom a step speaks", () => {
  const data = { with: { method: "GET" } };
  const DATA = {
    action: "http",
    effect: "safe",
    retry: stepDef().retry,
    timeoutMs: 1_000,
    keyTtlMs: 1,
  } as const;
  const both = (parameters: Json): Partial<StepDef> => ({
    verify: { ...DATA, with: parameters, afterMs: 0 },
    compensate: { ...DATA, with: parameters },
  });
  const INLINE = { kind: "inline", name: null };
  const CODE = { kind: "code", name: "pay" };
  const PLAN = { kind: "plan", name: "pay" };
  const of = (more: object, def: Partial<StepDef>, isCode: boolean, role?: UnitRef["role"]): unknown =>
    subjectOf(
      call({
        run: { ...RUN, workflow: "pay", ...more },
        def: stepDef(def),
        unit: { step: "s", ...(role === undefined ? {} : { role }) },
      }),
      () => isCode,
    );

  it.each([
    ["a function of this deployment's code", {}, {}, true, CODE],
    ["one of a build that has it no more", {}, {}, false, CODE],
    ["one in an open run", { open: true }, {}, true, CODE],
    ["one of its `onFailure` steps", {}, { part: "on_failure" }, true, CODE],
    ["JSON that was appended to a run of code", { open: true }, { ...data, grown: true }, true, INLINE],
    ["JSON that a function returned", {}, { ...data, grown: true }, true, INLINE],
    ["the same, once the build has the workflow no more", {}, { ...data, grown: true }, false, INLINE],
    ["JSON in a run of code that nothing marks", {}, data, true, INLINE],
    ["a step of a stored plan", {}, data, false, PLAN],
    ["an `onFailure` step of a stored plan", {}, { ...data, part: "on_failure" }, false, PLAN],
    ["a step of a stored plan whose run takes more steps", { open: true }, data, false, INLINE],
    ["a step that was appended to one", { open: true }, { ...data, grown: true }, false, INLINE],
    ["a step of an inline plan, whatever that calls itself", { workflow: "inline" }, data, false, INLINE],
    ["a child of another run", { parent: { run: "run_p", unit: "a", depth: 1 } }, {}, true, CODE],
    ["a child that is a plan", { parent: { run: "run_p", unit: "a", depth: 1 } }, data, false, PLAN],
    [
      "a child of whoever: tags and starter say nothing",
      { tags: ["code:pay"], startedBy: "code:pay", workflow: "inline" },
      data,
      false,
      INLINE,
    ],
  ] as const)("%s", (_, run, def, isCode, expected) => {
    expect(of(run, def, isCode)).toEqual(expected);
  });

  it.each(["verify", "undo"] as const)("what is done for %s speaks for whoever wrote it", (role) => {
    expect(of({}, both(null), true, role)).toEqual(CODE);
    expect(of({}, { ...data, ...both({ method: "GET" }) }, false, role)).toEqual(PLAN);
    expect(of({}, { ...data, grown: true, ...both({ method: "GET" }) }, true, role)).toEqual(INLINE);
    expect(of({ workflow: "inline" }, { ...data, ...both({ method: "GET" }) }, false, role)).toEqual(INLINE);
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
