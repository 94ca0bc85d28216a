/** What each exchange sends, and what it makes of a good answer, a bad one and a hostile one. */
import { describe, expect, it } from "vitest";
import { exchangeFor, REQUEST_TIMEOUT_MS } from "../../src/identity/exchange.ts";
import type { CloudRole, RoleTarget } from "../../src/identity/role.ts";
import {
  answered,
  AWS_KEYS,
  awsError,
  awsXml,
  chained,
  NOW,
  roleOf,
  Surroundings,
  TARGETS,
  WHO,
  type Answer,
} from "./support.ts";

const TOKEN = { access_token: "the-access-token-of-it", token_type: "Bearer", expires_in: 3600 };
const HOUR_MS = 3_600_000;

async function exchanged(role: CloudRole, of: Surroundings, who: Parameters<typeof exchangeFor>[1] = WHO) {
  return exchangeFor(role, who, of.ports);
}

const answering = (answer: Answer): Surroundings => new Surroundings(() => answered(answer));

describe("every request", () => {
  it.each(Object.values(TARGETS).filter(({ provider }) => provider !== "jwt"))(
    "of $provider follows no redirect, goes to one host, has a time limit and a size limit",
    async (target) => {
      const of = answering({ status: 503, body: "" });
      await exchanged(roleOf(target), of);
      const [request] = of.sent;
      expect(request).toMatchObject({ method: "POST", effect: "once", timeoutMs: REQUEST_TIMEOUT_MS });
      expect(request?.allowedHosts).toEqual([new URL(request?.url ?? "").hostname]);
      expect(request?.maxResponseBytes).toBeLessThanOrEqual(65_536);
    },
  );
});

