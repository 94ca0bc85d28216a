/**
 * Whoever would have what a role is not lent to them for, against the Worker as it is deployed: real runs, the real engine, the
 * world's AWS and its object store. Each test first shows that the role works for whom it is meant, or stops before anything is sent.
 */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey } from "./api-support.ts";
import { BUCKET, type Json, REGION, register, Tenancy } from "./cloud-support.ts";
import { arrived, deeds, fault, step } from "./run-support.ts";

let house: Tenancy;
let rival: Tenancy;
/** May start runs, append to its own, and store plans; not say who may use a role. */
let agent = "";
/** Names what a test sends, for the referee. */
let reference = "";

const OBJECT = `https://${BUCKET}`;
const CODE = ["code:t-cloud-put", "code:t-cloud-send"];

beforeAll(async () => {
  house = await Tenancy.begin("attacked");
  rival = await Tenancy.begin("attacked-rival");
  await house.awsRole({ workflows: [...CODE, "plan:nightly"] });
  agent = await newKey(house.admin, {
    scopes: ["runs:read", "runs:write", "outputs:read", "workflows:read", "workflows:write"],
  });
  await expectAnswer(await put("nightly", stores()), "putWorkflow", 201);
});
beforeEach(() => {
  reference = crypto.randomUUID();
});

function store(more: Json = {}, role = "writer"): Json {
  return {
    ...{ action: "http", effect: "idempotent", retry: { attempts: 1 } },
    with: {
      ...{ method: "PUT", url: `${OBJECT}/\${{ run.id }}.json`, auth: { cloud: role }, json: { a: 1 } },
      headers: { "x-reference": reference === "" ? "nightly" : reference },
    },
    ...more,
  };
}
/** A plan that waits for a word, and then stores an object. */
const stores = (): Json => ({
  steps: { go: { action: "wait", with: { signal: "go" } }, put: store({ needs: ["go"] }) },
});
const put = (name: string, plan: Json, key = house.admin): Promise<Response> =>
  house.call("PUT", `/v1/workflows/${name}`, plan, key);
const codesOf = ({ errors }: { readonly errors?: readonly object[] }): unknown[] =>
  (errors ?? []).map((one) => [Reflect.get(one, "pointer"), Reflect.get(one, "code")]);

/** What became of tokens that arrived at the clouds since then. */
async function exchangesBy(work: () => Promise<unknown>, tenant = house): Promise<unknown[]> {
  const before = (await tenant.exchanged()).length;
  await work();
  return (await tenant.exchanged()).slice(before);
}

const failed = (code: string): object => ({ status: "failed", failure: { code } });

describe("a role", () => {
  it("is lent to the plan and to the workflows that it names, so that what follows was stopped, and did not just fail", async () => {
    for (const workflow of ["nightly", "t-cloud-put"]) {
      const { id } = await house.begin({ workflow });
      await house.waits(id, "go");
      await house.go(id);
      expect((await house.over(id)).status).toBe("succeeded");
    }
    expect(await house.exchanged()).toEqual(
      expect.arrayContaining([
        ["tenant:attacked:plan:nightly", "granted"],
        ["tenant:attacked:code:t-cloud-put", "granted"],
      ]),
    );
  });

  it("is not lent to a workflow that it is not for, though both are the tenant's, and no token is made", async () => {
    await house.awsRole({ workflows: ["plan:nightly"] }, "of-the-plan");
    const asked = await exchangesBy(async () => {
      const run = await house.start({
        workflow: "t-cloud-send",
        input: { url: `${OBJECT}/x.json`, role: "of-the-plan" },
      });
      expect(run).toMatchObject(failed("cloud_role_refused"));
      expect(await deeds(run.id)).toBe(0);
    });
    expect(asked).toEqual([]);
  });

  it("of another tenant is none: its name is unknown, and its cloud role trusts another issuer", async () => {
    const url = `${OBJECT}/x.json`;
    const run = await rival.start({ workflow: "t-cloud-send", input: { url } });
    expect(run).toMatchObject(failed("cloud_role_unknown"));
    // The same name, and the victim's own role at AWS.
    await rival.role({
      ...{ name: "writer", provider: "aws", role_arn: house.arn(), region: REGION, hosts: [BUCKET] },
      workflows: CODE,
    });
    await rival.publish();
    const asked = await exchangesBy(async () => {
      const { id } = await rival.begin({ workflow: "t-cloud-send", input: { url } });
      // A role that was made a moment ago: AWS may only not know it yet.
      expect(step(await rival.waits(id, "send"), "send").waiting_for).toMatchObject({
        ...{ kind: "cloud", role: "writer", reason: "propagating" },
      });
    }, rival);
    // Tokens of this tenant's issuer only: the account of the victim does not know it.
    expect(new Set(asked.map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify(["tenant:attacked-rival:code:t-cloud-send", "InvalidIdentityToken"])]),
    );
    // Also where the victim's account would trust every issuer of this deployment, it is the subject that tells.
    const { issuer, audience } = await rival.trust("writer");
    await register({ kind: "aws_provider", url: issuer, clientIds: [audience] });
    const tried = await rival.call("POST", "/v1/cloud-roles/writer/test", {});
    const trial = await expectAnswer<Json>(tried, "testCloudRole", 200);
    expect(trial).toMatchObject({ works: false, refusal: { code: "AccessDenied" } });
  });
});

