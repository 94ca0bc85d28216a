/** What the pages of this room share. All of them speak to a person who has never heard of us. */
import { type Filling, html, type Markup } from "../../platform/index.ts";
import type { Integration } from "../integrations.ts";

/** Rows of a name and its value; a null value is no row. */
export function facts(rows: readonly (readonly [string, Filling])[]): Markup {
  return html`<dl>
    ${rows.map(([name, value]) =>
      value === null
        ? null
        : html`<dt>${name}</dt>
            <dd>${value}</dd>`,
    )}
  </dl>`;
}

export function code(text: string): Markup {
  return html`<span class="code">${text}</span>`;
}

export function list(texts: readonly string[]): Markup {
  return html`<ul>
    ${texts.map((text) => html`<li>${code(text)}</li>`)}
  </ul>`;
}

/** UTC, as the page cannot know where its reader is. */
export function moment(at: number): string {
  return new Date(at).toUTCString();
}

/** The provider's name: of the catalogue, or as the tenant calls it. */
export function providerName({ fixed, settings }: Pick<Integration, "fixed" | "settings">): string {
  return settings.displayName ?? (fixed.provider as { readonly displayName: string }).displayName;
}

/** A way back, to an address that was fixed when the session was made. */
export function wayBack(returnTo: string | null): Markup {
  return returnTo === null
    ? html`<p>You can close this window.</p>`
    : html`<p><a href="${returnTo}">Go back to ${new URL(returnTo).hostname}</a></p>`;
}
