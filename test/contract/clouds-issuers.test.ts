/** How the clouds get an issuer's keys, and what of an issuer they do not take. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startWorld, type TrustInput, type World } from "../world/index.ts";
import { trustSource } from "./cloud-clients.ts";
import { ISSUER_HOST, startIssuer, type TestIssuer } from "./cloud-issuer.ts";
import { ask, AUDIENCES, SERVICES, trustOf } from "./cloud-trust.ts";
import type { TokenService } from "../world/clouds/names.ts";

const HOUR_MS = 60 * 60 * 1000;

let world: World;
let issuer: TestIssuer;

beforeEach(async () => {
  [world, issuer] = await Promise.all([startWorld(), startIssuer()]);
  await trustSource({ world, source: issuer });
});
afterEach(async () => {
  await Promise.all([world.close(), issuer.close()]);
});

/** `null` for a credential. */
async function codeOf(service: TokenService, key: "rsa" | "retired" = "rsa"): Promise<string | null> {
  const token = await issuer.sign(AUDIENCES[service], { header: { kid: key }, key: issuer.keys[key] });
  return (await ask(world, service, token)).code;
}

describe("keys", () => {
  test("a key that is not in the kept JWKS makes a service fetch it again", async () => {
    issuer.show("rsa");
    expect(await codeOf("aws")).toBeNull();
    issuer.show("retired");
    expect(await codeOf("aws", "retired")).toBeNull();
    expect(issuer.asked.get("/t/acme/jwks")).toBe(2);
  });

  test("a service that does not refetch refuses a key that it has not seen, until what it kept is old", async () => {
    world.clouds.change({ refetchUnknownKid: false, jwksCacheMs: HOUR_MS });
    issuer.show("rsa");
    expect(await codeOf("aws")).toBeNull();
    issuer.show("rsa", "retired");
    expect(await codeOf("aws", "retired")).toBe("InvalidIdentityToken");
    expect(issuer.asked.get("/t/acme/jwks")).toBe(1);
    world.clouds.change({ jwksCacheMs: 0 });
    expect(await codeOf("aws", "retired")).toBeNull();
  });

  test("a stale JWKS still takes a key that its issuer has dropped, for as long as it is kept", async () => {
    world.clouds.change({ refetchUnknownKid: false, jwksCacheMs: HOUR_MS });
    expect(await codeOf("azure")).toBeNull();
    issuer.show("retired");
    expect(await codeOf("azure")).toBeNull();
    world.clouds.forget();
    expect(await codeOf("azure")).toBe("700027");
  });

  test("many exchanges at once are one visit to the issuer", async () => {
    const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf("gcp")));
    expect(codes).toEqual(Array.from({ length: 20 }, () => null));
    expect(issuer.asked.get("/t/acme/jwks")).toBe(1);
  });

  test("clocks that are wrong, in both directions", async () => {
    world.clouds.change({ skewMs: HOUR_MS });
    expect([await codeOf("aws"), await codeOf("azure")]).toEqual(["ExpiredTokenException", "700024"]);
    world.clouds.change({ skewMs: -HOUR_MS });
    expect([await codeOf("aws"), await codeOf("azure")]).toEqual(["InvalidIdentityToken", "700024"]);
    world.clouds.change({ leewayS: 2 * 3_600 });
    expect([await codeOf("aws"), await codeOf("azure")]).toEqual([null, null]);
  });
});

