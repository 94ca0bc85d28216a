/** docs/providers.md from the catalogue. `npm run docs:providers` writes it, a test compares. */
import { CATALOG, type ConsentProvider } from "../../src/connections/providers/index.ts";
import { NOTES } from "./provider-notes.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

const INTRODUCTION = `# Providers

Written by \`npm run docs:providers\` from the data in \`src/connections/providers/catalog/\`; do not edit it by hand.

A provider is data: where the user consents, how the app shows who it is, how tokens are refreshed and revoked, what its
errors mean, and which hosts a token may be sent to. **(unverified)** marks what is well known but was not checked against
the provider's own word; check it before you rely on it.

For a provider that is not here there are the kinds \`oauth2\` (you give the URLs), \`oidc\` (the issuer publishes them),
\`client_credentials\` and \`jwt_bearer\` (your own access, no user), \`api_key\` and \`basic\` (a credential that does not
change). For all of them you list the hosts, exactly, and hosts that hand out tokens are refused.

Everywhere: the redirect URI is the callback address of the integration, https and exact; a token is sent by https to the
listed hosts only, and never to an endpoint that makes, exchanges or ends tokens. Refresh tokens of the kind *rotating* change
with each use, or may: where that is not known, the careful reading is taken.
`;

const KILLS = {
  token: "ends this connection's tokens",
  grant: "ends everything that the app got from this user, other connections of theirs as well",
  account: "ends all sessions of the account",
} as const;

const PKCE = { S256: "S256", required: "S256, required", off: "not used" } as const;

export function providerPage(): string {
  const summary = CATALOG.map(
    ({ name, displayName, pkce, refresh, revoke }) =>
      `| [${displayName}](#${name}) | \`${name}\` | ${PKCE[pkce]} | ${refresh.kind} | ${revoke === undefined ? "no" : revoke.kills} |`,
  );
  const table = ["| provider | name | PKCE | refresh | revoking ends |", "|---|---|---|---|---|", ...summary];
  return [INTRODUCTION, `${table.join("\n")}\n`, ...CATALOG.map(section)].join("\n");
}

function section(provider: ConsentProvider): string {
  const { name, displayName, docs, clientAuth, scopes, pkce, parts, denied, unverified } = provider;
  const notes = NOTES[name];
  if (notes === undefined) throw new Error(`the page has no words about ${name}`);
  // A doubt about a field, or about something within it.
  const doubt = (...fields: readonly string[]) =>
    (unverified ?? []).some((pointer) =>
      fields.some(
        (field) =>
          pointer === `/${field}` ||
          pointer.startsWith(`/${field}/`) ||
          `/${field}`.startsWith(`${pointer}/`),
      ),
    )
      ? " **(unverified)**"
      : "";
  const asked = [...(scopes?.default ?? [])].map(code).join(", ");
  const forIdentity = (scopes?.identity ?? []).map(code).join(", ");
  const rows: readonly (readonly [string, string])[] = [
    ["Make the app", notes.console],
    ...Object.entries(parts ?? {}).map(
      ([part, { example, default: preset }]) =>
        [
          `You choose \`${part}\``,
          `for example \`${example}\`${preset === undefined ? "" : `; unless you do: \`${preset}\``}`,
        ] as const,
    ),
    ["Consent at", code(provider.authorizeUrl)],
    [
      "Tokens at",
      `${code(provider.tokenUrl)}${provider.refreshUrl === undefined ? "" : `, refreshed at ${code(provider.refreshUrl)}`}`,
    ],
    [
      "The app shows itself by",
      `${clientAuth.map(code).join(" or ")}${provider.tokenFormat === "json" ? ", in JSON" : ""}`,
    ],
    ["PKCE", `${PKCE[pkce]}${doubt("pkce")}`],
    [
      "Scopes",
      scopes?.none === true
        ? "set at the provider"
        : `separated by ${scopes?.separator === "," ? "commas" : "spaces"}; always asked for: ${asked === "" ? "none" : asked}; to know the account: ${forIdentity === "" ? "none" : forIdentity}${doubt("scopes")}`,
    ],
    ["Refresh", `${refreshText(provider)}${doubt("refresh")}`],
    ["Revoking", `${revokeText(provider)}${doubt("revoke")}`],
    ["The account is known from", `${identityText(provider)}${doubt("identity")}`],
    ["Token goes to", `${hostsText(provider)}${doubt("hosts", "hostFrom")}`],
    ...(denied === undefined
      ? []
      : [["But never to", `${denied.map(code).join(", ")}${doubt("denied")}`] as const]),
    ["Errors", `${errorsText(provider)}${doubt("apiErrors", "tokenErrors")}`],
  ];
  const table = [
    "| | |",
    "|---|---|",
    ...rows.map(([what, text]) => `| ${what} | ${text.replaceAll("|", "\\|")} |`),
  ];
  const list = notes.notes.map((note) => `- ${note}`);
  const heading = `<a id="${name}"></a>\n\n## ${displayName}\n\n[Documentation](${docs ?? ""})\n`;
  return [heading, `${table.join("\n")}\n`, ...(list.length === 0 ? [] : [`${list.join("\n")}\n`])].join(
    "\n",
  );
}

function refreshText({ refresh }: ConsentProvider): string {
  if (refresh.kind === "none") return "none";
  const facts = [
    refresh.kind,
    refresh.optional === true ? "not every app has it" : "",
    refresh.reuseLeewayMs === undefined ? "" : `an old one works again for ${span(refresh.reuseLeewayMs)}`,
    refresh.idleLimitMs === undefined ? "" : `ends after ${span(refresh.idleLimitMs)} without use`,
    refresh.absoluteLimitMs === undefined ? "" : `ends ${span(refresh.absoluteLimitMs)} after the consent`,
  ];
  return facts.filter((fact) => fact !== "").join("; ");
}

function revokeText({ revoke }: ConsentProvider): string {
  if (revoke === undefined)
    return "none: the connection is forgotten here, and the user removes the app at the provider";
  return `${code(`${revoke.method} ${revoke.url}`)}; ${KILLS[revoke.kills]}`;
}

function identityText({ identity }: ConsentProvider): string {
  switch (identity?.from) {
    case undefined:
      return "nowhere";
    case "endpoint":
      return code(`${identity.method} ${identity.url}`);
    case "id_token":
      return `the id token of ${code(identity.issuer)}`;
    case "answer":
      return "the token answer";
    case "redirect":
      return `the redirect's ${identity.id.map(code).join(", ")}`;
    case "part":
      return `the chosen ${identity.id.map(code).join(", ")}`;
  }
}

function hostsText({ hosts, hostFrom }: ConsentProvider): string {
  const from =
    hostFrom === undefined
      ? []
      : [
          `the host of the answer's ${code(hostFrom.extra)}, if it ends with ${hostFrom.suffixes.map(code).join(" or ")}`,
        ];
  return [...hosts.map(code), ...from].join(", ");
}

function errorsText({ apiErrors = [], tokenErrors = [] }: ConsentProvider): string {
  const meanings = [...new Set([...apiErrors, ...tokenErrors].map(({ is }) => code(is)))];
  return meanings.length === 0
    ? "as the standards say"
    : `as the standards say; besides, its own for ${meanings.join(", ")}`;
}

function span(ms: number): string {
  if (ms % DAY_MS === 0) return `${ms / DAY_MS} days`;
  return ms % HOUR_MS === 0 ? `${ms / HOUR_MS} hours` : `${ms / MINUTE_MS} minutes`;
}

function code(text: string): string {
  return `\`${text}\``;
}
