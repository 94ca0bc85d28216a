/**
 * A provider, a tenant's integrations and browsers for the connect pages: the real room, database, vault and objects, with a
 * clock that a test moves and a provider that it arms.
 */
import { env } from "cloudflare:workers";
import {
  type Connections,
  type ConnectMode,
  type ConnectPages,
  type ConnectionRpc,
  createConnectPages,
  createConnections,
  createProviderClient,
  type IntegrationSettings,
  type MadeSession,
  type SessionRequest,
} from "../../src/connections/index.ts";
import { insertIntegration } from "../../src/connections/integrations-store.ts";
import { type GenericSettings, genericProvider } from "../../src/connections/providers/index.ts";
import { createAccessAudit } from "../../src/access/index.ts";
import {
  createLogger,
  type EgressRequest,
  type EgressResult,
  fromBase64,
  importHmacKey,
  objectName,
} from "../../src/platform/index.ts";
import { createVault, loadKeyring } from "../../src/vault/index.ts";

export const ORIGIN = "https://connect.showcaller.test";
export const RETURN_TO = "https://app.corp.example/connected?from=showcaller";
export const AUTHORIZE = "https://login.calendar.example/authorize";
const HOST = "api.calendar.example";
export const LINK_MS = 30 * 60_000;
export const FLOW_MS = 15 * 60_000;
export const TICKET_MS = 60_000;

/** The clock of the pages. Objects have their own, so it begins at their time. */
export const clock = { now: Date.now() };

/** Every secret that the provider gave out or was sent, that a browser saw or that a link had: what it is, by itself. */
export const issued = new Map<string, string>();

function remember(what: string, secret: string | null | undefined): void {
  if (secret !== null && secret !== undefined && secret !== "") issued.set(secret, what);
}

/** A strict server: PKCE, codes for one use, exact redirect. */
export class Provider {
  /** Requests to the token endpoint. */
  readonly asked: URLSearchParams[] = [];
  /** Of the next account that consents. */
  account = { id: "acct-1", name: "ada@calendar.example" };
  /** What it answers instead to who asks for the account. */
  whoami: "told" | "down" | "unreadable" = "told";
  /** Missing: as asked. */
  scopes: readonly string[] | null = null;
  /** What the token endpoint answers to the next request. */
  next: { readonly status: number; readonly body: unknown } | null = null;
  readonly #codes = new Map<string, { challenge: string; redirect: string; scope: string }>();
  #made = 0;

  /** The user says yes at the address to which the browser was sent. Answers the code. */
  consent(address: string): string {
    const query = new URL(address).searchParams;
    if (query.get("code_challenge_method") !== "S256") throw new Error("PKCE is missing");
    const code = `code-of-the-provider-${++this.#made}`;
    remember("code", code);
    remember("state", query.get("state"));
    this.#codes.set(code, {
      challenge: query.get("code_challenge") ?? "",
      redirect: query.get("redirect_uri") ?? "",
      scope: query.get("scope") ?? "",
    });
    return code;
  }

  readonly egress = async (request: EgressRequest): Promise<EgressResult> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/whoami" && this.whoami === "down") return answer(503, {});
    if (pathname === "/whoami") return answer(200, this.whoami === "told" ? this.account : {});
    const form = new URLSearchParams(String(request.body));
    this.asked.push(form);
    remember("verifier", form.get("code_verifier"));
    const armed = this.next;
    this.next = null;
    if (armed !== null) return answer(armed.status, armed.body);
    const code = form.get("code") ?? "";
    const known = this.#codes.get(code);
    this.#codes.delete(code);
    const digest = await crypto.subtle.digest("SHA-256", bytes(form.get("code_verifier") ?? ""));
    const challenge = btoa(String.fromCharCode(...new Uint8Array(digest)))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "");
    if (known?.challenge !== challenge || known.redirect !== form.get("redirect_uri"))
      return answer(400, { error: "invalid_grant" });
    remember("access token", `access-${code}`);
    remember("refresh token", `refresh-${code}`);
    return answer(200, {
      access_token: `access-${code}`,
      refresh_token: `refresh-${code}`,
      token_type: "bearer",
      expires_in: 3_600,
      scope: this.scopes?.join(" ") ?? known.scope,
    });
  };
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function answer(status: number, body: unknown): EgressResult {
  const headers = { "content-type": "application/json" };
  return { kind: "answered", status, headers, body: bytes(JSON.stringify(body)), redirects: 0 };
}

