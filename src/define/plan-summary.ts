/** What a plan would do, in the order in which it would: for whoever is about to start it, and for policy. Pure. */

import { isCloudRef, type ConnectionRef, type Finding } from "../actions/index.ts";
import {
  escapePointer,
  type Effect,
  type Graph,
  type Json,
  type Performance,
  type StepDef,
} from "../kernel/index.ts";
import type { FlowView } from "./flow.ts";
import { referenceIn, referenceTo } from "./connections.ts";
import { isMap, splitTemplate } from "./expressions/index.ts";

/** One request that a step would make. */
export interface PlannedRequest {
  readonly step: string;
  readonly role: "step" | "verify" | "compensate";
  readonly method: string;
  readonly host: string;
  /** As it is written, with `*` for each part that is only known when the step runs. */
  readonly path: string;
  /** Name of the service token, or null. */
  readonly token: string | null;
  /** Which connection it is made with, or null. */
  readonly connection: ConnectionRef | null;
  /** Name of the cloud role with whose credential it is made, or null. */
  readonly cloud_role: string | null;
  readonly effect: Effect;
}

/** What policy says of a request; absent: nobody was asked. */
export type Judge = (request: PlannedRequest) => Json;

export interface SummarisedStep {
  readonly name: string;
  readonly part: StepDef["part"];
  readonly action: string;
  readonly effect: Effect;
  readonly needs: readonly string[];
  readonly conditional: boolean;
  readonly for_each: boolean;
  readonly repeats: boolean;
  readonly waits_for: string | null;
  readonly waits_for_event: string | null;
  readonly requests: readonly (PlannedRequest & { readonly policy: Json })[];
  /** In words for a program: what its failure means for the run. */
  readonly on_failure: "run_fails" | "run_goes_on" | "fallback";
  /** What an unclear end of an attempt leads to. */
  readonly when_unclear: "tried_again" | "asks_the_service" | "waits_for_a_person" | "nothing_to_repeat";
  /** Whether it is taken back when the run is lost: `not_needed` where it changes nothing. */
  readonly undo: "by_compensation" | "left_behind" | "not_needed";
}

/** A connection that whoever the run acts for has to have. */
export interface SummarisedConnection {
  readonly integration: string;
  /** Null: the only one. */
  readonly account: string | null;
  /** What the steps ask for in all. */
  readonly scopes: readonly string[];
  /** Where the steps send it. */
  readonly hosts: readonly string[];
}

/** A cloud role that the steps use. */
export interface SummarisedRole {
  readonly role: string;
  /** Where the steps send what it is given. */
  readonly hosts: readonly string[];
}

export interface PlanDigest {
  readonly hosts: readonly string[];
  readonly service_tokens: readonly string[];
  readonly connections: readonly SummarisedConnection[];
  readonly cloud_roles: readonly SummarisedRole[];
  readonly steps: readonly SummarisedStep[];
  /** How its runs wait for each other. Missing: they do not. */
  readonly flow?: FlowView;
}

export function summarise(graph: Graph, judge?: Judge, flow?: FlowView): PlanDigest {
  const steps = graph.steps.map((def) => summariseStep(def, judge));
  const requests = steps.flatMap((step) => step.requests);
  const unique = (names: readonly (string | null)[]): string[] =>
    [...new Set(names.filter((name) => name !== null))].toSorted((a, b) => (a < b ? -1 : 1));
  return {
    hosts: unique(requests.map(({ host }) => host)),
    service_tokens: unique(requests.map(({ token }) => token)),
    connections: connectionsIn(requests),
    cloud_roles: unique(requests.map((one) => one.cloud_role)).map((role) => ({
      role,
      hosts: unique(requests.map((one) => (one.cloud_role === role ? one.host : null))),
    })),
    steps,
    ...(flow === undefined ? {} : { flow }),
  };
}

