/** The schema of a descriptor. For tests only: the deployed bundle checks no data that cannot change after a build. */
import * as z from "zod";
import type { ConsentProvider } from "../../src/connections/providers/index.ts";

const pointer = z.string().regex(/^(?:\/(?:[^~/]|~[01])+)*$/, "a JSON Pointer");
const texts = z.record(z.string().min(1), z.string());
/** `{part}`, `{client_id}` and `{token}` may stand in it. */
const url = z
  .string()
  .regex(/^https:\/\/[a-z0-9.{}-]+\/[^\s#?]*$/, "an https URL without query and fragment");
const host = z.string().regex(/^(?:\{[a-z]+\}|[a-z0-9-]+)(?:\.[a-z0-9-]+)*$/, "an exact host name");
const header = z.string().regex(/^[a-z0-9-]+$/, "a header's name in lower case");
const ms = z.int().positive();

const pattern = z.string().refine((text) => {
  new RegExp(text);
  return text.startsWith("^") && text.endsWith("$");
}, "an anchored regular expression");

const bodyMatch = z.record(pointer, z.union([z.string(), z.array(z.string()).min(1)]));
const meaning = z.enum([
  "token_refused",
  "token_dead",
  "scope_missing",
  "rate_limited",
  "refused",
  "misconfigured",
  "passing",
]);
const status = z.int().min(200).max(599);
const errorRule = z
  .strictObject({
    is: meaning,
    status: z.union([status, z.array(status).min(1)]).exactOptional(),
    hosts: z.array(z.string()).min(1).exactOptional(),
    body: bodyMatch.exactOptional(),
    headers: z.record(header, z.string()).exactOptional(),
    scopesAt: z.array(pointer).min(1).exactOptional(),
    until: z.strictObject({ header, unit: z.enum(["epoch_s", "epoch_ms", "s"]) }).exactOptional(),
  })
  .refine(
    ({ status: at, body, headers }) => (at ?? body ?? headers) !== undefined,
    "a rule that says nothing fits everything",
  )
  .refine(
    ({ is, status: at, body }) => is !== "token_dead" || body !== undefined || at === undefined,
    "a status alone kills no connection",
  );

const pointers = z.array(pointer).min(1);
const identity = z.discriminatedUnion("from", [
  z.strictObject({
    from: z.literal("endpoint"),
    method: z.enum(["GET", "POST"]),
    url,
    json: z.string().exactOptional(),
    id: pointers,
    label: pointers,
  }),
  z.strictObject({ from: z.literal("id_token"), issuer: z.string(), id: pointers, label: pointers }),
  z.strictObject({ from: z.literal("answer"), id: pointers, label: pointers }),
  z.strictObject({
    from: z.enum(["redirect", "part"]),
    id: z.array(z.string()).min(1),
    label: z.array(z.string()).min(1),
  }),
]);

export const descriptorSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
  displayName: z.string().min(1).max(64),
  docs: z.url({ protocol: /^https$/ }),
  kind: z.literal("oauth2"),
  parts: z
    .record(
      z.string().regex(/^[a-z_]+$/),
      z.strictObject({ pattern, example: z.string(), default: z.string().exactOptional() }),
    )
    .exactOptional(),
  authorizeUrl: url,
  tokenUrl: url,
  refreshUrl: url.exactOptional(),
  clientAuth: z.array(z.enum(["basic", "basic_raw", "post", "private_key_jwt", "none"])).min(1),
  tokenFormat: z.enum(["form", "json"]).exactOptional(),
  pkce: z.enum(["S256", "required", "off"]),
  authorizeParams: texts.exactOptional(),
  tokenParams: texts.exactOptional(),
  refreshParams: texts.exactOptional(),
  scopes: z
    .strictObject({
      separator: z.enum([" ", ","]).exactOptional(),
      default: z.array(z.string().regex(/^[^\s,]+$/)).exactOptional(),
      identity: z.array(z.string().regex(/^[^\s,]+$/)).exactOptional(),
      param: z.string().exactOptional(),
      none: z.boolean().exactOptional(),
      comparable: z.boolean().exactOptional(),
    })
    .exactOptional(),
  answer: z
    .strictObject({
      pairs: z
        .array(z.strictObject({ at: pointer, if: bodyMatch.exactOptional() }))
        .min(1)
        .exactOptional(),
      expiresInUnit: z.enum(["s", "ms"]).exactOptional(),
      refreshExpiresIn: pointer.exactOptional(),
      hardExpiresIn: pointer.exactOptional(),
      extra: z.record(z.string(), pointer).exactOptional(),
    })
    .exactOptional(),
  refresh: z
    .strictObject({
      kind: z.enum(["none", "static", "rotating"]),
      optional: z.boolean().exactOptional(),
      reuseLeewayMs: ms.exactOptional(),
      idleLimitMs: ms.exactOptional(),
      absoluteLimitMs: ms.exactOptional(),
    })
    .refine(
      ({ kind, reuseLeewayMs }) => kind === "rotating" || reuseLeewayMs === undefined,
      "only what rotates has leeway",
    )
    .refine(
      ({ idleLimitMs = 0, absoluteLimitMs = Infinity }) => idleLimitMs < absoluteLimitMs,
      "idle is shorter than absolute",
    ),
  revoke: z
    .strictObject({
      method: z.enum(["POST", "DELETE"]),
      url,
      tokens: z.array(z.enum(["refresh", "access"])).min(1),
      how: z.enum(["form", "json", "path", "bearer"]),
      field: z.string().exactOptional(),
      auth: z.enum(["client", "basic", "none"]),
      kills: z.enum(["token", "grant", "account"]),
    })
    .refine(({ how, url: at }) => (how === "path") === at.includes("{token}"), "{token} belongs to the path")
    .exactOptional(),
  identity: identity.exactOptional(),
  resources: z.strictObject({ url, id: pointer, label: pointer }).exactOptional(),
  redirectValues: z
    .array(z.strictObject({ name: z.string(), pattern, required: z.boolean() }))
    .exactOptional(),
  issuer: z.string().exactOptional(),
  issRequired: z.boolean().exactOptional(),
  callbackCheck: z.literal("shopify_hmac").exactOptional(),
  hosts: z.array(host),
  hostFrom: z
    .strictObject({ extra: z.string(), suffixes: z.array(z.string().regex(/^\.[a-z0-9-]+\.[a-z]+$/)).min(1) })
    .exactOptional(),
  denied: z
    .array(z.string().regex(/^(?:\*|[a-z0-9.{}-]+)\/[^A-Z%\\]*$/, "host/path in lower case"))
    .exactOptional(),
  present: z.strictObject({ header, scheme: z.string() }).exactOptional(),
  apiHeaders: z.record(header, z.string()).exactOptional(),
  tokenErrors: z.array(errorRule).exactOptional(),
  apiErrors: z.array(errorRule).exactOptional(),
  unverified: z.array(pointer).exactOptional(),
});

/** The schema and the type say the same, or this does not compile. */
export const typeFits = (value: z.infer<typeof descriptorSchema>): ConsentProvider => value;