export const provider = new Provider();
export const lines: string[] = [];
const log = createLogger("debug", (_, line) => lines.push(line));

export function object(tenant: string, id: string): ConnectionRpc {
  const stub: unknown = env.CONNECTION.getByName(objectName("connection", tenant, id));
  return stub as ConnectionRpc;
}

let key: CryptoKey | undefined;

export async function serverKey(): Promise<CryptoKey> {
  return (key ??= await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array()));
}

export const room: Connections = createConnections({
  db: env.DB,
  vault: createVault(loadKeyring(env.KEYRING)),
  provider: createProviderClient({ egress: provider.egress, log, now: () => clock.now }),
  ...{ egress: provider.egress, ownHosts: [], object, audit: createAccessAudit(env.DB), log },
  serverKey,
  now: () => clock.now,
});

const pages: ConnectPages = createConnectPages({ room: () => room, publicOrigin: ORIGIN, log });

export async function newTenant(id: string): Promise<void> {
  await env.DB.prepare("INSERT INTO tenants (id, created_at, created_by) VALUES (?, 0, 'test')")
    .bind(id)
    .run();
}

const SETTINGS: IntegrationSettings = {
  scopesAllowed: ["events.read", "events.write", "mail.send"],
  scopesDefault: ["events.read"],
  mode: "confirm",
  linkEnabled: false,
  returnTo: [RETURN_TO],
};

export async function newIntegration(
  tenant: string,
  name: string,
  settings: Partial<IntegrationSettings> = {},
  more: {
    readonly displayName?: string;
    readonly issuer?: string;
    readonly issRequired?: boolean;
    readonly owner?: "user" | "tenant";
  } = {},
): Promise<void> {
  const { displayName = "Calendar", issuer, issRequired, owner = "user" } = more;
  const described: GenericSettings = {
    kind: "oauth2",
    displayName,
    hosts: [HOST],
    authorizeUrl: AUTHORIZE,
    tokenUrl: "https://login.calendar.example/token",
    identity: { url: `https://${HOST}/whoami`, id: "/id", label: "/name" },
    ...(issuer === undefined ? {} : { issuer }),
  };
  const made = genericProvider(described);
  if (!made.ok) throw new Error(made.error.code);
  const bound = { ...made.value, ...(issRequired === undefined ? {} : { issRequired }) };
  const request = {
    ...({ tenant, name, provider: "oauth2", kind: "oauth2", owner, createdBy: "key:test" } as const),
    fixed: { provider: bound, clientId: "client-1" },
    settings: { ...SETTINGS, ...settings },
  };
  remember("client secret", "client-secret-of-the-tests");
  await insertIntegration(env.DB, room.flow.vault, request, "client-secret-of-the-tests", clock.now);
}

export async function changeSettings(
  tenant: string,
  name: string,
  settings: Partial<IntegrationSettings>,
): Promise<void> {
  await env.DB.prepare("UPDATE integrations SET settings = ? WHERE tenant = ? AND name = ?")
    .bind(JSON.stringify({ ...SETTINGS, ...settings }), tenant, name)
    .run();
}

/** Consents and refusals of a connection, as the audit has them. */
export async function auditOf(connection: string): Promise<string[]> {
  const { results } = await env.DB.prepare(
    "SELECT actor, outcome, detail FROM access_audit WHERE target = ? AND action = 'connection.consent' ORDER BY seq",
  )
    .bind(connection)
    .all<{ actor: string; outcome: string; detail: string }>();
  return results.map(({ actor, outcome, detail }) => {
    const { failure = "" } = JSON.parse(detail) as { failure?: string };
    return `${actor.split(":")[0]} ${outcome} ${failure}`.trim();
  });
}

export async function newSession(
  more: Partial<SessionRequest> & { readonly mode?: ConnectMode } = {},
): Promise<MadeSession> {
  const made = await room.makeSession({
    ...{ tenant: "corp", integration: "calendar", user: "ada", account: "default" },
    ...{ replaceAccount: false, by: "key:test" },
    ...more,
  });
  if (!made.ok) throw new Error(made.error.code);
  remember("link", made.value.token.split(".")[1]);
  return made.value;
}

export async function stateOf(id: string): Promise<readonly [string, string | null]> {
  const row = await env.DB.prepare("SELECT state, failure FROM connect_sessions WHERE id = ?")
    .bind(id)
    .first<{ state: string; failure: string | null }>();
  return [row?.state ?? "none", row?.failure ?? null];
}

