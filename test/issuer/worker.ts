/** The product's issuer with two doors more: its minter, and its key for whatever a test wants signed. */
import { type JWTPayload, SignJWT } from "jose";
import { compose } from "../../src/compose.ts";
import { composeIssuer } from "../../src/compose-issuer.ts";
import { type MintRequest, WiredIssuerObject } from "../../src/identity/index.ts";
import { privatePlace } from "../../src/identity/issuer-mirror.ts";
import type { KeptIssuer } from "../../src/identity/issuer-store.ts";
import { importPrivate } from "../../src/identity/signing.ts";
import { createLogger, objectName } from "../../src/platform/index.ts";

/** Fields that are there replace or, if they are null, take out those of a token that the product made. */
export interface Forgery {
  readonly tenant: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: JWTPayload;
}

const house = compose([]);

export class IssuerObject extends WiredIssuerObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.issuing(env));
  }

  /** Signs with the active key what the product would never sign. */
  async forge({ tenant, header, claims }: Forgery): Promise<string> {
    const key = this.ctx.storage.kv.get<KeptIssuer>("issuer")?.keys.find(({ state }) => state === "active");
    if (key?.sealed == null) throw new Error("There is no key.");
    const opened = await house.issuing(this.env).vault.open(privatePlace(tenant, key), key.sealed);
    if (!opened.ok) throw new Error(opened.error.code);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "RS256", ...header })
      .sign(await importPrivate(opened.value), { crit: { odd: true } });
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/mint") {
      const { issuer } = composeIssuer(env, house.issuing(env).vault, createLogger());
      return Response.json(await issuer?.minter.mint(await request.json<MintRequest>()));
    }
    if (pathname === "/forge") {
      const forgery = await request.json<Forgery>();
      const named: unknown = env.ISSUER.getByName(objectName("issuer", forgery.tenant, "main"));
      return new Response(await (named as Pick<IssuerObject, "forge">).forge(forgery));
    }
    return house.fetch(request, env);
  },
} satisfies ExportedHandler<Env>;
