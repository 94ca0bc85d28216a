/**
 * Providers that the catalogue does not have: descriptors made from what a tenant says, or from what an issuer publishes.
 * Pure. What is made here is fixed with the integration; another token URL or host is another integration.
 */
import { checkUrl, err, isPublicName, ok, type Result } from "../../platform/index.ts";
import { joinedAt, valuesAt } from "./body.ts";
import type {
  Bound,
  ClientAuth,
  ConsentProvider,
  MachineProvider,
  Refresh,
  Revoke,
  ScopeRules,
  StaticProvider,
} from "./descriptor.ts";
import { TOKEN_HOSTS } from "./hosts.ts";

export const MAX_GENERIC_HOSTS = 16;
const MAX_PARAMS = 16;

/** What the kinds need from the tenant, and what they can be told. */
export const GENERIC_KINDS = [
  "oauth2",
  "oidc",
  "client_credentials",
  "jwt_bearer",
  "api_key",
  "basic",
] as const;
export type GenericKind = (typeof GENERIC_KINDS)[number];

interface GenericBase {
  readonly displayName: string;
  /** Exact public names, lower case. */
  readonly hosts: readonly string[];
  /** Missing: `Authorization: Bearer`; for `basic`: `Authorization: Basic`. */
  readonly present?: { readonly header: string; readonly scheme: string };
}

interface GenericTokens extends GenericBase {
  readonly tokenUrl: string;
  /** Missing: `basic`, which every server must take (RFC 6749 2.3.1). */
  readonly clientAuth?: ClientAuth;
  readonly tokenFormat?: "form" | "json";
  readonly tokenParams?: Readonly<Record<string, string>>;
  readonly scopeSeparator?: " " | ",";
}

export type GenericSettings =
  | (GenericTokens & {
      readonly kind: "oauth2";
      readonly authorizeUrl: string;
      readonly refreshUrl?: string;
      readonly revokeUrl?: string;
      readonly authorizeParams?: Readonly<Record<string, string>>;
      /** Missing: S256. */
      readonly pkce?: ConsentProvider["pkce"];
      readonly defaultScopes?: readonly string[];
      readonly refresh?: Refresh;
      /** A GET with the token that answers JSON; pointers into it. */
      readonly identity?: { readonly url: string; readonly id: string; readonly label: string };
      readonly issuer?: string;
    })
  | (GenericTokens & { readonly kind: "client_credentials" | "jwt_bearer" })
  | (GenericBase & { readonly kind: "api_key" | "basic" });

export interface GenericRefusal {
  readonly code:
    | "url_refused"
    | "host_refused"
    | "hosts_count"
    | "host_mints_tokens"
    | "header_refused"
    | "param_refused"
    | "issuer_mismatch"
    | "metadata_invalid";
  /** JSON Pointer into the settings, or into the metadata. */
  readonly at: string;
}

/** Parameters that belong to the flow; a setting must not change them. */
const RESERVED_PARAMS = new Set(
  "client_id client_secret client_assertion client_assertion_type code code_challenge code_challenge_method code_verifier grant_type nonce redirect_uri refresh_token request request_uri response_type scope state".split(
    " ",
  ),
);
/** Headers that mean something else than a credential. */
const PRESENTING_HEADER =
  /^(?:authorization|[a-z0-9-]{0,60}(?:key|token|auth|secret|credential)[a-z0-9-]{0,20})$/;
/** Rotation is not announced anywhere, so the careful reading is the default. */
const UNKNOWN_REFRESH: Refresh = { kind: "rotating", optional: true };

/** A descriptor from a tenant's settings. */
export function genericProvider(
  settings: GenericSettings,
): Result<Bound<ConsentProvider> | Bound<MachineProvider> | Bound<StaticProvider>, GenericRefusal> {
  const refusal = refusalOf(settings);
  if (refusal !== null) return err(refusal);
  const base = {
    name: settings.kind,
    displayName: settings.displayName,
    hosts: settings.hosts,
    bound: {},
    ...(settings.present === undefined ? {} : { present: settings.present }),
  };
  switch (settings.kind) {
    case "api_key":
      return ok({ ...base, kind: settings.kind });
    case "basic":
      return ok({ ...base, kind: settings.kind, present: { header: "authorization", scheme: "Basic" } });
    case "client_credentials":
    case "jwt_bearer":
      return ok({ ...base, kind: settings.kind, ...tokensOf(settings, undefined) });
    case "oauth2":
      return ok({ ...base, ...consentOf(settings) });
  }
}

