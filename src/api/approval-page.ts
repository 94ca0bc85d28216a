/**
 * The page on which a person without a key decides. It is plain HTML: no script, nothing from elsewhere.
 *
 * - P1 looking changes nothing: GET shows, POST decides, and answers with a redirect to what was decided.
 * - P2 a POST counts only from this page in the same browser: same origin, and a form token that is bound to a cookie of
 *   this host and to this link.
 * - P3 what the author of the workflow wrote stands apart from what the engine knows, is marked, and is only ever text.
 */
import type { Context, Hono } from "hono";
import { getCookie } from "hono/cookie";
import { makersOfActor } from "../access/index.ts";
import {
  type Filling,
  hex,
  html,
  isSameOrigin,
  type Markup,
  type Page,
  pageResponse,
  readForm,
} from "../platform/index.ts";
import type { Answer, ApprovalAddress, ApprovalView, Decide, RunRpc } from "../run/index.ts";
import type { Link } from "./links.ts";
import type { ApiDeps } from "./ports.ts";
import { Note } from "./request-schemas.ts";
import { addressOf } from "./routes-approvals.ts";

const COOKIE = "__Host-approve";
const COOKIE_VALUE = /^[0-9a-f]{64}$/;

export function mountApprovalPage(app: Hono, deps: ApiDeps): void {
  const path = "/approve/:token";
  const guarded = (answer: (c: Context, token: string) => Promise<Response>) => async (c: Context) => {
    try {
      return await answer(c, c.req.param("token") ?? "");
    } catch (error) {
      deps.log.error("approval_page.failed", { error });
      return pageResponse(UNAVAILABLE, { status: 503 });
    }
  };
  app.get(
    path,
    guarded(async (c, token) => {
      const found = await findByLink(deps, token);
      return found === null ? pageResponse(GONE, { status: 404 }) : showApproval(c, deps, found);
    }),
  );
  app.post(
    path,
    guarded(async (c, token) => {
      const found = await findByLink(deps, token);
      return found === null ? pageResponse(GONE, { status: 404 }) : takeDecision(c, deps, found);
    }),
  );
}

