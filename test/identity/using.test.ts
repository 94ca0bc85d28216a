import { describe, expect, test } from "vitest";
import { createLookup, FRESH_MS } from "../../src/identity/lookup.ts";
import type { CredentialAnswer } from "../../src/identity/credential-rpc.ts";
import type { CloudRole, Subject } from "../../src/identity/role.ts";
import type { LeaseAnswer } from "../../src/platform/index.ts";
import { createUse, type RoleUse } from "../../src/identity/using.ts";

const ROLE: CloudRole = {
  ...{ tenant: "acme", name: "writer", id: "role_1", version: 1 },
  target: { provider: "aws", roleArn: "arn:aws:iam::1:role/w", region: "eu-central-1", durationS: 900 },
  ...{ audience: "sts.amazonaws.com", workflows: [{ kind: "code", name: "nightly" }], inline: false },
  ...{ hosts: [{ host: "b.s3.eu-central-1.amazonaws.com" }], perRun: false, claims: {} },
  ...{ createdAt: 1, createdBy: "key:1", updatedAt: 1 },
};
const USE: RoleUse = {
  ...{ tenant: "acme", run: "run_1", subject: { kind: "code", name: "nightly" }, workflowVersion: "1" },
  ...{ role: "writer", stepTimeoutMs: 60_000, pinned: null },
};
const CREDENTIAL: CredentialAnswer = {
  ok: true,
  credential: {
    ...{ kind: "bearer", header: "authorization", scheme: "Bearer ", token: "t", defaults: {} },
    ...{ issuedAt: 0, expiresAt: 900_000 },
  },
  fingerprint: "f1",
};

interface Asked {
  readonly run: string | null;
  readonly neededMs: number;
  readonly refused: string | undefined;
}

function house(role: CloudRole | null | undefined = ROLE, answer: CredentialAnswer = CREDENTIAL) {
  const asked: Asked[] = [];
  const use = createUse(
    {
      issuerOrigin: "https://id.example",
      now: () => 0,
      credentials: {
        async get(_role, { run }, neededMs, refused) {
          asked.push({ run, neededMs, refused });
          return answer;
        },
      },
    },
    { find: async () => role, forget: () => {} },
  );
  return { use, asked };
}

describe("who gets a credential", () => {
  test("a workflow that the role names, for as long as its step needs and half a minute more", async () => {
    const { use, asked } = house();
    expect(await use(USE)).toMatchObject({
      kind: "ready",
      lease: { about: { role: "writer", provider: "aws", subject: "tenant:acme:code:nightly", version: 1 } },
      bound: { name: "cloud:writer", to: { role: "role_1" } },
    });
    expect(asked).toEqual([{ run: null, neededMs: 90_000, refused: undefined }]);
  });

  const OTHERS: readonly Subject[] = [
    { kind: "plan", name: "nightly" },
    { kind: "code", name: "nightly2" },
    { kind: "inline", name: null },
  ];
  test.each(OTHERS)(
    "not $kind $name, whose name only looks like it, and nothing is asked for",
    async (subject) => {
      const { use, asked } = house();
      expect(await use({ ...USE, subject })).toMatchObject({ kind: "cannot", code: "cloud_role_refused" });
      expect(asked).toEqual([]);
    },
  );

  test("steps that came as JSON only where the role says so", async () => {
    const { use } = house({ ...ROLE, inline: true });
    expect((await use({ ...USE, subject: { kind: "inline", name: null } })).kind).toBe("ready");
  });

  test("nobody of a role that was made anew under its name, if the run has used the old one", async () => {
    const { use, asked } = house();
    for (const pinned of [{ role: "role_0" }, {}, "role_1", ["role_1"]])
      expect(await use({ ...USE, pinned })).toMatchObject({ kind: "cannot", code: "cloud_role_replaced" });
    expect(asked).toEqual([]);
    expect((await use({ ...USE, pinned: { role: "role_1" } })).kind).toBe("ready");
  });

  test("no step that may take longer than a credential can live", async () => {
    const { use, asked } = house();
    expect(await use({ ...USE, stepTimeoutMs: 811_000 })).toMatchObject({
      kind: "cannot",
      code: "timeout_exceeds_credential",
    });
    expect(asked).toEqual([]);
    expect((await use({ ...USE, stepTimeoutMs: 810_000 })).kind).toBe("ready");
  });

  test("nobody where the role is unknown; where it cannot be read, the step waits", async () => {
    expect(await house(null).use(USE)).toMatchObject({ kind: "cannot", code: "cloud_role_unknown" });
    const unread = house(null);
    const use = createUse(
      {
        issuerOrigin: "https://id.example",
        credentials: { get: async () => CREDENTIAL },
        now: () => 0,
      },
      { find: async () => undefined, forget: () => {} },
    );
    expect(unread.asked).toEqual([]);
    expect(await use(USE)).toMatchObject({
      kind: "needs",
      need: { kind: "cloud", role: "writer", reason: "unavailable" },
    });
  });
});