/** Whether a descriptor asks for a user's consent. */
export function asksForConsent(provider: Bound): provider is Bound<ConsentProvider> {
  return provider.kind === "oauth2" || provider.kind === "oidc";
}

/** Where an issuer publishes what it is, OpenID Connect Discovery 4. */
export function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

/**
 * A descriptor from an issuer's metadata (OpenID Connect Discovery 3, RFC 8414). The metadata must name the very issuer that
 * was asked (RFC 8414 3.3): else whoever answers for one issuer could hand out the endpoints of another.
 */
export function discoveredProvider(
  issuer: string,
  metadata: unknown,
  settings: GenericBase & { readonly clientAuth?: ClientAuth; readonly defaultScopes?: readonly string[] },
): Result<Bound<ConsentProvider>, GenericRefusal> {
  if (metadataText(metadata, "issuer") !== issuer) return err({ code: "issuer_mismatch", at: "/issuer" });
  const authorize = metadataText(metadata, "authorization_endpoint");
  const tokenUrl = metadataText(metadata, "token_endpoint");
  if (authorize === undefined) return err({ code: "metadata_invalid", at: "/authorization_endpoint" });
  if (tokenUrl === undefined) return err({ code: "metadata_invalid", at: "/token_endpoint" });
  const revokeUrl = metadataText(metadata, "revocation_endpoint");
  const clientAuth = settings.clientAuth ?? chosenAuth(metadata);
  if (clientAuth === null)
    return err({ code: "metadata_invalid", at: "/token_endpoint_auth_methods_supported" });
  const made = genericProvider({
    kind: "oauth2",
    displayName: settings.displayName,
    hosts: settings.hosts,
    ...(settings.present === undefined ? {} : { present: settings.present }),
    authorizeUrl: authorize,
    tokenUrl,
    ...(revokeUrl === undefined ? {} : { revokeUrl }),
    clientAuth,
    pkce: listed(metadata, "code_challenge_methods_supported").includes("S256") ? "S256" : "off",
    defaultScopes: settings.defaultScopes ?? ["openid"],
    // Without it such an issuer gives no refresh token, whatever the scope says (OpenID Connect Core 11).
    ...(listed(metadata, "scopes_supported").includes("offline_access")
      ? { authorizeParams: { prompt: "consent" } }
      : {}),
    issuer,
  });
  if (!made.ok) return made;
  if (made.value.kind !== "oauth2") throw new TypeError("oauth2 settings make an oauth2 provider");
  return ok({
    ...made.value,
    kind: "oidc",
    name: "oidc",
    identity: { from: "id_token", issuer, id: ["/iss", "/sub"], label: ["/email"] },
    issRequired: valuesAt(metadata, "/authorization_response_iss_parameter_supported")[0] === true,
  });
}

