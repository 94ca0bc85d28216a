/**
 * The secrets that a deployment was given or gave out, and the search for them in what its servers said.
 *
 * Owns: which variables of a Worker are secrets, and what a finding is. Does not own: the lines, nor in which forms a secret
 * is found (`../platform/secret-search.ts`).
 */
import { SecretSearch } from "../platform/secret-search.ts";
import type { World } from "../world/index.ts";

/** Shorter ones are words. */
const MIN_CHARS = 12;
const MEMBERS: ReadonlySet<string> = new Set(["secret", "client_secret", "api_key"]);

export class Given {
  readonly #named = new Map<string, string>();

  /** Those among the variables of a Worker (`writeVariables`): its keys, the keys of its keyring, the tokens of services. */
  static of(variables: Readonly<Record<string, string>>): Given {
    const given = new Given();
    given.addVariables(variables);
    return given;
  }

  addVariables(variables: Readonly<Record<string, string>>): void {
    for (const name of ["SERVER_KEY", "ROOT_API_KEY"]) this.add(name, variables[name]);
    const { keys = {} } = parsed<{ keys?: Record<string, string> }>(variables["KEYRING"]);
    this.add("a key of KEYRING", ...Object.values(keys));
    const services = parsed<Record<string, { token: string }>>(variables["SERVICE_TOKENS"]);
    this.add("a token of SERVICE_TOKENS", ...Object.values(services).map(({ token }) => token));
    if (this.size === 0) throw new Error("The Worker has no secrets: a search for them would find nothing.");
  }

  get size(): number {
    return this.#named.size;
  }

  /** What is missing is passed over. Throws for what is too short to be looked for. */
  add(name: string, ...secrets: readonly (string | undefined)[]): void {
    for (const secret of secrets) {
      if (secret === undefined) continue;
      if (secret.length < MIN_CHARS) throw new RangeError(`${name} is too short to be looked for`);
      this.#named.set(secret, name);
    }
  }

  /** Those that pass in a body of our API, sent or answered: our own keys, secrets of hooks and endpoints, what is lent. */
  addFrom(body: unknown): void {
    if (typeof body !== "object" || body === null) return;
    for (const [name, value] of Object.entries(body)) {
      if (typeof value !== "string") this.addFrom(value);
      else if (isLong(value) && (MEMBERS.has(name) || (name === "key" && value.startsWith("sck_"))))
        this.add(`"${name}" of a body`, value);
    }
  }

  /** Whatever the login server and the clouds of the world have issued until now; what its services take is among the variables. */
  addWorld({ login, clouds }: { [Part in "login" | "clouds"]: Pick<World[Part], "secrets"> }): void {
    this.add("what the login server issued", ...login.secrets().filter(isLong));
    this.add("what a cloud issued", ...clouds.secrets().filter(isLong));
  }

  /** How many of them stand in the lines, each counted once for each form that it stands in. */
  foundIn(lines: readonly string[], complain: (line: string) => void): number {
    const search = new SecretSearch(this.#named);
    const found = new Map<string, string>();
    for (const line of lines)
      for (const what of search.in(line)) found.set(what, found.get(what) ?? this.#without(line));
    for (const [what, line] of found) complain(`secretsInLogs: ${what}: ${line.slice(0, 300)}`);
    return found.size;
  }

  /** For tests: throws if there is one. */
  mustNotStandIn(lines: readonly string[]): void {
    const found: string[] = [];
    if (this.foundIn(lines, (line) => found.push(line)) > 0) throw new Error(found.join("\n"));
  }

  #without(line: string): string {
    let shown = line;
    for (const [secret, name] of this.#named) shown = shown.replaceAll(secret, `<${name}>`);
    return shown;
  }
}

function isLong(secret: string): boolean {
  return secret.length >= MIN_CHARS;
}

function parsed<T extends object>(json: string | undefined): T {
  return JSON.parse(json ?? "{}") as T;
}
