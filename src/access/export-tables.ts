/**
 * What of the database leaves with the export of a tenant: of every table each column, said one by one. A column that is neither
 * exported nor withheld here fails a test: whoever adds one says which it is.
 */

/** One table. Pages go by `key`, within the tenant. */
export interface ExportTable {
  /** Type of its lines. */
  readonly type: string;
  readonly table: string;
  /** How rows of the tenant are found; `?1` is the tenant. */
  readonly where: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
  /** Those of `columns` that hold JSON. */
  readonly json: readonly string[];
  /** What stays: secrets, hashes, the deployment's own bookkeeping. */
  readonly withheld: readonly string[];
  /** Rows of one query: fewer where they are large. */
  readonly rows: number;
}

type Spec = Pick<ExportTable, "type" | "table" | "key"> &
  Partial<Pick<ExportTable, "where" | "rows">> & {
    readonly columns: string;
    readonly json?: string;
    readonly withheld?: string;
  };

const ROWS = 200;

function table({
  columns,
  json = "",
  withheld = "tenant",
  where = "tenant = ?1",
  rows = ROWS,
  ...rest
}: Spec) {
  const words = (text: string): readonly string[] => text.split(" ").filter((word) => word !== "");
  return { ...rest, where, rows, columns: words(columns), json: words(json), withheld: words(withheld) };
}

export const EXPORT_TABLES: readonly ExportTable[] = [
  table({
    ...{ type: "tenant", table: "tenants", key: ["id"], where: "id = ?1", withheld: "" },
    columns: "id created_at created_by jurisdiction location_hint",
  }),
  table({
    ...{ type: "settings", table: "tenant_settings", key: ["tenant"] },
    columns: "quotas retention updated_at updated_by",
    json: "quotas retention",
  }),
  table({
    ...{ type: "policy", table: "tenant_policies", key: ["tenant"] },
    columns: "policy updated_at updated_by",
    json: "policy",
  }),
  table({
    ...{ type: "api_key", table: "api_keys", key: ["id"], withheld: "tenant hash" },
    columns:
      "id name prefix last4 scopes user policies created_by created_at expires_at revoked_at last_used_at",
    json: "scopes policies",
  }),
  table({
    ...{ type: "trusted_issuer", table: "trusted_issuers", key: ["id"] },
    columns:
      "id name issuer jwks_url max_age_s rules policies makers version created_at created_by updated_at",
    json: "rules policies makers",
  }),
  table({
    ...{ type: "trusted_caller", table: "trusted_callers", key: ["id"] },
    columns: "id issuer_id subject first_at last_at",
  }),
  table({
    ...{ type: "plan", table: "plans", key: ["name", "version"], rows: 8 },
    columns: "name version description body digest created_at created_by",
    json: "body",
  }),
  table({
    ...{ type: "event_subscription", table: "event_subscriptions", key: ["event", "workflow"], rows: 20 },
    columns: "event workflow version rules",
    json: "rules",
  }),
  table({
    ...{ type: "hook", table: "hooks", key: ["name"], rows: 50 },
    columns: "name id workflow user rules version maker paused_reason created_at created_by updated_at",
    json: "rules maker",
  }),
  table({
    ...{ type: "hook_secret", table: "hook_secrets", key: ["hook", "id"], withheld: "tenant sealed kid" },
    columns: "hook id made_at until",
  }),
  table({
    ...{ type: "schedule", table: "schedules", key: ["name"], withheld: "tenant poked_at" },
    columns: "name workflow timing paused maker created_at updated_at",
    json: "timing paused",
  }),
  table({
    ...{ type: "endpoint", table: "endpoints", key: ["id"] },
    columns:
      "id url types description maker disabled_reason disabled_at since version created_at created_by updated_at",
    json: "types maker",
  }),
  table({
    ...{
      type: "endpoint_key",
      table: "endpoint_keys",
      key: ["endpoint", "n"],
      withheld: "tenant sealed kid",
    },
    columns: "endpoint n id kind public_key made_at until",
  }),
  table({
    ...{ type: "integration", table: "integrations", key: ["name"], rows: 50 },
    columns: "name provider kind owner fixed settings version created_at created_by updated_at deleted_at",
    json: "fixed settings",
    withheld: "tenant secret kid secret_version unsettled",
  }),
  table({
    ...{ type: "connection", table: "connections", key: ["id"] },
    columns:
      "id integration user account label status reason scopes identity_level workflows epoch version granted_at expires_at ends_at revocation updated_at integration_version",
    json: "scopes workflows revocation",
    withheld: "tenant account_mac sealed kids poked_at",
  }),
  table({
    ...{ type: "connection_use", table: "connection_uses", key: ["connection", "workflow"], withheld: "" },
    where: "connection IN (SELECT id FROM connections WHERE tenant = ?1)",
    columns: "connection workflow first_at last_at uses",
  }),
  table({
    ...{ type: "cloud_role", table: "cloud_roles", key: ["name"] },
    columns:
      "name id provider audience settings workflows inline per_run version created_at created_by updated_at",
    json: "settings workflows",
  }),
  table({
    ...{ type: "issuer_key", table: "issuer_keys", key: ["kid"], withheld: "tenant sealed" },
    columns: "kid number state made_at published_at active_at retired_at",
  }),
];

/** Tables of which nothing leaves, and why. */
export const NOT_EXPORTED: Readonly<Record<string, string>> = {
  access_audit: "the audit has an export of its own",
  credential_uses: "the audit has an export of its own, and each run's export names them",
  audit_links: "the audit has an export of its own, in which they stand",
  audit_users: "whose pseudonym is whose in the audit, which shows it to who may read that",
  erasures: "what was erased and when; who it was is not to be told",
  user_events: "where data of users may stand: passes within two days",
  connect_sessions: "pass within days, and are made of hashes",
  grant_links: "pass within days, and are made of hashes",
  vault_keys: "of the deployment, not of a tenant",
  run_keys: "which key of the vault a run's key is under: of the deployment",
  unlisted_connections: "what nobody has confirmed, and which keys it is under",
  issuers: "what the issuer publishes, sealed; it is public at its own address",
};
