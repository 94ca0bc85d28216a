/** `connections: "require"`: a run is not started before the connections that its steps name are there. */
import { actorOf, type KeyIdentity, may } from "../access/index.ts";
import type { ConnectionReference, MissingConnection } from "../connections/index.ts";
import type { Graph, Json } from "../kernel/index.ts";
import { connectUrl } from "./connection-views.ts";
import { type MissingView, type Problem, problem } from "./problems.ts";
import type { Call } from "./route.ts";

/** The connections that the steps of a graph name in their `auth`; what an expression will name is not known before. */
export function connectionsOf(graph: Pick<Graph, "steps">): ConnectionReference[] {
  return graph.steps.flatMap((step) =>
    [step.with, step.verify?.with, step.compensate?.with].flatMap((value) => referencesIn(value ?? null)),
  );
}

function referencesIn(value: Json): ConnectionReference[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  const { auth } = value as Readonly<Record<string, Json>>;
  if (typeof auth !== "object" || auth === null || Array.isArray(auth)) return [];
  const { connection, account, scopes } = auth as Readonly<Record<string, Json>>;
  if (typeof connection !== "string" || connection.includes("${{")) return [];
  return [
    {
      connection,
      ...(typeof account === "string" && !account.includes("${{") ? { account } : {}),
      ...(Array.isArray(scopes) ? { scopes: scopes.filter((scope) => typeof scope === "string") } : {}),
    },
  ];
}

/** Null: all of them are there. */
export async function refusalOfMissing(
  call: Call,
  identity: KeyIdentity,
  run: { readonly user: string | null; readonly workflow: string; readonly graph: Pick<Graph, "steps"> },
): Promise<Problem | null> {
  const references = connectionsOf(run.graph);
  if (references.length === 0) return null;
  const { user, workflow } = run;
  const missing = await call.deps
    .connections()
    .missing({ tenant: identity.tenant, user, workflow }, references);
  if (missing.length === 0) return null;
  const views: MissingView[] = [];
  for (const one of missing) views.push(await viewMissing(call, identity, one));
  const names = missing.map(({ integration, account }) => `${integration}/${account}`).join(", ");
  return problem("connections_missing", `The run needs ${names}.`, { missing: views });
}

async function viewMissing(
  call: Call,
  identity: KeyIdentity,
  { integration, account, reason, scopes, consent, user }: MissingConnection,
): Promise<MissingView> {
  const view = { integration, account, reason, scopes };
  if (!consent || !may(identity, "connections:connect")) return view;
  // A key that is bound to a user makes nothing for the tenant.
  if (identity.user !== null && user !== identity.user) return view;
  const made = await call.deps.connections().makeSession({
    ...{ tenant: identity.tenant, integration, user, account, scopes },
    ...{ replaceAccount: false, by: actorOf(identity) },
  });
  if (!made.ok) return view;
  const { session, token } = made.value;
  return { ...view, connect: { url: connectUrl(call, token), expires_at: session.expiresAt } };
}
