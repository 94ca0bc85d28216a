/** Paths of URLs as servers may read them. Pure. */

/** How often a path is decoded to see whether it says something else. */
const MAX_DECODINGS = 4;

/** The path as the most lenient server would read it: decoded, lower case, single slashes, no parameters. Null: unclear. */
export function plainPath(pathname: string): string | null {
  let path = pathname;
  for (let round = 0; path.includes("%"); round += 1) {
    if (round === MAX_DECODINGS) return null;
    try {
      path = decodeURIComponent(path);
    } catch {
      return null;
    }
  }
  const plain = path
    .toLowerCase()
    .replaceAll("\\", "/")
    .replace(/;[^/]*/g, "")
    .replace(/\/{2,}/g, "/");
  // Dots that appear only after decoding would move the path at some servers, as would what is no printable character.
  return /(?:^|\/)\.{1,2}(?:\/|$)|[^\x20-\x7e]/.test(plain) ? null : plain;
}
