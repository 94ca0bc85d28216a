import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import {
  createPlaces,
  createTenant,
  MAX_USER_KEY_LIFE_MS,
  REVOKED_EVERYWHERE_MS,
} from "../../src/access/index.ts";
import { ROUTES } from "../../src/api/index.ts";
import { client, expectAnswer, expectProblem, makeKey, ROOT_KEY } from "./api-support.ts";

/** Nothing here may reach a run: access is decided before. */
const unreachable = (): never => {
  throw new Error("A run or workflow was reached.");
};
const api = client({
  runs: unreachable,
  runIdOf: unreachable,
  workflows: { list: unreachable, get: unreachable },
});
const RUN = `run_${"0".repeat(26)}`;
const GUARDED = ROUTES.filter(({ rule }) => rule !== "public");
let admin = "";

beforeAll(async () => {
  await createTenant(api.deps.access, { kind: "root" }, "acme", Date.now());
  admin = (await makeKey(api, "acme")).text;
});

function addressOf(path: string): string {
  return path.replace("{run}", RUN).replace(/\{\w+\}/g, "name");
}

interface KeyAnswer {
  readonly id: string;
  readonly key: string;
}

describe("every route that has a rule", () => {
  test.each(GUARDED.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "%s refuses a request without a key",
    async (_, { method, path }) => {
      const response = await api.send(method, addressOf(path));
      await expectProblem(response, 401, "credentials_missing");
      expect(response.headers.get("www-authenticate")).toBe('Bearer realm="showcaller"');
    },
  );

  test.each(
    GUARDED.filter(({ rule }) => rule !== "any key").map(
      (route) => [`${route.method} ${route.path}`, route] as const,
    ),
  )("%s refuses a key that has every scope but the one", async (_, { method, path, rule }) => {
    const others = GUARDED.map((one) => one.rule).filter((one) => one !== rule && one.includes(":"));
    const { text } = await makeKey(api, "acme", { scopes: [...new Set(others)] });
    const response = await api.send(method, addressOf(path), { key: text });
    await expectProblem(response, 403, "insufficient_scope");
    if (rule !== "root") expect(response.headers.get("www-authenticate")).toContain(`scope="${rule}"`);
  });

  test.each(
    GUARDED.filter(({ rule }) => rule !== "root").map(
      (route) => [`${route.method} ${route.path}`, route] as const,
    ),
  )("%s refuses the root key", async (_, { method, path }) => {
    await expectProblem(
      await api.send(method, addressOf(path), { key: ROOT_KEY }),
      403,
      "insufficient_scope",
    );
  });
});

describe("keys that are not taken", () => {
  const look = (key: string) => api.send("GET", `/v1/runs/${RUN}`, { key });

  test.each(["sck_tooshort", "nonsense", `sck_${"0".repeat(38)}`])("%s is no key", async (key) => {
    const response = await look(key);
    await expectProblem(response, 401, "invalid_key");
    expect(response.headers.get("www-authenticate")).toContain('error="invalid_token"');
  });

  test("a key that has expired", async () => {
    const now = Date.now();
    const { text } = await makeKey(api, "acme", { expiresAt: now - 1 }, now - 10_000);
    await expectProblem(await look(text), 401, "key_expired");
  });

  test("a key that was revoked, and the answer says from when everywhere", async () => {
    const { text, id } = await makeKey(api, "acme");
    const before = Date.now();
    const revoked = await expectAnswer<{ revoked_at: number; effective_by: number }>(
      await api.send("DELETE", `/v1/keys/${id}`, { key: admin }),
      "revokeKey",
      200,
    );
    expect(revoked.revoked_at).toBeGreaterThanOrEqual(before);
    expect(revoked.effective_by).toBe(revoked.revoked_at + REVOKED_EVERYWHERE_MS);
    await expectProblem(await look(text), 401, "key_revoked");
  });

  test("a key whose maker was revoked with all that it made", async () => {
    const made = { name: "child", scopes: ["runs:read", "workflows:read"] };
    const maker = await makeKey(api, "acme", { scopes: ["keys:write", "runs:read", "workflows:read"] });
    const child = await expectAnswer<{ id: string; key: string }>(
      await api.send("POST", "/v1/keys", { key: maker.text, body: made }),
      "createKey",
      201,
    );
    const path = `/v1/keys/${maker.id}`;
    const plain = await api.send("DELETE", path, { key: admin });
    expect(await expectAnswer(plain, "revokeKey", 200)).not.toHaveProperty("descendants");
    expect((await api.send("GET", `/v1/keys/${child.id}`, { key: child.key })).status).toBe(200);
    const whole = await api.send("DELETE", `${path}?descendants=true`, { key: admin });
    expect(await expectAnswer(whole, "revokeKey", 200)).toMatchObject({
      descendants: { revoked: 1, complete: true },
    });
    await expectProblem(await look(child.key), 401, "key_revoked");
    await expectProblem(
      await api.send("DELETE", `${path}?descendants=yes`, { key: admin }),
      400,
      "invalid_request",
    );
  });

  test("a header that is not a bearer token", async () => {
    const headers = { authorization: "Basic dXNlcjpwYXNz" };
    await expectProblem(await api.send("GET", "/v1/workflows", { headers }), 401, "invalid_key");
  });
});

