/** Plans: check one, store one under a name, and the schema by which they are written. */
import { type AccessRefusal, actorOf, type KeyIdentity, may, userOfNewRun } from "../access/index.ts";
import {
  adviceOn,
  compilePlan,
  INLINE_NAME,
  notFollowing,
  planJsonSchema,
  startableOf,
  summarise,
  viewFlow,
  type CompiledPlan,
  type PlanCompilation,
} from "../define/index.ts";
import type { Json } from "../kernel/index.ts";
import { digestJson, ok, type Result } from "../platform/index.ts";
import { PlanReport } from "./answer-plans.ts";
import { StoredPlan } from "./answer-workflows.ts";
import { EXAMPLES } from "./examples.ts";
import { checkSurroundings } from "./plan-check.ts";
import { chainFor, foretell, refusalOfStart } from "./policy-check.ts";
import { makerOf } from "./maker.ts";
import { type FieldError, type Problem, problem, problemAt } from "./problems.ts";
import { full } from "./quota-check.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { PutWorkflow, ValidatePlan } from "./request-schemas.ts";
import { type Call, insufficientScope, type Route, route } from "./route.ts";
import { badPlan } from "./start-plan.ts";
import { withoutSecrets } from "./untold.ts";

export const PLAN_ROUTES: readonly Route[] = [
  route({
    id: "validatePlan",
    method: "POST",
    path: "/v1/plans/validate",
    rule: "workflows:read",
    tag: "Plans",
    summary: "Check a plan without a run: everything that is wrong, and what it would do",
    description:
      "Takes what a start with a `plan` takes, so pointers are the same. A plan that cannot run is no problem of this operation: it is answered with 200 and `valid: false`.",
    body: { schema: ValidatePlan, required: true, example: EXAMPLES.plan },
    answers: [{ status: 200, description: "What was found.", schema: PlanReport }],
    problems: ["user_wider"],
    handle: async ({ call, identity, body }) => {
      const user = userOf(identity, body.user);
      if (!user.ok) return ofAccess(user.error);
      const compiled = compilePlan(body.plan, "/plan");
      const steps = compiled.ok ? compiled.plan.graph.steps : compiled.steps;
      const chain = await chainFor(call, identity);
      if (!chain.ok) return chain.error;
      const told = foretell(chain.value, steps);
      const around = await checkSurroundings(call, identity, {
        ...{ steps, chain: chain.value, definitionAt: "/plan", user: user.value },
        name: compiled.ok ? compiled.plan.name : null,
      });
      const own = compiled.ok ? [] : compiled.errors;
      const found = [...told.errors, ...around.denied, ...around.errors, ...around.missing];
      const errors = notFollowing(found, own);
      return jsonResponse(reportOn(compiled, body.input, { ...told, errors, advice: around.advice }));
    },
  }),
  route({
    id: "getPlanSchema",
    method: "GET",
    path: "/v1/plans/schema",
    rule: "public",
    tag: "Plans",
    summary: "JSON Schema of plans",
    answers: [{ status: 200, description: "The schema.", mediaType: "application/schema+json" }],
    handle: async () =>
      new Response(JSON.stringify(planJsonSchema()), {
        headers: { "content-type": "application/schema+json", "cache-control": "public, max-age=300" },
      }),
  }),
  route({
    id: "putWorkflow",
    method: "PUT",
    path: "/v1/workflows/{workflow}",
    rule: "workflows:write",
    also: "A key that is bound to a user cannot have this scope. With `on` `runs:write`, as events start it then; those runs stand under the policies of the key in use as well.",
    tag: "Plans",
    summary: "Store a plan under a name",
    description:
      "The newest content again changes nothing; other content becomes the next version. Runs keep the version that they were started with. A workflow that it starts and that is not there yet, or that your key may not start, is `advice`: it counts at a start.",
    body: { schema: PutWorkflow, required: true, example: EXAMPLES.plan.plan },
    answers: [
      { status: 200, description: "The newest version has this content already.", schema: StoredPlan },
      { status: 201, description: "The new version.", schema: StoredPlan, headers: ["Location"] },
    ],
    problems: ["bad_plan", "policy_denied", "plan_guarded", "name_taken", "quota_exceeded"],
    handle: async ({ call, identity, body }) => {
      const name = call.params["workflow"] ?? "";
      if (name === INLINE_NAME || call.deps.workflows.get(name) !== null)
        return problem("name_taken", `${name} is a workflow of the deployment.`);
      if (body["name"] !== undefined && body["name"] !== name)
        return problemAt(
          "invalid_request",
          { pointer: "/name" },
          `The address says ${name}: leave it out here.`,
        );
      const guard = await guardOf(call, identity, name);
      if (guard !== null) return guard;
      const chain = await chainFor(call, identity);
      if (!chain.ok) return chain.error;
      const refusal = refusalOfStart(chain.value, { workflow: null, at: "" });
      if (refusal !== null) return refusal;
      const { name: _name, ...plan } = body;
      const compiled = compilePlan(plan);
      if (!compiled.ok) return badPlan(compiled.errors);
      if (compiled.plan.on.length > 0 && !may(identity, "runs:write"))
        return insufficientScope(
          "With `on`, events start it: this needs the scope runs:write, which the key does not have.",
          "runs:write",
        );
      const around = await checkSurroundings(call, identity, {
        ...{ steps: compiled.plan.graph.steps, chain: chain.value },
        ...{ definitionAt: "", user: identity.user ?? undefined },
        itself: startableOf(compiled.plan, name, "next"),
        // Where others may append, nobody can tell whose steps they are.
        speaksFor: compiled.plan.open ? undefined : name,
      });
      if (around.errors.length > 0) return badPlan(around.errors);
      // Others may start it who may start those, and by then they may be there.
      const advice = [...around.denied, ...around.missing, ...around.advice];
      return store(call.deps, identity, name, plan, compiled.plan, advice);
    },
  }),
];

