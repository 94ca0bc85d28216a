/** Connections of the tenant's own: who is shown the way to make one, and which workflows may wait for it. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Use } from "../../src/connections/use.ts";
import type { LeaseAnswer } from "../../src/platform/index.ts";
import { clock, newIntegration, newSession, newTenant, RETURN_TO, room, Visitor } from "./connect-support.ts";

beforeAll(async () => {
  await newTenant("corp");
  const links = { mode: "link", linkEnabled: true, returnTo: [] } as const;
  await newIntegration("corp", "books", { ...links, workflows: ["nightly"] }, { owner: "tenant" });
  await newIntegration("corp", "calendar", links);
});

const asked = (workflow: string, integration = "books"): Use => ({
  ...{ tenant: "corp", run: `run_${workflow}`, user: "mallory", workflow, pinned: null },
  ...{ reference: { connection: integration }, stepTimeoutMs: 1_000 },
});

function neededOf(use: LeaseAnswer): string {
  return use.kind === "needs" && use.need.kind === "connection" ? (use.need.connection ?? "") : "";
}

async function linkFor(integration: string, connection: string, boundTo: string | null) {
  const wait = {
    ...{ tenant: "corp", run: "run_x", unit: "a", user: "mallory", account: null, scopes: [] },
    ...{ integration, connection, since: 1, limitAt: clock.now + 3_600_000 },
  };
  return room.linkForWait(wait, { by: "key:x", boundTo });
}

describe("a connection of the tenant's own that was never made", () => {
  test("is refused to a workflow that is not on the list", async () => {
    expect(await room.use(asked("inline"))).toMatchObject({ kind: "cannot", code: "connection_refused" });
  });

  test("is waited for by one that is", async () => {
    expect(await room.use(asked("nightly"))).toMatchObject({ kind: "needs", need: { reason: "missing" } });
  });

  test("is said to be not for the workflow before a start, too", async () => {
    const run = { tenant: "corp", user: "mallory" };
    const reference = [{ connection: "books" }];
    expect(await room.missing({ ...run, workflow: "inline" }, reference)).toMatchObject([
      { reason: "not_for_workflow", consent: false },
    ]);
    expect(await room.missing({ ...run, workflow: "nightly" }, reference)).toMatchObject([
      { reason: "missing", consent: true },
    ]);
  });

  test("has a link for who is bound to no user alone", async () => {
    const use = await room.use(asked("nightly"));
    const connection = neededOf(use);
    expect(await linkFor("books", connection, "mallory")).toBeNull();
    expect(await linkFor("books", connection, null)).toMatchObject({ token: expect.stringMatching(/^cs_/) });
  });
});

test("a consent that waited while its integration was narrowed gives no more than is allowed when it is confirmed", async () => {
  const asBackend = { mode: "confirm", returnTo: [RETURN_TO] } as const;
  const wide = { ...asBackend, workflows: ["mail", "wide"] };
  await newIntegration("corp", "archive", wide, { owner: "tenant" });
  const { session, token } = await newSession({ integration: "archive", user: null });
  const { location } = await new Visitor().consent(token);
  await room.changeIntegration("corp", "archive", { workflows: ["mail"] }, "key:x");
  const code = new URL(location).searchParams.get("code") ?? "";
  expect(await room.confirm("corp", session.id, { code, user: null, by: "key:x" })).toMatchObject({
    ok: true,
  });
  expect(await room.use(asked("wide", "archive"))).toMatchObject({ code: "connection_refused" });
  expect(await room.use(asked("mail", "archive"))).toMatchObject({ kind: "ready" });
});

test("the link of a user's wait is for this user's keys, and for those that are bound to none", async () => {
  const use = await room.use(asked("any", "calendar"));
  const connection = neededOf(use);
  expect(await linkFor("calendar", connection, "bob")).toBeNull();
  expect(await linkFor("calendar", connection, "mallory")).not.toBeNull();
  expect(await linkFor("calendar", connection, null)).not.toBeNull();
});
