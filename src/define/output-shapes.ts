/** What the steps of a plan put out, as far as their parameters tell. Each is found out once, and only if somebody reads it. */

import type { Json, StepDef } from "../kernel/index.ts";
import {
  holdsExpression,
  isList,
  isMap,
  parseExpression,
  pathOf,
  splitTemplate,
  type Node,
  type Path,
} from "./expressions/index.ts";
import {
  ANY,
  either,
  listOf,
  NULL,
  NUMBER,
  oneOf,
  recordOf,
  shapeOfSchema,
  TEXT,
  TRUTH,
  within,
  type Shape,
} from "./shapes.ts";
import type { Vagueness } from "./vague-outputs.ts";

/** Where an expression stands: in which step, and at which pointer from it. Null: in the output of the run. */
export interface Standpoint {
  readonly def: StepDef | null;
  readonly pointer: string;
}

export class OutputShapes {
  readonly #steps: ReadonlyMap<string, StepDef>;
  readonly #input: Shape;
  readonly #vague: ReadonlyMap<string, Vagueness>;
  readonly #known = new Map<string, Shape>();
  readonly #inside = new Set<string>();

  /** @param vague steps of which less is known than they say */
  constructor(
    steps: readonly StepDef[],
    input: Shape,
    vague: ReadonlyMap<string, Vagueness> = new Map<string, Vagueness>(),
  ) {
    this.#steps = new Map(steps.map((def) => [def.name, def]));
    this.#input = input;
    this.#vague = vague;
  }

  /** What a path leads to. */
  at(path: Path, from: Standpoint): Shape {
    return path.keys.reduce(within, this.#origin(path, from));
  }

  #origin({ root, step, field }: Path, { def, pointer }: Standpoint): Shape {
    if (root === "input") return this.#input;
    if (step !== null && field === "output") return this.#output(step);
    if (step !== null) return (field === null ? undefined : STEP_FIELDS[field]) ?? ANY;
    if (Object.hasOwn(ROOTS, root)) return ROOTS[root] ?? ANY;
    if (def === null || !this.#steps.has(def.name)) return ANY;
    if (root === "own") return this.#unlessInside(`own ${def.name}`, () => this.#once(def));
    if (root === "item") return this.#unlessInside(`item ${def.name}`, () => this.#item(def));
    if (root !== "output") return ANY;
    const { verify } = def;
    if (pointer === "/verify/happened") return verify === undefined ? ANY : this.#answer(def, verify.with);
    return this.#answer(def, def.with);
  }

  /** What is made of itself is an error of its own, and tells nothing. */
  #unlessInside(what: string, find: () => Shape): Shape {
    if (this.#inside.has(what)) return ANY;
    this.#inside.add(what);
    const shape = find();
    this.#inside.delete(what);
    return shape;
  }

  /** Of a step as a whole. */
  #output(name: string): Shape {
    const known = this.#known.get(name);
    const def = this.#steps.get(name);
    if (known !== undefined || def === undefined) return known ?? ANY;
    // Steps that need each other are an error of their own.
    this.#known.set(name, ANY);
    const one = this.#once(def);
    // Of a step that polls and goes through a list, which it cannot, it is open what was meant.
    const open = this.#vague.get(name) === "any" || (def.forEach !== undefined && def.repeat !== undefined);
    const whole = open ? ANY : def.forEach === undefined ? one : listOf(one);
    const { onFailure } = def;
    const fallback = typeof onFailure === "object" ? onFailure.fallback : undefined;
    const shape = fallback === undefined ? whole : either(whole, shapeOfValue(fallback));
    this.#known.set(name, shape);
    return shape;
  }

