/**
 * The room's door in one value: integrations, connect sessions, connections, and what uses them. Owns how the parts are put
 * together, and the isolate's memory of integrations; what each does stands in its file.
 */
import {
  connectionIdOf,
  err,
  isConnectionId,
  isSessionId,
  type LeaseAnswer,
  ok,
  type Result,
} from "../platform/index.ts";
import type { SealedRecords } from "../vault/index.ts";
import { callbackUrl, confirm, type ConfirmRefusal, type ConnectDeps } from "./connecting.ts";
import { ownerText } from "./grant.ts";
import { makeGrantLink } from "./grant-links.ts";
import { createIntegrationCache } from "./integration-cache.ts";
import type { DraftDeps, IntegrationRequest } from "./integrating.ts";
import type { Integration } from "./integrations.ts";
import { warningOf } from "./ending.ts";
import { selectIntegration, selectIntegrations, selectIntegrationsTrusting } from "./integrations-store.ts";
import { lend, type Lent, type LendRefusal } from "./lending.ts";
import {
  type ConnectionFilter,
  type ConnectionUse,
  type ListedConnection,
  listedOf,
  selectConnections,
  selectOfOwner,
  selectUses,
} from "./listing.ts";
import { hashOf, linkToken, newSecret } from "./links.ts";
import {
  type MadeSession,
  makeSession,
  sessionForWait,
  type SessionRefusal,
  type SessionRequest,
} from "./making-sessions.ts";
import {
  changeIntegration,
  deleteIntegration,
  type IntegrationChange,
  type ManageDeps,
  makeIntegration,
  type ManageRefusal,
} from "./managing.ts";
import { CATALOG, GENERIC_KINDS, type Provider } from "./providers/index.ts";
import { sealedRecords } from "./records.ts";
import { type ReferenceRefusal, refusalOfReference } from "./referring.ts";
import { type MissingConnection, missingConnections } from "./requiring.ts";
import type { ConnectionView } from "./rpc.ts";
import { type ConnectSession, TICKET_MS } from "./sessions.ts";
import { giveTicket, selectSession } from "./sessions-store.ts";
import { disconnectOne, type Settled, sweepConnections } from "./sweeping.ts";
import { markTakenBack, type TakenBack } from "./told.ts";
import { type ConnectionReference, createUse, DEFAULT_ACCOUNT, type Pinned, type Use } from "./use.ts";

export interface ConnectionsDeps extends ConnectDeps, DraftDeps {
  readonly serverKey: () => Promise<CryptoKey>;
}

/** What a step waits for, as its run shows it. */
export interface WaitOfStep {
  readonly tenant: string;
  readonly run: string;
  /** Name of the step, with the item of a list behind it. */
  readonly unit: string;
  /** For the page, which says who asks. */
  readonly workflow?: string;
  readonly user: string | null;
  readonly integration: string;
  /** As the step names it; null: it names none. */
  readonly account: string | null;
  readonly connection: string;
  readonly scopes: readonly string[];
  readonly since: number;
  readonly limitAt: number;
}

type Optional<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]?: T[P] };

export interface Page {
  readonly after: string;
  readonly limit: number;
}

export interface Connections {
  /** For runs. */
  readonly use: (use: Use) => Promise<LeaseAnswer>;
  /** For plans: why a step could never be lent what it names for this host. */
  refusalOf(
    reference: ConnectionReference,
    host: string,
    asker: { readonly tenant: string; readonly user: string | null | undefined },
  ): Promise<ReferenceRefusal | undefined>;
  /** The catalogue, and what an integration with a provider of its own can name. */
  readonly providers: { readonly catalog: readonly Provider[]; readonly kinds: readonly string[] };
  /** For the pages. */
  readonly flow: ConnectDeps;
  readonly records: readonly SealedRecords[];
  /** The cron trigger. Never throws. */
  sweep(calls: number): Promise<void>;

  integration(tenant: string, name: string): Promise<Integration | null>;
  /** Where the provider sends browsers back to; null: nobody consents to it in one. */
  callbackUrl(origin: string, made: Integration): string | null;
  integrations(tenant: string, page: Page): Promise<Integration[]>;
  /** That a connection works, but ends soon whatever is done; null: nothing of the kind. */
  warningOf(one: ListedConnection): "ends_soon" | null;
  /** Names of those that lend the tenant's own account to a workflow because they name it. */
  integrationsTrusting(tenant: string, workflow: string): Promise<readonly string[]>;
  makeIntegration(
    tenant: string,
    request: IntegrationRequest,
    by: string,
  ): Promise<Result<Integration, ManageRefusal>>;
  changeIntegration(
    tenant: string,
    name: string,
    change: IntegrationChange,
    by: string,
  ): Promise<Result<Integration, ManageRefusal>>;
  deleteIntegration(tenant: string, name: string, by: string): Promise<Result<Settled, ManageRefusal>>;

