/** Bearer tokens: one per service host. Owns the secrets; hands out only yes and no. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { problem, type Answer } from "./http.ts";

export function newToken(service: string): string {
  return `${service}_${randomBytes(18).toString("base64url")}`;
}

export class Tokens {
  readonly #digests: ReadonlyMap<string, Buffer>;

  constructor(tokens: Readonly<Record<string, string>>) {
    this.#digests = new Map(Object.entries(tokens).map(([host, token]) => [host, digest(token)]));
  }

  /** Null if the `Authorization` header opens this host, else the 401 of RFC 6750 section 3. */
  refusal(host: string, authorization: string | undefined): Answer | null {
    const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined)
      return unauthorized(
        host,
        "token_missing",
        "Send Authorization: Bearer with the token of this service.",
      );
    const wanted = this.#digests.get(host);
    if (wanted !== undefined && timingSafeEqual(wanted, digest(token))) return null;
    return unauthorized(host, "invalid_token", "The bearer token is not one of this service.");
  }
}

/** RFC 6750 section 3.1: no error code where no token was sent. */
export function unauthorized(host: string, code: "token_missing" | "invalid_token", detail: string): Answer {
  const answer = problem(401, code, detail);
  const error = code === "invalid_token" ? ', error="invalid_token"' : "";
  return { ...answer, headers: { ...answer.headers, "www-authenticate": `Bearer realm="${host}"${error}` } };
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
