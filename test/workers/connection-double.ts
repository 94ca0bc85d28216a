/** A provider of OAuth tokens whose every answer a test chooses, and which counts what reached it. */
import type { Bound, ConsentProvider } from "../../src/connections/providers/index.ts";
import type { Egress, EgressRequest, EgressResult } from "../../src/platform/index.ts";

/** What becomes of the next request. `lost`: it is done, and the answer does not arrive. `unsent`: nobody sees it. */
export type Fate =
  | "ok"
  | "lost"
  | "unsent"
  /** The object that asks dies, before the provider has done anything, or after. */
  | "dies"
  | "dies_after"
  | {
      readonly status: number;
      readonly error?: string;
      readonly retryAfter?: number;
      readonly done?: boolean;
    };

export type RefreshStyle =
  /** A refresh token that was used is answered by ending all. */
  | "strict"
  /** It is taken again for ten minutes. */
  | "leeway"
  /** The same one stays. */
  | "static";

export const LEEWAY_MS = 600_000;

interface Family {
  current: number;
  readonly usedAt: Map<number, number>;
  readonly issuedAt: Map<number, number>;
  dead: boolean;
}

export interface Reached {
  readonly path: string;
  readonly token: string;
  readonly fate: string;
  readonly secret: string | null;
}

const OK = 200;

export class Provider {
  readonly style: RefreshStyle;
  /** Seconds; null: it does not say. */
  expiresIn: number | null = 3_600;
  /** Seconds until a refresh token ends unused; it is told in each answer. */
  refreshExpiresIn: number | null = null;
  scope: string | null = null;
  readonly reached: Reached[] = [];
  readonly timeouts: number[] = [];
  /** Fates of the next requests; then all is well. */
  readonly fates: Fate[] = [];
  /** What every request meets that has no fate of its own. */
  standing: Fate = "ok";
  readonly revokeFates: Fate[] = [];
  revokeStanding: Fate = "ok";
  /** Of the families that were taken back by whoever knew the token. */
  readonly revoked: string[] = [];
  /** A strict provider saw a refresh token twice. */
  reused = 0;
  /** The same, while the access token that came with it still lived. */
  reusedLiving = 0;
  /** Answers that did not arrive, or did not say what was done. */
  lost = 0;
  /** Ends the object that asks. */
  kill: () => void = () => {};
  /** Refreshes in flight now, and at most ever. */
  flying = 0;
  mostFlying = 0;
  readonly #families = new Map<string, Family>();
  readonly #now: () => number;
  #gate: Promise<void> | null = null;
  #open: (() => void) | null = null;
  #arrivals: (() => void)[] = [];

  constructor(style: RefreshStyle, now: () => number) {
    this.style = style;
    this.#now = now;
  }

