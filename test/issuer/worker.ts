/** The product's issuer with two doors more: its minter, and the private key, for tokens that the product never signs. */
import { compose } from "../../src/compose.ts";
import { composeIssuer } from "../../src/compose-issuer.ts";
import { type MintRequest, WiredIssuerObject } from "../../src/identity/index.ts";
import { privatePlace } from "../../src/identity/issuer-mirror.ts";
import type { KeptIssuer } from "../../src/identity/issuer-store.ts";
import { createLogger, objectName } from "../../src/platform/index.ts";

const house = compose([]);

export class IssuerObject extends WiredIssuerObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.at(ctx).issuing(env));
  }

  /** The active key: PKCS #8 in base64url. */
  async key(tenant: string): Promise<string> {
    const key = this.ctx.storage.kv.get<KeptIssuer>("issuer")?.keys.find(({ state }) => state === "active");
    if (key?.sealed == null) throw new Error("There is no key.");
    const opened = await house.issuing(this.env).vault.open(privatePlace(tenant, key), key.sealed);
    if (!opened.ok) throw new Error(opened.error.code);
    return opened.value;
  }
}

export default {
  async fetch(request, env) {
    switch (new URL(request.url).pathname) {
      case "/mint": {
        const { issuer } = composeIssuer(env, house.issuing(env).vault, createLogger());
        const minted = await issuer?.minter.mint(await request.json<MintRequest>());
        if (minted?.ok !== true) throw new Error(JSON.stringify(minted));
        return new Response(minted.value.jwt);
      }
      case "/key": {
        const tenant = await request.json<string>();
        const named: unknown = env.ISSUER.getByName(objectName("issuer", tenant, "main"));
        return new Response(await (named as Pick<IssuerObject, "key">).key(tenant));
      }
      default:
        return house.fetch(request, env);
    }
  },
} satisfies ExportedHandler<Env>;