function connectionsIn(requests: readonly PlannedRequest[]): SummarisedConnection[] {
  const found = new Map<string, SummarisedConnection>();
  for (const { connection, host } of requests) {
    if (connection === null) continue;
    const { connection: integration, account = null, scopes = [] } = connection;
    const name = JSON.stringify([integration, account]);
    const before = found.get(name);
    const joined = (old: readonly string[] = [], more: readonly string[]) => [...new Set([...old, ...more])];
    found.set(name, {
      integration,
      account,
      scopes: joined(before?.scopes, scopes),
      hosts: joined(before?.hosts, [host]),
    });
  }
  return [...found.values()];
}

function summariseStep(def: StepDef, judge: Judge | undefined): SummarisedStep {
  const requests = requestsOf(def).map((one) => ({ ...one, policy: judge?.(one) ?? null }));
  const changes = def.kind === "call" && def.effect !== "safe";
  return {
    name: def.name,
    part: def.part,
    action: def.action,
    effect: def.effect,
    needs: def.needs,
    conditional: def.when !== undefined,
    for_each: def.forEach !== undefined,
    repeats: def.repeat !== undefined,
    waits_for: def.event === undefined ? (def.signal ?? null) : null,
    waits_for_event: def.event ?? null,
    requests,
    on_failure:
      typeof def.onFailure === "object"
        ? "fallback"
        : def.onFailure === "continue" || def.part === "on_failure"
          ? "run_goes_on"
          : "run_fails",
    when_unclear:
      def.kind !== "call"
        ? "nothing_to_repeat"
        : def.verify !== undefined
          ? "asks_the_service"
          : def.effect === "once"
            ? "waits_for_a_person"
            : "tried_again",
    undo: !changes ? "not_needed" : def.compensate === undefined ? "left_behind" : "by_compensation",
  };
}

/** Every request that a step can make, its verify and its compensation included. */
export function requestsOf(def: StepDef): readonly PlannedRequest[] {
  const one = (role: PlannedRequest["role"], performance: Performance | undefined): PlannedRequest[] => {
    if (performance?.action !== "http" || !isMap(performance.with)) return [];
    const { method, url, auth } = performance.with;
    const parsed = typeof url === "string" ? URL.parse(starred(url)) : null;
    if (parsed === null || typeof method !== "string") return [];
    const token = isMap(auth) && typeof auth["bearer"] === "string" ? auth["bearer"] : null;
    const { hostname: host, pathname: path } = parsed;
    const connection = referenceIn(auth);
    const lent = referenceTo(auth);
    const cloudRole = lent !== null && isCloudRef(lent) ? lent.cloud : null;
    const credential = { token, connection, cloud_role: cloudRole };
    return [{ step: def.name, role, method, host, path, ...credential, effect: performance.effect }];
  };
  return [...one("step", def), ...one("verify", def.verify), ...one("compensate", def.compensate)];
}

/** A URL with a star for each expression. Scheme and host hold none: that was checked. */
function starred(url: string): string {
  const split = splitTemplate(url);
  return split.ok ? split.segments.map((one) => (one.kind === "text" ? one.text : "*")).join("") : url;
}

/** What is no error, and may still not be what was meant. */
export function adviceOn(graph: Graph): readonly Finding[] {
  const advice: Finding[] = [];
  const needed = new Set(graph.steps.flatMap((def) => def.needs));
  for (const def of graph.steps) {
    const at = `/${def.part === "main" ? "steps" : "onFailure"}/${escapePointer(def.name)}`;
    if (def.kind !== "call") continue;
    if (def.effect === "once" && def.verify === undefined)
      advice.push({
        pointer: at,
        code: "once_without_verify",
        detail:
          "If an attempt ends unclear, the run waits for a person to say whether it happened. If the service takes idempotency keys, say `effect: keyed`; else add a `verify`.",
      });
    if (def.effect !== "safe" && def.part === "main" && def.compensate === undefined && needed.has(def.name))
      advice.push({
        pointer: at,
        code: "not_undone",
        detail: "If a later step fails, what this one did stays: add a `compensate` if it can be taken back.",
      });
  }
  return advice;
}
