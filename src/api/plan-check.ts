/**
 * What is known about the surroundings of a plan before it runs: the credentials that it names, and the workflows that it
 * starts. All of it is asked again in the run, so nothing here makes anything safe; it only tells early.
 */
import { type KeyIdentity, may } from "../access/index.ts";
import {
  checkAuth,
  checkChildren,
  findStartable,
  type FoundStartable,
  notFollowing,
} from "../define/index.ts";
import type { StepDef } from "../kernel/index.ts";
import { denied } from "./policy-check.ts";
import type { FieldError, Problem } from "./problems.ts";
import type { Call } from "./route.ts";

export interface Surroundings {
  readonly errors: readonly FieldError[];
  /** Workflows that are not there yet. */
  readonly missing: readonly FieldError[];
}

export interface Checked {
  readonly steps: readonly StepDef[];
  /** Pointer to what holds `steps` and `onFailure` in the body. */
  readonly definitionAt: string;
  /** As whom its requests are made; null: as the tenant. */
  readonly user: string | null;
  /** What is being stored, as what it will be found. */
  readonly itself?: Extract<FoundStartable, { readonly kind: "found" }>["startable"];
}

export async function checkSurroundings(
  { deps }: Call,
  identity: KeyIdentity,
  { steps, definitionAt, user, itself }: Checked,
): Promise<Surroundings> {
  const { tenant } = identity;
  const [auth, children] = await Promise.all([
    checkAuth(steps, (reference, host) => deps.checkAuth(reference, host, { tenant, user })),
    checkChildren(steps, {
      find: async (name, version) =>
        itself?.name === name && version === undefined
          ? { kind: "found", startable: itself }
          : findStartable(deps, tenant, name, version),
      // Whoever may not see the list learns nothing of it by guessing.
      names: async () =>
        may(identity, "workflows:read")
          ? [...deps.workflows.list(), ...(await deps.plans.list(tenant))].map(({ name }) => name)
          : [],
    }),
  ]);
  const place = (one: FieldError): FieldError => ({ ...one, pointer: definitionAt + (one.pointer ?? "") });
  return { errors: [...auth, ...children.unfit].map(place), missing: children.missing.map(place) };
}

/** What was found in steps that came as JSON, with pointers into the body. */
export interface Findings {
  /** By the steps themselves. */
  readonly own: readonly FieldError[];
  /** By their surroundings. */
  readonly around: Surroundings;
  readonly policy: readonly FieldError[];
}

/** All of it at once, or null. What only policies speak against is theirs to refuse. */
export function refusalOf(
  { own, around, policy }: Findings,
  refuse: (errors: readonly FieldError[]) => Problem,
): Problem | null {
  const denials = notFollowing(policy, own);
  const flaws = [...own, ...notFollowing([...around.errors, ...around.missing], own)];
  if (flaws.length > 0) return refuse([...flaws, ...denials]);
  return denials.length > 0 ? denied(denials) : null;
}
