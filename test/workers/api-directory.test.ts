import { beforeAll, describe, expect, test, vi } from "vitest";
import type { ChangedRun, Listed } from "../../src/directory/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { HOUR_MS, idsOf, many, T0 } from "./directory-support.ts";
import { directoryOf } from "./run-support.ts";

let admin = "";
let rival = "";
let ada = "";
let bob = "";
let blind = "";

beforeAll(async () => {
  admin = await newTenant("lists");
  rival = await newTenant("lists-rival");
  const agent = { scopes: ["runs:read", "runs:write"], expires_at: Date.now() + 600_000 };
  ada = await newKey(admin, { ...agent, user: "ada" });
  bob = await newKey(admin, { ...agent, user: "bob" });
  blind = await newKey(admin, { scopes: ["runs:write"] });
});

interface Page {
  readonly data: readonly Listed[];
  readonly next_cursor: string | null;
}
interface Feed {
  readonly data: readonly ChangedRun[];
  readonly next: string;
  readonly reset: boolean;
}

async function list(query = "", key = admin): Promise<Page> {
  return expectAnswer<Page>(await send("GET", `/v1/runs${query}`, { key }), "listRuns", 200);
}

async function feed(query = "", key = admin, headers: Record<string, string> = {}): Promise<Feed> {
  return expectAnswer<Feed>(await send("GET", `/v1/runs/feed${query}`, { key, headers }), "followRuns", 200);
}

async function start(body: unknown, key = admin): Promise<RunView> {
  return expectAnswer<RunView>(await send("POST", "/v1/runs", { key, body }), "startRun", 202);
}

/** The directory hears of a run beside the answer to its start. */
async function heard(id: string, key = admin): Promise<Listed> {
  return vi.waitUntil(async () => (await list("", key)).data.find((run) => run.id === id), {
    timeout: 5_000,
    interval: 20,
  });
}

describe("the list of runs", () => {
  test("shows a run that was started, with what it was started with and how it stands", async () => {
    const { id, started_at } = await start({ workflow: "t-wait", user: "ada", tags: ["one", "two"] });
    expect(await heard(id)).toMatchObject({
      ...{ id, started_at, workflow: "t-wait", version: "1", user: "ada", tags: ["one", "two"] },
      ...{ status: "waiting", paused: false, ended_at: null, failure: null, parent: null, generation: 1 },
    });
  });

  test("shows every key only the runs of its tenant, and one that is bound to a user only that user's", async () => {
    const theirs = await start({ workflow: "t-wait" }, rival);
    const adas = await start({ workflow: "t-wait" }, ada);
    const bobs = await start({ workflow: "t-wait" }, bob);
    const nobodys = await start({ workflow: "t-wait" });
    await heard(theirs.id, rival);
    for (const { id } of [adas, bobs, nobodys]) await heard(id);
    expect(idsOf((await list("", rival)).data)).toEqual([theirs.id]);
    const seen = (await list("", ada)).data;
    expect(idsOf(seen)).toContain(adas.id);
    expect(seen.map(({ user }) => user)).toEqual(seen.map(() => "ada"));
    expect(idsOf((await list("?user=bob")).data)).toEqual([bobs.id]);
    expect(idsOf((await list("?user=bob", bob)).data)).toEqual([bobs.id]);
    const refused = await expectProblem(
      await send("GET", "/v1/runs?user=bob", { key: ada }),
      403,
      "user_wider",
    );
    expect(refused.errors?.[0]?.parameter).toBe("user");
    await expectProblem(await send("GET", "/v1/runs", { key: blind }), 403, "insufficient_scope");
  });

  test("counts and the feed likewise", async () => {
    const count = async (key: string): Promise<number> => {
      const answer = await send("GET", "/v1/runs/counts", { key });
      const { data } = await expectAnswer<{ data: { total: number }[] }>(answer, "countRuns", 200);
      return data.reduce((sum, { total }) => sum + total, 0);
    };
    expect(await count(rival)).toBe((await list("", rival)).data.length);
    expect(await count(ada)).toBe((await list("", ada)).data.length);
    expect(await count(admin)).toBe((await list()).data.length);
    const begin = await feed();
    const rivals = await feed("", rival);
    const hers = await feed("", ada);
    const adas = await start({ workflow: "t-wait" }, ada);
    const bobs = await start({ workflow: "t-wait" }, bob);
    await heard(adas.id);
    await heard(bobs.id);
    const of = async (key: string, after: string): Promise<string[]> =>
      idsOf((await feed(`?after=${after}`, key)).data.map(({ run }) => run));
    expect((await of(admin, begin.next)).toSorted()).toEqual([adas.id, bobs.id].toSorted());
    expect(await of(ada, hers.next)).toEqual([adas.id]);
    expect(await of(rival, rivals.next)).toEqual([]);
    // A place in the feed of another tenant gives nothing of it.
    expect(await of(rival, begin.next)).not.toContain(adas.id);
  });

  test.each([
    ["status", "done"],
    ["workflow", "No Name"],
    ["parent", "run_x"],
    ["started_from", "yesterday"],
    ["limit", "0"],
    ["limit", "101"],
    ["color", "red"],
  ])("refuses %s=%s", async (parameter, value) => {
    const response = await send("GET", `/v1/runs?${parameter}=${encodeURIComponent(value)}`, { key: admin });
    const problem = await expectProblem(response, 400, "invalid_request");
    expect(problem.errors?.[0]?.parameter).toBe(parameter);
  });
});

