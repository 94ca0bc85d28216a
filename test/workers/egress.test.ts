import { beforeEach, describe, expect, inject, test, vi } from "vitest";
import {
  createEgress,
  DEFAULT_MAX_RESPONSE_BYTES,
  type EgressRequest,
  type EgressResult,
  parseDevelopmentHosts,
  type SignedRequest,
} from "../../src/platform/index.ts";

const HOST = "https://api.skyline.example";
const OTHER = "https://hotel.skyline.example";
const port = inject("loopbackPort");
const egress = createEgress({
  ownHosts: ["showcaller.example", "*-showcaller.example.dev"],
  developmentHosts: parseDevelopmentHosts(
    JSON.stringify({
      "api.skyline.example": port,
      "hotel.skyline.example": port,
      "nobody.skyline.example": 1,
    }),
    true,
  ),
});

const onSend = vi.fn<() => void>();
beforeEach(() => void onSend.mockClear());

function call(url: string, more: Partial<EgressRequest> = {}): Promise<EgressResult> {
  return egress({ url, method: "GET", effect: "safe", onSend, ...more });
}

async function answered(url: string, more: Partial<EgressRequest> = {}) {
  const result = await call(url, more);
  if (result.kind !== "answered") throw new Error(`${result.kind}: ${result.code}`);
  return result;
}

async function echoed(url: string, more: Partial<EgressRequest> = {}): Promise<Record<string, unknown>> {
  const { body } = await answered(url, more);
  const { headers } = JSON.parse(new TextDecoder().decode(body)) as { headers: Record<string, unknown> };
  return headers;
}

