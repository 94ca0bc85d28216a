/**
 * What is known about the surroundings of a plan before it runs: the credentials that it names, and the workflows that it
 * starts. All of it is asked again in the run, so nothing here makes anything safe; it only tells early.
 */
import { type KeyIdentity, may, type Standing } from "../access/index.ts";
import {
  checkAuth,
  checkChildren,
  findStartable,
  type FoundStartable,
  notFollowing,
} from "../define/index.ts";
import type { StepDef } from "../kernel/index.ts";
import { denied, refusalOfChild } from "./policy-check.ts";
import type { FieldError, Problem } from "./problems.ts";
import type { Call } from "./route.ts";

export interface Surroundings {
  readonly errors: readonly FieldError[];
  /** Workflows that are not there yet. */
  readonly missing: readonly FieldError[];
  /** Workflows that this key's runs may not start. */
  readonly denied: readonly FieldError[];
  readonly advice: readonly FieldError[];
}

export interface Checked {
  readonly steps: readonly StepDef[];
  /** What its key stands under. */
  readonly chain: readonly Standing[];
  /** Pointer to what holds `steps` and `onFailure` in the body. */
  readonly definitionAt: string;
  /** As whom its requests are made; null: as the tenant; undefined: that is not known yet. */
  readonly user: string | null | undefined;
  /** The name under which it is stored, if it is. */
  readonly name?: string | null | undefined;
  /** The stored plan for which the steps speak; missing: as steps that come with a request they speak for nobody. */
  readonly speaksFor?: string | undefined;
  /** What is being stored, as what it will be found. */
  readonly itself?: Extract<FoundStartable, { readonly kind: "found" }>["startable"];
}

export async function checkSurroundings(
  { deps }: Call,
  identity: KeyIdentity,
  { steps, chain, definitionAt, user, name: own, itself, speaksFor }: Checked,
): Promise<Surroundings> {
  const { tenant } = identity;
  const seesIntegrations = may(identity, "integrations:read");
  const seesInside = may(identity, "workflows:read");
  const [auth, children] = await Promise.all([
    checkAuth(steps, (reference, host, stepTimeoutMs) =>
      deps.checkAuth(
        reference,
        host,
        { tenant, user, seesIntegrations, plan: speaksFor ?? null },
        stepTimeoutMs,
      ),
    ),
    checkChildren(steps, {
      find: async (name, version) =>
        itself?.name === name && version === undefined
          ? { kind: "found", startable: itself }
          : findStartable(deps, tenant, name, version),
      denies: (name, below) => refusalOfChild(chain, name, below),
      // Whoever may not see the list learns nothing of it by guessing.
      names: async () =>
        seesInside
          ? [...deps.workflows.list(), ...(await deps.plans.list(tenant))].map(({ name }) => name)
          : [],
      seesInside,
      itself: itself?.name ?? own ?? undefined,
    }),
  ]);
  const place = (one: FieldError): FieldError => ({ ...one, pointer: definitionAt + (one.pointer ?? "") });
  return {
    errors: [...auth, ...children.unfit].map(place),
    missing: children.missing.map(place),
    denied: children.denied.map(place),
    advice: children.advice.map(place),
  };
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
  const denials = notFollowing([...policy, ...around.denied], own);
  const flaws = [...own, ...notFollowing([...around.errors, ...around.missing], own)];
  if (flaws.length > 0) return refuse([...flaws, ...denials]);
  return denials.length > 0 ? denied(denials) : null;
}
