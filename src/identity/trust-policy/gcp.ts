/** https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers */
import type { GcpTarget } from "../role.ts";
import { command, shellWord, terraformList, terraformText, type Trusted, type TrustText } from "./trust.ts";

interface Parts {
  readonly project: string;
  readonly pool: string;
  readonly provider: string;
}

export function gcpTrust(target: GcpTarget, trusted: Trusted): readonly TrustText[] {
  const parts = partsOf(target);
  return [
    {
      form: "shell",
      title: "gcloud: once per pool, then for the role",
      content: gcloud(target, parts, trusted),
    },
    { form: "terraform", title: "Terraform", content: terraform(target, parts, trusted) },
  ];
}

const MAX_CONDITION_CHARS = 4_096;

export function gcpAdvice({ subjects }: Trusted): readonly string[] {
  const { length } = conditionOf(subjects);
  return length > MAX_CONDITION_CHARS
    ? [
        `The provider's attribute condition has ${length} characters, and Google Cloud takes ${MAX_CONDITION_CHARS}: name fewer workflows.`,
      ]
    : [];
}

/** Only these subjects get in, whatever else the pool trusts. */
function conditionOf(subjects: readonly string[]): string {
  return `assertion.sub in [${subjects.map((subject) => `'${subject}'`).join(", ")}]`;
}

function partsOf({ workloadProvider }: GcpTarget): Parts {
  const [, project = "", , , , pool = "", , provider = ""] = workloadProvider.split("/");
  return { project, pool, provider };
}

function memberOf({ project, pool }: Parts, subject: string): string {
  return `principal://iam.googleapis.com/projects/${project}/locations/global/workloadIdentityPools/${pool}/subject/${subject}`;
}

function gcloud(
  { serviceAccount }: GcpTarget,
  parts: Parts,
  { issuer, audience, subjects }: Trusted,
): string {
  const { project, pool, provider } = parts;
  const where = [`--project=${project}`, "--location=global"];
  return [
    command(`gcloud iam workload-identity-pools create ${pool}`, where),
    command(`gcloud iam workload-identity-pools providers create-oidc ${provider}`, [
      ...where,
      `--workload-identity-pool=${pool}`,
      `--issuer-uri=${shellWord(issuer)}`,
      `--allowed-audiences=${shellWord(audience)}`,
      `--attribute-mapping=${shellWord("google.subject=assertion.sub")}`,
      `--attribute-condition=${shellWord(conditionOf(subjects))}`,
    ]),
    ...subjects.map((subject) =>
      serviceAccount === undefined
        ? `# Grant what the workflow may do to this principal:\n#   ${memberOf(parts, subject)}`
        : command(`gcloud iam service-accounts add-iam-policy-binding ${shellWord(serviceAccount)}`, [
            "--role=roles/iam.workloadIdentityUser",
            `--member=${shellWord(memberOf(parts, subject))}`,
          ]),
    ),
  ].join("\n\n");
}

function terraform(
  { serviceAccount }: GcpTarget,
  parts: Parts,
  { issuer, audience, subjects }: Trusted,
): string {
  const { project, pool, provider } = parts;
  const members = subjects.map((subject) => memberOf(parts, subject));
  const account =
    serviceAccount === undefined
      ? `# Grant what the workflow may do to: ${members.join(", ")}\n`
      : `resource "google_service_account_iam_binding" "showcaller" {
  service_account_id = ${terraformText(`projects/-/serviceAccounts/${serviceAccount}`)}
  role               = "roles/iam.workloadIdentityUser"
  members            = ${terraformList(members)}
}
`;
  return `resource "google_iam_workload_identity_pool" "showcaller" {
  project                   = ${terraformText(project)}
  workload_identity_pool_id = ${terraformText(pool)}
}

resource "google_iam_workload_identity_pool_provider" "showcaller" {
  project                            = ${terraformText(project)}
  workload_identity_pool_id          = google_iam_workload_identity_pool.showcaller.workload_identity_pool_id
  workload_identity_pool_provider_id = ${terraformText(provider)}
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  attribute_condition                = ${terraformText(conditionOf(subjects))}
  oidc {
    issuer_uri        = ${terraformText(issuer)}
    allowed_audiences = [${terraformText(audience)}]
  }
}

${account}`;
}
