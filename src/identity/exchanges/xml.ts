/**
 * Reads the few elements that AWS answers with. Strict: elements and text only. What has anything that XML offers beside them
 * (a document type, entities of its own, comments, CDATA), or is not well-formed, is not read at all. Pure.
 */

const MAX_CHARS = 65_536;
const MAX_DEPTH = 16;
/** An element's beginning or end, or a text. */
const PIECE =
  /<(\/?)([A-Za-z_][\w.-]{0,127})((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const PROLOG = /^\uFEFF?\s*(?:<\?xml [^?<>]{0,200}\?>)?\s*/;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** The texts of all elements by their paths (`A/B/C`), the first of each; null: it is not such XML. */
export function readXml(text: string): ReadonlyMap<string, string> | null {
  if (text.length > MAX_CHARS) return null;
  const found = new Map<string, string>();
  const path: { readonly name: string; text: string }[] = [];
  let at = PROLOG.exec(text)?.[0].length ?? 0;
  let roots = 0;
  while (at < text.length) {
    PIECE.lastIndex = at;
    const piece = PIECE.exec(text);
    if (piece === null) return null;
    at = PIECE.lastIndex;
    const [, end = "", name = "", attributes = "", empty = "", words] = piece;
    const open = path.at(-1);
    if (words !== undefined) {
      const plain = decoded(words);
      if (plain === null) return null;
      if (open !== undefined) open.text += plain;
      else if (plain.trim() !== "") return null;
    } else if (end === "") {
      if (open === undefined && ++roots > 1) return null;
      path.push({ name, text: "" });
      if (path.length > MAX_DEPTH) return null;
      if (empty !== "") close(path, found);
    } else {
      if (open?.name !== name || attributes !== "" || empty !== "") return null;
      close(path, found);
    }
  }
  return path.length === 0 && roots === 1 ? found : null;
}

function close(path: { readonly name: string; text: string }[], found: Map<string, string>): void {
  const key = path.map(({ name }) => name).join("/");
  const text = path.pop()?.text ?? "";
  if (!found.has(key)) found.set(key, text.trim());
}

function decoded(text: string): string | null {
  if (/&(?!(?:lt|gt|amp|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)/.test(text)) return null;
  return text.replace(
    /&(#?)(x?)([0-9a-zA-Z]+);/g,
    (all, number: string, hexadecimal: string, name: string) => {
      if (number === "") return ENTITIES[`${hexadecimal}${name}`] ?? all;
      const code = Number.parseInt(name, hexadecimal === "" ? 10 : 16);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\uFFFD";
    },
  );
}
