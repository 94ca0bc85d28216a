/** The pages after the provider: what became of it, in our own words. Nothing that a browser brought is repeated here. */
import { html, type Page } from "../../platform/index.ts";
import type { Integration } from "../integrations.ts";
import type { ConnectSession, SessionFailure } from "../sessions.ts";
import { code, facts, list, providerName, wayBack } from "./parts.ts";

export interface Granted {
  readonly session: ConnectSession;
  readonly made: Integration;
  /** The account's name at the provider. */
  readonly label: string | null;
  /** What was asked for and not granted. */
  readonly missing: readonly string[];
}

export function connectedPage({ session, made, label, missing }: Granted): Page {
  const name = providerName(made);
  const { slot, returnTo } = session;
  return {
    title: missing.length === 0 ? "Connected" : "Connected, but with less",
    body: html`<p class="lead">${slot.tenant} can use ${name} from now on.</p>
      ${facts([
        ["Account", label],
        ["For", slot.owner.kind === "user" ? code(slot.owner.user) : `${slot.tenant} itself`],
      ])}
      ${
        missing.length === 0
          ? null
          : html`<section class="note" aria-labelledby="less">
              <h2 id="less">Some of what was asked for was not granted:</h2>
              ${list(missing)}
              <p>What needs it will ask again. Everything else works.</p>
            </section>`
      }
      <p class="soft">
        To take it back, ask ${slot.tenant} for the page with what you have granted, or remove the access at
        ${name}.
      </p>
      ${wayBack(returnTo)}`,
  };
}

/** The grant waits for the tenant's backend, to which the browser brings the code. */
export function unconfirmedPage({ slot, returnTo }: ConnectSession): Page {
  return {
    title: "Almost done",
    body: html`<p>
        ${slot.tenant} still has to confirm that it was you. Until then nothing is used; if it does not, it is
        thrown away.
      </p>
      ${wayBack(returnTo)}`,
  };
}

export function failedPage(
  failure: SessionFailure,
  { slot, returnTo }: ConnectSession,
  provider: string,
): Page {
  const { title, text } = FAILURES[failure];
  return {
    title,
    body: html`<p class="lead">${text({ provider, tenant: slot.tenant })}</p>
      ${wayBack(returnTo)}`,
  };
}

interface Words {
  readonly title: string;
  readonly text: (names: { readonly provider: string; readonly tenant: string }) => string;
}

const NOT_CONNECTED = "Not connected";

const FAILURES: Readonly<Record<SessionFailure, Words>> = {
  declined: { title: NOT_CONNECTED, text: () => "You said no, and nothing was shared." },
  provider_error: {
    title: NOT_CONNECTED,
    text: ({ provider, tenant }) =>
      `${provider} did not grant it, and nothing was shared. It may not allow this app for your account. Ask ${tenant}.`,
  },
  exchange_failed: {
    title: NOT_CONNECTED,
    text: ({ provider }) =>
      `${provider} did not complete it, and nothing is used. Ask for a new link and try again.`,
  },
  misconfigured: {
    title: "Set up wrongly",
    text: ({ provider, tenant }) =>
      `${provider} does not accept this app as ${tenant} has set it up. You can do nothing about it: tell ${tenant}.`,
  },
  callback_refused: {
    title: NOT_CONNECTED,
    text: ({ provider }) =>
      `The answer did not come from ${provider} as it should, so it was not used. Ask for a new link.`,
  },
  account_mismatch: {
    title: "Another account",
    text: ({ provider, tenant }) =>
      `You chose another account at ${provider} than the one that is connected, and nothing was changed. Log in there with the first one, or ask ${tenant} to replace it.`,
  },
  identity_unverified: {
    title: NOT_CONNECTED,
    text: ({ provider }) =>
      `${provider} did not say which account it is, so it was not put in the place of the one that is connected. Ask for a new link and try again.`,
  },
  identity_invalid: {
    title: NOT_CONNECTED,
    text: ({ provider }) =>
      `${provider} did not say reliably whose account it is, so it was not used. Ask for a new link.`,
  },
  user_mismatch: {
    title: NOT_CONNECTED,
    text: ({ tenant }) => `${tenant} says that somebody else is logged in there, so nothing was kept.`,
  },
  unconfirmed: {
    title: NOT_CONNECTED,
    text: ({ tenant }) => `${tenant} did not confirm that it was you, so nothing was kept.`,
  },
};

export const TOOK_TOO_LONG: Page = {
  title: "That took too long",
  body: html`<p>Nothing was connected. Ask for a new link where you got the last one.</p>`,
};

/** Nothing came back from the provider yet. */
export function notYetPage(session: string): Page {
  return {
    title: "Not there yet",
    body: html`<p>Nothing is connected yet. <a href="/connect/go/${session}">Go on to the provider</a>.</p>`,
  };
}

export const STILL_WORKING: Page = {
  title: "Almost there",
  body: html`<p>The provider is being asked. Load this page again in a moment.</p>`,
};

/** Also for whoever only tries addresses: it tells nothing. */
export const OTHER_BROWSER: Page = {
  title: "Nothing to show",
  body: html`<p>
    This browser is not in the middle of connecting anything, or has seen the result already. Open the link in
    the browser in which you want to go on, and stay in it. If you did not ask for anything, nothing has
    happened.
  </p>`,
};

/** Some providers send browsers here after an app was installed or changed there: that connects nothing. */
export const NOTICE: Page = {
  title: "Noted",
  body: html`<p>
      Something was set up at the provider, but no connection was made here: it did not begin with a link of
      ours.
    </p>
    <p>Go back to where you came from, and connect there. You can close this window.</p>`,
};
