import type { FailureSeed, Json } from "../kernel/index.ts";

/** What filling in the parameters of an action that calls nobody gave. */
export type Filling =
  | { readonly kind: "timer"; readonly ms: number }
  | { readonly kind: "signal"; readonly limitMs: number; readonly hears?: Json }
  | { readonly kind: "approval"; readonly limitMs: number; readonly text: string }
  | { readonly kind: "done"; readonly output: Json }
  | { readonly kind: "error"; readonly failure: FailureSeed };
