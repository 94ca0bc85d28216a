/** What stands through all lives of one deployment: the world, the storage, the secrets, and who tells the stories. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApi } from "../../src/cli/api.ts";
import { createReferee } from "../../src/cli/referee.ts";
import { ISSUER_ORIGIN, standFor, trustRoles } from "../../src/cli/roles.ts";
import { Given } from "../dev-server/given.ts";
import type { Build } from "../dev-server/index.ts";
import { serviceTokens, startWorld, type World } from "../world/index.ts";
import { buildBaseline, buildOf, TODAY, type Baseline } from "./baseline.ts";
import { DEPLOYMENT, startMixed, type Life, type Mix, type Side } from "./mixed.ts";
import { RECEIVER_HOST } from "./stories-doors.ts";
import { HttpTeller } from "./teller.ts";

/** Those of the tests on workerd, so that what is sealed here opens there. They protect nothing. */
const SECRETS = {
  SERVER_KEY: "dGVzdC1zZXJ2ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc",
  KEYRING: '{"active":"k1","keys":{"k1":"dGVzdC1rZXlyaW5nLWtleS1vZi10aGlydHktdHdvLWI"}}',
  ROOT_API_KEY: "test-root-key-of-32-visible-chars",
} as const;

/** Plans may use them: the stories' are plans. */
const INLINE = ["SKYLINE", "HARBOUR", "CALENDAR", "MAIL", "PAY", "SHOP"].map((name) => `${name}_TOKEN`);

export interface Builds extends Readonly<Record<Side, Build>> {
  readonly baseline: Baseline;
  /** Migrations that each knows. */
  readonly migrations: Readonly<Record<Side, string>>;
  remove(): Promise<void>;
}

export async function makeBuilds(): Promise<Builds> {
  const folder = await mkdtemp(join(tmpdir(), "showcaller-builds-"));
  const [old, today] = [join(folder, "old"), join(folder, "new")];
  await Promise.all([mkdir(old), mkdir(today)]);
  const baseline = await buildBaseline();
  return {
    baseline,
    old: await buildOf(baseline, { name: DEPLOYMENT, folder: old }),
    new: await buildOf(TODAY, { name: DEPLOYMENT, folder: today }),
    migrations: {
      old: join(baseline.directory, "migrations"),
      new: join(TODAY.directory, "migrations"),
    },
    remove: async () => {
      await Promise.all([baseline.remove(), rm(folder, { recursive: true, force: true })]);
    },
  };
}

export class Stage {
  readonly #builds: Builds;
  readonly #folder: string;
  readonly world: World;
  readonly #log: string[] = [];
  readonly #given = new Given();
  #teller: HttpTeller | null = null;
  /** Of what endpoints were sent. */
  readonly #told: Told;

  private constructor(builds: Builds, folder: string, world: World, told: Told) {
    this.#builds = builds;
    this.#folder = folder;
    this.world = world;
    this.#told = told;
  }

  static async set(builds: Builds): Promise<Stage> {
    const told = { messages: 0 };
    const listener: RequestListener = (req, res) => {
      req.resume();
      told.messages += 1;
      res.writeHead(204);
      res.end();
    };
    const receiver = { name: "receiver", host: RECEIVER_HOST, listener: () => listener };
    const world = await startWorld({ services: [receiver] });
    return new Stage(builds, await mkdtemp(join(tmpdir(), "showcaller-upgrade-")), world, told);
  }

  /** Where storage stands. */
  get state(): string {
    return join(this.#folder, "state");
  }

  get told(): number {
    return this.#told.messages;
  }

  get log(): readonly string[] {
    return this.#log;
  }

  /** Made with the first life. */
  get teller(): HttpTeller {
    if (this.#teller === null) throw new Error("There was no life yet.");
    return this.#teller;
  }

  /** Another life on the same storage. The database has the migrations of the newest build that has taken part. */
  async live(mix: Mix, migrated: Side): Promise<Life> {
    const variables = {
      ...SECRETS,
      ...{ DEV_HOSTS: JSON.stringify(this.world.names), ISSUER_ORIGIN },
      SERVICE_TOKENS: JSON.stringify(serviceTokens(this.world.tokens, { inline: INLINE })),
    };
    this.#given.addVariables(variables);
    const life = await startMixed({
      ...{ builds: this.#builds, mix, state: this.state, migrations: this.#builds.migrations[migrated] },
      variables,
      onLine: (line) => this.#log.push(line),
    });
    this.#teller ??= new HttpTeller(await adminKey(life.url), this.#given);
    this.#teller.turnTo(life.url);
    return life;
  }

  /** The world's clouds find the issuer in this life, and trust the workflows of the examples. */
  async trust(life: Life, isFirst: boolean): Promise<void> {
    const referee = createReferee(this.world.origin("referee.example"));
    await standFor(life.url, referee);
    if (!isFirst) return;
    const trusted = await trustRoles(createApi(life.url, this.teller.key), referee);
    if (!trusted.ok) throw new Error(trusted.complaint.what);
  }

  /** How many secrets stand in what the servers of all lives said. */
  secretsInLog(complain: (line: string) => void): number {
    this.#given.addWorld(this.world);
    return this.#given.foundIn(this.#log, complain);
  }

  async close(): Promise<void> {
    await this.world.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface Told {
  messages: number;
}

async function adminKey(url: string): Promise<string> {
  const answer = await fetch(`${url}/v1/tenants/default/keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${SECRETS.ROOT_API_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "upgrade" }),
  });
  if (answer.status !== 201) throw new Error(`No admin key: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { key: string }).key;
}
