/**
 * The vendors' own clients, pointed at the world, exchange an identity token: each case goes to the end, where the credential
 * is used. The token comes from whoever is given, so that the product's issuer meets the same cases.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSClient,
  type Credentials,
} from "@aws-sdk/client-sts";
import { ClientAssertionCredential, type ClientAssertionCredentialOptions } from "@azure/identity";
import { ExternalAccountClient, type BaseExternalAccountClient } from "google-auth-library";
import { decodeJwt } from "jose";
import { expect, test } from "vitest";
import type { World } from "../world/index.ts";
import type { TokenSource } from "./cloud-issuer.ts";
import * as trust from "./cloud-trust.ts";

export interface Stage {
  readonly world: World;
  readonly source: TokenSource;
}

/** Sets up every cloud for the subject that the source speaks for. */
export async function trustSource({ world, source }: Stage): Promise<void> {
  world.clouds.resolve(new URL(source.issuerUrl).hostname, source.issuerPort);
  const { sub } = decodeJwt(await source.mint(trust.AUDIENCES.aws));
  world.clouds.register(...trust.trustOf(source.issuerUrl, sub ?? ""));
}

export function stsClient(world: World, credentials?: Credentials, maxAttempts = 3): STSClient {
  return new STSClient({
    region: trust.REGION,
    endpoint: world.origin("sts.eu-central-1.amazonaws.com"),
    maxAttempts,
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.AccessKeyId ?? "",
            secretAccessKey: credentials.SecretAccessKey ?? "",
            sessionToken: credentials.SessionToken ?? "",
          },
        }),
  });
}

export function webIdentity(token: string): AssumeRoleWithWebIdentityCommand {
  return new AssumeRoleWithWebIdentityCommand({
    RoleArn: trust.ROLE,
    RoleSessionName: "process-order",
    WebIdentityToken: token,
    DurationSeconds: 900,
  });
}

export function googleClient({ world, source }: Stage, impersonate: boolean): BaseExternalAccountClient {
  const client = ExternalAccountClient.fromJSON({
    type: "external_account",
    audience: trust.AUDIENCES.gcp,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `${world.origin("sts.googleapis.com")}/v1/token`,
    subject_token_supplier: { getSubjectToken: () => source.mint(trust.AUDIENCES.gcp) },
    ...(impersonate
      ? {
          service_account_impersonation_url: `${world.origin("iamcredentials.googleapis.com")}/v1/projects/-/serviceAccounts/${trust.ACCOUNT}:generateAccessToken`,
          service_account_impersonation: { token_lifetime_seconds: 1_800 },
        }
      : {}),
  });
  if (client === null) throw new TypeError("google-auth-library does not take the configuration");
  return client;
}

/** The client insists on https, so its requests are taken to the world below it. */
export function azureCredential({ world, source }: Stage): ClientAssertionCredential {
  const httpClient: NonNullable<ClientAssertionCredentialOptions["httpClient"]> = {
    sendRequest: async (request) => {
      const { hostname, pathname, search } = new URL(request.url);
      const answer = await fetch(world.origin(hostname) + pathname + search, {
        method: request.method,
        headers: request.headers.toJSON(),
        ...(typeof request.body === "string" ? { body: request.body } : {}),
      });
      const headers = request.headers;
      for (const [name] of headers) headers.delete(name);
      for (const [name, value] of answer.headers) headers.set(name, value);
      return { request, headers, status: answer.status, bodyAsText: await answer.text() };
    },
  };
  return new ClientAssertionCredential(
    trust.DIRECTORY,
    trust.CLIENT_ID,
    () => source.mint(trust.AUDIENCES.azure),
    { httpClient, disableInstanceDiscovery: true, retryOptions: { maxRetries: 0 } },
  );
}

