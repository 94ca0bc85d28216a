/** Scopes as sets: providers write them with spaces, commas or both, in any order. Pure. */
import type { Provider, ScopeRules } from "./descriptor.ts";

/** Texts in a list of scopes. An answer with more is nonsense, and would be compared one by one. */
const MAX_SCOPES = 200;

export function scopeRules(provider: Provider): ScopeRules {
  return ("scopes" in provider ? provider.scopes : undefined) ?? {};
}

/** The scopes in a text, each once. Reads both separators: GitHub is asked with spaces and answers with commas. */
export function splitScopes(text: string): readonly string[] {
  return [...new Set(text.split(/[\s,]+/).filter((scope) => scope !== ""))].slice(0, MAX_SCOPES);
}

/** Scopes as the provider wants them in a request. */
export function joinScopes(provider: Provider, scopes: readonly string[]): string {
  return [...new Set(scopes)].join(scopeRules(provider).separator ?? " ");
}

/** What is asked for: the provider's own, the ones that tell who the account is, and the given ones; each once. */
export function scopesToAsk(
  provider: Provider,
  wanted: readonly string[],
  options: { readonly identity: boolean },
): readonly string[] {
  const rules = scopeRules(provider);
  if (rules.none === true) return [];
  return [
    ...new Set([...(rules.default ?? []), ...(options.identity ? (rules.identity ?? []) : []), ...wanted]),
  ];
}

/** Whether scopes in the provider's answers can be held against those of requests. */
export function comparesScopes(provider: Provider): boolean {
  const rules = scopeRules(provider);
  return rules.none !== true && rules.comparable !== false;
}

/**
 * Which of the wanted scopes are not among the granted ones. Empty where the provider's answers cannot be compared with
 * requests. Scopes that other scopes include are not known here: a provider that grants `repo` for `public_repo` looks narrower.
 */
export function missingScopes(
  provider: Provider,
  wanted: readonly string[],
  granted: readonly string[],
): readonly string[] {
  if (!comparesScopes(provider)) return [];
  const have = new Set(granted);
  return wanted.filter((scope) => !have.has(scope));
}
