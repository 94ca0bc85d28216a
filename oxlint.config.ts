import { defineConfig, type OxlintConfig } from "oxlint";

/** The API speaks to all the rooms below it; workflows, the cli and the composition root are above or beside it. */
const API_DOORS =
  "kernel driver platform actions define vault connections identity access run directory observe triggers erasure quotas".split(
    " ",
  );

// A room is a folder of src/, its door is index.ts. This table says whose doors a room may use; test/lint/ proves that
// the rules made from it do fire.
const ROOMS: ReadonlyMap<string, readonly string[]> = new Map([
  ["kernel", []],
  ["driver", ["kernel"]],
  ["platform", ["kernel"]],
  ["actions", ["kernel", "platform"]],
  ["define", ["kernel", "actions"]],
  ["vault", ["platform"]],
  ["connections", ["kernel", "platform", "vault"]],
  ["identity", ["kernel", "platform", "vault"]],
  ["access", ["platform", "vault"]],
  ["run", ["kernel", "driver", "platform", "define", "actions"]],
  ["directory", ["kernel", "platform"]],
  ["observe", ["kernel", "platform"]],
  ["triggers", ["kernel", "platform", "vault"]],
  ["erasure", ["platform", "access", "connections", "run", "directory", "triggers"]],
  ["quotas", ["platform"]],
  ["api", API_DOORS],
  ["workflows", ["define"]],
  ["cli", []],
]);

/** Rooms that run without a host: time, chance and the outside reach them as arguments and ports. */
const HOSTLESS = ["kernel", "driver"];

/** Rooms that must also run outside workerd, or are written by users: they reach the runtime through other rooms only. */
const WITHOUT_RUNTIME = [...HOSTLESS, "actions", "define", "workflows"];

const HOST_GLOBALS = [
  "Date performance setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate queueMicrotask scheduler",
  "fetch Request Response WebSocket EventSource caches navigator crypto console process",
  "globalThis global self window WeakRef FinalizationRegistry",
].flatMap((line) => line.split(" "));

type Rules = NonNullable<OxlintConfig["rules"]>;

/**
 * `ups` is the way from a file to src/: "../" from a room's own folder, "../../" from a folder inside the room.
 * Doors are exempted by a negated group, because oxlint takes a regex with a lookahead and then never matches it.
 */
function importRule(room: string, doors: readonly string[], ups: string): Rules {
  const message = `${room} may import ${doors.join(", ") || "no other room"}, and only by the door, index.ts.`;
  const patterns: ({ message: string } & ({ group: string[] } | { regex: string }))[] = [
    { group: [`${ups}*/**`, ...doors.map((door) => `!${ups}${door}/index.ts`)], message },
    { regex: `^${ups.replaceAll(".", "\\.")}[^/]+$`, message },
    { regex: "[^.]/\\.\\./|^\\./\\.\\./|^/", message: "Write the shortest relative path." },
  ];
  if (HOSTLESS.includes(room)) patterns.push({ regex: "^[^.]", message: `${room} imports no package.` });
  else if (WITHOUT_RUNTIME.includes(room))
    patterns.push({ regex: "^cloudflare:", message: `${room} does not know the runtime.` });
  if (room !== "cli")
    patterns.push({ regex: "^node:", message: "The Worker is built on web standards, not on Node." });
  return { "no-restricted-imports": ["error", { patterns }] };
}

const roomOverrides = [...ROOMS].flatMap(([room, doors]) => [
  { files: [`src/${room}/*.ts`], rules: importRule(room, doors, "../") },
  { files: [`src/${room}/*/**/*.ts`], rules: importRule(room, doors, "../../") },
]);

const hostlessRules: Rules = {
  "no-restricted-globals": [
    "error",
    ...HOST_GLOBALS.map((name) => ({ name, message: "Take it as an argument or through a port." })),
  ],
  "no-restricted-properties": [
    "error",
    { object: "Math", property: "random", message: "Take random numbers as an argument." },
  ],
};

export default defineConfig({
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: "error" },
  plugins: ["eslint", "typescript", "unicorn", "oxc", "import", "vitest"],
  categories: { correctness: "error", suspicious: "error" },
  ignorePatterns: ["worker-configuration.d.ts"],
  rules: {
    // Imports
    "import/no-cycle": "error",
    "import/no-named-as-default": "off",
    "import/no-named-as-default-member": "off",
    "import/no-unassigned-import": "off",
    "typescript/consistent-type-imports": ["error", { disallowTypeAnnotations: true }],

    // Promises and errors
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    "typescript/await-thenable": "error",
    "typescript/only-throw-error": "error",
    "typescript/prefer-promise-reject-errors": "error",

    // Types
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/ban-ts-comment": [
      "error",
      { "ts-expect-error": "allow-with-description", minimumDescriptionLength: 5 },
    ],
    "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "typescript/no-unsafe-argument": "error",
    "typescript/no-unsafe-assignment": "error",
    "typescript/no-unsafe-call": "error",
    "typescript/no-unsafe-member-access": "error",
    "typescript/no-unsafe-return": "error",
    "typescript/no-deprecated": "error",

    // Habits
    eqeqeq: ["error", "always", { null: "ignore" }],
    "no-console": "error",
    "no-eval": "error",
    "no-implied-eval": "error",
    "no-new-func": "error",
    "no-var": "error",
    "prefer-const": "error",
    "no-param-reassign": "error",
    "unicorn/no-abusive-eslint-disable": "error",

    // Off: the compiler does it better, or a matter of taste
    "typescript/consistent-return": "off",
    "typescript/no-unsafe-type-assertion": "off",
    "typescript/no-unnecessary-type-parameters": "off",
    "typescript/no-extraneous-class": "off",
    "no-shadow": "off",
    "no-underscore-dangle": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/no-useless-spread": "off",
    "unicorn/no-array-reverse": "off",
  },
  overrides: [
    ...roomOverrides,
    {
      files: ["src/*.ts"],
      rules: {
        "no-restricted-imports": [
          "error",
          {
            patterns: [
              {
                group: ["./*/**", "../**", "!./*/index.ts"],
                message: "The composition root imports rooms by their door, index.ts.",
              },
              { regex: "^node:", message: "The Worker is built on web standards, not on Node." },
            ],
          },
        ],
      },
    },
    { files: HOSTLESS.map((room) => `src/${room}/**/*.ts`), rules: hostlessRules },
    { files: ["src/platform/log.ts", "src/cli/**/*.ts", "test/**/*.ts"], rules: { "no-console": "off" } },
    {
      files: ["test/**/*.ts"],
      rules: {
        "no-new": "off",
        "typescript/unbound-method": "off",
        "vitest/no-conditional-expect": "off",
        "vitest/expect-expect": ["error", { assertFunctionNames: ["expect*", "assert*", "fc.assert"] }],
        "typescript/no-non-null-assertion": "off",
        "typescript/no-unsafe-argument": "off",
        "typescript/no-unsafe-assignment": "off",
        "typescript/no-unsafe-call": "off",
        "typescript/no-unsafe-member-access": "off",
        "typescript/no-unsafe-return": "off",
      },
    },
  ],
});
