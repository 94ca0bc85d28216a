/**
 * Where credentials are made, exchanged or changed. None is sent there: whoever holds one could turn it into another, which
 * nobody here knows, and which outlives it. Pure.
 *
 * Whole hosts where they do nothing else; paths where an API stands beside it.
 */
import { plainPath } from "../platform/index.ts";
import type { CloudRole } from "./role.ts";

/** All partitions: https://docs.aws.amazon.com/general/latest/gr/rande.html */
const AWS_ENDS = [
  "amazonaws.com",
  "amazonaws.com.cn",
  "amazonaws.eu",
  "api.aws",
  "api.amazonwebservices.com.cn",
  "api.amazonwebservices.eu",
  "on.aws",
  "c2s.ic.gov",
  "sc2s.sgov.gov",
  "cloud.adc-e.uk",
  "csp.hci.ic.gov",
];
/** Also with `-fips`, and within the names of private endpoints. */
const AWS_MINTS = new Set(
  (
    "sts iam sso oidc identitystore signin cognito-identity cognito-idp rolesanywhere eks-auth lakeformation " +
    "codeartifact credentials"
  ).split(" "),
);
/** A bucket may have any name before this. */
const S3 = /^s3(?:$|-)/;

const GOOGLE_ENDS = ["googleapis.com", "google.com"];
/** Also of other trust domains, regions, and within the names of private endpoints: `sts-xyz.p`. */
const GOOGLE_MINTS =
  /^(?:sts|iam|iamcredentials|oauth2|oauthaccountmanager|securetoken|identitytoolkit|accounts)(?:-|$)/;
const GOOGLE_BUCKETS = ".storage.googleapis.com";

/** Those, and all below them. */
const MINT_WHOLE = [
  // Entra ID and its sovereign kin.
  "login.microsoftonline.com",
  "login.microsoftonline.us",
  "login.microsoftonline.de",
  "login.partner.microsoftonline.cn",
  "login.chinacloudapi.cn",
  "login.usgovcloudapi.net",
  "login.microsoft.com",
  "login.windows.net",
  "login.windows-ppe.net",
  "login.live.com",
  "sts.windows.net",
  "sts.chinacloudapi.cn",
  "autologon.microsoftazuread-sso.com",
  "b2clogin.com",
  "ciamlogin.com",
  // AWS
  "signin.aws.amazon.com",
  "signin.aws",
  "awsapps.com",
  "signin.amazonaws-us-gov.com",
  "signin.amazonaws.cn",
  // Others that take identity tokens.
  "auth.openai.com",
  "auth.anthropic.com",
];

/** Beginnings of paths, in lower case, at hosts that do more than this. */
const MINT_PATHS: Readonly<Record<string, readonly string[]>> = {
  "api.anthropic.com": ["/v1/oauth", "/v1/organizations/api_keys"],
  "console.anthropic.com": ["/v1/oauth"],
  "platform.claude.com": ["/v1/oauth"],
  "openrouter.ai": ["/api/v1/oauth", "/api/v1/auth", "/api/v1/keys"],
  "www.googleapis.com": ["/oauth2"],
};

/** Vault's way in, and what makes tokens or unwraps them, in any namespace. */
const VAULT_MINTS = [
  /^\/v1\/auth\//,
  /\/auth\/.*\/(?:login|secret-id|custom-secret-id)(?:\/|$)/,
  /\/auth\/token\/(?:create|renew|roles)/,
  /\/identity\/oidc\/(?:token|provider)\//,
  /\/sys\/wrapping\//,
];
/** A directory that belongs to a token service. */
const TOKEN_DIRECTORY = /\/[^/]*(?:oauth|oidc|openid|connect|token|sts)[^/]*$/;

/** Why no role may list this host; null: it may. For whoever makes a role, as well as when a credential is sent. */
export function mintingHost(host: string): string | null {
  const name = host.toLowerCase().replace(/\.$/, "");
  const mints = isBelow(name, MINT_WHOLE) || mintsAtAws(name) || mintsAtGoogle(name);
  return mints ? `"${name}" makes or exchanges credentials; none is sent there` : null;
}

/** Why a credential of the role is not sent to this path of a host that it may be sent to; null: it is. */
export function mintingPath({ target }: CloudRole, { hostname, pathname }: URL): string | null {
  const denied = [...(MINT_PATHS[hostname] ?? [])];
  if (target.provider === "token_exchange") denied.push(...tokenPaths(target.tokenUrl, hostname));
  const isVault = target.provider === "vault";
  if (denied.length === 0 && !isVault) return null;
  const path = plainPath(pathname);
  if (path === null) return `the path can be read in more than one way at "${hostname}"`;
  const mints =
    denied.some((beginning) => path === beginning || path.startsWith(`${beginning.replace(/\/$/, "")}/`)) ||
    (isVault && VAULT_MINTS.some((pattern) => pattern.test(path)));
  return mints ? `this path of "${hostname}" makes or exchanges credentials; none is sent there` : null;
}

/** The token service's own address, and its directory where that is one of a token service. */
function tokenPaths(tokenUrl: string, hostname: string): readonly string[] {
  const url = URL.parse(tokenUrl);
  if (url?.hostname !== hostname) return [];
  const path = plainPath(url.pathname) ?? "/";
  const directory = path.slice(0, path.lastIndexOf("/"));
  return TOKEN_DIRECTORY.test(directory) ? [path, directory] : [path];
}

function isBelow(name: string, ends: readonly string[]): boolean {
  return ends.some((end) => name === end || name.endsWith(`.${end}`));
}

function labelsBefore(name: string, ends: readonly string[]): readonly string[] | null {
  const end = ends.find((one) => name.endsWith(`.${one}`));
  return end === undefined ? null : name.slice(0, -end.length - 1).split(".");
}

function mintsAtAws(name: string): boolean {
  const labels = labelsBefore(name, AWS_ENDS);
  if (labels === null) return false;
  const from = labels.findLastIndex((label) => S3.test(label));
  const counted = from < 0 ? labels : labels.slice(from);
  return counted.some((label) => AWS_MINTS.has(label.replace(/-fips$/, "")));
}

function mintsAtGoogle(name: string): boolean {
  if (name.endsWith(GOOGLE_BUCKETS)) return false;
  return labelsBefore(name, GOOGLE_ENDS)?.some((label) => GOOGLE_MINTS.test(label)) ?? false;
}