describe("a name that a role trusts", () => {
  it("is not that of an inline plan, whatever it calls itself", async () => {
    const plan = { name: "nightly", steps: { put: store() } };
    for (const key of [agent, house.admin]) {
      const answer = await house.call("POST", "/v1/runs", { plan }, key);
      const problem = await expectProblem(answer, 422, "bad_plan");
      expect(codesOf(problem)).toEqual([["/plan/steps/put/with/auth/cloud", "cloud_role_refused"]]);
    }
    expect(await arrived(reference)).toEqual([]);
  });

  it("is not that of steps that are appended to an open run of it, whoever appends", async () => {
    const { id } = await house.begin({ workflow: "t-cloud-put", open: true }, agent);
    for (const key of [agent, house.admin]) {
      const answer = await house.call("POST", `/v1/runs/${id}/steps`, { steps: { more: store() } }, key);
      const problem = await expectProblem(answer, 422, "bad_graph");
      expect(codesOf(problem)).toEqual([["/steps/more/with/auth/cloud", "cloud_role_refused"]]);
    }
    expect(await arrived(reference)).toEqual([]);
  });

  it("is not that of an open run of the plan: whose steps they are could not be told any more", async () => {
    const answer = await house.call("POST", "/v1/runs", { workflow: "nightly", open: true }, agent);
    expect(codesOf(await expectProblem(answer, 422, "bad_plan"))).toEqual([
      ["/workflow", "cloud_role_refused"],
    ]);
  });

  it("is judged by the engine itself, not only by the door: steps that were let in are refused once the role is not for them", async () => {
    const open = { workflows: ["plan:nightly"], inline: true };
    await house.awsRole(open, "narrowed");
    const plan = {
      name: "nightly",
      steps: { go: { action: "wait", with: { signal: "go" } }, put: store({ needs: ["go"] }, "narrowed") },
    };
    const inline = await house.begin({ plan }, agent);
    const opened = await house.begin({ workflow: "t-cloud-put", open: true }, agent);
    const appended = { steps: { more: store({ needs: ["go"] }, "narrowed") } };
    expect((await house.call("POST", `/v1/runs/${opened.id}/steps`, appended, agent)).status).toBe(202);
    const narrowed = {
      ...{ provider: "aws", role_arn: house.arn("narrowed"), region: REGION, hosts: [BUCKET] },
      workflows: ["plan:nightly"],
    };
    await expectAnswer(await house.call("PUT", "/v1/cloud-roles/narrowed", narrowed), "putCloudRole", 200);
    const asked = await exchangesBy(async () => {
      await house.waits(opened.id, "go");
      await Promise.all([inline, opened].map(({ id }) => house.go(id)));
      expect(await house.over(inline.id)).toMatchObject(failed("cloud_role_refused"));
      const seen = await house.until(opened.id, (view) => step(view, "more").status === "failed");
      expect(step(seen, "more").failure).toMatchObject({ code: "cloud_role_refused" });
    });
    expect(asked).toEqual([]);
    expect(await arrived(reference)).toEqual([]);
  });
});

