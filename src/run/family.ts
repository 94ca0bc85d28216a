/**
 * What runs of one family tell each other, by their outboxes: a child that it has ended, a parent that nobody waits for
 * the child any more. All of it may come twice and late; should it never come, the parent looks by itself.
 */

import { keyOf, refOf, stepOf, unitOf, type CancelMode, type Fact, type RunState } from "../kernel/index.ts";
import { childIdOf, type FamilyParts } from "./children.ts";
import type { Listener } from "./outbox.ts";

/** PERSISTED CONTRACT: stands in outboxes. */
type Telling =
  | { readonly t: "ended"; readonly parent: string; readonly unit: string; readonly generation: number }
  | { readonly t: "recall"; readonly child: string; readonly generation: number; readonly mode: CancelMode }
  /** To a child of which its parent never heard: an attempt was given up while it started one, or redrove it. */
  | { readonly t: "recall_unheard"; readonly key: string; readonly generation?: number };

export function createFamily({ runs, runIdOf }: FamilyParts): Listener {
  return {
    name: "family",
    message: tellingOf,
    async deliver({ tenant, run, body }) {
      const told = body as Telling;
      const viewer = { tenant };
      switch (told.t) {
        case "ended": {
          const { unit, generation } = told;
          const heard = await runs(tenant, told.parent).childEnded(viewer, { unit, run, generation });
          // Its attempt has not come back with the child yet.
          if (!heard.ok && heard.code === "not_due")
            throw new Error("the parent does not know its child yet");
          return;
        }
        case "recall": {
          const { generation, mode } = told;
          await runs(tenant, told.child).recall(viewer, { generation, mode, by: `run:${run}` });
          return;
        }
        case "recall_unheard": {
          const child = await childIdOf(runIdOf, tenant, run, told.key);
          const { generation = 1 } = told;
          await runs(tenant, child).recall(viewer, { generation, mode: "graceful", by: `run:${run}` });
          return;
        }
      }
    },
  };
}

function tellingOf(fact: Fact, after: RunState): Telling | null {
  switch (fact.t) {
    case "ended": {
      const { parent } = after.run;
      if (parent === undefined) return null;
      return { t: "ended", parent: parent.run, unit: parent.unit, generation: after.generation };
    }
    case "recalled":
      return { t: "recall", child: fact.run, generation: fact.generation, mode: fact.mode };
    case "late":
      return fact.child === undefined
        ? null
        : { t: "recall", child: fact.child.run, generation: fact.child.generation, mode: "immediate" };
    case "failed":
    case "cancelled":
    case "succeeded": {
      // A fallback succeeds for a step that may have started something.
      const outcome = fact.t === "succeeded" ? fact.fallback?.outcome : fact.outcome;
      if (outcome !== "unknown" || fact.role !== undefined) return null;
      const unit = unitOf(after, fact);
      const starts = stepOf(after, fact.step)?.def.action === "run";
      if (!starts || unit === null) return null;
      const { child } = unit;
      // One that is known and goes on is recalled by name. One that had ended may have begun its next generation.
      if (child !== null && !child.ended) return null;
      const key = keyOf(after.run.id, refOf(fact.step, fact.item), unit);
      return { t: "recall_unheard", key, generation: (child?.generation ?? 0) + 1 };
    }
    default:
      return null;
  }
}