describe("cursors", () => {
  const tenant = "lists-pages";
  const runs = many(tenant, 30, (i) => ({ user: i % 2 === 0 ? "ada" : null }));
  let key = "";
  let adas = "";

  beforeAll(async () => {
    key = await newTenant(tenant);
    adas = await newKey(key, { scopes: ["runs:read"], expires_at: Date.now() + 600_000, user: "ada" });
    await directoryOf(tenant).takeOver(tenant, runs);
  });

  test("go through the whole list, and end", async () => {
    const seen: string[] = [];
    for (let query = "?limit=7"; ;) {
      const page = await list(query, key);
      seen.push(...idsOf(page.data));
      if (page.next_cursor === null) break;
      query = `?limit=7&cursor=${page.next_cursor}`;
    }
    expect(seen).toEqual(idsOf(runs.toReversed()));
  });

  test("are refused when a character is changed, left out or added, and for another query, user or tenant", async () => {
    const { next_cursor } = await list("?limit=7", key);
    const cursor = next_cursor ?? "";
    const refused = async (text: string, as = key, more = ""): Promise<void> => {
      const response = await send("GET", `/v1/runs?limit=7${more}&cursor=${text}`, { key: as });
      const problem = await expectProblem(response, 400, "invalid_request");
      expect(problem.errors?.[0]?.parameter).toBe("cursor");
    };
    for (let i = 0; i < cursor.length; i++) {
      const other = cursor[i] === "A" ? "B" : "A";
      await refused(cursor.slice(0, i) + other + cursor.slice(i + 1));
    }
    for (const text of [cursor.slice(1), cursor.slice(0, -1), `${cursor}A`, "x", "!!!!", btoa("[1,2]")])
      await refused(encodeURIComponent(text));
    await refused(cursor, key, "&status=running");
    await refused(cursor, adas);
    await refused(cursor, admin);
    expect((await list(`?limit=7&cursor=${cursor}`, key)).data).toHaveLength(7);
  });
});

