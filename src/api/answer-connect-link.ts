/** The link by which a user makes or renews a connection. */
import * as z from "zod";
import { named, time } from "./schema.ts";

export const ConnectLink = named("ConnectLink", () =>
  z
    .strictObject({ url: z.string().describe("For the user's browser."), expires_at: time() })
    .describe("Only to keys with `connections:connect`."),
);
