/** Wires the rooms into one Worker. Tests and the benchmark compose their own from other workflows. */

import { waitUntil } from "cloudflare:workers";
import { checkRootKey, createKeyCache } from "./access/index.ts";
import { parseServiceTokens, performAction, type Surroundings } from "./actions/index.ts";
import { createApi, type ApiDeps } from "./api/index.ts";
import {
  createCode,
  createEvaluator,
  createPlansStore,
  createRegistry,
  createStoredPlans,
  type Definition,
  type Registry,
} from "./define/index.ts";
import {
  createEgress,
  createLogger,
  fromBase64,
  importHmacKey,
  objectName,
  parseDevelopmentHosts,
  runIdOf,
} from "./platform/index.ts";
import type { Listener, RunRpc, RunWiring } from "./run/index.ts";

/** How long a run is kept after its end. */
const RETENTION_MS = 30 * 24 * 60 * 60_000;
const MIN_SERVER_KEY_BYTES = 32;
/** Outside calls per event of the platform: well below the 10,000 subrequests of a paid plan. */
const CALLS_PER_EVENT = 1_000;

export interface House {
  readonly fetch: (request: Request, env: Env) => Promise<Response>;
  /** What a run object is given when it is constructed. */
  readonly wiring: (env: Env) => RunWiring;
}

/**
 * @param workflows of this deployment; checked here, so that a bad one fails the deploy and not a run
 * @param listeners who learns of runs by their outbox
 */
export function compose(workflows: readonly Definition[], listeners: readonly Listener[] = []): House {
  const log = createLogger();
  const registry = createRegistry(workflows);
  // One of each per isolate: `env` is the same for every request that it serves.
  let api: ReturnType<typeof createApi> | undefined;
  let wiring: RunWiring | undefined;
  return {
    async fetch(request, env) {
      api ??= createApi(apiDeps(env, registry));
      return api.fetch(request);
    },
    wiring(env) {
      wiring ??= runWiring(env, registry, listeners);
      return wiring;
    },
  };

  function apiDeps(env: Env, known: Registry): ApiDeps {
    let serverKey: CryptoKey | undefined;
    return {
      access: {
        db: env.DB,
        cache: createKeyCache(),
        rootKey: checkRootKey(env.ROOT_API_KEY),
        log,
        defer: (work) => {
          waitUntil(work);
        },
      },
      workflows: known,
      plans: createStoredPlans(createPlansStore(env.DB)),
      runs: (tenant, id) => {
        // The platform's own type of a stub does not end on types that hold themselves, like JSON: it is passed over.
        const stub: unknown = env.RUN.getByName(objectName("run", tenant, id));
        return stub as RunRpc;
      },
      runIdOf: async (source) => {
        serverKey ??= await importHmacKey(serverKeyBytes(env));
        return runIdOf(serverKey, source);
      },
      log,
      now: () => Date.now(),
    };
  }

  function runWiring(env: Env, known: Registry, heard: readonly Listener[]): RunWiring {
    const tokens = parseServiceTokens(env.SERVICE_TOKENS);
    if (!tokens.ok) throw new TypeError(tokens.error);
    const surroundings: Surroundings = {
      egress: createEgress({
        ownHosts: (env.OWN_HOSTS ?? "").split(",").filter((host) => host !== ""),
        developmentHosts: parseDevelopmentHosts(env.DEV_HOSTS),
      }),
      credential: tokens.value,
      code: createCode(known),
      log,
      now: () => Date.now(),
    };
    return {
      evaluate: createEvaluator(known),
      perform: (call) => performAction(call, surroundings),
      listeners: heard,
      log,
      version: env.VERSION.id,
      retentionMs: RETENTION_MS,
      callsPerEvent: Number(env.CALLS_PER_EVENT ?? CALLS_PER_EVENT),
    };
  }
}

/** The server key: run ids are derived from it, so it must be long, random, and never change. */
function serverKeyBytes(env: Env): Uint8Array {
  const bytes = fromBase64(env.SERVER_KEY);
  if (bytes === null || bytes.length < MIN_SERVER_KEY_BYTES)
    throw new TypeError(`SERVER_KEY must be at least ${MIN_SERVER_KEY_BYTES} random bytes in base64.`);
  return bytes;
}
