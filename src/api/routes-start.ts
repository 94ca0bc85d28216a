/** Starting a run. */
import { actorOf, type KeyIdentity, userOfNewRun } from "../access/index.ts";
import {
  digestJson,
  err,
  formatTraceparent,
  ok,
  parseTraceparent,
  randomId,
  type Result,
} from "../platform/index.ts";
import type { StartPermit } from "../quotas/index.ts";
import type { RunReport, StartedRun, StartRequest } from "../run/index.ts";
import { LONG_RUNNING } from "./answers.ts";
import { EXAMPLES } from "./examples.ts";
import { sightOf } from "./outputs.ts";
import { type Checked, checkSurroundings, refusalOf, type Surroundings } from "./plan-check.ts";
import { chainFor, judgeWish, refusalOfStart, type Wish } from "./policy-check.ts";
import { type FieldError, type Problem, problem } from "./problems.ts";
import { refusalOfMissing } from "./required-connections.ts";
import { startPermitFor } from "./quota-check.ts";
import { isOver, longRunning, ofAccess } from "./replies.ts";
import { MAX_IDEMPOTENCY_KEY_CHARS, parseIdempotencyKey } from "./request-headers.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, preferencesOf, viewerOf, waitForEndOf } from "./runs-of.ts";
import { StartRun } from "./request-schemas.ts";
import { type BodyOf } from "./schema.ts";
import { badPlan, badSteps, planOf } from "./start-plan.ts";

export const START_ROUTES: readonly Route[] = [
  route({
    id: "startRun",
    method: "POST",
    path: "/v1/runs",
    rule: "runs:write",
    also: "Naming a `user` needs `runs:act_as`. A run that a key bound to a user starts is that user's.",
    tag: "Runs",
    summary: "Start a run",
    description:
      "With an `Idempotency-Key` the same body gives the same run, however often it is sent. With `Prefer: wait=N` the answer waits for the run's end, or until an open run has nothing to do, up to N seconds and 60 at most. A key without `runs:read` is told the run's id alone, at first and again.",
    headers: ["Idempotency-Key", "Prefer", "traceparent"],
    body: { schema: StartRun, required: true, example: EXAMPLES.start },
    answers: LONG_RUNNING.map((answer) => ({
      ...answer,
      headers: [...(answer.headers ?? []), "Idempotent-Replayed"],
    })),
    problems: [
      "invalid_header",
      "user_wider",
      "policy_denied",
      "connections_missing",
      "unknown_workflow",
      "invalid_input",
      "bad_graph",
      "bad_plan",
      "idempotency_mismatch",
      "run_deleted",
      "run_erased",
      "user_being_erased",
      "unavailable",
    ],
    handle: ({ call, identity, body }) => start(call, identity, body),
  }),
];

async function start(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof StartRun>,
): Promise<Response | Problem> {
  const { deps, request } = call;
  const key = idempotencyKeyOf(call);
  if (!key.ok) return key.error;
  const user = userOfNewRun(identity, body.user);
  if (!user.ok) return ofAccess(user.error);
  const id = await runIdFor(call, identity, key.value);
  const bodyDigest = await digestJson(body);
  const permit = await startPermitFor(call, identity.tenant);
  const planned = permit.ok ? await plannedStart(call, identity, body, user.value) : permit;
  if (!planned.ok) {
    if (permit.ok) permit.value.giveBack();
    // A deploy may have taken the workflow away, a policy may have changed: what was started before is there all the same.
    const before =
      key.value === null
        ? null
        : await deps.runs(identity.tenant, id).startedBefore(identity.tenant, bodyDigest);
    return before === null || !before.ok
      ? planned.error
      : answerStart(call, identity, before.value, NO_PERMIT);
  }
  if (!permit.ok) return permit.error;
  const trace = parseTraceparent(request.headers.get("traceparent") ?? "");
  const wanted: StartRequest = {
    ...planned.value,
    tenant: identity.tenant,
    id,
    user: user.value,
    startedBy: actorOf(identity),
    tags: body.tags ?? [],
    traceparent: trace === null ? null : formatTraceparent(trace),
    bodyDigest,
  };
  const started = await ask(call, identity, (run) => run.start(wanted), true, id);
  if (started.ok) return answerStart(call, identity, started.value, permit.value);
  // Where it is not known what became of it, the slot stays taken until the directory knows better.
  if (started.error.problem !== "unavailable") permit.value.giveBack();
  return started.error;
}

const NO_PERMIT: StartPermit = { giveBack: () => undefined, settled: () => undefined };

type Planned = Pick<StartRequest, "workflow" | "version" | "graph" | "input" | "open" | "policies" | "flow">;

