/** Cloud roles. No answer here holds a credential. */
import * as z from "zod";
import { count, named, nextCursor, time } from "./schema.ts";

const PROVIDERS = [
  "aws",
  "gcp",
  "azure",
  "token_exchange",
  "vault",
  "jwt",
  "anthropic",
  "openrouter",
] as const;

const roleFields = () => ({
  name: z.string(),
  id: z.string().describe("Another one if a role of this name is made again."),
  provider: z.enum(PROVIDERS),
  issuer: z
    .union([z.string(), z.null()])
    .describe("Who signs its tokens. Null: the deployment is an issuer no more."),
  audience: z.string(),
  subjects: z.array(z.string()).describe("Each `sub` that its tokens can have."),
  workflows: z.array(z.string()),
  inline: z.boolean(),
  hosts: z.array(
    z.strictObject({
      host: z.string(),
      service: z.string().exactOptional(),
      region: z.string().exactOptional(),
    }),
  ),
  per_run: z.boolean(),
  claims: z.record(z.string(), z.string()),
  version: count(),
  created_at: time(),
  created_by: z.string(),
  updated_at: time(),
});

/** The provider's own fields stand beside those of all roles, as they were given. */
export const CloudRoleView = named("CloudRole", () => z.looseObject(roleFields()));

export const ChangedCloudRole = named("ChangedCloudRole", () =>
  z.looseObject({
    ...roleFields(),
    advice: z.array(z.string()).describe("What is allowed, but perhaps not meant."),
  }),
);

export const CloudRoleList = named("CloudRoleList", () =>
  z.strictObject({ data: z.array(CloudRoleView.schema()), next_cursor: nextCursor() }),
);

export const TrustPolicy = named("TrustPolicy", () =>
  z.strictObject({
    issuer: z.string().describe("Compared letter by letter."),
    audience: z.string(),
    subjects: z.array(z.string()),
    texts: z
      .array(
        z.strictObject({
          form: z.enum(["json", "shell", "terraform", "text"]),
          title: z.string(),
          content: z.string(),
        }),
      )
      .describe("Ready to paste. Everything in them is public."),
  }),
);

export const CloudRoleTrial = named("CloudRoleTrial", () =>
  z.strictObject({
    works: z.boolean(),
    issuer: z.string(),
    subject: z.string().describe("The `sub` that was sent."),
    audience: z.string(),
    expires_at: z.union([time(), z.null()]).describe("Of the credential that was given and thrown away."),
    refusal: z
      .union([
        z.strictObject({
          kind: z
            .enum(["passing", "propagating", "configuration"])
            .describe(
              "`passing`: try again. `propagating`: nobody knows it yet; right after a change, wait some minutes. `configuration`: somebody has to change what `hint` says.",
            ),
          code: z.string(),
          message: z.string(),
          hint: z.string(),
          retry_after_ms: z.union([z.int(), z.null()]),
        }),
        z.null(),
      ])
      .describe("Null: it works."),
  }),
);