  /** Without an account it is the one that is meant by who names none. */
  makeSession(request: Optional<SessionRequest, "account">): Promise<Result<MadeSession, SessionRefusal>>;
  /** Null: the tenant has no such session. With the last part of its link's address while it can be opened. */
  session(
    tenant: string,
    id: string,
  ): Promise<{ readonly session: ConnectSession; readonly token: string | null } | null>;
  confirm(
    tenant: string,
    id: string,
    said: { readonly code: string; readonly user: string | null; readonly by: string },
  ): Promise<Result<{ readonly connection: string }, ConfirmRefusal>>;
  /** Null: the session takes none. The link's token, and what stands behind it as `ticket`. */
  ticket(
    session: ConnectSession,
  ): Promise<{ readonly token: string; readonly ticket: string; readonly expiresAt: number } | null>;
  /**
   * Null: no consent would help, none can be given by a link, or it is not the asker's to hand out: a key that is bound to a
   * user makes nothing for the tenant, and nothing for another user.
   * @param asker `boundTo`: the user that its key is bound to; null: to none
   */
  linkForWait(
    wait: WaitOfStep,
    asker: { readonly by: string; readonly boundTo: string | null },
  ): Promise<{ readonly token: string; readonly expiresAt: number } | null>;

  /** As its object says it. Null: the tenant has no such connection. */
  connection(tenant: string, id: string): Promise<ListedConnection | null>;
  connections(tenant: string, filter: ConnectionFilter, page: Page): Promise<ListedConnection[]>;
  uses(connection: string): Promise<ConnectionUse[]>;
  /** What a reference of a run means now, for a run that is to go on with it. Null: it cannot be used. */
  pinOf(tenant: string, id: string): Promise<Pinned | null>;
  reconnect(
    connection: ListedConnection,
    how: Pick<SessionRequest, "scopes" | "mode" | "returnTo" | "replaceAccount" | "by">,
  ): Promise<Result<MadeSession, SessionRefusal>>;
  disconnect(
    tenant: string,
    id: string,
    by: string,
  ): Promise<{ readonly connection: ListedConnection; readonly siblings: boolean } | null>;
  lend(made: Integration, lent: Optional<Lent, "account">): Promise<Result<ListedConnection, LendRefusal>>;
  /** Whether a credential that is lent takes the place of another, and makes no connection more. Without an account as with `lend`. */
  isThere(made: Integration, user: string | null, account?: string): Promise<boolean>;
  /** The provider says that its users took this back. @returns how many connections were marked */
  takenBack(tenant: string, integration: string, what: TakenBack): Promise<number>;
  grantsLink(
    tenant: string,
    user: string,
    by: string,
  ): Promise<{ readonly token: string; readonly expiresAt: number }>;
  missing(
    run: { readonly tenant: string; readonly user: string | null; readonly workflow: string },
    references: readonly ConnectionReference[],
  ): Promise<MissingConnection[]>;
}

const MAX_USES = 100;

