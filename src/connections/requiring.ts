/** Whether what a run needs is there before it starts: the same finding as in use (use.ts), without asking for a token. */
import { connectionIdOf } from "../platform/index.ts";
import { missingScopes, type Owner, ownerText, type Slot } from "./grant.ts";
import type { Integration } from "./integrations.ts";
import type { ListedConnection } from "./listing.ts";
import type { ConnectionRpc, ConnectionView } from "./rpc.ts";
import { type ConnectionReference, DEFAULT_ACCOUNT } from "./use.ts";

export interface RequireDeps {
  readonly serverKey: () => Promise<CryptoKey>;
  readonly integration: (tenant: string, name: string) => Promise<Integration | null>;
  readonly ofOwner: (
    tenant: string,
    integration: string,
    user: string | null,
  ) => Promise<readonly ListedConnection[]>;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
}

export interface MissingConnection {
  readonly integration: string;
  /** As it was named, or the one that is meant without a name. */
  readonly account: string;
  readonly reason:
    | "integration_unknown"
    /** The run acts for no user, and the connections belong to users. */
    | "no_user"
    | "ambiguous"
    | "not_for_workflow"
    | "missing"
    | "revoked"
    | "expired"
    | "refresh_lost"
    | "scope_missing";
  /** Whose it would be; null: the tenant's. */
  readonly user: string | null;
  /** Those that it lacks. */
  readonly scopes: readonly string[];
  /** Whether a consent would help. */
  readonly consent: boolean;
}

const MAX_REFERENCES = 64;

export async function missingConnections(
  deps: RequireDeps,
  run: { readonly tenant: string; readonly user: string | null; readonly workflow: string },
  references: readonly ConnectionReference[],
): Promise<MissingConnection[]> {
  const found = await Promise.all(joined(references).map(async (reference) => missing(deps, run, reference)));
  return found.filter((one) => one !== null);
}

/** One for each connection, with all that the steps want of it. */
function joined(references: readonly ConnectionReference[]): ConnectionReference[] {
  const byName = new Map<string, ConnectionReference>();
  for (const reference of references) {
    const name = JSON.stringify([reference.connection, reference.account ?? null]);
    const scopes = [...new Set([...(byName.get(name)?.scopes ?? []), ...(reference.scopes ?? [])])];
    byName.set(name, { ...reference, scopes });
  }
  return [...byName.values()].slice(0, MAX_REFERENCES);
}

async function missing(
  deps: RequireDeps,
  {
    tenant,
    user,
    workflow,
  }: { readonly tenant: string; readonly user: string | null; readonly workflow: string },
  { connection: integration, account: named, scopes = [] }: ConnectionReference,
): Promise<MissingConnection | null> {
  const say = (
    reason: MissingConnection["reason"],
    account = named ?? DEFAULT_ACCOUNT,
    more: Partial<MissingConnection> = {},
  ): MissingConnection => ({ integration, account, user, reason, scopes, consent: false, ...more });
  const known = await deps.integration(tenant, integration);
  if (known === null) return say("integration_unknown");
  if (known.owner === "user" && user === null) return say("no_user");
  const owner: Owner =
    known.owner === "tenant" || user === null ? { kind: "tenant" } : { kind: "user", user };
  let account = named;
  if (account === undefined) {
    const listed = await deps.ofOwner(tenant, integration, owner.kind === "user" ? owner.user : null);
    const active = listed.filter(({ status }) => status === "active");
    const [first, second] = active.length > 0 ? active : listed;
    if (second !== undefined) return say("ambiguous");
    account = first?.account ?? DEFAULT_ACCOUNT;
  }
  const slot: Slot = { tenant, integration, owner, account };
  const id = await connectionIdOf(await deps.serverKey(), { ...slot, owner: ownerText(owner) });
  const view = await deps.object(tenant, id).view(tenant);
  const consent = known.kind === "oauth2" || known.kind === "oidc";
  const reason = reasonOf(view, known.settings.workflows, workflow, scopes);
  if (reason === null) return null;
  const lacking = view === null || reason !== "scope_missing" ? scopes : lackingOf(view, scopes);
  return say(reason, account, {
    consent: consent && reason !== "not_for_workflow",
    scopes: lacking,
    user: owner.kind === "user" ? owner.user : null,
  });
}

function reasonOf(
  view: ConnectionView | null,
  allowed: readonly string[] | undefined,
  workflow: string,
  scopes: readonly string[],
): MissingConnection["reason"] | null {
  // Where nothing was granted yet, the integration's own list says it.
  if (view === null) return allowed?.includes(workflow) === false ? "not_for_workflow" : "missing";
  if (view.workflows?.includes(workflow) === false) return "not_for_workflow";
  const { standing } = view;
  if (standing.status === "dead") return standing.reason;
  if (standing.status !== "active") return "missing";
  return lackingOf(view, scopes).length > 0 ? "scope_missing" : null;
}

function lackingOf({ scopes: have }: ConnectionView, wanted: readonly string[]): string[] {
  return missingScopes({ scopes: have }, wanted);
}
