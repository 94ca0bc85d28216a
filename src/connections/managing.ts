/** What becomes of integrations: they are made, changed and given up. Owns the order: what is done is in the audit before. */
import { type AuditSink, err, ok, type Result } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import {
  type DraftDeps,
  type DraftRefusal,
  draftIntegration,
  type Flaw,
  type IntegrationRequest,
  secretOf,
  settingsOf,
  type WantedSecret,
  type WantedSettings,
} from "./integrating.ts";
import type { Integration } from "./integrations.ts";
import {
  insertIntegration,
  markIntegrationDeleted,
  selectIntegration,
  updateIntegration,
} from "./integrations-store.ts";
import type { Bound } from "./providers/index.ts";
import { settleIntegration, type Settled, type SweepDeps } from "./sweeping.ts";

export interface ManageDeps extends SweepDeps, DraftDeps {
  readonly vault: Vault;
  readonly audit: AuditSink;
  /** The isolate's copy is of yesterday. */
  readonly forget: (tenant: string, name: string) => void;
}

export type IntegrationChange = WantedSettings & WantedSecret;

export type ManageRefusal =
  | DraftRefusal
  | { readonly code: "integration_exists" }
  | { readonly code: "not_found" }
  /** Somebody else changes it at this moment. */
  | { readonly code: "unavailable" };

/** Connections that are told at once; the cron trigger tells the others. */
const TOLD_AT_ONCE = 50;
const MAX_TRIES = 3;

export async function makeIntegration(
  deps: ManageDeps,
  tenant: string,
  request: IntegrationRequest,
  by: string,
): Promise<Result<Integration, ManageRefusal>> {
  const { db, vault, now } = deps;
  const { name, provider } = request;
  // Before anything is asked of the outside.
  if ((await selectIntegration(db, tenant, name)) !== null) return err({ code: "integration_exists" });
  const draft = await draftIntegration(deps, request);
  if (!draft.ok) return draft;
  const { secret, ...made } = draft.value;
  await audit(deps, tenant, name, "integration.create", by, {
    ...{ provider, kind: made.kind, owner: made.owner },
    hosts: (made.fixed.provider as Bound).hosts.join(" "),
  });
  const inserted = await insertIntegration(
    db,
    vault,
    { tenant, name, provider, createdBy: by, ...made },
    secret,
    now(),
  );
  deps.forget(tenant, name);
  const kept = inserted ? await selectIntegration(db, tenant, name) : null;
  return kept === null ? err({ code: "integration_exists" }) : ok(kept);
}

export async function changeIntegration(
  deps: ManageDeps,
  tenant: string,
  name: string,
  change: IntegrationChange,
  by: string,
): Promise<Result<Integration, ManageRefusal>> {
  const { db, vault, now } = deps;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const before = await selectIntegration(db, tenant, name);
    if (before === null || before.deletedAt !== null) return err({ code: "not_found" });
    const settings = settingsOf(before, { ...wantedOf(before), ...change });
    if (!settings.ok) return invalid(settings.error);
    const renewed = change.clientSecret !== undefined || change.signingKey !== undefined;
    const secret = renewed ? await secretOf(before.fixed.provider as Bound, change) : ok(null);
    if (!secret.ok) return invalid(secret.error);
    await audit(deps, tenant, name, "integration.change", by, {
      version: before.version + 1,
      secret: renewed,
      link_enabled: settings.value.linkEnabled,
    });
    const next = { settings: settings.value, ...(secret.value === null ? {} : { secret: secret.value }) };
    const after = await updateIntegration(db, vault, before, next, now());
    if (after === null) continue;
    deps.forget(tenant, name);
    await settleIntegration(deps, { tenant, name }, TOLD_AT_ONCE, by);
    return ok(after);
  }
  return err({ code: "unavailable" });
}

/** Its name stays taken; its connections are taken back. */
export async function deleteIntegration(
  deps: ManageDeps,
  tenant: string,
  name: string,
  by: string,
): Promise<Result<Settled, ManageRefusal>> {
  const before = await selectIntegration(deps.db, tenant, name);
  if (before === null || before.deletedAt !== null) return err({ code: "not_found" });
  await audit(deps, tenant, name, "integration.delete", by, { version: before.version + 1 });
  await markIntegrationDeleted(deps.db, tenant, name, deps.now());
  deps.forget(tenant, name);
  return ok(await settleIntegration(deps, { tenant, name }, TOLD_AT_ONCE, by));
}

/** What stands, as somebody would have to ask for it. */
function wantedOf({ kind, settings }: Integration): WantedSettings {
  const { scopesAllowed, scopesDefault, mode, linkEnabled, returnTo, workflows, displayName } = settings;
  const consents = kind === "oauth2" || kind === "oidc";
  return {
    ...(scopesAllowed === null ? {} : { scopesAllowed, scopesDefault }),
    ...(consents ? { mode, linkEnabled, returnTo } : {}),
    ...(workflows === undefined ? {} : { workflows }),
    ...(displayName === undefined ? {} : { displayName }),
  };
}

function invalid(flaw: Flaw): Result<never, ManageRefusal> {
  return err({ code: "invalid_integration", flaws: [flaw] });
}

async function audit(
  { audit: sink, now }: ManageDeps,
  tenant: string,
  name: string,
  action: string,
  actor: string,
  detail: Readonly<Record<string, string | number | boolean>>,
): Promise<void> {
  await sink.write({ at: now(), tenant, actor, action, target: name, outcome: "granted", detail });
}
