/** The parameters of an `http` step. Published as JSON Schema, so descriptions speak to those who write plans. */

import * as z from "zod";
import { NAME_PATTERN, type Json } from "../kernel/index.ts";
import { checkUrl, redactShapes } from "../platform/index.ts";
import { isThere } from "./issues.ts";
import { lazy } from "./lazy.ts";

export const METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"] as const;
export type Method = (typeof METHODS)[number];
/** Those that change nothing (RFC 9110, section 9.2.1). */
export const READING_METHODS: readonly Method[] = ["GET", "HEAD", "OPTIONS"];

/** Which part of an answer's body is kept. `auto`: JSON where the content type says so, else text. */
export const BODY_FORMS = ["auto", "json", "text", "none"] as const;
export type BodyForm = (typeof BODY_FORMS)[number];

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
/** Headers that carry credentials, under any of their usual names. */
const CREDENTIAL_HEADER = /(?:authorization|cookie|token|secret|passw(?:or)?d|api-?key|credentials?)$/i;
/** Set by us, from the body. */
const FRAMING_HEADER = /^(?:host|content-length|transfer-encoding|connection|traceparent)$/i;
/** Would make a service take the request for another than the one that is judged. */
const OVERRIDE_HEADER = /^x-(?:http-method(?:-override)?|method-override|original-url|rewrite-url)$/i;
const MAX_HEADERS = 64;
/** Values of one query parameter. */
const MAX_VALUES = 1_000;
const MAX_HEADER_CHARS = 8_192;
const MAX_URL_CHARS = 8_192;

/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
const MAX_SCOPES = 64;
/** The name of a service token of this deployment. */
const REFERENCE = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** Marks an issue with one of our own codes, for the report of a definition. */
function coded(code: string): { params: { code: string } } {
  return { params: { code } };
}

export function isCredentialHeader(name: string): boolean {
  return CREDENTIAL_HEADER.test(name.trim()) && !/^idempotency-key$/i.test(name.trim());
}

const headerName = () => z.string().regex(TOKEN, "This is not a name that an HTTP header can have.");

const headers = () =>
  z
    .record(headerName(), z.string().max(MAX_HEADER_CHARS))
    .superRefine((given, ctx) => {
      const names = Object.keys(given);
      if (names.length > MAX_HEADERS)
        ctx.addIssue({ code: "custom", message: `At most ${MAX_HEADERS} headers can be given.` });
      for (const [name, value] of Object.entries(given)) {
        if (isCredentialHeader(name) || redactShapes(value) !== value)
          ctx.addIssue({
            code: "custom",
            path: [name],
            message: `The header ${name} holds a credential. Name one with \`auth\`; its value stays out of the step.`,
            ...coded("secret_in_plan"),
          });
        else if (OVERRIDE_HEADER.test(name))
          ctx.addIssue({
            code: "custom",
            path: [name],
            message: `The header ${name} names another method or address than the step does: say it in \`method\` and \`url\`.`,
          });
        else if (FRAMING_HEADER.test(name))
          ctx.addIssue({ code: "custom", path: [name], message: `The header ${name} is set by the engine.` });
      }
    })
    .meta({ description: "Headers to send. Credentials are named with `auth` instead." });

const scalar = () => z.union([z.string(), z.number(), z.boolean(), z.null()]);
const query = () =>
  z.record(z.string(), z.union([scalar(), z.array(scalar()).max(MAX_VALUES)])).meta({
    description: "Added to the URL's query, encoded. A list gives one pair each; null is left out.",
  });

/** Pages that one step reads at most: far below the requests that one event of the platform may make. */
const MAX_PAGES = 100;

const pointer = () =>
  z
    .string()
    .regex(
      /^(?:\/[^/]*){0,16}$/,
      "Write a JSON Pointer into the body: /items, or an empty text for all of it.",
    );

const pages = () => ({
  items: pointer()
    .meta({ description: "JSON Pointer to the list in the body; the body itself if it is missing." })
    .optional(),
  max: z.int().min(1).max(MAX_PAGES).meta({ description: "Pages at most." }),
});

const paginate = () =>
  z
    .discriminatedUnion("by", [
      z.strictObject({ by: z.literal("link"), ...pages() }),
      z.strictObject({
        by: z.literal("cursor"),
        cursor: pointer().meta({ description: "JSON Pointer to what the next page is asked for with." }),
        param: z.string().min(1).max(128).meta({ description: "The query parameter that takes it." }),
        ...pages(),
      }),
    ])
    .meta({
      description:
        "Reads several pages, of `safe` GET steps: by the header `Link` with rel=next, or by a cursor in the body. The output's `body` is the list of all items, `more` says whether there would have been more.",
    });
export type Paginate = z.output<ReturnType<typeof paginate>>;

const auth = () =>
  z
    .union([
      z
        .strictObject({ bearer: z.string().regex(REFERENCE, "This is not the name of a service token.") })
        .meta({ description: "The name of a service token of this deployment." }),
      z
        .strictObject({
          connection: z
            .string()
            .regex(NAME_PATTERN, "This is not the name of an integration.")
            .meta({ description: "Name of the integration." }),
          account: z
            .string()
            .regex(NAME_PATTERN, "This is not the label of an account.")
            .meta({ description: "Which of several accounts; needed only where there are several." })
            .optional(),
          scopes: z
            .array(z.string().regex(SCOPE, "A scope has no spaces, quotes or control characters."))
            .min(1)
            .max(MAX_SCOPES)
            .meta({ description: "What the step needs of it. Missing: what the user has granted." })
            .optional(),
        })
        .meta({ description: "The connection of whom the run acts for. Missing, it parks the step." }),
      z
        .strictObject({
          cloud: z
            .string()
            .regex(NAME_PATTERN, "This is not the name of a cloud role.")
            .meta({ description: "Name of the cloud role." }),
        })
        .meta({
          description:
            "A cloud role of the tenant: what the step is given for its own identity. Plans sent with a run may use only roles that allow `inline`.",
        }),
    ])
    .meta({ description: "Credential by reference; its value never stands in a plan." });

