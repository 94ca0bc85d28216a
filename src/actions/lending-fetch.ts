/**
 * `fetch` of a function: the standard one through egress, with credentials by reference.
 *
 * Owns: which credential goes along with a request, and what the function is told when there is none. Does not own how the
 * function's end is judged (code.ts), or what a lease is (lease.ts).
 *
 * - F1 nothing is lent for what the policies do not let through.
 * - F2 a connection or cloud role that the step has declared was acquired before the function ran; another one is asked for on its first
 *   use, and pinned when the attempt ends.
 * - F3 a function that holds a credential itself may have done anything with it: from then on the attempt may have happened.
 */

import type { Binding, FailureSeed, Need } from "../kernel/index.ts";
import {
  classifyFault,
  createStepFetch,
  EgressError,
  type Egress,
  type StepFetch,
  type StepFetchOptions,
} from "../platform/index.ts";
import { carriedBy, isConnectionRef } from "./authorization.ts";
import { isReading, type Trail } from "./expect-ok.ts";
import { failure } from "./failures.ts";
import type { HeldCredentials } from "./held-credentials.ts";
import { egressTimeoutMs } from "./http.ts";
import {
  Borrowed,
  isCloudRef,
  leaseFor,
  leaseName,
  ledgerOf,
  notLent,
  type CloudRef,
  type LentRef,
} from "./lease.ts";
import type { Ledger } from "./ledger.ts";
import { mayHold, permitOf } from "./permit.ts";
import type { ActionCall, CredentialRef, Surroundings } from "./ports.ts";
import { traceparentOf } from "./trace.ts";

export type CodeFetch = (
  input: RequestInfo | URL,
  init?: RequestInit & { readonly auth?: CredentialRef },
) => Promise<Response>;

/** What `fetch` throws where this request may not have the credential that `auth` names. */
export class CredentialRefused extends Error {
  override readonly name = "CredentialRefused";
  readonly failure: FailureSeed;

  constructor(failure: FailureSeed) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What `fetch` throws where a connection is not there, or the service does not take it. */
export class ConnectionLacking extends Error {
  override readonly name = "ConnectionLacking";
  readonly need: Need;
  /** How often the refused request itself counts among those that may have changed something. */
  readonly own: number;

  constructor(need: Need, own: number) {
    super(`${lentBy(need)} cannot be used: ${need.reason}.`);
    this.need = need;
    this.own = own;
  }
}

/** As the subject of a sentence. */
export function lentBy(need: Need): string {
  return need.kind === "cloud" ? `The cloud role ${need.role}` : `The connection of ${need.integration}`;
}

export class LendingFetch {
  readonly #call: ActionCall;
  readonly #surroundings: Surroundings;
  readonly #lent: string[];
  readonly #trail: Trail;
  readonly #borrowed = new Map<string, Promise<Borrowed>>();
  readonly #fetches: StepFetch[] = [];
  readonly #bound: Binding[] = [];
  #holds = false;
  readonly #ledger: Ledger;

  /** @param lent where every secret is noted */
  constructor(call: ActionCall, surroundings: Surroundings, lent: string[], trail: Trail) {
    this.#call = call;
    this.#surroundings = surroundings;
    this.#lent = lent;
    this.#trail = trail;
    this.#ledger = ledgerOf(call.lease);
  }

  /** What was found on first use (F2). */
  get bound(): readonly Binding[] {
    return this.#bound;
  }

  /** What the attempt was lent, declared or not, and where it was sent. */
  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Whether any request may have left so far. */
  sent(): boolean {
    return this.#holds || this.#fetches.some((one) => one.sent());
  }

