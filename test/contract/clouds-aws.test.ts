/** AWS's rules about sessions, and the object store that checks every signature with AWS's own signer. */
import { AwsClient } from "aws4fetch";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startWorld, type TrustInput, type World } from "../world/index.ts";
import { trustSource } from "./cloud-clients.ts";
import { startIssuer, type TestIssuer } from "./cloud-issuer.ts";
import { ask, AUDIENCES, REGION, ROLE, type Reply } from "./cloud-trust.ts";

const VIRTUAL = `invoices.s3.${REGION}.amazonaws.com`;
const PATH_STYLE = `s3.${REGION}.amazonaws.com`;

let world: World;
let issuer: TestIssuer;

beforeEach(async () => {
  [world, issuer] = await Promise.all([startWorld(), startIssuer()]);
  await trustSource({ world, source: issuer });
});
afterEach(async () => {
  await Promise.all([world.close(), issuer.close()]);
});

interface Keys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

async function assume(over: Record<string, string> = {}): Promise<Reply> {
  return ask(world, "aws", await issuer.mint(AUDIENCES.aws), over);
}

async function keys(over: Record<string, string> = {}): Promise<Keys> {
  const { text } = await assume(over);
  const read = (name: string): string => new RegExp(`<${name}>(.+)</${name}>`).exec(text)?.[1] ?? "";
  return {
    accessKeyId: read("AccessKeyId"),
    secretAccessKey: read("SecretAccessKey"),
    sessionToken: read("SessionToken"),
  };
}

interface Sent {
  method?: string;
  body?: string | Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  /** What becomes of the signed headers on their way. */
  meddle?: (headers: Headers) => void;
  otherBody?: string;
  region?: string;
}

