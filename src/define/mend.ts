/**
 * A step that does not fit, as far as it does: what is wrong is told, and left out, so that all the rest is checked in the
 * same look. What stands in its place is a part that no rule has anything against, so that it is never itself the error.
 *
 * - M1 only the first look tells: what is found in a mended step is the mending's own fault.
 * - M2 a mended step is for checks; it never runs.
 */

import { examine, findingsOf, meantBy, nearest, type Finding } from "../actions/index.ts";
import { escapePointer } from "../kernel/index.ts";
import { crowdedIn } from "./crowded.ts";
import { isLoose } from "./places.ts";
import { stepSchema, type StepInput } from "./step-input.ts";

type Parsed = ReturnType<ReturnType<typeof stepSchema>["parse"]>;

export interface Fitted {
  readonly findings: readonly Finding[];
  /** Null where not even the action is known. */
  readonly input: Parsed | null;
  /** Places of the needs that are left, in what was written. */
  readonly needsAt: readonly number[];
}

const MAX_LOOKS = 4;
/** With more findings than this in one step nothing that others could say of it would still be told. */
const MAX_MENDED = 100;

const url = "https://spare.example/";
const look = { action: "http", with: { method: "GET", url } };
const act = { action: "http", with: { method: "PUT", url } };
const forEach = "[]";
const SPARE: Readonly<Record<StepInput["action"], unknown>> = {
  http: {
    ...act,
    effect: "idempotent",
    forEach,
    repeat: { until: "true", every: "1s" },
    verify: look,
    compensate: act,
  },
  run: { with: { workflow: "spare" }, forEach, compensate: act },
  sleep: { with: { for: 0 } },
  wait: { with: { signal: "spare" } },
  transform: { with: { value: null }, forEach },
  fail: { with: { message: "spare" } },
};
/** The forms of pages need different fields: they are put in as a whole. */
const PAGES = "/with/paginate";
const SPARE_PAGES = { by: "link", max: 1 };

const UNTOLD: Finding = { pointer: "", code: "invalid", detail: "The step has the form of no action." };

/** What a step says, and what is wrong with it by itself, its expressions aside. */
export function fitStep(step: unknown): Fitted {
  const crowded = crowdedIn(step);
  if (crowded.length > 0) return { findings: crowded, input: null, needsAt: [] };
  const parsed = examine(stepSchema(), step);
  if (parsed.success) return { findings: [], input: parsed.data, needsAt: allNeeds(step) };
  const found = findingsOf(parsed.error).map((one) => told(one, step));
  // Neither a step that was mended nor what stands in for one ever runs in its place, whatever there is to say of it.
  const findings = found.length > 0 ? found : [UNTOLD];
  const action = isLoose(step) && findings.length <= MAX_MENDED ? actionMeant(step) : null;
  const bad = new Set(findings.map(({ pointer }) => pointer));
  const needsAt = allNeeds(step).filter((i) => !bad.has("/needs") && !bad.has(`/needs/${i}`));
  if (!isLoose(step) || action === null) return { findings, input: null, needsAt };
  let mended: unknown = { ...step, action };
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const again = stepSchema().safeParse(mended);
    if (again.success) return { findings, input: again.data, needsAt };
    mended = mend(mended, "", badPlaces(again.error), action);
  }
  return { findings, input: null, needsAt };
}

function actionMeant(step: Readonly<Record<string, unknown>>): StepInput["action"] | null {
  const named = (name: unknown): StepInput["action"] | null =>
    stepSchema().options.find(({ shape }) => shape.action.value === name)?.shape.action.value ?? null;
  return named(step["action"]) ?? named(meantBy(stepSchema(), step));
}

function allNeeds(step: unknown): number[] {
  const needs: unknown = isLoose(step) ? step["needs"] : undefined;
  return Array.isArray(needs) ? [...needs.keys()] : [];
}

interface BadPlaces {
  readonly pointers: ReadonlySet<string>;
  /** The last tokens of the pointers, by what is before them. */
  readonly below: ReadonlyMap<string, readonly string[]>;
}

