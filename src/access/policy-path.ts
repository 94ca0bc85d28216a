/**
 * Paths of URLs against the patterns of a policy. Pure.
 *
 * Services read odd paths in different ways: `%2e%2e`, `%2F`, `//`, `;x`, `\`. A path that one of them could read as another
 * than it looks is ambiguous. It opens nothing, and it falls under everything that asks for an approval.
 */

/** RFC 3986 section 3.3, without what can be read in two ways. */
const PATTERN_SEGMENT = /^(?:\*|[A-Za-z0-9._~!$&'()+,=:@-]+)$/;
const DOTS = /^\.{1,2}$/;
/** Separators, escapes of escapes, matrix parameters, control characters. */
const AMBIGUOUS = /[/\\%;\p{Cc}]/u;

/** `/`, `/bookings`, `/bookings/*`, `/users/*` + `/mail`, `/exact/`. */
export function isPathPattern(text: string): boolean {
  if (!text.startsWith("/")) return false;
  const segments = text.slice(1).split("/");
  return segments.every((segment, index) =>
    segment === "" ? index === segments.length - 1 : PATTERN_SEGMENT.test(segment) && !DOTS.test(segment),
  );
}

/** A path that has one reading. */
export interface ReadPath {
  /** Its segments, decoded once. */
  readonly exact: readonly string[];
  /** The same for a service that does not tell upper from lower case, and does not care for a slash at the end. */
  readonly loose: readonly string[];
}

/** Reads a URL's `pathname`; null: it is ambiguous. */
export function readPath(pathname: string): ReadPath | null {
  if (!pathname.startsWith("/")) return null;
  const raw = pathname.slice(1).split("/");
  const segments: string[] = [];
  for (const [index, part] of raw.entries()) {
    const segment = decoded(part);
    // Some services take full-width forms for the characters that they look like.
    const plain = segment?.normalize("NFKC");
    if (segment === null || plain === undefined) return null;
    if (AMBIGUOUS.test(segment) || AMBIGUOUS.test(plain) || DOTS.test(plain)) return null;
    if (segment === "" && index < raw.length - 1) return null;
    segments.push(segment);
  }
  return { exact: segments, loose: loose(segments) };
}

/** Whether a pattern opens a path: exactly, upper and lower case apart. */
export function pathFits(pattern: string, { exact }: ReadPath): boolean {
  return fits(pattern.slice(1).split("/"), exact);
}

/** Whether a path may fall under a pattern, for what the pattern demands. */
export function pathMayFit(pattern: string, path: ReadPath | null): boolean {
  if (path === null) return true;
  const wanted = loose(pattern.slice(1).split("/"));
  return fits(wanted, path.loose) || (wanted.at(-1) === "*" && fits(wanted.slice(0, -1), path.loose));
}

function loose(segments: readonly string[]): readonly string[] {
  const named = segments.at(-1) === "" ? segments.slice(0, -1) : segments;
  return named.map((segment) => segment.normalize("NFKC").toLowerCase());
}

function fits(pattern: readonly string[], segments: readonly string[]): boolean {
  const below = pattern.at(-1) === "*";
  if (below ? segments.length < pattern.length : segments.length !== pattern.length) return false;
  return pattern.every(
    (part, index) =>
      part === segments[index] ||
      (part === "*" && hasOne(segments, index, below && index === pattern.length - 1)),
  );
}

/** In the middle a `*` stands for a segment that is there; at the end also for the empty one behind a last slash. */
function hasOne(segments: readonly string[], index: number, last: boolean): boolean {
  return last || segments[index] !== "";
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    // No UTF-8, or an escape that is none.
    return null;
  }
}
