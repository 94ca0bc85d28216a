/**
 * What a provider is: data. Everything that tells one OAuth provider from another stands in a value of these types, so that
 * the code that refreshes, revokes and calls is one code for all of them. All of it is JSON (patterns are texts), so a bound
 * descriptor can be stored with an integration and outlives a change of the catalogue.
 *
 * Owns the vocabulary only. The values stand in catalog/ and generic.ts, what is done with them in the files beside this one.
 * The names of providers and of their fields are a PERSISTED CONTRACT: they gain optional fields only.
 */

/** How the client shows who it is at the token endpoint. `basic_raw`: without the encoding that RFC 6749 2.3.1 asks for. */
export type ClientAuth = "basic" | "basic_raw" | "post" | "private_key_jwt" | "none";

/**
 * What an answer means for the connection.
 * - `token_refused`: this access token was not taken. Refresh once and try again; what a bare 401 means everywhere.
 * - `token_dead`: the grant is gone; no refresh helps, the user has to connect again.
 * - `scope_missing`: the grant is too narrow.
 * - `rate_limited`: later. Counts for all who use the connection.
 * - `refused`: the account may not do this; neither a refresh nor a new consent helps.
 * - `misconfigured`: the integration is wrong; only its owner can help.
 * - `passing`: says nothing about the connection; try again.
 */
export type Meaning =
  | "token_refused"
  | "token_dead"
  | "scope_missing"
  | "rate_limited"
  | "refused"
  | "misconfigured"
  | "passing";

/**
 * Values at places of a JSON body: a JSON Pointer (RFC 6901), where `*` stands for any element of a list, to the text that
 * must stand there, or one of several. Numbers and booleans are compared as text. A `*` at the end of a text: begins with it.
 */
export type BodyMatch = Readonly<Record<string, string | readonly string[]>>;

/** The first rule that fits an answer says what it means. A rule must say something about status, body or headers. */
export interface ErrorRule {
  readonly is: Meaning;
  /** Missing: any. */
  readonly status?: number | readonly number[];
  /** The hosts whose answers it is about; missing: all. Where files are served, a body is anybody's word. */
  readonly hosts?: readonly string[];
  readonly body?: BodyMatch;
  /** Lower-case name to value; `*`: any value. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the missing scopes stand: pointers to a text or a list of texts. */
  readonly scopesAt?: readonly string[];
  /** The header that says until when a limit lasts, and how. Without it: Retry-After. */
  readonly until?: { readonly header: string; readonly unit: "epoch_s" | "epoch_ms" | "s" };
}

/** A part of URLs that the tenant (or the user) chooses: a tenant's id, a host, a shop. */
export interface Part {
  /** Regular expression for the whole text. What comes out must be a public host name all the same. */
  readonly pattern: string;
  readonly example: string;
  readonly default?: string;
}

/** Where the pair stands in a token answer: the first place that has an access token, and fits `if`. */
export interface PairPlace {
  /** JSON Pointer to the object that holds access_token, refresh_token, expires_in, scope. */
  readonly at: string;
  readonly if?: BodyMatch;
}

/** Where the fields are, if not as RFC 6749 5.1 says. */
export interface AnswerShape {
  readonly pairs?: readonly PairPlace[];
  /** Unit of `expires_in`. Missing: seconds. */
  readonly expiresInUnit?: "s" | "ms";
  /** Pointers to seconds until the refresh token ends if it is not used. */
  readonly refreshExpiresIn?: string;
  /** Pointer to seconds until it ends whatever happens. */
  readonly hardExpiresIn?: string;
  /** Further values to keep with the connection, by name. */
  readonly extra?: Readonly<Record<string, string>>;
}

export interface Refresh {
  /**
   * `rotating`: each use brings a new one, and the old one may be dead. Also where that is not known: it is the careful reading.
   * `static`: the same one stays. `none`: there are no refresh tokens.
   */
  readonly kind: "none" | "static" | "rotating";
  /** Whether an answer without a refresh token is fine: the access token does not expire then. */
  readonly optional?: boolean;
  /** How long an old refresh token is taken again after its use. Missing: not at all. */
  readonly reuseLeewayMs?: number;
  /** It ends when it was not used for so long. */
  readonly idleLimitMs?: number;
  /** It ends so long after the consent. */
  readonly absoluteLimitMs?: number;
}

/** Who the account is. `id` and `label` name several places; what stands there is joined with `:`. */
export type Identity =
  | {
      readonly from: "endpoint";
      readonly method: "GET" | "POST";
      readonly url: string;
      /** A JSON body. */
      readonly json?: string;
      readonly id: readonly string[];
      readonly label: readonly string[];
    }
  | {
      readonly from: "id_token";
      /** `{tid}` is the claim of that name (Microsoft has an issuer per directory). */
      readonly issuer: string;
      readonly id: readonly string[];
      readonly label: readonly string[];
    }
  | { readonly from: "answer"; readonly id: readonly string[]; readonly label: readonly string[] }
  /** Names of values in the redirect's query, or of parts. */
  | { readonly from: "redirect" | "part"; readonly id: readonly string[]; readonly label: readonly string[] };

