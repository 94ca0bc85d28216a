/**
 * How runs come by credentials: what this isolate knows already, else what the object of the exchange gives.
 *
 * - C1 isolates share settled credentials only: a promise that another object began may never settle.
 * - C2 an object that goes while it is asked is asked once more, as its next life; nobody waits longer than CALL_MS.
 * - C3 nothing here throws for what an object does, but where this event has used up its calls: the work goes on in another.
 */
import { classifyFault, type Logger } from "../platform/index.ts";
import {
  type CredentialAnswer,
  credentialObjectName,
  type CredentialRpc,
  exchangeKey,
} from "./credential-rpc.ts";
import type { Who } from "./exchange.ts";
import { WAITER_MS } from "./keeping.ts";
import { isLiving, serves } from "./needed-life.ts";
import type { CloudRole, ExchangeRefusal } from "./role.ts";
import { within } from "./waiting.ts";

/** C2. A little more than the object lets anybody wait: what it says then is better than what is said here. */
export const CALL_MS = WAITER_MS + 5_000;
const TRIES = 2;
/** Of a few KiB each. */
const MAX_KEPT = 200;

type Given = Extract<CredentialAnswer, { ok: true }>;

export interface CredentialsDeps {
  /** The object of that name (`objectName`), for one call: one that has gone is not asked again. */
  readonly objectOf: (name: string) => CredentialRpc;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Logger;
  /** Missing: CALL_MS. */
  readonly callMs?: number;
}

export interface Credentials {
  /**
   * @param neededMs the life that it should have left: `wantedLifeMs` of the step's time limit
   * @param refused fingerprint of the credential that a service has refused
   */
  get(role: CloudRole, who: Who, neededMs: number, refused?: string): Promise<CredentialAnswer>;
}

/** One per isolate. */
export function createCredentials({ objectOf, now, log, callMs = CALL_MS }: CredentialsDeps): Credentials {
  const kept = new Map<string, Given>();

  function keep(key: string, given: Given): void {
    kept.delete(key);
    kept.set(key, given);
    if (kept.size <= MAX_KEPT) return;
    for (const [name, { credential }] of kept) if (!isLiving(credential, now())) kept.delete(name);
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  }

  return {
    async get(role, who, neededMs, refused) {
      const key = await exchangeKey(role, who);
      const known = kept.get(key);
      if (known !== undefined && known.fingerprint !== refused && serves(known.credential, neededMs, now())) {
        keep(key, known);
        return known;
      }
      const name = await credentialObjectName(role, who);
      const request = { role, ...who, neededMs, ...(refused === undefined ? {} : { refused }) };
      const until = now() + callMs;
      for (let tries = 1; tries <= TRIES; tries += 1) {
        try {
          const answer = await within(objectOf(name).get(request), Math.max(1, until - now()));
          if (answer === "late") break;
          if (answer.ok) keep(key, answer);
          return answer;
        } catch (error) {
          const fault = classifyFault(error);
          if (fault?.kind === "hop") throw error;
          log.warn("identity.object_away", { tenant: role.tenant, role: role.name, tries, error });
          // An object that is overloaded is left alone.
          if (fault?.kind === "never") break;
        }
      }
      return { ok: false, refusal: AWAY };
    },
  };
}

const AWAY: ExchangeRefusal = {
  kind: "passing",
  code: "credential_unavailable",
  message: "Whoever keeps the credentials of the role did not answer.",
  hint: "Nothing: it is asked again by itself.",
  retryAfterMs: 1_000,
};
