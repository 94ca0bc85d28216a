/** Command lines of wrangler, checked. Without wrangler itself, which takes a second to load: its definitions come as data. */

/** Of one option or positional. */
export interface Argument {
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
