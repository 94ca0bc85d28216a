/** Wires the rooms into one Worker. Tests and the benchmark compose their own from other workflows. */

import { waitUntil } from "cloudflare:workers";
import {
  type AuditDesk,
  checkRootKey,
  countTenants,
  createAccessAudit,
  createUseAudit,
  createKeyCache,
  type KeyCache,
  createTenantCache,
  type Policy,
  type TenantSettings,
  selectTenantsAt,
  type RunRetention,
  runRetention,
} from "./access/index.ts";
import { parseServiceTokens, performAction, type Surroundings } from "./actions/index.ts";
import { hasJurisdiction, knowOwnPlace, objectNamed, places } from "./compose-objects.ts";
import { type AcquireDeps, createAcquire, createLend } from "./compose-acquire.ts";
import { composeErasures } from "./compose-erasure.ts";
import { composeAudit } from "./compose-audit.ts";
import { createAuthCheck } from "./compose-auth-check.ts";
import { createApi, createLinks, type ApiDeps, type QuotasPort } from "./api/index.ts";
import { type ComposedConnections, composeConnections, parsePublicOrigin } from "./compose-connections.ts";
import { doChores, sharesOf } from "./compose-chores.ts";
import { admitStarts, composeQuotas, PLAN_QUOTAS, quotaPorts } from "./compose-quotas.ts";
import { createPolicyPorts } from "./compose-policies.ts";
import { composeMetrics, counterOf, measureOf } from "./compose-metrics.ts";
import { createStarter } from "./compose-start.ts";
import { composeTraces } from "./compose-traces.ts";
import { composeHooks } from "./compose-triggers-hooks.ts";
import { eventsOf, eventsPorts, hearingOf } from "./compose-triggers-events.ts";
import { composeIdentity, exchanging } from "./compose-identity.ts";
import { type ComposedIssuer, composeIssuer } from "./compose-issuer.ts";
import { browserAddressOf, egressOf, ownHostsOf } from "./compose-egress.ts";
import { createFlowPort, createFlowPorts, createQueues } from "./compose-triggers-flow.ts";
import { type ComposedSchedules, composeSchedules } from "./compose-triggers-schedules.ts";
import { type ComposedEndpoints, composeEndpoints } from "./compose-triggers-endpoints.ts";
import { audiencesOf, composeTrust } from "./compose-trust.ts";
import { type ConnectionWiring, createConnectPages } from "./connections/index.ts";
import { type BeingErased, createBeingErased, type Erasures } from "./erasure/index.ts";
import {
  createCode,
  createEvaluator,
  createPlansStore,
  createRegistry,
  createStoredPlans,
  type Definition,
  type Registry,
  type StoredPlans,
} from "./define/index.ts";
import {
  createDirectory,
  type Directory,
  type DirectoryRpc,
  parseShards,
  sweepAll,
  type SweepPorts,
} from "./directory/index.ts";
import {
  type CredentialWiring,
  type Identity,
  type IssuerWiring,
  parseIssuerOrigin,
} from "./identity/index.ts";
import type { QuotaPorts } from "./quota-object.ts";
import { createLogger, fromBase64, importHmacKey, objectName, runIdOf } from "./platform/index.ts";
import {
  createChildren,
  createFamily,
  type FamilyParts,
  type Listener,
  type RunRpc,
  type RunWiring,
} from "./run/index.ts";
import {
  createPostedNotes,
  dropEndedKeys,
  dropEndedSecrets,
  dropOldPosted,
  endpointRecords,
  type EndpointPorts,
  type EventsPorts,
  type FlowPorts,
  type HookDesk,
  hookRecords,
  type HookWiring,
  type SchedulePorts,
  type Starter,
} from "./triggers/index.ts";
import {
  createKeyCheck,
  createRunKeys,
  createVault,
  createVaultOperations,
  loadKeyring,
  type OperationsDeps,
  runKeyRecords,
  type SealedRecords,
  type VaultOperations,
} from "./vault/index.ts";

const MIN_SERVER_KEY_BYTES = 32;
/** Outside calls per event of the platform: well below the 10,000 subrequests of a paid plan. */
const CALLS_PER_EVENT = 1_000;
type VaultParts = Pick<OperationsDeps, "keyring" | "check" | "vault">;

