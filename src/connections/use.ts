/**
 * How steps come by the token of a connection: finds the connection that a run means, asks its object, and gives what the
 * step may do with the token. Owns the finding; does not own whether there is a token (acquiring.ts).
 *
 * - U1 always a connection of the run's own user, or of the tenant where the integration is the tenant's.
 * - U2 what was found once is pinned by the run: another account does not take its place unseen.
 * - U3 the token goes to the hosts of its integration, exactly, as they were fixed when the integration was made.
 */
import type { Json, Need } from "../kernel/index.ts";
import { connectionIdOf, type Lease, type LeaseAnswer } from "../platform/index.ts";
import { type Owner, ownerText, type Slot } from "./grant.ts";
import type { Integration } from "./integrations.ts";
import type { ListedConnection } from "./listing.ts";
import { type Bound, mayReceive, presented, readApiAnswer } from "./providers/index.ts";
import type { AcquireAnswer, Ask, ConnectionRpc, NeedAnswer, TokenAnswer } from "./rpc.ts";
import { secretsOf } from "./secrets.ts";

const HOUR_MS = 60 * 60_000;
/** A consent is waited for so long. */
const PERSON_LIMIT_MS = 24 * HOUR_MS;
const PASSING_LIMIT_MS = HOUR_MS;
/** Where a provider told when it answers again: until then and a little longer, and no longer than this. */
const TOLD_LIMIT_MS = 24 * HOUR_MS;
const TOLD_MARGIN_MS = 10 * 60_000;
const PERSON_RECHECK_MS = 5 * 60_000;
const PASSING_RECHECK_MS = 1_000;
const MISCONFIGURED_RECHECK_MS = 60_000;
/** After an attempt was refused: only the look that follows puts the run down as waiting, with what stands then (acquiring.ts, J2). */
const REFUSED_RECHECK_MS = 1_000;
/** The account of whoever names none. */
export const DEFAULT_ACCOUNT = "default";

/** What a step names. */
export interface ConnectionReference {
  readonly connection: string;
  readonly account?: string;
  readonly scopes?: readonly string[];
}

/** PERSISTED CONTRACT: what a run pins under the name of a reference. */
export interface Pinned {
  readonly connection: string;
  readonly owner: string;
  readonly account: string;
  readonly epoch: number;
}

export interface Use {
  readonly tenant: string;
  readonly run: string;
  readonly user: string | null;
  readonly workflow: string;
  readonly reference: ConnectionReference;
  readonly pinned: Json;
  readonly stepTimeoutMs: number;
  /** Of the need: what tells the grant that a service refused to this step. */
  readonly refused?: number;
}