describe("what a refusal of the cloud comes to", () => {
  const refused = (
    kind: "passing" | "propagating" | "configuration",
    retryAfterMs?: number,
  ): CredentialAnswer => ({
    ok: false,
    refusal: {
      ...{ kind, code: "x", message: "It said no.", hint: "Change that." },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  });

  test("what somebody has to change fails the step, and says what", async () => {
    expect(await house(ROLE, refused("configuration")).use(USE)).toEqual({
      ...{ kind: "cannot", code: "cloud_role_misconfigured", message: "It said no.", hint: "Change that." },
    });
  });

  test("what time mends is waited for: as long as the service asks, and not for ever", async () => {
    expect(await house(ROLE, refused("passing", 7_000)).use(USE)).toMatchObject({
      kind: "needs",
      need: { reason: "unavailable", recheckMs: 7_000, limitMs: 3_600_000 },
    });
    expect(await house(ROLE, refused("propagating")).use(USE)).toMatchObject({
      kind: "needs",
      need: { reason: "propagating", limitMs: 900_000 },
    });
  });

  test("a credential that the service did not take is named when another one is asked for", async () => {
    const { use, asked } = house({ ...ROLE, perRun: true });
    const given = await use(USE);
    expect(given.kind === "ready" && (await given.lease.renew()).kind).toBe("ready");
    expect(asked.map(({ run, refused: of }) => [run, of])).toEqual([
      ["run_1", undefined],
      ["run_1", "f1"],
    ]);
  });
});

describe("a role that changes while a step has its credential", () => {
  const AGAIN: CloudRole = { ...ROLE, id: "role_2" };
  const CHANGED: CloudRole = { ...ROLE, version: 2, hosts: [{ host: "c.s3.eu-central-1.amazonaws.com" }] };

  async function renewedUnder(
    then: CloudRole | null,
  ): Promise<{ got: LeaseAnswer; asked: readonly number[] }> {
    const asked: number[] = [];
    let role: CloudRole | null = ROLE;
    const use = createUse(
      {
        issuerOrigin: "https://id.example",
        now: () => 0,
        credentials: {
          async get({ version }) {
            asked.push(version);
            return CREDENTIAL;
          },
        },
      },
      { find: async () => role, forget: () => {} },
    );
    const given = await use(USE);
    if (given.kind !== "ready") throw new Error(given.kind);
    role = then;
    return { got: await given.lease.renew(), asked };
  }

  test.each([
    ["is deleted", null, "cloud_role_unknown"],
    ["is made again under its name", AGAIN, "cloud_role_replaced"],
    ["is for others now", { ...ROLE, version: 2, workflows: [] }, "cloud_role_refused"],
  ] as const)("gives no other one in its place where it %s", async (_, then, code) => {
    const { got, asked } = await renewedUnder(then);
    expect(got).toMatchObject({ kind: "cannot", code });
    expect(asked).toEqual([1]);
  });

  test("gives one that goes where the role says now, and nowhere else", async () => {
    const { got, asked } = await renewedUnder(CHANGED);
    if (got.kind !== "ready") throw new Error(got.kind);
    expect(asked).toEqual([1, 2]);
    expect(got.lease.refusalFor("https://c.s3.eu-central-1.amazonaws.com/x")).toBeNull();
    expect(got.lease.refusalFor("https://b.s3.eu-central-1.amazonaws.com/x")).not.toBeNull();
  });
});

describe("roles as an isolate keeps them", () => {
  const log = { error: () => {} } as never;

  test("refuse nobody whom the role was opened to a moment ago", async () => {
    let stored = ROLE;
    const lookup = createLookup(async () => stored, { log: { error: () => {} } as never, now: () => 0 });
    const use = createUse(
      { issuerOrigin: "https://id.example", now: () => 0, credentials: { get: async () => CREDENTIAL } },
      lookup,
    );
    const weekly: RoleUse = { ...USE, subject: { kind: "plan", name: "weekly" } };
    expect((await use(USE)).kind).toBe("ready");
    expect((await use(weekly)).kind).toBe("cannot");
    stored = { ...ROLE, version: 2, workflows: [...ROLE.workflows, { kind: "plan", name: "weekly" }] };
    expect((await use(weekly)).kind).toBe("ready");
  });

  test("that there is none is not kept: a role counts as soon as it is made, and none is denied while nobody can tell", async () => {
    let answer: () => CloudRole | null = () => null;
    const lookup = createLookup(async () => answer(), { log, now: () => 0 });
    expect(await lookup.find("acme", "writer")).toBeNull();
    answer = () => {
      throw new Error("D1 is down");
    };
    expect(await lookup.find("acme", "writer")).toBeUndefined();
    answer = () => ROLE;
    expect(await lookup.find("acme", "writer")).toBe(ROLE);
  });

  test("what was asked for before a change does not bring back what stood then", async () => {
    const answers: ((role: CloudRole | null) => void)[] = [];
    const select = async () =>
      new Promise<CloudRole | null>((resolve) => {
        answers.push(resolve);
      });
    const lookup = createLookup(select, { log, now: () => 0 });
    const before = lookup.find("acme", "writer");
    lookup.forget("acme", "writer");
    answers[0]?.(ROLE);
    expect(await before).toBe(ROLE);
    const after = lookup.find("acme", "writer");
    answers[1]?.(null);
    expect(await after).toBeNull();
  });

  test("an answer counts from when it was asked for, however slowly it came", async () => {
    let now = 0;
    let reads = 0;
    const select = async () => {
      reads += 1;
      now += FRESH_MS;
      return ROLE;
    };
    const lookup = createLookup(select, { log, now: () => now });
    await lookup.find("acme", "writer");
    await lookup.find("acme", "writer");
    expect(reads).toBe(2);
  });

  test("a change counts within moments; a database that does not answer takes nothing away", async () => {
    let now = 0;
    let answer: () => CloudRole | null = () => ROLE;
    const lookup = createLookup(async () => answer(), { log: { error: () => {} } as never, now: () => now });
    expect(await lookup.find("acme", "writer")).toBe(ROLE);
    answer = () => null;
    expect(await lookup.find("acme", "writer")).toBe(ROLE);
    now = FRESH_MS;
    expect(await lookup.find("acme", "writer")).toBeNull();
    // That there was none is not remembered.
    answer = () => ROLE;
    expect(await lookup.find("acme", "writer")).toBe(ROLE);
    answer = () => null;
    lookup.forget("acme", "writer");
    expect(await lookup.find("acme", "writer")).toBeNull();
    answer = () => ROLE;
    expect(await lookup.find("acme", "writer")).toBe(ROLE);
    now += FRESH_MS;
    answer = () => {
      throw new Error("D1 is down");
    };
    expect(await lookup.find("acme", "writer")).toBe(ROLE);
    now += 60 * 60_000;
    expect(await lookup.find("acme", "writer")).toBeUndefined();
    expect(await lookup.find("acme", "other")).toBeUndefined();
  });
});