async function withTokenFile<T>(token: string, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "identity-"));
  try {
    writeFileSync(join(folder, "token"), token);
    return await use(join(folder, "token"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function anthropicClient(world: World, path: string): Anthropic {
  return new Anthropic({
    baseURL: world.origin("api.anthropic.com"),
    maxRetries: 0,
    config: {
      organization_id: trust.ORGANIZATION,
      workspace_id: "wrkspc_1",
      authentication: {
        type: "oidc_federation",
        federation_rule_id: trust.RULE,
        service_account_id: trust.SERVICE_ACCOUNT,
        identity_token: { source: "file", path },
      },
    },
  });
}

/** The direct exchanges; `stage` is asked in each test. */
export function testDirectExchanges(stage: () => Stage): void {
  test("@aws-sdk/client-sts assumes the role with the identity token, and a second role with its credentials", async () => {
    const { world, source } = stage();
    const token = await source.mint(trust.AUDIENCES.aws);
    const first = await stsClient(world).send(webIdentity(token));
    expect(first.SubjectFromWebIdentityToken).toBe(decodeJwt(token).sub);
    expect(first.Provider).toContain(source.issuerUrl.slice("https://".length));
    expect(Number(first.Credentials?.Expiration) - Date.now()).toBeGreaterThan(890_000);
    const signed = stsClient(world, first.Credentials);
    const caller = await signed.send(new GetCallerIdentityCommand({}));
    expect(caller.Arn).toBe("arn:aws:sts::111122223333:assumed-role/invoices-writer/process-order");
    const second = await signed.send(
      new AssumeRoleCommand({
        RoleArn: trust.SECOND_ROLE,
        RoleSessionName: "archive",
        ExternalId: "archive-7",
      }),
    );
    expect(second.AssumedRoleUser?.Arn).toBe("arn:aws:sts::111122223333:assumed-role/archive-writer/archive");
    expect(world.clouds.counts()["aws"]).toEqual({ asked: 2, granted: 2, refused: {} });
  });

  test("google-auth-library trades the identity token and impersonates the service account, whose token stores an object", async () => {
    const { world } = stage();
    const client = googleClient(stage(), true);
    const stored = await client.request({
      url: `${world.origin("storage.googleapis.com")}/invoices/2026/1.txt`,
      method: "PUT",
      data: "Invoice 1",
      headers: { "content-type": "text/plain" },
    });
    expect(stored.status).toBe(200);
    expect(world.referee.deeds({ service: "gcp-storage" }).map(({ data }) => data["by"])).toEqual([
      { principal: `serviceAccount:${trust.ACCOUNT}` },
    ]);
    expect(world.clouds.counts()).toMatchObject({ gcp: { granted: 1 }, "gcp-iam": { granted: 1 } });
  });

  test("google-auth-library uses the federated token itself where no service account is named", async () => {
    const { world } = stage();
    const client = googleClient(stage(), false);
    const url = `${world.origin("storage.googleapis.com")}/invoices/2.txt`;
    await client.request({ url, method: "PUT", data: "Invoice 2" });
    const read = await client.request({ url, responseType: "text" });
    expect(read.data).toBe("Invoice 2");
    expect(world.clouds.counts()["gcp-iam"]).toBeUndefined();
  });

  test("@azure/identity trades its assertion for a token, which stores a blob", async () => {
    const { world } = stage();
    const { token, expiresOnTimestamp } = await azureCredential(stage()).getToken(trust.STORAGE_SCOPE);
    expect(expiresOnTimestamp - Date.now()).toBeGreaterThan(3_500_000);
    const stored = await fetch(`${world.origin("invoices.blob.core.windows.net")}/invoices/3.txt`, {
      method: "PUT",
      headers: {
        authorization: `Bearer ${token}`,
        "x-ms-version": "2025-01-05",
        "x-ms-blob-type": "BlockBlob",
      },
      body: "Invoice 3",
    });
    expect(stored.status).toBe(201);
    expect(world.referee.deeds({ key: "azure://invoices/3.txt" })).toHaveLength(1);
  });

  test("@anthropic-ai/sdk federates from a file, and its token is what the Messages API takes", async () => {
    const { world, source } = stage();
    const token = await source.mint(trust.AUDIENCES.anthropic);
    const message = await withTokenFile(token, (path) =>
      anthropicClient(world, path).messages.create({
        model: "claude-opus-4-1",
        max_tokens: 16,
        messages: [{ role: "user", content: "Is the invoice paid?" }],
      }),
    );
    expect(message.content).toEqual([{ type: "text", text: "The world has read 1 messages." }]);
    expect(world.clouds.counts()["anthropic"]).toEqual({ asked: 1, granted: 1, refused: {} });
  });

  test.each(trust.SERVICES)(
    "%s gives a credential for one plain request with the identity token",
    async (service) => {
      const { world, source } = stage();
      const reply = await trust.ask(world, service, await source.mint(trust.AUDIENCES[service]));
      expect([reply.status, reply.code]).toEqual([200, null]);
      expect(world.clouds.exchanges(service).map(({ refused }) => refused)).toEqual([null]);
    },
  );

  test("each service fetches discovery and keys under the https name of the issuer, once for many exchanges", async () => {
    const { world, source } = stage();
    for (const service of trust.SERVICES)
      for (let turn = 0; turn < 3; turn += 1)
        await trust.ask(world, service, await source.mint(trust.AUDIENCES[service]));
    const fetched = world.clouds.fetched();
    const discovery = `${source.issuerUrl}/.well-known/openid-configuration`;
    expect(fetched.filter((address) => address === discovery)).toHaveLength(trust.SERVICES.length);
    expect(fetched).toHaveLength(2 * trust.SERVICES.length);
    expect(fetched.every((address) => address.startsWith(`${source.issuerUrl}/`))).toBe(true);
  });
}
