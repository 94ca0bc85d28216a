/** The login server's configuration of oidc-provider: as strict as providers get. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import Provider from "oidc-provider";
import { CALENDAR_SCOPES, CLIENT_ID, ISSUER } from "./login-names.ts";
import type { LoginStore } from "./login-store.ts";

const CALLBACK = /^\/oauth\/callback(?:\/[a-z0-9][a-z0-9_-]{0,63}){2}$/;
/** RFC 8252 section 7.3: the port of a loopback address is whatever was free. */
const LOOPBACK = /^http:\/\/127\.0\.0\.1:\d+$/;

export interface ProviderSettings {
  readonly store: LoginStore;
  readonly clientSecret: string;
  readonly accessTokenSeconds: () => number;
  readonly redirectOrigins: () => readonly string[];
}

export function createProvider(settings: ProviderSettings): Provider {
  const { store, clientSecret, accessTokenSeconds, redirectOrigins } = settings;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const provider = new Provider(ISSUER, {
    adapter: (model: string) => store.adapter(model),
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: clientSecret,
        client_name: "Showcaller",
        grant_types: ["authorization_code", "refresh_token", "client_credentials"],
        response_types: ["code"],
        redirect_uris: ["https://showcaller.example/oauth/callback/default/agenda"],
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" }] },
    cookies: { keys: [randomBytes(32).toString("base64url")] },
    scopes: ["openid", "offline_access", ...Object.values(CALENDAR_SCOPES)],
    // As most providers do it: who it is stands in the id token, too.
    conformIdTokenClaims: false,
    claims: { openid: ["sub"], email: ["email"], profile: ["name"] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: false },
    },
    interactions: { url: (_: unknown, { uid }: { readonly uid: string }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: accessTokenSeconds,
      AuthorizationCode: 60,
      ClientCredentials: accessTokenSeconds,
      Grant: 30 * 24 * 3600,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 14 * 24 * 3600,
      Session: 24 * 3600,
    },
    findAccount: (_: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, name: sub, email: `${sub}@agenda.example` }),
    }),
    renderError: (ctx: { type: string; body: string }, out: { readonly error: string }) => {
      ctx.type = "html";
      ctx.body = `<!doctype html><html lang="en"><title>Error</title><h1>${out.error.replaceAll(/\W/g, " ")}</h1></html>`;
    },
  });
  // The product reaches it by its name, browsers by its port: addresses in answers are those of the one who asks.
  provider.proxy = true;
  provider.Client.prototype.redirectUriAllowed = (uri) => {
    const url = URL.canParse(uri) ? new URL(uri) : null;
    if (url === null || url.href !== uri || url.search !== "" || !CALLBACK.test(url.pathname)) return false;
    return LOOPBACK.test(url.origin) || redirectOrigins().includes(url.origin);
  };
  provider.on("server_error", (_, error) => console.error("world: the login server failed", error));
  return provider;
}
