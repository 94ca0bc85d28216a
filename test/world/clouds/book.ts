/**
 * What the clouds know of each other and what tests know of them: clocks and settings, errors that are armed, every exchange
 * that was asked for, every credential that lives.
 *
 * Owns all of that, in memory only: a world that is started again knows none. Does not own trust (trust.ts) or issuers' keys.
 * - B1 every exchange that reached a token service is noted, granted or refused, with what the identity token said;
 * - B2 a credential that was once issued stays in `secrets`, dead or alive: they are what must be found nowhere else.
 */
import { randomBytes } from "node:crypto";
import { CLOUD_HOSTS, isCloudName, type CloudName, type TokenService } from "./names.ts";

export interface CloudSettings {
  /** How far the service's clock is ahead (behind, if negative), in milliseconds. */
  readonly skewMs: number;
  /** How long discovery and JWKS of an issuer are kept. */
  readonly jwksCacheMs: number;
  /** Whether a key id that is not in a kept JWKS makes the service fetch it again. */
  readonly refetchUnknownKid: boolean;
  /** Seconds by which the times of an identity token may be wrong. */
  readonly leewayS: number;
  /** Life of what is issued, where the request does not say it. Null: the service's own. */
  readonly lifeS: number | null;
  /** Whether the answer says `expires_in`. */
  readonly saysLife: boolean;
}

const DEFAULTS: CloudSettings = {
  skewMs: 0,
  jwksCacheMs: 5 * 60 * 1000,
  refetchUnknownKid: true,
  leewayS: 0,
  lifeS: null,
  saysLife: true,
};

/** One request for a credential. */
export interface Exchange {
  readonly service: TokenService | "gcp-iam";
  /** `AssumeRole`, `generateAccessToken`, ... */
  readonly action: string;
  readonly at: number;
  /** The service's own code; null: granted. */
  readonly refused: string | null;
  /** Of the identity token, as far as it could be read; of a request with another credential null. */
  readonly token: {
    readonly iss: unknown;
    readonly sub: unknown;
    readonly aud: unknown;
    readonly jti: unknown;
    readonly kid: unknown;
  } | null;
  /** The role, service account or app that was asked for. */
  readonly wanted: string;
  /** Milliseconds since 1970 by the service's clock; null if refused. */
  readonly expiresAt: number | null;
}

/** A bearer token that a cloud issued. */
export interface Bearer {
  readonly token: string;
  readonly service: CloudName;
  /** Who it speaks for, as the vendor writes it. */
  readonly principal: string;
  readonly scopes: readonly string[];
  /** What else the vendor remembers: mapped attributes, policies. */
  readonly about: Readonly<Record<string, string>>;
  expiresAt: number;
}

export interface CloudCounts {
  readonly asked: number;
  readonly granted: number;
  readonly refused: Readonly<Record<string, number>>;
}

const MAX_EXCHANGES = 100_000;

/** What an answer says of a token that was issued just now: whole seconds. */
export function lifeOf(bearer: Bearer, now: number): number {
  return Math.round((bearer.expiresAt - now) / 1000);
}

export class CloudBook {
  readonly #settings = new Map<CloudName, CloudSettings>();
  readonly #armed = new Map<CloudName, { code: string; left: number }[]>();
  readonly #bearers = new Map<string, Bearer>();
  readonly #used = new Set<string>();
  readonly #secrets: string[] = [];
  #exchanges: Exchange[] = [];

  settings(service: CloudName): CloudSettings {
    return this.#settings.get(service) ?? DEFAULTS;
  }

  /** Of one service, or of all. */
  change(changed: Partial<CloudSettings>, service?: CloudName): void {
    const names = service === undefined ? Object.keys(CLOUD_HOSTS).filter(isCloudName) : [service];
    for (const name of names) this.#settings.set(name, { ...this.settings(name), ...changed });
  }

  /**
   * Milliseconds since 1970 by the clock of a service. It begins with the machine's own, which issuers read as well: a token is
   * never from the future by the drift of a clock that only this process has.
   */
  now(service: CloudName): number {
    return Date.now() + this.settings(service).skewMs;
  }

  /** The next requests to a service are refused with one of its own codes, in its own form. */
  arm(service: CloudName, code: string, times = 1): void {
    this.#armed.set(service, [...(this.#armed.get(service) ?? []), { code, left: times }]);
  }

  takeArmed(service: CloudName): string | null {
    const next = this.#armed.get(service)?.find(({ left }) => left > 0);
    if (next === undefined) return null;
    next.left -= 1;
    return next.code;
  }

  note(exchange: Omit<Exchange, "at">): void {
    if (this.#exchanges.length < MAX_EXCHANGES) this.#exchanges.push({ at: Date.now(), ...exchange });
  }

  exchanges(service?: Exchange["service"]): readonly Exchange[] {
    return this.#exchanges.filter((one) => service === undefined || one.service === service);
  }

  counts(): Readonly<Record<string, CloudCounts>> {
    const counts: Record<string, { asked: number; granted: number; refused: Record<string, number> }> = {};
    for (const { service, refused } of this.#exchanges) {
      const count = (counts[service] ??= { asked: 0, granted: 0, refused: {} });
      count.asked += 1;
      if (refused === null) count.granted += 1;
      else count.refused[refused] = (count.refused[refused] ?? 0) + 1;
    }
    return counts;
  }

  forgetExchanges(): void {
    this.#exchanges = [];
  }

  /** Whether an id is new, for services that take each once. */
  useOnce(service: CloudName, id: string): boolean {
    const key = `${service} ${id}`;
    if (this.#used.has(key)) return false;
    this.#used.add(key);
    return true;
  }

  issue(prefix: string, bearer: Omit<Bearer, "token">): Bearer {
    const issued = { ...bearer, token: this.secret(prefix) };
    this.#bearers.set(issued.token, issued);
    return issued;
  }

  /** A living token that one of these services issued. */
  bearer(authorization: string | undefined, issuers: readonly CloudName[], at: number): Bearer | null {
    const bearer = this.#bearers.get(/^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "");
    return bearer !== undefined && issuers.includes(bearer.service) && bearer.expiresAt > at ? bearer : null;
  }

  /** A new secret text that is remembered as one (B2). */
  secret(prefix: string, bytes = 32): string {
    const text = `${prefix}${randomBytes(bytes).toString("base64url")}`;
    this.#secrets.push(text);
    return text;
  }

  secrets(): readonly string[] {
    return [...this.#secrets];
  }

  /** Every bearer token of a service is dead from now on, whatever was said of its life. */
  endBearers(service: CloudName): void {
    for (const bearer of this.#bearers.values()) if (bearer.service === service) bearer.expiresAt = 0;
  }
}