  /** Of a step, or of one of its items. */
  #once(def: StepDef): Shape {
    const { action, with: parameters, verify } = def;
    if (this.#vague.get(def.name) === "any") return ANY;
    switch (action) {
      case "http": {
        const own = this.#answer(def, parameters);
        if (verify === undefined) return own;
        // It can say what shall be the output.
        if (typeof verify.happened === "string" && /(["'])output\1/.test(verify.happened)) return ANY;
        return either(own, this.#answer(def, verify.with));
      }
      case "sleep":
        return NULL;
      case "wait":
        return isMap(parameters) ? waitShape(parameters) : ANY;
      case "transform":
        return isMap(parameters) ? this.#template(parameters["value"] ?? null, { def, pointer: "" }) : ANY;
      default:
        return ANY;
    }
  }

  #answer({ name }: StepDef, parameters: Json): Shape {
    return this.#vague.has(name) ? SOME_ANSWER : requestShape(parameters);
  }

  #item(def: StepDef): Shape {
    const { forEach } = def;
    if (typeof forEach?.list !== "string") return ANY;
    const parsed = parseExpression(forEach.list);
    return parsed.ok ? within(this.#node(parsed.expression.root, { def, pointer: "/forEach" }), null) : ANY;
  }

  #template(template: Json, from: Standpoint): Shape {
    if (isList(template)) return listOf(ANY);
    if (isMap(template))
      return recordOf(
        Object.fromEntries(Object.entries(template).map(([name, one]) => [name, this.#template(one, from)])),
      );
    if (typeof template !== "string" || !holdsExpression(template)) return shapeOfValue(template);
    const split = splitTemplate(template);
    const [first, second] = split.ok ? split.segments : [];
    if (second !== undefined) return TEXT;
    const parsed = first?.kind === "expression" ? parseExpression(first.text) : null;
    return parsed?.ok === true ? this.#node(parsed.expression.root, from) : ANY;
  }

  #node(node: Node, from: Standpoint): Shape {
    if (node.op === "value") return shapeOfValue(node.value);
    if (node.op === "list") return listOf(ANY);
    if (node.op === "map") {
      const named = node.entries.flatMap(([key, value]) =>
        key.op === "value" && typeof key.value === "string" ? [[key.value, value] as const] : [],
      );
      if (named.length < node.entries.length) return ANY;
      return recordOf(Object.fromEntries(named.map(([name, value]) => [name, this.#node(value, from)])));
    }
    const path = pathOf(node);
    return path === null ? ANY : this.at(path, from);
  }
}

const FAILURE = {
  ...{ code: TEXT, message: TEXT, hint: TEXT, retryable: TRUTH, step: TEXT, item: NUMBER, attempt: NUMBER },
  ...{ attempts: NUMBER, status: NUMBER, reason: TEXT, child: recordOf({ run: TEXT, code: TEXT }) },
};
/** Of what is there in every run alike. */
const ROOTS: Readonly<Partial<Record<Path["root"], Shape>>> = {
  run: recordOf({ id: TEXT, user: TEXT, now: NUMBER }),
  index: NUMBER,
  iteration: NUMBER,
  stepKey: TEXT,
  failure: recordOf({ ...FAILURE, left_behind: listOf(ANY), undone: listOf(ANY) }),
};
const STEP_FIELDS: Readonly<Partial<Record<NonNullable<Path["field"]>, Shape>>> = {
  status: oneOf(["succeeded", "failed", "skipped", "cancelled", "unknown"]),
  failure: recordOf(FAILURE),
  ...{ attempts: NUMBER, startedAt: NUMBER, endedAt: NUMBER },
};
const SOME_ANSWER = recordOf({ status: NUMBER, headers: ANY, body: ANY, pages: ANY, more: ANY }, "body");

/** What an `http` step puts out: an answer, as far as it is kept. */
function requestShape(parameters: Json): Shape {
  if (!isMap(parameters)) return ANY;
  const { keep, paginate } = parameters;
  const { headers, body } = isMap(keep) ? keep : {};
  const answer = { status: NUMBER, headers: headersShape(headers), body: bodyShape(body) };
  if (paginate === undefined) return recordOf(answer, "body");
  return recordOf({ ...answer, body: listOf(ANY), pages: NUMBER, more: TRUTH }, "body");
}

function headersShape(kept: Json | undefined): Shape {
  const list = kept === undefined || !isList(kept) ? [] : kept;
  const names = list.flatMap((name) => (typeof name === "string" ? [name.toLowerCase()] : []));
  const fields = new Map(names.map((name) => [name, TEXT]));
  return { kind: "object", fields, others: kept === undefined ? "lower" : "none" };
}

function bodyShape(form: Json | undefined): Shape {
  return form === "none" ? NULL : form === "text" ? TEXT : ANY;
}

function waitShape({ approval, schema }: { readonly [key: string]: Json }): Shape {
  if (approval === undefined) return shapeOfSchema(schema);
  // Another decision fails the step.
  return recordOf({ decision: oneOf(["approved"]), by: TEXT, at: NUMBER, note: TEXT });
}

function shapeOfValue(value: Json): Shape {
  if (value === null) return NULL;
  if (isList(value)) return listOf(ANY);
  if (isMap(value))
    return recordOf(
      Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shapeOfValue(one)])),
    );
  return typeof value === "string" ? TEXT : typeof value === "number" ? NUMBER : TRUTH;
}
