/** The clouds of the world by name and host. A name stands in fault rules, counts and settings. */

export const REGION = "eu-central-1";
export const ACCOUNT = "111122223333";

/** Token services, which turn an identity token into a credential. */
export const TOKEN_SERVICES = {
  aws: `sts.${REGION}.amazonaws.com`,
  gcp: "sts.googleapis.com",
  azure: "login.microsoftonline.com",
  exchange: "tokens.exchange.example",
  vault: "vault.secrets.example",
  anthropic: "api.anthropic.com",
  openrouter: "openrouter.ai",
} as const;

/** What takes those credentials, beside the token services that do so themselves. */
export const CLOUD_RESOURCES = {
  s3: `s3.${REGION}.amazonaws.com`,
  "s3-invoices": `invoices.s3.${REGION}.amazonaws.com`,
  "gcp-iam": "iamcredentials.googleapis.com",
  "gcp-storage": "storage.googleapis.com",
  "azure-storage": "invoices.blob.core.windows.net",
  "exchange-api": "api.exchange.example",
} as const;

export type TokenService = keyof typeof TOKEN_SERVICES;
export type CloudName = TokenService | keyof typeof CLOUD_RESOURCES;

export const CLOUD_HOSTS: Readonly<Record<CloudName, string>> = { ...TOKEN_SERVICES, ...CLOUD_RESOURCES };

export function isCloudName(name: string): name is CloudName {
  return Object.hasOwn(CLOUD_HOSTS, name);
}

export function isTokenService(name: string): name is TokenService {
  return Object.hasOwn(TOKEN_SERVICES, name);
}
