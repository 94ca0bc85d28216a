/** Bearer tokens: one per service host, and those that the login server issued. Owns the former; hands out only yes and no. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { problem, type Answer } from "./http.ts";

export function newToken(service: string): string {
  return `${service}_${randomBytes(18).toString("base64url")}`;
}

/** Says what an access token of the login server may do; null if it lives no more, or never did. */
export type ScopesOf = (accessToken: string) => ReadonlySet<string> | null;

export class Tokens {
  readonly #scopesOf: ScopesOf;
  readonly #digests: ReadonlyMap<string, Buffer>;

  constructor(tokens: Readonly<Record<string, string>>, scopesOf: ScopesOf) {
    this.#scopesOf = scopesOf;
    this.#digests = new Map(Object.entries(tokens).map(([host, token]) => [host, digest(token)]));
  }

  /**
   * Null if the `Authorization` header opens this host, else the 401 or 403 of RFC 6750 section 3.
   * @param scope what an access token of the login server needs; null: the host takes none
   */
  refusal(host: string, authorization: string | undefined, scope: string | null): Answer | null {
    const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined)
      return unauthorized(host, "token_missing", "Send the token of this service as Authorization: Bearer.");
    const wanted = this.#digests.get(host);
    if (wanted !== undefined && timingSafeEqual(wanted, digest(token))) return null;
    const scopes = scope === null ? null : this.#scopesOf(token);
    if (scope === null || scopes === null)
      return unauthorized(host, "invalid_token", "The bearer token is not one of this service.");
    return scopes.has(scope) ? null : insufficient(host, scope);
  }
}

/** RFC 6750 section 3.1: no error code where no token was sent. */
export function unauthorized(host: string, code: "token_missing" | "invalid_token", detail: string): Answer {
  const answer = problem(401, code, detail);
  const error = code === "invalid_token" ? ', error="invalid_token"' : "";
  return { ...answer, headers: { ...answer.headers, "www-authenticate": `Bearer realm="${host}"${error}` } };
}

function insufficient(host: string, scope: string): Answer {
  const answer = problem(403, "insufficient_scope", `This takes the scope ${scope}.`);
  const challenge = `Bearer realm="${host}", error="insufficient_scope", scope="${scope}"`;
  return { ...answer, headers: { ...answer.headers, "www-authenticate": challenge } };
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
