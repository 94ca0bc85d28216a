/** Hooks: where services deliver what starts runs. What one may be, and what becomes of a delivery, is decided in the triggers room. */
import { type KeyIdentity, may, type Scope, userOfNewRun } from "../access/index.ts";
import { findStartable } from "../define/index.ts";
import type { Hook, HookFlaw, HookRefusal } from "../triggers/index.ts";
import {
  ChangedHook,
  DeletedHook,
  EndedHookSecret,
  HookList,
  HookSecret,
  HookWithSecrets,
} from "./answer-hooks.ts";
import { EXAMPLES } from "./examples.ts";
import { draftOf, pointerOf, viewHook, viewSecret } from "./hook-views.ts";
import { makerOf } from "./maker.ts";
import { chainFor, refusalOfStart } from "./policy-check.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { full, refusalOfFull } from "./quota-check.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { hookTag, parseHookTag } from "./request-headers.ts";
import { AddHookSecret, CreateHook, EndHookSecret, hooksQuery, PutHook } from "./request-hooks.ts";
import { refusalForErasure } from "./routes-erasures.ts";
import { type Call, insufficientScope, type Route, route } from "./route.ts";
import type { BodyOf } from "./schema.ts";

const PAGE = 100;
/** What whoever makes it must be able to do: it is done in their name. */
const ALSO =
  "What it starts is started in the name of the key in use: that needs `runs:write`, `runs:act_as` where it names a `user`, and `connections:write` where it `revokes`.";