export function createConnections(deps: ConnectionsDeps): Connections {
  const { db, vault, object, serverKey, now } = deps;
  const cache = createIntegrationCache((tenant, name) => selectIntegration(db, tenant, name), now);
  const manage: ManageDeps = { ...deps, forget: cache.forget };
  const finding = {
    ...{ serverKey, object, now },
    integration: cache.get,
    ofOwner: async (tenant: string, integration: string, user: string | null) =>
      selectOfOwner(db, tenant, integration, user),
  };
  const viewOf = async (tenant: string, id: string): Promise<ConnectionView | null> =>
    isConnectionId(id) ? object(tenant, id).view(tenant) : null;

  const room: Connections = {
    use: createUse(finding),
    async refusalOf(reference, host, { tenant, user }) {
      return refusalOfReference(reference, await selectLiving(tenant, reference.connection), host, user);
    },
    providers: { catalog: CATALOG, kinds: GENERIC_KINDS },
    flow: deps,
    records: sealedRecords(deps),
    sweep: (calls) => sweepConnections(deps, calls),

    integration: (tenant, name) => selectLiving(tenant, name),
    callbackUrl: (origin, { tenant, name, kind }) =>
      kind === "oauth2" || kind === "oidc" ? callbackUrl(origin, tenant, name) : null,
    integrations: (tenant, { after, limit }) => selectIntegrations(db, tenant, after, limit),
    warningOf: (one) => warningOf(one, now()),
    integrationsTrusting: (tenant, workflow) => selectIntegrationsTrusting(db, tenant, workflow),
    makeIntegration: (tenant, request, by) => makeIntegration(manage, tenant, request, by),
    changeIntegration: (tenant, name, change, by) => changeIntegration(manage, tenant, name, change, by),
    deleteIntegration: (tenant, name, by) => deleteIntegration(manage, tenant, name, by),

    makeSession: (request) => makeSession(deps, { ...request, account: request.account ?? DEFAULT_ACCOUNT }),
    async session(tenant, id) {
      const session = isSessionId(id) ? await selectSession(db, id) : null;
      if (session === null || session.slot.tenant !== tenant) return null;
      const open = session.state === "open" && session.expiresAt > now();
      return { session, token: open ? await linkToken(vault, session) : null };
    },
    async confirm(tenant, id, { code, user, by }) {
      const session = isSessionId(id) ? await selectSession(db, id) : null;
      if (session === null || session.slot.tenant !== tenant) return err("not_waiting");
      return confirm(deps, session, { code, user: user ?? "", by });
    },
    async ticket(session) {
      const ticket = newSecret();
      const expiresAt = now() + TICKET_MS;
      const given = { ticketHash: await hashOf(ticket), until: expiresAt };
      const token = await linkToken(vault, session);
      if (token === null || !(await giveTicket(db, session.id, given, now()))) return null;
      return { token, ticket, expiresAt };
    },
    async linkForWait(wait, { by, boundTo }) {
      const { tenant, integration: name, connection: id, scopes } = wait;
      const made = await cache.get(tenant, name);
      if (made === null || (made.kind !== "oauth2" && made.kind !== "oidc")) return null;
      const user = made.owner === "tenant" ? null : wait.user;
      if (boundTo !== null && boundTo !== user) return null;
      const listed = await viewOf(tenant, id);
      const account = listed?.slot.account ?? (await accountOf(made, user, wait));
      if (account === null) return null;
      const wanted = widened(made, listed?.scopes ?? [], scopes);
      const drawn = await sessionForWait(deps, { ...wait, user, account, scopes: wanted }, by);
      return drawn.ok ? { token: drawn.value.token, expiresAt: drawn.value.session.expiresAt } : null;
    },

    async connection(tenant, id) {
      const view = await viewOf(tenant, id);
      return view === null ? null : listedOf(view);
    },
    connections: (tenant, filter, page) => selectConnections(db, tenant, filter, page),
    uses: (connection) => selectUses(db, connection, MAX_USES),
    async pinOf(tenant, id) {
      const view = await viewOf(tenant, id);
      if (view === null || view.standing.status !== "active") return null;
      const { slot, epoch } = view;
      return { connection: id, owner: ownerText(slot.owner), account: slot.account, epoch };
    },
    async reconnect({ tenant, integration, user, account, scopes: have }, { scopes = [], ...how }) {
      const made = await selectLiving(tenant, integration);
      if (made === null) return err({ code: "integration_unknown" });
      const wanted = widened(made, have ?? [], scopes);
      return makeSession(deps, { tenant, integration, user, account, scopes: wanted, ...how });
    },
    async disconnect(tenant, id, by) {
      if (!isConnectionId(id)) return null;
      const done = await disconnectOne(deps, tenant, id, by);
      return done === null ? null : { connection: listedOf(done.view), siblings: done.siblings };
    },
    async lend(made, lent) {
      const lended = await lend(deps, made, { ...lent, account: lent.account ?? DEFAULT_ACCOUNT });
      return lended.ok ? ok(listedOf(lended.value)) : lended;
    },
    async isThere({ tenant, name: integration }, user, account = DEFAULT_ACCOUNT) {
      const owner = user === null ? "tenant" : `user:${user}`;
      const id = await connectionIdOf(await serverKey(), { tenant, integration, owner, account });
      const listed = await room.connection(tenant, id);
      return listed !== null && listed.status !== "disconnected";
    },
    takenBack: (tenant, integration, what) => markTakenBack(deps, { tenant, integration }, what),
    grantsLink: (tenant, user, by) => makeGrantLink(deps, { tenant, user, by }),
    missing: (run, references) => missingConnections(finding, run, references),
  };
  return room;

  async function selectLiving(tenant: string, name: string): Promise<Integration | null> {
    const made = await selectIntegration(db, tenant, name);
    return made === null || made.deletedAt !== null ? null : made;
  }

  /** A slot that was never granted has no view, and its id alone does not say which it is. Null: it is not the named one. */
  async function accountOf(
    { tenant, name }: Integration,
    user: string | null,
    { account: named, connection }: WaitOfStep,
  ): Promise<string | null> {
    const account = named ?? DEFAULT_ACCOUNT;
    const owner = user === null ? "tenant" : `user:${user}`;
    const id = await connectionIdOf(await serverKey(), { tenant, integration: name, owner, account });
    return id === connection ? account : null;
  }
}

/** What it has and may still ask for, and what is wanted beside it: a consent that gives more must not take anything away. */
function widened(
  { settings }: Integration,
  have: readonly string[],
  more: readonly string[],
): readonly string[] {
  const { scopesAllowed } = settings;
  const kept = scopesAllowed === null ? have : have.filter((scope) => scopesAllowed.includes(scope));
  return [...new Set([...kept, ...more])];
}
