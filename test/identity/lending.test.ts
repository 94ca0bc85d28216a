import { describe, expect, it } from "vitest";
import { leaseOf } from "../../src/identity/lending.ts";
import { mintingHost } from "../../src/identity/minting-hosts.ts";
import type { CloudCredential, CloudRole, RoleHost, RoleTarget } from "../../src/identity/role.ts";
import { signAws } from "../../src/identity/sigv4.ts";
import { createRedactor, type Lease } from "../../src/platform/index.ts";
import { AWS_KEYS, NOW, roleOf, TARGETS } from "./support.ts";

const AWS = {
  kind: "aws",
  accessKeyId: AWS_KEYS.AccessKeyId,
  secretAccessKey: AWS_KEYS.SecretAccessKey,
  sessionToken: AWS_KEYS.SessionToken,
  issuedAt: NOW,
  expiresAt: NOW + 900_000,
} as const satisfies CloudCredential;
const BEARER: CloudCredential = {
  kind: "bearer",
  header: "authorization",
  scheme: "Bearer ",
  token: "the-access-token-of-it",
  defaults: {},
  issuedAt: NOW,
  expiresAt: NOW + 900_000,
};

function lease(target: RoleTarget, hosts: readonly RoleHost[], credential: CloudCredential = BEARER): Lease {
  const role: CloudRole = roleOf(target, { hosts, version: 3 });
  return leaseOf({
    ...{ role, credential, subject: "tenant:acme:code:process-order" },
    now: () => NOW,
    renew: async () => ({ kind: "cannot", code: "cloud_role_refused", message: "m", hint: "h" }),
  });
}

const S3: RoleHost = {
  host: "invoices.s3.eu-central-1.amazonaws.com",
  service: "s3",
  region: "eu-central-1",
};
const aws = lease(TARGETS.aws, [S3, { host: "bare.example.com" }], AWS);
const bearer = (hosts: readonly string[], target: RoleTarget = TARGETS.azure): Lease =>
  lease(
    target,
    hosts.map((host) => ({ host })),
  );

describe("where a credential may go", () => {
  it.each([
    "https://api.example.com/",
    "https://api.example.com/v1/x?y=z",
    "https://api.example.com:443/",
    "https://API.example.com/",
  ])("%s", (url) => {
    expect(bearer(["api.example.com"]).refusalFor(url)).toBeNull();
  });

  it.each([
    "http://api.example.com/",
    "https://api.example.com:8443/",
    "https://api.example.com./",
    "https://x.api.example.com/",
    "https://example.com/",
    "https://api.example.com.evil.com/",
    "https://api.example.com@evil.com/",
    "https://evil.com/api.example.com",
    "https://127.0.0.1/",
    "https://localhost/",
    "not a url",
  ])("and where it may not: %s", (url) => {
    expect(bearer(["api.example.com"]).refusalFor(url)).not.toBeNull();
  });

  it("a host of AWS needs the service that it is, and a URL with one meaning", async () => {
    expect(aws.refusalFor("https://invoices.s3.eu-central-1.amazonaws.com/a%2Bb")).toBeNull();
    expect(aws.refusalFor("https://invoices.s3.eu-central-1.amazonaws.com/a+b")).toContain("%2B");
    expect(aws.refusalFor("https://bare.example.com/")).toContain("which service");
    await expect(
      aws.sign?.({ method: "GET", url: "https://evil.example.com/", headers: {}, body: undefined }),
    ).rejects.toThrow(TypeError);
  });
});

