/** The keys of the vault, for the operator: what is sealed under which, moving it, giving a key up. */
import { actorOf } from "../access/index.ts";
import { type DropRefusal, VaultError, type VaultKey } from "../vault/index.ts";
import { DroppedKey, Rewrapped, VaultKeys } from "./answer-schemas.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problem, type ProblemCode } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { RewrapRecords } from "./request-schemas.ts";
import { type Call, type Route, route } from "./route.ts";

const DEFAULT_REWRAPPED = 100;
/** A wrong keyring is put right by hand, a database that is away comes back. */
const RETRY_AFTER_S = 30;

export const VAULT_ROUTES: readonly Route[] = [
  route({
    id: "listVaultKeys",
    method: "GET",
    path: "/v1/vault/keys",
    rule: "root",
    tag: "Vault",
    summary: "See the keys of the vault, and how many records are sealed under each",
    description: "Names, dates and counts. The keys themselves are in the Worker's secret `KEYRING` only.",
    answers: [{ status: 200, description: "Every key that is or was known.", schema: VaultKeys }],
    handle: async ({ call }) => {
      const data = (await call.deps.vault().keys()).map(viewKey);
      return jsonResponse({ active: data.find((key) => key.active)?.kid ?? "", data });
    },
  }),
  route({
    id: "rewrapVault",
    method: "POST",
    path: "/v1/vault/rewrap",
    rule: "root",
    tag: "Vault",
    summary: "Move records under the active key",
    description:
      "Only the key of each record is encrypted anew; what it holds is neither read nor changed. The cron trigger does the same. Call it until `done`.",
    body: { schema: RewrapRecords, required: false, example: EXAMPLES.rewrap },
    answers: [{ status: 200, description: "How many were moved, and how many are left.", schema: Rewrapped }],
    problems: ["wrong_keyring", "unavailable"],
    handle: ({ call, body: { limit = DEFAULT_REWRAPPED } }) => rewrap(call, limit),
  }),
  route({
    id: "dropVaultKey",
    method: "POST",
    path: "/v1/vault/keys/{kid}/drop-check",
    rule: "root",
    tag: "Vault",
    summary: "Ask whether a key can go, and if so give it up",
    description:
      "If no record is under it and nothing was sealed under it lately: from then on nothing is, and it can be taken out of `KEYRING`. Its name is not used again.",
    answers: [{ status: 200, description: "It is given up.", schema: DroppedKey }],
    problems: ["not_found", "key_in_use", "wrong_keyring", "unavailable"],
    handle: async ({ call, identity }) => {
      const kid = call.params["kid"] ?? "";
      const vault = call.deps.vault();
      const dropped = await vault.drop(kid, actorOf(identity));
      if (!dropped.ok) return ofDrop(dropped.error);
      return jsonResponse({ kid, dropped_at: dropped.value, in_keyring: vault.kids.includes(kid) });
    },
  }),
];

async function rewrap({ deps }: Call, limit: number): Promise<Response | Problem> {
  try {
    const swept = await deps.vault().rewrap(limit);
    return jsonResponse({ ...swept, done: Object.keys(swept.left).length === 0 });
  } catch (error) {
    // The others pass by themselves, and are answered like every fault of the platform.
    if (error instanceof VaultError && error.code === "wrong_keyring")
      return later(error.code, error.message);
    throw error;
  }
}

function ofDrop({ code, message, records }: DropRefusal): Problem {
  if (code === "wrong_keyring" || code === "unavailable") return later(code, message);
  const errors = Object.entries(records).map(([kind, n]) => ({ detail: `${n} of ${kind}` }));
  return problem(code, message, errors.length === 0 ? {} : { errors });
}

function later(code: ProblemCode, message: string): Problem {
  return problem(code, message, { headers: { "retry-after": String(RETRY_AFTER_S) } });
}

function viewKey(key: VaultKey) {
  return {
    kid: key.kid,
    active: key.active,
    in_keyring: key.inKeyring,
    check: key.proof ?? "not_here",
    added_at: key.addedAt,
    sealed_at: key.sealedAt,
    dropped_at: key.droppedAt,
    records: key.records,
    droppable: key.inUse === null,
    in_use: key.inUse,
  };
}
