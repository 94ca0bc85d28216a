/**
 * What to write instead of what other languages have: expressions are mostly written from memory of those. Only looked up
 * for what is wrong already, so that no right expression is held against a word in it.
 */

interface Hint {
  readonly at: number;
  readonly detail: string;
  /** The text as it can be read on, with all else at the same places; null: it cannot. */
  readonly mended: string | null;
}

/** Names for values. */
const NAMES: Readonly<Record<string, string>> = {
  None: "null",
  nil: "null",
  Null: "null",
  NULL: "null",
  undefined: "null",
  True: "true",
  TRUE: "true",
  False: "false",
  FALSE: "false",
};

/** Functions and methods. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  len: "size(x)",
  length: "size(x)",
  count: "size(x)",
  str: "string(x)",
  toString: "string(x)",
  String: "string(x)",
  float: "double(x)",
  parseFloat: "double(x)",
  Number: "double(x)",
  number: "double(x)",
  parseInt: "int(x)",
  floor: "int(x)",
  Boolean: "bool(x)",
  now: "run.now",
  lower: "x.lowerAscii()",
  toLowerCase: "x.lowerAscii()",
  upper: "x.upperAscii()",
  toUpperCase: "x.upperAscii()",
  strip: "x.trim()",
  slice: "x.substring(from, to)",
  substr: "x.substring(from, to)",
  includes: "x.contains('a') of a text, 'a' in x of a list",
  startswith: "x.startsWith('a')",
  endswith: "x.endsWith('a')",
  replace: "x.split('a').join('b')",
  any: "list.exists(x, x > 1)",
  some: "list.exists(x, x > 1)",
  every: "list.all(x, x > 1)",
  find: "list.filter(x, x > 1)[0]",
  get: "has(x.a) ? x.a : null",
  stringify: "json(x)",
  dumps: "json(x)",
  tojson: "json(x)",
  toJson: "json(x)",
  encodeURIComponent: "encode(text)",
  quote: "encode(text)",
  timestamp: "millis('2027-03-14T09:00:00Z')",
  strftime: "rfc3339(run.now)",
  toISOString: "rfc3339(run.now)",
};

/**
 * What is no CEL, and what is: the one that stands first in the expression is told. Third: what can be read in its place,
 * no longer than itself, so that the rest is looked at too.
 */