  /** A consent: the first pair. */
  consent(family: string): { readonly accessToken: string; readonly refreshToken: string } {
    this.#families.set(family, {
      ...{ current: 1, usedAt: new Map(), dead: false },
      issuedAt: new Map([[1, this.#now()]]),
    });
    return pairOf(family, 1);
  }

  /** The user takes it back at the provider. */
  takeBack(family: string): void {
    const known = this.#families.get(family);
    if (known !== undefined) known.dead = true;
  }

  isDead(family: string): boolean {
    return this.#families.get(family)?.dead ?? true;
  }

  /** Number of the pair that was issued last. */
  current(family: string): number {
    return this.#families.get(family)?.current ?? 0;
  }

  /** Requests that come from now on are held until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open?.();
    this.#gate = null;
    this.#open = null;
  }

  /** Resolves when the next request arrives. */
  async arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#arrivals.push(resolve);
    });
  }

  refreshes(): number {
    return this.reached.filter(({ path }) => path === "/token").length;
  }

  revocations(): number {
    return this.reached.filter(({ path }) => path === "/revoke").length;
  }

  readonly egress: Egress = async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/token") return this.#answer(request, pathname);
    this.flying += 1;
    this.mostFlying = Math.max(this.flying, this.mostFlying);
    try {
      return await this.#answer(request, pathname);
    } finally {
      this.flying -= 1;
    }
  };

  /** Nothing of the object goes on after that, also no `finally`. */
  #end(): void {
    this.flying = 0;
    this.kill();
  }

  async #answer(request: EgressRequest, pathname: string): Promise<EgressResult> {
    const form = new URLSearchParams(typeof request.body === "string" ? request.body : "");
    const token = form.get("refresh_token") ?? form.get("token") ?? "";
    const fate =
      pathname === "/token"
        ? (this.fates.shift() ?? this.standing)
        : (this.revokeFates.shift() ?? this.revokeStanding);
    if (fate === "unsent") return failed(false);
    // What is answered with 503, 429 or a code was not done.
    if (typeof fate === "string" ? fate !== "ok" : fate.status >= 500 && fate.status !== 503) this.lost += 1;
    const secret = form.get("client_secret");
    this.reached.push({ path: pathname, token, fate: JSON.stringify(fate), secret });
    this.timeouts.push(request.timeoutMs ?? 0);
    for (const arrived of this.#arrivals.splice(0)) arrived();
    const before = this.#gate;
    if (before !== null) await before;
    if (fate === "dies") this.#end();
    if (typeof fate === "object" && fate.done !== true) return answered(fate.status, failure(fate), fate);
    const done = pathname === "/token" ? this.#refresh(token) : this.#revoke(token);
    if (fate === "lost") return failed(true);
    if (fate === "dies_after") this.#end();
    if (typeof fate === "object") return answered(fate.status, failure(fate), fate);
    return done;
  }

  #refresh(token: string): EgressResult {
    const [, family = "", text = ""] = token.split(".");
    const known = this.#families.get(family);
    const number = Number(text);
    const now = this.#now();
    if (known === undefined || known.dead) return answered(400, { error: "invalid_grant" });
    const usedAt = known.usedAt.get(number);
    if (this.style !== "static" && usedAt !== undefined) {
      if (this.style === "strict" || now > usedAt + LEEWAY_MS) {
        this.reused += 1;
        const lives =
          this.expiresIn === null || now < (known.issuedAt.get(number) ?? 0) + this.expiresIn * 1_000;
        if (this.style === "strict" && lives) this.reusedLiving += 1;
        known.dead = true;
        return answered(400, { error: "invalid_grant" });
      }
    }
    if (this.style !== "static") known.usedAt.set(number, usedAt ?? now);
    known.current += 1;
    known.issuedAt.set(known.current, now);
    const { accessToken, refreshToken } = pairOf(family, known.current);
    return answered(OK, {
      access_token: accessToken,
      token_type: "Bearer",
      ...(this.style === "static" ? {} : { refresh_token: refreshToken }),
      ...(this.expiresIn === null ? {} : { expires_in: this.expiresIn }),
      ...(this.refreshExpiresIn === null ? {} : { refresh_expires_in: this.refreshExpiresIn }),
      ...(this.scope === null ? {} : { scope: this.scope }),
    });
  }

  #revoke(token: string): EgressResult {
    const [, family = ""] = token.split(".");
    this.takeBack(family);
    this.revoked.push(token);
    return answered(OK, {});
  }

  /** As an integration keeps it. */
  descriptor(): Bound<ConsentProvider> {
    const refresh = {
      strict: { kind: "rotating" },
      leeway: { kind: "rotating", reuseLeewayMs: LEEWAY_MS },
      static: { kind: "static" },
    } as const;
    return {
      kind: "oauth2",
      name: "double",
      displayName: "Double",
      bound: {},
      hosts: ["api.double.example"],
      authorizeUrl: "https://auth.double.example/authorize",
      tokenUrl: "https://auth.double.example/token",
      clientAuth: ["post"],
      pkce: "S256",
      refresh: refresh[this.style],
      answer: { refreshExpiresIn: "/refresh_expires_in" },
      revoke: {
        ...{ method: "POST", url: "https://auth.double.example/revoke", tokens: ["refresh"] },
        ...{ how: "form", auth: "client", kills: "grant" },
      },
    };
  }
}

export function pairOf(family: string, number: number) {
  return { accessToken: `at.${family}.${number}`, refreshToken: `rt.${family}.${number}` };
}

function failure({ error }: { readonly error?: string }): Readonly<Record<string, string>> {
  return error === undefined ? {} : { error, error_description: "No." };
}

function answered(
  status: number,
  body: Readonly<Record<string, unknown>>,
  { retryAfter }: { readonly retryAfter?: number } = {},
): EgressResult {
  return {
    kind: "answered",
    status,
    headers: {
      "content-type": "application/json",
      ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
    },
    body: new TextEncoder().encode(JSON.stringify(body)),
    redirects: 0,
  };
}

function failed(sent: boolean): EgressResult {
  return { kind: "failed", code: "network", message: "The connection was lost.", sent, answer: null };
}
