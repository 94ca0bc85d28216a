/**
 * The surroundings of connection objects whose slots belong to the tenant of these tests: a provider, a clock, a keyring, a
 * database and runs that do what a test says. Objects take them when they are constructed.
 */
import { env } from "cloudflare:workers";
import { auditStatements } from "../../src/access/index.ts";
import { createProviderClient, writeMirrored, type ConnectionWiring } from "../../src/connections/index.ts";
import type { Granted, Siblings } from "../../src/connections/ports.ts";
import { createLogger, importHmacKey } from "../../src/platform/index.ts";
import { createKeyCheck, createVault, type Keyring, type Vault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";
import { Provider, type RefreshStyle } from "./connection-double.ts";

/** Later than any real time, so that no alarm fires but by the tests' own hand. */
const BEGINNING = Date.UTC(2200, 0, 1);

export class ConnectionHouse {
  now = BEGINNING;
  provider: Provider;
  keyring: Keyring = ring("k1", { k1: 1 });
  /** Whether the database takes writes of listings, and whether the vault reaches it. */
  listingAway = false;
  /** Writes that are done although nobody learns of it. */
  listingLost = 0;
  writes = 0;
  /** Whether others live on the account of a grant. */
  siblings: (granted: Granted) => Promise<Siblings> = async () => "none";
  readonly woken: string[] = [];
  /** Runs that cannot be told. */
  readonly deaf = new Set<string>();
  /** What happens while a run is told, before it has heard. */
  whileTelling: ((run: string) => Promise<void>) | null = null;
  /** What happens while the listing is written. */
  whileWriting: (() => Promise<void>) | null = null;
  /** Ends the object while it tells a run. */
  killWhileTelling: string | null = null;
  readonly lines: string[] = [];
  readonly #vaults = new Map<Keyring, Vault>();

  constructor(style: RefreshStyle = "strict") {
    this.provider = new Provider(style, () => this.now);
  }

  later(ms: number): void {
    this.now += ms;
  }

  wiring(ctx: DurableObjectState): ConnectionWiring {
    const { keyring } = this;
    const log = createLogger("debug", (_, line) => this.lines.push(line));
    const now = (): number => this.now;
    // One for each keyring, as in an isolate.
    const vault = this.#vaults.get(keyring) ?? createVault(keyring, createKeyCheck({ db: env.DB, log, now }));
    this.#vaults.set(keyring, vault);
    return {
      ...{ log, now, vault },
      provider: createProviderClient({
        egress: async (request) => {
          // As the platform does: a request leaves when what was written before it is on disk.
          await ctx.storage.sync();
          this.provider.kill = () => {
            ctx.abort("killed by a test");
          };
          return this.provider.egress(request);
        },
        ...{ log, now },
      }),
      mirror: async (mirrored) => {
        if (this.listingAway) throw new Error("D1_ERROR: Network connection lost.");
        this.writes += 1;
        await this.whileWriting?.();
        await writeMirrored(
          env.DB,
          await importHmacKey(new Uint8Array(32).fill(7)),
          (entry) => auditStatements(env.DB, entry),
          mirrored,
        );
        if (this.listingLost > 0) {
          this.listingLost -= 1;
          throw new Error("D1_ERROR: Network connection lost.");
        }
      },
      siblings: async (granted) => this.siblings(granted),
      wake: async (_tenant, run) => {
        await this.whileTelling?.(run);
        if (this.killWhileTelling === run) {
          this.killWhileTelling = null;
          ctx.abort("killed by a test");
        }
        if (this.deaf.has(run)) throw new Error("The run cannot be told just now.");
        this.woken.push(run);
      },
    };
  }
}

/** In which the connection objects live whose life begins from now on; null: in the product's own. */
export const houses: { current: ConnectionHouse | null } = { current: null };