describe("aws", () => {
  const good = (expiresAt = NOW + HOUR_MS): Answer => ({
    status: 200,
    body: awsXml("AssumeRoleWithWebIdentity", { expiresAt }),
  });

  it("is asked as the facts say, and its keys are read", async () => {
    const of = answering(good());
    const role = roleOf({
      ...TARGETS.aws,
      sessionPolicy: '{"Version":"2012-10-17"}',
      sessionPolicyArns: ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"],
      tags: { team: "billing" },
      transitiveTags: ["team"],
    });
    const result = await exchanged(role, of);
    expect(of.sent[0]?.url).toBe("https://sts.eu-central-1.amazonaws.com/");
    expect(of.form(1)).toEqual({
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: TARGETS.aws.roleArn,
      RoleSessionName: "code.process-order",
      WebIdentityToken: of.jwts[0],
      DurationSeconds: "3600",
      Policy: '{"Version":"2012-10-17"}',
      "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/A",
      "PolicyArns.member.2.arn": "arn:aws:iam::aws:policy/B",
    });
    expect(of.minted[0]).toEqual({
      tenant: "acme",
      subject: WHO.subject,
      audience: "sts.amazonaws.com",
      ttlS: 300,
      workflowVersion: "v7",
      claims: {},
      awsTags: { tags: { team: "billing" }, transitiveTags: ["team"] },
    });
    expect(result).toEqual({
      ok: true,
      value: {
        kind: "aws",
        accessKeyId: AWS_KEYS.AccessKeyId,
        secretAccessKey: AWS_KEYS.SecretAccessKey,
        sessionToken: AWS_KEYS.SessionToken,
        issuedAt: NOW,
        expiresAt: NOW + HOUR_MS,
      },
    });
  });

  it.each([
    ["eu-central-1", "sts.eu-central-1.amazonaws.com"],
    ["us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"],
    ["cn-north-1", "sts.cn-north-1.amazonaws.com.cn"],
    ["eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"],
  ])("%s is asked at %s", async (region, host) => {
    const of = answering(good());
    await exchanged(roleOf({ ...TARGETS.aws, region }), of);
    expect(new URL(of.sent[0]?.url ?? "").hostname).toBe(host);
  });

  it.each(["evil.com/", "us-east-1.evil.com", "", "us_east_1", "US-EAST-1", "x".repeat(200)])(
    "nothing is sent for the region %j",
    async (region) => {
      const of = answering(good());
      expect(await exchanged(roleOf({ ...TARGETS.aws, region }), of)).toMatchObject({
        error: { kind: "configuration", code: "region_invalid" },
      });
      expect(of.sent).toEqual([]);
    },
  );

  it.each([
    ["10 minutes behind", -600_000],
    ["10 minutes ahead", 600_000],
  ])("credentials live as long as AWS gave them where our clock is %s", async (_, off) => {
    // What AWS calls now, in its header and in its answer.
    const theirs = NOW - off;
    const of = new Surroundings(() =>
      answered({ ...good(theirs + 900_000), headers: { date: new Date(theirs).toUTCString() } }),
    );
    expect(await exchanged(roleOf({ ...TARGETS.aws, durationS: 900 }), of)).toMatchObject({
      value: { issuedAt: NOW, expiresAt: NOW + 900_000 },
    });
  });

  it("an end beyond what was asked for is not believed", async () => {
    const of = answering(good(NOW + 100 * HOUR_MS));
    expect(await exchanged(roleOf(TARGETS.aws), of)).toMatchObject({ value: { expiresAt: NOW + HOUR_MS } });
  });

  it("a role of one run says so in the session and in the token, another one does not", async () => {
    const run = "run_0123456789abcdefghjkmnpqr0";
    const shared = answering(good());
    await exchanged(roleOf(TARGETS.aws), shared, { ...WHO, run });
    expect(shared.form(1)["RoleSessionName"]).toBe("code.process-order");
    expect(shared.minted[0]).not.toHaveProperty("run");
    const own = answering(good());
    await exchanged(roleOf(TARGETS.aws, { perRun: true }), own, { ...WHO, run });
    expect(own.form(1)["RoleSessionName"]).toBe(`${run}.code.process-order`);
    expect(own.minted[0]?.run).toBe(run);
  });

  it("a session name is one that AWS takes, whatever the workflow's is", async () => {
    for (const subject of [
      { kind: "plan", name: "a".repeat(64) },
      { kind: "code", name: "x" },
      { kind: "inline", name: null },
    ] as const) {
      const of = answering(good());
      await exchanged(roleOf(TARGETS.aws), of, { ...WHO, subject });
      expect(of.form(1)["RoleSessionName"]).toMatch(/^[\w+=,.@-]{2,64}$/);
    }
  });

  it("the second of two roles is assumed with the signed credentials of the first", async () => {
    const second = {
      AccessKeyId: "ASIASECOND0000000001",
      SecretAccessKey: "second-secret-key",
      SessionToken: "second-token",
    };
    const of = new Surroundings(({ body }) =>
      String(body).includes("Action=AssumeRole&")
        ? answered({ status: 200, body: awsXml("AssumeRole", { expiresAt: NOW + 1_800_000, keys: second }) })
        : answered(good(NOW + 900_000)),
    );
    const then = { roleArn: "arn:aws:iam::2:role/second", externalId: "e-1", sessionPolicy: "{}" };
    const result = await exchanged(roleOf(chained(then, { durationS: 1_800 })), of);
    expect(of.form(1)).toMatchObject({ DurationSeconds: "900", RoleArn: TARGETS.aws.roleArn });
    expect(of.form(2)).toEqual({
      Action: "AssumeRole",
      Version: "2011-06-15",
      RoleArn: then.roleArn,
      RoleSessionName: "code.process-order",
      DurationSeconds: "1800",
      ExternalId: "e-1",
      Policy: "{}",
    });
    const headers = of.sent[1]?.headers ?? {};
    expect(headers["authorization"]).toMatch(
      /^AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE000000001\/22000101\/eu-central-1\/sts\/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/,
    );
    expect(headers["x-amz-security-token"]).toBe(AWS_KEYS.SessionToken);
    expect(result).toMatchObject({
      value: { secretAccessKey: "second-secret-key", expiresAt: NOW + 1_800_000 },
    });
  });

  const whole = awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + HOUR_MS });
  it.each([
    ["nothing", ""],
    ["a page", "<html><body>hello</body></html>"],
    ["JSON", '{"Credentials":{}}'],
    ["a document type", `<!DOCTYPE a [<!ENTITY x "y">]>${whole}`],
    ["an entity of its own", whole.replace("secret/", "&x;")],
    ["a comment in the key", whole.replace("secret/", "<!-- -->secret/")],
    ["CDATA", whole.replace("secret/", "<![CDATA[s]]>")],
    ["two roots", `${whole}${whole}`],
    ["an element that is not closed", whole.replace("</Credentials>", "")],
    ["another action", whole.replaceAll("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML")],
    ["keys elsewhere", whole.replaceAll("Credentials>", "Other>")],
    ["no session token", whole.replace(/<SessionToken>.*?<\/SessionToken>/, "")],
    ["an empty key", whole.replace(/<SecretAccessKey>.*?</, "<SecretAccessKey><")],
    ["a line break in the token", whole.replace("session//", "ses\nsion//")],
    ["a token of 20,000 characters", whole.replace("session//", "s".repeat(20_000))],
    ["an end that is none", whole.replace(/<Expiration>.*?</, "<Expiration>soon<")],
    [
      "an end that is over",
      whole.replace(/<Expiration>.*?</, `<Expiration>${new Date(NOW - 1).toISOString()}<`),
    ],
    ["200 levels", `${"<a>".repeat(200)}${"</a>".repeat(200)}`],
    ["64 KiB of tags that are not closed", "<a>".repeat(21_000)],
    ["64 KiB of attributes", `<a ${'b="c" '.repeat(10_000)}`],
  ])("%s is no answer, and it is asked again later", async (_, body) => {
    const began = performance.now();
    expect(await exchanged(roleOf(TARGETS.aws), answering({ status: 200, body }))).toMatchObject({
      ok: false,
      error: { kind: "passing", code: "answer_unreadable" },
    });
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it("reads the entities of XML, and only those", async () => {
    const keys = { ...AWS_KEYS, SecretAccessKey: "a&amp;b&#x2F;c&#47;d&lt;e" };
    const of = answering({
      status: 200,
      body: awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + 1, keys }),
    });
    expect(await exchanged(roleOf(TARGETS.aws), of)).toMatchObject({
      value: { secretAccessKey: "a&b/c/d<e" },
    });
  });
});

