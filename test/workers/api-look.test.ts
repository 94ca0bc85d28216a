import { beforeAll, describe, expect, test } from "vitest";
import { ROUTES } from "../../src/api/index.ts";
import type { Explanation, EventView, RunView, StepView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";

let admin = "";
let rival = "";
let ada = "";
let bob = "";

beforeAll(async () => {
  admin = await newTenant("look");
  rival = await newTenant("look-rival");
  const agent = { scopes: ["runs:*", "outputs:*"], expires_at: Date.now() + 600_000 };
  const scopes = ["runs:read", "runs:write", "runs:admin", "outputs:read"];
  ada = await newKey(admin, { ...agent, scopes, user: "ada" });
  bob = await newKey(admin, { ...agent, scopes, user: "bob" });
});

interface Page {
  readonly data: readonly EventView[];
  readonly next: number;
  readonly ended: boolean;
}

async function start(body: unknown, key = admin, headers: Record<string, string> = {}): Promise<RunView> {
  const response = await send("POST", "/v1/runs", { key, body, headers });
  return expectAnswer<RunView>(response, "startRun", response.status === 200 ? 200 : 202);
}

const finished = () => start({ workflow: "t-chain-4" }, admin, { prefer: "wait=20" });
const waiting = (key = admin) => start({ workflow: "t-wait" }, key, { prefer: "wait=0" });
const look = (id: string, headers: Record<string, string> = {}, key = admin) =>
  send("GET", `/v1/runs/${id}`, { key, headers });
const signal = (id: string) =>
  send("POST", `/v1/runs/${id}/signals/go`, { key: admin, body: { payload: "now" } });

describe("looking at a run", () => {
  test("shows the undoing of each item, and why one was not undone", async () => {
    const { steps } = await start({ workflow: "t-each-undone" }, admin, { prefer: "wait=20" });
    const [make] = steps;
    expect(make?.items?.map(({ compensation }) => compensation)).toMatchObject([
      { status: "failed", failure: { code: "step_failed" } },
      { status: "succeeded", failure: null },
    ]);
    expect(make?.compensation).toBeUndefined();
  });

  test("gives it with its ETag, and 304 to one who has it", async () => {
    const { id, seq } = await finished();
    const response = await look(id);
    await expectAnswer(response, "getRun", 200);
    expect(response.headers.get("etag")).toBe(`"r-${seq}"`);
    expect(response.headers.get("cache-control")).toBe("private, no-cache");
    const same = await look(id, { "if-none-match": `"r-${seq}"` });
    expect(same.status).toBe(304);
    expect(await same.text()).toBe("");
    expect(same.headers.get("etag")).toBe(`"r-${seq}"`);
    await expectAnswer(await look(id, { "if-none-match": `"r-${seq - 1}"` }), "getRun", 200);
  });

  test("can wait for the end", async () => {
    const { id } = await waiting();
    const polled = look(id, { prefer: "wait=30" });
    await expectAnswer(await signal(id), "sendSignal", 200);
    const response = await polled;
    expect(response.headers.get("preference-applied")).toBe("wait=30");
    expect((await expectAnswer<RunView>(response, "getRun", 200)).status).toBe("succeeded");
  });

  test("can wait for anything new, and answers 304 if nothing comes", async () => {
    const { id } = await waiting();
    const before = await expectAnswer<RunView>(await look(id), "getRun", 200);
    const tag = { "if-none-match": `"r-${before.seq}"` };
    const nothing = await look(id, { ...tag, prefer: "wait=1" });
    expect(nothing.status).toBe(304);
    const polled = look(id, { ...tag, prefer: "wait=30" });
    await expectAnswer(await send("POST", `/v1/runs/${id}/pause`, { key: admin }), "pauseRun", 200);
    const after = await expectAnswer<RunView>(await polled, "getRun", 200);
    expect(after.paused).toBe(true);
    expect(after.seq).toBeGreaterThan(before.seq);
  });

  test("gives one step with its whole output, which the run gives by its size", async () => {
    const bytes = 10_000;
    const run = await start({ workflow: "t-large", input: { bytes, effect: "safe" } }, admin, {
      prefer: "wait=20",
    });
    const listed = run.steps.find(({ name }) => name === "safe");
    expect(listed?.output).toEqual({ bytes: bytes + 2 });
    const step = await send("GET", `/v1/runs/${run.id}/steps/safe`, { key: admin });
    const whole = await expectAnswer<StepView>(step, "getStep", 200);
    expect(whole.output).toEqual({ value: "x".repeat(bytes) });
  });

  test("says why it is not done, until when, and which call ends that", async () => {
    const { id } = await waiting();
    const ask = (query = "") => send("GET", `/v1/runs/${id}/explain${query}`, { key: admin });
    const told = await expectAnswer<Explanation>(await ask(), "explainRun", 200);
    expect(told).toMatchObject({ run: id, status: "waiting", reasons: [{ unit: "ask", code: "signal" }] });
    const [remedy] = told.reasons[0]?.remedies ?? [];
    const call = await send(remedy?.method ?? "", remedy?.path ?? "", { key: admin, body: remedy?.body });
    await expectAnswer(call, "sendSignal", 200);
    await look(id, { prefer: "wait=20" });
    const over = await expectAnswer<Explanation>(await ask(), "explainRun", 200);
    expect(over).toMatchObject({ status: "succeeded", limit_at: null, reasons: [{ code: "run_succeeded" }] });
    const step = await expectAnswer<Explanation>(await ask("?step=ask"), "explainRun", 200);
    expect(step.reasons).toMatchObject([{ code: "run_succeeded" }, { unit: "ask", code: "done" }]);
    await expectProblem(await ask("?step=nobody"), 404, "no_such_step");
  });

  test("a step, an item or a name that there is not", async () => {
    const { id } = await finished();
    const step = (path: string) => send("GET", `/v1/runs/${id}/steps/${path}`, { key: admin });
    await expectProblem(await step("nobody"), 404, "no_such_step");
    await expectProblem(await step("s0?item=3"), 404, "no_such_step");
    await expectProblem(await step("s0?item=-1"), 400, "invalid_request");
    await expectProblem(await step("s0?itme=1"), 400, "invalid_request");
    const { errors } = await expectProblem(await step("S%200"), 400, "invalid_request");
    expect(errors?.[0]?.parameter).toBe("step");
  });

  test("shows no output to a key without outputs:read, in no form", async () => {
    const { id } = await start({ workflow: "t-wait" });
    const key = await newKey(admin, { scopes: ["runs:read"] });
    const secret = "a-word-that-nobody-shall-see";
    await send("POST", `/v1/runs/${id}/signals/go`, { key: admin, body: { payload: secret } });
    await look(id, { prefer: "wait=20" });
    const texts = await Promise.all(
      ["", "/steps/ask", "/events?limit=1000"].map(async (path) => {
        const full = await (await send("GET", `/v1/runs/${id}${path}`, { key: admin })).text();
        expect(full).toContain(secret);
        return (await send("GET", `/v1/runs/${id}${path}`, { key })).text();
      }),
    );
    const headers = { accept: "text/event-stream" };
    const stream = await (await send("GET", `/v1/runs/${id}/events`, { key, headers })).text();
    expect([...texts, stream].join("\n")).not.toContain(secret);
    const run = await expectAnswer<RunView>(await look(id, {}, key), "getRun", 200);
    expect(run.output).toEqual({ redacted: true });
  });
});

describe("a run of somebody else reads as one that there is not", () => {
  const bodies: Readonly<Record<string, unknown>> = {
    resolveStep: { as: "retry" },
    appendSteps: { steps: { a: { action: "transform", with: { value: 1 } } } },
  };
  const routes = ROUTES.filter(({ path }) => path.includes("{run}"));

  test.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "%s",
    async (_, route) => {
      const { id } = await start({ workflow: "t-wait", open: true }, ada);
      const body = bodies[route.id];
      const ask = async (run: string, key: string) => {
        const path = route.path.replace("{run}", run).replace("{step}", "ask").replace("{name}", "go");
        return send(route.method, path, { key, ...(body === undefined ? {} : { body }) });
      };
      const at = async (run: string, key: string) =>
        (await expectProblem(await ask(run, key), 404, "not_found")).detail;
      const nobody = await at(`run_${"0".repeat(26)}`, admin);
      expect(await at(id, rival)).toBe(nobody);
      // What no user's key may do it is refused before anything is looked up.
      if (["acceptConnection", "eraseRun"].includes(route.id))
        await expectProblem(await ask(id, bob), 403, "insufficient_scope");
      else expect(await at(id, bob)).toBe(nobody);
      expect(await at("run_1", admin)).toBe(nobody);
      expect(await at(`${id}x`, admin)).toBe(nobody);
      const mine = await look(id, {}, ada);
      expect((await expectAnswer<RunView>(mine, "getRun", 200)).revision).toBe(1);
    },
  );
});

