/** The issuer, as the rest of the house sees it: what verifiers read, what administrators do, what the cron trigger does. */
import {
  type AuditSink,
  err,
  isPublicName,
  type Logger,
  ok,
  type Result,
  inTime,
} from "../platform/index.ts";
import type { SealedRecords, Vault } from "../vault/index.ts";
import { createLook, discoveryDocument, jwksDocument, jwksUrl, type Look } from "./issuer-documents.ts";
import { signingKeyRecords, takeIssuers } from "./issuer-mirror.ts";
import type { IssuerRefusal, IssuerRpc, Published, PublishedAnswer } from "./issuer-rpc.ts";
import { createMinter, type Minter } from "./minter.ts";
import { goesAt, type SigningKey, signsFrom } from "./signing-keys.ts";
import { issuerUrl } from "./token.ts";

export interface IssuerDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  /** A fresh stub each time. */
  readonly object: (tenant: string) => IssuerRpc;
  /** By `parseIssuerOrigin`. */
  readonly origin: string;
  /** By `parseEnvironment`. */
  readonly environment: string;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A key as administrators see it. Times are milliseconds since 1970. */
export interface IssuerKey extends Omit<SigningKey, "n" | "e" | "aheadMs"> {
  /** Null: it is not published yet, or has signed. */
  readonly signsFrom: number | null;
  /** When it is published no more; null: that is not known yet. */
  readonly goesAt: number | null;
}

type Keys = readonly IssuerKey[];

export interface Issuer {
  /** Host name that verifiers ask, and nobody else. */
  readonly host: string;
  readonly minter: Minter;
  readonly records: readonly SealedRecords[];
  urlOf(tenant: string): string;
  jwksUrlOf(tenant: string): string;
  /** The document; null: there is no such issuer. Within 5 seconds. */
  discovery(tenant: string): ReturnType<Documents>;
  jwks(tenant: string): ReturnType<Documents>;
  /** As the object itself says; none: no key was ever made. */
  keys(tenant: string): Promise<Keys>;
  /** The tenant, which must exist, has a key that signs and is published. */
  ensure(tenant: string): Promise<Result<Keys, IssuerRefusal>>;
  rotate(tenant: string, by: string): Promise<Result<Keys, IssuerRefusal>>;
  revoke(tenant: string, kid: string, by: string): Promise<Result<Keys, IssuerRefusal>>;
  /** Asks objects that were silent for long, with at most `calls` outside calls. Never throws. */
  sweep(calls: number): Promise<void>;
}

type Documents = (tenant: string) => Promise<Result<Readonly<Record<string, unknown>> | null, "unavailable">>;

/** An alarm does what is due; this is for one that was lost. */
const SILENT_MS = 6 * 60 * 60_000;
const MAX_POKED = 100;
const POKE_PATIENCE_MS = 10_000;

export function createIssuer(deps: IssuerDeps): Issuer {
  const { db, object, origin, log, now } = deps;
  const look = createLook(deps);
  return {
    host: new URL(origin).hostname,
    minter: createMinter({
      ...{ issuerOf: object, issuerOrigin: origin, environment: deps.environment, now },
      randomJti: () => crypto.randomUUID(),
    }),
    records: [signingKeyRecords(db, object)],
    urlOf: (tenant) => issuerUrl(origin, tenant),
    jwksUrlOf: (tenant) => jwksUrl(origin, tenant),
    discovery: (tenant) => made(look, tenant, () => discoveryDocument(origin, tenant)),
    jwks: (tenant) => made(look, tenant, jwksDocument),
    keys: async (tenant) => viewOf((await object(tenant).published(tenant))?.keys ?? []),
    ensure: async (tenant) => resultOf(await object(tenant).ensure(tenant)),
    async rotate(tenant, by) {
      await audit(tenant, by, "issuer.rotate", "");
      return resultOf(await object(tenant).rotate(tenant));
    },
    async revoke(tenant, kid, by) {
      const known = await object(tenant).published(tenant);
      if (known === null || known.keys.every((key) => key.kid !== kid))
        return err({ ok: false, code: "not_found", message: "There is no such signing key." });
      await audit(tenant, by, "issuer.key.revoke", kid);
      return resultOf(await object(tenant).revoke(tenant, kid));
    },
    async sweep(calls) {
      // One call finds those that are due.
      const limit = Math.min(calls - 1, MAX_POKED);
      if (limit <= 0) return;
      try {
        const at = now();
        const tenants = await takeIssuers(db, { before: at - SILENT_MS, now: at, limit });
        const poked = await Promise.allSettled(
          tenants.map(async (tenant) => inTime(async () => object(tenant).poke(tenant), POKE_PATIENCE_MS)),
        );
        const failed = poked.filter(({ status }) => status === "rejected").length;
        if (failed > 0) log.warn("issuer.not_asked", { failed });
      } catch (error) {
        log.error("issuer.not_swept", { error });
      }
    },
  };

  async function audit(tenant: string, actor: string, action: string, target: string): Promise<void> {
    await deps.audit.write({ at: now(), tenant, actor, action, target, outcome: "granted", detail: {} });
  }
}

async function made(
  look: Look,
  tenant: string,
  document: (published: Published) => Readonly<Record<string, unknown>>,
): ReturnType<Documents> {
  const seen = await look(tenant);
  return seen.ok ? ok(seen.value === null ? null : document(seen.value)) : seen;
}

function resultOf(answer: PublishedAnswer): Result<Keys, IssuerRefusal> {
  return answer.ok ? ok(viewOf(answer.published.keys)) : err(answer);
}

function viewOf(keys: readonly SigningKey[]): Keys {
  return keys.map((key) => {
    const { kid, number, state, madeAt, publishedAt, activeAt, retiredAt } = key;
    const times = { madeAt, publishedAt, activeAt, retiredAt };
    return { kid, number, state, ...times, signsFrom: signsFrom(key), goesAt: goesAt(key) };
  });
}

/**
 * Reads ISSUER_ORIGIN. Null: this deployment has no issuer. Throws a TypeError for what is not the origin of an https address
 * without a port: it stands in policies that others hold, so a wrong one must not get there.
 */
export function parseIssuerOrigin(variable: string | undefined): string | null {
  if (variable === undefined || variable === "") return null;
  const url = URL.parse(variable);
  const isOrigin = url !== null && url.protocol === "https:" && url.origin === variable && url.port === "";
  if (!isOrigin || !isPublicName(url.hostname))
    throw new TypeError("ISSUER_ORIGIN must be an https origin without a port, like https://id.example.com.");
  return variable;
}

/** Reads ENVIRONMENT: a claim of every identity token. Throws a TypeError for what is no name. */
export function parseEnvironment(variable: string | undefined): string {
  if (variable === undefined || variable === "") return "production";
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(variable))
    throw new TypeError("ENVIRONMENT must have 1 to 64 letters, digits, `_`, `.` and `-`.");
  return variable;
}
