/** The credential of a cloud role itself, as a function is given it for a library of the service. */

import type { Lease } from "../platform/index.ts";

/** As AWS's own libraries take them. Every value but the time is taken out of whatever the step gives back. */
export interface AwsCredentials {
  readonly kind: "aws";
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** A token that is sent as it is, mostly behind `Bearer`. */
export interface BearerCredentials {
  readonly kind: "bearer";
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export type HeldCredentials = AwsCredentials | BearerCredentials;

/** Null: it is not one that can be held. */
export function heldBy({ raw, expiresAt }: Pick<Lease, "raw" | "expiresAt">): HeldCredentials | null {
  if (raw === undefined || expiresAt === undefined) return null;
  const { accessKeyId, secretAccessKey, sessionToken, token } = raw;
  if (accessKeyId !== undefined && secretAccessKey !== undefined && sessionToken !== undefined)
    return { kind: "aws", accessKeyId, secretAccessKey, sessionToken, expiresAt };
  return token === undefined ? null : { kind: "bearer", token, expiresAt };
}
