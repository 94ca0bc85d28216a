/**
 * Odd OAuth providers, all at one loopback port: `/{host}/{path}` is `https://{host}/{path}` of a provider. Each checks that
 * what it gets is exactly what that provider demands (quirk-demands.ts), and what is not is complained about.
 *
 * Owns codes, grants and tokens of one server.
 * Q1 A complaint is kept (`complaints`) and answered with 400 `invalid_request`; nothing is issued.
 * Q2 A code works once. A strict provider kills the grant when an old refresh token comes again, a lenient one takes it.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { readBody, send, type Answer, type IncomingMessage, type RequestListener } from "./http.ts";
import { DEMANDS, type Demand, type Pair } from "./quirk-demands.ts";
import type { RawService } from "./service.ts";

interface Grant {
  readonly demand: Demand;
  readonly scopes: string[];
  readonly withRefresh: boolean;
  alive: boolean;
  access: Set<string>;
  refresh: string;
  old: Set<string>;
}

interface Code {
  readonly grant: Grant;
  readonly challenge: string | null;
  readonly redirectUri: string;
}

interface Request {
  readonly demand: Demand;
  readonly method: string;
  /** `host/path` */
  readonly place: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

class Complaint extends Error {}

export class Quirks {
  readonly complaints: string[] = [];
  /** Requests by `host/path`. */
  readonly counts = new Map<string, number>();
  readonly #codes = new Map<string, Code>();
  readonly #grants: Grant[] = [];
  readonly #consented = new Set<string>();
  readonly #armed = new Map<string, Answer>();

  static clientId(name: string): string {
    return `client-${name}`;
  }

  /** With characters that Basic, forms and JSON each write differently. */
  static clientSecret(name: string): string {
    return `s3cret of ${name} +/%&=:ä`;
  }

  /** The next request to a place (`host/path`) is answered with this. */
  arm(place: string, answer: Answer): void {
    this.#armed.set(place, answer);
  }

  /** The user takes everything back at the provider. */
  takeBack(name: string): void {
    for (const grant of this.#of(name)) end(grant);
  }

  /** The refresh tokens that are not dead. */
  live(name: string): number {
    return this.#of(name).filter((grant) => grant.alive).length;
  }

  service(): RawService {
    return { name: "quirks", host: "quirks.example", listener: () => this.listener() };
  }

  listener(): RequestListener {
    return (req, res) => {
      this.#answer(req).then(
        (answer) => send(res, answer),
        (error: unknown) => {
          console.error("quirks: failed", error);
          send(res, {
            status: 500,
            body: { complaint: "the server itself has failed; see its standard error" },
          });
        },
      );
    };
  }