describe("where a request may go", () => {
  test.each([
    // Schemes
    ["http://api.skyline.example/", "url_scheme"],
    ["ftp://api.skyline.example/", "url_scheme"],
    ["data:text/plain,hello", "url_scheme"],
    ["file:///etc/passwd", "url_scheme"],
    ["javascript:alert(1)", "url_scheme"],
    ["/relative", "url_invalid"],
    ["", "url_invalid"],
    ["https://", "url_invalid"],
    [`https://api.skyline.example/${"a".repeat(8_200)}`, "url_invalid"],
    // Ports
    ["https://api.skyline.example:80/", "url_port"],
    ["https://api.skyline.example:8443/", "url_port"],
    ["https://api.skyline.example:0/", "url_port"],
    ["https://api.skyline.example:65536/", "url_invalid"],
    // User-info
    ["https://user:secret@api.skyline.example/", "url_userinfo"],
    ["https://user@api.skyline.example/", "url_userinfo"],
    ["https://:secret@api.skyline.example/", "url_userinfo"],
    ["https://api.skyline.example%40127.0.0.1/", "url_invalid"],
    // IPv4 in every spelling
    ["https://127.0.0.1/", "host_address"],
    ["https://127.0.0.1./", "host_address"],
    ["https://127.1/", "host_address"],
    ["https://127.0.1/", "host_address"],
    ["https://2130706433/", "host_address"],
    ["https://2130706433./", "host_address"],
    ["https://0x7f000001/", "host_address"],
    ["https://0x7f.0.0.1/", "host_address"],
    ["https://0X7F.1/", "host_address"],
    ["https://0x7f000001./", "host_address"],
    ["https://017700000001/", "host_address"],
    ["https://0177.0.0.1/", "host_address"],
    ["https://0/", "host_address"],
    ["https://169.254.169.254/latest/meta-data/", "host_address"],
    ["https://１２７.0.0.1/", "host_address"],
    ["https://127。0。0。1/", "host_address"],
    ["https://①②⑦.0.0.1/", "host_address"],
    ["https://%31%32%37.0.0.1/", "host_address"],
    ["https://8.8.8.8/", "host_address"],
    ["https://256.0.0.1/", "url_invalid"],
    ["https://1.2.3.4.5/", "url_invalid"],
    // IPv6
    ["https://[::1]/", "host_address"],
    ["https://[::]/", "host_address"],
    ["https://[::ffff:127.0.0.1]/", "host_address"],
    ["https://[::ffff:7f00:1]/", "host_address"],
    ["https://[64:ff9b::7f00:1]/", "host_address"],
    ["https://[fd00::1]/", "host_address"],
    ["https://[0:0:0:0:0:0:0:1]/", "host_address"],
    ["https://[::1%25eth0]/", "url_invalid"],
    ["https://::1/", "url_invalid"],
    // Names that are not public
    ["https://localhost/", "host_local"],
    ["https://LOCALHOST/", "host_local"],
    ["https://localhost./", "host_local"],
    ["https://api.localhost/", "host_local"],
    ["https://router/", "host_local"],
    ["https://com/", "host_local"],
    ["https://metadata.google.internal/", "host_local"],
    ["https://metadata.google.internal./", "host_local"],
    ["https://printer.local/", "host_local"],
    ["https://nas.home.arpa/", "host_local"],
    ["https://hidden.onion/", "host_local"],
    // Names that are none
    ["https://api.skyline.example./", "host_invalid"],
    ["https://api..skyline.example/", "host_invalid"],
    ["https://api.skyline.example../", "host_invalid"],
    ["https://api.skyline-.example/", "host_invalid"],
    ["https://api.skyline.123a/", "host_invalid"],
    // Ourselves
    ["https://showcaller.example/v1/runs", "host_own"],
    ["https://SHOWCALLER.example/", "host_own"],
    ["https://showcaller.example:443/", "host_own"],
    ["https://showcaller。example/", "host_own"],
    ["https://3f2a-showcaller.example.dev/", "host_own"],
    ["https://showcaller.example./", "host_invalid"],
    // Not on the list
    ["https://evil.example/", "host_not_allowed"],
    ["https://api.skyline.example.evil.example/", "host_not_allowed"],
    ["https://xapi.skyline.example/", "host_not_allowed"],
    ["https://skyline.example/", "host_not_allowed"],
    ["https://rooms.example/", "host_not_allowed"],
  ])("refuses %s with %s, and sends nothing", async (url, code) => {
    const result = await call(url, { allowedHosts: ["api.skyline.example", "*.rooms.example"] });
    expect(result).toMatchObject({ kind: "blocked", code });
    expect(onSend).not.toHaveBeenCalled();
  });

  test("port 443 spelled out, capitals and a host on the list pass", async () => {
    const result = await answered("https://API.Skyline.example:443/echo#part", {
      allowedHosts: ["*.skyline.example"],
    });
    expect(result.status).toBe(200);
    expect(onSend).toHaveBeenCalledOnce();
  });

  test("a backslash ends the host, so what looks like user-info before it is the host", async () => {
    await answered("https://api.skyline.example\\@127.0.0.1/?status=200", {
      allowedHosts: ["api.skyline.example"],
    });
    expect(await call("https://127.0.0.1\\@api.skyline.example/")).toMatchObject({ code: "host_address" });
  });

  test("a message names no user, path or query", async () => {
    const secret = "hunter2hunter2";
    const urls = [`https://u:${secret}@a.example/`, `http://a.example/?k=${secret}`, `${HOST}/${secret}`];
    for (const url of urls) {
      const result = await call(url, { allowedHosts: [] });
      expect(JSON.stringify(result)).not.toContain(secret);
    }
  });

  test.each([
    [{ method: "get" }, "method_invalid"],
    [{ method: "TRACE" }, "method_invalid"],
    [{ method: "CONNECT" }, "method_invalid"],
    [{ method: "GET", body: "x" }, "body_not_allowed"],
    [{ headers: { Host: "evil.example" } }, "header_forbidden"],
    [{ headers: { "X-Forwarded-Host": "evil.example" } }, "header_forbidden"],
    [{ headers: { "CF-Connecting-IP": "1.2.3.4" } }, "header_forbidden"],
    [{ headers: { "content-length": "0" } }, "header_forbidden"],
    [{ headers: { "transfer-encoding": "chunked" } }, "header_forbidden"],
    [{ headers: { "x-note": "a\r\nx-evil: 1" } }, "header_invalid"],
    [{ headers: { "x note": "a" } }, "header_invalid"],
  ] as const)("refuses %j with %s", async (request, code) => {
    expect(await call(`${HOST}/echo`, request)).toMatchObject({ kind: "blocked", code });
    expect(onSend).not.toHaveBeenCalled();
  });

  test("a configuration with an own host that is no host is refused at once", () => {
    expect(() => createEgress({ ownHosts: ["https://showcaller.example"] })).toThrow(TypeError);
    expect(() => createEgress({ ownHosts: ["*showcaller.example"] })).toThrow(TypeError);
  });
});