  readonly fetch: CodeFetch = async (input, init) => {
    const { auth, ...rest } = init ?? {};
    const request = new Request(input, rest);
    if (auth === undefined) return this.#asked(request, await this.#sendBy({}).fetch(request));
    // Egress asks as well, of every hop. Here it counts that nothing is lent for what is not sent (F1).
    const permit = permitOf(this.#call, this.#surroundings, carriedBy(auth));
    const url = new URL(request.url);
    const refusal = await permit({ url, method: request.method, redirectedFrom: null });
    if (refusal !== null) throw new EgressError(refusal.code, refusal.message);
    if (isConnectionRef(auth) || isCloudRef(auth)) return this.#withLease(auth, request);
    const credential = await this.#surroundings.credential(auth, url.hostname, this.#call);
    if (!credential.ok) throw new CredentialRefused(credential.failure);
    this.#lent.push(...credential.secrets);
    request.headers.set(credential.header, credential.value);
    return this.#asked(request, await this.#sendBy({}).fetch(request));
  };

  /** F3 */
  readonly credentials = async (role: CloudRef): Promise<HeldCredentials> => {
    const refusal = await mayHold(this.#call, this.#surroundings, role.cloud);
    if (refusal !== null) throw new EgressError(refusal.code, refusal.message);
    const { held } = await this.#borrow(role);
    if (held === null)
      throw new CredentialRefused(
        failure(
          "cloud_role_refused",
          `Nothing was sent: the credential of the cloud role ${role.cloud} is not given out itself.`,
          "Name the role in the `auth` of a request.",
        ),
      );
    this.#holds = true;
    this.#trail.changes += 1;
    this.#call.sent();
    return held;
  };

  async #withLease(auth: LentRef, request: Request): Promise<Response> {
    const borrowed = await this.#borrow(auth);
    for (;;) {
      // Another token may be for fewer hosts than the one before it.
      const refusal = borrowed.refusalFor(request.url);
      if (refusal !== null) throw new CredentialRefused(refusal);
      const { origin, hostname: host } = new URL(request.url);
      let carried = true;
      const sender = this.#sendBy({
        permit: permitOf(this.#call, this.#surroundings, carriedBy(auth)),
        sign: borrowed.sign,
        keepHeaders: borrowed.keepHeaders,
        carriesTo: (to) => (carried &&= to.origin === origin && borrowed.mayGoTo(to)),
        leaving: () => {
          borrowed.sentTo(host);
        },
      });
      // The body can be read once, and may have to be sent twice.
      const { generation } = borrowed;
      const answer = await sender.fetch(dressed(request.clone(), borrowed));
      if (!carried) return this.#asked(request, answer);
      const { status, headers } = answer;
      const said = {
        ...{ host, status, headers: Object.fromEntries(headers) },
        body: new Uint8Array(await answer.clone().arrayBuffer()),
      };
      const consequence = await borrowed.consequence(said, generation);
      const own = isReading(request.method) ? 0 : 1;
      switch (consequence?.kind) {
        case undefined:
          return this.#asked(request, answer);
        case "again":
          // It was refused: nothing has happened.
          this.#trail.changes -= own;
          continue;
        case "needs":
          throw new ConnectionLacking(consequence.need, own);
        case "cannot":
          this.#trail.changes -= own;
          throw new CredentialRefused(consequence.failure);
        case "later":
        case "refused":
          return this.#asked(request, answer, consequence);
      }
    }
  }

  #asked(
    request: Request,
    answer: Response,
    consequence?: NonNullable<ReturnType<Trail["asked"]["get"]>>["consequence"],
  ): Response {
    const host = new URL(request.url).hostname;
    this.#trail.asked.set(answer, { host, method: request.method, consequence });
    return answer;
  }

  /** One for all requests of the attempt, so that a token is renewed once. */
  async #borrow(auth: LentRef): Promise<Borrowed> {
    const name = leaseName(auth);
    let borrowed = this.#borrowed.get(name);
    if (borrowed === undefined) {
      borrowed = this.#lend(auth);
      this.#borrowed.set(name, borrowed);
    }
    return borrowed;
  }

  /** F2 */
  async #lend(auth: LentRef): Promise<Borrowed> {
    const declared = leaseFor(this.#call.lease, auth);
    if (declared !== null) return new Borrowed(declared, this.#lent, this.#ledger);
    let answer;
    try {
      answer = await this.#surroundings.lend(this.#call, auth);
    } catch (error) {
      if (classifyFault(error)?.kind === "hop")
        throw new EgressError("subrequest_limit", "This event can make no more calls.");
      throw error;
    }
    if (answer.kind === "needs") throw new ConnectionLacking(answer.need, 0);
    if (answer.kind === "cannot") throw new CredentialRefused(notLent(answer).failure);
    this.#bound.push(answer.bound);
    return new Borrowed(answer.lease, this.#lent, this.#ledger);
  }

  /** @param leaving called when a request is about to leave */
  #sendBy({
    leaving,
    ...more
  }: Pick<StepFetchOptions, "keepHeaders" | "carriesTo" | "permit" | "sign"> & {
    readonly leaving?: () => void;
  }): StepFetch {
    const call = this.#call;
    const egress: Egress = (request) =>
      this.#surroundings.egress({
        ...request,
        traceparent: traceparentOf(call),
        onSend: () => {
          request.onSend?.();
          if (!isReading(request.method)) this.#trail.changes += 1;
          leaving?.();
          call.sent();
        },
      });
    const fetcher = createStepFetch(egress, {
      effect: call.effect,
      permit: permitOf(call, this.#surroundings),
      signal: call.signal,
      timeoutMs: egressTimeoutMs(call),
      ...more,
    });
    this.#fetches.push(fetcher);
    return fetcher;
  }
}

/** The request with what presents the token: none of it can be the function's own. */
function dressed(request: Request, borrowed: Borrowed): Request {
  for (const [name, value] of Object.entries(borrowed.defaults))
    if (!request.headers.has(name)) request.headers.set(name, value);
  for (const [name, value] of Object.entries(borrowed.dressed({}))) request.headers.set(name, value);
  return request;
}
