/** How a route speaks to a run: as whom, and what to do when the object's life ends in the middle of a call. */
import { actorOf, authenticate, type KeyIdentity, may } from "../access/index.ts";
import { classifyFault, err, ok, type Result } from "../platform/index.ts";
import type { Answer, RunRpc, RunView, Viewer } from "../run/index.ts";
import { seesRuns, sightOf } from "./outputs.ts";
import type { Problem } from "./problems.ts";
import { ofRun, UNSHARED } from "./replies.ts";
import { parsePrefer, preferenceApplied, type Preferences } from "./request-headers.ts";
import type { Call } from "./route.ts";

/** As whom a key sees runs: those of its tenant, or of its user, and sensitive values or not. */
export function viewerOf(identity: KeyIdentity): Viewer {
  return {
    tenant: identity.tenant,
    ...(identity.user === null ? {} : { onlyUser: identity.user }),
    ...(may(identity, "outputs:reveal") ? { reveal: true } : {}),
  };
}

/** As `viewerOf`, and only runs that this very key started, unless it administers runs. */
export function ownerOf(identity: KeyIdentity): Viewer {
  const viewer = viewerOf(identity);
  return may(identity, "runs:admin") ? viewer : { ...viewer, onlyStartedBy: actorOf(identity) };
}

/** Asks for the run, and shows of it what the key may see. */
export async function askForRun(
  call: Call,
  identity: KeyIdentity,
  question: (run: RunRpc) => Promise<Answer<RunView>>,
  again = true,
): Promise<Result<RunView, Problem>> {
  const view = await ask(call, identity, question, again);
  return view.ok ? ok(sightOf(identity).run(view.value)) : view;
}

/**
 * Asks a run. When the object is lost in the middle (a deploy, a move to another machine), `again` says that the same
 * question may be asked once more, of a fresh stub.
 */
export async function ask<T>(
  call: Call,
  identity: KeyIdentity,
  question: (run: RunRpc) => Promise<Answer<T>>,
  again = true,
  id = call.params["run"] ?? "",
): Promise<Result<T, Problem>> {
  const run = (): RunRpc => call.deps.runs(identity.tenant, id);
  const answer = await askTwice(run, question, again);
  return answer.ok ? ok(answer.value) : err(ofRun(answer));
}

async function askTwice<T>(
  run: () => RunRpc,
  question: (run: RunRpc) => Promise<Answer<T>>,
  again: boolean,
): Promise<Answer<T>> {
  try {
    return await question(run());
  } catch (error) {
    if (!again || classifyFault(error)?.kind !== "later") throw error;
    return question(run());
  }
}

export function preferencesOf(call: Call): Preferences {
  return parsePrefer(call.request.headers.get("prefer"));
}

/** How long a page waits for the first thing to stand in it, and what its headers say. */
export function pageOf(call: Call): { readonly waitMs: number; readonly headers: Record<string, string> } {
  const preferences = { ...preferencesOf(call), respondAsync: false };
  const applied = preferenceApplied(preferences);
  const headers = applied === null ? UNSHARED : { ...UNSHARED, "preference-applied": applied };
  return { waitMs: preferences.waitMs ?? 0, headers };
}

/** Whether the key of a stream is still good: it may be revoked while the stream is open. */
export function mayStillRead({ deps, request, path }: Call): () => Promise<boolean> {
  const authorization = request.headers.get("authorization");
  const purpose = `GET ${path}`;
  return async () => (await authenticate(deps.access, { authorization, purpose }, deps.now())).ok;
}

/** For how long the answer to a change waits for the run's end; 0 for who sees no runs: it would tell when that is. */
export function waitForEndOf(identity: KeyIdentity, { waitMs }: Preferences): number {
  return seesRuns(identity) ? (waitMs ?? 0) : 0;
}
