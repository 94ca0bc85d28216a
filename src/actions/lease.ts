/**
 * Tokens of connections, as an attempt uses them: where each may go, what an answer says of it, another one in the place of
 * one that was refused.
 *
 * Owns: the lease of one connection within one attempt, and every secret that the attempt has had. Does not own how leases
 * come about (compose-acquire.ts), or what answers mean for a step (http.ts, code.ts).
 *
 * - B1 a token goes along with a request only if its lease says so of the very URL; the same is asked of every redirect.
 * - B2 a step's headers cannot take the place of the lease's.
 * - B3 a refused token is renewed once in an attempt, and the request is sent once more: nothing has happened.
 * - B4 what the object is told of a token never delays or changes what the step makes of the answer.
 */

import type { FailureSeed, Need } from "../kernel/index.ts";
import type { Lease, LeaseAnswer } from "../platform/index.ts";
import { failure } from "./failures.ts";
import { Ledger, type LedgerEntry } from "./ledger.ts";

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

/** The lease of one connection through one attempt. */
export class Borrowed {
  readonly #secrets: string[];
  readonly #entry: LedgerEntry;
  #lease: Lease;
  /** How often the token was renewed. */
  #generation = 0;
  #renewal: Promise<Consequence> | null = null;

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
      "Call one of the integration's own hosts with this connection; other hosts without it.",
    );
  }

  mayGoTo(url: URL): boolean {
    return this.#lease.refusalFor(url.href) === null;
  }

  /** The step's headers with what presents the token (B2). Names in lower case. */
  dressed(own: Readonly<Record<string, string>>): Record<string, string> {
    return { ...own, ...this.#lease.headers };
  }

  /** A request that carries the token is leaving for this host. */
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
        return { kind: "needs", need: this.#lease.need("revoked") };
      case "scope_missing":
        return { kind: "needs", need: this.#lease.need("scope_missing", finding.scopes) };
      case "rate_limited":
        await quietly(this.#lease.limited(finding.waitMs));
        return { kind: "later", waitMs: finding.waitMs };
      case "refused":
      case "misconfigured":
        return { kind: "refused" };
    }
  }

  /** B3. Requests that go on side by side share the renewal. */
  async #again(generation: number): Promise<Consequence> {
    if (generation < this.#generation) return { kind: "again" };
    if (this.#generation > 0) return this.#rejected();
    return (this.#renewal ??= this.#renew());
  }

  async #renew(): Promise<Consequence> {
    const answer = await this.#lease.renew().catch((): LeaseAnswer => ({
      kind: "needs",
      need: passing(this.#lease.need("rejected")),
    }));
    if (answer.kind === "cannot") return notLent(answer);
    // There is no other one to be had: it is this very token that the service refused.
    if (answer.kind === "needs") return answer.need.reason === "rejected" ? this.#rejected() : answer;
    this.#lease = answer.lease;
    this.#generation += 1;
    this.#secrets.push(...answer.lease.secrets);
    return { kind: "again" };
  }

  #rejected(): Consequence {
    return { kind: "needs", need: this.#lease.need("rejected") };
  }
}

/** The lease of a reference, from what `acquire` gave for the attempt. */
export function leaseFor(lent: unknown, reference: ConnectionRef): Lease | null {
  return lent instanceof Lent ? lent.get(reference) : null;
}

/** An empty record of the attempt that was given `lent`. */
export function ledgerOf(lent: unknown): Ledger {
  return new Ledger(lent instanceof Lent ? lent.all() : []);
}

/** What one attempt is lent: a lease for each connection that it names. */
export class Lent {
  readonly #leases: readonly (readonly [ConnectionRef, Lease])[];

  constructor(leases: readonly (readonly [ConnectionRef, Lease])[]) {
    this.#leases = leases;
  }

  all(): readonly Lease[] {
    return this.#leases.map(([, lease]) => lease);
  }

  /** One of the same account that was asked for with at least these scopes. */
  get({ connection, account, scopes = [] }: ConnectionRef): Lease | null {
    const found = this.#leases.find(
      ([of]) =>
        of.connection === connection &&
        of.account === account &&
        scopes.every((scope) => of.scopes?.includes(scope) === true),
    );
    return found?.[1] ?? null;
  }
}

/** Two references are one if they mean the same of the same account. */
export function leaseName({ connection, account, scopes }: ConnectionRef): string {
  return JSON.stringify([connection, account ?? null, scopes === undefined ? null : scopes.toSorted()]);
}

/** Under which name a run pins which connection a reference means. */
export function bindingName({ connection, account }: ConnectionRef): string {
  return account === undefined ? connection : `${connection}/${account}`;
}

/** A connection that can never be had like this. */
export function notLent({ code, message, hint }: Extract<LeaseAnswer, { kind: "cannot" }>): {
  readonly kind: "cannot";
  readonly failure: FailureSeed;
} {
  return { kind: "cannot", failure: failure(code, message, hint) };
}

/** Whoever keeps the token did not answer: that is mended by time. */
function passing({ refused: _refused, version: _version, ...need }: Need): Need {
  return { ...need, reason: "unavailable", limitMs: PASSING_LIMIT_MS, recheckMs: PASSING_RECHECK_MS };
}

/** B4 */
async function quietly(told: Promise<void>): Promise<void> {
  try {
    await told;
  } catch {
    // The connection learns it from the next answer that says so.
  }
}
