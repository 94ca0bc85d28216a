/** The OpenAPI 3.1 document, made from the table of routes and the schemas that the door checks with. */
import * as z from "zod";
import { SCOPES } from "../access/index.ts";
import { planSchema, stepsSchema } from "../define/index.ts";
import { PROBLEMS, type ProblemCode } from "./problems.ts";
import type { AnswerHeader, AnswerSpec, RequestHeader, RouteInfo } from "./route.ts";
import * as answers from "./answer-schemas.ts";
import * as requests from "./request-schemas.ts";
import { type Named, named } from "./schema.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const SCHEMA_ROOT = "#/components/schemas/";
const PROBLEM_JSON = "application/problem+json";

const REQUEST_HEADERS: Readonly<Record<RequestHeader, string>> = {
  Prefer: "`wait=N`: wait up to N seconds. `respond-async`: answer 202 at once (RFC 7240).",
  "Idempotency-Key":
    "The same key with the same body gives the same result. Up to 255 visible characters, in double quotes or bare.",
  traceparent: "W3C Trace Context: the run becomes part of this trace.",
  "If-Match": '`"g-<revision>"`: only at this revision of the graph.',
  "If-None-Match": "An `ETag` of the run: 304 if nothing is new.",
  "Last-Event-ID": "Number of the last event that was seen. Wins over `after`.",
};

const ANSWER_HEADERS: Readonly<Record<AnswerHeader, string>> = {
  ETag: 'Of a run: `"r-<seq>"`. Of an append: `"g-<revision>"`.',
  Location: "Where the result is.",
  "Retry-After": "Seconds after which to ask again.",
  "Preference-Applied": "What of `Prefer` was honoured.",
  "Idempotent-Replayed": "`true`: the run was there already.",
};

const PARAMETERS: Readonly<Record<string, string>> = {
  run: "Id of the run.",
  step: "Name of the step.",
  name: "Name of the signal.",
  event: "Name of the events.",
  event_id: "Id of the event, within its name.",
  workflow: "Name of the workflow.",
  key: "Id of the API key.",
  tenant: "Id of the tenant.",
  code: "Code of the problem.",
  integration: "Name of the integration.",
  session: "Id of the connect session.",
  connection: "Id of the connection.",
  user: "The end user, by your own id.",
  issuer: "Id of the tenant whose issuer it is.",
  kid: "Name of the key.",
  schedule: "Name of the schedule.",
  endpoint: "Id of the endpoint.",
  message: "Id of the message.",
};

export function openApiDocument(routes: readonly RouteInfo[]): JsonObject {
  return {
    openapi: "3.1.0",
    info: {
      title: "Showcaller",
      version: "1",
      summary: "Durable, retry-safe, authenticated workflows for AI agents.",
      description:
        "All times are milliseconds since 1970, UTC. Every failure is a problem (RFC 9457) with a stable `code`.",
    },
    servers: [{ url: "/" }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths: pathsOf(routes),
    components: {
      schemas: componentSchemas(),
      securitySchemes: {
        apiKey: {
          type: "http",
          scheme: "bearer",
          description: `An API key, \`sck_...\`. Scopes: ${Object.entries(SCOPES)
            .map(([scope, meaning]) => `\`${scope}\` ${meaning}`)
            .join(" ")}`,
        },
        rootKey: { type: "http", scheme: "bearer", description: "The root key of the deployment." },
      },
    },
  };
}

function pathsOf(routes: readonly RouteInfo[]): JsonObject {
  const paths = new Map<string, Record<string, JsonObject>>();
  for (const one of routes) {
    const path = paths.get(one.path) ?? {};
    path[one.method.toLowerCase()] = operation(one);
    paths.set(one.path, path);
  }
  return Object.fromEntries(paths);
}

function operation(one: RouteInfo): JsonObject {
  const { id, tag, summary, rule, body } = one;
  const parameters = [...pathParameters(one.path), ...queryParameters(one), ...headerParameters(one)];
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: descriptionOf(one),
    security: rule === "public" ? [] : [{ [rule === "root" ? "rootKey" : "apiKey"]: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: body.required,
            content: {
              "application/json": { schema: { $ref: SCHEMA_ROOT + body.schema.name }, example: body.example },
            },
          },
        }),
    responses: responsesOf(one),
  };
}

function descriptionOf({ rule, also, description }: RouteInfo): string {
  const who = {
    public: "Open to everybody.",
    root: "Needs the root key.",
    "any key": "Needs an API key.",
  }[rule as string];
  return [description, who ?? `Needs the scope \`${rule}\`.`, also]
    .filter((part) => part !== undefined)
    .join(" ");
}

function pathParameters(path: string): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    description: PARAMETERS[name] ?? "",
    schema: { type: "string" },
  }));
}

