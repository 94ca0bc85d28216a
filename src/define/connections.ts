/** Connections and cloud roles as workflows name them: what a step needs, and what a workflow says that it needs up front. Pure. */

import type { CloudRef, ConnectionRef, LentRef } from "../actions/index.ts";
import type { Graph, Json, Performance, StepDef } from "../kernel/index.ts";
import { isList, isMap } from "./expressions/index.ts";

/**
 * A connection of whom the run acts for, by the name of its integration. Give it to a step's `auth`.
 * @param options `account`: which one, where there are several; `scopes`: what is needed of it
 * @example const answer = await fetch(url, { auth: connection("google") });
 */
export function connection(
  name: string,
  options: { readonly account?: string; readonly scopes?: readonly string[] } = {},
): ConnectionRef {
  const { account, scopes } = options;
  return {
    connection: name,
    ...(account === undefined ? {} : { account }),
    ...(scopes === undefined ? {} : { scopes }),
  };
}

/**
 * A cloud role of the tenant, by its name: the workflow's own identity is exchanged for its credential. Give it to a step's
 * `auth`.
 * @example const answer = await fetch(url, { method: "PUT", body, auth: cloud("invoices-writer") });
 */
export function cloud(name: string): CloudRef {
  return { cloud: name };
}

/** What a step says that it needs before it runs: names of integrations, or references. */
export type Declared = readonly (string | LentRef)[];

/** What a workflow says that its runs need, by the name of the integration. */
export type DeclaredUpFront = Readonly<
  Record<string, { readonly account?: string; readonly scopes?: readonly string[] }>
>;

/** As the graph holds them. */
export function pinnedConnections(declared: Declared | undefined, auth: unknown): Json[] | undefined {
  const named = (declared ?? []).map((one) => (typeof one === "string" ? connection(one) : one));
  const own = referenceTo(auth as Json);
  const all = own === null ? named : [...named, own];
  return all.length === 0 ? undefined : all.map(pinned);
}

export function pinnedUpFront(declared: DeclaredUpFront | undefined): Json[] | undefined {
  return declared === undefined
    ? undefined
    : Object.entries(declared).map(([name, options]) => pinned(connection(name, options)));
}

/** What a call needs before it can begin. */
export function lentTo({ action, with: parameters, connections = [] }: Performance): readonly LentRef[] {
  if (action === "http") return referencesOf(isMap(parameters) ? [parameters["auth"] ?? null] : connections);
  return action === "code" ? referencesOf(connections) : [];
}

/** The connections among them. */
export function neededBy(performance: Performance): readonly ConnectionRef[] {
  return lentTo(performance).filter((one) => "connection" in one);
}

/** Every connection that the steps of a graph name, and what its workflow declares; each once. */
export function connectionsOf(graph: Pick<Graph, "steps" | "connections">): readonly ConnectionRef[] {
  const all = [
    ...(graph.connections ?? []).map(referenceIn).filter((one) => one !== null),
    ...graph.steps.flatMap((step) => performancesOf(step).flatMap(neededBy)),
  ];
  return [...new Map(all.map((one) => [JSON.stringify(pinned(one)), one])).values()];
}

function performancesOf(step: StepDef): readonly Performance[] {
  return [step, step.verify, step.compensate].filter((one) => one !== undefined);
}

function referencesOf(values: readonly Json[]): readonly LentRef[] {
  return values.map(referenceTo).filter((one) => one !== null);
}

/** Null: it names neither a connection nor a cloud role. */
export function referenceTo(auth: Json | undefined): LentRef | null {
  const role = auth !== undefined && isMap(auth) ? auth["cloud"] : undefined;
  return typeof role === "string" ? cloud(role) : referenceIn(auth);
}

/** Null: it names no connection. */
export function referenceIn(auth: Json | undefined): ConnectionRef | null {
  if (auth === undefined || !isMap(auth)) return null;
  const { connection: name, account, scopes } = auth;
  if (typeof name !== "string") return null;
  const texts =
    scopes !== undefined && isList(scopes) ? scopes.filter((one) => typeof one === "string") : null;
  return connection(name, {
    ...(typeof account === "string" ? { account } : {}),
    ...(texts === null ? {} : { scopes: texts }),
  });
}

function pinned(reference: LentRef): Json {
  if ("cloud" in reference) return { cloud: reference.cloud };
  const { connection: name, account, scopes } = reference;
  return {
    connection: name,
    ...(account === undefined ? {} : { account }),
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
  };
}
