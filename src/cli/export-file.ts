/** The file that an export of a tenant is written to. Pure. */

interface Line {
  readonly type: string;
  readonly next_cursor?: string | null;
}

/** Where a file goes on: how much of it is whole, and with which cursor; "": from the beginning; null: it has all. */
export function nextOf(text: string): { readonly keep: number; readonly cursor: string | null } {
  let at = { keep: 0, cursor: "" as string | null };
  let end = 0;
  for (const line of text.split("\n").slice(0, -1)) {
    end += line.length + 1;
    const { type, next_cursor: cursor } = JSON.parse(line) as Line;
    if (type === "page") at = { keep: end, cursor: cursor ?? null };
  }
  return at;
}

export interface Summary {
  readonly type: "summary";
  readonly complete: boolean;
  /** How many, by type. */
  readonly lines: Readonly<Record<string, number>>;
}

/** @param text without a summary */
export function summaryOf(text: string): Summary {
  const lines: Record<string, number> = {};
  for (const line of text.split("\n").slice(0, -1)) {
    const { type } = JSON.parse(line) as Line;
    lines[type] = (lines[type] ?? 0) + 1;
  }
  return { type: "summary", complete: nextOf(text).cursor === null, lines };
}
