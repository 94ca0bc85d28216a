/** A tenant whose workflows the world's clouds trust, set up as administrators would: roles by the API, trust at the clouds. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { vi } from "vitest";
import type { CloudRole } from "../../../src/identity/index.ts";
import type { RunView } from "../../../src/run/index.ts";
import { objectName } from "../../../src/platform/index.ts";
import { env } from "cloudflare:workers";
import type { Exchange } from "../../world/clouds/book.ts";
import type { TrustInput } from "../../world/index.ts";
import { expectAnswer, newTenant, send } from "../api-support.ts";
import { referee, type Stub } from "../run-support.ts";

const HOST = "https://id.showcaller.test";

export interface RoleText {
  readonly form: string;
  readonly content: string;
}

export interface Use {
  readonly target: string;
  readonly detail: {
    readonly unit: string;
    readonly attempt: number;
    readonly credential: Readonly<Record<string, unknown>>;
    readonly hosts: readonly string[] | null;
    readonly ended: string | null;
  };
}

export class CloudTenant {
  readonly id: string;
  /** Of its administrator. */
  readonly key: string;

  private constructor(id: string, key: string) {
    this.id = id;
    this.key = key;
  }

  static async begin(id: string): Promise<CloudTenant> {
    return new CloudTenant(id, await newTenant(id));
  }

  get issuer(): string {
    return `${HOST}/t/${this.id}`;
  }

  /** The role, and what its cloud is to be told. */
  async role(name: string, content: object): Promise<readonly RoleText[]> {
    const made = await this.send("POST", "/v1/cloud-roles", { name, ...content });
    await expectAnswer<CloudRole>(made, "createCloudRole", 201);
    const trust = await this.send("GET", `/v1/cloud-roles/${name}/trust-policy`);
    return (await expectAnswer<{ texts: readonly RoleText[] }>(trust, "getTrustPolicy", 200)).texts;
  }

  /** The world cannot reach this process: it is given the documents as they are served. */
  async publish(): Promise<void> {
    for (const path of ["/.well-known/openid-configuration", "/jwks"]) {
      const url = this.issuer + path;
      const served = await exports.default.fetch(new Request(url));
      await referee("POST", "/clouds/pages", { url, status: served.status, body: await served.json() });
    }
  }

  async send(method: string, path: string, body?: unknown, headers = {}): Promise<Response> {
    return send(method, path, { key: this.key, headers, ...(body === undefined ? {} : { body }) });
  }

  /** Stores a plan under its own name. */
  async plan(name: string, steps: object, output?: unknown): Promise<void> {
    await expectAnswer(
      await this.send("PUT", `/v1/workflows/${name}`, { steps, ...(output === undefined ? {} : { output }) }),
      "putWorkflow",
      201,
    );
  }

  async start(body: object): Promise<Started> {
    const started = await this.send("POST", "/v1/runs", body);
    return new Started(this, (await expectAnswer<RunView>(started, "startRun", 202)).id);
  }

  /** Starts a run, and gives it as it is when it has ended. */
  async run(body: object): Promise<RunView> {
    return (await this.start(body)).ended();
  }

  async uses(run: string): Promise<readonly Use[]> {
    const page = await this.send("GET", `/v1/audit?kind=credential&run=${run}`);
    return (await expectAnswer<{ data: readonly Use[] }>(page, "listAudit", 200)).data;
  }

  /** What a token service of the world was asked for in the name of this subject, or of any of the tenant's. */
  async exchanges(service: string, subject?: string): Promise<readonly Exchange[]> {
    const { items } = await referee<{ items: Exchange[] }>("GET", `/clouds/exchanges?service=${service}`);
    return items.filter(({ token }) => token?.iss === this.issuer && token.sub === (subject ?? token.sub));
  }
}

export class Started {
  readonly id: string;
  readonly #tenant: CloudTenant;

  constructor(tenant: CloudTenant, id: string) {
    this.#tenant = tenant;
    this.id = id;
  }

  stub(): Stub {
    const named: unknown = env.RUN.getByName(objectName("run", this.#tenant.id, this.id));
    return named as Stub;
  }

  /** Looks until it holds; vitest's own limit ends a look in vain. */
  async until(holds: (view: RunView) => boolean): Promise<RunView> {
    for (let waitMs = 0, seq = 0; ; waitMs = 2_000) {
      const answer = await this.stub().view({ tenant: this.#tenant.id }, { waitMs, afterSeq: seq });
      if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
      if (holds(answer.value)) return answer.value;
      seq = answer.value.seq;
    }
  }

  async ended(): Promise<RunView> {
    return this.until(({ ended_at: at }) => at !== null);
  }

  async events(): Promise<readonly { readonly type: string; readonly at: number; readonly data: unknown }[]> {
    const answer = await this.stub().events({ tenant: this.#tenant.id }, { after: 0, limit: 1_000 });
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
    return answer.value.events;
  }

  /** Fires its alarm. */
  async ring(): Promise<void> {
    await runDurableObjectAlarm(this.stub());
  }

  async alarmAt(): Promise<number | null> {
    return runInDurableObject(this.stub(), (_object, { storage }) => storage.getAlarm());
  }
}

export async function trust(...entries: readonly TrustInput[]): Promise<void> {
  await referee("POST", "/clouds/trust", entries);
}

export async function settings(service: string, changed: object): Promise<void> {
  await referee("PATCH", "/clouds/settings", { service, ...changed });
}

/** What the world's clouds remember of issuers. */
export async function forget(): Promise<void> {
  await referee("DELETE", "/clouds/exchanges");
}

/** The clock of this process, and with it that of some services of the world. */
export class Clock {
  readonly #services: readonly string[];
  #aheadMs = 0;

  constructor(...services: readonly string[]) {
    this.#services = services;
  }

  async later(ms: number): Promise<void> {
    await this.#set(this.#aheadMs + ms);
  }

  async back(): Promise<void> {
    await this.#set(0);
    vi.useRealTimers();
  }

  async #set(aheadMs: number): Promise<void> {
    this.#aheadMs = aheadMs;
    vi.useRealTimers();
    vi.setSystemTime(Date.now() + aheadMs);
    for (const service of this.#services) await settings(service, { skewMs: aheadMs });
  }
}
