/** What an `http` step does with the credential of a cloud role: what is signed, where it goes, what a refusal leads to. */
import { describe, expect, it } from "vitest";
import { Lent, performAction, type ActionCall } from "../../src/actions/index.ts";
import type { EgressRequest, EgressResult, Lease, LeaseAnswer } from "../../src/platform/index.ts";
import { cloudNeed } from "../kernel/support/build.ts";
import { ROLE_SECRET, roleLease, roleReady, STORE, WRITER } from "./lending.ts";
import { answered, call, outside } from "./support.ts";

const URL_ = `https://${STORE}/2026/in_1.json`;
const PUT = { method: "PUT", url: URL_, json: { id: "in_1" }, auth: WRITER } as const;
const EFFECTS = ["safe", "idempotent", "keyed", "once"] as const;
const EXPIRED = `<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>`;

function perform(
  lease: Lease,
  answer: (request: EgressRequest) => EgressResult | Promise<EgressResult>,
  more: Partial<ActionCall> = {},
) {
  const made = outside(() => answered(200));
  const signed: Readonly<Record<string, string>>[] = [];
  const requests: EgressRequest[] = [];
  const egress = async (request: EgressRequest): Promise<EgressResult> => {
    requests.push(request);
    signed.push((await request.sign?.(finalOf(request))) ?? {});
    request.onSend?.();
    return answer(request);
  };
  const lent = new Lent([[WRITER, lease]]);
  const result = performAction(call({ with: PUT, effect: "idempotent", lease: lent, ...more }), {
    ...made,
    egress,
  });
  return { result, requests, signed };
}

function finalOf({ method, url, headers = {}, body }: EgressRequest) {
  return { method, url, headers, body };
}

const keyOf = (signed: Readonly<Record<string, string>> | undefined): string | undefined =>
  signed?.["authorization"]?.split(" ")[1];

describe("a request with a cloud role that signs", () => {
  it("is signed over the headers and the body that are sent", async () => {
    const { result, signed } = perform(roleLease(), () => answered(200), {
      with: { ...PUT, headers: { "X-Amz-Meta-Run": "r1" } },
    });
    expect(await result).toMatchObject({ kind: "success" });
    expect(signed).toEqual([
      {
        authorization: `AWS4-HMAC-SHA256 ASIA-1 PUT ${URL_} accept;content-type;x-amz-meta-run 13`,
        "x-amz-security-token": "session-token-of-ASIA-1",
      },
    ]);
  });

  it("is not sent to a host that is not the role's: nothing leaves", async () => {
    for (const url of ["https://evil.example/", "https://sts.eu-central-1.amazonaws.com/"]) {
      const { result, requests } = perform(roleLease(), () => answered(200), { with: { ...PUT, url } });
      expect(await result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
      expect(requests).toEqual([]);
    }
  });

  it("waits for the credential where it was not at hand: nothing was sent", async () => {
    const { result, requests } = perform(roleLease(), () => answered(200), { lease: null });
    expect(await result).toMatchObject({ kind: "refused", failure: { code: "not_sent", retryable: true } });
    expect(requests).toEqual([]);
  });

  it("has nothing of the credential in its output", async () => {
    const said = [ROLE_SECRET, btoa(ROLE_SECRET), "session-token-of-ASIA-1", "session-token-of-ASIA-2"];
    const { result } = perform(roleLease(), (request) =>
      request.method === "PUT" ? answered(200, { said }) : answered(500),
    );
    const text = JSON.stringify(await result);
    for (const secret of said.slice(0, 3)) expect(text).not.toContain(secret);
  });
});

describe("a credential that the service calls expired", () => {
  it.each(EFFECTS)("is exchanged anew once, and the request sent once more: %s", async (effect) => {
    const lease = roleLease();
    let asked = 0;
    const { result, signed } = perform(
      lease,
      () => ((asked += 1) === 1 ? answered(403, EXPIRED) : answered(200)),
      { effect, key: effect === "keyed" ? "k" : null },
    );
    expect(await result).toMatchObject({ kind: "success" });
    expect(signed.map(keyOf)).toEqual(["ASIA-1", "ASIA-2"]);
    expect(lease.renewed).toEqual(["ASIA-1"]);
  });

  it.each(EFFECTS)("is a failure as the status says if the fresh one is refused too: %s", async (effect) => {
    const lease = roleLease();
    const { result, requests } = perform(lease, () => answered(403, EXPIRED), { effect });
    expect(await result).toMatchObject({ kind: "cannot", failure: { code: "http_403" } });
    expect(requests).toHaveLength(2);
    expect(lease.renewed).toEqual(["ASIA-1"]);
  });

  it.each<[string, LeaseAnswer | Error, object]>([
    [
      "waits where the token service is away",
      { kind: "needs", need: cloudNeed("unavailable") },
      { kind: "needs", need: { kind: "cloud", role: "writer" } },
    ],
    [
      "waits where nobody answers",
      new Error("the object is away"),
      { kind: "needs", need: { kind: "cloud", role: "writer", reason: "unavailable" } },
    ],
    [
      "fails where the trust is gone, with what to change",
      { kind: "cannot", code: "cloud_role_misconfigured", message: "No.", hint: "sub is x" },
      { kind: "cannot", failure: { code: "cloud_role_misconfigured", hint: "sub is x" } },
    ],
  ])("%s", async (_, renewal, expected) => {
    const { result, requests } = perform(roleLease(1, renewal), () => answered(403, EXPIRED));
    expect(await result).toMatchObject(expected);
    expect(requests).toHaveLength(1);
  });

  it("is not sent again where the role is for other hosts by now", async () => {
    const elsewhere: Lease = {
      ...roleLease(2),
      refusalFor: () => "The credential of writer is not sent there.",
    };
    const { result, requests } = perform(roleLease(1, roleReady(elsewhere)), () => answered(403, EXPIRED));
    expect(await result).toMatchObject({ kind: "cannot", failure: { code: "egress_blocked" } });
    expect(requests).toHaveLength(1);
  });

  it("is not taken for one by another refusal", async () => {
    const lease = roleLease();
    const { result } = perform(lease, () => answered(403, "<Error><Code>AccessDenied</Code></Error>"));
    expect(await result).toMatchObject({ kind: "cannot", failure: { code: "http_403" } });
    expect(lease.renewed).toEqual([]);
  });

  it("of a bearer is refused by a 401, and ends as one", async () => {
    const bearer: Lease = {
      ...roleLease(),
      headers: { authorization: "Bearer sk-ant-oat01-0123456789" },
      read: ({ status }) => (status === 401 ? { is: "token_refused" } : undefined),
    };
    const { result } = perform(bearer, () => answered(401));
    expect(await result).toMatchObject({ kind: "refused", failure: { code: "http_401" } });
  });
});