describe("making keys", () => {
  const make = (key: string, body: unknown) => api.send("POST", "/v1/keys", { key, body });

  test("shows the text once, in an answer that nobody stores, and never again", async () => {
    const response = await make(admin, { name: "reporting", scopes: ["runs:read"] });
    expect(response.headers.get("cache-control")).toBe("no-store");
    const { id, key } = await expectAnswer<KeyAnswer>(response, "createKey", 201);
    expect(response.headers.get("location")).toBe(`/v1/keys/${id}`);
    expect(key).toMatch(/^sck_[0-9A-Za-z]{38}$/);
    const again = await api.send("GET", `/v1/keys/${id}`, { key: admin });
    expect(JSON.stringify(await expectAnswer(again, "getKey", 200))).not.toContain(key);
    const list = await api.send("GET", "/v1/keys?limit=100", { key: admin });
    expect(JSON.stringify(await expectAnswer(list, "listKeys", 200))).not.toContain(key);
    expect(api.lines.join("\n")).not.toContain(key);
  });

  test("a key makes no wider one: in scopes, user, expiry", async () => {
    const expiresAt = Date.now() + 1_000_000;
    const { text } = await makeKey(api, "acme", { scopes: ["keys:write", "runs:read"], expiresAt });
    const key = { name: "k", scopes: ["runs:read"] };
    await expectProblem(
      await make(text, { ...key, scopes: ["runs:read", "runs:write"] }),
      403,
      "scope_wider",
    );
    await expectProblem(await make(text, { ...key, scopes: ["runs:*"] }), 403, "scope_wider");
    await expectProblem(await make(text, { ...key, scopes: ["*"] }), 403, "scope_wider");
    await expectProblem(await make(text, { ...key, expires_at: expiresAt + 1 }), 403, "expiry_wider");
    await expectProblem(await make(text, { ...key, expires_at: null }), 403, "expiry_wider");
    await expectProblem(await make(text, { ...key, user: "ada" }), 403, "user_wider");
    await expectAnswer(await make(text, key), "createKey", 201);
  });

  test("a key bound to a user gets no scope that agents must not have, and no long life", async () => {
    const bound = { name: "agent", user: "ada", expires_at: Date.now() + 60_000 };
    await expectProblem(await make(admin, { ...bound, scopes: ["keys:read"] }), 403, "scope_not_for_users");
    const long = { ...bound, scopes: ["runs:read"], expires_at: Date.now() + 2 * MAX_USER_KEY_LIFE_MS };
    const { errors } = await expectProblem(await make(admin, long), 400, "invalid_request");
    expect(errors?.[0]?.pointer).toBe("/expires_at");
    await expectAnswer(await make(admin, { ...bound, scopes: ["runs:read"] }), "createKey", 201);
  });

  test("unknown fields and scopes are refused with their pointers", async () => {
    const response = await make(admin, { name: "k", scopes: ["runs:fly"], tenant: "acme" });
    const { errors } = await expectProblem(response, 400, "invalid_request");
    expect(errors?.map(({ pointer }) => pointer)).toEqual(["/scopes/0", "/tenant"]);
  });

  test("a key of another tenant is not found", async () => {
    await createTenant(api.deps.access, { kind: "root" }, "rival", Date.now());
    const { id } = await makeKey(api, "rival");
    await expectProblem(await api.send("GET", `/v1/keys/${id}`, { key: admin }), 404, "not_found");
    await expectProblem(await api.send("DELETE", `/v1/keys/${id}`, { key: admin }), 404, "not_found");
  });

  test("lists go on with the cursor that the page gave, and with no other", async () => {
    for (const name of ["one", "two"]) await makeKey(api, "acme", { name });
    interface Page {
      readonly data: readonly { readonly id: string }[];
      readonly next_cursor: string | null;
    }
    const list = async (query: string) =>
      expectAnswer<Page>(await api.send("GET", `/v1/keys?${query}`, { key: admin }), "listKeys", 200);
    const whole = await list("");
    const first = await list("limit=1");
    const second = await list(`limit=1&cursor=${first.next_cursor ?? ""}`);
    expect([...first.data, ...second.data]).toEqual(whole.data.slice(0, 2));
    const forged = await api.send("GET", "/v1/keys?cursor=forged", { key: admin });
    expect((await expectProblem(forged, 400, "invalid_request")).errors?.[0]?.parameter).toBe("cursor");
  });
});