const SYNTAX: readonly (readonly [pattern: RegExp, instead: string, read?: string])[] = [
  [/(?<!\.)\bis\s+not\s+(?:None|null)\b/, "`x != null`", "!= null"],
  [/(?<!\.)\bis\s+(?:None|null)\b/, "`x == null`", "== null"],
  [/(?<!\.)\bis\b/, "`x == y`", "=="],
  [/(?<!\.)\bnot\s+in\b/, "`!(x in y)`", "in"],
  [/(?<!\.)\bnot\b/i, "`!x`", "!"],
  [/(?<!\.)\band\b/i, "`a && b`", "&&"],
  [/(?<!\.)\bor\b/i, "`a || b` between truth values, and for a default `has(x.a) ? x.a : y`", "||"],
  [/(?<!\.)\bif\b/, "`c ? x : y`"],
  [/(?<!\.)\bfor\b/, "`list.map(x, x + 1)` or `list.filter(x, x > 1)`"],
  [/=>|->/, "`list.map(x, x + 1)`: a name, a comma, and what becomes of it", ","],
  [/(?<!\.)\blambda\b/, "`list.map(x, x + 1)`: a name, a comma, and what becomes of it"],
  [/===/, "`==`", "=="],
  [/!==/, "`!=`", "!="],
  [/<>/, "`!=`", "!="],
  [/\?\?/, "`has(x.a) ? x.a : y`", "||"],
  [/\?\.(?=[A-Za-z_[(])/, "`has(x.a) ? x.a : null`", "."],
  [/`/, "texts in quotes, joined by `+`: `'a' + string(x)`"],
  [/\bf(?=['"])/, "texts joined by `+`: `'a' + string(x)`", ""],
  [/\*\*/, "`x * x`", "*"],
  [/(?<![=!<>])=(?![=>])/, "`==`", "<"],
  [/(?<!&)&(?!&)/, "`a && b`", "<"],
  [/(?<!\|)\|(?!\|)/, "`a || b`; there are no filters, but functions like `size(x)`"],
  [/\$\{?\{?|\{\{/, "names as they are: `input.x`"],
  [/\[[^[\]?{]*:[^[\]]*\]/, "`text.substring(from, to)` of a text, and of a list single elements: `x[0]`"],
];

/** Words of the language, as names of fields and steps. */
const RESERVED_FIELD = /\.\s*(in|true|false|null)\b/;
const DIGIT_FIELD = /\.\s*(\d[a-z0-9_-]*[a-z_-][a-z0-9_-]*)/;
/** The place of an element as it is written elsewhere. */
const PLACE_FIELD = /(?<=[A-Za-z_]\w*|\])\.(\d+)(?![\w-])/;
/** A step that is read, as far as that can be told from a text that is no expression. */
const STEP = /(?<![\w.])steps\s*(?:\.\s*([a-z0-9][a-z0-9_-]*)|\[\s*(['"])([^'"]*)\2\s*\])\s*\.\s*[a-z]/gi;
const QUOTED = /'''[\s\S]*?'''|"""[\s\S]*?"""|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;

/** For a text that is no expression; null: nothing in it is known from elsewhere. */
export function syntaxHint(text: string): Hint | null {
  const bare = unquoted(text);
  const found: Hint[] = SYNTAX.flatMap(([pattern, instead, read]) => {
    const match = pattern.exec(bare);
    if (match === null) return [];
    const { index: at, 0: there } = match;
    const mended =
      read === undefined
        ? null
        : text.slice(0, at) + read.padEnd(there.length) + text.slice(at + there.length);
    return [{ at, detail: insteadOf(there.trim(), instead), mended }];
  });
  const place = PLACE_FIELD.exec(bare);
  if (place?.[1] !== undefined)
    found.push({
      at: place.index,
      detail: `Write \`x[${place[1]}]\` for an element of a list.`,
      mended: null,
    });
  for (const pattern of [RESERVED_FIELD, DIGIT_FIELD]) {
    const match = pattern.exec(bare);
    if (match?.[1] === undefined) continue;
    const detail = inBrackets(bare.slice(0, match.index), match[1]);
    found.push({ at: match.index, detail, mended: null });
  }
  // The first entry of the table at a place: it is the longer one.
  return found.toSorted((a, b) => a.at - b.at)[0] ?? null;
}

/** Steps that a text that is no expression would read. */
export function stepsNamed(text: string): readonly { readonly step: string; readonly at: number }[] {
  // Of what stands in quotes only names of steps count, and those are in brackets.
  const bare = unquoted(text);
  return [...text.matchAll(STEP)].flatMap(({ index, 1: plain, 3: quoted }) => {
    const step = plain ?? quoted;
    return step === undefined || !bare.startsWith("steps", index) ? [] : [{ step, at: index }];
  });
}

/** For a name that is not known; "" if it is not known from elsewhere either. */
export function nameHint(name: string, text: string, at: number): string {
  const instead = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
  if (instead !== undefined) return ` Write \`${instead}\`.`;
  // A field with `-` in its name reads as a difference.
  const before = /(?:\.\s*)([A-Za-z_][\w-]*-)$/.exec(text.slice(0, at))?.[1];
  return before === undefined ? "" : ` ${inBrackets("x", `${before}${name}`)}`;
}

export function functionHint(name: string): string {
  const instead = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return instead === undefined ? "" : ` Write \`${instead}\`.`;
}

/** The step of which `steps` is followed by the bare name, though that reads as a difference; or null. */
export function hyphened(
  text: string,
  at: number,
): { readonly step: string; readonly detail: string; readonly end: number } | null {
  const match = /^steps\s*\.\s*([a-z0-9_]+(?:-[a-z0-9_]+)+)/.exec(text.slice(at));
  const step = match?.[1];
  return match === null || step === undefined
    ? null
    : { step, detail: inBrackets("steps", step), end: at + match[0].length };
}

/** Where an expression reads a field that in other languages is the size of what it is read from. */
export function sizeReads(text: string): readonly { readonly field: string; readonly at: number }[] {
  return [...unquoted(text).matchAll(/\.\s*(length|size|count)\b(?!\s*[(.[])/g)].map(
    ({ index, 1: field = "" }) => ({
      field,
      at: index,
    }),
  );
}

/** Where what follows is a comment, or -1. */
export function commentIn(text: string): number {
  return unquoted(text).indexOf("//");
}

function insteadOf(found: string, instead: string): string {
  return `There is no \`${found === "`" ? "template text" : found}\` here: write ${instead}.`;
}

function inBrackets(before: string, name: string): string {
  const of = /([A-Za-z_]\w*)\s*$/.exec(before)?.[1] ?? "x";
  return `Write \`${of}['${name}']\`.`;
}

/** With nothing in its quotes, at the same places. */
function unquoted(text: string): string {
  return text.replaceAll(QUOTED, (quoted) => `'${" ".repeat(quoted.length - 2)}'`);
}
