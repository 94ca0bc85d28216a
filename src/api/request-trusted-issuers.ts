/** What is said of an issuer that a tenant trusts. What may be said is decided in the access room. */
import * as z from "zod";
import { MAX_RULES, MAX_SCOPES, policySchema } from "../access/index.ts";
import { named, nameSchema } from "./schema.ts";

const settings = () => ({
  issuer: z.string().max(2_048).describe("As `iss` says it, letter by letter: an https address."),
  jwks_url: z
    .string()
    .max(2_048)
    .exactOptional()
    .describe("Missing: its discovery document says where its keys are."),
  max_age_s: z
    .int()
    .exactOptional()
    .describe("A token that was issued longer ago is not taken; an hour if it is missing."),
  rules: z
    .array(
      z.strictObject({
        subject: z
          .string()
          .max(512)
          .describe(
            "Of `sub`: whole, or with `*` for one or more characters other than a colon, behind two whole parts as in `repo:acme/*`. `*` alone is anybody that fits `claims`.",
          ),
        claims: z
          .record(z.string().max(128), z.string().max(512))
          .exactOptional()
          .describe("What other claims must be, exactly."),
        scopes: z.array(z.string().max(64)).max(MAX_SCOPES),
        user: z
          .union([z.string().max(256), z.strictObject({ claim: z.string().max(128) })])
          .exactOptional()
          .describe("Whom the caller acts for, and nobody else: one user, or the one that a claim names."),
        policy: policySchema().exactOptional().describe("On top of those of the key that trusts the issuer."),
      }),
    )
    .max(MAX_RULES)
    .describe("The first one that fits a token counts."),
});

export const PutTrustedIssuer = named("PutTrustedIssuer", () => z.strictObject(settings()));
export const CreateTrustedIssuer = named("CreateTrustedIssuer", () =>
  z.strictObject({ name: nameSchema(), ...settings() }),
);
export const TestToken = named("TestToken", () =>
  z.strictObject({ token: z.string().max(12_288).describe("Kept nowhere.") }),
);
