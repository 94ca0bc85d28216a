/** The routes of a collection of deeds: make one, list, look at one and, where it can be, undo one. */
import type { Deed } from "./deeds.ts";
import { pickFields, type Fields } from "./fields.ts";
import { problem, type Answer } from "./http.ts";
import type { Call, ServiceRoute } from "./service.ts";

const MAX_LISTED = 100;

export interface Resource {
  /** `/bookings` */
  path: string;
  /** What one of them is: `booking`. */
  kind: string;
  /** Begins its ids: `bk`. */
  prefix: string;
  fields: Fields;
  /** Status while it stands, and once it is undone; without `undone` there is no DELETE. */
  words: { stands: string; undone?: string };
  needsKey?: boolean;
  /** Fields by which the list can be narrowed, as query parameters of the same name. */
  filters?: readonly string[];
  /** Adds what the service itself works out, a price for instance. */
  derive?: (body: Record<string, unknown>) => Record<string, unknown>;
  /** Says no for a reason of business. */
  refuse?: (body: Record<string, unknown>) => Answer | null;
}

export function resource(spec: Resource): ServiceRoute[] {
  const one = `${spec.path}/:id`;
  const routes: ServiceRoute[] = [
    {
      method: "POST",
      path: spec.path,
      fields: spec.fields,
      needsKey: spec.needsKey ?? false,
      handle: (call) => create(spec, call),
    },
    { method: "GET", path: spec.path, handle: (call) => list(spec, call) },
    {
      method: "GET",
      path: one,
      handle: (call) => withDeed(spec, call, (deed) => ({ status: 200, body: view(spec, deed) })),
    },
  ];
  if (spec.words.undone !== undefined)
    routes.push({
      method: "DELETE",
      path: one,
      handle: (call) => withDeed(spec, call, (deed) => remove(call, deed)),
    });
  return routes;
}

/** The deed named in the path, or 404. */
export function withDeed(spec: Resource, call: Call, then: (deed: Deed) => Answer): Answer {
  const id = call.params["id"] ?? "";
  const deed = call.find(spec.kind, id);
  return deed === undefined ? problem(404, "not_found", `There is no ${spec.kind} ${id}.`) : then(deed);
}

/** How the outside sees a deed. */
export function view(spec: Resource, deed: Deed): Record<string, unknown> {
  const status = deed.undoneAt === null ? spec.words.stands : spec.words.undone;
  return {
    id: deed.id,
    status,
    reference: deed.reference,
    ...deed.data,
    created_at: new Date(deed.at).toISOString(),
  };
}

function create(spec: Resource, call: Call): Answer {
  const refusal = spec.refuse?.(call.body) ?? null;
  if (refusal !== null) return refusal;
  const deed = call.make(spec.kind, spec.prefix, {
    ...pickFields(spec.fields, call.body),
    ...spec.derive?.(call.body),
  });
  return { status: 201, headers: { location: `${spec.path}/${deed.id}` }, body: view(spec, deed) };
}

/** With `reference` also what was undone is listed, because the question is whether it ever happened. */
function list(spec: Resource, call: Call): Answer {
  const reference = call.query.get("reference");
  const filters = (spec.filters ?? []).flatMap((name) => {
    const value = call.query.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  for (const [name, value] of filters) {
    const complaint = spec.fields[name]?.(value) ?? null;
    if (complaint !== null) return problem(422, "invalid_query", `${name} ${complaint}.`);
  }
  const deeds = call
    .list(reference === null ? { kind: spec.kind, standing: true } : { kind: spec.kind, reference })
    .filter((deed) => filters.every(([name, value]) => deed.data[name] === value));
  return {
    status: 200,
    body: { items: deeds.slice(-MAX_LISTED).map((deed) => view(spec, deed)), total: deeds.length },
  };
}

function remove(call: Call, deed: Deed): Answer {
  if (deed.undoneAt !== null) return problem(410, "gone", `The ${deed.kind} ${deed.id} is no more.`);
  call.undo(deed);
  return { status: 204 };
}