describe("a stored plan that a role trusts", () => {
  const OTHER: Json = { steps: { put: { action: "transform", with: { value: "mine now" } } } };

  it("is not overwritten by a key that may not say who may use roles; it is by one that may", async () => {
    const problem = await expectProblem(await put("nightly", OTHER, agent), 403, "plan_guarded");
    expect(problem.detail).toContain("cloud_roles:write");
    // Which role it is is for those who may see roles.
    expect(problem.detail).not.toContain("writer");
    await expectAnswer(await put("nightly-of-mine", OTHER, agent), "putWorkflow", 201);
    const shown = await house.call("GET", "/v1/workflows/nightly");
    expect(await shown.json()).toMatchObject({ version: "1" });
    const keeper = await newKey(house.admin, { scopes: ["workflows:write", "cloud_roles:write"] });
    const kept = await put("nightly", stores(), keeper);
    expect([200, 201]).toContain(kept.status);
  });

  it("is not either under another address, in another spelling, or by what a run of the same key does", async () => {
    await expectProblem(await put("other", { ...OTHER, name: "nightly" }, agent), 400, "invalid_request");
    for (const name of ["%6eightly", "nightly?x=1", "./nightly"])
      expect([name, (await put(name, OTHER, agent)).status]).not.toEqual([name, 201]);
    for (const name of ["Nightly", "nightly%20", "plan:nightly", "nightly%00"])
      expect([name, (await put(name, OTHER, agent)).status]).toEqual([name, 400]);
    // A child is the stored plan, never the inline one of that name.
    const inline = {
      plan: { name: "nightly", steps: { sub: { action: "run", with: { workflow: "nightly", input: {} } } } },
    };
    const parent = await house.begin(inline, agent);
    const child = step(await house.waits(parent.id, "sub"), "sub").child ?? "";
    expect((await house.look(child)).steps.map(({ name }) => name)).toEqual(["go", "put"]);
    const shown = (await (await house.call("GET", "/v1/workflows/nightly")).json()) as { plan: Json };
    expect(JSON.stringify(shown.plan)).not.toContain("mine now");
  });

  it("is guarded from the moment on that a role names it, and whoever makes the role is told what is there", async () => {
    await expectAnswer(await put("laid-out", OTHER, agent), "putWorkflow", 201);
    const role = await house.awsRole({ workflows: ["plan:laid-out", "plan:not-there"] }, "late");
    expect(role["advice"]).toEqual([
      expect.stringMatching(/^Each version of the plan laid-out .* 1 until now, the newest by key:/),
      expect.stringContaining("There is no plan not-there yet"),
    ]);
    for (const name of ["laid-out", "not-there"])
      await expectProblem(await put(name, stores(), agent), 403, "plan_guarded");
    expect((await house.call("DELETE", "/v1/cloud-roles/late")).status).toBe(204);
    await expectAnswer(await put("not-there", OTHER, agent), "putWorkflow", 201);
  });
});

describe("a role that is deleted and made again under its name", () => {
  it("is not lent to a run that has used the first one; to a new run it is", async () => {
    const body = { workflows: CODE };
    const again = await Tenancy.begin("attacked-again");
    const first = await again.awsRole(body);
    const { id } = await again.begin({ workflow: "t-cloud-put" });
    await again.waits(id, "go");
    expect((await again.call("DELETE", "/v1/cloud-roles/writer")).status).toBe(204);
    const second = await again.awsRole(body);
    expect(second["id"]).not.toBe(first["id"]);
    const asked = await exchangesBy(async () => {
      await again.go(id);
      expect(await again.over(id)).toMatchObject(failed("cloud_role_replaced"));
    }, again);
    expect(asked).toEqual([]);
    expect(await deeds(id)).toBe(1);
    const fresh = await again.begin({ workflow: "t-cloud-put" });
    expect(step(await again.waits(fresh.id, "go"), "first").status).toBe("succeeded");
  });

  it("is none while it is gone", async () => {
    const gone = await Tenancy.begin("attacked-gone");
    await gone.awsRole({ workflows: CODE });
    const { id } = await gone.begin({ workflow: "t-cloud-put" });
    await gone.waits(id, "go");
    await gone.call("DELETE", "/v1/cloud-roles/writer");
    await gone.go(id);
    expect(await gone.over(id)).toMatchObject(failed("cloud_role_unknown"));
  });
});

