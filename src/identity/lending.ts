/**
 * What a step may do with a credential: present it, or sign with it, to the hosts of its role.
 *
 * - L1 it goes to the hosts that the role lists, exactly, and never to where credentials are made (minting-hosts.ts).
 * - L2 the secret key of AWS never leaves: requests are signed with it.
 * - L3 every value of it is among the secrets, for redaction.
 */
import { checkUrl, type Lease, type LeaseAnswer } from "../platform/index.ts";
import { mintingHost, mintingPath } from "./minting-hosts.ts";
import type { CloudCredential, CloudRole, RoleHost } from "./role.ts";
import { signAws, signingFlaw } from "./sigv4.ts";

export interface Lending {
  readonly role: CloudRole;
  /** As identity tokens say it. */
  readonly subject: string;
  readonly credential: CloudCredential;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The service refused the credential: another one, if it can be had. */
  readonly renew: () => Promise<LeaseAnswer>;
}

/** AWS's words for credentials that have ended, or that a service does not know. */
const AWS_REFUSALS =
  "ExpiredToken|ExpiredTokenException|TokenRefreshRequired|InvalidToken|InvalidClientTokenId|InvalidAccessKeyId|UnrecognizedClientException";
/** As S3 and the query services say it, as those of JSON do, and as it stands in `x-amzn-errortype`. */
const AWS_REFUSED = [
  new RegExp(`<Code>(?:${AWS_REFUSALS})</Code>`),
  new RegExp(`"(?:__type|code)"\\s*:\\s*"(?:[^"#]{1,200}#)?(?:${AWS_REFUSALS})"`),
];
const AWS_REFUSED_HEADER = new RegExp(`^(?:${AWS_REFUSALS})(?::|$)`);

export function leaseOf({ role, subject, credential, now, renew }: Lending): Lease {
  const aws = credential.kind === "aws" ? credential : null;
  const raw = rawOf(credential);
  // Its names hold the secret: it goes with the lease.
  const cache = new Map<string, ArrayBuffer>();
  return {
    about: { role: role.name, provider: role.target.provider, subject, version: role.version },
    headers: credential.kind === "aws" ? {} : { [credential.header]: credential.scheme + credential.token },
    defaults: credential.kind === "aws" ? {} : credential.defaults,
    raw,
    expiresAt: credential.expiresAt,
    // L3.
    secrets: Object.values(raw),
    keepHeaders: aws === null ? ["www-authenticate"] : ["x-amzn-errortype"],
    refusalFor: (url) => refusalFor(role, credential, url),
    read: (answer) => (isRefused(role, credential, answer) ? { is: "token_refused" } : undefined),
    renew,
    // Neither is known of a cloud's credential: the answer means what its status says.
    limited: async () => {},
    dead: async () => {},
    need: () => null,
    ...(aws === null
      ? {}
      : {
          sign: async (request) => {
            const host = hostOf(role, new URL(request.url).hostname);
            if (host?.service === undefined || refusalFor(role, credential, request.url) !== null)
              throw new TypeError("A request was to be signed that the credential may not go along with.");
            const region = regionOf(role, host);
            return signAws(request, { credential: aws, service: host.service, region, now: now(), cache });
          },
        }),
  };
}

function rawOf(credential: CloudCredential): Readonly<Record<string, string>> {
  if (credential.kind === "bearer") return { token: credential.token };
  const { accessKeyId, secretAccessKey, sessionToken } = credential;
  return { accessKeyId, secretAccessKey, sessionToken };
}

/** L1. */
function refusalFor(role: CloudRole, credential: CloudCredential, text: string): string | null {
  const checked = checkUrl(text, { ownHosts: [] });
  if (!checked.ok) return checked.error.message;
  const url = checked.value;
  const host = hostOf(role, url.hostname);
  if (host === undefined)
    return `The credential of the cloud role ${role.name} is not sent to "${url.hostname}".`;
  const flaw = mintingHost(url.hostname) ?? mintingPath(role, url) ?? signatureFlaw(credential, host, url);
  return flaw === null ? null : `The credential of the cloud role ${role.name} is not sent: ${flaw}.`;
}

function signatureFlaw(credential: CloudCredential, { host, service }: RoleHost, url: URL): string | null {
  if (credential.kind !== "aws") return null;
  return service === undefined
    ? `the role does not say which service "${host}" is`
    : signingFlaw(url, service);
}

function hostOf({ hosts }: CloudRole, name: string): RoleHost | undefined {
  return hosts.find(({ host }) => host === name);
}

function regionOf({ target }: CloudRole, { region }: RoleHost): string {
  return region ?? (target.provider === "aws" ? target.region : "");
}

function isRefused(
  { target }: CloudRole,
  credential: CloudCredential,
  { status, headers, body }: Parameters<Lease["read"]>[0],
): boolean {
  if (credential.kind === "aws")
    return (
      (status === 400 || status === 401 || status === 403) &&
      (AWS_REFUSED_HEADER.test(headers["x-amzn-errortype"] ?? "") ||
        AWS_REFUSED.some((one) => one.test(body)))
    );
  if (status === 401) return true;
  // Vault says 403 to tokens that have ended as well as to what a token may not do.
  return target.provider === "vault" && status === 403 && body.includes("invalid token");
}
