/**
 * What the login server remembers: grants, codes, tokens, sessions. It is the storage adapter of oidc-provider, in memory.
 *
 * - S1 every code and token that was ever issued stays in {@link LoginStore.secrets}, also when it is dead.
 * - S2 a refresh token that was used is kept as used: using it again ends its whole grant. Within the leeway, if there is
 *   one, it still counts as unused.
 */

/** A stored record, as oidc-provider hands it over. */
export interface Payload {
  readonly accountId?: string;
  readonly grantId?: string;
  readonly uid?: string;
  readonly scope?: string;
  /** Seconds since the epoch. */
  readonly exp?: number;
  readonly consumed?: number;
}

interface Kept {
  readonly payload: Payload;
  usedAtMs: number | null;
}

/** A user's, and the client's own. */
const ACCESS_MODELS = ["AccessToken", "ClientCredentials"];
const SECRET_MODELS = ["AuthorizationCode", "RefreshToken", ...ACCESS_MODELS];

export class LoginStore {
  /** Every code and token that was issued. */
  readonly secrets = new Set<string>();
  /** How long a refresh token that was rotated away is still taken; 0: not at all. */
  leewayMs = 0;
  readonly #kept = new Map<string, Kept>();

  /** The adapter of one kind of record. */
  adapter(model: string): Adapter {
    return new Adapter(this, this.#kept, model);
  }

  /** The scopes of an access token that lives; null for any other text. */
  scopesOf(accessToken: string): ReadonlySet<string> | null {
    const payload = ACCESS_MODELS.map((model) => this.#kept.get(`${model}:${accessToken}`)?.payload).find(
      (found) => found !== undefined,
    );
    if (payload === undefined || (payload.exp ?? 0) * 1000 <= Date.now()) return null;
    return new Set((payload.scope ?? "").split(" "));
  }

  /** Ends every grant of a user, with all its tokens. How many there were. */
  revokeUser(user: string): number {
    const grants = [...this.#kept].flatMap(([key, { payload }]) =>
      key.startsWith("Grant:") && payload.accountId === user ? [key.slice("Grant:".length)] : [],
    );
    for (const grant of grants) {
      this.revokeGrant(grant);
      this.#kept.delete(`Grant:${grant}`);
    }
    return grants.length;
  }

  revokeGrant(grantId: string): void {
    for (const [key, { payload }] of this.#kept) if (payload.grantId === grantId) this.#kept.delete(key);
  }
}

class Adapter {
  readonly #store: LoginStore;
  readonly #kept: Map<string, Kept>;
  readonly #model: string;

  constructor(store: LoginStore, kept: Map<string, Kept>, model: string) {
    this.#store = store;
    this.#kept = kept;
    this.#model = model;
  }

  async upsert(id: string, payload: Payload): Promise<void> {
    if (SECRET_MODELS.includes(this.#model)) this.#store.secrets.add(id);
    this.#kept.set(this.#key(id), { payload, usedAtMs: null });
  }

  async find(id: string): Promise<Payload | undefined> {
    const kept = this.#kept.get(this.#key(id));
    if (kept === undefined || kept.usedAtMs === null) return kept?.payload;
    const forgiven = this.#model === "RefreshToken" && Date.now() - kept.usedAtMs < this.#store.leewayMs;
    return forgiven ? kept.payload : { ...kept.payload, consumed: Math.floor(kept.usedAtMs / 1000) };
  }

  async findByUid(uid: string): Promise<Payload | undefined> {
    const prefix = this.#key("");
    for (const [key, { payload }] of this.#kept)
      if (key.startsWith(prefix) && payload.uid === uid) return payload;
    return undefined;
  }

  async consume(id: string): Promise<void> {
    const kept = this.#kept.get(this.#key(id));
    if (kept !== undefined) kept.usedAtMs ??= Date.now();
  }

  async destroy(id: string): Promise<void> {
    this.#kept.delete(this.#key(id));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    this.#store.revokeGrant(grantId);
  }

  #key(id: string): string {
    return `${this.#model}:${id}`;
  }
}