function queryParameters({ query }: RouteInfo): JsonObject[] {
  if (query === undefined) return [];
  const { properties = {} } = z.toJSONSchema(query(), { target: "draft-2020-12", io: "output" });
  return Object.entries(properties).map(([name, schema]) => {
    const { description, ...rest } = schema as JsonObject;
    return {
      name,
      in: "query",
      required: false,
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function headerParameters({ headers = [] }: RouteInfo): JsonObject[] {
  return headers.map((name) => ({
    name,
    in: "header",
    required: false,
    description: REQUEST_HEADERS[name],
    schema: { type: "string" },
  }));
}

function responsesOf(one: RouteInfo): JsonObject {
  const byStatus = new Map<string, JsonObject>();
  for (const answer of one.answers) {
    const status = String(answer.status);
    const before = byStatus.get(status);
    byStatus.set(status, before === undefined ? responseOf(answer) : merge(before, responseOf(answer)));
  }
  for (const [status, codes] of groupByStatus(problemsOf(one))) {
    byStatus.set(String(status), {
      description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(" "),
      content: { [PROBLEM_JSON]: { schema: { $ref: SCHEMA_ROOT + answers.ProblemDetails.name } } },
    });
  }
  return Object.fromEntries(byStatus);
}

function responseOf({
  description,
  schema,
  mediaType = "application/json",
  headers = [],
}: AnswerSpec): JsonObject {
  const content =
    schema !== undefined
      ? { [mediaType]: { schema: { $ref: SCHEMA_ROOT + schema.name } } }
      : mediaType === "application/json"
        ? undefined
        : { [mediaType]: { schema: { type: "string" } } };
  return {
    description,
    ...(content === undefined ? {} : { content }),
    ...(headers.length === 0
      ? {}
      : {
          headers: Object.fromEntries(
            headers.map((name) => [name, { description: ANSWER_HEADERS[name], schema: { type: "string" } }]),
          ),
        }),
  };
}

/** Two answers of one status: another media type of the same. */
function merge(a: JsonObject, b: JsonObject): JsonObject {
  return {
    description: `${String(a["description"])} ${String(b["description"])}`,
    content: { ...(a["content"] as JsonObject | undefined), ...(b["content"] as JsonObject | undefined) },
    ...(a["headers"] === undefined ? {} : { headers: a["headers"] }),
  };
}

/** What a route can answer by what it is, and what it says of itself. */
export function problemsOf({ rule, method, body, query, path, problems = [] }: RouteInfo): ProblemCode[] {
  const codes = new Set<ProblemCode>(["internal_error", "unavailable", ...problems]);
  if (rule !== "public")
    for (const code of [
      "credentials_missing",
      "invalid_key",
      "key_expired",
      "key_revoked",
      "invalid_token",
      "insufficient_scope",
    ] as const)
      codes.add(code);
  const takesBody = method === "POST" || method === "PUT" || method === "PATCH";
  if (takesBody)
    for (const code of ["malformed_json", "body_too_large", "unsupported_media_type"] as const)
      codes.add(code);
  if (body !== undefined || query !== undefined || path.includes("{") || takesBody)
    codes.add("invalid_request");
  return [...codes].toSorted((a, b) => PROBLEMS[a].status - PROBLEMS[b].status);
}

function groupByStatus(codes: readonly ProblemCode[]): Map<number, ProblemCode[]> {
  const groups = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const { status } = PROBLEMS[code];
    groups.set(status, [...(groups.get(status) ?? []), code]);
  }
  return groups;
}

/** Every named schema: what routes name, and what other schemas refer to. */
const SCHEMAS = (): Named[] => [
  named(requests.STEPS_NAME, stepsSchema),
  named(requests.PLAN_NAME, planSchema),
  ...Object.values({ ...requests, ...answers }).filter(
    (one): one is Extract<typeof one, Named> => typeof one === "object" && "schema" in one,
  ),
];

/** What zod writes for a schema that contains itself. `z.json()` is the only such one here. */
const SELF_REFERENCE = /"#\/components\/schemas\/__shared#[^"]*"/g;
const ANY_JSON = { name: "Json", schema: { description: "Any JSON value." } } as const;

function componentSchemas(): JsonObject {
  const registry = z.registry<{ id: string }>();
  for (const { name, schema } of SCHEMAS()) registry.add(schema(), { id: name });
  const { schemas } = z.toJSONSchema(registry, {
    target: "draft-2020-12",
    io: "input",
    uri: (id) => SCHEMA_ROOT + id,
  });
  const text = JSON.stringify(schemas).replace(SELF_REFERENCE, JSON.stringify(SCHEMA_ROOT + ANY_JSON.name));
  const { __shared: _, ...named } = JSON.parse(text) as Record<string, JsonObject>;
  return {
    ...Object.fromEntries(
      Object.entries(named).map(([name, { $schema: _schema, $id: _id, ...schema }]) => [name, schema]),
    ),
    [ANY_JSON.name]: ANY_JSON.schema,
  };
}
