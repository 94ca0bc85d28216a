/** What the API needs from the rest. The composition root wires it. */
import type { AccessDeps, KeyIdentity } from "../access/index.ts";
import type { Judge, Registry, StoredPlans } from "../define/index.ts";
import type { Logger, RunSource } from "../platform/index.ts";
import type { RunRpc } from "../run/index.ts";

export interface ApiDeps {
  readonly access: AccessDeps;
  /** The workflows of this deployment. */
  readonly workflows: Registry;
  /** The plans that tenants stored. */
  readonly plans: StoredPlans;
  /** What policy says to the requests of a plan. Absent: nothing. */
  readonly judge?: (identity: KeyIdentity) => Judge;
  /** The object of a run. Both parts have the grammar of names by now; each call gives a fresh stub. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  /** The id of the one run that a source may start with an idempotency key. */
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