describe("counts", () => {
  test("are by bucket and status, and refuse what they cannot answer", async () => {
    const tenant = "lists-counts";
    const key = await newTenant(tenant);
    await directoryOf(tenant).takeOver(
      tenant,
      many(tenant, 10, (i) => (i < 4 ? { endedAt: T0 + 60_000 } : {})),
    );
    const count = async (query: string): Promise<Response> => send("GET", `/v1/runs/counts${query}`, { key });
    const answer = await count(`?from=${T0}&to=${T0 + HOUR_MS}&bucket=5m`);
    expect(await expectAnswer(answer, "countRuns", 200)).toEqual({
      ...{ from: T0, to: T0 + HOUR_MS, bucket: "5m" },
      data: [{ at: T0, total: 10, counts: { succeeded: 4, running: 6 } }],
    });
    await expectProblem(await count("?from=5&to=5"), 400, "invalid_request");
    await expectProblem(await count("?from=0&bucket=5m"), 400, "invalid_request");
    await expectProblem(await count("?bucket=7m"), 400, "invalid_request");
  });
});

describe("the feed", () => {
  /** Frames of a stream, as they come. */
  async function* frames(response: Response): AsyncGenerator<Record<string, string>> {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const cut = text.indexOf("\n\n");
      if (cut >= 0) {
        const fields = text
          .slice(0, cut)
          .split("\n")
          .map((line) => line.split(/: (.*)/));
        text = text.slice(cut + 2);
        yield Object.fromEntries(fields.map(([name = "", value = ""]) => [name, value]));
        continue;
      }
      const part = await reader?.read();
      if (part === undefined || part.done) return;
      text += part.value;
    }
  }

  async function follow(key: string, lastEventId?: string): Promise<AsyncGenerator<Record<string, string>>> {
    const headers = {
      accept: "text/event-stream",
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    };
    const response = await send("GET", "/v1/runs/feed", { key, headers });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    return frames(response);
  }

  /** Reads until a change of this run comes. */
  async function changeOf(stream: AsyncGenerator<Record<string, string>>, run: string): Promise<string> {
    for (let last = ""; ;) {
      const { value: frame } = await stream.next();
      if (frame === undefined) throw new Error("The stream has ended.");
      last = frame["id"] ?? last;
      if (frame["event"] !== "run") continue;
      const change = JSON.parse(frame["data"] ?? "") as ChangedRun;
      if (change.run.id === run) return last;
    }
  }

  test("streams changes, and goes on behind the last one that was seen: nothing is missed and nothing comes again", async () => {
    const key = await newTenant("lists-stream");
    const stream = await follow(key);
    // What every stream begins with: how long to wait before coming back, and where it stands.
    await stream.next();
    const { value: begins } = await stream.next();
    expect(begins?.["id"]).toMatch(/^[0-9a-z]+$/);
    const first = await start({ workflow: "t-wait" }, key);
    const place = await changeOf(stream, first.id);
    await stream.return(undefined);
    const second = await start({ workflow: "t-wait" }, key);
    await heard(second.id, key);
    const again = await follow(key, place);
    await again.next();
    const { value: frame } = await again.next();
    expect(frame?.["event"]).toBe("run");
    expect((JSON.parse(frame?.["data"] ?? "") as ChangedRun).run.id).toBe(second.id);
    await again.return(undefined);
  });

  test("gives pages, and can wait for the first change", async () => {
    const key = await newTenant("lists-poll");
    const begin = await feed("", key);
    expect(begin).toMatchObject({ data: [], reset: false });
    const waits = send("GET", `/v1/runs/feed?after=${begin.next}`, { key, headers: { prefer: "wait=30" } });
    const { id } = await start({ workflow: "t-wait" }, key);
    const response = await waits;
    expect(response.headers.get("preference-applied")).toBe("wait=30");
    const page = await expectAnswer<Feed>(response, "followRuns", 200);
    expect(idsOf(page.data.map(({ run }) => run))).toEqual([id]);
  });

  test("refuses places that are none, and says when changes were missed", async () => {
    const ask = async (query: string, headers = {}): Promise<Response> =>
      send("GET", `/v1/runs/feed${query}`, { key: admin, headers });
    await expectProblem(await ask("?after=No!"), 400, "invalid_request");
    await expectProblem(await ask("", { "last-event-id": "../" }), 400, "invalid_header");
    await expectProblem(await ask("", { accept: "text/csv" }), 406, "not_acceptable");
    expect(await feed("?after=1")).toMatchObject({ data: [], reset: true });
  });
});