describe("events page by page", () => {
  test("come in order, all of them, and the last page says so", async () => {
    const { id, seq } = await finished();
    const seen: number[] = [];
    let page: Page = { data: [], next: 0, ended: false };
    while (!page.ended) {
      const response = await send("GET", `/v1/runs/${id}/events?limit=3&after=${page.next}`, { key: admin });
      page = await expectAnswer<Page>(response, "getEvents", 200);
      expect(page.data.length).toBeGreaterThan(0);
      seen.push(...page.data.map((event) => event.seq));
    }
    expect(seen).toEqual(Array.from({ length: seq }, (_, i) => i + 1));
  });

  test("can be waited for", async () => {
    const { id } = await waiting();
    const { seq } = await expectAnswer<RunView>(await look(id), "getRun", 200);
    const polled = send("GET", `/v1/runs/${id}/events?after=${seq}`, {
      key: admin,
      headers: { prefer: "wait=30" },
    });
    await signal(id);
    const { data } = await expectAnswer<Page>(await polled, "getEvents", 200);
    expect(data[0]).toMatchObject({ seq: seq + 1, type: "signalled" });
  });

  test.each(["after=x", "after=-1", "limit=0.5", "limit=0", "limit=5000", "after=1&after=2", "page=1"])(
    "do not take ?%s",
    async (query) => {
      const { id } = await finished();
      const response = await send("GET", `/v1/runs/${id}/events?${query}`, { key: admin });
      const { errors } = await expectProblem(response, 400, "invalid_request");
      expect(errors?.[0]?.parameter).toBe(query.slice(0, query.indexOf("=")));
    },
  );
});

