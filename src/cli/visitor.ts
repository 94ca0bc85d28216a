/**
 * A person with a browser that runs no script: opens pages, keeps cookies, goes where it is sent, fills in forms and presses
 * buttons. It knows nothing of what the pages are about.
 */

/** Redirects, and pages that send the browser on, after one step of the person's. */
const MAX_HOPS = 20;
const ANSWER_MS = 30_000;
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

/** A page on which the browser stays. */
export interface Shown {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
}

type Attributes = Readonly<Record<string, string>>;

export class Visitor {
  /** As browsers do it, all ports of a host share them. */
  readonly #cookies = new Map<string, string>();

  async open(url: string): Promise<Shown> {
    return this.#go(new URL(url), null);
  }

  /**
   * Presses the button whose words begin so, on the form around it, which is left as it is but for what is filled in.
   * Throws if the page has no such button.
   */
  async press(page: Shown, words: string, filled: Readonly<Record<string, string>> = {}): Promise<Shown> {
    const form = new URLSearchParams();
    for (const { name = "", value = "", type = "text", ...rest } of tags(page.text, "input")) {
      if (type === "checkbox" && rest["checked"] === undefined) continue;
      form.append(name, filled[name] ?? value);
    }
    const button = tags(page.text, "button").find((one) => one["words"]?.startsWith(words) === true);
    if (button === undefined) throw new Error(`there is no "${words}" on the page "${titleOf(page)}"`);
    form.append(button["name"] ?? "", button["value"] ?? "");
    return this.#go(page.url, form);
  }

  async #go(first: URL, sent: URLSearchParams | null): Promise<Shown> {
    let url = first;
    let form = sent;
    for (let hop = 0; hop < MAX_HOPS; hop++) {
      const answer = await fetch(url, {
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_MS),
        headers: {
          cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "),
          ...(form === null ? {} : { origin: url.origin, "sec-fetch-site": "same-origin" }),
        },
        ...(form === null ? {} : { method: "POST", body: form }),
      });
      this.#keep(answer.headers.getSetCookie());
      const text = await answer.text();
      const next = answer.headers.get("location") ?? sentOn(text);
      if (next === null) return { url, status: answer.status, text };
      url = new URL(next, url);
      form = null;
    }
    throw new Error(`${url.origin} sends the browser round in circles`);
  }

  #keep(lines: readonly string[]): void {
    for (const line of lines) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "" || /;\s*max-age=0\b/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }
}

/** The heading of a page. */
export function titleOf({ text }: Shown): string {
  return plain(/<h1>([^<]*)<\/h1>/.exec(text)?.[1] ?? "").trim();
}

/** Where a page sends the browser by itself. */
function sentOn(text: string): string | null {
  const [, url] = /<meta http-equiv="refresh" content="0;url=([^"]+)"/.exec(text) ?? [];
  return url === undefined ? null : plain(url);
}

/** Elements of one kind, with their attributes, and what a button says as `words`. */
function tags(text: string, kind: "input" | "button"): Attributes[] {
  return [...text.matchAll(new RegExp(`<${kind}\\b([^>]*)>([^<]*)`, "g"))].map(
    ([, inside = "", words = ""]) => ({
      ...Object.fromEntries(
        [...inside.matchAll(/([\w-]+)(?:="([^"]*)")?/g)].map(([, name = "", value = ""]) => [
          name,
          plain(value),
        ]),
      ),
      words: plain(words).replace(/\s+/g, " ").trim(),
    }),
  );
}

function plain(text: string): string {
  return text.replace(/&(#39|amp|lt|gt|quot);/g, (_, name: string) => ENTITIES[name] ?? "");
}
