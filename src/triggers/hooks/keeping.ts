/**
 * What is kept of a delivery so that a person can have it delivered again: its body and the headers that the hook names, never one
 * that proves who sends. Sealed for its own place by the vault, before it leaves the isolate.
 */
import { err, ok, type Result } from "../../platform/index.ts";
import type { Place, Vault } from "../../vault/index.ts";
import type { HookRules } from "../judging.ts";
import { bytesOf } from "../schemes/mac.ts";
import type { Arrival } from "../schemes/scheme.ts";
import { maySee, readPayload } from "../schemes/values.ts";
import type { Genuine } from "../schemes/verify.ts";

/** The vault seals no more. */
const MAX_KEPT_CHARS = 1_000_000;

/** PERSISTED CONTRACT: members are only ever added. */
interface Kept {
  readonly v: 1;
  /** When it came, milliseconds since 1970. */
  readonly at: number;
  readonly about: Pick<Genuine, "secret" | "id" | "event" | "signedAt">;
  /** Of its run; of a delivery of which none came, the one that a run of it would have had. */
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Reopened {
  readonly at: number;
  readonly key: string;
  readonly arrival: Arrival;
  readonly genuine: Genuine;
}

/** PERSISTED CONTRACT: places are part of what is sealed. */
function placeOf(tenant: string, hook: string, delivery: string): Place {
  return { purpose: "hook", tenant, record: hook, field: `body:${delivery}`, version: 1 };
}

export interface Where {
  readonly tenant: string;
  readonly hook: string;
  /** Id of the line. */
  readonly delivery: string;
}

/** Null: it is too large to be kept. */
export async function sealKept(
  vault: Vault,
  { tenant, hook, delivery }: Where,
  rules: Pick<HookRules, "scheme" | "headers">,
  came: { readonly at: number; readonly arrival: Arrival; readonly genuine: Genuine; readonly key: string },
): Promise<string | null> {
  const { arrival, genuine, key, at } = came;
  const names = ["content-type", ...rules.headers.filter((name) => maySee(rules.scheme, name))];
  const headers = names.flatMap((name) => {
    const value = arrival.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  const { secret, id, event, signedAt } = genuine;
  const kept: Kept = {
    ...{ v: 1, at, about: { secret, id, event, signedAt }, key, headers: Object.fromEntries(headers) },
    body: new TextDecoder().decode(arrival.body),
  };
  const text = JSON.stringify(kept);
  return bytesOf(text).byteLength > MAX_KEPT_CHARS ? null : vault.seal(placeOf(tenant, hook, delivery), text);
}

/** An error: the key that it was sealed under is gone, or it is not what was kept there. */
export async function openKept(
  vault: Vault,
  { tenant, hook, delivery }: Where,
  sealed: string,
): Promise<Result<Reopened, string>> {
  const opened = await vault.open(placeOf(tenant, hook, delivery), sealed);
  if (!opened.ok) return err(opened.error.code);
  // It was written by this file.
  const { at, about, key, headers, body } = JSON.parse(opened.value) as Kept;
  const arrival = { headers: new Headers(headers), body: bytesOf(body) };
  const payload = readPayload(arrival);
  if (!payload.ok) return err(payload.error);
  return ok({ at, key, arrival, genuine: { ...about, key, payload: payload.value, handshake: null } });
}