export const HOOK_ROUTES: readonly Route[] = [
  route({
    id: "createHook",
    method: "POST",
    path: "/v1/hooks",
    rule: "hooks:write",
    also: ALSO,
    tag: "Hooks",
    summary: "Make a hook",
    body: { schema: CreateHook, required: true, example: EXAMPLES.hook },
    answers: [
      { status: 201, description: "The hook.", schema: HookWithSecrets, headers: ["ETag", "Location"] },
    ],
    problems: [
      "hook_exists",
      "invalid_hook",
      "unknown_workflow",
      "user_wider",
      "policy_denied",
      "user_being_erased",
    ],
    handle: async ({ call, identity, body: { name, secret, ...body } }) => {
      const user = userOfNewRun(identity, body.user);
      if (!user.ok) return ofAccess(user.error);
      const draft = draftOf(body, user.value);
      const refusal =
        (await refusalForErasure(call, identity.tenant, user.value)) ??
        (await refusalOf(call, identity, draft));
      if (refusal !== null) return refusal;
      const asking = { tenant: identity.tenant, maker: makerOf(identity) };
      const tooMany = await refusalOfFull(call, identity.tenant, "hooks");
      if (tooMany !== null) return tooMany;
      const desk = call.deps.hooks();
      const made = await desk.create(asking, name, draft, secret);
      if (!made.ok) return ofHooks(made.error, "hook_exists");
      const secrets = (await desk.secretViews(made.value)).map(viewSecret);
      const headers = { location: `/v1/hooks/${name}`, etag: hookTag(made.value.version) };
      return jsonResponse({ ...view(call, made.value), secrets }, 201, headers);
    },
  }),
  route({
    id: "listHooks",
    method: "GET",
    path: "/v1/hooks",
    rule: "hooks:read",
    tag: "Hooks",
    summary: "List the hooks of the tenant",
    query: hooksQuery,
    answers: [{ status: 200, description: "A page of hooks, by their names.", schema: HookList }],
    handle: async ({ call, identity, query: { cursor = "", limit = PAGE } }) => {
      const page = await call.deps.hooks().list(identity.tenant, cursor, limit);
      const next = page.length < limit ? null : (page.at(-1)?.name ?? null);
      return jsonResponse({ data: page.map((hook) => view(call, hook)), next_cursor: next });
    },
  }),
  route({
    id: "getHook",
    method: "GET",
    path: "/v1/hooks/{name}",
    rule: "hooks:read",
    tag: "Hooks",
    summary: "Look at a hook, and at when its secrets end",
    answers: [{ status: 200, description: "The hook.", schema: HookWithSecrets, headers: ["ETag"] }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const desk = call.deps.hooks();
      const found = await desk.find(identity.tenant, nameIn(call));
      if (!found.ok) return noHook();
      const secrets = (await desk.secretViews(found.value)).map(viewSecret);
      return jsonResponse({ ...view(call, found.value), secrets }, 200, {
        etag: hookTag(found.value.version),
      });
    },
  }),
  route({
    id: "putHook",
    method: "PUT",
    path: "/v1/hooks/{name}",
    rule: "hooks:write",
    also: ALSO,
    tag: "Hooks",
    summary: "Change a hook",
    description:
      "In the place of all that it was, but for its scheme and its secrets, which stay. With `If-Match` only if it is still the one that was read.",
    headers: ["If-Match"],
    body: { schema: PutHook, required: true, example: EXAMPLES.changedHook },
    answers: [{ status: 200, description: "The hook.", schema: ChangedHook, headers: ["ETag"] }],
    problems: [
      ...(["not_found", "invalid_header", "hook_changed", "invalid_hook", "unknown_workflow"] as const),
      ...(["user_wider", "policy_denied", "user_being_erased"] as const),
    ],
    handle: ({ call, identity, body }) => change(call, identity, body),
  }),
  route({
    id: "deleteHook",
    method: "DELETE",
    path: "/v1/hooks/{name}",
    rule: "hooks:write",
    tag: "Hooks",
    summary: "Delete a hook, its secrets and its log",
    description: "What it started goes on. A hook that is made again under its name is another one.",
    answers: [{ status: 200, description: "From when on that holds everywhere.", schema: DeletedHook }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const name = nameIn(call);
      const gone = await call.deps.hooks().remove(askingOf(identity), name);
      return gone.ok ? jsonResponse({ name, effective_by: effectiveBy(call) }) : ofHooks(gone.error);
    },
  }),
  route({
    id: "addHookSecret",
    method: "POST",
    path: "/v1/hooks/{name}/secrets",
    rule: "hooks:write",
    also: `${ALSO} Who adds a secret answers for the hook from then on.`,
    tag: "Hooks",
    summary: "Add a secret: deliveries that are made with it are taken beside those of the others",
    body: { schema: AddHookSecret, required: true, example: EXAMPLES.hookSecret },
    answers: [{ status: 201, description: "The secret, without its text.", schema: HookSecret }],
    problems: [
      "not_found",
      "invalid_hook",
      "limit_reached",
      "user_wider",
      "policy_denied",
      "unknown_workflow",
    ],
    handle: async ({ call, identity, body }) => {
      const desk = call.deps.hooks();
      const found = await desk.find(identity.tenant, nameIn(call));
      if (!found.ok) return noHook();
      const user = userOfNewRun(identity, found.value.user ?? undefined);
      if (!user.ok) return ofAccess(user.error);
      const refusal = await refusalOf(call, identity, found.value);
      if (refusal !== null) return refusal;
      const added = await desk.addSecret(askingOf(identity), nameIn(call), body.secret);
      if (added.ok) return jsonResponse(viewSecret(added.value), 201);
      return added.error.code === "conflict"
        ? problem("limit_reached", "A hook has at most five secrets that have not ended.", {
            hint: "End one that the log shows no delivery with any more.",
          })
        : ofHooks(added.error);
    },
  }),
  route({
    id: "endHookSecret",
    method: "POST",
    path: "/v1/hooks/{name}/secrets/{secret}/end",
    rule: "hooks:write",
    tag: "Hooks",
    summary: "End a secret, now or later",
    body: { schema: EndHookSecret, required: false, example: EXAMPLES.endSecret },
    answers: [
      { status: 200, description: "From when on it proves nothing, anywhere.", schema: EndedHookSecret },
    ],
    problems: ["not_found"],
    handle: async ({ call, identity, body }) => {
      const [id, until] = [call.params["secret"] ?? "", body.until ?? call.deps.now()];
      const ended = await call.deps.hooks().endSecret(askingOf(identity), nameIn(call), id, until);
      if (!ended.ok) return ofHooks(ended.error);
      return jsonResponse({ id, effective_by: Math.max(until, effectiveBy(call)) });
    },
  }),
];

