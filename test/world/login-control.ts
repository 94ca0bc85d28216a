/** The login server's controls over HTTP, under `/login` of the referee, and the client of them. */
import type { Question } from "./control.ts";
import { checkFields, isRecord, optional, whole, type Fields } from "./fields.ts";
import { problem, type Answer, type Route } from "./http.ts";
import type { Login, LoginSettings, TokenRequest } from "./login.ts";

const MAX_LEEWAY_MS = 60 * 60 * 1000;
const MAX_LIFE_SECONDS = 366 * 24 * 60 * 60;

const SETTINGS: Fields = {
  accessTokenSeconds: optional(whole(1, MAX_LIFE_SECONDS)),
  leewayMs: optional(whole(0, MAX_LEEWAY_MS)),
  redirectOrigins: optional((value) =>
    Array.isArray(value) && value.every((one) => typeof one === "string" && URL.canParse(one))
      ? null
      : "must be a list of origins",
  ),
};

export function loginRoutes(login: Login): Route<Question>[] {
  return [
    { method: "GET", path: "/login", handle: () => ok({ issuer: login.issuer, ...login.settings() }) },
    { method: "PATCH", path: "/login", handle: ({ body }) => change(login, body) },
    {
      method: "POST",
      path: "/login/users/:user/revoke",
      handle: ({ params }) => ok({ grants: login.revokeUser(params["user"] ?? "") }),
    },
    { method: "GET", path: "/login/token-requests", handle: () => ok({ items: login.tokenRequests() }) },
    {
      method: "DELETE",
      path: "/login/token-requests",
      handle: () => {
        login.forgetTokenRequests();
        return { status: 204 };
      },
    },
    { method: "GET", path: "/login/secrets", handle: () => ok({ items: login.secrets() }) },
  ];
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function change(login: Login, body: unknown): Answer {
  const errors = isRecord(body)
    ? [
        ...checkFields(SETTINGS, body),
        ...Object.keys(body).flatMap((name) =>
          Object.hasOwn(SETTINGS, name) ? [] : [{ pointer: `/${name}`, detail: "is not known here" }],
        ),
      ]
    : [{ pointer: "", detail: "must be an object" }];
  if (errors.length > 0)
    return problem(422, "invalid_body", "These are not settings; see errors.", { errors });
  // Every field was checked just above.
  login.change(body as Partial<LoginSettings>);
  return ok({ issuer: login.issuer, ...login.settings() });
}

/** The same hand as {@link Login}, from another process. */
export interface LoginControl {
  settings(): Promise<LoginSettings>;
  change(settings: Partial<LoginSettings>): Promise<LoginSettings>;
  revokeUser(user: string): Promise<number>;
  tokenRequests(): Promise<readonly TokenRequest[]>;
  forgetTokenRequests(): Promise<void>;
  secrets(): Promise<readonly string[]>;
}

/** @param referee `http://127.0.0.1:PORT` of `referee.example` */
export function loginControl(referee: string): LoginControl {
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${referee}/login${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} /login${path}: ${answer.status} ${text}`);
    return (text === "" ? null : JSON.parse(text)) as T;
  };
  return {
    settings: () => ask("GET", ""),
    change: (settings) => ask("PATCH", "", settings),
    revokeUser: async (user) =>
      (await ask<{ grants: number }>("POST", `/users/${encodeURIComponent(user)}/revoke`)).grants,
    tokenRequests: async () => (await ask<{ items: TokenRequest[] }>("GET", "/token-requests")).items,
    forgetTokenRequests: () => ask("DELETE", "/token-requests"),
    secrets: async () => (await ask<{ items: string[] }>("GET", "/secrets")).items,
  };
}