describe("what is sent and kept", () => {
  test("body, headers, trace and a user agent go out", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const result = await answered(`${HOST}/echo?a=b`, {
      method: "POST",
      effect: "once",
      headers: { Authorization: "Bearer t", "Idempotency-Key": "k" },
      body: "hello",
      traceparent,
    });
    const seen = JSON.parse(new TextDecoder().decode(result.body)) as Record<string, unknown>;
    expect(seen).toMatchObject({ method: "POST", body: "hello" });
    expect(seen["headers"]).toMatchObject({
      authorization: "Bearer t",
      "idempotency-key": "k",
      traceparent,
      "user-agent": "Showcaller/1",
      "x-forwarded-host": "api.skyline.example",
    });
  });

  test("an invalid traceparent is left out", async () => {
    expect(await echoed(`${HOST}/echo`, { traceparent: "00-zz" })).not.toHaveProperty("traceparent");
  });

  test("answer headers are kept by name; cookies never", async () => {
    const keepHeaders = ["X-Internal", "set-cookie"];
    expect((await answered(`${HOST}/echo`)).headers).toEqual({
      "content-type": "application/json",
      date: expect.any(String) as string,
      etag: '"1"',
    });
    expect((await answered(`${HOST}/echo`, { keepHeaders })).headers).toHaveProperty("x-internal", "no");
    expect((await answered(`${HOST}/echo`, { keepHeaders })).headers).not.toHaveProperty("set-cookie");
  });

  test.each([
    "x-http-method",
    "X-HTTP-Method-Override",
    "x-method-override",
    "x-original-url",
    "X-Rewrite-Url",
  ])("%s is not sent: it would make another request of the one that was judged", async (header) => {
    const result = await call(`${HOST}/echo`, { headers: { [header]: "/admin" } });
    expect(result).toMatchObject({ kind: "blocked", code: "header_forbidden" });
    expect(onSend).not.toHaveBeenCalled();
  });

  test("an error status is an answer", async () => {
    expect(await call(`${HOST}/x?status=500`)).toMatchObject({ kind: "answered", status: 500 });
    expect(await call(`${HOST}/x?status=204`)).toMatchObject({ kind: "answered", status: 204 });
  });
});

