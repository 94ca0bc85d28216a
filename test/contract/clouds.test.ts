/** The clouds of the world against the vendors' own clients: what these take from them is what vendors answer. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AssumeRoleCommand, type Credentials } from "@aws-sdk/client-sts";
import { startWorld, type World } from "../world/index.ts";
import {
  azureCredential,
  googleClient,
  stsClient,
  testDirectExchanges,
  trustSource,
  webIdentity,
} from "./cloud-clients.ts";
import { startIssuer, type TestIssuer } from "./cloud-issuer.ts";
import * as trust from "./cloud-trust.ts";

let world: World;
let issuer: TestIssuer;

beforeEach(async () => {
  [world, issuer] = await Promise.all([startWorld(), startIssuer()]);
  await trustSource({ world, source: issuer });
});
afterEach(async () => {
  await Promise.all([world.close(), issuer.close()]);
});

const stage = () => ({ world, source: issuer });

describe("direct exchange", () => {
  testDirectExchanges(stage);
});

describe("@aws-sdk/client-sts", () => {
  async function fails(code: string, times: number): Promise<{ name: string; attempts: number }> {
    world.clouds.arm("aws", code, times);
    const before = world.clouds.exchanges("aws").length;
    const outcome = stsClient(world).send(webIdentity(await issuer.mint(trust.AUDIENCES.aws)));
    const name = await outcome.then(
      () => "granted",
      (error: Error) => error.name,
    );
    return { name, attempts: world.clouds.exchanges("aws").length - before };
  }

  // What the SDK says of itself: three attempts are "retryable", one is not.
  test.each([
    ["IDPCommunicationError", "IDPCommunicationErrorException", 3],
    ["Throttling", "Throttling", 3],
    ["ServiceUnavailable", "ServiceUnavailable", 3],
    ["ExpiredTokenException", "ExpiredTokenException", 1],
    ["InvalidIdentityToken", "InvalidIdentityTokenException", 1],
    ["IDPRejectedClaim", "IDPRejectedClaimException", 1],
    ["AccessDenied", "AccessDenied", 1],
    ["MalformedPolicyDocument", "MalformedPolicyDocumentException", 1],
    ["PackedPolicyTooLarge", "PackedPolicyTooLargeException", 1],
    ["RegionDisabledException", "RegionDisabledException", 1],
  ])("knows %s, as %s, and makes %i attempts", async (code, name, attempts) => {
    expect(await fails(code, 9)).toEqual({ name, attempts });
  });

  test("gets its credential once what passes has passed", async () => {
    expect(await fails("IDPCommunicationError", 2)).toEqual({ name: "granted", attempts: 3 });
  });

  test("an issuer that cannot be reached is IDPCommunicationError, which it retries", async () => {
    world.clouds.resolve("id.acme.example", world.names["api.bench.example"] ?? 0);
    const outcome = stsClient(world).send(webIdentity(await issuer.mint(trust.AUDIENCES.aws)));
    await expect(outcome).rejects.toMatchObject({ name: "IDPCommunicationErrorException", $retryable: {} });
    expect(world.clouds.exchanges("aws")).toHaveLength(3);
  });

  async function first(): Promise<Credentials | undefined> {
    const answer = await stsClient(world).send(webIdentity(await issuer.mint(trust.AUDIENCES.aws)));
    return answer.Credentials;
  }
  const chain = (over: object = {}): AssumeRoleCommand =>
    new AssumeRoleCommand({
      RoleArn: trust.SECOND_ROLE,
      RoleSessionName: "archive",
      ExternalId: "archive-7",
      ...over,
    });

  test.each([
    ["for more than an hour", { DurationSeconds: 3_601 }, "ValidationError"],
    ["without the external id", { ExternalId: undefined }, "AccessDenied"],
    ["to a role that does not trust it", { RoleArn: trust.ROLE }, "AccessDenied"],
  ])("is refused a chain %s", async (_how, over, name) => {
    await expect(stsClient(world, await first()).send(chain(over))).rejects.toMatchObject({ name });
  });

  test("a signature with another secret, and credentials that were expired, are told apart", async () => {
    const credentials = await first();
    const wrong = { ...credentials, SecretAccessKey: "another" };
    await expect(stsClient(world, wrong as Credentials).send(chain())).rejects.toMatchObject({
      name: "SignatureDoesNotMatch",
    });
    world.clouds.expire("aws");
    await expect(stsClient(world, credentials).send(chain())).rejects.toMatchObject({ name: "ExpiredToken" });
  });
});

describe("google-auth-library", () => {
  const refusal = async (impersonate: boolean): Promise<{ status?: number; code?: string; text: string }> => {
    const error: unknown = await googleClient(stage(), impersonate)
      .getAccessToken()
      .then(
        () => null,
        (reason: unknown) => reason,
      );
    const { status, code } = error as { status?: number; code?: string };
    return {
      ...(status === undefined ? {} : { status }),
      ...(code === undefined ? {} : { code }),
      text: String(error),
    };
  };

  test("reads the code and text of a refusal", async () => {
    world.clouds.arm("gcp", "unauthorized_client", 9);
    expect((await refusal(false)).text).toContain("unauthorized_client: This answer was asked for");
    expect(world.clouds.exchanges("gcp")).toHaveLength(1);
  });

  test("is refused an account that it may not impersonate", async () => {
    world.clouds.distrust();
    world.clouds.register(
      ...trust.trustOf(issuer.issuerUrl, issuer.subject).filter(({ kind }) => kind !== "gcp_service_account"),
    );
    expect((await refusal(true)).text).toContain("iam.serviceAccounts.getAccessToken");
    expect(world.clouds.counts()["gcp-iam"]?.refused).toEqual({ PERMISSION_DENIED: 1 });
  });

  test("takes a token without expires_in", async () => {
    world.clouds.change({ saysLife: false }, "gcp");
    expect((await googleClient(stage(), false).getAccessToken()).token).toMatch(/^ya29\.d\./);
  });
});

describe("@azure/identity", () => {
  test.each([700_213, 700_024, 90_033])("reads AADSTS%i as a number", async (code) => {
    world.clouds.arm("azure", String(code), 9);
    const outcome = azureCredential(stage()).getToken(trust.STORAGE_SCOPE);
    await expect(outcome).rejects.toThrow(`AADSTS${code}`);
  });

  test("a record that has not spread yet is AADSTS70021, until it has", async () => {
    world.clouds.distrust();
    world.clouds.register(
      ...trust
        .trustOf(issuer.issuerUrl, issuer.subject)
        .map((entry) => (entry.kind === "azure_credential" ? { ...entry, propagationMs: 120_000 } : entry)),
    );
    await expect(azureCredential(stage()).getToken(trust.STORAGE_SCOPE)).rejects.toThrow("AADSTS70021:");
    world.clouds.change({ skewMs: 121_000 }, "azure");
    expect((await azureCredential(stage()).getToken(trust.STORAGE_SCOPE)).token).not.toBe("");
  });
});
