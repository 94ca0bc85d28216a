/** The product's own issuer, in the real runtime: what the vendors' clients and the rules of clouds say to its tokens. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { startWorld, type World } from "../world/index.ts";
import { testDirectExchanges, trustSource } from "./cloud-clients.ts";
import { testMutations } from "./cloud-mutations.ts";
import { AUDIENCES } from "./cloud-trust.ts";
import { type ProductIssuer, startProduct } from "./product-issuer.ts";

const START_MS = 120_000;

let source: ProductIssuer;
let world: World;

beforeAll(async () => {
  source = await startProduct();
}, START_MS);
afterAll(async () => {
  await source.close();
});

describe("direct exchange", () => {
  beforeEach(async () => {
    world = await startWorld();
    await trustSource({ world, source });
  });
  afterEach(async () => {
    await world.close();
  });

  testDirectExchanges(() => ({ world, source }));
});

describe("a token of which something is changed", () => {
  beforeAll(async () => {
    world = await startWorld();
    await trustSource({ world, source });
  });
  afterAll(async () => {
    await world.close();
  });

  testMutations(() => ({ world, source }));
});

describe("the documents", () => {
  test.each(["/.well-known/openid-configuration", "/jwks"])(
    "%s is there under the issuer's name alone",
    async (path) => {
      const there = await source.document(path);
      expect(there.status).toBe(200);
      expect(there.headers["cache-control"]).toBe("public, max-age=300");
      for (const host of [`127.0.0.1:${source.issuerPort}`, "other.showcaller.example"])
        expect((await source.document(path, host)).status).toBe(404);
    },
  );

  test("the token says what is documented, and its key is among those that are published", async () => {
    const token = await source.mint(AUDIENCES.gcp);
    const { alg, typ, kid, ...more } = decodeProtectedHeader(token);
    expect([alg, typ, kid, more]).toEqual(["RS256", "JWT", source.kid, {}]);
    const { iat = 0, nbf = 0, exp = 0, jti, ...said } = decodeJwt(token);
    expect([iat - nbf, exp - iat, jti?.length]).toEqual([60, 300, 36]);
    expect(said).toEqual({
      ...{ iss: source.issuerUrl, sub: source.subject, aud: AUDIENCES.gcp, tenant: "acme" },
      ...{ workflow: "process-order", workflow_kind: "code", workflow_version: "3" },
      ...{ environment: "production", claims: { team: "billing" } },
    });
  });
});