function consentOf(
  settings: GenericSettings & { readonly kind: "oauth2" },
): Omit<ConsentProvider, "name" | "displayName" | "hosts"> {
  const { authorizeUrl, refreshUrl, revokeUrl, authorizeParams, identity, issuer } = settings;
  return {
    kind: "oauth2",
    ...tokensOf(settings, settings.defaultScopes),
    authorizeUrl,
    pkce: settings.pkce ?? "S256",
    refresh: settings.refresh ?? UNKNOWN_REFRESH,
    ...(refreshUrl === undefined ? {} : { refreshUrl }),
    ...(authorizeParams === undefined ? {} : { authorizeParams }),
    ...(revokeUrl === undefined ? {} : { revoke: revokeAt(revokeUrl) }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(identity === undefined
      ? {}
      : {
          identity: {
            from: "endpoint",
            method: "GET",
            url: identity.url,
            id: [identity.id],
            label: [identity.label],
          },
        }),
  };
}

/** RFC 7009 2.1. */
function revokeAt(url: string): Revoke {
  return { method: "POST", url, tokens: ["refresh", "access"], how: "form", auth: "client", kills: "token" };
}

function tokensOf(
  settings: GenericTokens,
  defaultScopes: readonly string[] | undefined,
): Pick<MachineProvider, "tokenUrl" | "clientAuth" | "tokenFormat" | "tokenParams" | "scopes"> {
  const scopes: ScopeRules = {
    ...(settings.scopeSeparator === undefined ? {} : { separator: settings.scopeSeparator }),
    ...(defaultScopes === undefined ? {} : { default: defaultScopes }),
  };
  return {
    tokenUrl: settings.tokenUrl,
    clientAuth: [settings.clientAuth ?? "basic"],
    scopes,
    ...(settings.tokenFormat === undefined ? {} : { tokenFormat: settings.tokenFormat }),
    ...(settings.tokenParams === undefined ? {} : { tokenParams: settings.tokenParams }),
  };
}

function refusalOf(settings: GenericSettings): GenericRefusal | null {
  if (settings.hosts.length === 0 || settings.hosts.length > MAX_GENERIC_HOSTS)
    return { code: "hosts_count", at: "/hosts" };
  for (const [index, host] of settings.hosts.entries()) {
    if (!isPublicName(host)) return { code: "host_refused", at: `/hosts/${index}` };
    if (TOKEN_HOSTS.includes(host)) return { code: "host_mints_tokens", at: `/hosts/${index}` };
  }
  if (settings.present !== undefined && !PRESENTING_HEADER.test(settings.present.header))
    return { code: "header_refused", at: "/present/header" };
  if (!/^[A-Za-z][A-Za-z0-9-]{0,31}$|^$/.test(settings.present?.scheme ?? ""))
    return { code: "header_refused", at: "/present/scheme" };
  if (!("tokenUrl" in settings)) return null;
  return urlRefusal(settings) ?? paramRefusal(settings);
}

function urlRefusal(settings: GenericSettings): GenericRefusal | null {
  for (const field of ["authorizeUrl", "tokenUrl", "refreshUrl", "revokeUrl"] as const) {
    const url = (settings as Partial<Record<typeof field, string>>)[field];
    if (url !== undefined && !isEndpoint(url)) return { code: "url_refused", at: `/${field}` };
  }
  const identity = "identity" in settings ? settings.identity : undefined;
  if (identity === undefined) return null;
  if (!isEndpoint(identity.url)) return { code: "url_refused", at: "/identity/url" };
  // The token is sent there, so it is a host like any other.
  return settings.hosts.includes(new URL(identity.url).hostname)
    ? null
    : { code: "host_refused", at: "/identity/url" };
}

/** RFC 6749 3.1 and 3.2: no fragment. A brace would be taken for a part. */
function isEndpoint(url: string): boolean {
  return checkUrl(url, { ownHosts: [] }).ok && !/[#{}]/.test(url);
}

function paramRefusal(settings: GenericSettings): GenericRefusal | null {
  for (const field of ["authorizeParams", "tokenParams"] as const) {
    const params = (settings as Partial<Record<typeof field, Readonly<Record<string, string>>>>)[field] ?? {};
    const names = Object.keys(params);
    if (names.length > MAX_PARAMS) return { code: "param_refused", at: `/${field}` };
    const bad = names.find((name) => RESERVED_PARAMS.has(name) || !/^[a-z][a-z0-9_.]{0,63}$/.test(name));
    if (bad !== undefined) return { code: "param_refused", at: `/${field}/${bad}` };
  }
  return null;
}

function chosenAuth(metadata: unknown): ClientAuth | null {
  // Discovery 3: missing means client_secret_basic.
  const offered =
    valuesAt(metadata, "/token_endpoint_auth_methods_supported").length === 0
      ? ["client_secret_basic"]
      : listed(metadata, "token_endpoint_auth_methods_supported");
  if (offered.includes("client_secret_basic")) return "basic";
  if (offered.includes("client_secret_post")) return "post";
  return offered.includes("private_key_jwt") ? "private_key_jwt" : null;
}

function metadataText(metadata: unknown, name: string): string | undefined {
  return joinedAt(metadata, [`/${name}`]);
}

function listed(metadata: unknown, name: string): readonly unknown[] {
  return valuesAt(metadata, `/${name}`).flat();
}