describe("the root key", () => {
  const send = (path: string, body: unknown, key = ROOT_KEY) => api.send("POST", path, { key, body });

  test("makes a tenant in a jurisdiction, which its keys' first use makes known, and which nothing changes", async () => {
    const body = { id: "acme-eu", jurisdiction: "eu", location_hint: "weur" };
    await expectAnswer(await send("/v1/tenants", body), "createTenant", 201);
    const shown = await api.send("GET", "/v1/tenants/acme-eu", { key: ROOT_KEY });
    expect(await expectAnswer(shown, "getTenant", 200)).toMatchObject({ ...body, quotas: null });
    const isolate = client({ ...api.deps, access: { ...api.deps.access, places: createPlaces() } });
    const { text } = await makeKey(api, "acme-eu");
    await isolate.send("GET", "/v1/keys", { key: text });
    const known = isolate.deps.access.places.known("acme-eu");
    expect(known).toEqual({ jurisdiction: "eu", locationHint: "weur" });
    const moved = env.DB.prepare("UPDATE tenants SET jurisdiction = NULL WHERE id = 'acme-eu'").run();
    await expect(moved).rejects.toThrow("the place of a tenant is fixed");
  });

  test("is told of a jurisdiction that the platform or the field does not have, and nothing is made", async () => {
    const local = client({ ...api.deps, hasJurisdiction: async () => false });
    const made = await local.send("POST", "/v1/tenants", {
      ...{ key: ROOT_KEY, body: { id: "acme-local", jurisdiction: "eu" } },
    });
    expect((await expectProblem(made, 400, "invalid_request")).errors?.[0]?.pointer).toBe("/jurisdiction");
    const unknown = await send("/v1/tenants", { id: "acme-local", jurisdiction: "moon" });
    expect((await expectProblem(unknown, 400, "invalid_request")).errors?.[0]?.pointer).toBe("/jurisdiction");
    const looked = await api.send("GET", "/v1/tenants/acme-local", { key: ROOT_KEY });
    await expectProblem(looked, 404, "not_found");
  });

  test("makes a tenant once, and an admin key in it, which works", async () => {
    await expectAnswer(await send("/v1/tenants", { id: "fresh" }), "createTenant", 201);
    await expectProblem(await send("/v1/tenants", { id: "fresh" }), 409, "tenant_exists");
    const made = await send("/v1/tenants/fresh/keys", { name: "first" });
    const { key, id } = await expectAnswer<KeyAnswer>(made, "createAdminKey", 201);
    await expectAnswer(await api.send("GET", `/v1/keys/${id}`, { key }), "getKey", 200);
    const list = await api.send("GET", "/v1/tenants", { key: ROOT_KEY });
    expect(JSON.stringify(await expectAnswer(list, "listTenants", 200))).toContain('"fresh"');
  });

  test("makes nothing but admin keys, and none in a tenant that there is not", async () => {
    const { errors } = await expectProblem(
      await send("/v1/tenants/acme/keys", { name: "k", scopes: ["runs:read"] }),
      400,
      "invalid_request",
    );
    expect(errors?.[0]?.pointer).toBe("/scopes");
    await expectProblem(await send("/v1/tenants/nobody/keys", { name: "k" }), 404, "not_found");
  });

  test.each(["", "Acme", "a:b", "-a", "a".repeat(49)])("the tenant id %j breaks the grammar", async (id) => {
    const { errors } = await expectProblem(await send("/v1/tenants", { id }), 400, "invalid_request");
    expect(errors?.[0]?.pointer).toBe("/id");
  });
});

describe("every answer", () => {
  test.each(["/", "/healthz", "/openapi.json", "/problems", "/nowhere", "/v1/runs"])(
    "%s carries a request id and the security headers",
    async (path) => {
      const { headers } = await api.send("GET", path);
      expect(headers.get("x-request-id")).toMatch(/^req_/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("strict-transport-security")).toContain("max-age=");
      expect(headers.get("cache-control")).not.toBeNull();
    },
  );

  test("an address that is nowhere is not found; a method that is not there lists those that are", async () => {
    await expectProblem(await api.send("GET", "/v1/nowhere"), 404, "not_found");
    await expectProblem(await api.send("GET", "/v1/runs/"), 404, "not_found");
    const response = await api.send("PUT", `/v1/runs/${RUN}`);
    await expectProblem(response, 405, "method_not_allowed");
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect((await api.send("DELETE", "/v1/keys")).headers.get("allow")?.split(", ").toSorted()).toEqual([
      "GET",
      "HEAD",
      "POST",
    ]);
  });

  test("each problem's type leads to a page about it", async () => {
    const { type } = (await (await api.send("GET", "/nowhere")).json()) as { type: string };
    expect(await (await api.send("GET", type)).json()).toMatchObject({ code: "not_found", status: 404 });
    await expectProblem(await api.send("GET", "/problems/nonsense"), 404, "not_found");
  });

  test("a bug is logged and not shown, with the same request id", async () => {
    const response = await api.send("GET", "/v1/workflows", { key: admin });
    const { detail } = await expectProblem(response, 500, "internal_error");
    expect(detail).not.toContain("reached");
    const line = api.lines.find((one) => one.includes(response.headers.get("x-request-id") ?? "?"));
    expect(line).toContain("A run or workflow was reached.");
  });
});
