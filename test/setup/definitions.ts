/** Command lines, checked against what the pinned wrangler itself says of its commands. */
import { experimental_getWranglerCommands } from "wrangler";

/** Of one option or positional. */
interface Argument {
  readonly type: string;
  readonly array: boolean;
  readonly needsValue: boolean;
  readonly needed: boolean;
  readonly choices: readonly string[] | null;
  readonly names: readonly string[];
}

export interface Command {
  readonly positionals: readonly string[];
  readonly arguments: Readonly<Record<string, Argument>>;
}

export type Definitions = Readonly<Record<string, Command>>;

/** What a command line says. */
export interface Parsed {
  readonly command: string;
  readonly values: Readonly<Record<string, string | true>>;
}

/** The commands that the set-up and the deploy use. */
const USED = [
  "whoami",
  ...["d1 list", "d1 create", "d1 execute", "d1 migrations apply"],
  ...["secret list", "secret bulk", "deployments status", "versions view", "deploy"],
];

/** Of the real wrangler, from its own registry. Plain data, so that the stand-in can read it from a file. */
export function realDefinitions(): Definitions {
  const { registry, globalFlags } = experimental_getWranglerCommands();
  return Object.fromEntries(
    USED.map((name) => {
      let node = registry as unknown as Node | undefined;
      for (const part of name.split(" ")) node = node?.subtree.get(part);
      const found = node?.definition;
      if (found?.type !== "command") throw new Error(`The pinned wrangler has no command "${name}".`);
      const all = { ...(globalFlags as unknown as Readonly<Record<string, RawArgument>>), ...found.args };
      const args = Object.entries(all).map(([key, raw]) => [key, argumentOf(key, raw)] as const);
      return [name, { positionals: found.positionalArgs ?? [], arguments: Object.fromEntries(args) }];
    }),
  );
}

interface RawArgument {
  readonly type?: string;
  readonly array?: boolean;
  readonly requiresArg?: boolean;
  readonly demandOption?: boolean;
  readonly choices?: readonly string[];
  readonly alias?: string | readonly string[];
}

interface Node {
  readonly definition?: {
    readonly type: string;
    readonly args?: Readonly<Record<string, RawArgument>>;
    readonly positionalArgs?: readonly string[];
  };
  readonly subtree: ReadonlyMap<string, Node>;
}

function argumentOf(key: string, raw: RawArgument): Argument {
  return {
    type: raw.type ?? "string",
    array: raw.array === true,
    needsValue: raw.requiresArg === true,
    needed: raw.demandOption === true,
    choices: raw.choices ?? null,
    names: [key, ...[raw.alias ?? []].flat()],
  };
}

/** A text: what is wrong with the command line. */
export function parseCommandLine(definitions: Definitions, args: readonly string[]): Parsed | string {
  const name = Object.keys(definitions)
    .filter((one) => one.split(" ").every((part, i) => args[i] === part))
    .sort((a, b) => b.length - a.length)[0];
  const command = name === undefined ? undefined : definitions[name];
  if (name === undefined || command === undefined) return `Unknown command: ${args.slice(0, 2).join(" ")}`;
  const values: Record<string, string | true> = {};
  const alone: string[] = [];
  for (let i = name.split(" ").length; i < args.length; i += 1) {
    const [, dashes = "", word = "", , inline] = /^(--?)([a-z0-9-]+)(=(.*))?$/s.exec(args[i] ?? "") ?? [];
    if (dashes === "") {
      alone.push(args[i] ?? "");
      continue;
    }
    const [key, argument] =
      Object.entries(command.arguments).find(
        ([, { names }]) => names.includes(word) && !command.positionals.includes(word),
      ) ?? [];
    if (key === undefined || argument === undefined) return `Unknown argument: ${word}`;
    if (key in values && !argument.array) return `Given twice: ${word}`;
    if (argument.type === "boolean") {
      if (inline !== undefined) return `${word} takes no value`;
      values[key] = true;
      continue;
    }
    const value = inline ?? args[(i += 1)];
    if (value === undefined || value.startsWith("-")) return `Not enough arguments following: ${word}`;
    if (argument.choices !== null && !argument.choices.includes(value))
      return `Invalid values: ${word}=${value}`;
    values[key] = value;
  }
  if (alone.length > command.positionals.length) return `Unknown arguments: ${alone.join(", ")}`;
  for (const [i, key] of command.positionals.entries()) {
    const value = alone[i];
    if (value !== undefined) values[key] = value;
  }
  const lacking = Object.entries(command.arguments).find(([key, { needed }]) => needed && !(key in values));
  return lacking === undefined ? { command: name, values } : `Missing required argument: ${lacking[0]}`;
}
