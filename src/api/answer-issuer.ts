/** The issuer: its address and its keys, as verifiers may see them. */
import * as z from "zod";
import { named, nullable, time } from "./schema.ts";

export const IssuerView = named("Issuer", () =>
  z.strictObject({
    issuer: z.string().describe("What clouds are told to trust: `iss` of every identity token."),
    jwks_uri: z.string(),
    keys: z.array(
      z.strictObject({
        kid: z.string().describe("RFC 7638 thumbprint of the public key."),
        state: z.enum(["next", "active", "retired"]),
        made_at: time(),
        published_at: nullable(time()).describe("Null: the database does not have it yet."),
        signs_from: nullable(time()).describe("Of a key that comes next."),
        active_at: nullable(time()),
        retired_at: nullable(time()),
        goes_at: nullable(time()).describe("When a retired key is not published any more."),
      }),
    ),
  }),
);
