import { expect, inject, test, vi } from "vitest";
import {
  createEgress,
  createStepFetch,
  EgressError,
  MAX_REQUEST_BYTES,
  parseDevelopmentHosts,
  type StepFetch,
  type StepFetchOptions,
} from "../../src/platform/index.ts";

const HOST = "https://api.skyline.example";
const egress = createEgress({
  ownHosts: [],
  developmentHosts: parseDevelopmentHosts(
    JSON.stringify({ "api.skyline.example": inject("loopbackPort") }),
    true,
  ),
});

function stepFetch(options: Partial<StepFetchOptions> = {}): StepFetch {
  return createStepFetch(egress, { effect: "once", ...options });
}

async function thrownBy(call: Promise<unknown>): Promise<EgressError> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof EgressError)) throw new Error(`not an EgressError: ${String(error)}`);
  return error;
}

test("it answers with a standard Response, and something was sent", async () => {
  const { fetch, sent } = stepFetch();
  expect(sent()).toBe(false);
  const form = new FormData();
  form.set("name", "Ada");
  const response = await fetch(new URL("/echo", HOST), { method: "POST", body: form });
  const seen: { method: string; body: string; headers: Record<string, string> } = await response.json();
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("set-cookie")).toBeNull();
  expect(seen.headers["content-type"]).toContain("multipart/form-data; boundary=");
  expect(seen.body).toContain("Ada");
  expect(sent()).toBe(true);
});

test("a Request object with a method in small letters is as good", async () => {
  const response = await stepFetch().fetch(new Request(`${HOST}/echo`, { method: "put", body: "x" }));
  expect(await response.json()).toMatchObject({ method: "PUT", body: "x" });
});

test("a status without a body is answered without a body", async () => {
  const response = await stepFetch().fetch(`${HOST}/x?status=204`);
  expect([response.status, response.body]).toEqual([204, null]);
});

test.each([
  ["http://api.skyline.example/", "url_scheme"],
  ["https://127.0.0.1/", "host_address"],
  ["https://localhost/", "host_local"],
  ["https://evil.example/", "host_not_allowed"],
])("%s is blocked with %s and nothing was sent", async (url, code) => {
  const { fetch, sent } = stepFetch({ allowedHosts: ["api.skyline.example"] });
  expect((await thrownBy(fetch(url))).code).toBe(code);
  expect(sent()).toBe(false);
});

test("something was sent from the moment of the call, not only after its end", async () => {
  const controller = new AbortController();
  const { fetch, sent } = stepFetch({ signal: controller.signal });
  const call = thrownBy(fetch(`${HOST}/silent`));
  await vi.waitUntil(() => sent(), { interval: 1 });
  controller.abort();
  expect((await call).code).toBe("aborted");
  expect(sent()).toBe(true);
});

test("a signal of the step's own ends the call as well", async () => {
  const call = stepFetch().fetch(`${HOST}/silent`, { signal: AbortSignal.timeout(20) });
  expect((await thrownBy(call)).code).toBe("aborted");
});

test("a cut-off answer tells its status", async () => {
  const error = await thrownBy(stepFetch().fetch(`${HOST}/cut`));
  expect([error.code, error.status]).toEqual(["truncated", 200]);
});

test("200 MB are refused", async () => {
  expect((await thrownBy(stepFetch().fetch(`${HOST}/huge?gzip`))).code).toBe("too_large");
});

test("a request body over the limit is refused before anything is sent", async () => {
  const { fetch, sent } = stepFetch();
  const body = new Uint8Array(MAX_REQUEST_BYTES + 1);
  expect((await thrownBy(fetch(`${HOST}/echo`, { method: "POST", body }))).code).toBe("request_too_large");
  expect(sent()).toBe(false);
});

test("a safe step follows redirects unless it asks for them; another step sees them", async () => {
  const url = `${HOST}/count?left=1`;
  expect((await stepFetch({ effect: "safe" }).fetch(url)).status).toBe(200);
  expect((await stepFetch({ effect: "safe" }).fetch(url, { redirect: "manual" })).status).toBe(302);
  expect((await stepFetch({ effect: "once" }).fetch(url)).status).toBe(302);
});

test("a call that the platform refuses for want of subrequests counts as not sent", async () => {
  const refused = vi.spyOn(globalThis, "fetch").mockRejectedValueOnce(new Error("Too many subrequests."));
  const { fetch, sent } = stepFetch();
  expect((await thrownBy(fetch(`${HOST}/echo`))).code).toBe("subrequest_limit");
  expect(sent()).toBe(false);
  refused.mockRestore();
});
