/** What authenticates the requests of one attempt: a service token, a connection, a cloud role, or nothing. */

import type { FailureSeed } from "../kernel/index.ts";
import type { Said } from "./consequences.ts";
import { failure } from "./failures.ts";
import {
  Borrowed,
  isCloudRef,
  leaseFor,
  ledgerOf,
  type ConnectionRef,
  type Consequence,
  type LentRef,
} from "./lease.ts";
import type { Ledger } from "./ledger.ts";
import type { ActionCall, ActionResult, BearerRef, Carried, CredentialRef, Surroundings } from "./ports.ts";

/** How one request is sent. */
export interface Dressed {
  readonly headers: Record<string, string>;
  /** Headers of the answer that are looked at, beside those that the step keeps. */
  readonly keepHeaders: readonly string[];
  readonly carriesTo: ((url: URL) => boolean) | undefined;
  readonly sign: Borrowed["sign"];
  /** Whether what answered has seen the credential: a redirect may have led past it. */
  readonly carried: () => boolean;
}

export interface Authorization {
  /** All that the attempt was lent, also what came later. */
  readonly secrets: readonly string[];
  /** Why the credential may not go along to this address; null: it may. */
  refusalFor(url: string): FailureSeed | null;
  /** @param own the step's headers, given what is sent where it says nothing */
  dress(url: string, own: (defaults: Readonly<Record<string, string>>) => Record<string, string>): Dressed;
  /** A request is leaving for this host. */
  sentTo(host: string): void;
  /** What the attempt was lent, and where it was sent: for the journal. */
  readonly told: Ledger["told"];
  /** @param host that was asked, and answered */
  consequence(said: Said, host: string): Promise<Consequence | null>;
}

export type Authorized =
  | { readonly ok: true; readonly authorization: Authorization }
  | { readonly ok: false; readonly end: ActionResult };

export function isConnectionRef(auth: CredentialRef): auth is ConnectionRef {
  return "connection" in auth;
}

/** What a request with this `auth` carries. */
export function carriedBy(auth: CredentialRef | undefined): Carried {
  if (auth === undefined) return {};
  if (isCloudRef(auth)) return { cloudRole: auth.cloud };
  return isConnectionRef(auth) ? { connection: auth.connection } : {};
}

/** To be asked once per attempt, when the policies have allowed its request. */
export async function authorize(
  auth: CredentialRef | undefined,
  url: string,
  call: ActionCall,
  surroundings: Surroundings,
): Promise<Authorized> {
  if (auth === undefined) return { ok: true, authorization: bare({}, []) };
  if (!isConnectionRef(auth) && !isCloudRef(auth)) return byToken(auth, url, call, surroundings);
  const lease = leaseFor(call.lease, auth);
  // The policies refused the request when the token was to be asked for, and allow it now.
  if (lease === null) return { ok: false, end: { kind: "refused", failure: notLentYet(auth) } };
  const secrets: string[] = [];
  const ledger = ledgerOf(call.lease);
  return { ok: true, authorization: byLease(new Borrowed(lease, secrets, ledger), secrets, ledger) };
}

async function byToken(
  auth: BearerRef,
  url: string,
  call: ActionCall,
  { credential }: Surroundings,
): Promise<Authorized> {
  const given = await credential(auth, URL.parse(url)?.hostname ?? "the address", call);
  if (!given.ok) return { ok: false, end: { kind: "cannot", failure: given.failure } };
  return { ok: true, authorization: bare({ [given.header]: given.value }, given.secrets) };
}

function bare(headers: Readonly<Record<string, string>>, secrets: readonly string[]): Authorization {
  return {
    secrets,
    refusalFor: () => null,
    dress: (_, own) => ({
      headers: { ...own({}), ...headers },
      keepHeaders: [],
      carriesTo: undefined,
      sign: undefined,
      carried: () => false,
    }),
    sentTo: () => {},
    told: {},
    consequence: async () => null,
  };
}

function byLease(borrowed: Borrowed, secrets: readonly string[], ledger: Ledger): Authorization {
  return {
    secrets,
    refusalFor: (url) => borrowed.refusalFor(url),
    dress(url, own) {
      const { origin } = new URL(url);
      let carried = true;
      return {
        headers: borrowed.dressed(own(borrowed.defaults)),
        keepHeaders: borrowed.keepHeaders,
        carriesTo(to) {
          carried &&= to.origin === origin && borrowed.mayGoTo(to);
          return carried;
        },
        sign: borrowed.sign,
        carried: () => carried,
      };
    },
    sentTo(host) {
      borrowed.sentTo(host);
    },
    get told() {
      return ledger.told;
    },
    // One request after the other: each is sent with the newest.
    consequence: (said, host) => borrowed.consequence({ ...said, host }, borrowed.generation),
  };
}

function notLentYet(auth: LentRef): FailureSeed {
  const what = isCloudRef(auth) ? `cloud role ${auth.cloud}` : `connection of ${auth.connection}`;
  return failure(
    "not_sent",
    `Nothing was sent: the ${what} was not at hand.`,
    "Nothing happened; the engine tries again.",
    { retryable: true },
  );
}
