/** Names that somebody may have meant by one that is not there. Pure. */

import { distance } from "../actions/index.ts";

const MAX_NEAR = 5;
/** A name has no more. */
const MAX_NAME_CHARS = 64;
/** Names have 64 characters at most, so one comparison costs at most their square. */
const MAX_COMPARED = 1_000;

/** Those that differ by few characters, or by what stands before or behind; the nearest first. */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const most = Math.max(1, Math.floor(wanted.length / 4));
  return names
    .slice(0, MAX_COMPARED)
    .map((name) => ({ name, distance: distance(wanted, name, MAX_NAME_CHARS) }))
    .filter(({ name, distance }) => distance <= most || isPart(wanted, name) || isPart(name, wanted))
    .toSorted((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_NEAR)
    .map(({ name }) => name);
}

function isPart(short: string, long: string): boolean {
  return short.length >= 3 && long.includes(short);
}
