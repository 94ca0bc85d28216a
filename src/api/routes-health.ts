/** Whether a deployment can do its work: what it stands on, asked one by one. For the operator. */
import { inTime } from "../platform/index.ts";
import { Health } from "./answer-schemas.ts";
import { jsonResponse } from "./replies.ts";
import { type Call, type Route, route } from "./route.ts";

/** The newest file of migrations/: what this build reads and writes in the database. */
export const LAST_MIGRATION = "0024_quotas.sql";

/** Whoever has not answered by then is away. */
const PATIENCE_MS = 5_000;
/** An object without a run writes nothing and arms nothing: it shows that objects answer. Of the tenant that is there from the start. */
const NOBODY = { tenant: "default", run: `run_${"0".repeat(26)}` } as const;

interface Seen {
  readonly ok: boolean;
  /** What was seen, and what to do if it is not well. Never a secret. */
  readonly detail: string;
}

export const HEALTH_ROUTES: readonly Route[] = [
  route({
    id: "checkHealth",
    method: "GET",
    path: "/v1/health",
    rule: "root",
    tag: "About",
    summary: "See whether what the deployment stands on is well",
    description:
      "The database and its migrations, the keyring, objects, the issuer. `GET /healthz` only says that the Worker answers.",
    answers: [
      {
        status: 200,
        description: "What was seen. `failing`: one of the checks is not well.",
        schema: Health,
      },
    ],
    handle: async ({ call }) => {
      const checks = await Promise.all(
        Object.entries(CHECKS).map(async ([name, check]) => {
          const began = call.deps.now();
          const seen = await settled(call, name, check);
          return { name, ...seen, ms: call.deps.now() - began };
        }),
      );
      return jsonResponse({ status: checks.every(({ ok }) => ok) ? "ok" : "failing", checks });
    },
  }),
];

const CHECKS: Readonly<Record<string, (call: Call) => Promise<Seen>>> = {
  async database({ deps }) {
    const query = "SELECT name FROM d1_migrations ORDER BY id DESC LIMIT 1";
    const row = await deps.access.db.prepare(query).first<{ name: string }>();
    const last = row?.name ?? "none";
    if (last >= LAST_MIGRATION) return { ok: true, detail: `Migrated to ${last}.` };
    const todo = "Apply the migrations: wrangler d1 migrations apply DB --remote.";
    return { ok: false, detail: `Migrated to ${last}, and this build needs ${LAST_MIGRATION}. ${todo}` };
  },

  async keyring({ deps }) {
    const keys = await deps.vault().keys();
    const active = keys.find((key) => key.active);
    if (active === undefined) return { ok: false, detail: "No key of KEYRING is active." };
    if (active.proof === "failed")
      return {
        ok: false,
        detail: `The key ${active.kid} is not the one that is known by this name: put the right KEYRING back (docs/operations.md).`,
      };
    if (active.proof !== "passed")
      return { ok: false, detail: `Whether ${active.kid} is the right key could not be checked just now.` };
    const missing = keys.filter(({ inKeyring, records }) => !inKeyring && Object.keys(records).length > 0);
    if (missing.length > 0)
      return {
        ok: false,
        detail: `Texts in the database are sealed under ${missing.map(({ kid }) => kid).join(", ")}, which KEYRING does not have: add it back (docs/operations.md).`,
      };
    return { ok: true, detail: `Seals under ${active.kid}; ${keys.length} known.` };
  },

  async objects({ deps }) {
    await deps.runs(NOBODY.tenant, NOBODY.run).poke(NOBODY.tenant);
    return { ok: true, detail: "Objects answer." };
  },

  async issuer({ deps }) {
    return deps.issuer() === null
      ? { ok: true, detail: "ISSUER_ORIGIN is not set: workflows have no identity." }
      : { ok: true, detail: "Configured." };
  },
};

async function settled(call: Call, name: string, check: (call: Call) => Promise<Seen>): Promise<Seen> {
  try {
    return await inTime(() => check(call), PATIENCE_MS);
  } catch (error) {
    call.deps.log.error("health.check_failed", { requestId: call.requestId, check: name, error });
    return {
      ok: false,
      detail: `It failed, or did not answer within ${PATIENCE_MS} ms. The log says why (health.check_failed).`,
    };
  }
}