  #of(name: string): Grant[] {
    return this.#grants.filter((grant) => grant.demand.name === name);
  }

  async #answer(req: IncomingMessage): Promise<Answer> {
    const body = await readBody(req);
    const text = body.kind === "read" ? body.bytes.toString() : "";
    const url = new URL(req.url ?? "/", "http://quirks.example");
    const place = url.pathname.slice(1);
    this.counts.set(place, (this.counts.get(place) ?? 0) + 1);
    const demand = this.#demandOf(req, url, text);
    if (demand === undefined) return { status: 404, body: { complaint: `nobody is at ${place}` } };
    const armed = this.#armed.get(place);
    this.#armed.delete(place);
    const request = {
      demand,
      method: req.method ?? "",
      place,
      query: url.searchParams,
      headers: req.headers,
      body: text,
    };
    try {
      return armed ?? this.#serve(request);
    } catch (error) {
      if (!(error instanceof Complaint)) throw error;
      this.complaints.push(`${demand.name}: ${error.message}`);
      return { status: 400, body: { error: "invalid_request", error_description: error.message } };
    }
  }

  /** Two providers can share endpoints; the client's id, or the token, says which one is meant. */
  #demandOf(req: IncomingMessage, url: URL, body: string): Demand | undefined {
    const [, basic = ""] = /^Basic (.+)$/.exec(req.headers.authorization ?? "") ?? [];
    const said = [url.href, body, decodeURIComponent(Buffer.from(basic, "base64").toString())].join(" ");
    const [id] = /client-[a-z-]+/.exec(said) ?? [];
    const byClient = DEMANDS.find((demand) => Quirks.clientId(demand.name) === id?.replace(/-$/, ""));
    if (byClient !== undefined) return byClient;
    const all = `${said} ${JSON.stringify(req.headers)}`;
    return this.#grants.find((grant) =>
      [...grant.access, ...grant.old, grant.refresh].some(
        (token) => token !== "" && all.includes(encodeURIComponent(token)),
      ),
    )?.demand;
  }

  #serve(request: Request): Answer {
    const { demand, place, method } = request;
    if (place === demand.authorize) return this.#authorize(request);
    if (place === demand.token && !this.#isRefreshElsewhere(request)) return this.#token(request);
    if (place === demand.refresh) return this.#refresh(request, fieldsOf(request));
    if (this.#isRevoke(request)) return this.#revoke(request);
    if (!this.#grantOf(request).alive) return demand.errors["token_refused"] ?? { status: 401, body: {} };
    if (demand.apiHeader !== undefined)
      want(request.headers[demand.apiHeader] !== undefined, `no ${demand.apiHeader}`);
    if (
      place === demand.whoami?.at &&
      (demand.whoami.sends === undefined || request.body.includes(demand.whoami.sends))
    ) {
      want(method === demand.whoami.method, `${method} for who it is`);
      want(demand.whoami.sends !== undefined || request.body === "", "a body for who it is");
      return { status: 200, body: demand.whoami.answer };
    }
    if (place === demand.resources?.at) return { status: 200, body: demand.resources.answer };
    want(place === demand.api, `nothing is at ${place}`);
    return { status: 200, body: { ok: true } };
  }

  #isRefreshElsewhere(request: Request): boolean {
    return request.demand.refresh !== undefined && request.body.includes("refresh_token");
  }

  #authorize({ demand, method, query }: Request): Answer {
    want(method === "GET", "authorize is a GET");
    const { scopes, authorizeQuery = {}, pkce, name } = demand;
    const redirectUri = query.get("redirect_uri") ?? "";
    const param = scopes?.param ?? "scope";
    const always = ["response_type", "client_id", "redirect_uri", "state"];
    const challenge = pkce === "never" ? [] : ["code_challenge", "code_challenge_method"];
    const names = [
      ...always,
      ...challenge,
      ...Object.keys(authorizeQuery),
      ...(scopes === null ? [] : [param]),
    ];
    // Whether to prompt is what a first consent hangs on, so a Google without it is there to be seen.
    const free = demand.gives === "first_consent" && !query.has("prompt") ? "prompt" : "";
    same(
      [...query.keys()].toSorted(),
      names.filter((one) => one !== free).toSorted(),
      "parameters of authorize",
    );
    want(query.get("response_type") === "code", "response_type");
    want(query.get("client_id") === Quirks.clientId(name), "client_id");
    if (pkce !== "never") want(query.get("code_challenge_method") === "S256", "code_challenge_method");
    for (const [key, value] of Object.entries(authorizeQuery))
      want(key === free || query.get(key) === value, `${key} is not ${value}`);
    const asked = scopes === null ? [] : (query.get(param) ?? "").split(scopes.separator ?? " ");
    if (scopes !== null)
      same(asked.toSorted(), [...(scopes.own ?? []), "alpha", "beta"].toSorted(), "scopes");
    const first = !this.#consented.has(name);
    this.#consented.add(name);
    const withRefresh =
      demand.gives === "always" ||
      (demand.gives === "first_consent" &&
        query.get("access_type") === "offline" &&
        (first || query.get("prompt") === "consent"));
    const grant = {
      demand,
      scopes: asked,
      withRefresh,
      alive: true,
      access: new Set<string>(),
      refresh: "",
      old: new Set<string>(),
    };
    const code = token("code");
    this.#codes.set(code, { grant, challenge: query.get("code_challenge"), redirectUri });
    const back = new URL(redirectUri);
    const extra = { code, state: query.get("state") ?? "", ...demand.redirectExtra };
    const signed = demand.signedRedirect === "shopify" ? signShopify(name, extra) : extra;
    for (const [key, value] of Object.entries(signed)) back.searchParams.set(key, value);
    return { status: 302, headers: { location: back.href } };
  }

  #token(request: Request): Answer {
    const fields = fieldsOf(request);
    if (fields["grant_type"] === "refresh_token") return this.#refresh(request, fields);
    const { demand } = request;
    checkClient(request, fields);
    const names = ["grant_type", "code", "redirect_uri", ...Object.keys(demand.tokenExtra ?? {})];
    checkNames(request, fields, [...names, ...(demand.pkce === "never" ? [] : ["code_verifier"])]);
    for (const [key, value] of Object.entries(demand.tokenExtra ?? {}))
      want(fields[key] === value, `${key} is not ${value}`);
    want(fields["grant_type"] === "authorization_code", "grant_type");
    const code = this.#codes.get(fields["code"] ?? "");
    this.#codes.delete(fields["code"] ?? "");
    // For the one whose refresh tokens cannot be dead, a dead code is the same answer.
    if (code === undefined || code.grant.demand !== demand) return demand.dead;
    want(code.redirectUri === fields["redirect_uri"], "redirect_uri");
    const verifier = createHash("sha256")
      .update(fields["code_verifier"] ?? "")
      .digest("base64url");
    if (demand.pkce !== "never") want(verifier === code.challenge, "code_verifier");
    this.#grants.push(code.grant);
    if (code.grant.withRefresh) code.grant.refresh = token("refresh");
    return this.#issue(request, code.grant, false);
  }

  #refresh(request: Request, fields: Record<string, string>): Answer {
    const { demand } = request;
    checkClient(request, fields);
    checkNames(request, fields, ["grant_type", "refresh_token"]);
    const given = fields["refresh_token"] ?? "";
    const grant = this.#of(demand.name).find((one) => one.refresh === given || one.old.has(given));
    if (grant?.alive !== true) return demand.dead;
    if (grant.old.has(given) && demand.rotation === "strict") {
      end(grant);
      return demand.dead;
    }
    if (demand.oldAccessDies === true) grant.access.clear();
    if (demand.rotation === "strict" || demand.rotation === "leeway") {
      grant.old.add(grant.refresh);
      grant.refresh = token("refresh");
    }
    return this.#issue(request, grant, true);
  }

  #issue({ demand, headers }: Request, grant: Grant, refreshed: boolean): Answer {
    const access = token("access", demand.accessChars);
    grant.access.add(access);
    const answered = demand.scopes?.answered;
    const pair: Pair = {
      access_token: access,
      token_type: "bearer",
      ...(typeof demand.expires === "number" ? { expires_in: demand.expires } : {}),
      ...(grant.refresh !== "" && (demand.rotation !== "static" || !refreshed)
        ? { refresh_token: grant.refresh }
        : {}),
      ...(answered === null || demand.scopes === null ? {} : { scope: grant.scopes.join(answered ?? " ") }),
    };
    const plain = (demand.answer ?? ((one: Pair) => one))(pair, refreshed) as Record<string, unknown>;
    const body = demand.idToken === undefined ? plain : { ...plain, id_token: idToken(demand) };
    if (demand.formUnlessAsked !== true || headers.accept === "application/json")
      return { status: 200, body };
    const form = new URLSearchParams(body as Record<string, string>).toString();
    return {
      status: 200,
      headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
      body: form,
    };
  }

  #isRevoke({ demand, place }: Request): boolean {
    if (demand.revoke === null) return false;
    const at = demand.revoke.at.replace("CLIENT", Quirks.clientId(demand.name));
    return at.endsWith("TOKEN") ? place.startsWith(at.slice(0, -5)) : place === at;
  }

  #revoke(request: Request): Answer {
    const { demand, method, place, headers } = request;
    const { revoke } = demand;
    if (revoke === null) throw new Complaint("there is nothing to revoke with");
    want(method === revoke.method, `${method} to revoke`);
    let given = "";
    if (revoke.how === "path") given = decodeURIComponent(place.split("/").at(-1) ?? "");
    else if (revoke.how === "bearer") given = (headers.authorization ?? "").replace("Bearer ", "");
    else {
      const fields = fieldsOf({
        ...request,
        demand: { ...demand, body: revoke.how === "json" ? "json" : undefined } as Demand,
      });
      const auth = revoke.auth === "basic" ? "basic" : demand.auth;
      if (revoke.auth === "none") want(headers.authorization === undefined, "credentials to revoke");
      else checkClient({ ...request, demand: { ...demand, auth } }, fields);
      const name = revoke.field ?? "token";
      const shown = revoke.auth !== "none" && auth === "post" ? ["client_id", "client_secret"] : [];
      same(Object.keys(fields).toSorted(), [name, ...shown].toSorted(), "fields to revoke");
      given = fields[name] ?? "";
    }
    const grant = this.#of(demand.name).find((one) => one.refresh === given || one.access.has(given));
    if (grant !== undefined) end(grant);
    else want(this.#of(demand.name).length > 0, "an unknown token to revoke");
    return { status: 200, body: { ok: true, revoked: true } };
  }

  #grantOf(request: Request): Grant {
    const { demand, headers } = request;
    const name = demand.present ?? "authorization";
    const value = String(headers[name] ?? "");
    const given = name === "authorization" ? value.replace(/^Bearer /, "") : value;
    const grant = this.#of(demand.name).find((one) => one.access.has(given));
    want(
      name === "authorization" ? value.startsWith("Bearer ") : headers.authorization === undefined,
      "how the token is shown",
    );
    if (grant === undefined) throw new Complaint("a token that is not known");
    return grant;
  }
}

