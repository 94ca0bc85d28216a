/**
 * Brings what happens in runs from their outboxes to the endpoints of the tenant. Owns what the isolate knows of who has
 * endpoints; a run's outbox asks that first, so that a tenant without any pays nothing.
 *
 * - L1 "nobody wants it" is said only where it is known: what was read within the last minute. Else the message is written.
 * - L2 a message is taken once every endpoint that wants it has it: those that had it already know it by its id. One that
 *      cannot be reached holds back no other.
 * - L3 only settled values are kept, never a promise: one that another object waits for may never settle for it.
 */
import type { Fact, RunState } from "../../kernel/index.ts";
import type { Logger } from "../../platform/index.ts";
import { type EndpointMessage, type EventType, eventOf, messageOf, type RunEvent } from "./events.ts";

/** A new endpoint is known everywhere after so long. */
export const ENDPOINTS_KNOWN_MS = 60_000;
/** One that asks the database and does not come back is not waited for longer. */
const ASKING_MS = 5_000;
const MAX_TENANTS = 2_000;

export interface Wanting {
  readonly id: string;
  readonly types: readonly EventType[];
}

export interface ListenerPorts {
  /** The endpoints of a tenant that are not disabled. */
  readonly wanting: (tenant: string) => Promise<readonly Wanting[]>;
  readonly enqueue: (tenant: string, endpoint: string, message: EndpointMessage) => Promise<void>;
  readonly log: Logger;
  readonly now: () => number;
}

interface Known {
  readonly endpoints: readonly Wanting[];
  /** Before the database was asked. */
  readonly at: number;
}

interface Told {
  readonly tenant: string;
  readonly run: string;
  readonly version: number;
  readonly body: unknown;
}

export type EndpointListener = ReturnType<typeof createEndpointListener>;

/** One for each isolate. */
export function createEndpointListener({ wanting, enqueue, log, now }: ListenerPorts) {
  const known = new Map<string, Known>();
  const asking = new Map<string, number>();

  const fresh = (tenant: string): Known | null => {
    const found = known.get(tenant);
    return found !== undefined && now() < found.at + ENDPOINTS_KNOWN_MS ? found : null;
  };
  const ask = async (tenant: string): Promise<Known> => {
    const at = now();
    const found = { endpoints: await wanting(tenant), at };
    if (known.size >= MAX_TENANTS) known.clear();
    known.set(tenant, found);
    return found;
  };
  /** Beside whatever goes on: only for the next one who asks. */
  const learn = (tenant: string): void => {
    const since = asking.get(tenant);
    if (since !== undefined && now() < since + ASKING_MS) return;
    asking.set(tenant, now());
    ask(tenant)
      .catch((error: unknown) => {
        log.warn("endpoints.not_known", { tenant, error });
      })
      .finally(() => asking.delete(tenant));
  };

  return {
    name: "endpoints",

    /** What this isolate knows is not so any more. */
    forget(tenant: string): void {
      known.delete(tenant);
    },

    /** L1. Who is told no learns it meanwhile, or the next one does. */
    wants(tenant: string): boolean {
      const found = fresh(tenant);
      if (found === null) learn(tenant);
      return found === null || found.endpoints.length > 0;
    },

    message: (fact: Fact, after: RunState, confidential: boolean): RunEvent | null =>
      eventOf(fact, after, confidential),

    async deliver({ tenant, run, version, body }: Told): Promise<void> {
      const event = body as RunEvent;
      const { endpoints } = fresh(tenant) ?? (await ask(tenant));
      const message = messageOf(run, version, event);
      const told = await Promise.allSettled(
        endpoints
          .filter(({ types }) => types.includes(event.type))
          .map(async ({ id }) => enqueue(tenant, id, message)),
      );
      // L2.
      const failed = told.find((one) => one.status === "rejected");
      if (failed !== undefined)
        throw new Error("An endpoint could not be told just now.", { cause: failed.reason });
    },
  };
}