describe("hosts that make credentials are listed by no role, and none is sent there by one that lists them", () => {
  const HOSTS = [
    "sts.amazonaws.com",
    "sts.eu-central-1.amazonaws.com",
    "sts-fips.us-east-1.amazonaws.com",
    "sts.us-gov-west-1.amazonaws.com",
    "sts.cn-north-1.amazonaws.com.cn",
    "sts.eusc-de-east-1.amazonaws.eu",
    "sts.us-iso-east-1.c2s.ic.gov",
    "sts.eu-central-1.api.aws",
    "vpce-0123-abc.sts.eu-central-1.vpce.amazonaws.com",
    "iam.amazonaws.com",
    "iam-fips.amazonaws.com",
    "iam.us-gov.amazonaws.com",
    "iam.cn-north-1.amazonaws.com.cn",
    "iam.global.api.aws",
    "portal.sso.eu-central-1.amazonaws.com",
    "sso.eu-central-1.amazonaws.com",
    "oidc.eu-central-1.amazonaws.com",
    "cognito-identity.eu-central-1.amazonaws.com",
    "cognito-idp.eu-central-1.amazonaws.com",
    "eks-auth.eu-central-1.api.aws",
    "lakeformation.eu-central-1.amazonaws.com",
    "api.codeartifact.eu-central-1.amazonaws.com",
    "c1.credentials.iot.eu-central-1.amazonaws.com",
    "rolesanywhere.eu-central-1.amazonaws.com",
    "signin.aws.amazon.com",
    "eu-central-1.signin.aws",
    "d-1234567890.awsapps.com",
    "s3.sts.eu-central-1.amazonaws.com",
    "sts.googleapis.com",
    "sts.mtls.googleapis.com",
    "sts.us-central1.rep.googleapis.com",
    "sts-xyz.p.googleapis.com",
    "iamcredentials.googleapis.com",
    "iamcredentials-xyz.p.googleapis.com",
    "iam.googleapis.com",
    "oauth2.googleapis.com",
    "securetoken.googleapis.com",
    "identitytoolkit.googleapis.com",
    "accounts.google.com",
    "login.microsoftonline.com",
    "eastus.login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login.microsoft.com",
    "eastus.login.microsoft.com",
    "login.windows.net",
    "sts.windows.net",
    "contoso.b2clogin.com",
    "contoso.ciamlogin.com",
    "auth.openai.com",
  ];
  it.each(HOSTS)("%s", (host) => {
    expect(mintingHost(host)).not.toBeNull();
    expect(mintingHost(`${host.toUpperCase()}.`)).not.toBeNull();
    expect(bearer([host]).refusalFor(`https://${host}/`)).not.toBeNull();
    expect(lease(TARGETS.aws, [{ host, service: "s3" }], AWS).refusalFor(`https://${host}/`)).not.toBeNull();
  });

  it.each([
    "sts.s3.eu-central-1.amazonaws.com",
    "iam.s3.amazonaws.com",
    "my.sso.bucket.s3.eu-central-1.amazonaws.com",
    "sts.s3-accelerate.amazonaws.com",
    "s3.eu-central-1.amazonaws.com",
    "dynamodb.eu-central-1.amazonaws.com",
    "statistics.eu-central-1.amazonaws.com",
    "abc.execute-api.eu-central-1.amazonaws.com",
    "storage.googleapis.com",
    "sts.storage.googleapis.com",
    "bigquery.googleapis.com",
    "statistics.googleapis.com",
    "contoso.vault.azure.net",
    "management.azure.com",
    "graph.microsoft.com",
    "api.anthropic.com",
    "openrouter.ai",
    "sts.example.com",
    "evil-amazonaws.com",
  ])("%s may be listed", (host) => {
    expect(mintingHost(host)).toBeNull();
  });
});

describe("paths that make credentials, at hosts that do more", () => {
  const anthropic = bearer(["api.anthropic.com"], TARGETS.anthropic);
  const openrouter = bearer(["openrouter.ai"], TARGETS.openrouter);
  const vault = bearer(["vault.example.com"], TARGETS.vault);
  const exchange = (tokenUrl: string): Lease =>
    bearer(["sts.example.com"], { ...TARGETS.token_exchange, tokenUrl });
  const oauth = exchange("https://sts.example.com/oauth2/token");

  it.each([
    [anthropic, "https://api.anthropic.com/v1/oauth/token"],
    [anthropic, "https://api.anthropic.com/v1/oauth"],
    [anthropic, "https://api.anthropic.com/V1/OAuth/token"],
    [anthropic, "https://api.anthropic.com/v1/%6Fauth/token"],
    [anthropic, "https://api.anthropic.com/v1/%256Fauth/token"],
    [anthropic, "https://api.anthropic.com//v1//oauth//token"],
    [anthropic, "https://api.anthropic.com/v1/messages%2F..%2Foauth%2Ftoken"],
    [anthropic, "https://api.anthropic.com/v1;x/oauth;y/token"],
    [anthropic, "https://api.anthropic.com/v1\\oauth\\token"],
    [anthropic, "https://api.anthropic.com/v1/messages/../oauth/token"],
    [anthropic, "https://api.anthropic.com/%zz"],
    [openrouter, "https://openrouter.ai/api/v1/oauth/token"],
    [openrouter, "https://openrouter.ai/api/v1/auth/keys"],
    [openrouter, "https://openrouter.ai/api/v1/auth/keys/code"],
    [openrouter, "https://openrouter.ai/api/v1/keys"],
    [vault, "https://vault.example.com/v1/auth/jwt/login"],
    [vault, "https://vault.example.com/v1/auth/team-a/jwt/login"],
    [vault, "https://vault.example.com/v1/ns1/auth/jwt/login"],
    [vault, "https://vault.example.com/v1/auth/token/create"],
    [vault, "https://vault.example.com/v1/auth/token/create-orphan"],
    [vault, "https://vault.example.com/v1/ns1/auth/token/renew-self"],
    [vault, "https://vault.example.com/v1/auth/approle/role/x/secret-id"],
    [vault, "https://vault.example.com/v1/identity/oidc/token/x"],
    [vault, "https://vault.example.com/v1/sys/wrapping/unwrap"],
    [oauth, "https://sts.example.com/oauth2/token"],
    [oauth, "https://sts.example.com/oauth2/token/"],
    [oauth, "https://sts.example.com/oauth2/revoke"],
    [oauth, "https://sts.example.com/OAuth2/TOKEN"],
    [exchange("https://sts.example.com/"), "https://sts.example.com/anything"],
    [exchange("https://sts.example.com/api/exchange"), "https://sts.example.com/api/exchange"],
  ])("%#: %s is refused", (one, url) => {
    expect(one.refusalFor(url)).not.toBeNull();
  });

  it.each([
    [anthropic, "https://api.anthropic.com/v1/messages"],
    [anthropic, "https://api.anthropic.com/v1/oauthish"],
    [openrouter, "https://openrouter.ai/api/v1/chat/completions"],
    [vault, "https://vault.example.com/v1/secret/data/app"],
    [vault, "https://vault.example.com/v1/secret/data/auth"],
    [oauth, "https://sts.example.com/v1/things"],
    [exchange("https://sts.example.com/api/exchange"), "https://sts.example.com/api/things"],
  ])("%#: %s is not", (one, url) => {
    expect(one.refusalFor(url)).toBeNull();
  });

  it("whatever role the credential is of", () => {
    expect(
      bearer(["api.anthropic.com"], TARGETS.jwt).refusalFor("https://api.anthropic.com/v1/oauth/token"),
    ).not.toBeNull();
  });
});

