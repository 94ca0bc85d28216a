/** The pages on which a user sees what they have granted, and takes it back. */
import { type Filling, html, type Markup, type Page } from "../../platform/index.ts";
import { endsSoon } from "../ending.ts";
import type { ConnectionUse, ListedConnection } from "../listing.ts";
import type { RevocationReport } from "../rpc.ts";
import { code, facts, list, moment } from "./parts.ts";

export interface ShownGrant {
  readonly connection: ListedConnection;
  /** Name of the provider. */
  readonly provider: string;
  readonly uses: readonly ConnectionUse[];
  /** What a form about it must send back. */
  readonly form: string;
}

interface Whose {
  readonly tenant: string;
  readonly user: string;
}

/** Of the link: opening the page is a decision, so that no scanner of mails uses the link up. */
export function entryPage({ tenant, user }: Whose, form: string): Page {
  return {
    title: "What you have granted",
    body: html`<p class="lead">
        For ${code(user)} at ${tenant}: which accounts you let it use, what used them, and how to take that
        back.
      </p>
      <p>If that is not you, close this window. The page is open for 15 minutes, in this browser.</p>
      <form method="post">
        <input type="hidden" name="form" value="${form}" />
        <button>Show it</button>
      </form>`,
  };
}

export function grantsPage(
  { tenant, user }: Whose,
  grants: readonly ShownGrant[],
  { more, now }: { readonly more: boolean; readonly now: number },
): Page {
  return {
    title: "What you have granted",
    body: html`<p class="lead">To ${tenant}, as ${code(user)}.</p>
      ${grants.length === 0 ? html`<p>Nothing: no account of yours is connected.</p>` : grants.map((grant) => section(grant, now))}
      ${more ? html`<p>There are more. Take back what you do not need, and load the page again.</p>` : null}
      <h2>What happens when you take something back</h2>
      <p>
        No step gets the access any more, from that moment on. The provider is told, and the access is
        destroyed. A workflow that needs it waits and asks again, or ends. What was done with it stays done.
      </p>`,
  };
}

function section({ connection, provider, uses, form }: ShownGrant, now: number): Markup {
  const { id, account, label, scopes, grantedAt, status, endsAt, integration } = connection;
  const named = account === "default" ? provider : `${provider} (${account})`;
  return html`<section>
    <h2>${named}</h2>
    ${facts([
      ["Account", label ?? "not told by the provider"],
      ["State", stateOf(connection)],
      ["Granted", moment(grantedAt)],
      ["Ends", endsAt === null ? null : endOf(connection, endsAt, now)],
      ["What it may do", scopesOf(scopes)],
      ["Used by", usesOf(uses)],
      ["Known there as", code(integration)],
    ])}
    ${
      status === "active" || status === "dead"
        ? html`<form method="post">
            <input type="hidden" name="form" value="${form}" />
            <button name="connection" value="${id}" class="danger">Take back ${named}</button>
          </form>`
        : null
    }
  </section>`;
}

function endOf(connection: ListedConnection, endsAt: number, now: number): string {
  const isSoon = connection.status === "active" && endsSoon(connection, now);
  return isSoon
    ? `soon: ${moment(endsAt)}. Connect it again before that, or workflows will wait for it.`
    : moment(endsAt);
}

function scopesOf(scopes: readonly string[] | null): Filling {
  if (scopes === null) return "not told by the provider";
  return scopes.length === 0 ? "nothing (any more)" : list(scopes);
}

function usesOf(uses: readonly ConnectionUse[]): Filling {
  if (uses.length === 0) return "no workflow yet";
  return html`<ul>
    ${uses.map(
      ({ workflow, firstAt, lastAt, uses: times }) =>
        html`<li>
          ${code(workflow)}: ${times === 1 ? "once" : `${times} times`}, ${span(firstAt, lastAt)}
        </li>`,
    )}
  </ul>`;
}

function span(firstAt: number, lastAt: number): string {
  return firstAt === lastAt
    ? `on ${moment(lastAt)}`
    : `first on ${moment(firstAt)}, last on ${moment(lastAt)}`;
}

function stateOf({ status, reason }: ListedConnection): string {
  switch (status) {
    case "active":
      return "in use";
    case "dead":
      return `cannot be used (${reason === "revoked" ? "the provider has ended it" : "it has ended"})`;
    case "revoking":
      return "taken back; the provider is being told";
    case "disconnected":
      return "taken back";
  }
}

export function takenBackPage(connection: ListedConnection, provider: string): Page {
  return {
    title: "Taken back",
    body: html`<p class="lead">No step gets your access to ${provider} any more.</p>
      <p>${REVOCATIONS[connection.revocation?.outcome ?? "pending"](provider)}</p>
      <p><a href="/grants">Back to what you have granted</a></p>`,
  };
}

const REVOCATIONS: Readonly<Record<RevocationReport["outcome"], (provider: string) => string>> = {
  pending: (provider) =>
    `${provider} is being told, for up to a day; then the access is destroyed in any case.`,
  revoked: (provider) => `${provider} was told, and the access is destroyed.`,
  kept_for_siblings: (provider) =>
    `${provider} is not told of this one: the same account is connected in another place, and to take this one back there would end that as well. Once the last one is taken back, ${provider} is told. The access of this one is destroyed.`,
  no_endpoint: (provider) =>
    `The access is destroyed here. ${provider} cannot be told by us: remove the app in the settings of your account there, too.`,
  gave_up: (provider) =>
    `The access is destroyed here. ${provider} did not answer: remove the app in the settings of your account there, too.`,
};

export const GRANTS_LINK_OVER: Page = {
  title: "This link does not work",
  body: html`<p>
    It was used already, has expired, or was never valid. Ask for a new one where you got it.
  </p>`,
};

export const GRANTS_OVER: Page = {
  title: "Closed",
  body: html`<p>
    The page with what you have granted is open for 15 minutes. Ask for a new link where you got the last one.
  </p>`,
};
