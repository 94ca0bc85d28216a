/**
 * Making an integration: everything that decides where its tokens may go is checked here, once, and fixed. Owns what an
 * integration may be; does not own what a provider is (providers/).
 *
 * I1 hosts and endpoints are exact public names, none of them ours, none that mints tokens, and never change afterwards.
 * I2 a secret is taken only in the form in which it will be sent, and never said again.
 */
import {
  checkUrl,
  type Egress,
  err,
  isName,
  type HostRules,
  isDevelopmentBuild,
  ok,
  type Result,
} from "../platform/index.ts";
import { readSigningSecret } from "./assertions.ts";
import type { FixedIntegration, Integration, IntegrationSettings } from "./integrations.ts";
import {
  asksForConsent,
  bindProvider,
  type Bound,
  CATALOG,
  type ClientAuth,
  discoveredProvider,
  discoveryUrl,
  findProvider,
  GENERIC_KINDS,
  type GenericKind,
  genericProvider,
  type GenericSettings,
  type Refresh,
  TOKEN_HOSTS,
} from "./providers/index.ts";

/** What a tenant says of a provider that the catalogue does not have. Which of it a kind takes stands in `FIELDS`. */
export interface CustomProvider {
  readonly displayName?: string;
  readonly hosts?: readonly string[];
  readonly present?: { readonly header: string; readonly scheme?: string };
  readonly authorizeUrl?: string;
  readonly tokenUrl?: string;
  readonly refreshUrl?: string;
  readonly revokeUrl?: string;
  readonly issuer?: string;
  readonly authorizeParams?: Readonly<Record<string, string>>;
  readonly tokenParams?: Readonly<Record<string, string>>;
  readonly tokenFormat?: "form" | "json";
  readonly scopeSeparator?: " " | ",";
  readonly pkce?: "S256" | "required" | "off";
  readonly refresh?: Refresh;
  readonly identity?: { readonly url: string; readonly id: string; readonly label: string };
}

/** The settings as a request brings them. */
export interface WantedSettings {
  /** Of a provider that the catalogue does not have. */
  readonly displayName?: string;
  readonly scopesAllowed?: readonly string[];
  readonly scopesDefault?: readonly string[];
  readonly mode?: IntegrationSettings["mode"];
  readonly linkEnabled?: boolean;
  readonly returnTo?: readonly string[];
  readonly workflows?: readonly string[];
}

export interface WantedSecret {
  readonly clientSecret?: string;
  /** As `SigningSecret`. */
  readonly signingKey?: unknown;
}

export interface IntegrationRequest extends WantedSettings, WantedSecret {
  readonly name: string;
  /** Name of the catalogue, or a kind. */
  readonly provider: string;
  readonly owner?: "user" | "tenant";
  readonly clientId?: string;
  readonly clientAuth?: ClientAuth;
  readonly parts?: Readonly<Record<string, string>>;
  readonly custom?: CustomProvider;
}

export interface Flaw {
  /** JSON Pointer into the request, in its own spelling. */
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
  readonly allowed?: readonly string[];
}

export type DraftRefusal = {
  readonly code: "invalid_integration" | "discovery_failed";
  readonly flaws: readonly Flaw[];
};

export interface IntegrationDraft {
  readonly kind: Integration["kind"];
  readonly owner: Integration["owner"];
  readonly fixed: FixedIntegration;
  readonly settings: IntegrationSettings;
  readonly secret: string | null;
}

export interface DraftDeps {
  readonly egress: Egress;
  readonly ownHosts: HostRules["ownHosts"];
}

const DISCOVERY_TIMEOUT_MS = 10_000;
const MAX_METADATA_BYTES = 262_144;
/** Sent in a form, a header or JSON: what a line of text can hold. */
const SECRET_TEXT = /^[^\p{Cc}]+$/u;
/** RFC 6749 3.3; without the comma, which some providers put between scopes. */
const SCOPE = /^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,256}$/;

type Field = keyof CustomProvider;
const ALWAYS: readonly Field[] = ["hosts"];
const TOKENS: readonly Field[] = ["present", "tokenFormat", "tokenParams", "scopeSeparator"];
const FIELDS: Readonly<
  Record<GenericKind, { readonly needs: readonly Field[]; readonly takes: readonly Field[] }>
