import { describe, expect, it } from "vitest";
import { exchangeFor, SETTLING_MS } from "../../src/identity/exchange.ts";
import type { CloudRole, RoleTarget } from "../../src/identity/role.ts";
import {
  type Answer,
  answered,
  awsError,
  awsXml,
  chained,
  ISSUER,
  NOW,
  roleOf,
  Surroundings,
  TARGETS,
  WHO,
} from "./support.ts";

/** What a refusal becomes of a role that was changed long ago, how many tokens that takes, and what it becomes right after a change. */
type Row = readonly [
  what: string,
  answer: Answer,
  kind: "passing" | "configuration",
  tokens: 1 | 2,
  afterChange: "propagating" | null,
];

const aws = (code: string, status: number): Answer => ({ status, body: awsError(code) });
const oauth = (error: string, status: number): Answer => ({
  status,
  body: { error, error_description: "why" },
});
const aadsts = (code: number, status = 400, error = "invalid_client"): Answer => ({
  status,
  body: { error, error_description: `AADSTS${code}: why`, error_codes: [code] },
});
const google = (status: string, code: number): Answer => ({
  status: code,
  body: { error: { code, status, message: "why" } },
});
const bare = (status: number): Answer => ({ status, body: "<html>why</html>" });
const p = (answer: Answer): Row => [
  `${answer.status} ${JSON.stringify(answer.body).slice(0, 90)}`,
  answer,
  "passing",
  1,
  null,
];
const c = (answer: Answer, tokens: 1 | 2 = 1, afterChange: "propagating" | null = null): Row => [
  `${answer.status} ${JSON.stringify(answer.body).slice(0, 150)}`,
  answer,
  "configuration",
  tokens,
  afterChange,
];
const expired = (answer: Answer): Row => [
  `${answer.status} ${JSON.stringify(answer.body)}`,
  answer,
  "passing",
  2,
  null,
];
const STATUSES = [p(bare(429)), p(bare(500)), p(bare(502)), p(bare(503)), c(bare(302)), c(bare(418))];

const TABLES: Readonly<Record<string, readonly [target: RoleTarget, rows: readonly Row[]]>> = {
  aws: [
    TARGETS.aws,
    [
      p(aws("IDPCommunicationError", 400)),
      p(aws("Throttling", 400)),
      p(aws("ThrottlingException", 400)),
      p(aws("RequestLimitExceeded", 503)),
      p(aws("ServiceUnavailable", 503)),
      p(aws("InternalFailure", 500)),
      expired(aws("ExpiredTokenException", 400)),
      c(aws("InvalidIdentityToken", 400), 2, "propagating"),
      c(aws("IDPRejectedClaim", 403), 2),
      c(aws("AccessDenied", 403)),
      c(aws("MalformedPolicyDocument", 400)),
      c(aws("PackedPolicyTooLarge", 400)),
      c(aws("ValidationError", 400)),
      c(aws("RegionDisabledException", 403)),
      c(aws("SomethingNew", 400)),
      ...STATUSES,
    ],
  ],
  "gcp, its token service": [
    TARGETS.gcp,
    [
      c(oauth("invalid_grant", 400), 2, "propagating"),
      c(oauth("invalid_target", 400)),
      c(oauth("unauthorized_client", 403)),
      c(oauth("invalid_scope", 400)),
      ...STATUSES,
    ],
  ],
  azure: [
    TARGETS.azure,
    [
      ...[70021, 700211, 700213, 7002138].map((code) => c(aadsts(code), 1, "propagating")),
      ...[90006, 90012, 90024, 90033, 90090, 90055].map((code) => p(aadsts(code))),
      expired(aadsts(700024)),
      ...[700027, 900384].map((code) => c(aadsts(code), 2, "propagating")),
      ...[700016, 7000112, 7000215, 7000218, 7000222, 90002, 700022].map((code) => c(aadsts(code))),
      // The number counts, not what stands beside it.
      p(aadsts(90055, 400, "invalid_grant")),
      p(aadsts(123_456, 503)),
      c(aadsts(123_456)),
      c(oauth("invalid_client", 401)),
      ...STATUSES,
    ],
  ],
  "token exchange": [
    TARGETS.token_exchange,
    [
      c(oauth("invalid_request", 400), 2, "propagating"),
      c(oauth("invalid_grant", 400), 2, "propagating"),
      c(oauth("invalid_target", 400)),
      c(oauth("invalid_client", 401)),
      c(oauth("unauthorized_client", 400)),
      c(oauth("access_denied", 403)),
      c(oauth("invalid_scope", 400)),
      c(oauth("unsupported_grant_type", 400)),
      p(oauth("temporarily_unavailable", 400)),
      p(oauth("server_error", 400)),
      p(oauth("slow_down", 400)),
      // Some say it with 200.
      c(oauth("invalid_target", 200)),
      ...STATUSES,
    ],
  ],
  vault: [
    TARGETS.vault,
    [
      c({ status: 400, body: { errors: ["error validating token"] } }, 2, "propagating"),
      c({ status: 403, body: { errors: ["permission denied"] } }, 2, "propagating"),
      c({ status: 404, body: { errors: ["no handler for route"] } }),
      c({ status: 405, body: {} }),
      p({ status: 412, body: {} }),
      p({ status: 472, body: {} }),
      p({ status: 473, body: {} }),
      ...STATUSES,
    ],
  ],
  anthropic: [
    TARGETS.anthropic,
    [
      c(oauth("invalid_grant", 401)),
      c({ status: 401, body: { type: "error", error: { type: "authentication_error", message: "why" } } }),
      c(oauth("invalid_grant", 400), 2, "propagating"),
      c(oauth("invalid_request", 400)),
      c({ status: 404, body: { type: "error", error: { type: "not_found_error", message: "why" } } }),
      p({ status: 529, body: { type: "error", error: { type: "overloaded_error", message: "why" } } }),
      p({ status: 429, body: { type: "error", error: { type: "rate_limit_error", message: "why" } } }),
      ...STATUSES,
    ],
  ],
  openrouter: [
    TARGETS.openrouter,
    [
      c(oauth("invalid_grant", 400), 2, "propagating"),
      c(oauth("invalid_request", 400), 2, "propagating"),
      c(oauth("invalid_target", 400)),
      c(oauth("unauthorized_client", 403)),
      ...STATUSES,
    ],
  ],
};

