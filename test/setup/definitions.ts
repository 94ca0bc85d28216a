/** What the pinned wrangler itself says of its commands. */
import { experimental_getWranglerCommands } from "wrangler";
import type { Argument, Definitions } from "./command-line.ts";

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
