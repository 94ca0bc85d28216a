/**
 * Connect tokens and cloud credentials, as an attempt uses them: where each may go, what an answer says of it, another one
 * in the place of one that was refused.
 *
 * Owns: one lease within one attempt, and every secret that the attempt has had. Does not own how leases come about
 * (compose-acquire.ts), or what answers mean for a step (http.ts, code.ts).
 *
 * - B1 a token goes along with a request only if its lease says so of the very URL; the same is asked of every redirect.
 * - B2 a step's headers cannot take the place of the lease's.
 * - B3 a refused token is renewed once in an attempt, and the request is sent once more: nothing has happened.
 * - B4 what the object is told of a token never delays or changes what the step makes of the answer.
 * - B5 nobody is waited for because a service refuses a fresh credential of a cloud role: its answer means what it says.
 */

import type { FailureSeed, Need } from "../kernel/index.ts";
import type { Lease, LeaseAnswer } from "../platform/index.ts";
import { failure } from "./failures.ts";
import { heldBy, type HeldCredentials } from "./held-credentials.ts";
import { Ledger, type LedgerEntry } from "./ledger.ts";

/** What a step names: a cloud role of the tenant. */
export interface CloudRef {
  /** Its name. */
  readonly cloud: string;
}

/** What an attempt can be lent: a connect token, or a cloud credential. */
export type LentRef = ConnectionRef | CloudRef;

/** What a step names: an integration of the tenant, and which account where there are several. */
export interface ConnectionRef {
  readonly connection: string;
  readonly account?: string | undefined;
  /** What the step needs; missing: what the user has granted. */
  readonly scopes?: readonly string[] | undefined;
}

/** What came of an answer that says something about its token. */
export type Consequence =
  /** There is another token: the same request, once more (B3). */
  | { readonly kind: "again" }
  | { readonly kind: "needs"; readonly need: Need }
  | { readonly kind: "cannot"; readonly failure: FailureSeed }
  /** The service did nothing, and asks to come back later. */
  | { readonly kind: "later"; readonly waitMs: number | undefined }
  /** The service did nothing, whatever the status says. */
  | { readonly kind: "refused" };

/** Of a longer body only status and headers count. */
const MAX_LOOKED_AT_BYTES = 65_536;
const decoder = new TextDecoder();
const PASSING_LIMIT_MS = 60 * 60_000;
const PASSING_RECHECK_MS = 1_000;

/** One lease through one attempt. */
export class Borrowed {
  readonly #secrets: string[];
  readonly #entry: LedgerEntry;
  #lease: Lease;
  /** How often the token was renewed. */
  #generation = 0;
  #renewal: Promise<Consequence | null> | null = null;

  /**
   * @param secrets where everything is noted that the attempt is lent
   * @param ledger where it is noted where that was sent
   */
  constructor(lease: Lease, secrets: string[], ledger: Ledger) {
    this.#lease = lease;
    this.#secrets = secrets;
    this.#entry = ledger.of(lease);
    secrets.push(...lease.secrets);
  }

  get defaults(): Readonly<Record<string, string>> {
    return this.#lease.defaults;
  }

  get keepHeaders(): readonly string[] {
    return this.#lease.keepHeaders;
  }

  /** B1 */
  refusalFor(url: string): FailureSeed | null {
    const message = this.#lease.refusalFor(url);
    if (message === null) return null;
    return failure(
      "egress_blocked",
      `Nothing was sent: ${message}`,
      "role" in this.#lease.about
        ? "Call one of the role's hosts with it, or let the tenant add the host to the role."
        : "Call one of the integration's own hosts with this connection, at a path that neither makes nor ends tokens; other hosts without it.",
    );
  }

  mayGoTo(url: URL): boolean {
    return this.#lease.refusalFor(url.href) === null;
  }

