/** What somebody meant who wrote another word. */

/** Names of other systems for what is here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  body: "json",
  cloudrole: "cloud",
  data: "json",
  dependson: "needs",
  if: "when",
  interval: "every",
  onerror: "onFailure",
  params: "query",
  retries: "retry",
  role: "cloud",
  rollback: "compensate",
  token: "bearer",
  type: "action",
};
/** Letters that may differ, in words of so many letters and more. */
const ONE_FROM = 3;
const TWO_FROM = 6;
/** Longer words are not compared: hostile ones would cost the square of that. */
const MAX_WORD_CHARS = 32;

/** The one of the names that is close to the word, or null. */
export function nearest(word: string, names: readonly string[]): string | null {
  if (word.length > MAX_WORD_CHARS) return null;
  const plain = plainOf(word);
  const same = names.find((name) => plainOf(name) === plain);
  if (same !== undefined) return same;
  const other = Object.hasOwn(ELSEWHERE, plain) ? ELSEWHERE[plain] : undefined;
  if (other !== undefined && names.includes(other)) return other;
  const most = plain.length >= TWO_FROM ? 2 : plain.length >= ONE_FROM ? 1 : 0;
  let best: string | null = null;
  let least = most + 1;
  for (const name of names) {
    const apart = distance(plain, plainOf(name), least);
    if (apart < least) [best, least] = [name, apart];
  }
  return best;
}

/** A sentence more, where a word is close to one that is known; else nothing. */
export function didYouMean(word: string, names: readonly string[]): string {
  const meant = nearest(word, names);
  return meant === null ? "" : ` Did you mean \`${meant}\`?`;
}

/** Case and the way of joining words do not matter. */
function plainOf(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** Letters to put in, take out, change, or swap with the next; `enough` if it is as many or more. */
function distance(a: string, b: string, enough: number): number {
  if (Math.abs(a.length - b.length) >= enough) return enough;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : Infinity;
      const cell = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change, swap);
      next.push(cell);
      least = Math.min(least, cell);
    }
    // A swap reaches over one row, so the row before counts too.
    if (least >= enough && Math.min(...row) >= enough) return enough;
    before = row;
    row = next;
  }
  return Math.min(row[b.length] ?? 0, enough);
}