describe("the credential of a role", () => {
  const AIRLINE = "https://api.skyline.example/bookings";
  const STS = `https://sts.${REGION}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15`;
  const sent = (url: string, role = "writer"): Promise<RunView> =>
    house.start({ workflow: "t-cloud-send", input: { url, role } });

  beforeAll(async () => {
    await house.role({
      ...{ name: "bearer", provider: "token_exchange", token_url: "https://tokens.exchange.example/token" },
      ...{ hosts: ["api.exchange.example"], workflows: CODE },
    });
    await house.publish();
    await register({
      ...{ kind: "exchange", issuer: house.issuer, audience: "https://tokens.exchange.example" },
      subject: "tenant:attacked:code:t-cloud-send",
    });
  });

  it.each([
    ["another host", AIRLINE],
    ["a host that mints tokens", STS],
    ["another bucket of the same service", `https://others.s3.${REGION}.amazonaws.com/x.json`],
    ["the same service in its other form", `https://s3.${REGION}.amazonaws.com/invoices/x.json`],
    ["a host that begins like the role's", `https://${BUCKET}.evil.example/x.json`],
    ["the role's host as a user name", `https://${BUCKET}@api.skyline.example/bookings`],
    ["the role's host at another port", `https://${BUCKET}:8443/x.json`],
    ["the role's host without TLS", `http://${BUCKET}/x.json`],
  ])("is not sent to %s", async (_, url) => {
    const run = await sent(url);
    expect(run.status).toBe("failed");
    expect(await arrived(run.id)).toEqual([]);
    const bearer = await sent(url, "bearer");
    expect(bearer.status).toBe("failed");
    expect(await arrived(bearer.id)).toEqual([]);
  });

  it.each([
    ["another host", AIRLINE],
    ["where tokens are made", "https://tokens.exchange.example/token"],
  ])("does not go along with a redirect to %s, and a signed request does not go on at all", async (_, to) => {
    const redirected = async (role: string, url: string) => {
      reference = crypto.randomUUID();
      await fault(reference, { fault: { kind: "redirect", to } });
      const run = await house.start({ workflow: "t-cloud-send", input: { url, role, reference } });
      return { run, seen: await arrived(reference) };
    };
    const signed = await redirected("writer", `${OBJECT}/redirected.json`);
    expect(signed.run.output).toMatchObject({ value: { status: 302 } });
    expect(signed.seen.map(({ service }) => service)).toEqual(["s3-invoices"]);
    const bearer = await redirected("bearer", "https://api.exchange.example/whoami");
    const [first, ...others] = bearer.seen;
    expect(first).toMatchObject({ service: "exchange-api", status: 302 });
    // With the token it would have been let in at none of them, and the airline says that it got no token at all.
    for (const { status } of others) expect(status).toBeGreaterThanOrEqual(400);
    expect(JSON.stringify(bearer.run.output)).not.toContain('"status":200');
  });

  it("is not what a step can put in a header of its own, and its own header does not replace it", async () => {
    const steps = {
      put: store({
        with: {
          ...{ method: "PUT", url: `${OBJECT}/x.json`, auth: { cloud: "writer" }, json: {} },
          headers: { authorization: "AWS4-HMAC-SHA256 Credential=stolen" },
        },
      }),
    };
    await expectProblem(await put("own-header", { steps }), 422, "bad_plan");
  });
});
