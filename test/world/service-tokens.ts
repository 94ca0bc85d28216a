/** The world's tokens as the product's secret SERVICE_TOKENS holds them: named after the service, bound to its host. */

/** `api.skyline.example` is `SKYLINE_TOKEN`. */
function tokenName(host: string): string {
  return `${(host.split(".")[1] ?? host).toUpperCase()}_TOKEN`;
}

interface Entry {
  readonly hosts: readonly string[];
  readonly token: string;
  readonly inline?: true;
}

/** @param inline names of those that steps which came as JSON may use, too */
export function serviceTokens(
  tokens: Readonly<Record<string, string>>,
  { inline = [] }: { readonly inline?: readonly string[] } = {},
): Record<string, Entry> {
  const entries = Object.entries(tokens).map(([host, token]): [string, Entry] => {
    const name = tokenName(host);
    return [name, { hosts: [host], token, ...(inline.includes(name) ? { inline: true } : {}) }];
  });
  return Object.fromEntries(entries);
}
