/** What the API needs from the rest. The composition root wires it. */
import type { AccessDeps, AuditDesk } from "../access/index.ts";
import type { AuthCheck } from "../actions/index.ts";
import type { Connections, ConnectPages } from "../connections/index.ts";
import type { Registry, StoredPlans } from "../define/index.ts";
import type { Erasures } from "../erasure/index.ts";
import type { Directory } from "../directory/index.ts";
import type { Identity, Issuer } from "../identity/index.ts";
import type { Logger, RunSource } from "../platform/index.ts";
import type { Gate, QuotaView } from "../quotas/index.ts";
import type { RunRpc } from "../run/index.ts";
import type {
  EndpointRpc,
  Endpoints,
  EventsRpc,
  HookDesk,
  QueueView,
  Schedules,
  Standing,
} from "../triggers/index.ts";
import type { VaultOperations } from "../vault/index.ts";
import type { Links } from "./links.ts";
import type { Metrics } from "./metrics.ts";

/** The queues in which runs wait for each other. A rejection: the queue does not answer just now. */
export interface QueuesPort {
  /** Null: it does not wait there. */
  standing(tenant: string, workflow: string, run: string): Promise<Standing | null>;
  /** @param first how many of those who wait are named */
  view(tenant: string, workflow: string, first: number): Promise<QueueView>;
}

/** What tenants may have and do. */
export interface QuotasPort {
  readonly gate: Gate;
  /** Rejects while it cannot be said. */
  readonly view: (tenant: string) => Promise<QuotaView>;
}

export interface ApiDeps {
  readonly access: AccessDeps;
  /** The workflows of this deployment. */
  readonly workflows: Registry;
  /** The plans that tenants stored. */
  readonly plans: StoredPlans;
  /** Whether a credential that a plan names would be given to a host. */
  readonly checkAuth: AuthCheck;
  /** For whom tokens of trusted issuers must be; null: none is taken. */
  readonly audienceOf: (tenant: string) => string | null;
  /** Cloud roles, and the issuer of the tenant. */
  readonly identity: () => Identity;
  /** Schedules: their objects, and the list of each tenant. */
  readonly schedules: Schedules;
  /** The object of a run. Both parts have the grammar of names by now; each call gives a fresh stub. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  /** The object of the events of a name. Both parts have their grammar by now; each call gives a fresh stub. */
  readonly events: (tenant: string, event: string) => EventsRpc;
  /** The lists of all tenants' runs. */
  readonly directory: Directory;
  /** Their numbers. */
  readonly metrics: Metrics;
  /**
   * Asks an object by its id on the platform (64 hexadecimal digits) to list its run; false: there is no run in it.
   * Throws a TypeError for an id that is not of a run object.
   */
  readonly relist: (object: string) => Promise<boolean>;
  /** The id of the one run that a source may start with an idempotency key. */
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly queues: QueuesPort;
  readonly quotas: QuotasPort;
  /** Whether this platform can keep objects in a jurisdiction. */
  readonly hasJurisdiction: (jurisdiction: string) => Promise<boolean>;
  /** Links by which people decide. */
  readonly links: Links;
  /** The chains of the audit. */
  readonly audit: AuditDesk;
  /** What the operator does with keys. Throws a TypeError if `KEYRING` is no keyring: nothing else of the API needs it. */
  readonly vault: () => VaultOperations;
  /** Integrations and connections. Throws a TypeError likewise. */
  readonly connections: () => Connections;
  /** The issuer; null: this deployment has none. Throws a TypeError likewise. */
  readonly issuer: () => Issuer | null;
  /** Erasures of end users. */
  readonly erasures: () => Erasures;
  /** That events of this name may hold data of a user: before one is posted. Rejects while that cannot be kept. */
  readonly noteUserEvent: (tenant: string, user: string, event: string) => Promise<void>;
  /** Hooks. */
  readonly hooks: () => HookDesk;
  /** Endpoints of tenants; and the queue of one, each call a fresh stub. */
  readonly endpoints: {
    readonly desk: Endpoints;
    readonly queue: (tenant: string, endpoint: string) => EndpointRpc;
  };
  /** The pages on which users consent, and take that back. */
  readonly pages: ConnectPages;
  /** Where browsers find this deployment; null: where the request came to. */
  readonly publicOrigin: string | null;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
