/** https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust */
import type { AzureTarget } from "../role.ts";
import { command, prettyJson, shellWord, terraformText, type Trusted, type TrustText } from "./trust.ts";

const MAX_CREDENTIALS = 20;

export function azureAdvice({ subjects }: Trusted): readonly string[] {
  return subjects.length > MAX_CREDENTIALS
    ? [
        `The role has ${subjects.length} subjects, and an application in Entra ID takes ${MAX_CREDENTIALS} federated credentials.`,
      ]
    : [];
}

/** Issuer, subject and audience are compared letter by letter. */
export function azureTrust(
  { clientId }: AzureTarget,
  { issuer, audience, subjects }: Trusted,
): readonly TrustText[] {
  const credentials = subjects.map((subject) => ({
    name: `showcaller-${subject.replace(/[^A-Za-z0-9-]+/g, "-")}`.slice(0, 120),
    issuer,
    subject,
    audiences: [audience],
  }));
  return [
    ...credentials.map((one) => ({
      form: "json" as const,
      title: `Federated credential for ${one.subject}`,
      content: prettyJson(one),
    })),
    {
      form: "shell",
      title: "Azure CLI",
      content: credentials
        .map((one) =>
          command("az ad app federated-credential create", [
            `--id ${shellWord(clientId)}`,
            `--parameters ${shellWord(prettyJson(one))}`,
          ]),
        )
        .join("\n\n"),
    },
    {
      form: "terraform",
      title: "Terraform",
      content: [
        `data "azuread_application" "showcaller" {\n  client_id = ${terraformText(clientId)}\n}\n`,
        ...credentials.map(
          (
            one,
            index,
          ) => `resource "azuread_application_federated_identity_credential" "showcaller_${index}" {
  application_id = data.azuread_application.showcaller.id
  display_name   = ${terraformText(one.name)}
  issuer         = ${terraformText(one.issuer)}
  subject        = ${terraformText(one.subject)}
  audiences      = [${terraformText(audience)}]
}
`,
        ),
      ].join("\n"),
    },
  ];
}
