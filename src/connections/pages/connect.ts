/** The pages on the way to the provider: who asks for what, and everything that keeps a link from being used. */
import { html, type Markup, type Page } from "../../platform/index.ts";
import type { Integration } from "../integrations.ts";
import { type Bound, type ConsentProvider, scopesToAsk } from "../providers/index.ts";
import { type ConnectSession, type WaitingStep, waitingStepOf } from "../sessions.ts";
import { code, facts, list, moment, providerName } from "./parts.ts";

/** What somebody is asked, before anything happens. */
export function askingPage(session: ConnectSession, made: Integration, form: string): Page {
  const { slot, replaceAccount, returnTo } = session;
  const provider = made.fixed.provider as Bound<ConsentProvider>;
  const name = providerName(made);
  const step = waitingStepOf(session.purpose);
  const user = slot.owner.kind === "user" ? slot.owner.user : null;
  return {
    title: `Connect ${name}?`,
    body: html`<p class="lead">
        ${slot.tenant} asks to use an account at
        ${name}${user === null ? " for itself" : html` on behalf of ${user}`}. Nothing is shared until you
        agree, here and at ${name}.
      </p>
      ${facts([
        ["Who asks", html`${slot.tenant}${step === null ? null : html`, ${forStep(step)}`}`],
        ["For", user === null ? `${slot.tenant} itself, not for one person` : html`the user ${code(user)}`],
        ["Provider", html`${name}, at ${code(new URL(provider.authorizeUrl).hostname)}`],
        ["Account", slot.account === "default" ? null : html`the one called ${code(slot.account)}`],
        ["What it may do", whatItMayDo(session, made)],
        ["Where the access is sent", list(provider.hosts)],
        ["Afterwards", returnTo === null ? null : html`back to ${code(new URL(returnTo).hostname)}`],
        ["This link ends", moment(session.expiresAt)],
      ])}
      ${notYou(user, slot.tenant, name)}
      ${
        replaceAccount
          ? html`<p>
              If another account at ${name} is connected now, the one that you choose takes its place.
            </p>`
          : null
      }
      <h2>What it is used for</h2>
      <p>
        Workflows of ${slot.tenant} act with it at ${name}, also while you are away, until you take it back.
        Your password stays with ${name}. The access is kept encrypted, and no agent sees it.
      </p>
      <h2>How to take it back</h2>
      <p>
        At any time: ask ${slot.tenant} for the page with what you have granted, or remove the access in the
        settings of your account at ${name}.
      </p>
      <form method="post">
        <input type="hidden" name="form" value="${form}" />
        <button name="decision" value="go_on">Go on to ${name}</button>
        <button name="decision" value="decline" class="danger">Do not connect</button>
      </form>`,
  };
}

function forStep({ run, unit, workflow }: WaitingStep): Markup {
  const what = workflow === null ? html`a workflow` : html`its workflow ${code(workflow)}`;
  return html`for ${what}, which waits in step ${code(unit)} of run ${code(run)}`;
}

function whatItMayDo({ scopes }: ConnectSession, made: Integration): Markup | string {
  const asked = scopesToAsk(made.fixed.provider as Bound<ConsentProvider>, scopes, { identity: true });
  const name = providerName(made);
  if (asked.length === 0) return `What the settings of this app at ${name} allow; ${name} shows it next.`;
  return html`In the words of ${name}, which asks you next:${list(asked)}`;
}

/** The warning that matters most: who sends such a link to somebody else gets what that person grants. */
function notYou(user: string | null, tenant: string, name: string): Markup {
  const who =
    user === null
      ? html`This is for somebody who answers for ${tenant}.`
      : html`Are you ${code(user)} at ${tenant}, and did you just ask for this?`;
  return html`<section class="note" aria-labelledby="not-you">
    <h2 id="not-you">${who}</h2>
    <p>If not, do not go on: your account at ${name} would be used for somebody else.</p>
  </section>`;
}

/** The browser is on its way already; the link is for those whose browser stays. */
export function goingPage(made: Integration, address: string): Page {
  const name = providerName(made);
  return {
    title: `On to ${name}`,
    body: html`<p><a href="${address}">Go on to ${name}</a> if it does not open by itself.</p>`,
    goesTo: address,
  };
}

export const UNKNOWN_LINK: Page = {
  title: "Nothing here",
  body: html`<p>This link is not valid. Ask for a new one where you got it.</p>`,
};

export const USED_LINK: Page = {
  title: "This link was used",
  body: html`<p>
    Each link works once. If it was not you who used it, or you did not get to the end, ask for a new one
    where you got it.
  </p>`,
};

export const EXPIRED_LINK: Page = {
  title: "This link has expired",
  body: html`<p>Nothing was connected. Ask for a new link where you got this one.</p>`,
};

export const DECLINED: Page = {
  title: "Not connected",
  body: html`<p class="lead">You said no, and nothing was shared.</p>
    <p>What waits for it goes on waiting, or ends. You can close this window.</p>`,
};

/** A link that is good only for a browser which the tenant's own site has sent here. */
export function onlyFromTheApp(tenant: string): Page {
  return {
    title: "Open this from the app",
    body: html`<p>
      This link works only for who is logged in at ${tenant}. Open it from there again: it does not work by
      itself, nor a second time.
    </p>`,
  };
}

/** The integration is gone, or does not allow this any more. */
export const NOT_OFFERED: Page = {
  title: "Not offered any more",
  body: html`<p>
    Nothing was connected: this connection is not offered (any more) in this way. Ask where you got the link.
  </p>`,
};

export const UNTRUSTED_FORM: Page = {
  title: "Not accepted",
  body: html`<p>
      That did not come from this page, or the page was open for too long. Open the link again, and decide
      there.
    </p>
    <p>
      A program that stands in for a browser has to send the page's hidden fields and cookies, and this
      deployment's own address as ${code("Origin")}.
    </p>`,
};

export const NOT_NOW: Page = {
  title: "Not now",
  body: html`<p>
    The page could not be made just now. Open the link again in a while: nothing happens twice.
  </p>`,
};
