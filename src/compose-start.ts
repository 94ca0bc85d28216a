/**
 * The start of a run that nobody asks for in person: a hook, a schedule, an event.
 *
 * - T1 it is judged as its maker's own start would be: by the tenant's policy as it is now, and by those that the maker
 *   stood under. Whether the maker may still act is the trigger's to ask.
 * - T2 what an earlier try has begun is found before anything is refused.
 *   So it is where a quota holds it back: then nothing is begun, and no object of a run holds anything.
 * - T3 who answers for it has made the run, as if they had started it in person: they decide none of its approvals.
 */
import { chainOf, judgeStart, type PolicyDeps, tenantPolicy } from "./access/index.ts";
import { judgeSteps } from "./api/index.ts";
import { findStartable, type StartableSources } from "./define/index.ts";
import type { Directory } from "./directory/index.ts";
import { err, type Logger, ok, type Result } from "./platform/index.ts";
import type { Gate, StartPermit } from "./quotas/index.ts";
import type { RunErrorCode, RunRpc, StartRequest } from "./run/index.ts";
import { StartHeldBack, type Starter, type TriggeredOutcome, type TriggeredStart } from "./triggers/index.ts";

interface StartDeps {
  readonly sources: StartableSources;
  readonly policy: PolicyDeps;
  /** The object of a run; a fresh stub each time. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  readonly directory: Directory;
  readonly gate: Gate;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Lets work go on after the answer: `ctx.waitUntil`. */
  readonly defer: (work: Promise<unknown>) => void;
}

type Refused = Extract<TriggeredOutcome, { kind: "refused" }>;
type Planned = Pick<
  StartRequest,
  "workflow" | "version" | "graph" | "input" | "open" | "policies" | "origins" | "flow"
>;

/** Codes of a run that pass. */
const PASSING: ReadonlySet<RunErrorCode> = new Set(["unavailable"]);

export function createStarter(deps: StartDeps): Starter {
  return {
    async start(start) {
      const { tenant, id, bodyDigest, target } = start;
      const permit = await deps.gate.start(tenant);
      if (permit.kind !== "admitted") {
        const before = await deps.runs(tenant, id).startedBefore(tenant, bodyDigest);
        if (before !== null) return outcomeOf(deps, start, before);
        if (permit.kind === "refused") throw new StartHeldBack(permit.quota, permit.retryMs);
        throw new Error("It cannot be said just now whether the tenant may start another run.");
      }
      const planned = await plan(deps, start);
      if (!planned.ok) {
        permit.permit.giveBack();
        // T2. A deploy may have taken the workflow away, a policy may have changed.
        const before = await deps.runs(tenant, id).startedBefore(tenant, bodyDigest);
        return before === null ? planned.error : outcomeOf(deps, start, before);
      }
      const { user, startedBy, traceparent } = start;
      const started = await deps.runs(tenant, id).start({
        ...planned.value,
        ...{ tenant, id, user, startedBy, traceparent, bodyDigest, tags: target.tags },
      });
      return outcomeOf(deps, start, started, permit.permit);
    },
  };
}

async function plan(
  { sources, policy, now }: StartDeps,
  { tenant, target, maker, user }: TriggeredStart,
): Promise<Result<Planned, Refused>> {
  const { workflow: name, version } = target;
  const live = await tenantPolicy(policy, tenant, now());
  if (!live.ok) throw new Error("The policy of the tenant cannot be read just now.");
  const chain = chainOf(live.value, maker.policies);
  // Before it is looked up: what may not be started is not told apart from what is not there.
  const verdict = judgeStart(chain, name);
  if (verdict.kind === "denied") return refuse("policy_denied", verdict.message);
  const found = await findStartable(sources, tenant, name, version);
  if (found.kind !== "found") {
    const what = version === undefined ? name : `${name}, version ${version},`;
    return found.kind === "outdated"
      ? refuse("bad_plan", `This build does not take the plan ${what} any more.`)
      : refuse("unknown_workflow", `There is no workflow ${what} here.`);
  }
  const { startable } = found;
  const input = startable.parseInput(target.input);
  if (!input.ok) {
    const [first] = input.errors;
    return refuse("invalid_input", `${first?.pointer ?? "/input"}: ${first?.detail ?? "It does not fit."}`);
  }
  const flow = startable.flow(input.value, user);
  if (!flow.ok) return refuse("invalid_input", flow.error[0]?.detail ?? "It cannot be queued.");
  const judged = judgeSteps(chain, {
    ...{ workflow: startable.name, steps: startable.graph.steps, at: "/workflow", definitionAt: null },
  });
  const [denied] = judged.errors;
  if (denied !== undefined) return refuse("policy_denied", denied.detail);
  return ok({
    ...{ workflow: startable.name, version: startable.version, input: input.value, open: startable.open },
    graph: { ...startable.graph, steps: judged.steps },
    policies: maker.policies,
    // T3.
    origins: [...new Set([maker.actor, ...(maker.also ?? [])])],
    ...(flow.value === undefined ? {} : { flow: flow.value }),
  });
}

function refuse(code: string, message: string): Result<never, Refused> {
  return err({ kind: "refused", code, message });
}

function outcomeOf(
  { directory, defer, log }: StartDeps,
  { tenant, id: run }: Pick<TriggeredStart, "tenant" | "id">,
  answer: Awaited<ReturnType<RunRpc["start"]>>,
  permit?: StartPermit,
): TriggeredOutcome {
  if (answer.ok) {
    const { created, report } = answer.value;
    if (!created) permit?.giveBack();
    if (report !== undefined)
      // Beside the answer: the run is known even if its own word does not get through.
      defer(
        // What an object answers takes no `undefined` to go on with, as a promise would.
        directory.report(report).then(
          () => permit?.settled(),
          (error: unknown) => {
            log.warn("run_not_registered", { tenant, run, error });
          },
        ),
      );
    return { kind: "started", created, run };
  }
  const { code, message } = answer;
  // Where it is not known what became of it, the slot stays taken until the directory knows better.
  if (!PASSING.has(code)) permit?.giveBack();
  if (code === "run_deleted" || code === "run_erased") return { kind: "started", created: false, run };
  if (PASSING.has(code)) throw new Error(`The run ${run} cannot be started just now: ${message}`);
  return { kind: "refused", code, message };
}
