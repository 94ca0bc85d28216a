/** Names that somebody may have meant by one that is not there. Pure. */

const MAX_NEAR = 5;
/** Names have 64 characters at most, so one comparison costs at most their square. */
const MAX_COMPARED = 1_000;

/** Those that differ by few characters, or by what stands before or behind; the nearest first. */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const most = Math.max(1, Math.floor(wanted.length / 4));
  return names
    .slice(0, MAX_COMPARED)
    .map((name) => ({ name, distance: distanceOf(wanted, name) }))
    .filter(({ name, distance }) => distance <= most || isPart(wanted, name) || isPart(name, wanted))
    .toSorted((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_NEAR)
    .map(({ name }) => name);
}

function isPart(short: string, long: string): boolean {
  return short.length >= 3 && long.includes(short);
}

/** Levenshtein: characters to add, leave out or exchange. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1)
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[other.length] ?? 0;
}
