/**
 * Pages for people: the shell that all of them share, and the only way to write their HTML. No script, nothing from
 * elsewhere, and every page works without JavaScript.
 *
 * - H1 text becomes markup only through {@link html}: what is filled in is escaped, whoever wrote it.
 * - H2 characters that would make text look like other text (controls, changes of direction) stand out instead.
 * - H3 no page runs, loads, is stored, can be framed, or tells its address to where its links and forms lead.
 */

const MADE = Symbol("made by html");

/** HTML that was written here, as opposed to text. Made by {@link html} only. */
export class Markup {
  readonly source: string;

  constructor(source: string, made: symbol) {
    if (made !== MADE) throw new TypeError("Markup is made by html`...` only.");
    this.source = source;
  }
}

/** What can be filled in. Null is nothing; a list is its parts one after the other. */
export type Filling = string | number | null | Markup | readonly Filling[];

/** H1, H2. For content and for quoted attribute values; never inside `<style>`, a URL's scheme, or an unquoted attribute. */
export function html(parts: TemplateStringsArray, ...fillings: readonly Filling[]): Markup {
  const source = parts.map((part, i) => part + (i < fillings.length ? fill(fillings[i] ?? null) : ""));
  return new Markup(source.join(""), MADE);
}

function fill(filling: Filling): string {
  if (filling === null) return "";
  if (filling instanceof Markup) return filling.source;
  if (typeof filling === "object") return filling.map(fill).join("");
  return escapeText(visible(String(filling)));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeText(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => ENTITIES[char] ?? "");
}

function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (char) =>
    char === "\n" ? char : "\ufffd",
  );
}

export interface Page {
  /** Of the window, and the heading. */
  readonly title: string;
  /** What follows the heading. */
  readonly body: Markup;
  /**
   * Where the browser goes at once, an absolute URL. For what an answer to a form cannot redirect to: browsers hold each
   * redirect after a form to `form-action`, also those of other sites, and nobody knows where these lead.
   */
  readonly goesTo?: string;
}

export interface PageOptions {
  readonly status?: number;
  /** Further headers, cookies for instance. They cannot replace those of {@link pageResponse}. */
  readonly headers?: Headers;
  /**
   * Origins beside our own that an answer to a form of this page may redirect to: browsers hold redirects to the policy of
   * the page, too. Each a URL; only its origin counts.
   */
  readonly formsLeadTo?: readonly string[];
}

/** The page as an answer, with every header that a page of ours has (H3). */
export function pageResponse(
  { title, body, goesTo }: Page,
  { status = 200, headers, formsLeadTo = [] }: PageOptions = {},
): Response {
  const nonce = crypto.randomUUID();
  const all = new Headers(headers);
  const targets = ["'self'", ...formsLeadTo.map((url) => new URL(url).origin)].join(" ");
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; form-action ${targets}; base-uri 'none'; frame-ancestors 'none'`;
  for (const [name, value] of Object.entries({ ...HEADERS, "content-security-policy": policy }))
    all.set(name, value);
  // The style is ours, and holds nothing that was filled in.
  const whole = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${html`<title>${title} – Showcaller</title>`.source}${
    goesTo === undefined ? "" : html`<meta http-equiv="refresh" content="0;url=${goesTo}" />`.source
  }
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<header>Showcaller</header>
<main>
${
  html`<h1>${title}</h1>
    ${body}`.source
}
</main>
</body>
</html>
`;
  return new Response(whole, { status, headers: all });
}

const HEADERS: Readonly<Record<string, string>> = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/**
 * System fonts, both colour schemes. Contrast is 4.5:1 or better in each (WCAG 2.2 AA), 3:1 for borders of what can be
 * used. Classes: `lead` a first sentence, `note` what nobody checked, `code` exact values, `main` and `danger` buttons.
 */
const STYLE = `
:root{color-scheme:light dark;--back:#f4f5f7;--card:#fff;--text:#1b1f24;--soft:#545b64;--line:#d5d9de;--edge:#767d86;--main:#0a5c36;--on:#fff;--danger:#a4161a;--warn:#fff6df;--mark:#9a5b00}
@media(prefers-color-scheme:dark){:root{--back:#111418;--card:#1b2026;--text:#e9ecef;--soft:#a9b1bb;--line:#343b44;--edge:#7f8893;--main:#7bd3a3;--on:#06130c;--danger:#ff9c9c;--warn:#2c2413;--mark:#e0a94a}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
header,main{max-width:42rem;margin:0 auto;padding:1rem}
header{font-weight:600;color:var(--soft)}
main{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.5rem;overflow-wrap:anywhere}
h1{margin:0 0 .5rem;font-size:1.6rem;line-height:1.25}
h2{margin:1.5rem 0 .5rem;font-size:1.05rem}
p{margin:0 0 1rem}
.lead{font-size:1.1rem}
dl{margin:0;display:grid;grid-template-columns:10rem 1fr}
dt,dd{margin:0;padding:.5rem 0;border-top:1px solid var(--line);overflow-wrap:anywhere;min-width:0}
dt{color:var(--soft);padding-right:1rem}
dd ul{margin:0;padding-left:1.25rem}
.code{font-family:ui-monospace,monospace;font-size:.9rem}
.note{margin:1.5rem 0;padding:.75rem 1rem;border-left:4px solid var(--mark);background:var(--warn);border-radius:.25rem}
.note h2{margin:0 0 .25rem}
blockquote{margin:0;white-space:pre-wrap;unicode-bidi:isolate;overflow-wrap:anywhere}
form{margin-top:1.5rem}
label{display:block;font-weight:600;margin-bottom:.25rem}
input{font:inherit;width:100%;padding:.6rem;border:1px solid var(--edge);border-radius:.4rem;background:var(--card);color:inherit}
.soft{color:var(--soft)}
button{font:inherit;font-weight:600;min-width:8rem;padding:.6rem 1.5rem;margin:0 .75rem .5rem 0;border:2px solid var(--main);border-radius:.4rem;background:var(--main);color:var(--on);cursor:pointer}
button.danger{background:none;border-color:var(--danger);color:var(--danger)}
:focus-visible{outline:3px solid var(--edge);outline-offset:2px}
@media(max-width:34rem){main{border-width:1px 0;border-radius:0;padding:1rem}dl{display:block}dd{border:0;padding-top:0}dt{padding-bottom:0}button{width:100%}}
@media(forced-colors:active){button,.note{border-color:ButtonText}}
`.replaceAll("\n", "");
