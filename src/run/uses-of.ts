/** The uses of credentials that facts of a run tell of, for the audit. Pure. */

import type { Row } from "../driver/index.ts";
import { unitName, type Fact, type FactOf, type Json, type RunInfo } from "../kernel/index.ts";
import type { CredentialUse, UseSink } from "../platform/index.ts";
import type { Followed } from "./follower.ts";

/** Uses per message. */
const MANY = 200;

type Telling = FactOf<"started"> | FactOf<"used">;

/** Tells the audit. */
export function followUses(sink: UseSink): Followed {
  return {
    name: "uses",
    tells: tellsOfUse,
    async tell({ run }, rows, from) {
      const uses = usesOf(run, rows, from);
      for (let i = 0; i < uses.length; i += MANY) await sink.write(uses.slice(i, i + MANY));
      return null;
    },
  };
}

/** Whether the fact tells of one. */
function tellsOfUse(fact: Fact): fact is Telling {
  return fact.t === "used" || (fact.t === "started" && fact.credentials !== undefined);
}

/** Those of the facts from number `from` on, each once and as the last of them says. */
function usesOf(run: RunInfo, rows: readonly Row[], from: number): CredentialUse[] {
  const uses = new Map<string, CredentialUse>();
  for (const row of rows)
    row.facts.forEach((fact, i) => {
      if (row.seq + i < from || !tellsOfUse(fact)) return;
      for (const use of told(run, fact)) {
        const at = uses.get(use.id)?.at ?? use.at;
        uses.set(use.id, { ...use, at });
      }
    });
  return [...uses.values()];
}

function told(run: RunInfo, fact: Telling): CredentialUse[] {
  const unit = unitName(fact);
  const { id, tenant, workflow, user } = run;
  const { at, attempt, credentials = [] } = fact;
  return (Array.isArray(credentials) ? credentials : [credentials]).map((one: Json, i) => {
    const { hosts, more_hosts: more, ...credential } = fieldsOf(one);
    const ended =
      fact.t === "started"
        ? null
        : { hosts: textsOf(hosts), moreHosts: typeof more === "number" ? more : 0, outcome: fact.as };
    const use = { id: `${id}.${unit}.a${attempt}.${i}`, at, tenant, run: id, workflow, user };
    return { ...use, unit, attempt, credential, ended };
  });
}

function fieldsOf(one: Json): Readonly<Record<string, Json>> {
  return typeof one === "object" && one !== null && !Array.isArray(one)
    ? (one as Readonly<Record<string, Json>>)
    : { credential: one };
}

function textsOf(list: Json | undefined): string[] {
  return Array.isArray(list) ? list.filter((one): one is string => typeof one === "string") : [];
}
