/**
 * The surroundings of issuer objects: a clock, a keyring and a database that do what a test says. Objects take them when they
 * are constructed.
 */
import { env } from "cloudflare:workers";
import { createIssuer, type Issuer, type IssuerRpc, type IssuerWiring } from "../../src/identity/index.ts";
import { selectIssuer, writeIssuer } from "../../src/identity/index.ts";
import { createAccessAudit } from "../../src/access/index.ts";
import { createLogger, objectName } from "../../src/platform/index.ts";
import { createKeyCheck, createVault, type Keyring, type Vault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";

export const ISSUER_ORIGIN = "https://id.showcaller.test";
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** Later than any real time, so that no alarm fires but by the tests' own hand. */
const BEGINNING = Date.UTC(2200, 0, 1);

export class IssuerHouse {
  now = BEGINNING;
  keyring: Keyring = ring("k1", { k1: 1 });
  /** Writes to the database that are refused before one is taken. */
  refusals = 0;
  /** Whether the database answers; `slow`: never. */
  database: "here" | "away" | "slow" = "here";
  readonly lines: string[] = [];
  readonly #log = createLogger("debug", (_, line) => this.lines.push(line));
  readonly #vaults = new Map<Keyring, Vault>();

  /** One for each keyring, as in an isolate. */
  get vault(): Vault {
    const { keyring } = this;
    const check = createKeyCheck({ db: env.DB, log: this.#log, now: () => this.now });
    const vault = this.#vaults.get(keyring) ?? createVault(keyring, check);
    this.#vaults.set(keyring, vault);
    return vault;
  }

  later(ms: number): void {
    this.now += ms;
  }

  wiring(): IssuerWiring {
    return {
      ...{ vault: this.vault, log: this.#log, now: () => this.now },
      issuerOf: (tenant) => `${ISSUER_ORIGIN}/t/${tenant}`,
      mirror: async (issuer) =>
        this.#reach(() => {
          if (this.refusals-- > 0) throw new Error("D1_ERROR: Network connection lost.");
          return writeIssuer(env.DB, issuer);
        }),
      known: async (tenant) => this.#reach(() => selectIssuer(env.DB, tenant)),
    };
  }

  /** As one isolate of the API sees it. */
  issuer(object: (tenant: string) => IssuerRpc = objectOf, db: D1Database = env.DB): Issuer {
    return createIssuer({
      ...{ db, object, vault: this.vault, origin: ISSUER_ORIGIN, environment: "test" },
      ...{ audit: createAccessAudit(env.DB), log: this.#log, now: () => this.now },
    });
  }

  async #reach<T>(work: () => Promise<T>): Promise<T> {
    if (this.database === "away") throw new Error("D1_ERROR: Network connection lost.");
    if (this.database === "slow") await new Promise(() => {});
    return work();
  }
}

export function stubOf(tenant: string) {
  return env.ISSUER.getByName(objectName("issuer", tenant, "main"));
}

/** A fresh stub: one of an object that was ended is broken. */
export function objectOf(tenant: string): IssuerRpc {
  const stub: unknown = stubOf(tenant);
  return stub as IssuerRpc;
}

/** That of the test that runs; undefined: objects are wired as they are deployed. */
export const issuerHouses: { current: IssuerHouse | undefined } = { current: undefined };