async function change(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof PutHook>,
): Promise<Response | Problem> {
  const desk = call.deps.hooks();
  const ifMatch = call.request.headers.get("if-match");
  const version = ifMatch === null || ifMatch.trim() === "*" ? undefined : parseHookTag(ifMatch);
  if (version === null) {
    const detail = 'It is "h-<version>", with the version of the hook, or *.';
    return problem("invalid_header", "If-Match cannot be read.", {
      errors: [{ header: "If-Match", detail }],
    });
  }
  const before = await desk.find(identity.tenant, nameIn(call));
  if (!before.ok) return noHook();
  const user = userOfNewRun(identity, body.user);
  if (!user.ok) return ofAccess(user.error);
  const draft = draftOf(body, user.value);
  const refusal =
    (await refusalForErasure(call, identity.tenant, user.value)) ?? (await refusalOf(call, identity, draft));
  if (refusal !== null) return refusal;
  const changed = await desk.change(
    ...([askingOf(identity), nameIn(call), version ?? before.value.version, draft] as const),
  );
  if (!changed.ok) return ofHooks(changed.error, "hook_changed");
  const { value } = changed;
  return jsonResponse({ ...view(call, value), effective_by: effectiveBy(call) }, 200, {
    etag: hookTag(value.version),
  });
}

/** Why whoever asks may not have this done in their name, or it cannot be done at all; null: nothing is wrong. */
export async function refusalOf(
  call: Call,
  identity: KeyIdentity,
  { workflow, revokes }: Pick<Hook, "workflow" | "revokes">,
): Promise<Problem | null> {
  const needed: readonly Scope[] = [
    ...(workflow === null ? [] : (["runs:write"] as const)),
    ...(revokes === null ? [] : (["connections:write"] as const)),
  ];
  const lacking = needed.find((scope) => !may(identity, scope));
  if (lacking !== undefined)
    return insufficientScope(`This hook needs the scope ${lacking}, which the key does not have.`, lacking);
  if (workflow === null) return null;
  const chain = await chainFor(call, identity);
  if (!chain.ok) return chain.error;
  const denial = refusalOfStart(chain.value, { workflow, at: "/workflow" });
  if (denial !== null) return denial;
  const { workflows, plans } = call.deps;
  const found = await findStartable({ workflows, plans }, identity.tenant, workflow);
  return found.kind === "no_such_name"
    ? problemAt("unknown_workflow", { pointer: "/workflow" }, `There is no workflow ${workflow}.`)
    : null;
}

export function askingOf(identity: KeyIdentity) {
  return { tenant: identity.tenant, maker: makerOf(identity) };
}

export function nameIn(call: Call): string {
  return call.params["name"] ?? "";
}

export function noHook(): Problem {
  return problem("not_found", "There is no such hook.");
}

function ofHooks(refusal: HookRefusal, conflict: "hook_exists" | "hook_changed" = "hook_changed"): Problem {
  switch (refusal.code) {
    case "not_found":
      return problem("not_found", "There is no such hook, or no such secret of it.");
    case "conflict":
      return conflict === "hook_exists"
        ? problemAt("hook_exists", { pointer: "/name" }, "The name is taken.")
        : problem("hook_changed", "The hook is not at this version any more.");
    case "too_many":
      return full("hooks");
    case "flawed":
      return ofFlaws(refusal.flaws);
  }
}

function ofFlaws(flaws: readonly HookFlaw[]): Problem {
  const errors = flaws.map(({ pointer, detail }) => ({ pointer: pointerOf(pointer), detail }));
  const [first] = errors;
  return problem("invalid_hook", `${first?.pointer ?? ""}: ${first?.detail ?? "It does not fit."}`, {
    errors,
  });
}

function view({ deps, request }: Call, hook: Hook): Readonly<Record<string, unknown>> {
  return viewHook(hook, deps.publicOrigin ?? new URL(request.url).origin);
}

function effectiveBy({ deps }: Call): number {
  return deps.now() + deps.hooks().effectiveMs;
}
