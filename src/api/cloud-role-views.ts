/** Cloud roles, as answers show them. */
import type { CloudRole, RoleTarget } from "../identity/index.ts";
import type { Call } from "./route.ts";

export function viewCloudRole({ deps }: Call, role: CloudRole): Readonly<Record<string, unknown>> {
  const { tenant, name, id, target, audience, workflows, inline, hosts, perRun, claims, version } = role;
  return {
    ...viewTarget(target),
    ...{ name, id, provider: target.provider, issuer: deps.identity().issuerOf(tenant) ?? "", audience },
    subjects: deps.identity().subjectsOf(role),
    workflows: workflows.map((one) => `${one.kind}:${one.name}`),
    ...{ inline, hosts, per_run: perRun, claims, version },
    ...{ created_at: role.createdAt, created_by: role.createdBy, updated_at: role.updatedAt },
  };
}

/** What is allowed, but perhaps not meant. */
export function cloudRoleAdvice({ deps }: Call, { workflows, inline, target }: CloudRole): string[] {
  const advice: string[] = [];
  for (const { kind, name } of workflows) {
    const isCode = deps.workflows.get(name) !== null;
    if (kind === "code" && !isCode)
      advice.push(
        `This deployment has no workflow ${name} in its code: the role waits for one of that name.`,
      );
    if (kind === "plan" && isCode)
      advice.push(`${name} is a workflow of the deployment's code: the role is for it as code:${name}.`);
  }
  if (inline)
    advice.push(
      "Whoever may start runs with a plan of their own can use the role: its policy in the cloud is all that holds.",
    );
  if (target.provider === "aws" && Object.keys(target.tags ?? {}).length > 0)
    advice.push("The role's trust policy must allow sts:TagSession, as `trust-policy` prints it.");
  if (target.provider === "azure" && workflows.length + Number(inline) > 20)
    advice.push("An application in Entra ID takes at most 20 federated credentials.");
  return advice;
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
