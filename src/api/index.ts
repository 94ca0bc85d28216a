/** The door of the API: the Hono app, and the table of routes from which other doors can be made. */
export { createApi, ROUTES } from "./app.ts";
export { createLinks } from "./links.ts";
export { createMetrics, type Metrics } from "./metrics.ts";
export { judgeSteps } from "./policy-check.ts";
export { openApiDocument } from "./openapi.ts";
export type { ApiDeps, QueuesPort, QuotasPort } from "./ports.ts";
export { PROBLEM_CODES, type ProblemCode, PROBLEMS } from "./problems.ts";
export type { Route, RouteInfo, Rule } from "./route.ts";
