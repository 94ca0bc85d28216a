/** Names that somebody may have meant by one that is not there. Pure. */

const MAX_NEAR = 5;
const MAX_COMPARED = 1_000;

/** Those that differ by few characters, or by what stands before or behind; the nearest first. */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const most = Math.max(1, Math.floor(wanted.length / 4));
  return names
    .slice(0, MAX_COMPARED)
    .map((name) => ({ name, distance: apart(wanted, name, most) }))
    .filter(({ distance }) => distance < Infinity)
    .toSorted((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_NEAR)
    .map(({ name }) => name);
}

/** Characters to add, leave out or exchange; Infinity where they are more than the most, and neither is part of the other. */
function apart(wanted: string, name: string, most: number): number {
  const lengths = Math.abs(wanted.length - name.length);
  if (isPart(wanted, name) || isPart(name, wanted)) return lengths;
  return lengths > most ? Infinity : distanceOf(wanted, name, most);
}

function isPart(short: string, long: string): boolean {
  return short.length >= 3 && long.includes(short);
}

/** Levenshtein, which gives up as soon as a row shows that it will be more than the most. */
function distanceOf(one: string, other: string, most: number): number {
  const row = Uint16Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i += 1) {
    // What is farther from the diagonal is more than the most.
    const from = Math.max(1, i - most);
    const to = Math.min(other.length, i + most);
    // Of the row before, one to the left.
    let before = row[from - 1] ?? 0;
    let least = (row[from - 1] = from === 1 ? i : most + 1);
    for (let j = from; j <= to; j += 1) {
      const above = row[j] ?? 0;
      const exchanged = before + (one.charCodeAt(i - 1) === other.charCodeAt(j - 1) ? 0 : 1);
      const cell = Math.min(above + 1, (row[j - 1] ?? 0) + 1, exchanged);
      row[j] = cell;
      before = above;
      if (cell < least) least = cell;
    }
    if (least > most) return Infinity;
  }
  const distance = row[other.length] ?? 0;
  return distance > most ? Infinity : distance;
}
