/**
 * The surroundings of credential objects in tests: an issuer, token services and a clock that do what a test says. Objects
 * take them when they are constructed.
 */
import type { CredentialWiring } from "../../src/identity/index.ts";
import type { MintRequest } from "../../src/identity/minter.ts";
import { createLogger, type EgressResult } from "../../src/platform/index.ts";

const BEGINNING = Date.UTC(2200, 0, 1);

/** What becomes of the next request. */
export type CredentialFate =
  | "ok"
  /** The object that asks dies before the service has answered, as soon as so many have asked it. */
  | { readonly diesAt: number }
  | Failing;

interface Failing {
  readonly status: number;
  readonly error?: string;
  readonly retryAfter?: number;
}

export class CredentialHouse {
  now = BEGINNING;
  /** Seconds that a service gives. */
  lifeS = 900;
  waiterMs = 20_000;
  /** How long a service takes. */
  takesMs = 0;
  readonly fates: CredentialFate[] = [];
  standing: CredentialFate = "ok";
  readonly minted: MintRequest[] = [];
  /** Requests that reached the service, and credentials that it gave. */
  reached = 0;
  given = 0;
  readonly lines: string[] = [];
  #asked = 0;
  #askers: (() => void)[] = [];
  #gate: Promise<void> | null = null;
  #open: () => void = () => {};
  #arrivals: (() => void)[] = [];

  later(ms: number): void {
    this.now += ms;
  }

  /** Somebody asks an object. */
  asks(): void {
    this.#asked += 1;
    for (const asked of this.#askers.splice(0)) asked();
  }

  /** Told by the object itself: what a test's own promise goes on with would die with the object. */
  async #asking(size: number): Promise<void> {
    while (this.#asked < size)
      await new Promise<void>((resolve) => {
        this.#askers.push(resolve);
      });
  }

  /** Requests that come from now on are held until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open();
    this.#gate = null;
  }

  /** Resolves when the next request arrives. */
  async arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#arrivals.push(resolve);
    });
  }

  wiring(ctx: DurableObjectState): CredentialWiring {
    return {
      waiterMs: () => this.waiterMs,
      now: () => this.now,
      log: createLogger("debug", (_, line) => this.lines.push(line)),
      mint: async (request) => {
        this.minted.push(request);
        const { audience, ttlS } = request;
        const jwt = `eyJhbGciOiJSUzI1NiJ9.payload-${this.minted.length}.signature-${"s".repeat(40)}`;
        const expiresAt = this.now + ttlS * 1_000;
        return {
          ok: true,
          value: { jwt, issuer: "https://id.example.com/t/x", subject: "s", audience, expiresAt },
        };
      },
      egress: async () => {
        this.reached += 1;
        for (const arrived of this.#arrivals.splice(0)) arrived();
        const fate: CredentialFate = this.fates.shift() ?? this.standing;
        const gate = this.#gate;
        if (gate !== null) await gate;
        if (typeof fate === "object" && "diesAt" in fate) {
          await this.#asking(fate.diesAt);
          ctx.abort("killed by a test");
          return new Promise<never>(() => {});
        }
        this.now += this.takesMs;
        if (fate !== "ok") return failure(fate);
        this.given += 1;
        return answered(200, {
          access_token: `the-access-token-number-${this.given}`,
          token_type: "Bearer",
          expires_in: this.lifeS,
        });
      },
    };
  }
}

function failure({ status, error, retryAfter }: Failing): EgressResult {
  return answered(status, { error }, retryAfter === undefined ? {} : { "retry-after": String(retryAfter) });
}

function answered(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): EgressResult {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  return { kind: "answered", status, headers, body: bytes, redirects: 0 };
}

/** In which the credential objects live whose life begins from now on; null: in the product's own. */
export const credentialHouses: { current: CredentialHouse | null } = { current: null };