/** Written one by one; a range is one. */
const MAX_STATUSES = 500;
const STATUS_RANGE = /^[1-5]\d\d-[1-5]\d\d$/;
const success = () =>
  z
    .array(
      z.union([
        z.int().min(100).max(599),
        z.string().regex(STATUS_RANGE, 'Write a range of statuses as "200-299".'),
      ]),
    )
    .min(1)
    .max(MAX_STATUSES)
    .meta({ description: 'Statuses that count as success: numbers, or ranges as "200-299" (the default).' });

const keep = () =>
  z
    .strictObject({
      headers: z
        .array(headerName())
        .max(MAX_HEADERS)
        .meta({ description: "Only these headers of the answer." })
        .optional(),
      body: z
        .enum(BODY_FORMS)
        .meta({ description: "`auto`: JSON where the content type says so, else text." })
        .optional(),
    })
    .meta({ description: "What of the answer becomes the step's output. The status always does." });

/** Scheme, host and the end of the authority, without anything that a URL parser would read in another way. */
const LITERAL_AUTHORITY = /^https?:\/\/[A-Za-z0-9._:-]+[/?#]/i;
/** An expression in a text; where it ends does not matter here. */
const EXPRESSION = "${{";

/** The expressions of a template stand in path and query only, so the host can be judged before anything is known. */
function literalUrl(url: string): string | null {
  const [before = ""] = url.split(EXPRESSION, 1);
  if (before === url) return url;
  return LITERAL_AUTHORITY.test(before) ? before : null;
}

/** @param template whether texts may still hold expressions */
function build(template: boolean) {
  return z
    .strictObject({
      method: z.enum(METHODS),
      url: z
        .string()
        .max(MAX_URL_CHARS)
        .superRefine((given, ctx) => {
          const url = template ? literalUrl(given) : given;
          if (url === null) {
            ctx.addIssue({
              code: "custom",
              message: "Scheme and host are written out: an expression can stand in path and query only.",
              ...coded("url_not_literal"),
            });
            return;
          }
          const checked = checkUrl(url, { ownHosts: [] });
          if (!checked.ok)
            ctx.addIssue({
              code: "custom",
              message: checked.error.message,
              ...coded(checked.error.code === "url_userinfo" ? "secret_in_plan" : "url_refused"),
            });
        })
        .meta({ description: "Absolute https URL of a public host." }),
      headers: headers().optional(),
      query: query().optional(),
      json: z.json().meta({ description: "Body, sent as application/json." }).optional(),
      form: z
        .record(z.string(), scalar())
        .meta({ description: "Body, sent as application/x-www-form-urlencoded." })
        .optional(),
      text: z.string().meta({ description: "Body, sent as it is." }).optional(),
      auth: auth().optional(),
      success: success().optional(),
      refused: z
        .array(z.literal(503))
        .max(1)
        .meta({ description: "[503]: this service answers 503 only where it did nothing." })
        .optional(),
      keep: keep().optional(),
      paginate: paginate().optional(),
      idempotencyHeader: headerName()
        .refine((name) => !CREDENTIAL_HEADER.test(name) || /^(?:x-)?idempotency-key$/i.test(name), {
          message: "A credential header cannot carry the idempotency key.",
        })
        .meta({ description: "Header for the key of a `keyed` step. Default: Idempotency-Key." })
        .optional(),
    })
    .superRefine(
      (given, ctx) => {
        const bodies = (["json", "form", "text"] as const).filter((name) => given[name] !== undefined);
        const [first, second] = bodies;
        const { method } = given;
        if (given.paginate !== undefined && method !== "GET" && METHODS.includes(method))
          ctx.addIssue({ code: "custom", path: ["paginate"], message: "Only GET reads pages." });
        if (second !== undefined)
          ctx.addIssue({ code: "custom", path: [second], message: "A request has one body." });
        if (first !== undefined && (method === "GET" || method === "HEAD"))
          ctx.addIssue({
            code: "custom",
            path: [first],
            message: `A ${method} request cannot carry a body; use \`query\`.`,
          });
      },
      { when: isThere },
    );
}

/** Built on first use: zod at module scope is paid for at every start. */
export const httpSchema = lazy(() => build(false));
/** The same, with expressions where they may stand. */
export const httpTemplateSchema = lazy(() => build(true));
export type HttpParameters = z.output<ReturnType<typeof build>>;

/** Parameters that were checked when they were filled in; what performs them mostly gets the very same object. */
const known = new WeakSet<object>();

/** To be told once parameters are checked: they must not be changed from then on. */
export function rememberChecked(parameters: HttpParameters): void {
  known.add(parameters);
}

export function checkHttp(
  given: Json,
):
  | { readonly ok: true; readonly parameters: HttpParameters }
  | { readonly ok: false; readonly error: z.ZodError } {
  // Of the type by which they were remembered.
  if (typeof given === "object" && given !== null && known.has(given))
    return { ok: true, parameters: given as unknown as HttpParameters };
  const parsed = httpSchema().safeParse(given);
  return parsed.success ? { ok: true, parameters: parsed.data } : { ok: false, error: parsed.error };
}