describe("gcp", () => {
  const federated = { access_token: "ya29.federated-token", token_type: "Bearer", expires_in: 3600 };
  const both = (second: unknown, headers: Readonly<Record<string, string>> = {}): Surroundings =>
    new Surroundings((_, nth) => answered({ status: 200, body: nth === 1 ? federated : second, headers }));

  it("is asked as the facts say, in two steps", async () => {
    const of = both({
      accessToken: "ya29.impersonated",
      expireTime: new Date(NOW + 1_800_000).toISOString(),
    });
    const result = await exchanged(roleOf(TARGETS.gcp), of);
    expect(of.sent[0]?.url).toBe("https://sts.googleapis.com/v1/token");
    expect(of.form(1)).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      audience: `//iam.googleapis.com/${TARGETS.gcp.workloadProvider}`,
      scope: "https://www.googleapis.com/auth/cloud-platform",
      requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      subject_token: of.jwts[0],
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    });
    expect(of.sent[1]).toMatchObject({
      url: "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/writer%40project.iam.gserviceaccount.com:generateAccessToken",
      headers: { authorization: "Bearer ya29.federated-token", "content-type": "application/json" },
      body: JSON.stringify({ scope: TARGETS.gcp.scopes, lifetime: "1800s" }),
    });
    expect(result).toMatchObject({
      value: {
        header: "authorization",
        scheme: "Bearer ",
        token: "ya29.impersonated",
        expiresAt: NOW + 1_800_000,
      },
    });
  });

  it("without an account the federated token is the credential, of the role's scopes", async () => {
    const { serviceAccount: _, ...direct } = TARGETS.gcp;
    const of = answering({ status: 200, body: federated });
    expect(await exchanged(roleOf(direct), of)).toMatchObject({
      value: { token: "ya29.federated-token", expiresAt: NOW + HOUR_MS },
    });
    expect(of.form(1)["scope"]).toBe(direct.scopes.join(" "));
    expect(of.sent).toHaveLength(1);
  });

  it("an account's name cannot lead to another path", async () => {
    const of = both({});
    await exchanged(roleOf({ ...TARGETS.gcp, serviceAccount: "../../x?y#z" }), of);
    expect(new URL(of.sent[1]?.url ?? "").pathname).toBe(
      "/v1/projects/-/serviceAccounts/..%2F..%2Fx%3Fy%23z:generateAccessToken",
    );
  });

  it.each([
    ["10 minutes behind", -600_000],
    ["10 minutes ahead", 600_000],
  ])("a token lives as long as Google gave it where our clock is %s", async (_, off) => {
    const theirs = NOW - off;
    const of = both(
      { accessToken: "ya29.impersonated", expireTime: new Date(theirs + 1_800_000).toISOString() },
      { date: new Date(theirs).toUTCString() },
    );
    expect(await exchanged(roleOf(TARGETS.gcp), of)).toMatchObject({ value: { expiresAt: NOW + 1_800_000 } });
  });
});

