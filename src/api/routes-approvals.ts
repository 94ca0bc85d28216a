/** Approvals: what a run waits for a person to decide, the decision, and links for people without a key. */
import { actorOf, type KeyIdentity, makersOfActor, may } from "../access/index.ts";
import { parseApprovalId } from "../kernel/index.ts";
import { err, isRunId, type Result } from "../platform/index.ts";
import type { Answer, ApprovalAddress, ApprovalView, RunRpc } from "../run/index.ts";
import { Approval, ApprovalLink, ApprovalList, Decided } from "./answer-approvals.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problem } from "./problems.ts";
import { jsonResponse, UNSHARED } from "./replies.ts";
import { DecideApproval, LinkApproval } from "./request-schemas.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, viewerOf } from "./runs-of.ts";

const UNTRACED =
  "The key was made by so many others, one from the other, that it may come from whoever asks.";

export const APPROVAL_ROUTES: readonly Route[] = [
  route({
    id: "listApprovals",
    method: "GET",
    path: "/v1/runs/{run}/approvals",
    rule: "runs:read",
    tag: "Approvals",
    summary: "List what a run waits for somebody to approve",
    answers: [{ status: 200, description: "In the order of the steps.", schema: ApprovalList }],
    problems: ["not_found", "run_ended", "run_deleted"],
    handle: async ({ call, identity }) => {
      const list = await ask(call, identity, (run) => run.approvals(viewerOf(identity)));
      if (!list.ok) return list.error;
      return jsonResponse({ data: list.value.map((one) => seen(one, identity)) }, 200, UNSHARED);
    },
  }),
  route({
    id: "getApproval",
    method: "GET",
    path: "/v1/approvals/{approval}",
    rule: "runs:read",
    tag: "Approvals",
    summary: "Look at an approval, pending or decided",
    description:
      "One that was asked for in an earlier generation of the run, or in another round, is not found.",
    answers: [{ status: 200, description: "The approval.", schema: Approval }],
    problems: ["not_found", "run_ended", "run_deleted"],
    handle: async ({ call, identity }) => {
      const found = await askAbout(call, identity, (run, address) =>
        run.approval(viewerOf(identity), address),
      );
      return found.ok ? jsonResponse(seen(found.value, identity), 200, UNSHARED) : found.error;
    },
  }),
  route({
    id: "decideApproval",
    method: "POST",
    path: "/v1/approvals/{approval}",
    rule: "approvals:decide",
    also: "Not the key that started the run or appended to it, nor one that such a key made.",
    tag: "Approvals",
    summary: "Approve or deny",
    description:
      "The first decision counts. A later one changes nothing and is answered with what was decided, `applied: false`.",
    body: { schema: DecideApproval, required: true, example: EXAMPLES.decide },
    answers: [{ status: 200, description: "What was decided.", schema: Decided }],
    problems: ["not_found", "approver_is_starter", "not_waiting_for_approval", "run_ended", "run_deleted"],
    handle: async ({ call, identity, body: { decision, note } }) => {
      const by = actorOf(identity);
      const behind = await makersOfActor(call.deps.access, identity.tenant, by);
      if (behind === null) return problem("approver_is_starter", UNTRACED);
      const said = { as: decision, by, behind, ...(note === undefined ? {} : { note }) };
      const decided = await askAbout(call, identity, (run, address) =>
        run.decide(viewerOf(identity), address, said),
      );
      if (!decided.ok) return decided.error;
      const { applied, approval } = decided.value;
      return jsonResponse({ applied, approval: seen(approval, identity) }, 200, UNSHARED);
    },
  }),
  route({
    id: "linkApproval",
    method: "POST",
    path: "/v1/approvals/{approval}/links",
    rule: "approvals:decide",
    also: "Not the key that started the run or appended to it, nor one that such a key made.",
    tag: "Approvals",
    summary: "Make a link to a page on which a person decides",
    description:
      "For your backend: whoever opens the link can decide, so hand it to the person, and to nobody else, never to an agent. It works until the approval is decided or expires.",
    body: { schema: LinkApproval, required: false, example: EXAMPLES.link },
    answers: [{ status: 201, description: "The link. It is not kept.", schema: ApprovalLink }],
    problems: ["not_found", "approver_is_starter", "not_waiting_for_approval", "run_ended", "run_deleted"],
    handle: async ({ call, identity, body: { identity: who } }) => {
      const actor = actorOf(identity);
      const behind = await makersOfActor(call.deps.access, identity.tenant, actor);
      if (behind === null) return problem("approver_is_starter", UNTRACED);
      const found = await askAbout(call, identity, (run, address) =>
        run.mayLink(viewerOf(identity), address, actor, behind),
      );
      if (!found.ok) return found.error;
      const { id, expires_at } = found.value;
      const token = await call.deps.links.seal({
        tenant: identity.tenant,
        approval: id,
        via: actor,
        identity: who ?? null,
      });
      const url = new URL(`/approve/${token}`, call.request.url).href;
      return jsonResponse({ url, expires_at }, 201);
    },
  }),
];

/** Asks the run that the approval's id names. */
async function askAbout<T>(
  call: Call,
  identity: KeyIdentity,
  question: (run: RunRpc, address: ApprovalAddress) => Promise<Answer<T>>,
): Promise<Result<T, Problem>> {
  const id = call.params["approval"] ?? "";
  const named = addressOf(id);
  if (named === null) return err(problem("not_found", "There is no such approval."));
  return ask(call, identity, (run) => question(run, named.address), true, named.run);
}

/** The run and the unit that the id of an approval names. */
export function addressOf(id: string): { readonly run: string; readonly address: ApprovalAddress } | null {
  const named = parseApprovalId(id);
  if (named === null || !isRunId(named.run)) return null;
  return { run: named.run, address: { id, ...named.unit } };
}

/** The author's words and the query may hold what steps gave. */
function seen(approval: ApprovalView, identity: KeyIdentity): ApprovalView {
  return may(identity, "outputs:read") || may(identity, "approvals:decide")
    ? approval
    : { ...approval, text: null, query: null };
}