function badPlaces(error: Parameters<typeof findingsOf>[0]): BadPlaces {
  const pointers = new Set(
    findingsOf(error).map(({ pointer }) => (pointer.startsWith(`${PAGES}/`) ? PAGES : pointer)),
  );
  const below = new Map<string, string[]>();
  for (const one of pointers) {
    const end = one.lastIndexOf("/");
    const parent = one.slice(0, Math.max(0, end));
    const keys = below.get(parent) ?? [];
    keys.push(one.slice(end + 1));
    below.set(parent, keys);
  }
  return { pointers, below };
}

/** Left out, unless a step of this action needs something there. */
function mend(value: unknown, pointer: string, bad: BadPlaces, action: StepInput["action"]): unknown {
  if (bad.pointers.has(pointer)) return spareAt(pointer, action);
  const inner = (key: string | number, member: unknown): unknown =>
    mend(member, `${pointer}/${escapePointer(String(key))}`, bad, action);
  if (Array.isArray(value)) return value.map((one, i) => inner(i, one)).filter((one) => one !== undefined);
  if (!isLoose(value)) return value;
  const missing = (bad.below.get(pointer) ?? [])
    .filter((key) => !Object.hasOwn(value, key))
    .map((key) => [key, undefined] as const);
  // What reads pages does so by GET, whatever else is wrong.
  const reads = isLoose(value["paginate"]) && bad.pointers.has(`${pointer}/method`);
  const entries = [...Object.entries(value), ...missing]
    .map(([key, member]) => [key, reads && key === "method" ? "GET" : inner(key, member)] as const)
    .filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries);
}

function spareAt(pointer: string, action: StepInput["action"]): unknown {
  if (pointer === PAGES) return SPARE_PAGES;
  let at: unknown = SPARE[action];
  for (const key of pointer.split("/").slice(1))
    at = isLoose(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return at;
}

/** What stands in one object where another form is needed, with a form that fits. Values are never repeated. */
const FORMS: readonly (readonly [place: RegExp, form: string])[] = [
  [
    /\/auth$/,
    'Write `{"connection": "NAME"}`, with the name of an integration, `{"cloud": "NAME"}`, with that of a cloud role, or `{"bearer": "NAME"}`, with that of a service token.',
  ],
  [/^(?:\/verify|\/compensate)?\/retry$/, 'Write `{"attempts": 3}`.'],
  [/^\/needs$/, 'Write a list of names: `["a"]`.'],
];

/** With what helps, where the words of the schema alone do not. */
function told(finding: Finding, step: unknown): Finding {
  const one = absent(finding, step);
  if (one.code === "invalid" && /^(?:Invalid input: expected|What fits:)/.test(one.detail)) {
    const form = FORMS.find(([place]) => place.test(one.pointer))?.[1];
    return form === undefined ? one : { ...one, detail: form };
  }
  if (one.code !== "unknown_field" || !isLoose(step)) return one;
  const [, field = "", inner] = one.pointer.split("/");
  if (field === "forEach" && /^(?:as|item|var|name)$/.test(inner ?? ""))
    return { ...one, detail: "The element is `item`, its place `index`." };
  const parameters = isLoose(step["with"]) ? step["with"] : {};
  if (
    field === "with" &&
    /^(?:body|data)$/i.test(inner ?? "") &&
    /^(?:GET|HEAD)$/.test(String(parameters["method"]))
  )
    return {
      ...one,
      detail: "A GET or HEAD request carries no body. Did you mean `query`?",
    };
  if (inner !== undefined || nearest(field, one.allowed ?? []) !== null) return one;
  const option = stepSchema().options.find(({ shape }) => shape.action.value === step["action"]);
  const fields = option?.shape.with;
  return fields !== undefined && "shape" in fields && Object.hasOwn(fields.shape, field)
    ? { ...one, detail: `It belongs in \`with\`: \`with.${field}\`.` }
    : one;
}

/** What does not fit because it is not there is told as that. */
function absent(finding: Finding, step: unknown): Finding {
  const tokens = finding.pointer.split("/").slice(1);
  let at: unknown = step;
  for (const token of tokens) {
    if (typeof at !== "object" || at === null) return finding;
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!Object.hasOwn(at, key))
      return finding.code === "missing"
        ? finding
        : { ...finding, code: "missing", detail: "The field is missing." };
    at = Reflect.get(at, key);
  }
  return finding;
}