describe("the others are asked as the facts say", () => {
  it("azure", async () => {
    const of = answering({ status: 200, body: { ...TOKEN, expires_in: 3599 } });
    expect(await exchanged(roleOf(TARGETS.azure), of)).toMatchObject({
      value: { expiresAt: NOW + 3_599_000 },
    });
    expect(of.sent[0]?.url).toBe(
      `https://login.microsoftonline.com/${TARGETS.azure.directory}/oauth2/v2.0/token`,
    );
    expect(of.form(1)).toEqual({
      client_id: TARGETS.azure.clientId,
      scope: "https://vault.azure.net/.default",
      grant_type: "client_credentials",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: of.jwts[0],
    });
  });

  it("token exchange, with all that a role can say", async () => {
    const of = answering({ status: 200, body: { ...TOKEN, token_type: "N_A", issued_token_type: "x" } });
    const target = {
      ...TARGETS.token_exchange,
      subjectTokenType: "id_token",
      requestedAudience: "there",
      resource: "https://api.example.com",
      scopes: ["a", "b"],
      clientId: "me",
    } as const;
    expect(await exchanged(roleOf(target), of)).toMatchObject({ value: { token: TOKEN.access_token } });
    expect(of.sent[0]?.url).toBe(TARGETS.token_exchange.tokenUrl);
    expect(of.form(1)).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: of.jwts[0],
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      audience: "there",
      resource: "https://api.example.com",
      scope: "a b",
      client_id: "me",
    });
  });

  it("vault, with a namespace", async () => {
    const of = answering({
      status: 200,
      body: { auth: { client_token: "hvs.token-of-vault", lease_duration: 1200, renewable: true } },
    });
    const result = await exchanged(roleOf({ ...TARGETS.vault, mount: "team a/jwt", namespace: "ns1" }), of);
    expect(of.sent[0]).toMatchObject({
      url: "https://vault.example.com/v1/auth/team%20a/jwt/login",
      headers: { "x-vault-namespace": "ns1", "x-vault-request": "true" },
      body: JSON.stringify({ role: "writer", jwt: of.jwts[0] }),
    });
    expect(result).toMatchObject({
      value: {
        ...{ header: "x-vault-token", scheme: "", token: "hvs.token-of-vault", expiresAt: NOW + 1_200_000 },
        defaults: { "x-vault-namespace": "ns1" },
      },
    });
  });

  it("anthropic", async () => {
    const of = answering({ status: 200, body: { ...TOKEN, expires_in: 600 } });
    const result = await exchanged(roleOf({ ...TARGETS.anthropic, workspaceId: "wrkspc_1" }), of);
    expect(of.sent[0]).toMatchObject({
      url: "https://api.anthropic.com/v1/oauth/token",
      headers: { "anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01" },
    });
    expect(JSON.parse(String(of.sent[0]?.body))).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion: of.jwts[0],
      federation_rule_id: "fdrl_1",
      organization_id: "org-1",
      workspace_id: "wrkspc_1",
    });
    expect(result).toMatchObject({
      value: { defaults: { "anthropic-beta": "oauth-2025-04-20" }, expiresAt: NOW + 600_000 },
    });
  });

  it("openrouter, whose token never outlives ours", async () => {
    const of = answering({ status: 200, body: { ...TOKEN, expires_in: 900 } });
    expect(await exchanged(roleOf(TARGETS.openrouter), of)).toMatchObject({
      value: { expiresAt: NOW + 600_000 },
    });
    expect(of.minted[0]?.ttlS).toBe(600);
    expect(of.sent[0]?.url).toBe("https://openrouter.ai/api/v1/oauth/token");
    expect(of.form(1)).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: of.jwts[0],
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      federation_policy_id: TARGETS.openrouter.federationPolicyId,
    });
  });

  it("jwt: nobody is asked, and the token itself is the credential", async () => {
    const of = new Surroundings();
    expect(await exchanged(roleOf(TARGETS.jwt), of)).toMatchObject({
      value: { header: "authorization", scheme: "Bearer ", token: of.jwts[0], expiresAt: NOW + 600_000 },
    });
    expect(of.sent).toEqual([]);
  });
});

