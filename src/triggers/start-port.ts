/** How triggers start runs: what is started, who answers for it, and what becomes of it. The composition root wires it. */
import type { Json } from "../kernel/index.ts";

/** Who answers for what a trigger starts. PERSISTED CONTRACT: only gains optional fields. */
export interface Maker {
  /** As the audit writes it: `key:<id>` or `token:<id>`. */
  readonly actor: string;
  /** The policies that the maker stood under; every run is started under them. Opaque here. */
  readonly policies: readonly Json[];
  /** Of who came with a token: what its issuer was trusted as. */
  readonly trust?: { readonly issuerId: string; readonly version: number };
  /** Who else may have had it done, as the audit writes them: by hand, or because they know what proves a delivery. */
  readonly also?: readonly string[];
}

/** What a trigger starts. PERSISTED CONTRACT likewise. */
export interface Target {
  readonly workflow: string;
  /** Missing: the newest at the time of the start. */
  readonly version?: string;
  readonly input: Json;
  readonly tags: readonly string[];
}

export interface TriggeredStart {
  readonly tenant: string;
  /** Of the run; from `runIdOf`, so that every try of one start finds the same. */
  readonly id: string;
  readonly target: Target;
  /** The end user on whose behalf the run acts; null: the tenant. */
  readonly user: string | null;
  /** `hook:<name>`, `schedule:<name>`, `event:<name>`. */
  readonly startedBy: string;
  readonly maker: Maker;
  /** The same at every try of one start. */
  readonly bodyDigest: string;
  readonly traceparent: string | null;
}

export type TriggeredOutcome =
  /** `created`: by this try. Otherwise it was there, and may have ended, or been deleted, since. */
  | { readonly kind: "started"; readonly created: boolean; readonly run: string }
  /** It cannot be started, and trying again would not help. Never where an earlier try has begun the run. */
  | { readonly kind: "refused"; readonly code: string; readonly message: string };

/** Nothing was begun, because the tenant may begin nothing more just now: to be tried again. */
export class StartHeldBack extends Error {
  override readonly name = "StartHeldBack";
  readonly retryMs: number;

  constructor(quota: string, retryMs: number) {
    super(`The quota ${quota} of the tenant is used up.`);
    this.retryMs = retryMs;
  }
}

export interface Starter {
  /** Rejects with `StartHeldBack` while a quota holds it back, and while it cannot be said what becomes of it (the database, the run's object): to be tried again. */
  start(start: TriggeredStart): Promise<TriggeredOutcome>;
}
