/** Cloud roles of tenants of the Worker as it is deployed, and the world's clouds, which trust whom a test says. */
import type { Exchange } from "../world/clouds/book.ts";
import type { TrustInput } from "../world/clouds/trust.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, newTenant, send } from "./api-support.ts";
import { ISSUER_ORIGIN } from "./issuer-house.ts";
import { referee, step } from "./run-support.ts";

export const REGION = "eu-central-1";
export const BUCKET = `invoices.s3.${REGION}.amazonaws.com`;

export async function register(...entries: readonly TrustInput[]): Promise<void> {
  await referee("POST", "/clouds/trust", entries);
}

/** What it can be told to be pasted. */
export interface Trust {
  readonly issuer: string;
  readonly audience: string;
  readonly subjects: readonly string[];
  readonly texts: readonly { readonly form: string; readonly title: string; readonly content: string }[];
}

export type Json = Readonly<Record<string, unknown>>;

export class Tenancy {
  readonly id: string;
  readonly admin: string;

  private constructor(id: string, admin: string) {
    this.id = id;
    this.admin = admin;
  }

  static async begin(id: string): Promise<Tenancy> {
    return new Tenancy(id, await newTenant(id));
  }

  get issuer(): string {
    return `${ISSUER_ORIGIN}/t/${this.id}`;
  }

  call(method: string, path: string, body?: unknown, key = this.admin): Promise<Response> {
    return send(method, path, { key, ...(body === undefined ? {} : { body }) });
  }

  async role(body: Json): Promise<Json> {
    const made = await this.call("POST", "/v1/cloud-roles", body);
    return expectAnswer<Json>(made, "createCloudRole", 201);
  }

  async trust(role: string): Promise<Trust> {
    const told = await this.call("GET", `/v1/cloud-roles/${role}/trust-policy`);
    return expectAnswer<Trust>(told, "getTrustPolicy", 200);
  }

  /** The clouds find what the Worker says of the issuer, as if it listened under its name. */
  async publish(): Promise<void> {
    for (const path of ["/.well-known/openid-configuration", "/jwks"]) {
      const url = this.issuer + path;
      const answer = await send("GET", new URL(url).pathname, { headers: { host: new URL(url).host } });
      if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
      await referee("POST", "/clouds/pages", { url, status: 200, body: await answer.json() });
    }
  }

  /** An AWS role of this tenant alone, which may put objects into the bucket. */
  arn(name = "writer"): string {
    return `arn:aws:iam::111122223333:role/${this.id}-${name}`;
  }

  /** Makes the role, and pastes at AWS what it prints. */
  async awsRole(more: Json, name = "writer"): Promise<Json> {
    const role = await this.role({
      ...{ name, provider: "aws", role_arn: this.arn(name), region: REGION, hosts: [BUCKET] },
      ...more,
    });
    await this.paste(name);
    return role;
  }

  async paste(name = "writer"): Promise<void> {
    await this.publish();
    await register(...awsTrust(this.arn(name), await this.trust(name)));
  }

  /** A run that waits for something on its way. */
  async begin(body: Json, key = this.admin): Promise<RunView> {
    return expectAnswer<RunView>(await this.call("POST", "/v1/runs", body, key), "startRun", 202);
  }

  /** A run, once it is over. */
  async start(body: Json, key = this.admin): Promise<RunView> {
    const headers = { prefer: "wait=20" };
    return expectAnswer<RunView>(await send("POST", "/v1/runs", { key, body, headers }), "startRun", 200);
  }

  async look(id: string, key = this.admin): Promise<RunView> {
    const looked = await send("GET", `/v1/runs/${id}`, { key, headers: { prefer: "wait=1" } });
    return JSON.parse(await looked.text()) as RunView;
  }

  /** Looks until it holds; vitest's own limit ends a look in vain. */
  async until(id: string, holds: (view: RunView) => boolean): Promise<RunView> {
    for (;;) {
      const seen = await this.look(id);
      if (holds(seen)) return seen;
    }
  }

  async waits(id: string, name: string): Promise<RunView> {
    return this.until(id, (seen) => seen.ended_at !== null || step(seen, name).status === "waiting");
  }

  async over(id: string): Promise<RunView> {
    return this.until(id, ({ ended_at }) => ended_at !== null);
  }

  async go(id: string): Promise<void> {
    await expectAnswer(
      await this.call("POST", `/v1/runs/${id}/signals/go`, { payload: null }),
      "sendSignal",
      200,
    );
  }

  /** Subjects of the tokens of this tenant that arrived at the clouds, and what became of each. */
  async exchanged(): Promise<(readonly [unknown, string])[]> {
    const { items } = await referee<{ items: Exchange[] }>("GET", "/clouds/exchanges");
    return items
      .filter(({ token }) => token?.iss === this.issuer)
      .map(({ token, refused }) => [token?.sub, refused ?? "granted"] as const);
  }
}

export function awsTrust(arn: string, { issuer, audience, texts }: Trust): TrustInput[] {
  const policy: unknown = JSON.parse(texts.find(({ form }) => form === "json")?.content ?? "null");
  return [
    { kind: "aws_provider", url: issuer, clientIds: [audience] },
    {
      ...{ kind: "aws_role", arn, trust: policy as never },
      permissions: {
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Action: "s3:PutObject", Resource: "arn:aws:s3:::invoices/*" }],
      },
    },
  ];
}