export interface UseDeps {
  readonly serverKey: () => Promise<CryptoKey>;
  /** From a cache; null: there is none, or it was deleted. */
  readonly integration: (tenant: string, name: string) => Promise<Integration | null>;
  readonly ofOwner: (
    tenant: string,
    integration: string,
    user: string | null,
  ) => Promise<readonly ListedConnection[]>;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Found {
  readonly slot: Slot;
  readonly id: string;
  readonly epoch?: number;
  /** The integration's, as it is known here. */
  readonly workflows?: readonly string[];
}

type Refusal = Extract<LeaseAnswer, { kind: "cannot" }>;

/** Where a run pins which connection a reference means. */
export function nameOf({ connection, account }: ConnectionReference): string {
  return account === undefined ? connection : `${connection}/${account}`;
}

export function createUse(deps: UseDeps): (use: Use) => Promise<LeaseAnswer> {
  return async (use) => {
    const found = await find(use);
    if ("kind" in found) return found;
    const { slot, id, epoch, workflows } = found;
    const { reference, run, workflow, stepTimeoutMs, refused } = use;
    const ask: Ask = {
      ...{ slot, id, run, workflow, stepTimeoutMs },
      ...(reference.scopes === undefined ? {} : { scopes: reference.scopes }),
      ...(epoch === undefined ? {} : { epoch }),
      ...(refused === undefined ? {} : { refused }),
      ...(workflows === undefined ? {} : { workflows }),
    };
    return answered(ask, reference, await deps.object(slot.tenant, id).acquire(ask));
  };

  /** U1, U2. */
  async function find(use: Use): Promise<Found | Refusal> {
    const { tenant, reference, pinned, user } = use;
    const integration = reference.connection;
    const kept = readPinned(pinned);
    if (kept !== null) {
      const { connection, account, epoch } = kept;
      const owner: Owner = kept.owner === "tenant" ? { kind: "tenant" } : { kind: "user", user: user ?? "" };
      const slot: Slot = { tenant, integration, owner, account };
      // A pin that is not of this run's user would be a fault of ours, and gives nothing.
      return ownerText(owner) === kept.owner ? { slot, id: connection, epoch } : unknown(integration);
    }
    const known = await deps.integration(tenant, integration);
    if (known === null) return unknown(integration);
    if (known.owner === "user" && user === null) return noUser(integration);
    const owner: Owner =
      known.owner === "tenant" || user === null ? { kind: "tenant" } : { kind: "user", user };
    const account = reference.account ?? (await onlyAccount(tenant, integration, owner));
    if (typeof account === "object") return account;
    const slot: Slot = { tenant, integration, owner, account };
    const { workflows } = known.settings;
    return { slot, id: await idOf(slot), ...(workflows === undefined ? {} : { workflows }) };
  }

  async function onlyAccount(tenant: string, integration: string, owner: Owner): Promise<string | Refusal> {
    const user = owner.kind === "user" ? owner.user : null;
    const listed = await deps.ofOwner(tenant, integration, user);
    const active = listed.filter(({ status }) => status === "active");
    const [first, second] = active.length > 0 ? active : listed;
    if (second === undefined) return first?.account ?? DEFAULT_ACCOUNT;
    const accounts = (active.length > 0 ? active : listed).map(({ account }) => account);
    return {
      kind: "cannot",
      code: "connection_ambiguous",
      message: `There are several connections of ${integration}: ${accounts.join(", ")}.`,
      hint: "Name one of them: `auth: { connection, account }`.",
    };
  }

  async function idOf(slot: Slot): Promise<string> {
    return connectionIdOf(await deps.serverKey(), { ...slot, owner: ownerText(slot.owner) });
  }

  function answered(ask: Ask, reference: ConnectionReference, answer: AcquireAnswer): LeaseAnswer {
    switch (answer.kind) {
      case "token": {
        const { account, owner } = ask.slot;
        const to = { connection: ask.id, owner: ownerText(owner), account, epoch: answer.epoch };
        return {
          kind: "ready",
          lease: leaseOf(ask, reference, answer),
          bound: { name: nameOf(reference), to },
        };
      }
      case "needs":
        return { kind: "needs", need: needOf(ask, reference, answer) };
      case "refused":
        return {
          kind: "cannot",
          code: "connection_refused",
          message: answer.message,
          hint: "Let the tenant add the workflow to the connection, or use another connection.",
        };
    }
  }

  function leaseOf(ask: Ask, reference: ConnectionReference, token: TokenAnswer): Lease {
    // Fixed and checked when the integration was made, and kept by the object since.
    const provider = token.provider as Bound;
    const { slot, id } = ask;
    const object = deps.object(slot.tenant, id);
    const { version, consent, extra } = token;
    return {
      about: { connection: id, integration: slot.integration, account: slot.account, version },
      headers: lowerCase(presented(provider, token.accessToken)),
      defaults: lowerCase(provider.apiHeaders ?? {}),
      secrets: secretsOf(provider, token.accessToken),
      keepHeaders: keptHeaders(provider),
      refusalFor: (url) => {
        const judged = mayReceive(provider, extra, url);
        return judged.ok ? null : judged.error.message;
      },
      read: (answer) => readApiAnswer(provider, answer, { now: deps.now() }),
      renew: async () => answered(ask, reference, await object.renew(ask, version)),
      limited: async (waitMs) =>
        object.report(slot.tenant, {
          kind: "rate_limited",
          until: waitMs === undefined ? 0 : deps.now() + waitMs,
        }),
      dead: async () => object.report(slot.tenant, { kind: "token_dead", version }),
      need: (reason, scopes) =>
        needOf(
          ask,
          reference,
          { kind: "needs", reason, version: consent, ...(scopes === undefined ? {} : { scopes }) },
          true,
        ),
    };
  }
}

function needOf(ask: Ask, reference: ConnectionReference, answer: NeedAnswer, refused = false): Need {
  const { reason, scopes, retryAfterMs, detail, version } = answer;
  const passing = reason === "unavailable" || reason === "rate_limited" || reason === "misconfigured";
  return {
    kind: "connection",
    integration: reference.connection,
    ...(reference.account === undefined ? {} : { account: reference.account }),
    connection: ask.id,
    reason,
    ...(scopes === undefined ? {} : { scopes }),
    limitMs: passing ? passingLimitMs(reason, retryAfterMs) : PERSON_LIMIT_MS,
    recheckMs: refused ? REFUSED_RECHECK_MS : recheckOf(reason, retryAfterMs),
    ...(refused ? { refused: true as const, ...(version === null ? {} : { version }) } : {}),
    ...(detail === undefined ? {} : { detail }),
  };
}

/** Who was told when to come again waits until then. */
function passingLimitMs(reason: NeedAnswer["reason"], retryAfterMs = 0): number {
  if (reason !== "rate_limited") return PASSING_LIMIT_MS;
  return Math.min(TOLD_LIMIT_MS, Math.max(PASSING_LIMIT_MS, retryAfterMs + TOLD_MARGIN_MS));
}

function recheckOf(reason: NeedAnswer["reason"], retryAfterMs: number | undefined): number {
  switch (reason) {
    case "unavailable":
    case "rate_limited":
      return Math.max(PASSING_RECHECK_MS, retryAfterMs ?? 0);
    case "misconfigured":
      return MISCONFIGURED_RECHECK_MS;
    default:
      return PERSON_RECHECK_MS;
  }
}

function readPinned(pinned: Json): Pinned | null {
  // Written by `answered`, or by whoever let a run go on with another account.
  return typeof pinned === "object" && pinned !== null && "connection" in pinned
    ? (pinned as unknown as Pinned)
    : null;
}

/** The headers that the descriptor's rules name, beside those that count everywhere. */
function keptHeaders(provider: Bound): readonly string[] {
  const rules = provider.apiErrors ?? [];
  const named = rules.flatMap(({ headers, until }) => [
    ...Object.keys(headers ?? {}),
    ...(until === undefined ? [] : [until.header]),
  ]);
  return [...new Set(["content-type", "www-authenticate", "retry-after", "date", ...named])];
}

function lowerCase(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function unknown(integration: string): Refusal {
  return {
    kind: "cannot",
    code: "connection_unknown",
    message: `There is no integration named "${integration}".`,
    hint: "Correct the step's `auth`, or make the integration with `POST /v1/integrations`.",
  };
}

function noUser(integration: string): Refusal {
  return {
    kind: "cannot",
    code: "connection_refused",
    message: `Connections of ${integration} belong to end users, and the run acts for none.`,
    hint: "Start the run with a `user`, or with a key that is bound to one.",
  };
}
