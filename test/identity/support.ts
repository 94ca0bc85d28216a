/** Roles, an issuer and a way out for tests of exchanges: every answer is a test's own, and all that leaves is kept. */
import type { Minter, MintRequest } from "../../src/identity/minter.ts";
import type { AwsTarget, CloudRole, RoleTarget } from "../../src/identity/role.ts";
import {
  createLogger,
  type Egress,
  type EgressRequest,
  type EgressResult,
} from "../../src/platform/index.ts";

export const NOW = Date.UTC(2200, 0, 1);
export const LONG_AGO = NOW - 86_400_000;
export const ISSUER = "https://id.example.com/t/acme";

export const TARGETS = {
  aws: {
    provider: "aws",
    roleArn: "arn:aws:iam::123456789012:role/invoices",
    region: "eu-central-1",
    durationS: 3_600,
  },
  gcp: {
    provider: "gcp",
    workloadProvider: "projects/123/locations/global/workloadIdentityPools/pool/providers/prov",
    scopes: ["https://www.googleapis.com/auth/devstorage.read_write"],
    lifetimeS: 1_800,
    serviceAccount: "writer@project.iam.gserviceaccount.com",
  },
  azure: {
    provider: "azure",
    directory: "11111111-2222-3333-4444-555555555555",
    clientId: "99999999-2222-3333-4444-555555555555",
    scope: "https://vault.azure.net/.default",
  },
  token_exchange: {
    provider: "token_exchange",
    tokenUrl: "https://sts.example.com/oauth/token",
    subjectTokenType: "jwt",
  },
  vault: { provider: "vault", host: "vault.example.com", mount: "jwt", role: "writer" },
  jwt: { provider: "jwt" },
  anthropic: { provider: "anthropic", organizationId: "org-1", federationRuleId: "fdrl_1" },
  openrouter: { provider: "openrouter", federationPolicyId: "4b2f7d1e-8c3a-4e5f-9a6b-1c2d3e4f5a6b" },
} as const satisfies { readonly [P in RoleTarget["provider"]]: Extract<RoleTarget, { provider: P }> };

/** A role by which another one is assumed. */
export function chained(second: NonNullable<AwsTarget["next"]>, more: Partial<AwsTarget> = {}): AwsTarget {
  return { ...TARGETS.aws, ...more, next: second };
}

export function roleOf(target: RoleTarget, more: Partial<CloudRole> = {}): CloudRole {
  return {
    tenant: "acme",
    name: "writer",
    id: "role_1",
    version: 1,
    target,
    audience: "sts.amazonaws.com",
    workflows: [{ kind: "code", name: "process-order" }],
    inline: false,
    hosts: [{ host: "api.example.com", service: "s3", region: "eu-central-1" }],
    perRun: false,
    claims: {},
    createdAt: LONG_AGO,
    createdBy: "key_1",
    updatedAt: LONG_AGO,
    ...more,
  };
}

export const WHO = {
  subject: { kind: "code", name: "process-order" },
  workflowVersion: "v7",
  run: null,
} as const;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export function answered({ status, body, headers = {} }: Answer): EgressResult {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { kind: "answered", status, headers, body: new TextEncoder().encode(text), redirects: 0 };
}

export class Surroundings {
  now = NOW;
  readonly minted: MintRequest[] = [];
  readonly jwts: string[] = [];
  readonly sent: EgressRequest[] = [];
  readonly lines: string[] = [];
  answer: (request: EgressRequest, nth: number) => EgressResult | Promise<EgressResult>;

  constructor(answer: Surroundings["answer"] = () => answered({ status: 500, body: "" })) {
    this.answer = answer;
  }

  readonly mint: Minter["mint"] = async (request) => {
    this.minted.push(request);
    const jwt = `eyJhbGciOiJSUzI1NiJ9.payload-${this.minted.length}.signature-${"s".repeat(40)}`;
    this.jwts.push(jwt);
    const { subject, tenant, audience, ttlS } = request;
    const text =
      subject.name === null ? `tenant:${tenant}:inline` : `tenant:${tenant}:${subject.kind}:${subject.name}`;
    return {
      ok: true,
      value: { jwt, issuer: ISSUER, subject: text, audience, expiresAt: this.now + ttlS * 1_000 },
    };
  };

  readonly egress: Egress = async (request) => {
    this.sent.push(request);
    return this.answer(request, this.sent.length);
  };

  get ports() {
    return {
      mint: this.mint,
      egress: this.egress,
      now: () => this.now,
      log: createLogger("debug", (_, line) => this.lines.push(line)),
    };
  }

  form(nth: number): Record<string, string> {
    const body = this.sent[nth - 1]?.body;
    return Object.fromEntries(new URLSearchParams(typeof body === "string" ? body : ""));
  }
}

export const AWS_KEYS = {
  AccessKeyId: "ASIAEXAMPLE000000001",
  SecretAccessKey: "secret/key+with=odd/characters0123456789",
  SessionToken: "session//token==0123456789",
};

export function awsXml(
  action: "AssumeRoleWithWebIdentity" | "AssumeRole",
  {
    expiresAt,
    keys = AWS_KEYS,
  }: { readonly expiresAt: number; readonly keys?: Readonly<Record<string, string>> },
): string {
  const fields = { ...keys, Expiration: new Date(expiresAt).toISOString() };
  const inner = Object.entries(fields).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <${action}Result>
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/y</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>
    <Credentials>${inner.join("")}</Credentials>
    <Provider>arn:aws:iam::1:oidc-provider/id.example.com/t/acme</Provider>
  </${action}Result>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</${action}Response>`;
}

export function awsError(code: string, message = "why"): string {
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`;
}