/** What a token reaches beside the account: sites, organisations. A call names one by its id. */
export interface Resources {
  readonly url: string;
  /** Pointers within an element of the list. */
  readonly id: string;
  readonly label: string;
}

export interface Revoke {
  readonly method: "POST" | "DELETE";
  /** `{client_id}` and, for `path`, `{token}` are filled in. */
  readonly url: string;
  /** Which of the two tokens are sent, in this order, a request for each. */
  readonly tokens: readonly ("refresh" | "access")[];
  /** Where the token stands: a field `token` (or `field`) of a form or a JSON body, the path, or the Authorization header. */
  readonly how: "form" | "json" | "path" | "bearer";
  readonly field?: string;
  /** `client`: as at the token endpoint. */
  readonly auth: "client" | "basic" | "none";
  /** `token`: the one sent and what came with it; `grant`: everything this app got from this user; `account`: all sessions. */
  readonly kills: "token" | "grant" | "account";
}

/** A value that arrives in the redirect's query beside the code. */
export interface RedirectValue {
  readonly name: string;
  readonly pattern: string;
  readonly required: boolean;
}

interface Base {
  readonly name: string;
  readonly displayName: string;
  readonly docs?: string;
  readonly parts?: Readonly<Record<string, Part>>;
  /** The only hosts that the token may be sent to, exactly. */
  readonly hosts: readonly string[];
  /** The host of a URL among the answer's extra values is one, too, if it ends with one of these. */
  readonly hostFrom?: { readonly extra: string; readonly suffixes: readonly string[] };
  /**
   * `host/path` that the token may not be sent to although the host is listed. A path denies all that begins with it; `*` in
   * it is any text. The provider's own OAuth endpoints need not be listed.
   */
  readonly denied?: readonly string[];
  /** How the token is presented. Missing: `Authorization: Bearer`. An empty scheme: the token alone. */
  readonly present?: { readonly header: string; readonly scheme: string };
  /** Sent with each call unless the step has its own. */
  readonly apiHeaders?: Readonly<Record<string, string>>;
  readonly apiErrors?: readonly ErrorRule[];
  readonly resources?: Resources;
  /** Pointers into this descriptor: well known, but not checked against the provider's own word. */
  readonly unverified?: readonly string[];
}

interface WithTokenEndpoint extends Base {
  readonly tokenUrl: string;
  /** Ways that the provider takes; the first is used unless the integration names another. */
  readonly clientAuth: readonly ClientAuth[];
  /** Missing: form. */
  readonly tokenFormat?: "form" | "json";
  readonly tokenParams?: Readonly<Record<string, string>>;
  readonly answer?: AnswerShape;
  readonly tokenErrors?: readonly ErrorRule[];
  readonly scopes?: ScopeRules;
}

export interface ScopeRules {
  /** Between scopes in a request. Missing: space. Answers are read with spaces and commas. */
  readonly separator?: " " | ",";
  /** Asked for always. */
  readonly default?: readonly string[];
  /** Asked for as well when the account is to be known. */
  readonly identity?: readonly string[];
  /** Missing: `scope`. */
  readonly param?: string;
  /** True where permissions are set at the provider and requests name no scopes. */
  readonly none?: boolean;
  /** Missing: true. False where answers name scopes in another way than requests do, so that they cannot be compared. */
  readonly comparable?: boolean;
}

/** A user consents in the browser. */
export interface ConsentProvider extends WithTokenEndpoint {
  readonly kind: "oauth2" | "oidc";
  readonly authorizeUrl: string;
  readonly authorizeParams?: Readonly<Record<string, string>>;
  /** Missing: the token URL. */
  readonly refreshUrl?: string;
  readonly refreshParams?: Readonly<Record<string, string>>;
  /** `required`: the provider refuses a flow without it. `off`: must not be sent. */
  readonly pkce: "S256" | "required" | "off";
  readonly refresh: Refresh;
  readonly revoke?: Revoke;
  readonly identity?: Identity;
  readonly redirectValues?: readonly RedirectValue[];
  /** RFC 9207: what `iss` in the redirect must be, and whether it must be there. */
  readonly issuer?: string;
  readonly issRequired?: boolean;
  /** What the callback needs beyond RFC 6749; callback.ts has the code. */
  readonly callbackCheck?: "shopify_hmac";
}

/** The tenant's own access, no user involved: RFC 6749 4.4, RFC 7523. */
export interface MachineProvider extends WithTokenEndpoint {
  readonly kind: "client_credentials" | "jwt_bearer";
}

/** A credential that does not change. */
export interface StaticProvider extends Base {
  readonly kind: "api_key" | "basic";
}

export type Provider = ConsentProvider | MachineProvider | StaticProvider;

/** A provider whose parts are filled in and checked (bind.ts). Only these reach the functions that build requests. */
export type Bound<P extends Provider = Provider> = P & {
  /** The parts that were chosen. */
  readonly bound: Readonly<Record<string, string>>;
};

export const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;