/** What will run, as far as the policies allow it. */
export async function plannedStart(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof StartRun>,
  user: string | null,
): Promise<Result<Planned, Problem>> {
  const { workflows, plans } = call.deps;
  const chain = await chainFor(call, identity);
  if (!chain.ok) return chain;
  const place = placeOf(body);
  const denial = refusalOfStart(chain.value, place);
  if (denial !== null) return err(denial);
  const plan = await planOf({ workflows, plans, tenant: identity.tenant }, body, user);
  const flawed = plan.ok ? null : plan.error.flawed;
  if (!plan.ok && flawed === undefined) return err(plan.error.problem);
  const steps = plan.ok ? plan.value.graph.steps : (flawed?.steps ?? []);
  const judged = judgeWish(chain.value, identity, { ...place, steps });
  // Where others may append, nobody can tell whose steps they are.
  const speaksFor = plan.ok && plan.value.open ? undefined : body.workflow;
  const around = await surroundingsOf(call, identity, body, { steps, user, chain: chain.value, speaksFor });
  const found = { own: flawed?.errors ?? [], around, policy: judged.errors };
  const refusal = refusalOf(
    found,
    body.workflow === undefined && body.plan === undefined ? badSteps : badPlan,
  );
  if (refusal !== null) return err(refusal);
  if (!plan.ok) return err(plan.error.problem);
  if (body.connections === "require") {
    const missing = await refusalOfMissing(call, identity, { ...plan.value, user });
    if (missing !== null) return err(missing);
  }
  const { steps: marked, policies } = judged;
  return ok({ ...plan.value, graph: { ...plan.value.graph, steps: marked }, policies });
}

/** What speaks against what came as JSON, now or when it was stored. */
async function surroundingsOf(
  call: Call,
  identity: KeyIdentity,
  { workflow, plan }: BodyOf<typeof StartRun>,
  run: Pick<Checked, "steps" | "user" | "chain" | "speaksFor">,
): Promise<Surroundings> {
  // What the deployment brings is the deployment's to see to.
  if (workflow !== undefined && call.deps.workflows.get(workflow) !== null)
    return { errors: [], missing: [], denied: [], advice: [] };
  const at = plan === undefined ? "" : "/plan";
  const around = await checkSurroundings(call, identity, { ...run, definitionAt: at });
  if (workflow === undefined) return around;
  const placed = (findings: readonly FieldError[]): readonly FieldError[] =>
    findings.map((one) => ofStored(workflow, one));
  const { errors, missing, denied, advice } = around;
  return {
    ...{ errors: placed(errors), missing: placed(missing) },
    ...{ denied: placed(denied), advice: placed(advice) },
  };
}

/** Its steps are not in this body. */
function ofStored(workflow: string, { pointer = "", ...one }: FieldError): FieldError {
  return { ...one, pointer: "/workflow", detail: `At ${pointer} of ${workflow}: ${one.detail}` };
}

async function answerStart(
  call: Call,
  identity: KeyIdentity,
  { created, report, view: first }: StartedRun,
  permit: StartPermit,
): Promise<Response | Problem> {
  if (!created) permit.giveBack();
  // Beside the answer: the run is known even if its own word does not get through.
  if (report !== undefined) call.deps.access.defer(register(call, report, permit));
  const preferences = preferencesOf(call);
  let view = first;
  const waitMs = waitForEndOf(identity, preferences);
  if (waitMs > 0 && !isOver(view)) {
    const waited = await ask(
      call,
      identity,
      (run) => run.view(viewerOf(identity), { waitMs, orIdle: true }),
      true,
      view.id,
    );
    if (!waited.ok) return waited.error;
    view = waited.value;
  }
  return longRunning(
    identity,
    sightOf(identity).run(view),
    preferences,
    created ? {} : { "idempotent-replayed": "true" },
  );
}

/** Where in the body that stands which policies judge. */
function placeOf({ workflow, plan }: BodyOf<typeof StartRun>): Omit<Wish, "steps"> {
  if (workflow !== undefined) return { workflow, at: "/workflow", definitionAt: null };
  const at = plan === undefined ? "" : "/plan";
  return { workflow: null, at, definitionAt: at };
}

async function register({ deps, requestId }: Call, report: RunReport, permit: StartPermit): Promise<void> {
  try {
    await deps.directory.report(report);
    permit.settled();
  } catch (error) {
    deps.log.warn("run_not_registered", { requestId, tenant: report.tenant, run: report.id, error });
  }
}

/**
 * The source of a keyed start is the user that the API key is bound to, not the API key: a start that is sent again
 * after the keys were rotated must find its run.
 */
async function runIdFor(call: Call, identity: KeyIdentity, idempotencyKey: string | null): Promise<string> {
  if (idempotencyKey === null) return randomId("run");
  return call.deps.runIdOf({ tenant: identity.tenant, kind: "api", id: identity.user ?? "", idempotencyKey });
}

/** Null: there is none. */
export function idempotencyKeyOf(call: Call): Result<string | null, Problem> {
  const header = call.request.headers.get("idempotency-key");
  if (header === null) return ok(null);
  const key = parseIdempotencyKey(header);
  if (key !== null) return ok(key);
  const detail = `It is one text in double quotes (RFC 8941), or the same bare, of 1 to ${MAX_IDEMPOTENCY_KEY_CHARS} visible characters.`;
  const errors = [{ header: "Idempotency-Key", detail }];
  return err(problem("invalid_header", "The Idempotency-Key cannot be read.", { errors }));
}