function fieldsOf({ demand, headers, body, method }: Request): Record<string, string> {
  want(method !== "GET", "a GET for a token");
  want(headers.accept === "application/json", "Accept");
  const type = demand.body === "json" ? "application/json" : "application/x-www-form-urlencoded";
  want(headers["content-type"] === type, `Content-Type ${headers["content-type"] ?? ""}`);
  return demand.body === "json"
    ? (JSON.parse(body) as Record<string, string>)
    : Object.fromEntries(new URLSearchParams(body));
}

/** RFC 6749 2.3.1: both halves form-encoded, then base64. */
function checkClient({ demand, headers }: Request, fields: Record<string, string>): void {
  const [id, secret] = [Quirks.clientId(demand.name), Quirks.clientSecret(demand.name)];
  if (demand.auth === "post") {
    want(headers.authorization === undefined, "Basic where the secret belongs into the body");
    want(fields["client_id"] === id && fields["client_secret"] === secret, "client credentials in the body");
    return;
  }
  const [scheme, value = ""] = (headers.authorization ?? "").split(" ");
  const halves = Buffer.from(value, "base64").toString().split(":");
  const decoded = halves.map((half: string) => decodeURIComponent(half.replaceAll("+", " ")));
  want(scheme === "Basic" && halves.length === 2, "no Basic");
  want(decoded[0] === id && decoded[1] === secret, "client credentials in Basic");
}

