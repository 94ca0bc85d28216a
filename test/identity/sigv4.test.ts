/** Our signatures against those of AWS's own signer, for the same request as AWS's own clients would send it. */
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { signAws, signingFlaw } from "../../src/identity/sigv4.ts";
import { NOW } from "./support.ts";

const credential = {
  kind: "aws",
  accessKeyId: "ASIAEXAMPLE000000001",
  secretAccessKey: "secret/key+with=odd/characters0123456789",
  sessionToken: "session//token==0123456789",
  issuedAt: NOW,
  expiresAt: NOW + 1,
} as const;

interface Signable {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string | undefined;
}

const ours = async (request: Signable, service: string, now = NOW) =>
  signAws(request, { credential, service, region: "eu-central-1", now, cache: new Map() });

/** As AWS's clients write the name of an object, and their query. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function theirPath(pathname: string, service: string): string {
  return service === "s3" ? decodeURIComponent(pathname).split("/").map(encoded).join("/") : pathname;
}

async function theirs({ method, url, headers, body }: Signable, service: string, now = NOW) {
  const { hostname, pathname, searchParams } = new URL(url);
  const query: Record<string, string | string[]> = Object.create(null);
  for (const name of searchParams.keys()) {
    const values = searchParams.getAll(name);
    query[name] = values.length === 1 ? (values[0] ?? "") : values;
  }
  const signer = new SignatureV4({
    credentials: credential,
    region: "eu-central-1",
    service,
    sha256: Sha256,
    uriEscapePath: service !== "s3",
  });
  const signed = await signer.sign(
    {
      method,
      protocol: "https:",
      hostname,
      path: theirPath(pathname, service),
      query,
      headers: { host: hostname, ...headers },
      body,
    },
    { signingDate: new Date(now) },
  );
  return signed.headers;
}

async function expectSame(request: Signable, service: string, now = NOW): Promise<void> {
  const [mine, reference] = await Promise.all([ours(request, service, now), theirs(request, service, now)]);
  for (const name of ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"])
    expect(mine[name]).toBe(reference[name]);
}

const get = (url: string, headers: Readonly<Record<string, string>> = {}): Signable => ({
  ...{ method: "GET", url, headers, body: undefined },
});
const S3 = "https://invoices.s3.eu-central-1.amazonaws.com";

describe("names of objects in S3", () => {
  it.each([
    "/",
    "/plain.pdf",
    "/a b.pdf",
    "/a%20b.pdf",
    "/a%2Bb.pdf",
    "/a%2Fb.pdf",
    "/rechnung-ü-日本-🧾.pdf",
    "/r%C3%A9sum%C3%A9",
    "//double//slashes//",
    "/dots..in/na..me/.hidden",
    "/../up/./here",
    "/tilde~name",
    "/%7Etilde",
    "/parens(1)[2]{3}.pdf",
    "/stars*and!bangs'quotes",
    "/%28done%29%2A%21%27",
    "/semi;colon:at@and&eq=dollar$comma,",
    "/percent%25sign",
    "/twice%2525",
    "/hash%23question%3F",
    "/back%5Cslash",
    "/quote%22less%3Cgreater%3E",
    "/pipe|caret^tick`",
    "/UPPER/lower%2flower-digits%c3%bc",
  ])("%s", async (path) => {
    for (const method of ["GET", "HEAD", "DELETE"])
      await expectSame({ method, url: `${S3}${path}`, headers: {}, body: undefined }, "s3");
    await expectSame(
      { method: "PUT", url: `${S3}${path}`, headers: { "content-type": "application/pdf" }, body: "x" },
      "s3",
    );
  });

  it.each([
    ["/a+b", "read in two ways"],
    ["/100%", "not encoded"],
    ["/%ff", "not encoded"],
    ["/a?x=1&x=2", "given twice"],
    ["/a?%78=1&x=2", "given twice"],
    ["/a?=1", "no name"],
    ["/a?x=%", "not encoded"],
    ["/a?x=%ff", "not encoded"],
  ])("%s is not sent: it could mean another", (path, why) => {
    expect(signingFlaw(new URL(`${S3}${path}`), "s3")).toContain(why);
  });

  it("what the table signs has no flaw, and other services may repeat parameters", () => {
    expect(signingFlaw(new URL(`${S3}/a%2Bb(1)?x=a+b&y`), "s3")).toBeNull();
    expect(signingFlaw(new URL("https://sqs.eu-central-1.amazonaws.com/a+b?x=1&x=2"), "sqs")).toBeNull();
  });
});

describe("query parameters", () => {
  const queries = [
    "list-type=2&prefix=a/b&delimiter=%2F",
    "prefix=a%20b&marker=c+d",
    "uploads",
    "uploads=",
    "b=2&a=1&C=3&_=4&10=5&9=6",
    "x=ü&y=%E2%82%AC&z=~*'()!",
    "partNumber=1&uploadId=a.b-c_d~e",
    "a=1%2B1%3D2&b=%26&c=%25",
    "&&a=1&&",
    "a==&b=c=d",
    "a%2Fb=1&a-b=2&a.b=3",
  ];
  it.each(queries)("%s at S3", async (query) => expectSame(get(`${S3}/key?${query}`), "s3"));
  it.each([...queries, "a=2&a=1&a=10", "a=b&a=", "k=ü&k=u&k=%F0%9F%A7%BE"])("%s elsewhere", async (query) =>
    expectSame(get(`https://execute-api.eu-central-1.amazonaws.com/x?${query}`), "execute-api"),
  );
});

describe("other services", () => {
  it.each(["/", "/a b", "/a%20b", "/a%2Fb", "//a//b//", "/ü", "/a+b", "/a:b@c", "/(1)*!'", "/%7e~"])(
    "the path %s",
    async (path) => {
      await expectSame(get(`https://es.eu-central-1.amazonaws.com${path}`), "es");
    },
  );

  it("DynamoDB: JSON, its target and its type are signed", async () => {
    const request = {
      method: "POST",
      url: "https://dynamodb.eu-central-1.amazonaws.com/",
      headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.PutItem" },
      body: JSON.stringify({ TableName: "t", Item: { id: { S: "ü — 🧾" } } }),
    };
    await expectSame(request, "dynamodb");
    expect((await ours(request, "dynamodb"))["authorization"]).toContain(
      "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target,",
    );
  });

  it("a form, as STS and SQS take it", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
    await expectSame(
      {
        method: "POST",
        url: "https://sqs.eu-central-1.amazonaws.com/",
        headers,
        body: "Action=SendMessage&Body=a+b%20c",
      },
      "sqs",
    );
  });
});

describe("bodies", () => {
  it.each([
    ["none", undefined],
    ["an empty text", ""],
    ["no bytes", new Uint8Array()],
    ["bytes that are no text", Uint8Array.from({ length: 1_000 }, (_, i) => (i * 7) % 256)],
    ["a text beyond ASCII", "ü日本🧾"],
    ["1 MiB", new Uint8Array(1_048_576).fill(7)],
  ])("%s", async (_, body) => {
    for (const service of ["s3", "lambda"])
      await expectSame(
        { method: "PUT", url: `${S3}/key`, headers: { "content-type": "x/y" }, body },
        service,
      );
  });

  it("the hash of the body is signed, also at S3", async () => {
    const one = await ours({ method: "PUT", url: `${S3}/k`, headers: {}, body: "one" }, "s3");
    const two = await ours({ method: "PUT", url: `${S3}/k`, headers: {}, body: "two" }, "s3");
    expect(one["x-amz-content-sha256"]).toMatch(/^[0-9a-f]{64}$/);
    expect(one["authorization"]).not.toBe(two["authorization"]);
  });
});

describe("headers", () => {
  it("odd values are signed as they are sent", async () => {
    await expectSame(
      get(`${S3}/k`, {
        "x-amz-meta-note": "  a   b  c ",
        "x-amz-acl": "private",
        "if-none-match": '"e"',
        range: "bytes=0-9",
      }),
      "s3",
    );
  });

  it("what changes on the way is not signed", async () => {
    const plain = await ours(get(`${S3}/k`), "s3");
    const more = {
      "user-agent": "x",
      traceparent: "00-1-2-00",
      "accept-encoding": "gzip",
      "content-length": "0",
      "x-amzn-trace-id": "r",
    };
    expect(await ours(get(`${S3}/k`, more), "s3")).toEqual(plain);
  });

  it("a step's own cannot take the place of the signature's", async () => {
    const evil = {
      Authorization: "AWS4-HMAC-SHA256 Credential=x",
      "X-Amz-Date": "20000101T000000Z",
      "x-amz-security-token": "other",
      "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
      Host: "evil.example.com",
    };
    expect(await ours(get(`${S3}/k`, evil), "s3")).toEqual(await ours(get(`${S3}/k`), "s3"));
  });

  it("only the signature's own are given, and none is missing", async () => {
    expect(Object.keys(await ours(get(`${S3}/k`, { "x-amz-acl": "private" }), "s3")).toSorted()).toEqual([
      ...["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"],
    ]);
  });
});

it("the day, the service and the region change the key, and the cache does not mix them up", async () => {
  const cache = new Map<string, ArrayBuffer>();
  const sign = async (service: string, region: string, now: number) =>
    (await signAws(get(`${S3}/k`), { credential, service, region, now, cache }))["authorization"];
  const all = [
    await sign("s3", "eu-central-1", NOW),
    await sign("s3", "eu-central-1", NOW + 86_400_000),
    await sign("s3", "us-east-1", NOW),
    await sign("dynamodb", "eu-central-1", NOW),
  ];
  expect(new Set(all).size).toBe(4);
  expect(cache.size).toBe(4);
  expect(await sign("s3", "eu-central-1", NOW)).toBe(all[0]);
});

describe("whatever is asked for", () => {
  const text = fc.string({ unit: "binary", maxLength: 12 });
  const segment = text.filter((one) => one !== "." && one !== ".." && !/^%2e/i.test(one));
  const query = fc.uniqueArray(
    fc.tuple(
      // AWS's signer keeps a query in an object, which has no place for this one.
      text.filter((name) => name !== "" && name !== "__proto__"),
      text,
    ),
    {
      selector: ([name]) => name,
      maxLength: 5,
    },
  );
  const headers = fc.dictionary(
    fc.stringMatching(/^x-amz-meta-[a-z0-9-]{1,8}$/),
    fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/),
    { maxKeys: 4, noNullPrototype: true },
  );
  const body = fc.oneof(fc.constant(undefined), text, fc.uint8Array({ maxLength: 64 }));
  const method = fc.constantFrom("GET", "PUT", "POST", "DELETE");
  const now = fc.integer({ min: 0, max: 4_000_000_000 }).map((s) => s * 1_000);

  it("the signature is that of AWS's own signer", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { maxLength: 4 }),
        query,
        headers,
        body,
        method,
        fc.constantFrom("s3", "dynamodb", "execute-api"),
        now,
        async (segments, pairs, given, content, verb, service, at) => {
          const path = segments.map((one) => encodeURIComponent(one.toWellFormed())).join("/");
          const search = pairs
            .map((pair) => pair.map((one) => encodeURIComponent(one.toWellFormed())).join("="))
            .join("&");
          const url = `${S3}/${path}${search === "" ? "" : `?${search}`}`;
          fc.pre(signingFlaw(new URL(url), service) === null);
          await expectSame({ method: verb, url, headers: given, body: content }, service, at);
        },
      ),
      { numRuns: 300 },
    );
  });
});
