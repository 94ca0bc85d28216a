/** Connections on real workerd: how tests make, ask and disturb them. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { ConnectionRpc } from "../../src/connections/index.ts";
import type { ConnectionRecord, Slot } from "../../src/connections/grant.ts";
import type {
  AcquireAnswer,
  Ask,
  GrantRequest,
  IntegrationCopy,
  TokenAnswer,
} from "../../src/connections/rpc.ts";
import { openPair, pairPlace } from "../../src/connections/sealing.ts";
import { createVault } from "../../src/vault/index.ts";
import { objectName } from "../../src/platform/index.ts";
import { type ConnectionHouse, houses } from "./connection-house.ts";

export const TENANT = "default";
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

let made = 0;

export class Connected {
  readonly house: ConnectionHouse;
  readonly id: string;
  readonly slot: Slot;
  readonly family: string;

  constructor(house: ConnectionHouse, integration = "double") {
    made += 1;
    this.house = house;
    this.family = `f${made}`;
    this.id = `conn_${String(made).padStart(26, "0")}`;
    this.slot = {
      ...{ tenant: TENANT, integration, account: "default" },
      owner: { kind: "user", user: `user-${made}` },
    };
  }

  /** A fresh one each time: one that has seen its object die stays broken. */
  get object(): DurableObjectStub & ConnectionRpc {
    houses.current = this.house;
    const named: unknown = env.CONNECTION.getByName(objectName("connection", TENANT, this.id));
    return named as DurableObjectStub & ConnectionRpc;
  }

  integration(): IntegrationCopy {
    return {
      ...{ name: this.slot.integration, version: 1, provider: this.house.provider.descriptor() },
      ...{ clientId: "client", secret: "client-secret-1" },
    };
  }

  request(more: Partial<GrantRequest> = {}, family = this.family): GrantRequest {
    const { house } = this;
    const { expiresIn, refreshExpiresIn } = house.provider;
    return {
      ...{ slot: this.slot, id: this.id },
      integration: this.integration(),
      pair: house.provider.consent(family),
      times: {
        issuedAt: house.now,
        expiresAt: expiresIn === null ? null : house.now + expiresIn * 1_000,
        idleEndsAt: refreshExpiresIn === null ? null : house.now + refreshExpiresIn * 1_000,
        endsAt: null,
      },
      scopes: ["read"],
      account: { id: "account-1", label: "ada@example.com" },
      identityLevel: "confirm",
      ...{ extra: {}, workflows: null, by: "session:cs_1", pending: null, replaceAccount: false },
      ...more,
    };
  }

  async grant(more: Partial<GrantRequest> = {}, family?: string) {
    return this.object.grant(this.request(more, family));
  }

  /** @param more what has become of the integration since */
  async confirm(session: string, more: Partial<IntegrationCopy> = {}) {
    return this.object.confirm(TENANT, session, "key:1", { ...this.integration(), ...more });
  }

  ask(more: Partial<Ask> = {}): Ask {
    return {
      ...{ slot: this.slot, id: this.id, run: `run_${this.id}`, workflow: "mail", stepTimeoutMs: MINUTE_MS },
      ...more,
    };
  }

  async acquire(more: Partial<Ask> = {}): Promise<AcquireAnswer> {
    return this.object.acquire(this.ask(more));
  }

  /** The token, or what is said instead. */
  async said(more: Partial<Ask> = {}): Promise<string> {
    return saying(await this.acquire(more));
  }

  async token(more: Partial<Ask> = {}): Promise<TokenAnswer> {
    const answer = await this.acquire(more);
    if (answer.kind !== "token") throw new Error(`No token: ${JSON.stringify(answer)}`);
    return answer;
  }

  async record(): Promise<ConnectionRecord | undefined> {
    return this.kept<ConnectionRecord>("record");
  }

  /** The pair that the object keeps. */
  async opened({ grant }: ConnectionRecord): Promise<unknown> {
    const opened = await openPair(
      createVault(this.house.keyring),
      pairPlace(this.slot, this.id, grant.version),
      grant.sealed ?? "",
    );
    return opened.ok ? opened.value : opened.error;
  }

  async kept<T>(key: string): Promise<T | undefined> {
    return runInDurableObject(this.object, (_object, { storage }) => storage.kv.get<T>(key));
  }

  async put(key: string, value: unknown): Promise<void> {
    await runInDurableObject(this.object, (_object, { storage }) => {
      storage.kv.put(key, value);
    });
  }

  async alarmAt(): Promise<number | null> {
    return runInDurableObject(this.object, (_object, { storage }) => storage.getAlarm());
  }

  /**
   * Lets the alarm ring for as long as it is due. Where nothing is due any more, the next one is in the future: an alarm that
   * comes again and again at once fails here.
   */
  async ring(limit = 40): Promise<number> {
    for (let rings = 0; rings < limit; rings++) {
      const at = await this.alarmAt();
      if (at === null || at > this.house.now) return rings;
      if (!(await runDurableObjectAlarm(this.object))) throw new Error("There is no alarm.");
    }
    throw new Error("The alarm does not come to rest.");
  }

  /** To the next alarm, and on. */
  async toNextAlarm(): Promise<number | null> {
    const at = await this.alarmAt();
    if (at === null) return null;
    this.house.now = Math.max(this.house.now, at);
    await this.ring();
    return at;
  }

  async row(): Promise<Record<string, unknown> | null> {
    return env.DB.prepare("SELECT * FROM connections WHERE id = ?").bind(this.id).first();
  }

  async audited(): Promise<string[]> {
    const { results } = await env.DB.prepare("SELECT action FROM access_audit WHERE target = ? ORDER BY seq")
      .bind(this.id)
      .all<{ action: string }>();
    return results.map(({ action }) => action);
  }
}

export function saying(answer: AcquireAnswer): string {
  switch (answer.kind) {
    case "token":
      return answer.accessToken;
    case "needs":
      return answer.reason;
    case "refused":
      return answer.code;
  }
}

/** All objects die as if their machine had; what they were asked is never answered. */
export async function die(): Promise<void> {
  await abortAllDurableObjects();
}
