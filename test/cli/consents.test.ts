/** The person without JavaScript, and the backend to which they come back, each against a server that is none of ours. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import type { Api, RunView } from "../../src/cli/api.ts";
import { startBackend } from "../../src/cli/backend.ts";
import { complain, fine } from "../../src/cli/complaint.ts";
import { connect, heal, personOf, type Person } from "../../src/cli/consents.ts";
import { perform } from "../../src/cli/performance.ts";
import type { Referee } from "../../src/cli/referee.ts";
import { titleOf, Visitor } from "../../src/cli/visitor.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

type Handle = (request: IncomingMessage, answer: ServerResponse, body: string) => void;

/** Its origin. */
async function site(handle: Handle): Promise<string> {
  const server = createServer((request, answer) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => handle(request, answer, body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a numeric port");
  return `http://127.0.0.1:${address.port}`;
}

describe("a person without JavaScript", () => {
  it("is led by redirects and pages that send on, keeps cookies, and loses those that are taken away", async () => {
    const seen: string[] = [];
    const origin = await site(({ url = "", headers }, answer) => {
      seen.push(`${url} ${headers.cookie ?? ""}`);
      if (url === "/a")
        answer.writeHead(303, { location: "/b", "set-cookie": ["one=1; Path=/", "two=2"] }).end();
      else if (url === "/b") {
        answer.writeHead(200, { "set-cookie": "one=; Max-Age=0" });
        answer.end('<meta http-equiv="refresh" content="0;url=/c?x=1&amp;y=2" /><h1>On</h1>');
      } else answer.end("<h1>There &amp; done</h1>");
    });
    const page = await new Visitor().open(`${origin}/a`);
    expect([page.url.pathname, titleOf(page)]).toEqual(["/c", "There & done"]);
    expect(seen).toEqual(["/a ", "/b one=1; two=2", "/c?x=1&y=2 two=2"]);
  });

  it("sends a form as it stands, with what was filled in and the button that was pressed", async () => {
    let sent = "";
    let from: string | undefined;
    const origin = await site(({ method, headers }, answer, body) => {
      if (method === "POST") [sent, from] = [body, headers.origin];
      answer.end(
        '<form method="post"><input type="hidden" name="form" value="a&quot;b"><input name="user">' +
          '<input type="checkbox" name="scope" value="read" checked><input type="checkbox" name="scope" value="all">' +
          '<button name="say" value="yes">\n  Go on to it</button><button name="say" value="no">No</button></form>',
      );
    });
    const visitor = new Visitor();
    await visitor.press(await visitor.open(origin), "Go on", { user: "ada" });
    expect([...new URLSearchParams(sent)]).toEqual([
      ["form", 'a"b'],
      ["user", "ada"],
      ["scope", "read"],
      ["say", "yes"],
    ]);
    expect(from).toBe(origin);
  });

  it("says which page it is on where there is no such button, and gives up going round in circles", async () => {
    const origin = await site(({ url }, answer) => {
      if (url === "/round") answer.writeHead(302, { location: "/round" }).end();
      else answer.end("<h1>This link was used</h1>");
    });
    const visitor = new Visitor();
    const page = await visitor.open(origin);
    await expect(visitor.press(page, "Go on")).rejects.toThrow('"This link was used"');
    await expect(visitor.open(`${origin}/round`)).rejects.toThrow("in circles");
  });
});

describe("the backend", () => {
  it("says who came back with a code, once for each time, and nothing of what has none", async () => {
    const said: string[] = [];
    const backend = await startBackend(async (session, code) => {
      said.push(`${session} ${code}`);
      return code === "good" ? fine(null) : complain("no", "no");
    });
    closing.push(backend.end);
    const statusOf = async (query: string, method = "GET"): Promise<number> => {
      const answer = await fetch(backend.returnTo + query, { method });
      await answer.body?.cancel();
      return answer.status;
    };
    expect(await statusOf("?session=cs_1&code=good")).toBe(200);
    expect(await statusOf("?session=cs_1&code=bad")).toBe(409);
    expect(await statusOf("?session=cs_1")).toBe(404);
    expect(await statusOf("/other?session=cs_1&code=good")).toBe(404);
    expect(await statusOf("?session=cs_1&code=good", "HEAD")).toBe(404);
    expect(said).toEqual(["cs_1 good", "cs_1 bad"]);
  });
});

/** What the API answers, one after the other. */
function api(answers: readonly unknown[], more: Partial<Api> = {}): Api {
  const left = [...answers];
  const next = async (): Promise<never> => {
    throw new Error("not asked for here");
  };
  return {
    ...{ url: "", key: "", startRun: next, getRun: async () => fine(left.shift() as RunView) },
    call: async <T>() => fine(left.shift() as T),
    // oxlint-disable-next-line require-yield -- a journal that never comes
    follow: async function* () {
      await new Promise(() => {});
    },
    ...more,
  };
}

const OPEN = { connection: "conn_1", state: "open", failure: null };
const followed: string[] = [];
const byHand: Person = { byHand: true, follow: async (link) => void followed.push(link) };

describe("a consent", () => {
  it("that came to nothing is a complaint where the start plays the person, and another link where somebody does", async () => {
    const failed = { ...OPEN, id: "cs_1", state: "failed", failure: "declined" };
    const played = await connect(
      api([{ ...OPEN, id: "cs_1", url: "one" }, failed]),
      { ...byHand, byHand: false },
      () => {},
    );
    expect(played.ok ? "" : played.complaint.what).toContain("declined");

    const links: string[] = [];
    const second = { ...OPEN, id: "cs_2", url: "two" };
    const done = { ...second, state: "done", url: null };
    const answers = [{ ...OPEN, id: "cs_1", url: "one" }, failed, second, second, done];
    const connected = await connect(api(answers), byHand, (link) => links.push(link));
    expect([connected, links]).toEqual([fine("conn_1"), ["one", "two"]]);
  });

  it("for which a step waits is given by the run's link, by its next one if that was used, until the step waits no more", async () => {
    const waiting = (url?: string) => ({
      steps: [{ name: "entry", waiting_for: url === undefined ? {} : { connect: { url } } }],
    });
    const views = [waiting(), waiting("one"), waiting("one"), waiting("two"), { steps: [{ name: "entry" }] }];
    const links: string[] = [];
    await heal(api(views), "run_1", "entry", byHand, (link) => links.push(link));
    expect(links).toEqual(["one", "two"]);
    expect(followed.slice(-2)).toEqual(["one", "two"]);
  });

  it("that nobody can give ends the show, and the run is not waited for", async () => {
    const referee = { ledger: async () => ({ entries: [], next: 0 }) } as unknown as Referee;
    const follow: Api["follow"] = async function* () {
      yield { seq: 1, at: 1, type: "parked", data: { step: "entry" } };
      await new Promise(() => {});
    };
    const background = { retryAfter: () => null, isKeyed: () => false };
    const answer = async (): Promise<void> => {
      throw new Error("the page is another one");
    };
    const broken = await perform(
      "run_1",
      { api: api([], { follow }), referee, background, since: 0, answer },
      () => {},
    );
    expect(broken).toBe("the page is another one");
  });
});

it("a person who does it by hand is not played", async () => {
  await expect(personOf(true).follow("http://127.0.0.1:1/nowhere")).resolves.toBeUndefined();
  await expect(personOf(false).follow("http://127.0.0.1:1/nowhere")).rejects.toThrow("fetch failed");
});
