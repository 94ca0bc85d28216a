/** What comes in is read no further than it is worth: every route of the table, and every form of a page. */
import { describe, expect, test } from "vitest";
import { type Identity } from "../../src/access/index.ts";
import { MAX_BODY_BYTES } from "../../src/api/body.ts";
import { type ApiDeps, ROUTES } from "../../src/api/index.ts";
import { isProblem, PROBLEMS } from "../../src/api/problems.ts";

import type { Route } from "../../src/api/route.ts";
import { readForm } from "../../src/platform/form.ts";

const CHUNK_BYTES = 65_536;
const MAX_FORM_BYTES = 8_192;
/** One chunk lies ready in the stream, one is what was too much. */
const READ_AHEAD = 2 * CHUNK_BYTES;

interface Endless {
  readonly body: ReadableStream<Uint8Array>;
  /** What was taken of it. */
  bytes: number;
  wasCancelled: boolean;
}

function endless(): Endless {
  const one: Endless = {
    bytes: 0,
    wasCancelled: false,
    body: new ReadableStream({
      pull(controller) {
        one.bytes += CHUNK_BYTES;
        controller.enqueue(new Uint8Array(CHUNK_BYTES).fill(0x20));
      },
      cancel() {
        one.wasCancelled = true;
      },
    }),
  };
  return one;
}

/** Of such a kind that no path is refused before its body is looked at. */
const PARAMS: Readonly<Record<string, string>> = { run: `run_${"0".repeat(26)}` };

async function answerOf(route: Route, body: ReadableStream, headers: Record<string, string>) {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => PARAMS[name] ?? "one");
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  const request = new Request(`https://showcaller.test${path}`, {
    ...{ method: route.method, body, duplex: "half" },
    headers: { "content-type": "application/json", ...headers },
  });
  const identity: Identity =
    route.rule === "root"
      ? { kind: "root" }
      : {
          ...{ kind: "key", tenant: "acme", keyId: "key_1", user: null, scopes: new Set(["*"]) },
          ...{ policies: [], expiresAt: null },
        };
  const deps = new Proxy({} as ApiDeps, {
    get: (_, name) => {
      throw new Error(`${route.id} went on to ${String(name)}.`);
    },
  });
  const params = Object.fromEntries(names.map((name) => [name, PARAMS[name] ?? "one"]));
  return route.answer({ deps, request, path, requestId: "req_1", params }, identity);
}

const TAKING = ROUTES.filter(({ method }) => method !== "GET").map((route) => [route.id, route] as const);

describe("a body that is larger than the API takes", () => {
  test("is refused by these routes, which are all that are not only read", () => {
    expect(TAKING.length).toBeGreaterThan(30);
    expect(PROBLEMS.body_too_large.status).toBe(413);
  });

  test.each(TAKING)("%s refuses it by its announced length, unread", async (_, route) => {
    const sent = endless();
    const answer = await answerOf(route, sent.body, { "content-length": String(MAX_BODY_BYTES + 1) });
    expect(isProblem(answer) && answer.problem).toBe("body_too_large");
    expect(sent.bytes).toBeLessThanOrEqual(CHUNK_BYTES);
  });

  test.each(TAKING)("%s refuses it without one as soon as it is too much", async (_, route) => {
    const sent = endless();
    const answer = await answerOf(route, sent.body, {});
    expect(isProblem(answer) && answer.problem).toBe("body_too_large");
    expect(sent.bytes).toBeLessThanOrEqual(MAX_BODY_BYTES + READ_AHEAD);
    expect(sent.wasCancelled).toBe(true);
  });
});

test("a form that is larger than any of ours has no fields, and is not read on", async () => {
  const sent = endless();
  const request = new Request("https://showcaller.test/connect/x", {
    ...{ method: "POST", body: sent.body, duplex: "half" },
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  expect([...(await readForm(request))]).toEqual([]);
  expect(sent.bytes).toBeLessThanOrEqual(MAX_FORM_BYTES + READ_AHEAD);
  expect(sent.wasCancelled).toBe(true);
});
