// oxlint-disable-next-line typescript/triple-slash-reference -- declares a package; also for projects that do not include this folder
/// <reference path="./oidc-provider.d.ts" />
/**
 * `login.agenda.example`: the OAuth server of the world, a real `oidc-provider` behind a thin front. The front counts what
 * reaches the token endpoint and spoils answers by the world's fault rules; it decides nothing about tokens.
 *
 * - L1 a token request is counted when it arrives, whatever becomes of it;
 * - L2 a fault that lets it happen lets it happen at the provider: a lost answer has rotated the refresh token.
 */
import { createHash, randomBytes } from "node:crypto";
import type Provider from "oidc-provider";
import type { FaultBook } from "./faults.ts";
import {
  listen,
  now,
  readBody,
  send,
  shut,
  type Answer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "./http.ts";
import { interact } from "./login-pages.ts";
import { CLIENT_ID, ISSUER, LOGIN_HOST } from "./login-names.ts";
import { LoginStore } from "./login-store.ts";
import { deliver, pause, stopBefore } from "./misbehave.ts";
import type { RawService } from "./service.ts";

const NAME = "login";
const DEFAULT_ACCESS_TOKEN_SECONDS = 3600;

export interface LoginSettings {
  /** Life of access tokens that are issued from now on. */
  readonly accessTokenSeconds: number;
  /** How long a refresh token that was rotated away is still taken; 0, the default, ends the grant at once. */
  readonly leewayMs: number;
  /** Where, beside `http://127.0.0.1:PORT`, `/oauth/callback/<tenant>/<integration>` may be. */
  readonly redirectOrigins: readonly string[];
}

export interface TokenRequest {
  readonly at: number;
  readonly grantType: string;
  /** SHA-256 of the refresh token that was sent, in hex: says which without saying it. Null if there was none. */
  readonly refreshToken: string | null;
}

/** The hand that tests have on the login server. */
export interface Login {
  readonly issuer: string;
  readonly client: { readonly id: string; readonly secret: string };
  settings(): LoginSettings;
  change(settings: Partial<LoginSettings>): void;
  /** Ends every grant of a user, as the user would do on the provider's own page. How many there were. */
  revokeUser(user: string): number;
  tokenRequests(): readonly TokenRequest[];
  forgetTokenRequests(): void;
  /** Every code, token and client secret that was ever issued, dead or alive. */
  secrets(): readonly string[];
  /** The scopes of an access token that lives; null for any other text. */
  scopesOf(accessToken: string): ReadonlySet<string> | null;
}

export interface LoginService {
  readonly login: Login;
  readonly service: RawService;
  close(): Promise<void>;
}

export function createLogin(faults: FaultBook, given: Partial<LoginSettings> = {}): LoginService {
  const store = new LoginStore();
  const clientSecret = randomBytes(32).toString("base64url");
  const requests: TokenRequest[] = [];
  let settings: LoginSettings = {
    accessTokenSeconds: DEFAULT_ACCESS_TOKEN_SECONDS,
    leewayMs: 0,
    redirectOrigins: [],
  };
  const change = (changed: Partial<LoginSettings>): void => {
    settings = { ...settings, ...changed };
    store.leewayMs = settings.leewayMs;
  };
  change(given);

  let provider: Promise<Provider> | null = null;
  let inner: Promise<{ readonly server: Server; readonly port: number }> | null = null;
  // Its code and its keys cost time, and most worlds never ask for a token.
  const theProvider = (): Promise<Provider> =>
    (provider ??= import("./login-provider.ts").then(({ createProvider }) =>
      createProvider({
        store,
        clientSecret,
        accessTokenSeconds: () => settings.accessTokenSeconds,
        redirectOrigins: () => settings.redirectOrigins,
      }),
    ));
  const process = async (req: IncomingMessage, body: Buffer): Promise<Answer> => {
    inner ??= theProvider().then((it) => {
      const answer = it.callback();
      return listen(0, (inward, res) => void answer(inward, res));
    });
    return forward((await inner).port, req, body);
  };

  async function token(req: IncomingMessage, res: ServerResponse, life: AbortSignal): Promise<void> {
    const body = await readBody(req);
    if (body.kind !== "read") return void res.destroy();
    const form = new URLSearchParams(body.bytes.toString());
    requests.push({
      at: now(),
      grantType: form.get("grant_type") ?? "",
      refreshToken: digest(form.get("refresh_token")),
    });
    const target = { service: NAME, host: LOGIN_HOST, method: req.method ?? "", path: "/token" };
    const fault = faults.take({ ...target, route: "/token", reference: null, key: null });
    if (fault !== null && stopBefore(res, LOGIN_HOST, fault)) return;
    if (fault?.kind === "slow" && !(await pause(fault.ms, life))) return void res.destroy();
    const answer = await process(req, body.bytes);
    if (fault?.kind === "late" && !(await pause(fault.ms, life))) return void res.destroy();
    return deliver(res, LOGIN_HOST, answer, fault, life);
  }

  async function serve(req: IncomingMessage, res: ServerResponse, life: AbortSignal): Promise<void> {
    const { pathname } = new URL(req.url ?? "/", ISSUER);
    if (pathname === "/token" && req.method === "POST") return token(req, res, life);
    if (pathname.startsWith("/interaction/")) return interact(await theProvider(), req, res);
    return (await theProvider()).callback()(req, res);
  }

  return {
    login: {
      issuer: ISSUER,
      client: { id: CLIENT_ID, secret: clientSecret },
      settings: () => settings,
      change,
      revokeUser: (user) => store.revokeUser(user),
      tokenRequests: () => [...requests],
      forgetTokenRequests: () => void requests.splice(0),
      secrets: () => [clientSecret, ...store.secrets],
      scopesOf: (accessToken) => store.scopesOf(accessToken),
    },
    service: {
      name: NAME,
      host: LOGIN_HOST,
      listener:
        ({ referee }) =>
        (req, res) => {
          serve(req, res, referee.life).catch((error: unknown) => {
            // A page that was left long ago, or a form without its cookie.
            if (!res.headersSent)
              send(res, { status: 400, headers: { "content-type": "text/plain" }, body: String(error) });
          });
        },
    },
    close: async () => {
      if (inner !== null) await shut((await inner).server);
    },
  };
}

function digest(text: string | null): string | null {
  return text === null ? null : createHash("sha256").update(text).digest("hex");
}

/** Asks the provider itself, in the name of whoever asked the front. */
async function forward(port: number, req: IncomingMessage, body: Buffer): Promise<Answer> {
  const headers = new Headers();
  for (const name of ["authorization", "content-type", "accept", "x-forwarded-host", "x-forwarded-proto"]) {
    const value = req.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  const answer = await fetch(`http://127.0.0.1:${port}${req.url ?? "/"}`, { method: "POST", headers, body });
  const text = await answer.text();
  return { status: answer.status, headers: headersOf(answer), ...(text === "" ? {} : { body: text }) };
}

function headersOf(answer: Response): Record<string, string> {
  const kept = ["content-type", "cache-control", "www-authenticate", "retry-after"];
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
}
