/** A connection's lease as a test says it: what it is presented with, what it finds, what a renewal gives. */
import type { Lease } from "../../src/platform/index.ts";
import type { LeaseFinding } from "../../src/platform/index.ts";
import type { LeaseAnswer } from "../../src/platform/index.ts";

import { Lent } from "../../src/actions/index.ts";
import type { ConnectionNeed } from "../../src/kernel/index.ts";

export const OLD = "ya29.old-token-0123456789";
export const FRESH = "ya29.fresh-token-9876543210";
export const HOST = "www.googleapis.com";
export const GOOGLE = { connection: "google" } as const;

type Read = Lease["read"];

export interface Keeper {
  /** What was told, and how often another token was asked for. */
  readonly told: string[];
  readonly lease: Lease;
  readonly lent: Lent;
}

/** What a 401, a 403 and a 429 mean at most services. */
export const USUAL: Read = ({ status }) => {
  if (status === 401) return { is: "token_refused" };
  return status === 429 ? { is: "rate_limited", waitMs: 30_000 } : undefined;
};

/** The same finding of every answer. */
export function always(finding: LeaseFinding): Read {
  return () => finding;
}

export function needOf(reason: ConnectionNeed["reason"], more: Partial<ConnectionNeed> = {}): ConnectionNeed {
  const times = { limitMs: 86_400_000, recheckMs: 300_000 };
  return { kind: "connection", integration: "google", connection: "conn_1", reason, ...times, ...more };
}

export function keeper(read: Read = USUAL, renewal: "fresh" | "throws" | LeaseAnswer = "fresh"): Keeper {
  const told: string[] = [];
  const leaseOf = (token: string, version: number): Lease => ({
    about: { connection: "conn_1", integration: "google", account: "default", version },
    headers: { authorization: `Bearer ${token}` },
    defaults: { accept: "application/vnd.google+json", "x-api-version": "3" },
    secrets: [token],
    keepHeaders: ["x-quota"],
    refusalFor: (url) => {
      const { hostname, pathname } = new URL(url);
      return hostname === HOST && pathname !== "/token"
        ? null
        : `The token of Google is not sent to "${hostname}".`;
    },
    read,
    async renew() {
      told.push("renew");
      if (renewal === "throws") throw new Error("the object is away");
      return renewal === "fresh" ? ready(leaseOf(FRESH, version + 1)) : renewal;
    },
    async limited(waitMs) {
      told.push(`limited ${waitMs}`);
    },
    async dead() {
      told.push("dead");
      // Whoever keeps the connection may be away: that is no reason for the step to end otherwise.
      throw new Error("the object is away");
    },
    need: (reason, scopes) =>
      needOf(reason, { refused: true, version, ...(scopes === undefined ? {} : { scopes }) }),
  });
  const lease = leaseOf(OLD, 1);
  return { told, lease, lent: new Lent([[GOOGLE, lease]]) };
}

export function ready(lease: Lease): LeaseAnswer {
  return {
    kind: "ready",
    lease,
    bound: { name: "google", to: { connection: "conn_1", owner: "user:ada", account: "default", epoch: 1 } },
  };
}

/** What an object store takes from whoever writes invoices. */
export const STORE = "invoices.s3.eu-central-1.amazonaws.com";
export const WRITER = { cloud: "writer" } as const;
export const ROLE_SECRET = "wJalrXUtnFEMI/K7MDENG/secret-key-1";

/** The lease of an AWS role: each renewal has a key of its own, and every answer of 403 says that it has expired. */
export function roleLease(
  version = 1,
  renewal?: LeaseAnswer | Error,
): Lease & { readonly renewed: string[] } {
  const renewed: string[] = [];
  const key = `ASIA-${version}`;
  return {
    renewed,
    about: { role: "writer", provider: "aws", subject: "tenant:acme:code:bill", version },
    headers: {},
    defaults: {},
    secrets: [ROLE_SECRET, `session-token-of-${key}`],
    raw: { accessKeyId: key, secretAccessKey: ROLE_SECRET, sessionToken: `session-token-of-${key}` },
    expiresAt: 1_800_000_000_000,
    keepHeaders: ["x-amz-request-id"],
    sign: async ({ method, url, headers, body }) => ({
      authorization: `AWS4-HMAC-SHA256 ${key} ${method} ${url} ${Object.keys(headers).join(";")} ${sizeOf(body)}`,
      "x-amz-security-token": `session-token-of-${key}`,
    }),
    refusalFor: (url) =>
      new URL(url).hostname === STORE
        ? null
        : `The credential of writer is not sent to ${new URL(url).hostname}.`,
    read: ({ status, body }) =>
      status === 403 && body.includes("ExpiredToken") ? { is: "token_refused" } : undefined,
    async renew() {
      renewed.push(key);
      if (renewal instanceof Error) throw renewal;
      return renewal ?? roleReady(roleLease(version + 1));
    },
    async limited() {},
    async dead() {},
    need: () => null,
  };
}

export function roleReady(lease: Lease = roleLease()): LeaseAnswer {
  return { kind: "ready", lease, bound: { name: "cloud:writer", to: { role: "role_1" } } };
}

function sizeOf(body: Uint8Array | string | undefined): number {
  return body === undefined ? 0 : body.length;
}