describe("what a step gets", () => {
  it("of a bearer token: the header, and what goes with it", () => {
    const vault = lease(TARGETS.vault, [{ host: "vault.example.com" }], {
      ...BEARER,
      header: "x-vault-token",
      scheme: "",
      defaults: { "x-vault-namespace": "ns1" },
    });
    expect(vault.headers).toEqual({ "x-vault-token": "the-access-token-of-it" });
    expect(vault.defaults).toEqual({ "x-vault-namespace": "ns1" });
    expect(vault.sign).toBeUndefined();
    expect(bearer(["a.example.com"]).headers).toEqual({ authorization: "Bearer the-access-token-of-it" });
  });

  it("of keys of AWS: a signature for exactly this request, for the service and region of the host", async () => {
    const request = {
      method: "PUT",
      url: `https://${S3.host}/k`,
      headers: { "content-type": "x/y" },
      body: "b",
    };
    expect(aws.headers).toEqual({});
    expect(await aws.sign?.(request)).toEqual(
      await signAws(request, {
        credential: AWS,
        service: "s3",
        region: "eu-central-1",
        now: NOW,
        cache: new Map(),
      }),
    );
    const elsewhere = lease({ ...TARGETS.aws, region: "us-west-2" }, [{ host: S3.host, service: "s3" }], AWS);
    expect((await elsewhere.sign?.(request))?.["authorization"]).toContain("/us-west-2/s3/aws4_request");
  });

  it("tells whose it is, and nothing of it", () => {
    expect(aws.about).toEqual({
      role: "writer",
      provider: "aws",
      subject: "tenant:acme:code:process-order",
      version: 3,
    });
    expect(aws.need("rejected")).toBeNull();
  });

  it.each([
    ["aws", aws, Object.values(AWS_KEYS)],
    ["bearer", bearer(["a.example.com"]), ["the-access-token-of-it"]],
  ])("every value of %s is redacted, in every form", (_, one, values) => {
    expect(Object.values(one.raw ?? {}).toSorted()).toEqual([...values].toSorted());
    const redactor = createRedactor(one.secrets);
    for (const value of values)
      for (const form of [value, encodeURIComponent(value), btoa(`x${value}y`), JSON.stringify({ a: value })])
        expect(redactor.text(form).found).toBeGreaterThan(0);
  });
});

describe("what an answer says of the credential", () => {
  const say = (one: Lease, status: number, body: string, headers: Readonly<Record<string, string>> = {}) =>
    one.read({ host: "h", status, headers, body })?.is;

  it.each([
    [aws, 400, "<Error><Code>ExpiredToken</Code></Error>", {}],
    [aws, 403, "<Error><Code>InvalidAccessKeyId</Code></Error>", {}],
    [aws, 400, '{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"x"}', {}],
    [aws, 400, '{"__type":"com.amazon.coral.service#UnrecognizedClientException"}', {}],
    [aws, 403, "", { "x-amzn-errortype": "ExpiredTokenException:http://internal.amazon.com/coral/" }],
    [bearer(["a.example.com"]), 401, "", {}],
    [bearer(["a.example.com"], TARGETS.vault), 403, '{"errors":["permission denied","invalid token"]}', {}],
  ])("%#: it has ended", (one, status, body, headers) => {
    expect(say(one, status, body, headers)).toBe("token_refused");
  });

  it.each([
    [aws, 200, "<Error><Code>ExpiredToken</Code></Error>"],
    [aws, 403, "<Error><Code>AccessDenied</Code><Key>ExpiredToken</Key></Error>"],
    [aws, 403, '{"__type":"AccessDeniedException","message":"ExpiredTokenException"}'],
    [aws, 404, "<Error><Code>NoSuchKey</Code></Error>"],
    [bearer(["a.example.com"]), 403, "invalid token"],
    [bearer(["a.example.com"]), 200, ""],
    [bearer(["a.example.com"], TARGETS.vault), 403, '{"errors":["permission denied"]}'],
  ])("%#: nothing", (one, status, body) => {
    expect(say(one, status, body)).toBeUndefined();
  });
});
