/**
 * The HTTP API as one Hono app. What happens to every request stands here; what an operation is stands in its route.
 *
 * - A1 every answer carries `x-request-id` and the security headers; what does not say otherwise is not stored.
 * - A2 every failure is a problem; what was thrown is logged and never shown.
 * - A3 who asks is proved before anything of the request is read; whether they may is judged before its body is read.
 */
import { Hono } from "hono";
import { authenticate, type Identity, may } from "../access/index.ts";
import { classifyFault, randomId } from "../platform/index.ts";
import type { Refusal } from "../quotas/index.ts";
import { mountApprovalPage } from "./approval-page.ts";
import { receiveDelivery } from "./hook-door.ts";
import type { ApiDeps } from "./ports.ts";
import { isProblem, type Problem, problem, problemResponse } from "./problems.ts";
import { ofQuota } from "./quota-check.ts";
import { ofAuth, RETRY_AFTER_S } from "./replies.ts";
import type { Call, Route } from "./route.ts";
import { ACCEPT_ROUTES } from "./routes-accept.ts";
import { APPROVAL_ROUTES } from "./routes-approvals.ts";
import { AUDIT_ROUTES } from "./routes-audit.ts";
import { CLOUD_ROLE_ROUTES } from "./routes-cloud-roles.ts";
import { CONNECTION_ROUTES } from "./routes-connections.ts";
import { DELIVERY_ROUTES } from "./routes-deliveries.ts";
import { DIRECTORY_ROUTES } from "./routes-directory.ts";
import { ENDPOINT_ROUTES } from "./routes-endpoints.ts";
import { ERASURE_ROUTES } from "./routes-erasures.ts";
import { EVENT_ROUTES } from "./routes-events.ts";
import { RUN_EXPORT_ROUTES } from "./routes-export-run.ts";
import { FEED_ROUTES } from "./routes-feed.ts";
import { HEALTH_ROUTES } from "./routes-health.ts";
import { HOOK_ROUTES } from "./routes-hooks.ts";
import { INTEGRATION_ROUTES } from "./routes-integrations.ts";
import { ISSUER_ROUTES } from "./routes-issuer.ts";
import { KEY_ROUTES } from "./routes-keys.ts";
import { TENANT_EXPORT_ROUTES } from "./routes-export-tenant.ts";
import { TENANT_ROUTES } from "./routes-tenants.ts";
import { metaRoutes } from "./routes-meta.ts";
import { METRICS_ROUTES } from "./routes-metrics.ts";
import { OPEN_ROUTES } from "./routes-open.ts";
import { POSTED_EVENT_ROUTES } from "./routes-posted-events.ts";
import { POLICY_ROUTES } from "./routes-policy.ts";
import { PLAN_ROUTES } from "./routes-plans.ts";
import { RUN_ROUTES } from "./routes-runs.ts";
import { RETENTION_ROUTES } from "./routes-retention.ts";
import { SCHEDULE_ROUTES } from "./routes-schedules.ts";
import { SESSION_ROUTES } from "./routes-sessions.ts";
import { START_ROUTES } from "./routes-start.ts";
import { STEERING_ROUTES } from "./routes-steering.ts";
import { TRUSTED_ISSUER_ROUTES } from "./routes-trusted-issuers.ts";
import { VAULT_ROUTES } from "./routes-vault.ts";
import { WORKFLOW_ROUTES } from "./routes-workflows.ts";
import { QUOTA_ROUTES } from "./routes-quotas.ts";
import { QUEUE_ROUTES } from "./routes-queues.ts";

const API_ROUTES: readonly Route[] = [
  ...START_ROUTES,
  // Before a run by its id, which they would be taken for.
  ...DIRECTORY_ROUTES,
  ...FEED_ROUTES,
  ...RUN_ROUTES,
  ...RUN_EXPORT_ROUTES,
  ...EVENT_ROUTES,
  ...STEERING_ROUTES,
  ...ACCEPT_ROUTES,
  ...OPEN_ROUTES,
  ...APPROVAL_ROUTES,
  ...POSTED_EVENT_ROUTES,
  ...WORKFLOW_ROUTES,
  ...QUEUE_ROUTES,
  ...PLAN_ROUTES,
  ...KEY_ROUTES,
  ...TENANT_ROUTES,
  ...TRUSTED_ISSUER_ROUTES,
  ...POLICY_ROUTES,
  ...INTEGRATION_ROUTES,
  ...SESSION_ROUTES,
  ...CONNECTION_ROUTES,
  ...CLOUD_ROLE_ROUTES,
  ...HOOK_ROUTES,
  ...DELIVERY_ROUTES,
  ...SCHEDULE_ROUTES,
  ...ENDPOINT_ROUTES,
  ...RETENTION_ROUTES,
  ...TENANT_EXPORT_ROUTES,
  ...QUOTA_ROUTES,
  ...AUDIT_ROUTES,
  ...ERASURE_ROUTES,
  ...VAULT_ROUTES,
  ...ISSUER_ROUTES,
  ...HEALTH_ROUTES,
  ...METRICS_ROUTES,
];

