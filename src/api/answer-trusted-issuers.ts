/** Issuers whose tokens a tenant takes, and what becomes of a token. */
import * as z from "zod";
import { count, named, nullable, time } from "./schema.ts";

const viewFields = () => ({
  ...{ name: z.string(), id: z.string(), issuer: z.string(), jwks_url: nullable(z.string()) },
  max_age_s: count(),
  audience: z.string().describe("The only `aud` that its tokens may have."),
  rules: z.array(
    z.strictObject({
      ...{ subject: z.string(), claims: z.record(z.string(), z.string()), scopes: z.array(z.string()) },
      user: nullable(z.union([z.string(), z.strictObject({ claim: z.string() })])),
      policy: nullable(z.record(z.string(), z.unknown())),
    }),
  ),
  ...{ version: count(), created_at: time(), created_by: z.string(), updated_at: time() },
  until: nullable(time()).describe(
    "From then on none of its tokens is taken: the key that last said what is trusted ends then, or has ended.",
  ),
});

export const TrustedIssuerView = named("TrustedIssuer", () => z.strictObject(viewFields()));
export const TrustedIssuerWithCallers = named("TrustedIssuerWithCallers", () =>
  z.strictObject({
    ...viewFields(),
    callers: z
      .array(
        z.strictObject({
          ...{ id: z.string(), subject: z.string() },
          ...{ first_at: time(), last_at: time() },
        }),
      )
      .describe("Who came with a token of it last, and under which id the audit knows them."),
  }),
);
export const TrustedIssuerList = named("TrustedIssuerList", () =>
  z.strictObject({ data: z.array(TrustedIssuerView.schema()) }),
);
export const DistrustedIssuer = named("DistrustedIssuer", () =>
  z.strictObject({ name: z.string(), effective_by: time() }),
);
export const TokenTrial = named("TokenTrial", () =>
  z.strictObject({
    taken: z.boolean(),
    reason: nullable(z.string()),
    detail: nullable(z.string()),
    caller: nullable(
      z.strictObject({
        ...{ id: z.string(), issuer: z.string(), subject: z.string() },
        ...{ scopes: z.array(z.string()), user: nullable(z.string()), expires_at: nullable(time()) },
      }),
    ),
  }),
);