> = {
  oauth2: {
    needs: ["authorizeUrl", "tokenUrl"],
    takes: [...TOKENS, "refreshUrl", "revokeUrl", "issuer", "authorizeParams", "pkce", "refresh", "identity"],
  },
  oidc: { needs: ["issuer"], takes: ["present"] },
  client_credentials: { needs: ["tokenUrl"], takes: TOKENS },
  jwt_bearer: { needs: ["tokenUrl"], takes: TOKENS },
  api_key: { needs: [], takes: ["present"] },
  basic: { needs: [], takes: [] },
};

export async function draftIntegration(
  deps: DraftDeps,
  request: IntegrationRequest,
): Promise<Result<IntegrationDraft, DraftRefusal>> {
  const made = await providerOf(deps, request);
  if (!made.ok) return made;
  const provider = made.value;
  const { kind } = provider;
  const foreign = foreignPlace(provider, deps.ownHosts);
  if (foreign !== null) return refuse(foreign);
  const machine = kind === "client_credentials" || kind === "jwt_bearer";
  const owner = request.owner ?? (machine ? "tenant" : "user");
  if (machine && owner === "user")
    return refuse(flaw("/owner", "owner_mismatch", `What ${kind} gives is the tenant's own.`, ["tenant"]));
  const client = clientFlaw(provider, request);
  if (client !== null) return refuse(client);
  const secret = await secretOf(provider, request);
  if (!secret.ok) return refuse(secret.error);
  const settings = settingsOf({ kind, owner, fixed: { provider, clientId: "" } }, request);
  if (!settings.ok) return refuse(settings.error);
  return ok({
    ...{ kind, owner, settings: settings.value, secret: secret.value },
    fixed: { provider, clientId: request.clientId ?? "" },
  });
}

async function providerOf(
  deps: DraftDeps,
  request: IntegrationRequest,
): Promise<Result<Bound, DraftRefusal>> {
  const { provider: name, parts, custom, clientAuth } = request;
  const kind = GENERIC_KINDS.find((one) => one === name);
  if (kind !== undefined) {
    if (parts !== undefined)
      return refuse(flaw("/parts", "field_unknown", "Only providers of the catalogue have parts."));
    return customProvider(
      deps,
      kind,
      { ...custom, displayName: custom?.displayName ?? request.name },
      clientAuth,
    );
  }
  const known = findProvider(name);
  if (known === undefined)
    return refuse(
      flaw("/provider", "provider_unknown", "There is no such provider.", [
        ...CATALOG.map((one) => one.name),
        ...GENERIC_KINDS,
      ]),
    );
  if (custom !== undefined)
    return refuse(
      flaw(
        "/custom",
        "field_unknown",
        `${known.displayName} is in the catalogue: it is known where its tokens may go.`,
      ),
    );
  if (clientAuth !== undefined && !known.clientAuth.includes(clientAuth))
    return refuse(
      flaw("/client_auth", "client_auth_refused", `${known.displayName} does not take it.`, known.clientAuth),
    );
  const bound = bindProvider(
    clientAuth === undefined ? known : { ...known, clientAuth: [clientAuth] },
    parts ?? {},
  );
  if (bound.ok) return bound;
  const { code, at, message } = bound.error;
  return refuse(flaw(code === "url_refused" ? "/parts" : `/parts/${at}`, code, message));
}