/** Every route of the API, each with its rule. */
export const ROUTES: readonly Route[] = [...API_ROUTES, ...metaRoutes(API_ROUTES)];

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** The API over its ports. Other doors of the Worker can be mounted beside it: what no route knows falls to `notFound`. */
export function createApi(deps: ApiDeps): Hono {
  const app = new Hono();
  for (const route of ROUTES) {
    const path = route.path.replace(/\{(\w+)\}/g, ":$1");
    app.on(route.method, path, (c) => serve(deps, route, c.req.raw, c.req.param()));
  }
  mountApprovalPage(app, deps);
  app.on(["GET", "POST"], ["/connect/*", "/oauth/callback/*", "/grants", "/grants/*"], async (c, next) => {
    const page = await deps.pages(c.req.raw);
    if (page === null) await next();
    return page ?? undefined;
  });
  app.post("/hooks/:tenant/:name", (c) => serveDelivery(deps, c.req.raw, c.req.param()));
  app.notFound((c) => serve(deps, null, c.req.raw, {}));
  return app;
}

async function serve(
  deps: ApiDeps,
  route: Route | null,
  request: Request,
  params: Readonly<Record<string, string>>,
): Promise<Response> {
  const requestId = randomId("req");
  const path = new URL(request.url).pathname;
  const answer = await answerOf(route, { deps, request, path, requestId, params });
  return finished(answer, path, requestId);
}

async function serveDelivery(
  deps: ApiDeps,
  request: Request,
  params: Readonly<Record<string, string>>,
): Promise<Response> {
  const answer = await receiveDelivery(deps, request, params);
  return answer === null
    ? serve(deps, null, request, {})
    : finished(answer, new URL(request.url).pathname, randomId("req"));
}

/** A1. */
function finished(answer: Response | Problem, path: string, requestId: string): Response {
  const response = isProblem(answer) ? problemResponse(answer, { path, requestId }) : answer;
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value);
  if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
  response.headers.set("x-request-id", requestId);
  return response;
}

async function answerOf(route: Route | null, call: Call): Promise<Response | Problem> {
  if (route === null) return nothingHere(call);
  try {
    if (route.rule === "public") return await route.answer(call, null);
    const { deps, request, path } = call;
    const purpose = `${request.method} ${path}`;
    const authorization = request.headers.get("authorization");
    const identity = await authenticate(deps.access, { authorization, purpose }, deps.now());
    if (!identity.ok) return ofAuth(identity.error);
    const tooMany = await refusalOfMany(route, deps, identity.value);
    return tooMany === null ? await route.answer(call, identity.value) : ofQuota(tooMany);
  } catch (error) {
    return thrown(call, route, error);
  }
}

/** Null: the tenant may ask as much. The operator always may. */
async function refusalOfMany(
  { spared }: Route,
  { quotas: { gate } }: ApiDeps,
  identity: Identity,
): Promise<Refusal | null> {
  if (identity.kind === "root") return null;
  const { tenant } = identity;
  const tooMany = await gate.request(tenant);
  if (tooMany === null || spared === undefined || !may(identity, spared)) return tooMany;
  return gate.spare(tenant) ? null : tooMany;
}

/** Made once, and not before somebody asks for nothing: whoever floods with forged deliveries is answered by it. */
let addresses: readonly (readonly [RegExp, Route["method"]])[] | undefined;

function nothingHere({ path, request }: Call): Problem {
  addresses ??= ROUTES.map((route) => [patternOf(route), route.method]);
  const methods = addresses.filter(([pattern]) => pattern.test(path)).map(([, method]) => method);
  if (methods.length === 0) return problem("not_found", "There is nothing at this address.");
  const allowed = methods.flatMap((method) => (method === "GET" ? [method, "HEAD"] : [method]));
  return problem("method_not_allowed", `${request.method} is not a method of this address.`, {
    headers: { allow: allowed.join(", ") },
  });
}

function patternOf({ path }: Route): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`);
}

/** A2. A fault of the platform passes; anything else is a bug. */
function thrown({ deps, requestId }: Call, route: Route, error: unknown): Problem {
  const fault = classifyFault(error);
  deps.log.error("api.failed", { requestId, route: route.id, fault: fault?.kind ?? "none", error });
  if (fault === null || fault.kind === "poison")
    return problem("internal_error", "The request could not be handled.");
  return problem("unavailable", "The platform could not handle the request just now.", {
    headers: { "retry-after": String(RETRY_AFTER_S) },
  });
}