/** Signed for the https name with aws4fetch, as the product does it, and sent to the port behind it. */
async function s3(
  credentials: Keys,
  url: string,
  sent: Sent = {},
): Promise<{ status: number; code: string; text: string }> {
  const { method = "GET", body, headers = {}, meddle, otherBody, region = REGION } = sent;
  const client = new AwsClient({ ...credentials, service: "s3", region, retries: 0 });
  const signed = await client.sign(url, {
    method,
    headers: { "x-amz-content-sha256": await hash(body ?? ""), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const wire = new Headers(signed.headers);
  const { hostname, pathname, search } = new URL(signed.url);
  wire.set("x-forwarded-host", hostname);
  meddle?.(wire);
  const payload = otherBody ?? body;
  const answer = await fetch(world.origin(hostname) + pathname + search, {
    method,
    headers: wire,
    ...(payload === undefined ? {} : { body: payload }),
  });
  const text = await answer.text();
  return { status: answer.status, code: /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? "", text };
}

async function hash(body: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

describe("sessions", () => {
  const STATEMENT = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" };
  const policy = (statement: unknown): string =>
    JSON.stringify({ Version: "2012-10-17", Statement: statement });
  const arns = (count: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        `PolicyArns.member.${index + 1}.arn`,
        "arn:aws:iam::aws:policy/P",
      ]),
    );

  test.each([
    ["a session shorter than 15 minutes", { DurationSeconds: "899" }, "400 ValidationError"],
    ["a session longer than the role allows", { DurationSeconds: "3601" }, "400 ValidationError"],
    ["a session name with a space", { RoleSessionName: "process order" }, "400 ValidationError"],
    ["a session name of one character", { RoleSessionName: "x" }, "400 ValidationError"],
    ["a session name of 65 characters", { RoleSessionName: "x".repeat(65) }, "400 ValidationError"],
    ["a role that is not there", { RoleArn: "arn:aws:iam::111122223333:role/nobody" }, "403 AccessDenied"],
    ["a role that is no ARN", { RoleArn: "invoices-writer" }, "400 ValidationError"],
    ["a session policy that is no JSON", { Policy: "{" }, "400 MalformedPolicyDocument"],
    [
      "a session policy without statements",
      { Policy: '{"Version":"2012-10-17"}' },
      "400 MalformedPolicyDocument",
    ],
    [
      "a session policy over 2,048 characters",
      { Policy: policy(Array.from({ length: 40 }, () => STATEMENT)) },
      "400 ValidationError",
    ],
    ["more than ten policies by ARN", arns(11), "400 ValidationError"],
    ["another version of the API", { Version: "2010-01-01" }, "400 InvalidAction"],
  ])("%s is refused", async (_what, over, expected) => {
    const { status, code } = await assume(over);
    expect(`${status} ${code}`).toBe(expected);
  });

  test("policies that are packed to more than there is room for", async () => {
    const long = `arn:aws:iam::aws:policy/${"x".repeat(300)}`;
    world.clouds.register({
      kind: "aws_policy",
      arn: long,
      document: { Version: "2012-10-17", Statement: { Effect: "Allow", Action: "*", Resource: "*" } },
    });
    const seven = Object.fromEntries(Object.keys(arns(7)).map((name) => [name, long]));
    expect((await assume(seven)).code).toBe("PackedPolicyTooLarge");
  });

  test("a session policy takes away from what the role may do, and adds nothing", async () => {
    const narrow = await keys({
      Policy: policy({ Effect: "Allow", Action: "s3:*", Resource: "arn:aws:s3:::invoices/2026/*" }),
    });
    const put = async (path: string): Promise<number> =>
      (await s3(narrow, `https://${path}`, { method: "PUT", body: "x" })).status;
    expect(await put(`${VIRTUAL}/2026/1.txt`)).toBe(200);
    expect(await put(`${VIRTUAL}/2027/1.txt`)).toBe(403);
    const wide = await keys({ Policy: policy({ Effect: "Allow", Action: "s3:*", Resource: "*" }) });
    const denied = await s3(wide, `https://${PATH_STYLE}/archive/1.txt`, { method: "PUT", body: "x" });
    expect([denied.status, denied.code]).toEqual([403, "AccessDenied"]);
  });

  test("what a policy denies is denied, whatever another statement allows", async () => {
    const everything = { Effect: "Allow", Action: "*", Resource: "*" };
    const deny = { Effect: "Deny", Action: "s3:Put*", Resource: "arn:aws:s3:::invoices/paid/*" };
    const credentials = await keys({ Policy: policy([everything, deny]) });
    const put = async (path: string): Promise<number> =>
      (await s3(credentials, `https://${VIRTUAL}/${path}`, { method: "PUT", body: "x" })).status;
    expect([await put("open/1.txt"), await put("paid/1.txt")]).toEqual([200, 403]);
  });

  test("tags pass where the role's trust allows sts:TagSession, and can be a condition", async () => {
    const place = issuer.issuerUrl.slice("https://".length);
    const tagged = (team: string): TrustInput => ({
      kind: "aws_role",
      arn: ROLE,
      trust: {
        Version: "2012-10-17",
        Statement: {
          Effect: "Allow",
          Principal: { Federated: `arn:aws:iam::111122223333:oidc-provider/${place}` },
          Action: ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
          Condition: {
            StringEquals: { "aws:RequestTag/team": team },
            StringLike: { [`${place}:sub`]: "tenant:acme:*" },
          },
        },
      },
    });
    const token = () =>
      issuer.sign(AUDIENCES.aws, {
        claims: { "https://aws.amazon.com/tags": { principal_tags: { team: ["billing"] } } },
      });
    world.clouds.register(tagged("billing"));
    expect((await ask(world, "aws", await token())).status).toBe(200);
    world.clouds.register(tagged("travel"));
    expect((await ask(world, "aws", await token())).code).toBe("AccessDenied");
  });
});

describe("the object store", () => {
  test("stores, reads, lists and deletes, in both styles of address; who stored it is in the deed", async () => {
    const credentials = await keys();
    const url = `https://${VIRTUAL}/2026/11/invoice.txt`;
    const stored = await s3(credentials, url, {
      method: "PUT",
      body: "Invoice 7",
      headers: { "content-type": "text/plain", "x-reference": "order-7" },
    });
    expect(stored.status).toBe(200);
    const read = await s3(credentials, `https://${PATH_STYLE}/invoices/2026/11/invoice.txt`);
    expect(read.text).toBe("Invoice 7");
    const listed = await s3(credentials, `https://${VIRTUAL}/?list-type=2&prefix=2026%2F`);
    expect(listed.text).toContain("<KeyCount>1</KeyCount>");
    expect(listed.text).toContain("<Key>2026/11/invoice.txt</Key>");
    const [deed] = world.referee.happened("order-7").deeds;
    expect(deed).toMatchObject({
      service: "s3",
      kind: "object",
      key: "s3://invoices/2026/11/invoice.txt",
      data: {
        by: {
          role: ROLE,
          session: "arn:aws:sts::111122223333:assumed-role/invoices-writer/process-order",
          subject: issuer.subject,
        },
      },
    });
    expect((await s3(credentials, url, { method: "DELETE" })).status).toBe(204);
    expect((await s3(credentials, url)).code).toBe("NoSuchKey");
    expect((await s3(credentials, `https://${PATH_STYLE}/others/x`)).code).toBe("NoSuchBucket");
  });

  test("the same bytes once more are no second deed; other bytes take the place of the first", async () => {
    const credentials = await keys();
    const put = (body: string) => s3(credentials, `https://${VIRTUAL}/a.txt`, { method: "PUT", body });
    for (const body of ["one", "one", "two"]) expect((await put(body)).status).toBe(200);
    const counts = world.referee.counts();
    expect([counts.made, counts.standing, counts.absorbed, counts.duplicates]).toEqual([2, 1, 1, 0]);
    const once = { method: "PUT", body: "three", headers: { "if-none-match": "*" } };
    expect((await s3(credentials, `https://${VIRTUAL}/a.txt`, once)).code).toBe("PreconditionFailed");
  });

  test("an answer that was lost has stored the object", async () => {
    const credentials = await keys();
    world.faults([{ service: "s3-invoices", fault: { kind: "lost_answer" } }]);
    const put = () => s3(credentials, `https://${VIRTUAL}/a.txt`, { method: "PUT", body: "one" });
    await expect(put()).rejects.toThrow("fetch failed");
    expect((await put()).status).toBe(200);
    expect(world.referee.counts()).toMatchObject({ made: 1, absorbed: 1, faults: 1 });
  });

  test.each([
    ["odd characters", "a b+c&d=e,f'(g)!*$@;:~ü.txt"],
    ["segments that are empty or dots in part", "a//b/.c/..d"],
    ["a percent sign", "100%25 sure.txt"],
  ])("a path with %s is signed as it is sent", async (_what, key) => {
    const credentials = await keys();
    const url = `https://${VIRTUAL}/${key.split("/").map(encodeURIComponent).join("/")}`;
    expect(await s3(credentials, url, { method: "PUT", body: "x" })).toMatchObject({ status: 200 });
    expect(world.referee.deeds({ key: `s3://invoices/${key}` })).toHaveLength(1);
  });

  test("bytes that are no text come back as they were", async () => {
    const credentials = await keys();
    const body = Uint8Array.from({ length: 256 }, (_, index) => index);
    expect((await s3(credentials, `https://${VIRTUAL}/b.bin`, { method: "PUT", body })).status).toBe(200);
    const [deed] = world.referee.deeds({ key: "s3://invoices/b.bin" });
    expect(deed?.data["sha256"]).toBe(await hash(body));
  });

  type Case = readonly [string, (credentials: Keys) => Sent & { credentials?: Keys }, string];
  const cases: readonly Case[] = [
    [
      "another secret",
      (it) => ({ credentials: { ...it, secretAccessKey: "another" } }),
      "403 SignatureDoesNotMatch",
    ],
    [
      "another access key",
      (it) => ({ credentials: { ...it, accessKeyId: "ASIA0000000000000000" } }),
      "403 InvalidAccessKeyId",
    ],
    [
      "another session token",
      (it) => ({ credentials: { ...it, sessionToken: "another" } }),
      "400 InvalidToken",
    ],
    ["another region", () => ({ region: "us-east-1" }), "400 AuthorizationHeaderMalformed"],
    [
      "another body than the one that was signed",
      () => ({ otherBody: "changed" }),
      "400 XAmzContentSHA256Mismatch",
    ],
    [
      "a header that was changed on its way",
      () => ({ headers: { "x-amz-meta-a": "1" }, meddle: (it) => it.set("x-amz-meta-a", "2") }),
      "403 SignatureDoesNotMatch",
    ],
    [
      "an x-amz header that is not signed",
      () => ({ meddle: (it) => it.set("x-amz-meta-a", "1") }),
      "403 AccessDenied",
    ],
    [
      "no hash of the body",
      () => ({ meddle: (it) => it.delete("x-amz-content-sha256") }),
      "400 InvalidRequest",
    ],
    ["no signature", () => ({ meddle: (it) => it.delete("authorization") }), "403 AccessDenied"],
    [
      "another host than the one that was signed",
      () => ({ meddle: (it) => it.set("x-forwarded-host", "other.s3.amazonaws.com") }),
      "403 SignatureDoesNotMatch",
    ],
  ];
  test.each(cases)("%s is refused", async (_what, how, expected) => {
    const given = await keys();
    const { credentials = given, ...sent } = how(given);
    const answer = await s3(credentials, `https://${VIRTUAL}/a.txt`, { method: "PUT", body: "x", ...sent });
    expect(`${answer.status} ${answer.code}`).toBe(expected);
    expect(world.referee.counts().made).toBe(0);
  });

  test.each([16 * 60_000, -16 * 60_000])("a clock that is %i ms off is told", async (skewMs) => {
    const credentials = await keys();
    world.clouds.change({ skewMs }, "s3-invoices");
    expect((await s3(credentials, `https://${VIRTUAL}/a.txt`)).code).toBe("RequestTimeTooSkewed");
  });

  test("a session is over when its time is, or when AWS says so", async () => {
    world.clouds.change({ skewMs: -16 * 60_000 }, "aws");
    world.clouds.change({ leewayS: 3_600 }, "aws");
    expect((await s3(await keys(), `https://${VIRTUAL}/a.txt`)).code).toBe("ExpiredToken");
    world.clouds.change({ skewMs: 0 }, "aws");
    const credentials = await keys();
    expect((await s3(credentials, `https://${VIRTUAL}/a.txt`)).code).toBe("NoSuchKey");
    world.clouds.expire("aws");
    expect((await s3(credentials, `https://${VIRTUAL}/a.txt`)).code).toBe("ExpiredToken");
  });

  test("a path that cannot be decoded is refused, not a fault of the world", async () => {
    const answer = await fetch(`${world.origin(VIRTUAL)}/100%zz`);
    expect([answer.status, await answer.text()]).toEqual([
      400,
      expect.stringContaining("<Code>InvalidURI</Code>"),
    ]);
  });

  test("AWS's own signer is taken, at the port itself", async () => {
    const credentials = await keys();
    const { host } = new URL(world.origin(PATH_STYLE));
    const signer = new SignatureV4({
      credentials,
      region: REGION,
      service: "s3",
      sha256: Sha256,
      uriEscapePath: false,
    });
    const signed = await signer.sign({
      method: "PUT",
      protocol: "http:",
      hostname: host,
      path: "/invoices/own%20signer.txt",
      query: {},
      headers: { host },
      body: "x",
    });
    const answer = await fetch(`http://${host}/invoices/own%20signer.txt`, {
      method: "PUT",
      headers: signed.headers,
      body: "x",
    });
    expect(answer.status).toBe(200);
  });
});
