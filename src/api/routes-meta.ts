/** What everybody may see: where things are, whether it works, what problems mean, the OpenAPI document. */
import { openApiDocument } from "./openapi.ts";
import { problem, PROBLEM_CODES, PROBLEMS, type ProblemCode } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { type Route, route } from "./route.ts";

/** The same for everybody, until the next deploy. */
const PUBLIC = { "cache-control": "public, max-age=300" } as const;
const META = { rule: "public", tag: "About", method: "GET" } as const;

/** @param routes every other route: the document tells of all */
export function metaRoutes(routes: readonly Route[]): readonly Route[] {
  let document: string | undefined;
  const meta: Route[] = [
    route({
      ...META,
      id: "about",
      path: "/",
      summary: "Where things are",
      answers: [{ status: 200, description: "Addresses." }],
      handle: async () =>
        jsonResponse(
          { name: "Showcaller", api: "/v1", openapi: "/openapi.json", problems: "/problems" },
          200,
          PUBLIC,
        ),
    }),
    route({
      ...META,
      id: "health",
      path: "/healthz",
      summary: "Whether the Worker answers",
      answers: [{ status: 200, description: "It does." }],
      handle: async () => jsonResponse({ status: "ok" }),
    }),
    route({
      ...META,
      id: "listProblems",
      path: "/problems",
      summary: "Every problem that can be answered",
      answers: [{ status: 200, description: "Codes, statuses, titles, and what to do." }],
      handle: async () => jsonResponse({ data: PROBLEM_CODES.map(describe) }, 200, PUBLIC),
    }),
    route({
      ...META,
      id: "getProblem",
      path: "/problems/{code}",
      summary: "What a problem means: its `type` leads here",
      answers: [{ status: 200, description: "Code, status, title, and what to do." }],
      problems: ["not_found"],
      handle: async ({ call }) => {
        const code = PROBLEM_CODES.find((one) => one === call.params["code"]);
        return code === undefined
          ? problem("not_found", "There is no such problem.")
          : jsonResponse(describe(code), 200, PUBLIC);
      },
    }),
    route({
      ...META,
      id: "openApi",
      path: "/openapi.json",
      summary: "This API as an OpenAPI 3.1 document",
      answers: [{ status: 200, description: "The document." }],
      handle: async () => {
        document ??= JSON.stringify(openApiDocument([...routes, ...meta]));
        return new Response(document, { headers: { "content-type": "application/json", ...PUBLIC } });
      },
    }),
  ];
  return meta;
}

function describe(code: ProblemCode): Readonly<Record<string, unknown>> {
  return { code, type: `/problems/${code}`, ...PROBLEMS[code] };
}