export interface House {
  /** The same, which from now on knows where the tenant of an object lives. */
  readonly at: (ctx: Pick<DurableObjectState, "id">) => House;
  readonly fetch: (request: Request, env: Env) => Promise<Response>;
  /** What a run object is given when it is constructed. */
  readonly wiring: (env: Env) => RunWiring;
  /** What a connection object is given when it is constructed. */
  readonly lending: (env: Env) => ConnectionWiring;
  /** What an issuer object is given when it is constructed. */
  readonly issuing: (env: Env) => IssuerWiring;
  /** What a credential object is given when it is constructed. */
  readonly exchanging: (env: Env) => CredentialWiring;
  /** What the queue of a workflow is given when it is constructed. */
  readonly queueing: (env: Env) => FlowPorts;
  /** What a directory object is given when it is constructed. */
  readonly sweeping: (env: Env) => SweepPorts;
  /** What a schedule object is given when it is constructed. */
  readonly scheduling: (env: Env) => SchedulePorts;
  /** What an endpoint object is given when it is constructed. */
  readonly announcing: (env: Env) => EndpointPorts;
  /** What the quota object of a tenant is given when it is constructed. */
  readonly counting: (env: Env) => QuotaPorts;
  /** Starts what nobody asks for in person. */
  readonly starting: (env: Env) => Starter;
  /** What a hook object is given when it is constructed. */
  readonly hearing: () => HookWiring;
  /** What an events object is given when it is constructed. */
  readonly dispatching: (env: Env) => EventsPorts;
  /** The cron trigger. */
  readonly scheduled: (controller: ScheduledController, env: Env) => Promise<void>;
}

/**
 * @param workflows of this deployment; checked here, so that a bad one fails the deploy and not a run
 * @param listeners who learns of runs by their outbox
 * @param sealed the records that hold sealed texts: they move to another key when the operator changes it
 */
