/** One workflow of one issuer, trusted by every cloud of the world, and what a plain request for a credential looks like at each. */
import type { TrustInput, World } from "../world/index.ts";
import { TOKEN_SERVICES, type TokenService } from "../world/clouds/names.ts";

export const ROLE = "arn:aws:iam::111122223333:role/invoices-writer";
export const SECOND_ROLE = "arn:aws:iam::111122223333:role/archive-writer";
export const REGION = "eu-central-1";
export const POOL_PROVIDER =
  "projects/123456789/locations/global/workloadIdentityPools/workflows/providers/showcaller";
const POOL = POOL_PROVIDER.replace(/\/providers\/.*$/, "");
export const ACCOUNT = "invoices@acme.iam.gserviceaccount.com";
export const DIRECTORY = "aaaaaaaa-0000-4000-8000-000000000001";
export const CLIENT_ID = "bbbbbbbb-0000-4000-8000-000000000002";
export const STORAGE_SCOPE = "https://storage.azure.com/.default";
export const ORGANIZATION = "cccccccc-0000-4000-8000-000000000003";
export const RULE = "fdrl_invoices";
export const SERVICE_ACCOUNT = "svac_invoices";

/** The one audience at each. */
export const AUDIENCES: Readonly<Record<TokenService, string>> = {
  aws: "sts.amazonaws.com",
  gcp: `//iam.googleapis.com/${POOL_PROVIDER}`,
  azure: "api://AzureADTokenExchange",
  exchange: "https://tokens.exchange.example",
  vault: "https://vault.secrets.example",
  anthropic: "https://api.anthropic.com",
  openrouter: "https://openrouter.ai",
};

export const SERVICES = Object.keys(TOKEN_SERVICES) as readonly TokenService[];

/** What administrators would set up for one workflow. */
export function trustOf(issuer: string, subject: string): TrustInput[] {
  const place = issuer.slice("https://".length);
  return [
    { kind: "aws_provider", url: issuer, clientIds: [AUDIENCES.aws] },
    {
      kind: "aws_role",
      arn: ROLE,
      trust: {
        Version: "2012-10-17",
        Statement: {
          Effect: "Allow",
          Principal: { Federated: `arn:aws:iam::111122223333:oidc-provider/${place}` },
          Action: "sts:AssumeRoleWithWebIdentity",
          Condition: { StringEquals: { [`${place}:sub`]: subject, [`${place}:aud`]: AUDIENCES.aws } },
        },
      },
      permissions: {
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Action: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            Resource: "arn:aws:s3:::invoices/*",
          },
          { Effect: "Allow", Action: "s3:ListBucket", Resource: "arn:aws:s3:::invoices" },
          { Effect: "Allow", Action: "sts:AssumeRole", Resource: SECOND_ROLE },
        ],
      },
    },
    {
      kind: "aws_role",
      arn: SECOND_ROLE,
      trust: {
        Version: "2012-10-17",
        Statement: {
          Effect: "Allow",
          Principal: { AWS: ROLE },
          Action: "sts:AssumeRole",
          Condition: { StringEquals: { "sts:ExternalId": "archive-7" } },
        },
      },
      permissions: {
        Version: "2012-10-17",
        Statement: { Effect: "Allow", Action: "s3:PutObject", Resource: "arn:aws:s3:::archive/*" },
      },
    },
    { kind: "aws_bucket", name: "archive" },
    {
      kind: "gcp_provider",
      name: POOL_PROVIDER,
      issuerUri: issuer,
      attributeMapping: { "google.subject": "assertion.sub", "attribute.tenant": "assertion.tenant" },
      attributeCondition: `assertion.sub == "${subject}"`,
    },
    {
      kind: "gcp_service_account",
      email: ACCOUNT,
      workloadIdentityUsers: [`principal://iam.googleapis.com/${POOL}/subject/${subject}`],
    },
    {
      kind: "gcp_bucket",
      name: "invoices",
      members: [
        `serviceAccount:${ACCOUNT}`,
        `principalSet://iam.googleapis.com/${POOL}/attribute.tenant/acme`,
      ],
    },
    { kind: "azure_app", directory: DIRECTORY, clientId: CLIENT_ID },
    {
      kind: "azure_credential",
      clientId: CLIENT_ID,
      name: "invoices-writer",
      issuer,
      subject,
      audiences: [AUDIENCES.azure],
    },
    { kind: "azure_container", name: "invoices", clientIds: [CLIENT_ID] },
    {
      kind: "exchange",
      issuer,
      audience: AUDIENCES.exchange,
      subject,
      targets: ["https://api.exchange.example"],
      scopes: ["notes.read"],
      once: true,
    },
    { kind: "vault_mount", mount: "jwt", oidc_discovery_url: issuer },
    {
      kind: "vault_role",
      mount: "jwt",
      name: "invoices",
      user_claim: "sub",
      bound_audiences: [AUDIENCES.vault],
      bound_subject: subject,
      token_policies: ["invoices/*"],
    },
    {
      kind: "anthropic_rule",
      id: RULE,
      organization_id: ORGANIZATION,
      issuer,
      audience: AUDIENCES.anthropic,
      subject,
      service_account_id: SERVICE_ACCOUNT,
      workspace_ids: ["wrkspc_1"],
      check_jti: true,
      max_jwt_lifetime_seconds: 3_600,
    },
    { kind: "openrouter_rule", issuer, audience: AUDIENCES.openrouter, subject },
  ];
}