describe("events as a stream", () => {
  const stream = (id: string, headers: Record<string, string> = {}, query = "") =>
    send("GET", `/v1/runs/${id}/events${query}`, {
      key: admin,
      headers: { accept: "text/event-stream", ...headers },
    });

  interface Sent {
    readonly id: number;
    readonly event: string;
    readonly data: EventView;
  }

  function parse(text: string): Sent[] {
    return text.split("\n\n").flatMap((block) => {
      const fields = new Map(
        block.split("\n").flatMap((line) => {
          const colon = line.indexOf(": ");
          return colon <= 0 ? [] : [[line.slice(0, colon), line.slice(colon + 2)] as const];
        }),
      );
      const data = fields.get("data");
      if (data === undefined) return [];
      return [
        {
          id: Number(fields.get("id")),
          event: fields.get("event") ?? "",
          data: JSON.parse(data) as EventView,
        },
      ];
    });
  }

  test("tell the whole run and end after its end", async () => {
    const { id, seq } = await finished();
    const response = await stream(id);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    expect(response.headers.get("cache-control")).toContain("no-cache");
    const text = await response.text();
    expect(text).toMatch(/^retry: \d+\n\n/);
    const events = parse(text);
    expect(events.map((one) => one.id)).toEqual(Array.from({ length: seq }, (_, i) => i + 1));
    expect(events.map((one) => one.event)).toEqual(events.map(({ data }) => data.type));
    expect(events.at(-1)?.event).toBe("ended");
  });

  test("go on after the last event that was seen, by header or parameter, and the header wins", async () => {
    const { id, seq } = await finished();
    const rest = async (headers: Record<string, string>, query: string) =>
      parse(await (await stream(id, headers, query)).text()).map((one) => one.id);
    const last = [seq - 1, seq];
    expect(await rest({ "last-event-id": String(seq - 2) }, "")).toEqual(last);
    expect(await rest({}, `?after=${seq - 2}`)).toEqual(last);
    expect(await rest({ "last-event-id": String(seq - 2) }, "?after=1")).toEqual(last);
  });

  test("answer 204 to one who has seen the end", async () => {
    const { id, seq } = await finished();
    const response = await stream(id, { "last-event-id": String(seq) });
    expect(response.status).toBe(204);
  });

  test("go on while the run does, and miss nothing across a break", async () => {
    const { id } = await waiting();
    const response = await stream(id);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("event: waiting")) text += (await reader?.read())?.value ?? "";
    await reader?.cancel();
    const before = parse(text);
    const again = stream(id, { "last-event-id": String(before.at(-1)?.id) });
    await signal(id);
    const after = parse(await (await again).text());
    const all = [...before, ...after].map((one) => one.id);
    expect(all).toEqual(Array.from({ length: all.length }, (_, i) => i + 1));
    expect(after.at(-1)?.event).toBe("ended");
  });

  test("cannot be read from a place that is none, nor in another form", async () => {
    const { id } = await finished();
    const { errors } = await expectProblem(await stream(id, { "last-event-id": "x" }), 400, "invalid_header");
    expect(errors?.[0]?.header).toBe("Last-Event-ID");
    await expectProblem(await stream(id, { accept: "text/html" }), 406, "not_acceptable");
  });
});
