/** What of a JSON text the engine's parser would lose without a word. Pure. */
import { escapePointer } from "../kernel/index.ts";

export interface JsonLoss {
  /** JSON Pointer (RFC 6901) of the value. */
  readonly pointer: string;
  /**
   * - `duplicate`: an object has two members of its name, of which the parser keeps the last (RFC 8259 section 4 calls
   *   that unpredictable).
   * - `rounded`: it is written as an integer beyond 2^53, and two such can become the same number.
   */
  readonly what: "duplicate" | "rounded";
}

interface Container {
  /** Of an object, those that came; null: a list. */
  readonly names: Set<string> | null;
  /** Of the member or item that is read. */
  place: string | number;
}

/** A string, a number, or one character of the structure; all else stands between them. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\],:]/g;
const INTEGER = /^-?\d+$/;

/** The first loss, or null. The text must be JSON. */
export function findJsonLoss(text: string): JsonLoss | null {
  const open: Container[] = [];
  const loss = (what: JsonLoss["what"]): JsonLoss => ({ pointer: pointerOf(open), what });
  let nameNext = false;
  for (const [token] of text.matchAll(TOKEN)) {
    const inner = open.at(-1);
    if (token === "{") open.push({ names: new Set(), place: "" });
    else if (token === "[") open.push({ names: null, place: 0 });
    else if (token === "}" || token === "]") open.pop();
    else if (token === "," && typeof inner?.place === "number") inner.place += 1;
    else if (nameNext && token.startsWith('"') && inner?.names) {
      inner.place = token.includes("\\") ? (JSON.parse(token) as string) : token.slice(1, -1);
      if (inner.names.has(inner.place)) return loss("duplicate");
      inner.names.add(inner.place);
    } else if (INTEGER.test(token) && !Number.isSafeInteger(Number(token))) return loss("rounded");
    nameNext = token === "{" || (token === "," && inner?.names !== null);
  }
  return null;
}

function pointerOf(open: readonly Container[]): string {
  return open.map(({ place }) => `/${escapePointer(String(place))}`).join("");
}
