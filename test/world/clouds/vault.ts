/**
 * Vault's JWT login and its key-value store (version 2): https://developer.hashicorp.com/vault/api-docs/auth/jwt.
 * What is stored is a deed; a token may read and write below the paths of its policies (`invoices/*`).
 */
import { randomUUID } from "node:crypto";
import { isRecord } from "../fields.ts";
import type { Answer } from "../http.ts";
import { lifeOf, type Bearer } from "./book.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { putObject, readObject } from "./objects.ts";
import type { Trusted } from "./trust.ts";
import { isFor, verify, type Claims, type Facts } from "./verify.ts";

const ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"];

type Outcome =
  | { readonly bearer: Bearer }
  | { readonly status: number; readonly code: string; readonly why: string };

const no = (status: number, code: string, why: string): Outcome => ({ status, code, why });

export async function vault(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const login = /^\/v1\/auth\/(.+)\/login$/.exec(request.url.pathname)?.[1];
  if (login !== undefined) return logIn(clouds, request, login);
  const path = /^\/v1\/secret\/data\/(.+)$/.exec(request.url.pathname)?.[1];
  return path === undefined ? failed(404, "no handler for route") : secret(clouds, request, path);
}

async function logIn(clouds: Clouds, request: CloudRequest, mount: string): Promise<Answer> {
  const { book } = clouds;
  const body = isRecord(request.json) ? request.json : {};
  let token: Facts | null = null;
  const outcome = await judge(clouds, mount, request, body, (facts) => (token = facts));
  const wanted = `${mount}/${String(body["role"])}`;
  const noted = { service: "vault", action: "login", token, wanted } as const;
  if ("code" in outcome) {
    book.note({ ...noted, refused: outcome.code, expiresAt: null });
    return failed(outcome.status, outcome.why);
  }
  const { bearer } = outcome;
  book.note({ ...noted, refused: null, expiresAt: bearer.expiresAt });
  const policies = ["default", ...bearer.scopes];
  return {
    status: 200,
    body: {
      request_id: randomUUID(),
      lease_id: "",
      renewable: false,
      lease_duration: 0,
      data: null,
      wrap_info: null,
      warnings: null,
      auth: {
        client_token: bearer.token,
        accessor: randomUUID(),
        policies,
        token_policies: policies,
        metadata: { role: String(body["role"]) },
        lease_duration: lifeOf(bearer, book.now("vault")),
        renewable: true,
        entity_id: randomUUID(),
        token_type: "service",
        orphan: true,
      },
    },
  };
}

async function judge(
  clouds: Clouds,
  mount: string,
  request: CloudRequest,
  body: Record<string, unknown>,
  tell: (facts: Facts | null) => void,
): Promise<Outcome> {
  const { book, trust } = clouds;
  const namespace = request.headers["x-vault-namespace"];
  const config = trust.list("vault_mount").find((one) => one.mount === mount && one.namespace === namespace);
  const issuer = config?.bound_issuer ?? config?.oidc_discovery_url;
  const { jwt } = body;
  const demands = { algorithms: ALGORITHMS, kid: false };
  const verdict = await verify(
    clouds,
    "vault",
    typeof jwt === "string" ? jwt : "",
    demands,
    (it) => it === issuer,
  );
  tell(verdict.facts);
  const armed = book.takeArmed("vault");
  if (armed !== null) return no(Number(armed), armed, "This answer was asked for by a test.");
  if (request.method !== "POST" || config === undefined)
    return no(403, "permission_denied", "permission denied");
  const role = trust.list("vault_role").find((one) => one.mount === mount && one.name === body["role"]);
  if (role === undefined) return no(400, "role", `role "${String(body["role"])}" could not be found`);
  if (!verdict.ok) {
    const unreachable = verdict.reason === "issuer_unreachable";
    return no(unreachable ? 500 : 400, verdict.reason, `error validating token: ${verdict.detail}`);
  }
  const wrong = mismatch(role, verdict.claims);
  if (wrong !== null) return no(400, wrong, `error validating claims: ${wrong} does not match`);
  return {
    bearer: book.issue("hvs.", {
      service: "vault",
      principal: String(verdict.claims[role.user_claim]),
      scopes: role.token_policies,
      about: { role: role.name },
      expiresAt: book.now("vault") + 1000 * (book.settings("vault").lifeS ?? role.token_ttl),
    }),
  };
}

/** The claim that does not fit the role. An audience of the token needs one of the role, and the other way round. */
function mismatch(role: Trusted<"vault_role">, claims: Claims): string | null {
  if (!isFor(claims, role.bound_audiences ?? [])) return "aud";
  if (role.bound_subject !== undefined && role.bound_subject !== claims.sub) return "sub";
  if (typeof claims[role.user_claim] !== "string") return role.user_claim;
  for (const [name, wanted] of Object.entries(role.bound_claims ?? {})) {
    const value = claims[name];
    const fits = [wanted].flat().some((one) => matches(one, value, role.bound_claims_type === "glob"));
    if (!fits) return name;
  }
  return null;
}

function matches(wanted: string, value: unknown, glob: boolean): boolean {
  if (typeof value !== "string") return false;
  if (!glob) return wanted === value;
  const parts = wanted.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(value);
}

function secret({ book }: Clouds, request: CloudRequest, path: string): Answer {
  const token = request.headers["x-vault-token"];
  const bearer = book.bearer(`Bearer ${String(token)}`, ["vault"], book.now("vault"));
  const allowed = bearer?.scopes.some((policy) => matches(policy, path, true)) === true;
  if (bearer === null || !allowed) return failed(403, "permission denied");
  const name = `vault://${path}`;
  if (request.method === "POST" || request.method === "PUT") {
    if (!isRecord(request.json) || !isRecord(request.json["data"])) return failed(400, "no data provided");
    const { deed } = putObject(request, "vault", name, { principal: bearer.principal });
    return {
      status: 200,
      body: { data: { version: deed.seq, created_time: new Date(deed.at).toISOString() } },
    };
  }
  const stored = request.method === "GET" ? readObject(request, "vault", name) : null;
  if (stored === null) return { status: 404, body: { errors: [] } };
  const { data } = JSON.parse(stored.bytes.toString()) as { data: unknown };
  return { status: 200, body: { data: { data, metadata: { version: stored.deed.seq } } } };
}

function failed(status: number, error: string): Answer {
  return { status, body: { errors: [error] } };
}
