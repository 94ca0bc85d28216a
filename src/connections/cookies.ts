/**
 * Cookies of our own pages: all `__Host-` (this host, every path, TLS only), out of reach of scripts, and short-lived.
 * Strict ones do not come along from another site; Lax ones do where a person follows a link or a redirect.
 */

/** @param seconds how long it is kept; 0 takes it away */
export function cookie(
  name: `__Host-${string}`,
  value: string,
  how: { readonly sameSite: "Strict" | "Lax"; readonly seconds: number },
): string {
  return `${name}=${value}; Path=/; Max-Age=${how.seconds}; HttpOnly; Secure; SameSite=${how.sameSite}`;
}

export function withoutCookie(name: `__Host-${string}`): string {
  return cookie(name, "", { sameSite: "Strict", seconds: 0 });
}

/** Null also where a name comes twice: one of the two is not ours. */
export function cookieOf(request: Request, name: `__Host-${string}`): string | null {
  const found = (request.headers.get("cookie") ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`));
  const [only, ...more] = found;
  return only === undefined || more.length > 0 ? null : only.slice(name.length + 1);
}