describe("answers with a bearer token", () => {
  const targets: readonly RoleTarget[] = [
    TARGETS.azure,
    TARGETS.token_exchange,
    TARGETS.anthropic,
    TARGETS.openrouter,
  ];

  it.each([
    [undefined, 300_000],
    [null, 300_000],
    ["600", 600_000],
    [1e300, 86_400_000],
    ["soon", 300_000],
    [{}, 300_000],
  ])("a lifetime of %j is one of %i ms", async (expires_in, life) => {
    const of = answering({ status: 200, body: { ...TOKEN, expires_in } });
    expect(await exchanged(roleOf(TARGETS.azure), of)).toMatchObject({ value: { expiresAt: NOW + life } });
  });

  it.each([
    ["a page", "<html>"],
    ["a list", [TOKEN]],
    ["null", "null"],
    ["no token", { token_type: "Bearer" }],
    ["a token that is a number", { ...TOKEN, access_token: 12345678 }],
    ["a token with a line break", { ...TOKEN, access_token: "token\r\nx-evil: 1" }],
    ["a token beyond ASCII", { ...TOKEN, access_token: "tokén-of-it" }],
    ["a token of 20,000 characters", { ...TOKEN, access_token: "t".repeat(20_000) }],
    ["a token that has to be proved", { ...TOKEN, token_type: "DPoP" }],
    ["a type that is none", { ...TOKEN, token_type: 7 }],
    ["a token that has ended", { ...TOKEN, expires_in: 0 }],
    ["one that ended long ago", { ...TOKEN, expires_in: -5 }],
  ])("%s is no answer, at none of them", async (_, body) => {
    for (const target of targets)
      expect(await exchanged(roleOf(target), answering({ status: 200, body }))).toMatchObject({
        ok: false,
        error: { kind: "passing", code: "answer_unreadable" },
      });
  });

  it.each([
    ["no auth", {}],
    ["auth that is a text", { auth: "x" }],
    ["no token", { auth: { lease_duration: 5 } }],
  ])("vault: %s is no answer", async (_, body) => {
    expect(await exchanged(roleOf(TARGETS.vault), answering({ status: 200, body }))).toMatchObject({
      error: { kind: "passing", code: "answer_unreadable" },
    });
  });
});

describe("when no answer comes", () => {
  it("that passes, and nothing is tried twice at once", async () => {
    const of = new Surroundings(() => ({
      kind: "failed",
      code: "timeout",
      message: "late",
      sent: true,
      answer: null,
    }));
    expect(await exchanged(roleOf(TARGETS.azure), of)).toMatchObject({
      error: { kind: "passing", code: "timeout" },
    });
    expect(of.sent).toHaveLength(1);
  });

  it("what may not be sent is for a person to mend", async () => {
    const of = new Surroundings(() => ({ kind: "blocked", code: "host_own", message: "ourselves" }));
    expect(await exchanged(roleOf(TARGETS.token_exchange), of)).toMatchObject({
      error: { kind: "configuration", code: "host_own" },
    });
  });

  it("an issuer that is away is waited for", async () => {
    const of = new Surroundings();
    const mint = async (): Promise<never> => {
      throw new Error("Network connection lost.");
    };
    expect(await exchangeFor(roleOf(TARGETS.aws), WHO, { ...of.ports, mint })).toMatchObject({
      error: { kind: "passing", code: "issuer_unavailable" },
    });
  });

  it("an issuer's own refusal is the answer", async () => {
    const error = { kind: "configuration", code: "claims_refused", message: "m", hint: "h" } as const;
    const of = new Surroundings();
    expect(
      await exchangeFor(roleOf(TARGETS.aws), WHO, { ...of.ports, mint: async () => ({ ok: false, error }) }),
    ).toEqual({
      ok: false,
      error,
    });
  });

  it.each([
    [{ "retry-after": "7" }, 7_000],
    [{ "retry-after": new Date(NOW + 9_000).toUTCString() }, 9_000],
    [
      { "retry-after": new Date(NOW - 91_000).toUTCString(), date: new Date(NOW - 100_000).toUTCString() },
      9_000,
    ],
    [{ "retry-after": "99999999" }, 86_400_000],
    [{ "retry-after": "-1" }, undefined],
    [{}, undefined],
  ])("a service that says %j is left alone for %j ms", async (headers, wait) => {
    const result = await exchanged(roleOf(TARGETS.azure), answering({ status: 429, body: {}, headers }));
    expect(result.ok ? null : result.error.retryAfterMs).toBe(wait);
  });
});

