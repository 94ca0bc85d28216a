/** What an export is asked for. */
import * as z from "zod";

const MAX_CURSOR_CHARS = 2_000;

export const exportQuery = () =>
  z.strictObject({
    cursor: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, "It is the `next_cursor` of the answer before.")
      .max(MAX_CURSOR_CHARS)
      .optional()
      .describe("From the answer before; missing: from the beginning."),
  });