async function customProvider(
  deps: DraftDeps,
  kind: GenericKind,
  custom: CustomProvider,
  clientAuth: ClientAuth | undefined,
): Promise<Result<Bound, DraftRefusal>> {
  const { needs, takes } = FIELDS[kind];
  const needed = [...ALWAYS, ...needs];
  const missing = needed.find((field) => custom[field] === undefined);
  if (missing !== undefined)
    return refuse(
      flaw(`/custom${snake(missing)}`, "field_missing", `A provider of the kind ${kind} needs it.`),
    );
  const known = new Set<string>([...needed, ...takes, "displayName"]);
  const stray = Object.keys(custom).find((field) => !known.has(field));
  if (stray !== undefined)
    return refuse(
      flaw(`/custom${snake(stray)}`, "field_unknown", `A provider of the kind ${kind} has no such field.`),
    );
  if (
    kind === "jwt_bearer" &&
    clientAuth !== undefined &&
    clientAuth !== "none" &&
    clientAuth !== "private_key_jwt"
  )
    return refuse(
      flaw("/client_auth", "client_auth_refused", "The signed grant stands for the client.", [
        "none",
        "private_key_jwt",
      ]),
    );
  const auth = clientAuth ?? (kind === "jwt_bearer" ? "none" : undefined);
  const { present, ...rest } = custom;
  const settings = {
    ...rest,
    displayName: custom.displayName ?? kind,
    ...(present === undefined ? {} : { present: presentOf(present) }),
    ...(auth === undefined ? {} : { clientAuth: auth }),
  };
  if (kind === "oidc")
    return discovered(deps, { ...settings, hosts: custom.hosts ?? [] }, custom.issuer ?? "");
  // Which fields a kind needs and takes was checked against the table above.
  const made = genericProvider({ ...settings, kind } as unknown as GenericSettings);
  return made.ok ? made : refuse(genericFlaw(made.error));
}

/** Names of headers mean the same in any case. `Bearer` is what goes into `Authorization`; a header of one's own has no scheme. */
function presentOf({ header, scheme }: NonNullable<CustomProvider["present"]>) {
  const name = header.toLowerCase();
  return { header: name, scheme: scheme ?? (name === "authorization" ? "Bearer" : "") };
}

