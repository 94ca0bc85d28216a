/** Cloud roles, as answers show them. */
import { didYouMean } from "../actions/index.ts";
import type { CloudRole, RoleTarget } from "../identity/index.ts";
import type { ApiDeps } from "./ports.ts";

export function viewCloudRole(
  deps: Pick<ApiDeps, "identity">,
  role: CloudRole,
): Readonly<Record<string, unknown>> {
  const { tenant, name, id, target, audience, workflows, inline, hosts, perRun, claims, version } = role;
  return {
    ...viewTarget(target),
    ...{ name, id, provider: target.provider, issuer: deps.identity().issuerOf(tenant), audience },
    subjects: deps.identity().subjectsOf(role),
    workflows: workflows.map((one) => `${one.kind}:${one.name}`),
    ...{ inline, hosts, per_run: perRun, claims, version },
    ...{ created_at: role.createdAt, created_by: role.createdBy, updated_at: role.updatedAt },
  };
}

/** What is allowed, but perhaps not meant. */
export async function cloudRoleAdvice(
  deps: Pick<ApiDeps, "identity" | "plans" | "workflows">,
  role: CloudRole,
): Promise<string[]> {
  const { tenant, workflows, inline } = role;
  const plans = workflows.some(({ kind }) => kind === "plan") ? await deps.plans.list(tenant) : [];
  const names = deps.workflows.list().map(({ name }) => name);
  return [
    ...workflows.map(({ kind, name }) => {
      const isCode = deps.workflows.get(name) !== null;
      if (kind === "code")
        return isCode
          ? ""
          : `This deployment has no workflow ${name} in its code: the role waits for one of that name.${didYouMean(name, names)}`;
      if (isCode)
        return `${name} is a workflow of the deployment's code: the role is for it as code:${name}.`;
      const stored = plans.find((plan) => plan.name === name);
      return stored === undefined
        ? `There is no plan ${name} yet: whoever stores it needs the scope cloud_roles:write.`
        : `Each version of the plan ${name} that is there may use the role, ${stored.version} until now, the newest by ${stored.createdBy}: look at what they do.`;
    }),
    inline
      ? "Whoever may start runs with a plan of their own can use the role: its policy in the cloud is all that holds."
      : "",
    ...deps.identity().adviceOn(role),
  ].filter((one) => one !== "");
}

function viewTarget(target: RoleTarget): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(target).flatMap(([key, value]: [string, unknown]) =>
      key === "provider" ? [] : [[snake(key), key === "next" ? nested(value) : value]],
    ),
  );
}

function nested(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]: [string, unknown]) => [snake(key), inner]),
  );
}

/** `roleArn`, `durationS`: `role_arn`, `duration_s`. */
function snake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
