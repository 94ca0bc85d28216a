/** The world's tokens as the product's secret SERVICE_TOKENS holds them: named after the service, bound to its host. */

/** `api.skyline.example` is `SKYLINE_TOKEN`. */
function tokenName(host: string): string {
  return `${(host.split(".")[1] ?? host).toUpperCase()}_TOKEN`;
}

export function serviceTokens(
  tokens: Readonly<Record<string, string>>,
): Record<string, { hosts: string[]; token: string }> {
  return Object.fromEntries(
    Object.entries(tokens).map(([host, token]) => [tokenName(host), { hosts: [host], token }]),
  );
}