describe("a request that is signed", () => {
  test("is signed once nothing of it changes any more, over all that is sent, and nothing replaces that (E9)", async () => {
    const seen: SignedRequest[] = [];
    const sign: EgressRequest["sign"] = async (request) => {
      expect(onSend).not.toHaveBeenCalled();
      seen.push(request);
      return { Authorization: "AWS4-HMAC-SHA256 s", "x-amz-date": "20261201T000000Z" };
    };
    const headers = await echoed(`${HOST}/echo?b=2&a=%20`, {
      ...{ method: "PUT", effect: "idempotent", body: "x", sign },
      headers: { Authorization: "Bearer mine", "X-Amz-Date": "19700101T000000Z", "x-kept": "1" },
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    expect(headers).toMatchObject({
      authorization: "AWS4-HMAC-SHA256 s",
      "x-amz-date": "20261201T000000Z",
      "x-kept": "1",
    });
    expect(seen).toEqual([
      {
        ...{ method: "PUT", url: `${HOST}/echo?b=2&a=%20`, body: "x" },
        headers: expect.objectContaining({ "x-kept": "1", "user-agent": "Showcaller/1" }),
      },
    ]);
    const sent = Object.entries(seen[0]?.headers ?? {}).filter(
      ([name]) => !/^(?:authorization|x-amz)/.test(name),
    );
    expect(headers).toMatchObject(Object.fromEntries(sent));
  });

  test("is not sent where it cannot be signed, and says nothing of why", async () => {
    const sign = async (): Promise<never> => {
      throw new Error("secret-key-1");
    };
    const result = await call(`${HOST}/echo`, { sign });
    expect(result).toMatchObject({ kind: "failed", code: "network", sent: false });
    expect(JSON.stringify(result)).not.toContain("secret-key-1");
    expect(onSend).not.toHaveBeenCalled();
  });

  test("is not signed where it may not be sent", async () => {
    const sign = vi.fn<NonNullable<EgressRequest["sign"]>>();
    const permit: EgressRequest["permit"] = async () => ({ code: "policy_denied", message: "No." });
    expect(await call(`${HOST}/echo`, { sign, permit })).toMatchObject({ kind: "blocked" });
    expect(sign).not.toHaveBeenCalled();
  });
});

describe("redirects", () => {
  const to = (target: string, status = 302): string =>
    `${HOST}/redirect?status=${status}&to=${encodeURIComponent(target)}`;
  const credentials = {
    Authorization: "Bearer t",
    Cookie: "a=b",
    "X-Api-Key": "k",
    Accept: "application/json",
  };

  test.each([301, 302, 303, 307, 308])(
    "a safe GET follows %i on the same origin with its credentials",
    async (status) => {
      const headers = await echoed(to("/echo", status), { headers: credentials });
      expect(headers).toMatchObject({ authorization: "Bearer t", cookie: "a=b", "x-api-key": "k" });
      expect(onSend).toHaveBeenCalledOnce();
    },
  );

  test("another origin sees no credential, under whatever name", async () => {
    const headers = await echoed(to(`${OTHER}/echo`), { headers: credentials });
    expect(headers).toMatchObject({
      accept: "application/json",
      "x-forwarded-host": "hotel.skyline.example",
    });
    for (const name of ["authorization", "cookie", "x-api-key"]) expect(headers).not.toHaveProperty(name);
  });

  test("credentials stay away after the way back to the first origin", async () => {
    const back = `${OTHER}/redirect?to=${encodeURIComponent(`${HOST}/echo`)}`;
    const headers = await echoed(to(back), { headers: credentials });
    expect(headers).toMatchObject({ "x-forwarded-host": "api.skyline.example" });
    expect(headers).not.toHaveProperty("authorization");
  });

  test.each([301, 302, 303, 307, 308])("what is signed follows none (E9): %i", async (status) => {
    const sign = async () => ({ authorization: "AWS4-HMAC-SHA256 s" });
    const result = await answered(to("/echo", status), { sign });
    expect(result).toMatchObject({ status, redirects: 0 });
  });

  test.each([
    ["http://api.skyline.example/echo"],
    ["https://127.0.0.1/echo"],
    ["//[::1]/echo"],
    ["https://showcaller.example/v1/runs"],
    ["https://api.skyline.example:8443/"],
    ["https://u:p@api.skyline.example/"],
    ["file:///etc/passwd"],
    ["https://"],
  ])("a redirect to %s is refused", async (target) => {
    const result = await call(to(target));
    expect(result).toMatchObject({
      kind: "failed",
      code: "redirect_refused",
      sent: true,
      answer: { status: 302 },
    });
  });

  test("a redirect off the list of allowed hosts is refused", async () => {
    const result = await call(to(`${OTHER}/echo`), { allowedHosts: ["api.skyline.example"] });
    expect(result).toMatchObject({ kind: "failed", code: "redirect_refused" });
  });

  test("each hop is asked about before it is sent, with where it goes", async () => {
    const asked: unknown[] = [];
    const permit: EgressRequest["permit"] = async ({ url, method, redirectedFrom }) => {
      expect(onSend).toHaveBeenCalledTimes(redirectedFrom === null ? 0 : 1);
      asked.push([method, url.href, redirectedFrom]);
      // What is done to it changes nothing of what is sent.
      url.hostname = "nobody.skyline.example";
      return null;
    };
    await answered(to(`${OTHER}/echo?a=1`), { permit });
    expect(asked).toEqual([
      ["GET", to(`${OTHER}/echo?a=1`), null],
      ["GET", `${OTHER}/echo?a=1`, "api.skyline.example"],
    ]);
  });

  test("a first hop that is not permitted is blocked, and a later one fails; neither is sent", async () => {
    const refusal = { code: "policy_denied", message: "No." } as const;
    const first = await call(`${HOST}/echo`, { permit: async () => refusal });
    expect(first).toEqual({ kind: "blocked", ...refusal });
    expect(onSend).not.toHaveBeenCalled();
    const later = await call(to(`${OTHER}/echo`), {
      permit: async ({ redirectedFrom }) => (redirectedFrom === null ? null : refusal),
    });
    expect(later).toMatchObject({ kind: "failed", code: "policy_denied", sent: true });
  });

  test("five hops are followed, a sixth is not, a loop ends", async () => {
    expect(await answered(`${HOST}/count?left=5`)).toMatchObject({ status: 200, redirects: 5 });
    expect(await call(`${HOST}/count?left=6`)).toMatchObject({ kind: "failed", code: "too_many_redirects" });
  });

  test.each([
    ["safe", "POST"],
    ["idempotent", "GET"],
    ["idempotent", "PUT"],
    ["keyed", "POST"],
    ["once", "GET"],
    ["once", "POST"],
  ] as const)("a %s %s is not redirected: the 307 is the answer", async (effect, method) => {
    const result = await answered(to(`${OTHER}/echo`, 307), { effect, method });
    expect(result).toMatchObject({ status: 307, redirects: 0, headers: { location: `${OTHER}/echo` } });
  });

  test("a 3xx without a place to go is an answer", async () => {
    expect(await answered(`${HOST}/x?status=304`)).toMatchObject({ status: 304 });
    expect(await answered(`${HOST}/x?status=300`)).toMatchObject({ status: 300 });
  });
});

describe("limits", () => {
  test("an answer of exactly the limit is taken, one byte more is not", async () => {
    const taken = await answered(`${HOST}/exactly?bytes=1000`, { maxResponseBytes: 1000 });
    expect(taken.body.byteLength).toBe(1000);
    const refused = await call(`${HOST}/exactly?bytes=1001`, { maxResponseBytes: 1000 });
    expect(refused).toMatchObject({ kind: "failed", code: "too_large", sent: true, answer: { status: 200 } });
  });

  test.each([
    ["plain", "/huge"],
    ["compressed", "/huge?gzip"],
    ["in chunks behind a length of 10", "/two-lengths"],
  ])("200 MB, %s, end at the limit and close the connection", async (_, path) => {
    expect(await call(`${HOST}${path}`)).toMatchObject({ kind: "failed", code: "too_large" });
    const { body } = await answered(`${HOST}/huge-cut`);
    const { bytes } = JSON.parse(new TextDecoder().decode(body)) as { bytes: number };
    // What the service could write before it noticed: our limit and the buffers on the way.
    if (path !== "/huge?gzip") expect(bytes).toBeLessThan(64 * DEFAULT_MAX_RESPONSE_BYTES);
  });

  test("a service that never answers is given up", async () => {
    const result = await call(`${HOST}/silent`, { timeoutMs: 50, effect: "once" });
    expect(result).toMatchObject({ kind: "failed", code: "timeout", sent: true, answer: null });
  });

  test("the time limit covers the body, and what had come of the answer is told", async () => {
    const result = await call(`${HOST}/stalls`, { timeoutMs: 50 });
    expect(result).toMatchObject({
      kind: "failed",
      code: "timeout",
      answer: { status: 503, headers: { "retry-after": "7" } },
    });
  });

  test("an abort of the caller ends a call in flight", async () => {
    const controller = new AbortController();
    const result = call(`${HOST}/silent`, {
      signal: controller.signal,
      onSend: () => queueMicrotask(() => controller.abort()),
    });
    expect(await result).toMatchObject({ kind: "failed", code: "aborted", sent: true });
  });

  test("a call that was aborted before it began sends nothing", async () => {
    const result = await call(`${HOST}/echo`, { signal: AbortSignal.abort() });
    expect(result).toMatchObject({ kind: "failed", code: "aborted", sent: false });
    expect(onSend).not.toHaveBeenCalled();
  });

  test.each([0, -1, Number.NaN, 900_001])(
    "a time limit of %d is a mistake of the caller",
    async (timeoutMs) => {
      await expect(call(`${HOST}/echo`, { timeoutMs })).rejects.toThrow(TypeError);
    },
  );
});

describe("lost answers", () => {
  test("a body that breaks off is truncated, with its status", async () => {
    const result = await call(`${HOST}/cut`, { effect: "once" });
    expect(result).toMatchObject({ kind: "failed", code: "truncated", sent: true, answer: { status: 200 } });
  });

  test.each([
    ["a connection that is dropped", `${HOST}/drop`],
    ["a connection that is refused", "https://nobody.skyline.example/"],
  ])("%s may have reached the service", async (_, url) => {
    expect(await call(url)).toMatchObject({ kind: "failed", code: "network", sent: true, answer: null });
  });

  test("a call that the platform refuses for want of subrequests was not sent", async () => {
    const fetch = vi
      .spyOn(globalThis, "fetch")
      .mockRejectedValueOnce(new Error("Too many subrequests by single Worker invocation."));
    const result = await call(`${HOST}/echo`, { effect: "once" });
    expect(result).toMatchObject({ kind: "failed", code: "subrequest_limit", sent: false });
    fetch.mockRestore();
  });
});
