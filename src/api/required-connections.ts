/** `connections: "require"`: a run is not started before the connections that its steps name are there. */
import { actorOf, type KeyIdentity, may } from "../access/index.ts";
import type { MissingConnection } from "../connections/index.ts";
import { connectionsOf } from "../define/index.ts";
import type { Graph } from "../kernel/index.ts";
import { connectUrl } from "./connection-views.ts";
import { type MissingView, type Problem, problem } from "./problems.ts";
import type { Call } from "./route.ts";

/** Null: all of them are there. */
export async function refusalOfMissing(
  call: Call,
  identity: KeyIdentity,
  run: {
    readonly user: string | null;
    readonly workflow: string;
    readonly graph: Pick<Graph, "steps" | "connections">;
  },
): Promise<Problem | null> {
  const references = connectionsOf(run.graph).map(({ connection, account, scopes }) => ({
    connection,
    ...(account === undefined ? {} : { account }),
    ...(scopes === undefined ? {} : { scopes }),
  }));
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
  const view = { integration, account, reason, scopes, how: howToMake(reason, consent) };
  if (!consent || !may(identity, "connections:connect")) return view;
  // A key that is bound to a user makes nothing for the tenant.
  if (identity.user !== null && user !== identity.user) return view;
  if ((await call.deps.quotas.gate.session(identity.tenant)) !== null) return view;
  const made = await call.deps.connections().makeSession({
    ...{ tenant: identity.tenant, integration, user, account, scopes },
    ...{ replaceAccount: false, by: actorOf(identity) },
  });
  if (!made.ok) return view;
  const { session, token } = made.value;
  const { how: _, ...linked } = view;
  return { ...linked, connect: { url: connectUrl(call, token), expires_at: session.expiresAt } };
}

function howToMake(reason: MissingConnection["reason"], consent: boolean): string {
  switch (reason) {
    case "integration_unknown":
      return "Correct the name, or make the integration: `POST /v1/integrations`.";
    case "no_user":
      return "Start the run with a `user`.";
    case "ambiguous":
      return "Name the `account` in the step's `auth`.";
    case "not_for_workflow":
      return "Add the workflow to the integration's `workflows`.";
    default:
      return consent
        ? "Its owner consents in a browser: `POST /v1/connect-sessions`."
        : "Hand its credential over: `POST /v1/connections`.";
  }
}
