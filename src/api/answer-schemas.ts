/**
 * What goes out, one file for each concept: all of it together, for the OpenAPI document and for the tests, which hold
 * every answer against these, field by field.
 */
export * from "./answer-approvals.ts";
export * from "./answer-connect-link.ts";
export * from "./answer-connections.ts";
export * from "./answer-directory.ts";
export * from "./answer-endpoints.ts";
export * from "./answer-erasures.ts";
export * from "./answer-events.ts";
export * from "./answer-audit.ts";
export * from "./answer-cloud-roles.ts";
export * from "./answer-hooks.ts";
export * from "./answer-health.ts";
export * from "./answer-issuer.ts";
export * from "./answer-explain.ts";
export * from "./answer-keys.ts";
export * from "./answer-tenants.ts";
export * from "./answer-plans.ts";
export * from "./answer-policy.ts";
export * from "./answer-quotas.ts";
export * from "./answer-posted-events.ts";
export * from "./answer-problem.ts";
export * from "./answer-queues.ts";
export * from "./answer-runs.ts";
export * from "./answer-schedules.ts";
export * from "./answer-trusted-issuers.ts";
export * from "./answer-vault.ts";
export * from "./answer-workflows.ts";
