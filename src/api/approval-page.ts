/**
 * The page on which a person without a key decides. It is plain HTML: no script, nothing from elsewhere.
 *
 * - P1 looking changes nothing: GET shows, POST decides, and answers with a redirect to what was decided.
 * - P2 a POST counts only from this page in the same browser: same origin, and a form token that is bound to a cookie of
 *   this host and to this link.
 * - P3 what the author of the workflow wrote stands apart from what the engine knows, is marked, and is only ever text.
 */
import type { Context, Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { html } from "hono/html";
import { readBounded } from "../platform/index.ts";
import type { Answer, ApprovalAddress, ApprovalView, Decide, RunRpc } from "../run/index.ts";
import type { Link } from "./links.ts";
import type { ApiDeps } from "./ports.ts";
import { Note } from "./request-schemas.ts";
import { addressOf } from "./routes-approvals.ts";

const COOKIE = "__Host-approve";
const COOKIE_VALUE = /^[0-9a-f]{64}$/;
/** Two buttons and a note. */
const MAX_FORM_BYTES = 8_192;

type Page = ReturnType<typeof html>;

export function mountApprovalPage(app: Hono, deps: ApiDeps, headers: Readonly<Record<string, string>>): void {
  const path = "/approve/:token";
  const guarded = (answer: (c: Context, token: string) => Promise<Response>) => async (c: Context) => {
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    c.header("cache-control", "no-store");
    try {
      return await answer(c, c.req.param("token") ?? "");
    } catch (error) {
      deps.log.error("approval_page.failed", { error });
      return show(c, 503, unavailable());
    }
  };
  app.get(
    path,
    guarded(async (c, token) => {
      const found = await findByLink(deps, token);
      return found === null ? show(c, 404, gone()) : showApproval(c, deps, found);
    }),
  );
  app.post(
    path,
    guarded(async (c, token) => {
      const found = await findByLink(deps, token);
      return found === null ? show(c, 404, gone()) : takeDecision(c, deps, found);
    }),
  );
}

async function takeDecision(
  c: Context,
  deps: ApiDeps,
  { link, token, run, address }: Found,
): Promise<Response> {
  const form = await formOf(c.req.raw);
  const cookie = getCookie(c, COOKIE) ?? "";
  const trusted =
    isSameOrigin(c.req.raw) &&
    COOKIE_VALUE.test(cookie) &&
    (await deps.links.isFormToken(form.get("form") ?? "", cookie, token));
  if (!trusted) return show(c, 403, untrusted());
  const as = form.get("decision");
  const note = form.get("note") ?? "";
  const fits = note === "" || Note.schema().safeParse(note).success;
  if ((as !== "approved" && as !== "denied") || !fits) return show(c, 400, unfit());
  const by = link.identity === null ? "bearer_link" : `identity:${link.identity}`;
  const said: Decide = { as, by, via: link.via, ...(note === "" ? {} : { note }) };
  const decided = await run().decide({ tenant: link.tenant }, address, said);
  if (!decided.ok && decided.code === "approver_is_starter") return show(c, 403, untrusted());
  // P1. Whatever became of it, the page says how it stands.
  return c.redirect(`/approve/${token}`, 303);
}

interface Found {
  readonly link: Link;
  readonly token: string;
  readonly run: () => RunRpc;
  readonly address: ApprovalAddress;
  readonly approval: ApprovalView;
}

/** Null for every link that is not ours, or whose approval is not there any more: a prober learns nothing. */
async function findByLink(deps: ApiDeps, token: string): Promise<Found | null> {
  const link = await deps.links.open(token);
  const named = link === null ? null : addressOf(link.approval);
  if (link === null || named === null) return null;
  const run = (): RunRpc => deps.runs(link.tenant, named.run);
  const answer: Answer<ApprovalView> = await run().approval(
    { tenant: link.tenant, reveal: true },
    named.address,
  );
  return answer.ok ? { link, token, run, address: named.address, approval: answer.value } : null;
}

/** A referrer policy of `no-referrer` makes browsers send `Origin: null`, so the first of the two is what mostly counts. */
function isSameOrigin(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const own = new URL(request.url).origin;
  if (site !== null)
    return site === "same-origin" && (origin === null || origin === "null" || origin === own);
  return origin === own;
}

async function formOf(request: Request): Promise<URLSearchParams> {
  const type = request.headers.get("content-type") ?? "";
  if (!type.startsWith("application/x-www-form-urlencoded") || request.body === null)
    return new URLSearchParams();
  const read = await readBounded(request.body, MAX_FORM_BYTES);
  return new URLSearchParams(read.kind === "complete" ? new TextDecoder().decode(read.bytes) : "");
}

async function showApproval(c: Context, deps: ApiDeps, { approval, link, token }: Found): Promise<Response> {
  if (approval.status !== "pending") return show(c, 200, decidedPage(approval));
  const known = getCookie(c, COOKIE) ?? "";
  const cookie = COOKIE_VALUE.test(known) ? known : newCookie();
  setCookie(c, COOKIE, cookie, { path: "/", secure: true, httpOnly: true, sameSite: "Strict" });
  return show(c, 200, pendingPage(approval, link, await deps.links.formToken(cookie, token)));
}

function newCookie(): string {
  return [...crypto.getRandomValues(new Uint8Array(32))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

async function show(
  c: Context,
  status: 200 | 400 | 403 | 404 | 503,
  body: { readonly title: string; readonly page: Page },
): Promise<Response> {
  const nonce = crypto.randomUUID();
  const whole = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${body.title}</title>
        <style nonce="${nonce}">
          body {
            font:
              16px/1.5 system-ui,
              sans-serif;
            max-width: 40rem;
            margin: 3rem auto;
            padding: 0 1rem;
          }
          dt {
            color: #555;
          }
          dd {
            margin: 0 0 0.5rem;
            overflow-wrap: anywhere;
          }
          blockquote {
            border-left: 4px solid #c80;
            margin: 1rem 0;
            padding: 0.5rem 1rem;
            background: #fff8e8;
          }
          blockquote p {
            white-space: pre-wrap;
            unicode-bidi: isolate;
            overflow-wrap: anywhere;
          }
          button {
            font: inherit;
            padding: 0.5rem 1.5rem;
            margin-right: 1rem;
          }
        </style>
      </head>
      <body>
        <main>${body.page}</main>
      </body>
    </html>`;
  c.header(
    "content-security-policy",
    `default-src 'none'; style-src 'nonce-${nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  );
  return c.html(String(whole), status);
}

function pendingPage(approval: ApprovalView, link: Link, form: string): { title: string; page: Page } {
  const who = link.identity === null ? "whoever has this link" : link.identity;
  return {
    title: "Approve?",
    page: html`<h1>Approve?</h1>
      ${facts(approval)} ${authored(approval)}
      <form method="post">
        <input type="hidden" name="form" value="${form}" />
        <p>
          <label
            >A note, kept with your decision (optional)<br /><input name="note" maxlength="500" size="50"
          /></label>
        </p>
        <p>The decision will be recorded as that of ${visible(who)}.</p>
        <button name="decision" value="approved">Approve</button>
        <button name="decision" value="denied">Deny</button>
      </form>`,
  };
}

function decidedPage(approval: ApprovalView): { title: string; page: Page } {
  const { status, decided } = approval;
  const title =
    status === "approved" ? "Approved" : status === "denied" ? "Denied" : "Nothing to decide any more";
  const said =
    decided === null
      ? html`<p>It has expired, or the step ended otherwise.</p>`
      : html`<p>Decided by ${visible(decided.by)} on ${new Date(decided.at).toUTCString()}.</p>
          ${decided.note === null ? "" : html`<blockquote><p>${visible(decided.note)}</p></blockquote>`}`;
  return {
    title,
    page: html`<h1>${title}</h1>
      ${said} ${facts(approval)}`,
  };
}

/** The engine's own word. */
function facts(approval: ApprovalView): Page {
  const { item, method, host, path, digest, user } = approval;
  const rows: readonly (readonly [string, string | null])[] = [
    ["Workflow", `${approval.workflow}, version ${approval.version}`],
    ["Run", approval.run],
    ["Step", item === null ? approval.step : `${approval.step}, item ${item}`],
    ["Started by", approval.started_by],
    ["On behalf of", user ?? "nobody in particular"],
    ["Request", host === null ? null : `${method ?? ""} ${host}${path ?? ""}`],
    ["Digest of what is sent", digest],
    ["Expires", new Date(approval.expires_at).toUTCString()],
  ];
  return html`<dl>
    ${rows.map(([name, value]) =>
      value === null
        ? ""
        : html`<dt>${name}</dt>
            <dd>${visible(value)}</dd>`,
    )}
  </dl>`;
}

/** P3 */
function authored({ text }: ApprovalView): Page {
  if (text === null) return html``;
  return html`<blockquote>
    <strong>Written by the author of the workflow, not checked by anybody:</strong>
    <p dir="auto">${visible(text)}</p>
  </blockquote>`;
}

/** Characters that would make text look like other text stand out instead. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (char) =>
    char === "\n" ? char : "\ufffd",
  );
}

function gone(): { title: string; page: Page } {
  return {
    title: "Not found",
    page: html`<h1>Nothing here</h1>
      <p>This link is not valid, or what it was for is not asked any more.</p>`,
  };
}

function untrusted(): { title: string; page: Page } {
  return {
    title: "Not accepted",
    page: html`<h1>Not accepted</h1>
      <p>The decision did not come from this page. Open the link again, and decide there.</p>`,
  };
}

function unfit(): { title: string; page: Page } {
  return {
    title: "Not understood",
    page: html`<h1>Not understood</h1>
      <p>Go back, and approve or deny. A note has at most 500 characters.</p>`,
  };
}

function unavailable(): { title: string; page: Page } {
  return {
    title: "Not now",
    page: html`<h1>Not now</h1>
      <p>The page could not be made just now. Open the link again in a while: nothing is decided twice.</p>`,
  };
}