  /** The step's headers with what presents the token (B2). Names in lower case. */
  dressed(own: Readonly<Record<string, string>>): Record<string, string> {
    return { ...own, ...this.#lease.headers };
  }

  /** What signs a request; undefined: nothing does. */
  get sign(): Lease["sign"] {
    return this.#lease.sign;
  }

  /** The credential itself, for a library of the service; null: it is not given out. */
  get held(): HeldCredentials | null {
    return heldBy(this.#lease);
  }

  /** A request that carries the credential is leaving for this host. */
  sentTo(host: string): void {
    this.#entry.about = this.#lease.about;
    this.#entry.hosts.add(host);
  }

  /** Which of its tokens a request is sent with now. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Null: the answer says nothing about the connection.
   * @param generation of the token that the request was sent with
   */
  async consequence(
    answer: {
      readonly host: string;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
    },
    generation: number,
  ): Promise<Consequence | null> {
    const { host, status, headers, body } = answer;
    const text = body.byteLength > MAX_LOOKED_AT_BYTES ? "" : decoder.decode(body);
    const finding = this.#lease.read({ host, status, headers, body: text });
    switch (finding?.is) {
      case undefined:
        return null;
      case "token_refused":
        return this.#again(generation);
      case "token_dead":
        await quietly(this.#lease.dead());
        return waitFor(this.#lease.need("revoked"));
      case "scope_missing":
        return waitFor(this.#lease.need("scope_missing", finding.scopes));
      case "rate_limited":
        await quietly(this.#lease.limited(finding.waitMs));
        return { kind: "later", waitMs: finding.waitMs };
      case "refused":
      case "misconfigured":
        return { kind: "refused" };
    }
  }

  /** B3. Requests that go on side by side share the renewal. */
  async #again(generation: number): Promise<Consequence | null> {
    if (generation < this.#generation) return { kind: "again" };
    if (this.#generation > 0) return this.#rejected();
    return (this.#renewal ??= this.#renew());
  }

  async #renew(): Promise<Consequence | null> {
    const answer = await this.#lease.renew().catch((): LeaseAnswer | null => {
      const need = passing(this.#lease);
      return need === null ? null : { kind: "needs", need };
    });
    if (answer === null) return null;
    if (answer.kind === "cannot") return notLent(answer);
    // There is no other one to be had: it is this very token that the service refused.
    if (answer.kind === "needs") return answer.need.reason === "rejected" ? this.#rejected() : answer;
    this.#lease = answer.lease;
    this.#generation += 1;
    this.#secrets.push(...answer.lease.secrets);
    return { kind: "again" };
  }

  #rejected(): Consequence | null {
    return waitFor(this.#lease.need("rejected"));
  }
}

/** The lease of a reference, from what `acquire` gave for the attempt. */
export function leaseFor(lent: unknown, reference: LentRef): Lease | null {
  return lent instanceof Lent ? lent.get(reference) : null;
}

/** An empty record of the attempt that was given `lent`. */
export function ledgerOf(lent: unknown): Ledger {
  return new Ledger(lent instanceof Lent ? lent.all() : []);
}

/** What one attempt is lent: a lease for each connection and each cloud role that it names. */
export class Lent {
  readonly #leases: readonly (readonly [LentRef, Lease])[];

  constructor(leases: readonly (readonly [LentRef, Lease])[]) {
    this.#leases = leases;
  }

  all(): readonly Lease[] {
    return this.#leases.map(([, lease]) => lease);
  }

  get(reference: LentRef): Lease | null {
    return this.#leases.find(([of]) => serves(of, reference))?.[1] ?? null;
  }
}

/** Of connections: the same account, asked for with at least these scopes. */
function serves(of: LentRef, wanted: LentRef): boolean {
  if (isCloudRef(of) || isCloudRef(wanted))
    return isCloudRef(of) && isCloudRef(wanted) && of.cloud === wanted.cloud;
  const { connection, account, scopes = [] } = wanted;
  return (
    of.connection === connection &&
    of.account === account &&
    scopes.every((scope) => of.scopes?.includes(scope) === true)
  );
}

export function isCloudRef(auth: object): auth is CloudRef {
  return "cloud" in auth;
}

/** Two references are one if they mean the same of the same account. */
export function leaseName(reference: LentRef): string {
  if (isCloudRef(reference)) return JSON.stringify({ cloud: reference.cloud });
  const { connection, account, scopes } = reference;
  return JSON.stringify([connection, account ?? null, scopes === undefined ? null : scopes.toSorted()]);
}

/** Under which name a run pins what a reference means. No integration and no account has a name with a colon. */
export function bindingName(reference: LentRef): string {
  if (isCloudRef(reference)) return `cloud:${reference.cloud}`;
  const { connection, account } = reference;
  return account === undefined ? connection : `${connection}/${account}`;
}

/** What can never be had like this. */
export function notLent({ code, message, hint }: Extract<LeaseAnswer, { kind: "cannot" }>): {
  readonly kind: "cannot";
  readonly failure: FailureSeed;
} {
  return { kind: "cannot", failure: failure(code, message, hint) };
}

/** Whoever keeps the token did not answer: that is mended by time. */
function passing(lease: Lease): Need | null {
  const times = { reason: "unavailable", limitMs: PASSING_LIMIT_MS, recheckMs: PASSING_RECHECK_MS } as const;
  const { role } = lease.about;
  if (typeof role === "string") return { kind: "cloud", role, ...times };
  const need = lease.need("rejected");
  if (need?.kind !== "connection") return need;
  const { refused: _refused, version: _version, ...about } = need;
  return { ...about, ...times };
}

/** B5 */
function waitFor(need: Need | null): Consequence | null {
  return need === null ? null : { kind: "needs", need };
}

/** B4 */
async function quietly(told: Promise<void>): Promise<void> {
  try {
    await told;
  } catch {
    // The connection learns it from the next answer that says so.
  }
}