const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

interface Plain {
  readonly path: string;
  readonly form?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const PLAIN: Readonly<Record<TokenService, (token: string) => Plain>> = {
  aws: (token) => ({
    path: "/",
    form: {
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: ROLE,
      RoleSessionName: "process-order",
      WebIdentityToken: token,
      DurationSeconds: "900",
    },
  }),
  gcp: (token) => ({
    path: "/v1/token",
    form: {
      grant_type: TOKEN_EXCHANGE,
      audience: AUDIENCES.gcp,
      scope: "https://www.googleapis.com/auth/cloud-platform",
      requested_token_type: ACCESS_TOKEN,
      subject_token: token,
      subject_token_type: JWT_TYPE,
    },
  }),
  azure: (token) => ({
    path: `/${DIRECTORY}/oauth2/v2.0/token`,
    form: {
      client_id: CLIENT_ID,
      scope: STORAGE_SCOPE,
      grant_type: "client_credentials",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: token,
    },
  }),
  exchange: (token) => ({
    path: "/token",
    form: { grant_type: TOKEN_EXCHANGE, subject_token: token, subject_token_type: JWT_TYPE },
  }),
  vault: (token) => ({ path: "/v1/auth/jwt/login", json: { role: "invoices", jwt: token } }),
  anthropic: (token) => ({
    path: "/v1/oauth/token",
    headers: { "anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01" },
    json: {
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion: token,
      federation_rule_id: RULE,
      organization_id: ORGANIZATION,
    },
  }),
  openrouter: (token) => ({
    path: "/api/v1/oauth/token",
    form: { grant_type: TOKEN_EXCHANGE, subject_token: token, subject_token_type: JWT_TYPE },
  }),
};

export interface Reply {
  readonly status: number;
  /** The vendor's own; null for a credential. */
  readonly code: string | null;
  readonly text: string;
  readonly headers: Headers;
}

/** Asks a token service for a credential, with other fields where they are given. */
export async function ask(
  world: World,
  service: TokenService,
  token: string,
  over: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const { path, form, json, headers } = PLAIN[service](token);
  const answer = await fetch(world.origin(TOKEN_SERVICES[service]) + path, {
    method: "POST",
    headers: {
      "content-type": form === undefined ? "application/json" : "application/x-www-form-urlencoded",
      ...headers,
    },
    body:
      form === undefined
        ? JSON.stringify({ ...(json as object), ...over })
        : new URLSearchParams({ ...form, ...over }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    code: answer.ok ? null : codeOf(service, text),
    text,
    headers: answer.headers,
  };
}

function codeOf(service: TokenService, text: string): string {
  if (service === "aws") return /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? text;
  const body = JSON.parse(text) as { error?: string; error_codes?: number[]; errors?: string[] };
  return String(body.error_codes?.[0] ?? body.error ?? body.errors?.[0]);
}