/** Whether steps get a token of a connection; why not, else. */
export async function standing(tenant: string, id: string): Promise<string> {
  return (await object(tenant, id).view(tenant))?.standing.status ?? "nothing";
}

export interface Shown {
  readonly status: number;
  readonly text: string;
  readonly location: string;
  readonly headers: Headers;
}

const COOKIE_REST = /^; Path=\/; Max-Age=\d+; HttpOnly; Secure; SameSite=(Strict|Lax)$/;

/** A person's browser: keeps `__Host-` cookies, and sends along what the site they come from allows. */
export class Visitor {
  readonly jar = new Map<string, { value: string; strict: boolean }>();

  async get(path: string, from: "here" | "elsewhere" = "elsewhere", method = "GET"): Promise<Shown> {
    return this.#send(new Request(this.#url(path), { method, headers: this.#cookies(from) }));
  }

  /** Sends a form of a page that was shown, unless it is said otherwise. */
  async post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Shown> {
    return this.#send(
      new Request(this.#url(path), {
        method: "POST",
        body: new URLSearchParams(fields).toString(),
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          "sec-fetch-site": "same-origin",
          ...this.#cookies("here"),
          ...headers,
        },
      }),
    );
  }

  /** Opens a page, and presses one of its buttons. */
  async press(path: string, fields: Readonly<Record<string, string>>): Promise<Shown> {
    const page = await this.get(path);
    return this.post(path, { form: formIn(page.text), ...fields });
  }

  /** From the link to the provider: the address at which the person is asked there. */
  async toProvider(token: string): Promise<string> {
    const pressed = await this.press(`/connect/${token}`, { decision: "go_on" });
    if (pressed.status !== 303 || !pressed.location.startsWith("/connect/go/cs_"))
      throw new Error(`The link led to ${pressed.status} ${pressed.location}`);
    return addressIn((await this.get(pressed.location, "here")).text);
  }

  /** The whole way, to where the browser is sent in the end. */
  async consent(token: string): Promise<Shown> {
    const address = await this.toProvider(token);
    return this.get(callbackOf(address, { code: provider.consent(address) }));
  }

  #url(path: string): string {
    return path.startsWith("/") ? ORIGIN + path : path;
  }

  #cookies(from: "here" | "elsewhere"): Record<string, string> {
    const sent = [...this.jar].filter(([, { strict }]) => from === "here" || !strict);
    return sent.length === 0
      ? {}
      : { cookie: sent.map(([name, { value }]) => `${name}=${value}`).join("; ") };
  }

  async #send(request: Request): Promise<Shown> {
    const response = await pages(request);
    if (response === null) throw new Error(`There is no page at ${request.url}`);
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = "", rest = ""] = /^([^=]+)=([^;]*)(.*)$/.exec(line) ?? [];
      if (!name.startsWith("__Host-") || !COOKIE_REST.test(rest))
        throw new Error(`A cookie is loose: ${line}`);
      remember("cookie", value);
      if (rest.includes("Max-Age=0;")) this.jar.delete(name);
      else this.jar.set(name, { value, strict: rest.includes("Strict") });
    }
    const { status, headers } = response;
    // As it is read: on one line.
    const text = (await response.text()).replaceAll(/\s+/g, " ");
    const location = headers.get("location") ?? "";
    remember("form token", formIn(text));
    if (location.startsWith(RETURN_TO)) remember("one-time code", new URL(location).searchParams.get("code"));
    return { status, headers, location, text };
  }
}

export function formIn(text: string): string {
  return /name="form" value="([^"]+)"/.exec(text)?.[1] ?? "";
}

export function titleOf({ text }: Shown): string {
  return /<h1>([^<]*)<\/h1>/.exec(text)?.[1] ?? "";
}

export function addressIn(text: string): string {
  const [, address = ""] = /http-equiv="refresh" content="0;url=([^"]+)"/.exec(text) ?? [];
  return address.replaceAll("&amp;", "&");
}

/** The redirect back, with the state of the flow unless another is given. */
export function callbackOf(address: string, query: Readonly<Record<string, string>>): string {
  const { searchParams } = new URL(address);
  const url = new URL(searchParams.get("redirect_uri") ?? "");
  for (const [name, value] of Object.entries({ state: searchParams.get("state") ?? "", ...query }))
    url.searchParams.set(name, value);
  return url.href;
}