async function ends(role: CloudRole, of: Surroundings) {
  const result = await exchangeFor(role, WHO, of.ports);
  return result.ok ? { kind: "ok" as const, value: result.value } : result.error;
}

describe.each(Object.entries(TABLES))("%s", (_, [target, rows]) => {
  it.each(rows)("%s", async (_what, answer, kind, tokens, afterChange) => {
    const old = new Surroundings(() => answered(answer));
    const refusal = await ends(roleOf(target), old);
    expect({ kind: refusal.kind, tokens: old.minted.length, sent: old.sent.length }).toEqual({
      ...{ kind, tokens, sent: tokens },
    });
    // Never the same token twice.
    expect(new Set(old.sent.map(({ body }) => body)).size).toBe(tokens);
    const fresh = new Surroundings(() => answered(answer));
    const settling = await ends(roleOf(target, { updatedAt: NOW - SETTLING_MS + 1 }), fresh);
    expect(settling.kind).toBe(afterChange ?? kind);
    if (refusal.kind !== "configuration") return;
    // What to tell the cloud, exactly.
    for (const part of [ISSUER, "tenant:acme:code:process-order", "sts.amazonaws.com"])
      expect(refusal.hint).toContain(`"${part}"`);
  });
});

describe("gcp, the impersonation", () => {
  const rows: readonly Row[] = [
    c(google("PERMISSION_DENIED", 403)),
    c(google("NOT_FOUND", 404)),
    c(google("INVALID_ARGUMENT", 400)),
    c(google("FAILED_PRECONDITION", 400)),
    c(google("UNAUTHENTICATED", 401), 2),
    p(google("RESOURCE_EXHAUSTED", 429)),
    p(google("UNAVAILABLE", 503)),
    p(google("INTERNAL", 500)),
    ...STATUSES,
  ];
  it.each(rows)("%s", async (_what, answer, kind, tokens) => {
    const of = new Surroundings(({ url }) =>
      url.includes("sts.")
        ? answered({ status: 200, body: { access_token: "ya29.federated-token", token_type: "Bearer" } })
        : answered(answer),
    );
    const refusal = await ends(roleOf(TARGETS.gcp), of);
    expect({ kind: refusal.kind, tokens: of.minted.length, sent: of.sent.length }).toEqual({
      ...{ kind, tokens, sent: tokens * 2 },
    });
  });

  it("says which grant is missing, to whom", async () => {
    const of = new Surroundings(({ url }) =>
      url.includes("sts.")
        ? answered({ status: 200, body: { access_token: "ya29.federated-token", token_type: "Bearer" } })
        : answered(google("PERMISSION_DENIED", 403)),
    );
    expect(await ends(roleOf(TARGETS.gcp), of)).toMatchObject({
      code: "PERMISSION_DENIED",
      hint: expect.stringContaining(
        "roles/iam.workloadIdentityUser on writer@project.iam.gserviceaccount.com to principal://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/subject/tenant:acme:code:process-order",
      ),
    });
  });
});

describe("aws, the second of two roles", () => {
  const rows: readonly Row[] = [
    c(aws("AccessDenied", 403)),
    c(aws("InvalidClientTokenId", 403)),
    c(aws("ValidationError", 400)),
    expired(aws("ExpiredToken", 403)),
    expired(aws("SignatureDoesNotMatch", 403)),
    p(aws("Throttling", 400)),
    ...STATUSES,
  ];
  it.each(rows)("%s", async (_what, answer, kind, tokens) => {
    const target = chained({ roleArn: "arn:aws:iam::2:role/second" });
    const of = new Surroundings(({ body }) =>
      String(body).includes("Action=AssumeRole&")
        ? answered(answer)
        : answered({ status: 200, body: awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + 900_000 }) }),
    );
    const refusal = await ends(roleOf(target), of);
    expect({ kind: refusal.kind, tokens: of.minted.length, sent: of.sent.length }).toEqual({
      ...{ kind, tokens, sent: tokens * 2 },
    });
  });
});

describe("what happens on the second try counts", () => {
  it.each([
    [
      "aws",
      TARGETS.aws,
      aws("InvalidIdentityToken", 400),
      { status: 200, body: awsXml("AssumeRoleWithWebIdentity", { expiresAt: NOW + 3_600_000 }) },
    ],
    [
      "azure",
      TARGETS.azure,
      aadsts(700027),
      { status: 200, body: { access_token: "token-of-azure", token_type: "Bearer", expires_in: 3599 } },
    ],
  ] as const)("a fresh identity token is enough at %s", async (_, target, first, second) => {
    const of = new Surroundings((_request, nth) => answered(nth === 1 ? first : second));
    expect((await ends(roleOf(target), of)).kind).toBe("ok");
    expect(of.minted).toHaveLength(2);
  });

  it("a refusal that passes is the answer after one that did not", async () => {
    const of = new Surroundings((_request, nth) =>
      answered(nth === 1 ? aws("InvalidIdentityToken", 400) : bare(503)),
    );
    expect(await ends(roleOf(TARGETS.aws), of)).toMatchObject({ kind: "passing", code: "http_503" });
  });
});
