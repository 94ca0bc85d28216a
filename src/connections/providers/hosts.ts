/**
 * Where a token may be sent. Pure.
 *
 * H1 Only to hosts that the descriptor names exactly, and the one that an answer brought if its ending is allowed. https, the
 *    standard port, no user-info, no address, no trailing dot: platform/hosts.ts.
 * H2 Never to where tokens are made, exchanged or ended: the provider's own OAuth endpoints, what `denied` lists, and the
 *    hosts of TOKEN_HOSTS. Whoever holds a token could otherwise turn it into another one, which nobody here knows.
 * H3 A path is read as leniently as any server may read it; one that stays ambiguous is refused where paths are denied.
 */
import { checkUrl, err, ok, plainPath, type Result, type UrlRefusalCode } from "../../platform/index.ts";
import type { Bound } from "./descriptor.ts";
import { hostOfAnswer } from "./token-answer.ts";

/** Hosts that do nothing but hand out tokens; no integration may list them, the generic kinds included. */
export const TOKEN_HOSTS: readonly string[] = [
  "oauth2.googleapis.com",
  "sts.googleapis.com",
  "iamcredentials.googleapis.com",
  "securetoken.googleapis.com",
  "identitytoolkit.googleapis.com",
  "accounts.google.com",
  "login.microsoftonline.com",
  "login.windows.net",
  "login.microsoft.com",
  "sts.windows.net",
  "auth.atlassian.com",
  "oauth.platform.intuit.com",
  "developer.api.intuit.com",
  "identity.xero.com",
  "login.xero.com",
  "sts.amazonaws.com",
];

export interface HostRefusal {
  readonly code: UrlRefusalCode | "host_mints_tokens" | "path_denied" | "path_ambiguous";
  readonly message: string;
}

/** The hosts that the token may be sent to; `extra` are the values that the connection's answer brought. */
export function apiHosts(provider: Bound, extra: Readonly<Record<string, string>>): readonly string[] {
  const from = provider.hostFrom;
  const value = from !== undefined && Object.hasOwn(extra, from.extra) ? extra[from.extra] : undefined;
  const host = value === undefined ? null : hostOfAnswer(provider, value);
  return host === null ? provider.hosts : [...provider.hosts, host];
}

/** Whether the token may go along with a request to this URL. The URL that comes back is the one that was judged. */
export function mayReceive(
  provider: Bound,
  extra: Readonly<Record<string, string>>,
  url: string,
): Result<URL, HostRefusal> {
  const checked = checkUrl(url, { ownHosts: [] });
  if (!checked.ok) return checked;
  const { hostname, pathname } = checked.value;
  // Not the list of checkUrl: that one knows wildcards.
  if (!apiHosts(provider, extra).includes(hostname))
    return err({
      code: "host_not_allowed",
      message: `The token of ${provider.displayName} is not sent to "${hostname}".`,
    });
  if (TOKEN_HOSTS.includes(hostname))
    return err({ code: "host_mints_tokens", message: `"${hostname}" makes tokens; none is sent there.` });
  const denied = deniedPaths(provider, hostname);
  if (denied.length === 0) return ok(checked.value);
  const path = plainPath(pathname);
  if (path === null)
    return err({
      code: "path_ambiguous",
      message: `The path can be read in more than one way at "${hostname}".`,
    });
  if (denied.some((pattern) => beginsLike(path, pattern)))
    return err({ code: "path_denied", message: `No token is sent to this path of "${hostname}".` });
  return ok(checked.value);
}

/** Lower-case patterns of the paths of a host that are denied. */
function deniedPaths(provider: Bound, host: string): readonly string[] {
  const listed = (provider.denied ?? []).flatMap((entry) => {
    const slash = entry.indexOf("/");
    const [of, path] = [entry.slice(0, slash), entry.slice(slash)];
    return of === "*" || of === host ? [path] : [];
  });
  const own = ownEndpoints(provider).flatMap((text) => {
    const url = URL.parse(text);
    return url?.hostname === host ? [url.pathname] : [];
  });
  return [...listed, ...own].map((path) => path.toLowerCase());
}

function ownEndpoints(provider: Bound): readonly string[] {
  if (!("tokenUrl" in provider)) return [];
  if (!("authorizeUrl" in provider)) return [provider.tokenUrl];
  const { authorizeUrl, tokenUrl, refreshUrl, revoke } = provider;
  // What is filled into a revocation's path is not known here; what stands before it is enough.
  return [
    authorizeUrl,
    tokenUrl,
    refreshUrl ?? tokenUrl,
    ...(revoke === undefined ? [] : [revoke.url.split("{")[0] ?? ""]),
  ];
}

function beginsLike(path: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (!path.startsWith(first)) return false;
  let from = first.length;
  for (const piece of rest) {
    const at = path.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}
