/**
 * The credential object: exchanges for one role and one subject, so that all runs that use them share what they get.
 *
 * Owns: which exchanges there are. Does not own: a single one's credentials (keeping.ts), how one is done (exchange.ts).
 *
 * - O1 nothing is written: when the object goes, its credentials are gone, and are exchanged anew.
 * - O2 credentials are shared by those whose whole exchange is the same (`exchangeKey`): tenant, role and its version,
 *      subject, claims. Whoever calls cannot be given anything else.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint } from "../platform/index.ts";
import {
  type CredentialAnswer,
  type CredentialRequest,
  type CredentialRpc,
  exchangeKey,
} from "./credential-rpc.ts";
import { exchangeFor, type ExchangePorts } from "./exchange.ts";
import { Keeping, WAITER_MS } from "./keeping.ts";

/** Versions of a role and of a workflow that are in use side by side. Beyond that, the one that was used longest ago goes. */
const MAX_KEPT = 16;

export interface CredentialWiring extends ExchangePorts {
  /** How long one waits for an exchange; missing: WAITER_MS. */
  readonly waiterMs?: () => number;
}

export abstract class WiredCredentialObject extends DurableObject<Env> implements CredentialRpc {
  readonly #wiring: CredentialWiring;
  readonly #kept = new Map<string, Keeping>();

  protected constructor(ctx: DurableObjectState, env: Env, wiring: CredentialWiring) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    const [, tenant] = (ctx.id.name ?? "").split(":");
    this.#wiring = { ...wiring, log: wiring.log.with({ tenant }) };
  }

  async get(request: CredentialRequest): Promise<CredentialAnswer> {
    const { role, subject, workflowVersion, run, neededMs, refused } = request;
    const who = { subject, workflowVersion, run };
    // O2.
    const keeping = this.#keepingOf(await exchangeKey(role, who));
    return keeping.get({ neededMs, refused, exchange: async () => exchangeFor(role, who, this.#wiring) });
  }

  #keepingOf(key: string): Keeping {
    const keeping = this.#kept.get(key) ?? this.#make();
    this.#kept.delete(key);
    this.#kept.set(key, keeping);
    if (this.#kept.size > MAX_KEPT) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    return keeping;
  }

  #make(): Keeping {
    const { now, log } = this.#wiring;
    return new Keeping({
      now,
      waiterMs: () => this.#wiring.waiterMs?.() ?? WAITER_MS,
      flying: (flight) => {
        this.ctx.waitUntil(flight);
      },
      broken: (error) => {
        log.error("identity.exchange_broken", { error });
      },
    });
  }
}
