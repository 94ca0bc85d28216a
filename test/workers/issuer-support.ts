/** A tenant with an issuer of its own, in the surroundings of a test, and a verifier that knows only what is served. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import type { KeptIssuer } from "../../src/identity/issuer-store.ts";
import type { MintRequest, SignAnswer } from "../../src/identity/index.ts";
import { workloadClaims } from "../../src/identity/token.ts";
import { IssuerHouse, issuerHouses, ISSUER_ORIGIN, objectOf, stubOf } from "./issuer-house.ts";

export const AUDIENCE = "sts.amazonaws.com";

let tenants = 0;

export class Tenancy {
  readonly house: IssuerHouse;
  readonly tenant: string;

  constructor(house: IssuerHouse, tenant: string) {
    this.house = house;
    this.tenant = tenant;
  }

  /** A tenant that exists, without a key. */
  static async begin(house = new IssuerHouse()): Promise<Tenancy> {
    issuerHouses.current = house;
    tenants += 1;
    const tenant = `issuer-${tenants}-${crypto.randomUUID().slice(0, 8)}`;
    await env.DB.prepare("INSERT INTO tenants (id, created_at, created_by) VALUES (?, 0, 'root')")
      .bind(tenant)
      .run();
    return new Tenancy(house, tenant);
  }

  /** The same with a first key. */
  static async ready(house = new IssuerHouse()): Promise<Tenancy> {
    const one = await Tenancy.begin(house);
    const ensured = await one.object.ensure(one.tenant);
    if (!ensured.ok) throw new Error(ensured.message);
    return one;
  }

  get issuer(): string {
    return `${ISSUER_ORIGIN}/t/${this.tenant}`;
  }

  get object() {
    return objectOf(this.tenant);
  }

  get stub() {
    return stubOf(this.tenant);
  }

  request(change: Partial<MintRequest> = {}): MintRequest {
    return {
      ...{ tenant: this.tenant, subject: { kind: "code", name: "process-order" }, audience: AUDIENCE },
      ...{ ttlS: 300, workflowVersion: "1", claims: {} },
      ...change,
    };
  }

  claims() {
    const made = workloadClaims({
      ...{ ...this.request(), issuer: this.issuer, nowMs: this.house.now, jti: crypto.randomUUID() },
      ...{ environment: "test", awsTags: undefined },
    });
    if (!made.ok) throw new Error(made.error.message);
    return made.value;
  }

  async sign(): Promise<SignAnswer> {
    return this.object.sign({ tenant: this.tenant, claims: this.claims() });
  }

  async jwt(): Promise<string> {
    const signed = await this.sign();
    if (!signed.ok) throw new Error(`${signed.code}: ${signed.message}`);
    return signed.jwt;
  }

  /** As verifiers get it from an isolate that remembers nothing. */
  async jwks(): Promise<JSONWebKeySet> {
    const served = await this.house.issuer().jwks(this.tenant);
    if (!served.ok || served.value === null) throw new Error("The keys are not served.");
    return JSON.parse(JSON.stringify(served.value)) as JSONWebKeySet;
  }

  async kids(): Promise<(string | undefined)[]> {
    return (await this.jwks()).keys.map(({ kid }) => kid);
  }

  /** "ok", or the code of jose's error. @param jwks what the verifier remembers; missing: it asks now */
  async verdict(jwt: string, jwks?: JSONWebKeySet): Promise<string> {
    const set = createLocalJWKSet(jwks ?? (await this.jwks()));
    const currentDate = new Date(this.house.now);
    try {
      await jwtVerify(jwt, set, {
        issuer: this.issuer,
        audience: AUDIENCE,
        algorithms: ["RS256"],
        currentDate,
      });
      return "ok";
    } catch (error) {
      return String(Reflect.get(error as object, "code"));
    }
  }

  /** States by kid, as the object keeps them. */
  async states(): Promise<Record<string, string>> {
    const kept = await this.kept();
    return Object.fromEntries((kept?.keys ?? []).map(({ kid, state }) => [kid, state]));
  }

  async kept(): Promise<KeptIssuer | undefined> {
    return runInDurableObject(this.stub, (_, { storage }) => storage.kv.get<KeptIssuer>("issuer"));
  }

  async keep(issuer: KeptIssuer | undefined): Promise<void> {
    await runInDurableObject(this.stub, (_, { storage }) => {
      if (issuer === undefined) storage.kv.delete("issuer");
      else storage.kv.put("issuer", issuer);
    });
    await abortAllDurableObjects();
  }

  async row(): Promise<{ revision: number; published: string; kids: string } | null> {
    return env.DB.prepare("SELECT revision, published, kids FROM issuers WHERE tenant = ?")
      .bind(this.tenant)
      .first();
  }

  async alarmAt(): Promise<number | null> {
    return runInDurableObject(this.stub, (_, { storage }) => storage.getAlarm());
  }

  async ring(): Promise<void> {
    await runDurableObjectAlarm(this.stub);
  }

  /** Goes to the time of the alarm, and fires it. */
  async toAlarm(): Promise<void> {
    const at = await this.alarmAt();
    if (at === null) throw new Error("There is no alarm.");
    this.house.now = Math.max(this.house.now, at);
    await this.ring();
  }
}

export function kidOf(jwt: string): string {
  return String((JSON.parse(atob(jwt.split(".")[0] ?? "")) as { kid: unknown }).kid);
}

/** All objects end as if their machine had. */
export async function die(): Promise<void> {
  await abortAllDurableObjects();
}