describe("nothing of a credential is in a refusal or in the log", () => {
  const echoes: readonly (readonly [string, (jwt: string) => Answer])[] = [
    [
      "the identity token",
      (jwt) => ({ status: 400, body: { error: "invalid_grant", error_description: `bad ${jwt}` } }),
    ],
    ["it as a code", (jwt) => ({ status: 400, body: { error: jwt } })],
    [
      "it in JSON, escaped",
      (jwt) => ({ status: 400, body: { error: "x", error_description: JSON.stringify({ a: `\n${jwt}` }) } }),
    ],
    [
      "it encoded for a URL",
      (jwt) => ({ status: 400, body: { error: "x", error_description: encodeURIComponent(jwt) } }),
    ],
    ["it in XML", (jwt) => ({ status: 400, body: awsError("InvalidIdentityToken", `no: ${jwt}`) })],
  ];
  it.each(echoes)("a service echoes %s", async (_, answer) => {
    for (const target of [
      TARGETS.aws,
      TARGETS.gcp,
      TARGETS.azure,
      TARGETS.token_exchange,
      TARGETS.vault,
      TARGETS.anthropic,
    ]) {
      const of: Surroundings = new Surroundings(() => answered(answer(of.jwts.at(-1) ?? "")));
      const result = await exchanged(roleOf(target), of);
      const text = JSON.stringify([result, of.lines]);
      expect(result.ok).toBe(false);
      for (const jwt of of.jwts) expect(text).not.toContain(jwt.slice(0, 40));
    }
  });

  it("the second of two roles echoes the keys of the first", async () => {
    const of = new Surroundings(({ body }) =>
      String(body).includes("Action=AssumeRole&")
        ? answered({
            status: 400,
            body: awsError("Weird", `${AWS_KEYS.SecretAccessKey} ${AWS_KEYS.SessionToken}`),
          })
        : answered({ status: 200, body: awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + HOUR_MS }) }),
    );
    const result = await exchanged(roleOf(chained({ roleArn: "arn:aws:iam::2:role/s" })), of);
    const text = JSON.stringify([result, of.lines]);
    expect(text).toContain("Weird");
    expect(text).not.toContain(AWS_KEYS.SecretAccessKey.slice(0, 20));
    expect(text).not.toContain(AWS_KEYS.SessionToken.slice(0, 20));
  });

  it("a key that looks like a code is not told as one", async () => {
    const keys = { ...AWS_KEYS, SecretAccessKey: "SecretKeyOf40LettersAndDigits0123456789x" };
    const of = new Surroundings(({ body }) =>
      String(body).includes("Action=AssumeRole&")
        ? answered({ status: 400, body: awsError(keys.SecretAccessKey) })
        : answered({
            status: 200,
            body: awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + HOUR_MS, keys }),
          }),
    );
    const result = await exchanged(roleOf(chained({ roleArn: "arn:aws:iam::2:role/s" })), of);
    expect(result).toMatchObject({ error: { code: "http_400" } });
    expect(JSON.stringify([result, of.lines])).not.toContain(keys.SecretAccessKey.slice(0, 12));
  });

  it("a log of a good exchange holds none of it", async () => {
    const of = answering({
      status: 200,
      body: awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + HOUR_MS }),
    });
    await exchanged(roleOf(TARGETS.aws), of);
    const text = of.lines.join("\n");
    expect(text).toContain("identity.exchanged");
    for (const secret of [...Object.values(AWS_KEYS), ...of.jwts]) expect(text).not.toContain(secret);
  });

  it("long words are cut, and hold no line breaks", async () => {
    const of = answering({
      status: 400,
      body: { error: "x", error_description: `a\r\nb\u001b[31m${"c".repeat(5_000)}` },
    });
    const result = await exchanged(roleOf(TARGETS.azure), of);
    const message = result.ok ? "" : result.error.message;
    expect(message.length).toBeLessThan(400);
    expect(message).not.toMatch(/\p{Cc}/u);
  });
});
