/** Cuts long texts for the database. Pure. */

/**
 * The text in pieces of at most `chars` UTF-16 units (2 or more), none of which ends between the halves of a surrogate
 * pair: the database keeps UTF-8, in which half a pair does not exist, and would give back another text.
 */
export function* piecesOf(text: string, chars: number): Generator<string> {
  for (let from = 0; from < text.length;) {
    let to = Math.min(from + chars, text.length);
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to -= 1;
    yield text.slice(from, to);
    from = to;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
