/** Between the hooks of the triggers room and those of the API. Pure. */
import type { Json } from "../kernel/index.ts";
import type { DeliveryEntry, Hook, HookDraft, SchemeSettings, SecretView } from "../triggers/index.ts";
import { MAX_BODY_BYTES } from "./body.ts";
import type { PutHook } from "./request-hooks.ts";
import type { BodyOf } from "./schema.ts";

type Body = BodyOf<typeof PutHook>;
type Scheme = Body["scheme"];
type Shown = Readonly<Record<string, unknown>>;

export function draftOf(body: Body, user: string | null): HookDraft {
  const { workflow = null, revokes = null, paused = false, rate, filter = null, headers = [] } = body;
  return {
    ...{ workflow, revokes, user, paused, filter, headers },
    scheme: settingsOf(body.scheme),
    maxBodyBytes: body.max_body_bytes ?? MAX_BODY_BYTES,
    rate: rate === undefined ? null : { perMinute: rate.per_minute, burst: rate.burst },
    input: body.input,
  };
}

function settingsOf(scheme: Scheme): SchemeSettings {
  switch (scheme.type) {
    case "hmac": {
      const { hash, header, prefix = "", encoding, signed, time, id = null, event = null } = scheme;
      const secretEncoding = scheme.secret_encoding ?? "text";
      return {
        scheme: "hmac",
        ...{ hash, header, prefix, encoding, signed, secretEncoding, id, event },
        time: time === undefined ? null : timeOf(time),
      };
    }
    case "basic":
      return { scheme: "basic", id: scheme.id ?? null, event: scheme.event ?? null };
    case "api_key": {
      const { header, prefix = "", id = null, event = null } = scheme;
      return { scheme: "api_key", header, prefix, id, event };
    }
    case "standard":
    case "github":
    case "stripe":
    case "slack":
    case "shopify":
      return { scheme: scheme.type };
  }
}

function timeOf(time: NonNullable<Extract<Scheme, { type: "hmac" }>["time"]>) {
  const { unit, tolerance_s: toleranceS } = time;
  return "header" in time
    ? { header: time.header, unit, toleranceS }
    : { pointer: time.pointer, unit, toleranceS };
}

/** A pointer into a draft, as one into the body; what a tenant named itself stays as it is. */
export function pointerOf(pointer: string): string {
  if (pointer.startsWith("/input")) return pointer;
  return pointer === "/scheme/scheme"
    ? "/scheme/type"
    : pointer.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function viewScheme({ scheme, ...settings }: SchemeSettings): Shown {
  return { type: scheme, ...snake(settings) };
}

function snake(settings: object): Shown {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]: [string, unknown]) => [
      pointerOf(name),
      typeof value === "object" && value !== null ? snake(value) : value,
    ]),
  );
}

export function viewHook(hook: Hook, origin: string): Shown {
  const { name, id, tenant, workflow, revokes, user, paused, rate, filter, input, headers, version } = hook;
  return {
    ...{ name, id, url: `${origin}/hooks/${tenant}/${name}`, workflow, revokes, user },
    ...{ scheme: viewScheme(hook.scheme), paused, paused_reason: hook.pausedReason },
    max_body_bytes: hook.maxBodyBytes,
    rate: rate === null ? null : { per_minute: rate.perMinute, burst: rate.burst },
    filter,
    ...(input === undefined ? {} : { input }),
    ...{ headers, version, answers: hook.maker.actor },
    ...{ created_at: hook.createdAt, created_by: hook.createdBy, updated_at: hook.updatedAt },
  };
}

export function viewSecret({ id, madeAt, until }: SecretView): Shown {
  return { id, made_at: madeAt, until };
}

export function viewDelivery(id: string | null, entry: DeliveryEntry): Shown {
  const { at, outcome, code, detail, bytes, delivery, event, signedAt, secret, run } = entry;
  return {
    ...{ id, at, outcome, code, detail, bytes, delivery, event, signed_at: signedAt, secret, run },
    ...{ by: entry.by ?? null, again: entry.again ?? null, revoked: entry.revoked ?? 0 },
  };
}

/** The input of the run, where there is one. */
export function inputOf(judged: { readonly outcome: string; readonly input?: Json }): Shown {
  return judged.input === undefined ? {} : { input: judged.input };
}
