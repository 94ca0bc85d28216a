/** No exchange: the target takes the identity token itself. */
import type { Minted } from "../minter.ts";
import type { CloudCredential } from "../role.ts";

export function jwtCredential({ jwt, expiresAt }: Minted, issuedAt: number): CloudCredential {
  return {
    kind: "bearer",
    header: "authorization",
    scheme: "Bearer ",
    token: jwt,
    defaults: {},
    issuedAt,
    expiresAt,
  };
}
