/**
 * Several pages of one answer, read as one output.
 *
 * - P1 only a step that is safe reads pages: an attempt that breaks off is simply made again, from the first page.
 * - P2 every page has the origin of the first: what a service names as its next page is data, not an address to trust.
 * - P3 pages and their size have a bound; what is left out is told by `more`.
 */

import type { FailureSeed, Json } from "../kernel/index.ts";
import { failure } from "./failures.ts";
import type { Paginate } from "./http-schema.ts";
import type { ActionResult } from "./ports.ts";

/** All items together, as JSON: as much as one output may have. */
const MAX_ITEMS_CHARS = 1_048_576;

interface Page {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json;
}

/** @param ask performs the request for one address, judged like a request of its own */
export async function readPages(
  paginate: Paginate,
  first: string,
  ask: (url: string) => Promise<ActionResult>,
): Promise<ActionResult> {
  const items: Json[] = [];
  const seen = new Set<string>();
  let chars = 0;
  let page: Page | null = null;
  let url: string | null = first;
  while (url !== null && seen.size < paginate.max) {
    if (seen.has(url)) return unusable("output_invalid", "The service names a page as its own next page.");
    seen.add(url);
    const result = await ask(url);
    if (result.kind !== "success") return result;
    // What a request gives is made in `http.ts`.
    const answer = result.output as unknown as Page;
    page ??= answer;
    const found = valueAt(answer.body, paginate.items ?? "");
    if (!Array.isArray(found))
      return misread(
        `There is no list at "${paginate.items ?? ""}" in page ${seen.size}.${listsIn(answer.body)}`,
      );
    if (seen.size === 1 && paginate.by === "cursor") {
      const other = cursorBeside(answer.body, paginate.cursor);
      if (other !== null)
        return misread(
          `There is nothing at "${paginate.cursor}" in the first page, and ${other} says that there are more.`,
        );
    }
    for (const item of found as readonly Json[]) {
      chars += JSON.stringify(item).length + 1;
      items.push(item);
    }
    if (chars > MAX_ITEMS_CHARS)
      return unusable("output_too_large", `The pages have more than ${MAX_ITEMS_CHARS} characters together.`);
    const next = nextPage(paginate, first, url, answer);
    if (next !== null && new URL(next).origin !== new URL(first).origin)
      return { kind: "cannot", failure: foreign() };
    url = next;
  }
  if (page === null) return unusable("output_invalid", "There is no page.");
  const output: Json = {
    status: page.status,
    headers: page.headers,
    body: items,
    pages: seen.size,
    more: url !== null,
  };
  return { kind: "success", output };
}

/** Said in the body of an answer, when there is more than it has. */
const MORE = /^(?:has_?more|(?:.*_)?next(?:_.*|[A-Z].*)?|.*[a-z]Next)$/;
const MAX_TOLD = 5;
const MAX_NAME_CHARS = 64;

/** A field beside the one that is not there, which says that there are more pages; or null. */
function cursorBeside(body: Json, pointer: string): string | null {
  const end = pointer.lastIndexOf("/");
  const around = valueAt(body, pointer.slice(0, Math.max(0, end)));
  if (valueAt(body, pointer) !== undefined || typeof around !== "object" || around === null) return null;
  const more = Object.entries(around).find(
    ([name, value]) =>
      MORE.test(name.slice(0, MAX_NAME_CHARS)) && value !== null && value !== false && value !== "",
  );
  return more === undefined ? null : `\`${more[0].slice(0, MAX_NAME_CHARS)}\``;
}

function listsIn(body: Json): string {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return "";
  const names = Object.entries(body)
    .filter(([, value]) => Array.isArray(value))
    .map(([name]) => `/${name.slice(0, MAX_NAME_CHARS)}`)
    .slice(0, MAX_TOLD);
  return names.length === 0 ? "" : ` There is one at ${names.join(", ")}.`;
}

/** The same pages would be read in the same way again. */
function misread(message: string): ActionResult {
  const hint = "Look at what the service answers, and correct the step's `paginate`.";
  return { kind: "cannot", failure: failure("output_invalid", message, hint) };
}

/** Address of the next page, or null if this was the last. */
function nextPage(paginate: Paginate, first: string, url: string, { headers, body }: Page): string | null {
  if (paginate.by === "link") {
    const target = linkTo(headers["link"] ?? "");
    return target === null ? null : (URL.parse(target, url)?.href ?? null);
  }
  const cursor = valueAt(body, paginate.cursor);
  if ((typeof cursor !== "string" && typeof cursor !== "number") || cursor === "") return null;
  const next = new URL(first);
  next.searchParams.set(paginate.param, String(cursor));
  return next.href;
}

/** The target of `rel="next"`. RFC 8288, section 3. */
function linkTo(header: string): string | null {
  for (const [, target, parameters] of header.matchAll(/<([^<>]*)>([^<]*)/g))
    if (/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters ?? ""))
      return target ?? null;
  return null;
}

/** RFC 6901. Undefined: there is nothing. */
function valueAt(body: Json, pointer: string): Json | undefined {
  let at: Json | undefined = body;
  for (const token of pointer === "" ? [] : pointer.slice(1).split("/")) {
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as { readonly [key: string]: Json })[key];
  }
  return at;
}

function foreign(): FailureSeed {
  return failure(
    "egress_blocked",
    "The service names a page of another origin as its next one; it was not called.",
    "Read the pages of one host only, or call the other one in a step of its own.",
  );
}

function unusable(code: "output_invalid" | "output_too_large", message: string): ActionResult {
  const hint =
    code === "output_too_large"
      ? "Ask for fewer pages with `paginate.max`, or for fewer fields."
      : "Look at what the service answers, and correct the step's `paginate`.";
  return { kind: "unusable", failure: failure(code, message, hint) };
}