describe("documents", () => {
  const UNREACHABLE: Readonly<Record<TokenService, string>> = {
    aws: "IDPCommunicationError",
    gcp: "invalid_grant",
    azure: "90033",
    exchange: "temporarily_unavailable",
    vault: "error validating token: (issuer_unreachable)",
    anthropic: "temporarily_unavailable",
    openrouter: "temporarily_unavailable",
  };

  test.each(SERVICES)("%s says in its own way that an issuer cannot be reached", async (service) => {
    await issuer.close();
    expect(await codeOf(service)).toContain(UNREACHABLE[service]);
    issuer = await startIssuer();
    world.clouds.resolve(ISSUER_HOST, issuer.issuerPort);
    expect(await codeOf(service)).toBeNull();
  });

  const many = Array.from({ length: 101 }, (_, index) => ({
    kty: "RSA",
    kid: `k${index}`,
    n: "AQAB",
    e: "AQAB",
  }));
  const url = `https://${ISSUER_HOST}/t/acme`;
  test.each([
    ["of another issuer", { issuer: `${url}2` }, undefined],
    ["without jwks_uri", { jwks_uri: undefined }, undefined],
    ["with keys at http", { jwks_uri: `http://${ISSUER_HOST}/t/acme/jwks` }, undefined],
    ["with keys at a port", { jwks_uri: `https://${ISSUER_HOST}:8443/t/acme/jwks` }, undefined],
    ["that does not say RS256", { id_token_signing_alg_values_supported: ["ES256"] }, undefined],
    ["without subject types", { subject_types_supported: undefined }, undefined],
    ["with no keys", {}, { keys: [] }],
    ["with more than 100 keys", {}, { keys: many }],
  ])("a discovery document %s is not taken", async (_what, document, jwks) => {
    issuer.alter(document, jwks);
    expect(await codeOf("aws")).toBe("InvalidIdentityToken");
    issuer.alter({});
  });

  test("a JWKS that shows the private part of a key is not taken, though its keys would do", async () => {
    issuer.alter({}, { keys: [issuer.privateJwk] });
    expect(await codeOf("aws")).toBe("InvalidIdentityToken");
    const { kty, kid, n, e } = issuer.privateJwk;
    issuer.alter({}, { keys: [{ kty, kid, n, e }] });
    expect(await codeOf("aws")).toBeNull();
  });

  test("an issuer without a path is its name, not its name with a slash", async () => {
    const plain = await startIssuer("");
    world.clouds.resolve(ISSUER_HOST, plain.issuerPort);
    world.clouds.register(...trustOf(plain.issuerUrl, plain.subject));
    const code = async (): Promise<string | null> =>
      (await ask(world, "aws", await plain.mint(AUDIENCES.aws))).code;
    plain.alter({ issuer: `${plain.issuerUrl}/` });
    expect(await code()).toBe("InvalidIdentityToken");
    plain.alter({ issuer: plain.issuerUrl });
    expect(await code()).toBeNull();
    await plain.close();
  });

  test("pages that were published are taken for an issuer that listens nowhere", async () => {
    const other = await startIssuer("/t/other");
    const documents = [`${other.issuerUrl}/.well-known/openid-configuration`, `${other.issuerUrl}/jwks`];
    for (const address of documents) {
      const { pathname } = new URL(address);
      world.clouds.publish(address, 200, await page(other.issuerPort, pathname));
    }
    await other.close();
    world.clouds.register(...trustOf(other.issuerUrl, other.subject));
    const token = await other.mint(AUDIENCES.vault);
    expect((await ask(world, "vault", token)).code).toBeNull();
  });

  test("the documents are asked for by the issuer's name, and no other name is served", async () => {
    const direct = await fetch(`http://127.0.0.1:${issuer.issuerPort}/t/acme/jwks`);
    expect(direct.status).toBe(404);
    expect(await codeOf("aws")).toBeNull();
  });
});

/** As somebody else fetched it. */
async function page(port: number, path: string): Promise<unknown> {
  const { request } = await import("node:http");
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, headers: { host: ISSUER_HOST } }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve(JSON.parse(text)));
    })
      .on("error", reject)
      .end();
  });
}

describe("what a cloud does not take as trust", () => {
  const credential = (name: string, subject: string): TrustInput => ({
    kind: "azure_credential",
    clientId: "app",
    name,
    issuer: url(),
    subject,
    audiences: ["api://AzureADTokenExchange"],
  });
  const url = (): string => issuer.issuerUrl;

  test.each([
    ["a port", "https://id.acme.example:8443/t/acme"],
    ["a query", "https://id.acme.example/t/acme?x=1"],
    ["a slash at the end", "https://id.acme.example/t/acme/"],
    ["http", "http://id.acme.example/t/acme"],
    ["capitals in its host", "https://ID.acme.example/t/acme"],
  ])("an issuer with %s", (_what, issuerUrl) => {
    expect(() => world.clouds.register({ kind: "aws_provider", url: issuerUrl, clientIds: ["x"] })).toThrow(
      "must be https",
    );
  });

  test("more than 20 federated credentials of an app, or two for one subject", () => {
    world.clouds.register(
      ...Array.from({ length: 20 }, (_, index) => credential(`name-${index}`, `s${index}`)),
    );
    expect(() => world.clouds.register(credential("one-more", "other"))).toThrow(RangeError);
    world.clouds.distrust();
    world.clouds.register(credential("one", "same"));
    expect(() => world.clouds.register(credential("two", "same"))).toThrow(RangeError);
  });

  test("a policy with an element that the world does not know", () => {
    const trust = {
      Version: "2012-10-17",
      Statement: { Effect: "Allow", NotAction: "sts:*", Principal: { AWS: "*" } },
    };
    const role = {
      kind: "aws_role",
      arn: "arn:aws:iam::111122223333:role/x",
      trust,
    } as unknown as TrustInput;
    expect(() => world.clouds.register(role)).toThrow("NotAction");
  });
});