export function compose(
  workflows: readonly Definition[],
  listeners: readonly Listener[] = [],
  sealed: (env: Env) => readonly SealedRecords[] = () => [],
): House {
  const log = createLogger();
  const registry = createRegistry(workflows);
  // Shared, so that who changes a policy is held by it at once, at least in this isolate.
  const policies = createTenantCache<Policy | null>();
  const settings = createTenantCache<TenantSettings>();
  // One of each per isolate: `env` is the same for every request that it serves.
  let api: ReturnType<typeof createApi> | undefined;
  let wiring: RunWiring | undefined;
  let plans: StoredPlans | undefined;
  let directory: Directory | undefined;
  let vault: VaultParts | undefined;
  let operations: VaultOperations | undefined;
  let lent: ComposedConnections | undefined;
  let issued: ComposedIssuer | undefined;
  let identity: Identity | undefined;
  let starter: Starter | undefined;
  let hooks: HookDesk | undefined;
  let schedules: ComposedSchedules | undefined;
  let endpoints: ComposedEndpoints | undefined;
  let audit: AuditDesk | undefined;
  let erasures: Erasures | undefined;
  let being: BeingErased | undefined;
  let quotas: QuotasPort | undefined;
  const house: House = {
    at({ id }) {
      knowOwnPlace(id);
      return house;
    },
    async fetch(request, env) {
      api ??= createApi(apiDeps(env, registry));
      return api.fetch(request);
    },
    wiring(env) {
      wiring ??= runWiring(env, registry, listeners);
      return wiring;
    },
    lending: (env) => connectionsOf(env).wiring,
    issuing: (env) => issuerOf(env).wiring,
    exchanging: (env) =>
      exchanging(egressOf(env), issuerOf(env).issuer, log, (tenant, reason) => {
        counted(env, tenant, "exchange_failed", reason);
      }),
    scheduling: (env) => schedulesOf(env).ports,
    announcing: (env) => endpointsOf(env).wiring,
    starting: starterOf,
    counting: (env) => quotaPorts({ db: env.DB, settings, log }, directoryOf(env)),
    queueing: (env) => createFlowPorts((tenant, run) => runOf(env, tenant, run), log),
    hearing: () => ({ log, now: () => Date.now() }),
    dispatching: (env) =>
      eventsPorts(env, {
        ...{ starter: () => starterOf(env), workflows: registry, plans: plansOf(env), log },
        ...familyOf(env, serverKeyOf(env)),
      }),
    sweeping: (env) => ({
      ask: async (tenant, run) => runOf(env, tenant, run).poke(tenant),
      takeOver: async (tenant, shard, reports) =>
        directoryObject(env, tenant, shard).takeOver(tenant, reports),
      calls: callsPerEvent(env),
      retention: retentionIn(env),
      ...measureOf(env, log),
      log,
    }),
    async scheduled({ scheduledTime }, env) {
      const shares = sharesOf(callsPerEvent(env));
      const ports = {
        directory: directoryOf(env),
        countTenants: async () => countTenants(env.DB),
        tenants: async (offset: number, limit: number) => {
          const tenants = await selectTenantsAt(env.DB, offset, limit);
          for (const { id, place } of tenants) places.know(id, place);
          return tenants.map(({ id }) => id);
        },
        ...{ visits: shares.visits, log },
      };
      await doChores(
        {
          runs: async () => sweepAll(ports, scheduledTime),
          schedules: async () => schedulesOf(env).schedules.sweep(shares.schedules),
          audit: async () => auditOf(env).sweep(shares.audit),
          secrets: async () => dropEndedSecrets(env.DB, Date.now()),
          keys: async () => dropEndedKeys(env.DB, Date.now()),
          vault: async () => vaultOperations(env).tick(shares.vault),
          connections: async () => connectionsOf(env).connections.sweep(shares.connections),
          issuers: async () => issuerOf(env).issuer?.sweep(shares.issuers),
          erasures: async () => erasuresOf(env).tick(shares.erasures),
          posted: async () => dropOldPosted(env.DB, Date.now()),
        },
        log,
      );
    },
  };
  return house;

  function retentionIn(env: Env): RunRetention {
    return runRetention({ db: env.DB, settings, log }, () => Date.now());
  }

  function plansOf(env: Env): StoredPlans {
    return (plans ??= createStoredPlans(createPlansStore(env.DB, PLAN_QUOTAS)));
  }

  function directoryOf(env: Env): Directory {
    directory ??= createDirectory(
      (tenant, shard) => directoryObject(env, tenant, shard),
      parseShards(env.DIRECTORY_SHARDS),
    );
    return directory;
  }

  function counted(env: Env, tenant: string, event: string, reason: string): void {
    counterOf(directoryOf(env), log, waitUntil)(tenant, event, reason);
  }

  /** For whoever seals: one per isolate, so that each key is proved once. */
  function vaultOf(env: Env): VaultParts {
    if (vault !== undefined) return vault;
    const keyring = loadKeyring(env.KEYRING);
    const check = createKeyCheck({ db: env.DB, log, now: () => Date.now() });
    return (vault = { keyring, check, vault: createVault(keyring, check) });
  }

  function vaultOperations(env: Env): VaultOperations {
    operations ??= createVaultOperations({
      ...vaultOf(env),
      records: [
        ...connectionsOf(env).connections.records,
        ...(issuerOf(env).issuer?.records ?? []),
        runKeysIn(env),
        hookRecords({ db: env.DB, log }),
        endpointRecords({ db: env.DB, log }),
        ...sealed(env),
      ],
      ...{ db: env.DB, audit: createAccessAudit(env.DB), log, now: () => Date.now() },
    });
    return operations;
  }

  function auditOf(env: Env): AuditDesk {
    return (audit ??= composeAudit(env, { serverKey: serverKeyOf(env), settings, log }));
  }

  function runKeysIn(env: Env): SealedRecords {
    return runKeyRecords({
      renew: async (tenant, id) => runOf(env, tenant, id).renewKey(tenant),
      ...{ db: env.DB, log, now: () => Date.now() },
    });
  }

  /** Throws a TypeError if `KEYRING` is no keyring: nothing else needs it but runs that have anything sensitive. */
  function connectionsOf(env: Env): ComposedConnections {
    lent ??= composeConnections(env, {
      ...{ vault: vaultOf(env).vault, serverKey: serverKeyOf(env), egress: egressOf(env), log },
      ownHosts: ownHostsOf(env),
      run: (tenant, id) => runOf(env, tenant, id),
      refreshFailed: (tenant, reason) => {
        counted(env, tenant, "refresh_failed", reason);
      },
    });
    return lent;
  }

  /** Throws a TypeError likewise, and if `ISSUER_ORIGIN` is none. */
  function issuerOf(env: Env): ComposedIssuer {
    return (issued ??= composeIssuer(env, vaultOf(env).vault, log));
  }

  function identityOf(env: Env): Identity {
    return (identity ??= composeIdentity(env, issuerOf(env).issuer, log));
  }

  function starterOf(env: Env): Starter {
    return (starter ??= createStarter({
      sources: { workflows: registry, plans: plansOf(env) },
      policy: { db: env.DB, policies, log },
      runs: (tenant, id) => runOf(env, tenant, id),
      directory: directoryOf(env),
      gate: quotasIn(env).gate,
      log,
      now: () => Date.now(),
      defer: (work) => {
        waitUntil(work);
      },
    }));
  }

  function hooksOf(env: Env): HookDesk {
    const serverKey = serverKeyOf(env);
    return (hooks ??= composeHooks(env, {
      ...{ vault: () => vaultOf(env).vault, starter: starterOf(env), log },
      runIdOf: async (source) => runIdOf(await serverKey(), source),
      connections: () => connectionsOf(env).connections,
      deliver: async (tenant) => quotasIn(env).gate.delivery(tenant),
    }));
  }

  function quotasIn(env: Env): QuotasPort {
    return (quotas ??= composeQuotas(env, log));
  }

  /** A key that is revoked here is forgotten here at once, and so is that it may act. */
  function forgettingKeys(env: Env): KeyCache {
    const keys = createKeyCache();
    return {
      ...keys,
      forget(ids) {
        keys.forget(ids);
        hooksOf(env).forgetMakers(ids);
      },
    };
  }

  function schedulesOf(env: Env): ComposedSchedules {
    return (schedules ??= composeSchedules(env, {
      ...familyOf(env, serverKeyOf(env)),
      ...{ starter: starterOf(env), log },
    }));
  }

  function beingOf(env: Env): BeingErased {
    return (being ??= createBeingErased(env.DB, () => Date.now(), log));
  }

  function erasuresOf(env: Env): Erasures {
    return (erasures ??= composeErasures(env, {
      ...{ keys: forgettingKeys(env), directory: directoryOf(env), being: beingOf(env), log },
      serverKey: serverKeyOf(env),
      run: (tenant, id) => runOf(env, tenant, id),
      ...{ hooks: hooksOf(env), schedules: schedulesOf(env).schedules, endpoint: endpointsOf(env).queue },
    }));
  }

  function endpointsOf(env: Env): ComposedEndpoints {
    return (endpoints ??= composeEndpoints(env, {
      vault: () => vaultOf(env).vault,
      ...{ egress: egressOf(env), ownHosts: ownHostsOf(env) },
      ...{ policy: { db: env.DB, policies, log }, log },
    }));
  }

  function serverKeyOf(env: Env): () => Promise<CryptoKey> {
    // The key itself is kept, never its promise: one that another object began may never settle.
    let key: CryptoKey | undefined;
    return async () => (key ??= await importHmacKey(serverKeyBytes(env)));
  }

  function familyOf(env: Env, serverKey: () => Promise<CryptoKey>): FamilyParts {
    return {
      runs: (tenant, id) => runOf(env, tenant, id),
      runIdOf: async (source) => runIdOf(await serverKey(), source),
    };
  }

  function apiDeps(env: Env, known: Registry): ApiDeps {
    const serverKey = serverKeyOf(env);
    const publicOrigin = parsePublicOrigin(env.PUBLIC_ORIGIN);
    const tokenOrigin = publicOrigin ?? parseIssuerOrigin(env.ISSUER_ORIGIN);
    return {
      ...familyOf(env, serverKey),
      checkAuth: createAuthCheck(
        env.SERVICE_TOKENS,
        () => connectionsOf(env).connections,
        () => identityOf(env),
      ),
      access: {
        db: env.DB,
        cache: forgettingKeys(env),
        ...{ policies, settings, places },
        rootKey: checkRootKey(env.ROOT_API_KEY),
        trust: composeTrust(env, tokenOrigin, log),
        log,
        defer: (work) => {
          waitUntil(work);
        },
      },
      workflows: known,
      plans: plansOf(env),
      directory: directoryOf(env),
      metrics: composeMetrics(env, directoryOf(env), log),
      events: (tenant, event) => eventsOf(env, tenant, event),
      relist: async (object) => {
        const stub: unknown = env.RUN.get(env.RUN.idFromString(object));
        return (stub as RunRpc).relist();
      },
      links: createLinks(serverKey),
      queues: createQueues(env),
      quotas: quotasIn(env),
      hasJurisdiction: (jurisdiction) => hasJurisdiction(env.QUOTA, jurisdiction),
      audit: auditOf(env),
      vault: () => vaultOperations(env),
      connections: () => connectionsOf(env).connections,
      issuer: () => issuerOf(env).issuer,
      identity: () => identityOf(env),
      hooks: () => hooksOf(env),
      erasures: () => erasuresOf(env),
      noteUserEvent: createPostedNotes(env.DB, serverKey, () => Date.now()),
      schedules: schedulesOf(env).schedules,
      endpoints: { desk: endpointsOf(env).endpoints, queue: endpointsOf(env).queue },
      audienceOf: audiencesOf(tokenOrigin),
      publicOrigin,
      pages: createConnectPages({
        room: () => connectionsOf(env).connections,
        publicOrigin,
        browserAddress: browserAddressOf(env),
        log,
      }),
      log,
      now: () => Date.now(),
    };
  }

  function runWiring(env: Env, known: Registry, heard: readonly Listener[]): RunWiring {
    const tokens = parseServiceTokens(env.SERVICE_TOKENS);
    if (!tokens.ok) throw new TypeError(tokens.error);
    const family = familyOf(env, serverKeyOf(env));
    const isCode = (workflow: string, version: string): boolean => known.get(workflow, version) !== null;
    const { permitChild, ...policed } = createPolicyPorts({ db: env.DB, policies, log }, isCode);
    const acquiring: AcquireDeps = {
      use: (use) => connectionsOf(env).connections.use(use),
      useRole: (use) => identityOf(env).use(use),
      policy: policed.policy,
      isCode,
      log,
    };
    const surroundings: Surroundings = {
      egress: egressOf(env),
      credential: tokens.value,
      code: createCode(known),
      ...policed,
      lend: createLend(acquiring),
      children: createChildren(
        family,
        { workflows: known, plans: plansOf(env) },
        permitChild,
        admitStarts(quotasIn(env).gate),
      ),
      log,
      now: () => Date.now(),
    };
    const spans = composeTraces(env, log);
    return {
      ...(spans === null ? {} : { spans }),
      evaluate: createEvaluator(known, (workflow, version) => {
        log.warn("run.code_missing", { workflow, version });
      }),
      perform: (call) => performAction(call, surroundings),
      acquire: createAcquire(acquiring),
      // A Worker without the bindings has no endpoints, and no events.
      listeners: [
        createFamily(family),
        hearingOf(env),
        ...heard,
        ...("ENDPOINT" in env ? [endpointsOf(env).listener] : []),
      ],
      keys: createRunKeys({ vault: () => vaultOf(env).vault, db: env.DB, now: () => Date.now() }),
      directory: directoryOf(env),
      flow: createFlowPort(env),
      isErasing: async (tenant, user) => beingOf(env).has(tenant, user),
      uses: createUseAudit(env.DB),
      log,
      version: env.VERSION.id,
      retention: retentionIn(env),
      callsPerEvent: callsPerEvent(env),
    };
  }
}

function callsPerEvent(env: Env): number {
  return Number(env.CALLS_PER_EVENT ?? CALLS_PER_EVENT);
}

function runOf(env: Env, tenant: string, id: string): RunRpc {
  return objectNamed(env.RUN, env.DB, objectName("run", tenant, id)) as RunRpc;
}

function directoryObject(env: Env, tenant: string, shard: number): DirectoryRpc {
  return objectNamed(env.DIRECTORY, env.DB, objectName("directory", tenant, String(shard))) as DirectoryRpc;
}

/** The server key: run ids are derived from it, so it must be long, random, and never change. */
function serverKeyBytes(env: Env): Uint8Array {
  const bytes = fromBase64(env.SERVER_KEY);
  if (bytes === null || bytes.length < MIN_SERVER_KEY_BYTES)
    throw new TypeError(`SERVER_KEY must be at least ${MIN_SERVER_KEY_BYTES} random bytes in base64.`);
  return bytes;
}
