/** What is asked of erasures. */
import * as z from "zod";
import { MAX_USER_CHARS } from "../access/index.ts";
import { named } from "./schema.ts";

export const EraseUser = named("EraseUser", () =>
  z.strictObject({
    user: z.string().min(1).max(MAX_USER_CHARS).describe("The end user, by the tenant's own naming."),
  }),
);
