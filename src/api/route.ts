/**
 * What an operation is: one value that drives routing, access, checking and the OpenAPI document, so that none of them
 * can say something else than the others.
 */
import type * as z from "zod";
import { type Identity, type KeyIdentity, may, type RootIdentity, type Scope } from "../access/index.ts";
import { isRunId, ok, type Result, err } from "../platform/index.ts";
import { readJsonBody } from "./body.ts";
import type { ApiDeps } from "./ports.ts";
import { problem, problemAt, type Problem, type ProblemCode } from "./problems.ts";
import { nameSchema, type Named } from "./schema.ts";
import { check } from "./validate.ts";

/** Who may use a route at all: the holder of a scope, the operator, any key, or everybody. */
export type Rule = Scope | "root" | "any key" | "public";

type IdentityFor<R extends Rule> = R extends "public" ? null : R extends "root" ? RootIdentity : KeyIdentity;

/** One request on its way. */
export interface Call {
  readonly deps: ApiDeps;
  readonly request: Request;
  readonly path: string;
  readonly requestId: string;
  /** Path parameters, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

export interface AnswerSpec {
  readonly status: 200 | 201 | 202 | 204 | 304;
  readonly description: string;
  readonly schema?: Named;
  /** Other than `application/json`. */
  readonly mediaType?: string;
  readonly headers?: readonly AnswerHeader[];
}

export type AnswerHeader = "ETag" | "Location" | "Retry-After" | "Preference-Applied" | "Idempotent-Replayed";
export type RequestHeader =
  | "Prefer"
  | "Idempotency-Key"
  | "traceparent"
  | "If-Match"
  | "If-None-Match"
  | "Last-Event-ID";

/** What a route says of itself. */
export interface RouteInfo {
  /** `operationId`, and later the name of a command or tool. */
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With `{name}` for parameters. */
  readonly path: string;
  readonly rule: Rule;
  /** What is asked beyond the rule, in words. */
  readonly also?: string;
  /** It ends a flood: whoever has this scope gets through the quota of requests, a few times in a second. */
  readonly spared?: Scope;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly headers?: readonly RequestHeader[];
  readonly query?: () => z.ZodObject;
  readonly body?: { readonly schema: Named; readonly required: boolean; readonly example: unknown };
  readonly answers: readonly AnswerSpec[];
  /** Beyond those that every route of its kind can answer. */
  readonly problems?: readonly ProblemCode[];
}

export interface Route extends RouteInfo {
  /** Checks everything that came, and answers. `identity` has been proved, not yet judged. */
  readonly answer: (call: Call, identity: Identity | null) => Promise<Response | Problem>;
}

/** Values of path parameters that are names; all others are ids, and an id that cannot exist is not found. */
const NAMES = new Set(["step", "name", "workflow", "tenant", "integration", "role", "schedule"]);

interface Handled<R extends Rule, Q, B> {
  readonly call: Call;
  readonly identity: IdentityFor<R>;
  readonly query: Q;
  readonly body: B;
}

/** Puts a route together. The types of query and body reach the handler; the table sees only `Route`. */
export function route<R extends Rule, Q extends z.ZodObject = z.ZodObject, B = undefined>(
  info: Omit<RouteInfo, "rule" | "query" | "body"> & {
    readonly rule: R;
    readonly query?: () => Q;
    readonly body?: { readonly schema: Named<B>; readonly required: boolean; readonly example: NoInfer<B> };
    readonly handle: (handled: Handled<R, z.output<Q>, B>) => Promise<Response | Problem>;
  },
): Route {
  const { handle, ...rest } = info;
  const answer: Route["answer"] = async (call, identity) => {
    const judged = judge(info.rule, identity);
    if (!judged.ok) return judged.error;
    const wrong = checkParams(call.params);
    if (wrong !== null) return wrong;
    const query = checkQuery(new URL(call.request.url).searchParams, info.query?.());
    if (!query.ok) return query.error;
    const body = await checkBody(call.request, info.body);
    if (!body.ok) return body.error;
    // `judge`, `checkQuery` and `checkBody` return what the rule and the schemas of this very route say.
    return handle({
      call,
      identity: judged.value as IdentityFor<R>,
      query: query.value as z.output<Q>,
      body: body.value as B,
    });
  };
  // The schemas are the same objects; only their types are given up.
  return { ...(rest as unknown as RouteInfo), answer };
}

function judge(rule: Rule, identity: Identity | null): Result<Identity | null, Problem> {
  if (rule === "public") return ok(null);
  if (identity === null) throw new TypeError("A route with a rule was reached without an identity.");
  if (rule === "root") {
    if (identity.kind === "root") return ok(identity);
    return err(insufficientScope("Only the root key can do this.", null));
  }
  if (identity.kind === "root") {
    const hint = "Make an admin key with `POST /v1/tenants/{tenant}/keys` and use that one.";
    return err({
      ...insufficientScope(
        "The root key makes tenants and admin keys and keeps the vault. It does not do this.",
        null,
      ),
      hint,
    });
  }
  if (rule === "any key" || may(identity, rule)) return ok(identity);
  return err(insufficientScope(`This needs the scope ${rule}, which the key does not have.`, rule));
}

/** RFC 6750 section 3.1. */
export function insufficientScope(detail: string, scope: Scope | null): Problem {
  const needed = scope === null ? "" : `, scope="${scope}"`;
  return problem("insufficient_scope", detail, {
    headers: { "www-authenticate": `Bearer realm="showcaller", error="insufficient_scope"${needed}` },
  });
}

function checkParams(params: Readonly<Record<string, string>>): Problem | null {
  for (const [parameter, value] of Object.entries(params)) {
    if (parameter === "run" && !isRunId(value)) return problem("not_found", "There is no such run.");
    if (!NAMES.has(parameter)) continue;
    const name = nameSchema().safeParse(value);
    if (!name.success)
      return problemAt(
        "invalid_request",
        { parameter },
        name.error.issues[0]?.message ?? "It is not a name.",
      );
  }
  return null;
}

function checkQuery(search: URLSearchParams, schema: z.ZodObject | undefined): Result<unknown, Problem> {
  const twice = [...search.keys()].find((key, index, all) => all.indexOf(key) !== index);
  if (twice !== undefined)
    return err(problemAt("invalid_request", { parameter: twice }, "The parameter is there twice."));
  if (schema !== undefined) return check(schema, Object.fromEntries(search), "parameter");
  const stray = [...search.keys()][0];
  return stray === undefined
    ? ok({})
    : err(problemAt("invalid_request", { parameter: stray }, "There is no such parameter here."));
}

async function checkBody<B>(
  request: Request,
  body: { readonly schema: Named<B>; readonly required: boolean } | undefined,
): Promise<Result<unknown, Problem>> {
  if (request.method === "GET" || request.method === "HEAD") return ok(undefined);
  const read = await readJsonBody(request);
  if (!read.ok) return read;
  if (body === undefined) {
    // An empty object is what many clients send for nothing.
    const empty = read.value === undefined || JSON.stringify(read.value) === "{}";
    return empty
      ? ok(undefined)
      : err(problemAt("invalid_request", { pointer: "" }, "This operation takes no body."));
  }
  if (read.value === undefined && body.required)
    return err(problemAt("invalid_request", { pointer: "" }, "The body is missing."));
  return check(body.schema.schema(), read.value ?? {}, "body");
}