/** Whoever changes a plan that is trusted by its name uses what trusts it: that takes the right to say who may. */
async function guardOf({ deps }: Call, identity: KeyIdentity, name: string): Promise<Problem | null> {
  const { tenant } = identity;
  const roles = may(identity, "cloud_roles:write")
    ? []
    : await deps.identity().rolesTrustingPlan(tenant, name);
  const integrations = may(identity, "integrations:write")
    ? []
    : await deps.connections().integrationsTrusting(tenant, name);
  const guards = [
    ...(roles.length === 0 ? [] : [{ what: "a cloud role", scope: "cloud_roles:write" }]),
    ...(integrations.length === 0
      ? []
      : [{ what: "an integration of the tenant's own account", scope: "integrations:write" }]),
  ];
  if (guards.length === 0) return null;
  // Which ones they are is for those who may see them.
  const trusting = guards.map(({ what }) => what).join(" and ");
  const scopes = guards.map(({ scope }) => scope).join(" and ");
  return problem(
    "plan_guarded",
    `The plan ${name} is trusted by ${trusting}: changing it takes ${scopes} as well.`,
  );
}

async function store(
  { plans, now }: Pick<Parameters<Route["answer"]>[0]["deps"], "plans" | "now">,
  identity: KeyIdentity,
  name: string,
  body: Readonly<Record<string, Json>>,
  { description, on }: CompiledPlan,
  advice: readonly FieldError[],
): Promise<Response | Problem> {
  const digest = await digestJson(body);
  const stored = await plans.put(identity.tenant, {
    ...{ name, description, body, digest, on, createdAt: now(), createdBy: actorOf(identity) },
    policies: makerOf(identity).policies,
  });
  if (stored.kind === "too_many") return full(stored.what);
  const answer = {
    ...{ name, version: String(stored.version), created: stored.created },
    ...(advice.length === 0 ? {} : { advice: withoutSecrets(advice) }),
  };
  const at = `/v1/workflows/${name}?version=${stored.version}`;
  return stored.created ? jsonResponse(answer, 201, { location: at }) : jsonResponse(answer);
}

type Told = ReturnType<typeof foretell> & { readonly advice: readonly FieldError[] };

function reportOn(compiled: PlanCompilation, input: Json | undefined, policy: Told): unknown {
  if (!compiled.ok) {
    const { errors, advice } = compiled;
    return {
      valid: false,
      errors: withoutSecrets([...errors, ...policy.errors]),
      advice: withoutSecrets([...advice, ...policy.advice]),
      summary: null,
    };
  }
  const { plan } = compiled;
  const parsed = input === undefined ? null : plan.parseInput(input);
  const errors = [...(parsed === null || parsed.ok ? [] : parsed.errors), ...policy.errors];
  const advice = [
    ...adviceOn(plan.graph).map((one) => ({ ...one, pointer: `/plan${one.pointer}` })),
    ...plan.advice,
    ...policy.advice,
  ];
  const flow = plan.flow === null ? undefined : viewFlow(plan.flow);
  const told = { errors: withoutSecrets(errors), advice: withoutSecrets(advice) };
  return { valid: errors.length === 0, ...told, summary: summarise(plan.graph, policy.judge, flow) };
}

/** As a start says it; not saying it leaves it open here. */
function userOf(
  identity: KeyIdentity,
  named: string | null | undefined,
): Result<string | null | undefined, AccessRefusal> {
  if (identity.user === null && (named === undefined || named === null)) return ok(named);
  return userOfNewRun(identity, named ?? undefined);
}
