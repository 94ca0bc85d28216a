/** The product's pure functions, driven over HTTP: every request goes to the loopback port of the quirk server instead. */
import { createHash } from "node:crypto";
import {
  authorizeUrl,
  bindProvider,
  type Bound,
  type Client,
  type ConsentProvider,
  exchangeRequest,
  findProvider,
  type HttpRequest,
  joinScopes,
  readCallback,
  readTokenAnswer,
  scopesToAsk,
} from "../../src/connections/providers/index.ts";
import { listen, shut } from "../world/http.ts";
import { Quirks } from "../world/quirks.ts";

/** Where the clock of these tests stands: 2027-01-15. */
export const NOW = 1_800_000_000_000;
const VERIFIER = "verifier-of-at-least-forty-three-characters-0123456789";
const CHALLENGE = createHash("sha256").update(VERIFIER).digest("base64url");

export interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Stage {
  readonly quirks: Quirks;
  /** Sends a request of the product; its https host becomes the first segment of the path. */
  send: (request: HttpRequest) => Promise<Heard>;
  close: () => Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const quirks = new Quirks();
  const { server, port } = await listen(0, quirks.listener());
  return {
    quirks,
    send: async ({ method, url, headers, body }) => {
      const answer = await fetch(url.replace("https://", `http://127.0.0.1:${port}/`), {
        method,
        headers,
        redirect: "manual",
        ...(body === undefined ? {} : { body }),
      });
      return {
        status: answer.status,
        headers: Object.fromEntries(answer.headers),
        body: await answer.text(),
      };
    },
    close: () => shut(server),
  };
}

const PARTS: Readonly<Record<string, Readonly<Record<string, string>>>> = { shopify: { shop: "acme-store" } };

export function boundOf(name: string): Bound<ConsentProvider> {
  const provider = findProvider(name);
  if (provider === undefined) throw new Error(`no provider ${name}`);
  const bound = bindProvider(provider, PARTS[name] ?? {});
  if (!bound.ok) throw new Error(bound.error.message);
  return bound.value;
}

export function clientOf(provider: Bound<ConsentProvider>): Client {
  return {
    clientId: Quirks.clientId(provider.name),
    clientSecret: Quirks.clientSecret(provider.name),
    auth: provider.clientAuth[0]!,
  };
}

export interface Consent {
  readonly query: URLSearchParams;
  readonly redirectUri: string;
}

/** The user says yes in the browser. `change` is what somebody does to the address on the way. */
export async function consent(
  stage: Stage,
  provider: Bound<ConsentProvider>,
  change: (url: URL) => void = () => {},
): Promise<Consent> {
  const redirectUri = `https://app.example/oauth/callback/${provider.name}`;
  const url = new URL(
    authorizeUrl(provider, {
      clientId: Quirks.clientId(provider.name),
      redirectUri,
      scopes: scopesToAsk(provider, ["alpha", "beta"], { identity: true }),
      state: "the-state",
      codeChallenge: CHALLENGE,
    }),
  );
  change(url);
  const heard = await stage.send({ method: "GET", url: url.href, headers: {}, body: undefined });
  if (heard.status !== 302) throw new Error(`${provider.name} did not redirect: ${heard.body}`);
  return { query: new URL(heard.headers["location"] ?? "").searchParams, redirectUri };
}

export function readAnswer(provider: Bound<ConsentProvider>, heard: Heard, secrets: readonly string[] = []) {
  return readTokenAnswer(provider, heard, { now: NOW, secrets });
}

/** From consent to tokens, and what came by the redirect. */
export async function connect(
  stage: Stage,
  provider: Bound<ConsentProvider>,
  change: (url: URL) => void = () => {},
) {
  const { query, redirectUri } = await consent(stage, provider, change);
  const callback = await readCallback(provider, query, Quirks.clientSecret(provider.name));
  if (!callback.ok) throw new Error(callback.error.code);
  const heard = await stage.send(
    exchangeRequest(provider, clientOf(provider), {
      code: query.get("code") ?? "",
      redirectUri,
      codeVerifier: VERIFIER,
    }),
  );
  const read = readAnswer(provider, heard);
  if (!read.ok) throw new Error(`${provider.name}: ${JSON.stringify(read.error)} ${heard.body}`);
  return { tokens: read.value, values: callback.value, heard };
}

export function asRequest(place: string, headers: Readonly<Record<string, string>>): HttpRequest {
  return { method: "GET", url: `https://${place}`, headers, body: undefined };
}

export function askedScopes(provider: Bound<ConsentProvider>): string {
  return joinScopes(provider, scopesToAsk(provider, ["alpha", "beta"], { identity: true }));
}