function checkNames({ demand }: Request, fields: Record<string, string>, names: string[]): void {
  const shown = demand.auth === "post" ? ["client_id", "client_secret"] : [];
  same(Object.keys(fields).toSorted(), [...names, ...shown].toSorted(), "fields of the token request");
}

function signShopify(name: string, fields: Record<string, string>): Record<string, string> {
  const all: Record<string, string> = {
    ...fields,
    shop: "acme-store.myshopify.com",
    timestamp: "1800000000",
    host: "YWRtaW4",
  };
  const message = Object.keys(all)
    .toSorted()
    .map((key) => `${key}=${all[key] ?? ""}`)
    .join("&");
  return { ...all, hmac: createHmac("sha256", Quirks.clientSecret(name)).update(message).digest("hex") };
}

function idToken(demand: Demand): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { ...demand.idToken, aud: Quirks.clientId(demand.name), exp: 1_800_003_600 };
  return `${part({ alg: "RS256" })}.${part(claims)}.${part("signature")}`;
}

function token(kind: string, chars = 48): string {
  const begin = `${kind}.${randomBytes(24).toString("base64url")}`;
  return begin.padEnd(chars, "x");
}

function end(grant: Grant): void {
  grant.alive = false;
}

function want(holds: boolean, complaint: string): asserts holds {
  if (!holds) throw new Complaint(complaint);
}

function same(given: readonly string[], wanted: readonly string[], what: string): void {
  want(given.join("\n") === wanted.join("\n"), `${what}: ${given.join(" ")} instead of ${wanted.join(" ")}`);
}
