/**
 * Adds to a run, for those who may hand them out, the links by which its user makes or renews what steps wait for. They are
 * nowhere else: not in the journal, not in events, feeds and lists.
 */
import { actorOf, type KeyIdentity, may } from "../access/index.ts";
import type { ConnectionWait, RunView, StepView, UnitView, UnitWait } from "../run/index.ts";
import { connectUrl } from "./connection-views.ts";
import type { Call } from "./route.ts";

/** Those that a consent can end. */
const FOR_PEOPLE: ReadonlySet<string> = new Set([
  "missing",
  "revoked",
  "expired",
  "refresh_lost",
  "rejected",
  "scope_missing",
]);
/** Different connections that one look makes links for. */
const MAX_LINKS = 10;

interface ConnectLink {
  readonly url: string;
  readonly expires_at: number;
}

/** Whose run it is. */
interface Waiting {
  readonly run: string;
  readonly workflow: string;
  readonly user: string | null;
}

interface Waiter {
  readonly unit: string;
  readonly wait: ConnectionWait;
}

/** The run, with links if the key may have them. A link that cannot be made just now is left out. */
export async function withConnectLinks(call: Call, identity: KeyIdentity, view: RunView): Promise<RunView> {
  const steps = await linkedSteps(
    call,
    identity,
    { run: view.id, workflow: view.workflow, user: view.user },
    view.steps,
  );
  return steps === view.steps ? view : { ...view, steps };
}

/** Whether `linkedSteps` would look for links at all. */
export function wantsLinks(identity: KeyIdentity, step: StepView): boolean {
  return may(identity, "connections:connect") && waitersOf(step).length > 0;
}

export async function linkedSteps<S extends StepView>(
  call: Call,
  identity: KeyIdentity,
  whose: Waiting,
  steps: readonly S[],
): Promise<readonly S[]> {
  const waiters = may(identity, "connections:connect") ? steps.flatMap(waitersOf) : [];
  if (waiters.length === 0) return steps;
  const links = await linksFor(call, identity, whose, waiters);
  return links.size === 0 ? steps : steps.map((step) => linked(step, links));
}

/** One link for each connection: the one of who waits longest. */
async function linksFor(
  call: Call,
  identity: KeyIdentity,
  whose: Waiting,
  waiters: readonly Waiter[],
): Promise<ReadonlyMap<string, ConnectLink>> {
  const first = new Map<string, Waiter & { readonly scopes: ReadonlySet<string> }>();
  for (const { unit, wait } of waiters) {
    const before = first.get(wait.connection ?? "");
    const scopes = new Set([...(before?.scopes ?? []), ...wait.scopes]);
    const earliest = before === undefined || wait.since < before.wait.since ? { unit, wait } : before;
    first.set(wait.connection ?? "", { ...earliest, scopes });
  }
  const links = new Map<string, ConnectLink>();
  for (const [connection, { unit, wait, scopes }] of [...first].slice(0, MAX_LINKS)) {
    const link = await linkFor(call, identity, whose, { unit, wait, connection, scopes: [...scopes] });
    if (link !== null) links.set(connection, link);
  }
  return links;
}

async function linkFor(
  call: Call,
  identity: KeyIdentity,
  { run, workflow, user }: Waiting,
  {
    unit,
    wait,
    connection,
    scopes,
  }: Waiter & { readonly connection: string; readonly scopes: readonly string[] },
): Promise<ConnectLink | null> {
  const { deps, requestId } = call;
  const { since, limit_at: limitAt, integration, account } = wait;
  if (integration === null || connection === "") return null;
  try {
    const made = await deps.connections().linkForWait(
      {
        ...{ tenant: identity.tenant, run, workflow, unit, user, integration, account, connection },
        ...{ scopes, since, limitAt },
      },
      { by: actorOf(identity), boundTo: identity.user },
    );
    return made === null ? null : { url: connectUrl(call, made.token), expires_at: made.expiresAt };
  } catch (error) {
    // What a run shows must not depend on it.
    deps.log.warn("connect_link_not_made", { requestId, tenant: identity.tenant, run, error });
    return null;
  }
}

function waitersOf(step: StepView): Waiter[] {
  const { name, items = [] } = step;
  const units: readonly (readonly [string, UnitView])[] = [
    [name, step],
    ...items.map((item, index) => [`${name}[${index}]`, item] as const),
  ];
  return units.flatMap(([unit, view]) => [
    ...waiterOf(unit, view.waiting_for),
    ...waiterOf(`${unit}/undo`, view.compensation?.waiting_for),
  ]);
}

function waiterOf(unit: string, wait: UnitWait | undefined): Waiter[] {
  return wait?.kind === "connection" && FOR_PEOPLE.has(wait.reason) ? [{ unit, wait }] : [];
}

function linked<S extends UnitView & { readonly items?: readonly UnitView[] }>(
  view: S,
  links: ReadonlyMap<string, ConnectLink>,
): S {
  const { waiting_for: wait, compensation, items } = view;
  return {
    ...view,
    ...(wait === undefined ? {} : { waiting_for: linkedWait(wait, links) }),
    ...(compensation?.waiting_for === undefined
      ? {}
      : { compensation: { ...compensation, waiting_for: linkedWait(compensation.waiting_for, links) } }),
    ...(items === undefined ? {} : { items: items.map((item) => linked(item, links)) }),
  };
}

function linkedWait(wait: UnitWait, links: ReadonlyMap<string, ConnectLink>): UnitWait {
  if (wait.kind !== "connection") return wait;
  const connect = FOR_PEOPLE.has(wait.reason) ? links.get(wait.connection ?? "") : undefined;
  return connect === undefined ? wait : { ...wait, ...{ connect } };
}
