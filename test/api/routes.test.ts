import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FACT_TYPES } from "../../src/kernel/index.ts";
import { PROBLEM_CODES, PROBLEMS, ROUTES } from "../../src/api/index.ts";
import { problemsOf } from "../../src/api/openapi.ts";
import { problemBody } from "../../src/api/problems.ts";
import { SCOPES } from "../../src/access/index.ts";

const DOCS = join(import.meta.dirname, "../../docs");
/** Everything that may be reached without a key. An addition here is a decision. */
const PUBLIC_PATHS = [
  "/",
  "/healthz",
  "/openapi.json",
  "/problems",
  "/problems/{code}",
  "/t/{issuer}/.well-known/openid-configuration",
  "/t/{issuer}/jwks",
  "/v1/plans/schema",
];

describe("the table of routes", () => {
  test("names the rule of every route, and only these paths are open to everybody", () => {
    const rules = new Set<string>(["public", "root", "any key", ...Object.keys(SCOPES)]);
    for (const { rule } of ROUTES) expect(rules).toContain(rule);
    const open = ROUTES.filter(({ rule }) => rule === "public").map(({ path }) => path);
    expect(open.toSorted()).toEqual(PUBLIC_PATHS);
  });

  test("holds each operation and each address with its method once", () => {
    const ids = ROUTES.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const addresses = ROUTES.map(({ method, path }) => `${method} ${path.replace(/\{\w+\}/g, "{}")}`);
    expect(new Set(addresses).size).toBe(addresses.length);
  });

  test.each(ROUTES.filter(({ body }) => body !== undefined).map((route) => [route.id, route.body] as const))(
    "%s has an example that its own schema takes",
    (_, body) => {
      expect(body?.schema.schema().safeParse(body.example).error).toBeUndefined();
    },
  );
});

describe("problems", () => {
  test("every code can come out of some route, or out of routing itself", () => {
    const routed = ["method_not_allowed", "not_found"];
    const answered = new Set([...routed, ...ROUTES.flatMap((route) => problemsOf(route))]);
    expect(PROBLEM_CODES.filter((code) => !answered.has(code))).toEqual([]);
  });

  test("a body has every member of RFC 9457, a code, a hint and the request's id", () => {
    const body = problemBody(
      { problem: "not_open", detail: "The run is closed." },
      { path: "/v1/runs/run_1/steps", requestId: "req_1" },
    );
    expect(body).toEqual({
      type: "/problems/not_open",
      title: PROBLEMS.not_open.title,
      status: 409,
      detail: "The run is closed.",
      instance: "/v1/runs/run_1/steps",
      code: "not_open",
      hint: PROBLEMS.not_open.hint,
      request_id: "req_1",
    });
  });

  test("docs/errors.md lists every code with its status and words, and no other", async () => {
    const text = await readFile(join(DOCS, "errors.md"), "utf8");
    const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (.*?) \| (.*) \|$/gm)].map(
      ([, ...cells]) => cells,
    );
    expect(rows).toEqual(
      PROBLEM_CODES.map((code) => [
        code,
        String(PROBLEMS[code].status),
        PROBLEMS[code].title,
        PROBLEMS[code].hint,
      ]),
    );
  });

  test("docs/api.md tells every type of event, and no other", async () => {
    const text = await readFile(join(DOCS, "api.md"), "utf8");
    const [, section = ""] = /^### Events$([\s\S]*?)^## /m.exec(text) ?? [];
    const told = [...section.matchAll(/^\| (`[a-z_`, ]+`) \|/gm)].flatMap(([, names = ""]) =>
      [...names.matchAll(/\w+/g)].map(([name]) => name),
    );
    expect(told.toSorted()).toEqual(FACT_TYPES.toSorted());
  });

  test("docs/api.md names every operation", async () => {
    const text = await readFile(join(DOCS, "api.md"), "utf8");
    const missing = ROUTES.filter(({ method, path }) => !text.includes(`\`${method} ${path}\``));
    expect(missing.map(({ id }) => id)).toEqual([]);
  });
});