async function takeDecision(
  c: Context,
  deps: ApiDeps,
  { link, token, run, address }: Found,
): Promise<Response> {
  const form = await readForm(c.req.raw);
  const cookie = getCookie(c, COOKIE) ?? "";
  const trusted =
    isSameOrigin(c.req.raw) &&
    COOKIE_VALUE.test(cookie) &&
    (await deps.links.isFormToken(form.get("form") ?? "", cookie, token));
  if (!trusted) return pageResponse(UNTRUSTED, { status: 403 });
  const as = form.get("decision");
  const note = form.get("note") ?? "";
  const fits = note === "" || Note.schema().safeParse(note).success;
  if ((as !== "approved" && as !== "denied") || !fits) return pageResponse(UNFIT, { status: 400 });
  const by = link.identity === null ? "bearer_link" : `identity:${link.identity}`;
  // Makers never change, but somebody may have appended to the run since the link was made.
  const behind = await makersOfActor(deps.access, link.tenant, link.via);
  if (behind === null) return pageResponse(UNTRUSTED, { status: 403 });
  const said: Decide = { as, by, via: link.via, behind, ...(note === "" ? {} : { note }) };
  const decided = await run().decide({ tenant: link.tenant }, address, said);
  if (!decided.ok && decided.code === "approver_is_starter") return pageResponse(UNTRUSTED, { status: 403 });
  // P1. Whatever became of it, the page says how it stands.
  return new Response(null, {
    status: 303,
    headers: { location: `/approve/${token}`, "cache-control": "no-store", "referrer-policy": "no-referrer" },
  });
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

async function showApproval(c: Context, deps: ApiDeps, { approval, link, token }: Found): Promise<Response> {
  if (approval.status !== "pending") return pageResponse(decidedPage(approval));
  const known = getCookie(c, COOKIE) ?? "";
  const cookie = COOKIE_VALUE.test(known) ? known : hex(crypto.getRandomValues(new Uint8Array(32)));
  // Lax, not Strict: links are opened from mails, and a second one must not replace the cookie of the first one's form.
  const headers = new Headers({
    "set-cookie": `${COOKIE}=${cookie}; Path=/; HttpOnly; Secure; SameSite=Lax`,
  });
  return pageResponse(pendingPage(approval, link, await deps.links.formToken(cookie, token)), { headers });
}

function pendingPage(approval: ApprovalView, link: Link, form: string): Page {
  const who = link.identity === null ? "whoever has this link" : link.identity;
  const what =
    approval.host === null ? "A workflow waits for your decision." : "A workflow wants to send this request.";
  return {
    title: "Approve?",
    body: html`<p class="lead">${what} Nothing happens until you decide.</p>
      ${facts(approval)} ${authored(approval)}
      <form method="post">
        <input type="hidden" name="form" value="${form}" />
        <p>
          <label for="note">Note, kept with your decision (optional)</label>
          <input id="note" name="note" maxlength="500" autocomplete="off" />
        </p>
        <p class="soft">The decision will be recorded as that of ${who}, and cannot be taken back.</p>
        <button name="decision" value="approved">Approve</button>
        <button name="decision" value="denied" class="danger">Deny</button>
      </form>`,
  };
}

const TITLES = {
  approved: "Approved",
  denied: "Denied",
  closed: "Nothing to decide any more",
} as const;

function decidedPage(approval: ApprovalView): Page {
  const { status, decided } = approval;
  return {
    title: status === "approved" || status === "denied" ? TITLES[status] : TITLES.closed,
    body: html`${
      decided === null
        ? html`<p class="lead">It has expired, or the step ended otherwise.</p>`
        : html`<p class="lead">Decided by ${decided.by} on ${day(decided.at)}.</p>
            ${decided.note === null ? null : html`<blockquote dir="auto">${decided.note}</blockquote>`}`
    }
    ${facts(approval)}`,
  };
}

/** The engine's own word. */
function facts(approval: ApprovalView): Markup {
  const { item, method, host, path, query, digest, user } = approval;
  const code = (text: string): Markup => html`<span class="code">${text}</span>`;
  const rows: readonly (readonly [string, Filling])[] = [
    ["Request", host === null ? null : code(`${method ?? ""} ${host}${path ?? ""}${query ?? ""}`)],
    ["On behalf of", user ?? "nobody in particular"],
    ["Workflow", `${approval.workflow}, version ${approval.version}`],
    ["Step", item === null ? approval.step : `${approval.step}, item ${item}`],
    ["Started by", approval.started_by],
    ["Run", code(approval.run)],
    ["Digest of what is sent", digest === null ? null : code(digest)],
    ["Expires", day(approval.expires_at)],
  ];
  return html`<dl>
    ${rows.map(([name, value]) =>
      value === null
        ? null
        : html`<dt>${name}</dt>
            <dd>${value}</dd>`,
    )}
  </dl>`;
}

function day(at: string | number): string {
  return new Date(at).toUTCString();
}

/** P3 */
function authored({ text }: ApprovalView): Markup | null {
  if (text === null) return null;
  return html`<section class="note" aria-labelledby="authored">
    <h2 id="authored">Written by the author of the workflow, not checked by anybody:</h2>
    <blockquote dir="auto">${text}</blockquote>
  </section>`;
}

const GONE: Page = {
  title: "Nothing here",
  body: html`<p>This link is not valid, or what it was for is not asked any more.</p>`,
};

const UNTRUSTED: Page = {
  title: "Not accepted",
  body: html`<p>The decision did not come from this page. Open the link again, and decide there.</p>`,
};

const UNFIT: Page = {
  title: "Not understood",
  body: html`<p>Go back, and approve or deny. A note has at most 500 characters.</p>`,
};

const UNAVAILABLE: Page = {
  title: "Not now",
  body: html`<p>
    The page could not be made just now. Open the link again in a while: nothing is decided twice.
  </p>`,
};