/** OpenID Connect Discovery 4: asked once; what it says is fixed with the integration. */
async function discovered(
  { egress, ownHosts }: DraftDeps,
  settings: Parameters<typeof discoveredProvider>[2],
  issuer: string,
): Promise<Result<Bound, DraftRefusal>> {
  const url = checkUrl(issuer, { ownHosts });
  if (!url.ok || /[?#]/.test(issuer))
    return refuse(
      flaw(
        "/custom/issuer",
        "url_refused",
        url.ok ? "An issuer has no query and no fragment." : url.error.message,
      ),
    );
  const answer = await egress({
    url: discoveryUrl(issuer),
    method: "GET",
    headers: { accept: "application/json" },
    // No redirect: another place cannot answer for the issuer.
    effect: "once",
    timeoutMs: DISCOVERY_TIMEOUT_MS,
    maxResponseBytes: MAX_METADATA_BYTES,
  });
  if (answer.kind !== "answered" || answer.status !== 200)
    return failed(
      answer.kind === "answered"
        ? `The issuer answered with ${answer.status}.`
        : `The issuer could not be asked: ${answer.message}`,
    );
  const metadata = jsonIn(answer.body);
  if (metadata === undefined) return failed("The issuer's answer is not JSON.");
  const made = discoveredProvider(issuer, metadata, settings);
  if (made.ok) return made;
  const { code, at } = made.error;
  if (code === "issuer_mismatch")
    return failed("The metadata names another issuer than the one that was asked.", code);
  if (code === "metadata_invalid" || code === "url_refused")
    return failed(`The metadata cannot be used: ${at.slice(1)} is missing or refused.`, code);
  return refuse(genericFlaw(made.error));
}

function failed(detail: string, code = "no_metadata"): Result<never, DraftRefusal> {
  return err({ code: "discovery_failed", flaws: [flaw("/custom/issuer", code, detail)] });
}

function jsonIn(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

/** I1. Null: nothing of it is ours, and nothing mints tokens. */
function foreignPlace(provider: Bound, ownHosts: readonly string[]): Flaw | null {
  for (const [index, host] of provider.hosts.entries()) {
    const checked = checkUrl(`https://${host}/`, { ownHosts });
    if (!checked.ok) return flaw(`/custom/hosts/${index}`, "host_refused", checked.error.message);
    if (TOKEN_HOSTS.includes(host))
      return flaw(
        `/custom/hosts/${index}`,
        "host_mints_tokens",
        "The host makes tokens; none is sent there.",
      );
  }
  if (!("tokenUrl" in provider)) return null;
  const urls = [
    ["token_url", provider.tokenUrl],
    ...("authorizeUrl" in provider
      ? [
          ["authorize_url", provider.authorizeUrl],
          ["refresh_url", provider.refreshUrl],
          ["revoke_url", provider.revoke?.url],
        ]
      : []),
  ] as const;
  for (const [field, url] of urls) {
    if (url === undefined) continue;
    const checked = checkUrl(url, { ownHosts });
    if (!checked.ok) return flaw(`/custom/${field}`, "url_refused", checked.error.message);
  }
  return null;
}

function clientFlaw(provider: Bound, { clientId, clientAuth }: IntegrationRequest): Flaw | null {
  const { kind } = provider;
  if (kind !== "api_key" && kind !== "basic")
    return clientId === undefined
      ? flaw("/client_id", "field_missing", "The provider knows its clients by an id.")
      : null;
  if (clientId !== undefined)
    return flaw("/client_id", "field_unknown", `A provider of the kind ${kind} knows no clients.`);
  return clientAuth === undefined
    ? null
    : flaw("/client_auth", "field_unknown", `A provider of the kind ${kind} knows no clients.`);
}

/** I2. */
export async function secretOf(
  provider: Bound,
  { clientSecret, signingKey }: WantedSecret,
): Promise<Result<string | null, Flaw>> {
  const form = secretForm(provider);
  if (form !== "text" && clientSecret !== undefined)
    return err(flaw("/client_secret", "field_unknown", "The client does not show itself by a secret."));
  if (form !== "key" && signingKey !== undefined)
    return err(flaw("/signing_key", "field_unknown", "The client does not sign."));
  if (form === "none") return ok(null);
  if (form === "text") {
    if (clientSecret === undefined)
      return err(flaw("/client_secret", "field_missing", "The client shows itself by a secret."));
    return SECRET_TEXT.test(clientSecret)
      ? ok(clientSecret)
      : err(flaw("/client_secret", "secret_unusable", "It holds a control character."));
  }
  if (signingKey === undefined) return err(flaw("/signing_key", "field_missing", "The client signs."));
  const text = JSON.stringify(signingKey);
  return (await readSigningSecret(text)) === null
    ? err(
        flaw(
          "/signing_key",
          "secret_unusable",
          "It is no private key for this algorithm, in PKCS#8 PEM or as a JWK.",
        ),
      )
    : ok(text);
}

function secretForm(provider: Bound): "text" | "key" | "none" {
  if (!("clientAuth" in provider)) return "none";
  if (provider.kind === "jwt_bearer") return "key";
  const [auth] = provider.clientAuth;
  if (auth === "private_key_jwt") return "key";
  return auth === "none" ? "none" : "text";
}

/** The settings of a new integration, or of one that changes. */
export function settingsOf(
  { kind, owner, fixed }: Pick<Integration, "kind" | "owner" | "fixed">,
  wanted: WantedSettings,
): Result<IntegrationSettings, Flaw> {
  const provider = fixed.provider as Bound;
  const scopes = scopesOf(provider, wanted);
  if (!scopes.ok) return scopes;
  const { mode = "confirm", linkEnabled = false, returnTo = [], workflows, displayName } = wanted;
  if (displayName !== undefined && !GENERIC_KINDS.some((one) => one === provider.name))
    return err(flaw("/display_name", "field_unknown", "The catalogue knows what the provider is called."));
  if (!asksForConsent(provider)) {
    const stray =
      wanted.mode !== undefined
        ? "/mode"
        : linkEnabled
          ? "/link_enabled"
          : returnTo.length > 0
            ? "/return_to"
            : null;
    if (stray !== null)
      return err(flaw(stray, "field_unknown", `Nobody consents in a browser to what is ${kind}.`));
  }
  if (mode === "link" && !linkEnabled)
    return err(flaw("/mode", "mode_not_enabled", "Set `link_enabled` to have links that anybody may open."));
  if (asksForConsent(provider) && mode === "confirm" && returnTo.length === 0)
    return err(flaw("/return_to", "field_missing", "The mode `confirm` sends the browser back to you."));
  const bad = returnTo.findIndex((url) => !isReturnAddress(url));
  if (bad >= 0)
    return err(
      flaw(`/return_to/${bad}`, "url_refused", "It is an https address without user-info and fragment."),
    );
  if (owner === "tenant" && (workflows === undefined || workflows.length === 0))
    return err(
      flaw("/workflows", "field_missing", "Name the workflows that may use what is the tenant's own."),
    );
  if (owner === "user" && workflows !== undefined)
    return err(flaw("/workflows", "field_unknown", "What a user grants is for the runs of this user."));
  const stray = workflows?.findIndex((name) => !isName(name)) ?? -1;
  if (stray >= 0) return err(flaw(`/workflows/${stray}`, "name_invalid", "It is not a name."));
  return ok({
    ...scopes.value,
    ...(displayName === undefined ? {} : { displayName }),
    ...{ mode, linkEnabled, returnTo: [...new Set(returnTo)] },
    ...(workflows === undefined ? {} : { workflows: [...new Set(workflows)] }),
  });
}

function scopesOf(
  provider: Bound,
  { scopesAllowed, scopesDefault = [] }: WantedSettings,
): Result<Pick<IntegrationSettings, "scopesAllowed" | "scopesDefault">, Flaw> {
  const given = [...(scopesAllowed ?? []), ...scopesDefault];
  if (!("tokenUrl" in provider) || provider.scopes?.none === true) {
    if (given.length > 0)
      return err(
        flaw(
          scopesAllowed === undefined ? "/scopes_default" : "/scopes_allowed",
          "field_unknown",
          "The provider takes no scopes.",
        ),
      );
    return ok({ scopesAllowed: null, scopesDefault: [] });
  }
  for (const [field, list] of [
    ["scopes_allowed", scopesAllowed ?? []],
    ["scopes_default", scopesDefault],
  ] as const) {
    const bad = list.findIndex((scope) => !SCOPE.test(scope));
    if (bad >= 0)
      return err(
        flaw(
          `/${field}/${bad}`,
          "scope_invalid",
          "A scope is 1 to 256 visible characters without comma, quotes and backslash.",
        ),
      );
  }
  // What nobody named is not allowed: an integration is as narrow as it was made.
  const allowed = [...new Set(scopesAllowed ?? scopesDefault)];
  const wide = scopesDefault.findIndex((scope) => !allowed.includes(scope));
  return wide >= 0
    ? err(
        flaw(`/scopes_default/${wide}`, "scopes_not_allowed", "It is not among the allowed scopes.", allowed),
      )
    : ok({ scopesAllowed: allowed, scopesDefault: [...new Set(scopesDefault)] });
}

/** Exact, so nothing of it is left to the request that uses it. */
function isReturnAddress(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || text.includes("#") || url.username !== "" || url.password !== "") return false;
  if (url.protocol === "https:") return true;
  return (
    isDevelopmentBuild() && url.protocol === "http:" && /^(?:localhost|127\.0\.0\.1)$/.test(url.hostname)
  );
}

function genericFlaw({ code, at }: { readonly code: string; readonly at: string }): Flaw {
  return flaw(`/custom${snake(at.replace(/^\//, ""))}`, code, DETAILS[code] ?? "It cannot be used.");
}

const DETAILS: Readonly<Record<string, string>> = {
  url_refused: "It is an https URL of a public host, without a port, user-info, fragment and braces.",
  host_refused: "It is not the exact name of a public host among the hosts of the integration.",
  hosts_count: "There must be 1 to 16 hosts.",
  host_mints_tokens: "The host makes tokens; none is sent there.",
  header_refused:
    "A credential is presented in `authorization`, or in a header whose name has key, token, auth, secret or credential in it (`x-api-key`); its scheme is a word, or empty.",
  param_refused: "The parameter belongs to the flow itself, or there are too many.",
};

/** `tokenUrl` to `/token_url`; segments behind the first are the request's own. */
function snake(path: string): string {
  const [first = "", ...rest] = path.split("/");
  return `/${[first.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), ...rest].join("/")}`;
}

function flaw(pointer: string, code: string, detail: string, allowed?: readonly string[]): Flaw {
  return { pointer, code, detail, ...(allowed === undefined ? {} : { allowed }) };
}

function refuse(one: Flaw): Result<never, DraftRefusal> {
  return err({ code: "invalid_integration", flaws: [one] });
}
