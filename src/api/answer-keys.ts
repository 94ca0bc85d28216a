/** API keys. */
import * as z from "zod";
import { Policy } from "./request-schemas.ts";
import { named, nextCursor, nullable, time } from "./schema.ts";

const keyFields = () => ({
  id: z.string(),
  tenant: z.string(),
  name: z.string(),
  prefix: z.string().describe("First characters of the key's text."),
  last4: z.string(),
  scopes: z.array(z.string()),
  user: z.union([z.string(), z.null()]),
  policies: z
    .array(Policy.schema())
    .describe("Those of the keys that it comes from, and its own: all of them must allow."),
  created_by: z.string(),
  created_at: time(),
  expires_at: nullable(time()),
  revoked_at: nullable(time()),
  last_used_at: nullable(time()).describe("True to about an hour."),
});

export const Key = named("Key", () => z.strictObject(keyFields()));

export const NewKey = named("NewKey", () =>
  z.strictObject({ ...keyFields(), key: z.string().describe("The key's text: shown now and never again.") }),
);

export const RevokedKey = named("RevokedKey", () =>
  z.strictObject({
    ...keyFields(),
    effective_by: time().describe("By then the key, and what was revoked with it, is refused everywhere."),
    descendants: z
      .strictObject({
        revoked: z.int().min(0).describe("How many were revoked now."),
        complete: z.boolean().describe("False: there are more than one call revokes; send it again."),
      })
      .optional()
      .describe("Keys that came from it, with `descendants=true`."),
  }),
);

export const KeyList = named("KeyList", () =>
  z.strictObject({ data: z.array(Key.schema()), next_cursor: nextCursor() }),
);
