/** Vault and OpenBao, vendors of models, and whoever else verifies OpenID tokens. */
import type { AnthropicTarget, VaultTarget } from "../role.ts";
import {
  prettyJson,
  shellWord,
  terraformList,
  terraformText,
  type Trusted,
  type TrustText,
} from "./trust.ts";

/** https://developer.hashicorp.com/vault/api-docs/auth/jwt */
export function vaultTrust(
  { mount, role, namespace }: VaultTarget,
  { issuer, audience, subjects }: Trusted,
): readonly TrustText[] {
  const within = namespace === undefined ? "" : `-namespace=${shellWord(namespace)} `;
  const inNamespace = namespace === undefined ? "" : `\n  namespace          = ${terraformText(namespace)}`;
  const body = {
    role_type: "jwt",
    user_claim: "sub",
    bound_audiences: [audience],
    bound_claims: { sub: subjects },
    token_policies: ["change-me"],
    token_ttl: "15m",
  };
  return [
    {
      form: "shell",
      title: "Vault or OpenBao: the policies are yours to name",
      content: [
        `vault auth enable ${within}-path=${shellWord(mount)} jwt`,
        `vault write ${within}auth/${mount}/config oidc_discovery_url=${shellWord(issuer)}`,
        `vault write ${within}auth/${mount}/role/${role} - <<'JSON'\n${prettyJson(body)}\nJSON`,
      ].join("\n\n"),
    },
    {
      form: "terraform",
      title: "Terraform",
      content: `resource "vault_jwt_auth_backend" "showcaller" {${inNamespace}
  path               = ${terraformText(mount)}
  oidc_discovery_url = ${terraformText(issuer)}
}

resource "vault_jwt_auth_backend_role" "showcaller" {${inNamespace}
  backend         = vault_jwt_auth_backend.showcaller.path
  role_name       = ${terraformText(role)}
  role_type       = "jwt"
  user_claim      = "sub"
  bound_audiences = [${terraformText(audience)}]
  bound_claims    = { sub = ${terraformText(subjects.join(","))} }
  token_policies  = ["change-me"]
  token_ttl       = 900
}
`,
    },
  ];
}

export function anthropicTrust(target: AnthropicTarget, trusted: Trusted): readonly TrustText[] {
  const { organizationId, federationRuleId, serviceAccountId, workspaceId } = target;
  return [
    {
      form: "text",
      title: "Anthropic console: the issuer, and the federation rule",
      content: [
        `Organization ${organizationId}, federation rule ${federationRuleId}`,
        `  issuer        ${trusted.issuer}  (keys by discovery)`,
        `  audience      ${trusted.audience}`,
        ...trusted.subjects.map((subject) => `  subject       ${subject}`),
        `  service acct  ${serviceAccountId ?? "as the rule says"}`,
        `  workspace     ${workspaceId ?? "as the rule says: it must then be for one"}`,
      ].join("\n"),
    },
    ...verifierTrust(trusted),
  ];
}

/** What every verifier needs to know. */
export function verifierTrust({ issuer, audience, subjects }: Trusted): readonly TrustText[] {
  return [
    {
      form: "json",
      title: "What the verifier holds a token against",
      content: prettyJson({
        issuer,
        jwks_uri: `${issuer}/jwks`,
        algorithms: ["RS256"],
        audience,
        sub: subjects,
      }),
    },
    {
      form: "shell",
      title: "See what it will read",
      content: [
        `curl -sS ${shellWord(`${issuer}/.well-known/openid-configuration`)}`,
        `curl -sS ${shellWord(`${issuer}/jwks`)}`,
      ].join("\n"),
    },
    {
      form: "terraform",
      title: "Terraform: as local values",
      content: `locals {
  showcaller_issuer   = ${terraformText(issuer)}
  showcaller_audience = ${terraformText(audience)}
  showcaller_subjects = ${terraformList(subjects)}
}
`,
    },
  ];
}
